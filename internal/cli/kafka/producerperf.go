package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// producerPerfTool measures how fast records are sent.
func producerPerfTool() tool {
	properties := func(name, help string) option {
		o := texts(name, "PROP-NAME=PROP-VALUE", help)
		o.greedy = true
		return o
	}
	delimiter := text("payload-delimiter", "PAYLOAD-DELIMITER", "What stands between the payloads of --payload-file.")
	delimiter.def = `\n`
	return tool{
		name: "kafka-producer-perf-test", short: "Measure sending, as kafka-producer-perf-test.sh does it",
		about: "This tool is used to verify the producer performance.",
		example: `  klamm kafka-producer-perf-test --bootstrap-server localhost:9092 --topic orders --num-records 100000 --record-size 200 --throughput -1
  klamm kafka-producer-perf-test --topic orders --num-records 1000 --record-size 200 --throughput 100 --producer-props bootstrap.servers=localhost:9092 acks=1`,
		prefix: "kafka-producer-perf-test: error: ",
		options: []option{
			text("bootstrap-server", "BOOTSTRAP-SERVER", "The brokers to connect to; they win over bootstrap.servers of the properties."),
			text("topic", "TOPIC", "The topic to send to."),
			long("num-records", "NUM-RECORDS", "", "How many records to send."),
			whole("record-size", "RECORD-SIZE", "", "The size of a record in bytes. One of --record-size, --payload-file and --payload-monotonic is needed."),
			text("payload-file", "PAYLOAD-FILE", "A file of payloads, of which one is taken at random for each record."),
			flag("payload-monotonic", "Send numbers that rise."),
			delimiter,
			{name: "throughput", takes: takesOne, kind: "Double", of: "THROUGHPUT", help: "How many records a second to send, about; -1 for as many as go."},
			properties("producer-props", "Deprecated: --command-property."),
			properties("command-property", "Properties of the producer, key=value, one behind another."),
			text("producer.config", "CONFIG-FILE", "Deprecated: --command-config."),
			text("command-config", "CONFIG-FILE", "A file of properties of the producer."),
			flag("print-metrics", "Print what was measured at the end."),
			text("transactional-id", "TRANSACTIONAL-ID", "Send in transactions of this id."),
			long("transaction-duration-ms", "TRANSACTION-DURATION", "", "How long a transaction lasts; 3000 when an id is given."),
			long("warmup-records", "WARMUP-RECORDS", "0", "How many records at the beginning do not count for the second summary."),
			long("reporting-interval", "INTERVAL-MS", "5000", "How often to print how it goes, in milliseconds."),
		},
		run: runProducerPerf,
	}
}

// perfUsage is an error of the command line as argparse4j tells it.
func (r *run) perfUsage(format string, args ...any) error {
	fmt.Fprintf(r.err, "usage: %s [OPTION]...\n", r.tool.name)
	return saysf(format, args...)
}

// checkProducerPerf refuses command lines as Java's tool does.
func (r *run) checkProducerPerf() error {
	for _, n := range []string{"topic", "num-records", "throughput"} {
		if !r.has(n) {
			return r.perfUsage("argument --%s is required", n)
		}
	}
	payloads := 0
	for _, n := range []string{"record-size", "payload-file", "payload-monotonic"} {
		if r.has(n) {
			payloads++
		}
	}
	switch {
	case payloads == 0:
		return r.perfUsage("one of the arguments --record-size --payload-file --payload-monotonic is required")
	case payloads > 1:
		return r.perfUsage("arguments --record-size, --payload-file and --payload-monotonic are mutually exclusive")
	case r.number("num-records") <= 0:
		return r.perfUsage("--num-records should be greater than zero.")
	case max(0, r.number("warmup-records")) >= r.number("num-records"):
		return r.perfUsage("The value for --warmup-records must be strictly fewer than the number of records in the test, --num-records.")
	case r.has("record-size") && r.number("record-size") <= 0:
		return r.perfUsage("--record-size should be greater than zero.")
	case !r.hasAny("bootstrap-server", "command-property", "producer-props", "producer.config", "command-config"):
		return r.perfUsage("At least one of --bootstrap-server, --command-property, --producer-props, --producer.config or --command-config must be specified.")
	case r.has("command-property") && r.has("producer-props"):
		return r.perfUsage("--command-property and --producer-props cannot be specified together.")
	case r.has("command-config") && r.has("producer.config"):
		return r.perfUsage("--command-config and --producer.config cannot be specified together.")
	case r.has("transaction-duration-ms") && r.number("transaction-duration-ms") <= 0:
		return r.perfUsage("--transaction-duration-ms should be greater than zero.")
	case r.number("reporting-interval") <= 0:
		return r.perfUsage("--reporting-interval should be greater than zero.")
	}
	return nil
}

// runProducerPerf is kafka-producer-perf-test.
func runProducerPerf(r *run) error {
	if err := r.checkProducerPerf(); err != nil {
		return err
	}
	payload, err := r.payloads()
	if err != nil {
		return err
	}
	r.deprecated("producer-props", "command-property")
	r.deprecated("producer.config", "command-config")
	pairs := append(r.all("command-property"), r.all("producer-props")...)
	for _, p := range pairs {
		if strings.Count(p, "=") != 1 {
			return plainf("Invalid property: %s", p)
		}
	}
	props, err := r.properties(r.either("command-config", "producer.config"), pairs)
	if err != nil {
		return err
	}
	for k, v := range map[string]string{"client.id": "perf-producer-client", "compression.type": "none", "linger.ms": "5"} {
		if props[k] == "" {
			props[k] = v
		}
	}
	opts := []kgo.Opt{kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(-1)}
	id := props["transactional.id"]
	if r.has("transactional-id") {
		id = r.text("transactional-id")
	}
	lasts := time.Duration(0)
	if r.has("transaction-duration-ms") || id != "" {
		if id == "" {
			id = fmt.Sprintf("performance-producer-%016x%016x", rand.Uint64(), rand.Uint64())
		}
		lasts = 3 * time.Second
		if r.has("transaction-duration-ms") {
			lasts = time.Duration(r.number("transaction-duration-ms")) * time.Millisecond
		}
		opts = append(opts, kgo.TransactionalID(id))
	}
	cl, err := r.connect(props, opts...)
	if err != nil {
		return plainError{message(err)}
	}
	defer cl.Close()
	p := producerPerf{run: r, cl: cl, payload: payload, lasts: lasts}
	return p.send()
}

// payloads makes the function that gives the payload of each record. What it gives is not written to again.
func (r *run) payloads() (func(i int64) []byte, error) {
	switch {
	case r.has("payload-monotonic"):
		return func(i int64) []byte { return fmt.Append(nil, i) }, nil
	case r.has("record-size"):
		size := int(r.number("record-size"))
		letters := make([]byte, size+64<<10) // each record takes another part of it
		for i := range letters {
			letters[i] = 'A' + byte(rand.IntN(26))
		}
		return func(i int64) []byte { at := int(i*31) & (64<<10 - 1); return letters[at : at+size : at+size] }, nil
	}
	name := r.text("payload-file")
	full, err := filepath.Abs(name)
	if err != nil {
		full = name
	}
	r.println("Reading payloads from: " + full)
	b, err := os.ReadFile(name)
	if err != nil || len(b) == 0 {
		return nil, plainf("File does not exist or empty file provided.")
	}
	sep := r.text("payload-delimiter")
	if sep == `\n` {
		sep = "\n"
	}
	all := bytes.Split(b, []byte(sep))
	if len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	r.printf("Number of records read: %d\n", len(all))
	return func(int64) []byte { return all[rand.IntN(len(all))] }, nil
}

// producerPerf is one measurement.
type producerPerf struct {
	*run
	cl      *kgo.Client
	payload func(int64) []byte
	lasts   time.Duration // of a transaction; 0 for none
}

// send sends all records and prints what came of it.
func (p *producerPerf) send() error {
	n, warmup := p.number("num-records"), max(0, p.number("warmup-records"))
	if warmup > 0 {
		p.printf("Warmup first %d records. Steady state results will print after the complete test summary.\n", warmup)
		if err := p.out.Flush(); err != nil {
			return err
		}
	}
	every := time.Duration(p.number("reporting-interval")) * time.Millisecond
	begun := time.Now()
	stats, steady := newPerfStats(p.run, n, every, ""), (*perfStats)(nil)
	rate, err := parseRate(p.text("throughput"))
	if err != nil {
		return err
	}
	var transaction time.Time
	for i := range n {
		if p.lasts > 0 && transaction.IsZero() {
			if err := p.cl.BeginTransaction(); err != nil {
				return plainError{message(err)}
			}
			transaction = time.Now()
		}
		if warmup > 0 && i == warmup {
			steady = newPerfStats(p.run, n-warmup, every, " steady state")
			stats.quiet()
		}
		now := time.Now()
		rec := &kgo.Record{Topic: p.text("topic"), Value: p.payload(i)}
		mine := steady
		p.cl.Produce(p.ctx, rec, func(rec *kgo.Record, err error) {
			if err != nil {
				stats.failed(err)
				return
			}
			end := time.Now()
			stats.record(end.Sub(now), len(rec.Value), end)
			if mine != nil {
				mine.record(end.Sub(now), len(rec.Value), end)
			}
		})
		if p.lasts > 0 && time.Since(transaction) >= p.lasts {
			transaction = time.Time{}
			if err := p.commit(); err != nil {
				return err
			}
		}
		if p.ctx.Err() != nil {
			break
		}
		if rate > 0 {
			if ahead := time.Duration(float64(i+1)/rate*float64(time.Second)) - time.Since(begun); ahead > 5*time.Millisecond && !sleep(p.ctx, ahead) {
				break
			}
		}
	}
	if p.lasts > 0 && !transaction.IsZero() {
		if err := p.commit(); err != nil {
			return err
		}
	}
	if err := p.cl.Flush(p.ctx); err != nil && !errors.Is(err, context.Canceled) {
		return plainError{message(err)}
	}
	stats.printTotal()
	if steady != nil {
		steady.printTotal()
	}
	if p.has("print-metrics") {
		stats.printMetrics()
	}
	return nil
}

// commit ends a transaction.
func (p *producerPerf) commit() error {
	if err := p.cl.Flush(p.ctx); err != nil {
		return plainError{message(err)}
	}
	if err := p.cl.EndTransaction(p.ctx, kgo.TryCommit); err != nil {
		return plainError{message(err)}
	}
	return nil
}

// parseRate reads --throughput; below zero, which is without a limit, it is 0.
func parseRate(s string) (float64, error) {
	var rate float64
	if _, err := fmt.Sscan(s, &rate); err != nil {
		return 0, err
	}
	return max(rate, 0), nil
}

// sleep waits, and says whether ctx went on that long.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// perfStats counts records and how long they took, in all and since the last line.
type perfStats struct {
	r     *run
	every time.Duration
	what  string // stands behind the count

	mu                         sync.Mutex // guards what follows, and the run's output while records are sent
	begun, window              time.Time
	silent                     bool
	took                       []int32 // milliseconds of one in each of sampling records
	sampling                   int64
	count, bytes, total        int64
	most                       int64
	wCount, wBytes, wSum, wMax int64
	told                       bool
}

// newPerfStats begins to count. At most half a million records are kept for the percentiles.
func newPerfStats(r *run, records int64, every time.Duration, what string) *perfStats {
	sampling := records / min(records, 500_000)
	return &perfStats{r: r, every: every, what: what, begun: time.Now(), window: time.Now(), sampling: sampling, took: make([]int32, 0, records/sampling+1)}
}

// quiet stops the lines of how it goes.
func (s *perfStats) quiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

// failed tells of a record that was not sent.
func (s *perfStats) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.r.err, wrapped(err))
}

// record counts a record.
func (s *perfStats) record(took time.Duration, size int, now time.Time) {
	ms := took.Milliseconds()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count%s.sampling == 0 {
		s.took = append(s.took, int32(min(ms, 1<<31-1)))
	}
	s.count++
	s.bytes += int64(size)
	s.total += ms
	s.most = max(s.most, ms)
	s.wCount++
	s.wBytes += int64(size)
	s.wSum += ms
	s.wMax = max(s.wMax, ms)
	if now.Sub(s.window) < s.every {
		return
	}
	if s.what != "" && !s.told {
		s.told = true
		s.r.println("In steady state.")
	}
	if !s.silent {
		elapsed := float64(now.Sub(s.window).Milliseconds())
		s.r.printf("%d records sent, %.1f records/sec (%.2f MB/sec), %.1f ms avg latency, %.1f ms max latency.\n",
			s.wCount, 1000*float64(s.wCount)/elapsed, 1000*float64(s.wBytes)/elapsed/(1<<20), float64(s.wSum)/float64(s.wCount), float64(s.wMax))
		s.r.out.Flush() //nolint:errcheck // it is met at the last one
	}
	s.window, s.wCount, s.wBytes, s.wSum, s.wMax = now, 0, 0, 0, 0
}

// printTotal prints the summary.
func (s *perfStats) printTotal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	elapsed := float64(max(1, time.Since(s.begun).Milliseconds()))
	slices.Sort(s.took)
	at := func(share float64) int32 {
		if len(s.took) == 0 {
			return 0
		}
		return s.took[int(share*float64(len(s.took)))]
	}
	average := 0.0
	if s.count > 0 {
		average = float64(s.total) / float64(s.count)
	}
	s.r.printf("%d%s records sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max latency, %d ms 50th, %d ms 95th, %d ms 99th, %d ms 99.9th.\n",
		s.count, s.what, 1000*float64(s.count)/elapsed, 1000*float64(s.bytes)/elapsed/(1<<20), average, float64(s.most), at(0.5), at(0.95), at(0.99), at(0.999))
}

// printMetrics prints what Java's producer counts too.
func (s *perfStats) printMetrics() {
	s.mu.Lock()
	defer s.mu.Unlock()
	elapsed := max(1e-3, time.Since(s.begun).Seconds())
	s.r.printMetrics("producer-metrics", "perf-producer-client", map[string]float64{
		"record-send-total": float64(s.count), "record-send-rate": float64(s.count) / elapsed, "outgoing-byte-total": float64(s.bytes), "outgoing-byte-rate": float64(s.bytes) / elapsed,
	})
}

// printMetrics prints a table of metrics as Java's tools do.
func (r *run) printMetrics(group, client string, metrics map[string]float64) {
	width := 0
	var names []string
	for n := range metrics {
		name := fmt.Sprintf("%s:%s:{client-id=%s}", group, n, client)
		names = append(names, n)
		width = max(width, len(name))
	}
	slices.Sort(names)
	r.printf("\n%-*s   %s\n", width, "Metric Name", "Value")
	for _, n := range names {
		r.printf("%-*s : %.3f\n", width, fmt.Sprintf("%s:%s:{client-id=%s}", group, n, client), metrics[n])
	}
}
