package kafka

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// consumerPerfTool measures how fast records are read.
func consumerPerfTool() tool {
	format := text("date-format", "date format", "How times are written, in the form of Java's SimpleDateFormat.")
	format.def = "yyyy-MM-dd HH:mm:ss:SSS"
	return tool{
		name: "kafka-consumer-perf-test", short: "Measure reading, as kafka-consumer-perf-test.sh does it",
		about: "This tool is used to verify the consumer performance.",
		example: `  klamm kafka-consumer-perf-test --bootstrap-server localhost:9092 --topic orders --num-records 100000
  klamm kafka-consumer-perf-test --bootstrap-server localhost:9092 --topic orders --num-records 1000000 --show-detailed-stats --reporting-interval 1000`,
		onParse: true,
		options: []option{
			bootstrap(),
			formerly("broker-list", bootstrap()),
			text("topic", "topic", "The topic to read."),
			text("include", "Java regex (String)", "The topics to read, as a regular expression for whole names."),
			text("group", "gid", "The group to read in; one of its own when it is not given."),
			whole("fetch-size", "size", "1048576", "How much to fetch of a partition at once."),
			texts("command-property", "prop1=val1", "A property of the consumer, key=value."),
			flag("from-latest", "Begin at the end where the group has no offset yet, and not at the first record."),
			whole("socket-buffer-size", "size", "2097152", "The size of the socket's buffer; without effect here."),
			text("consumer.config", "config file", "Deprecated: --command-config."),
			text("command-config", "config file", "A file of properties of the consumer."),
			flag("print-metrics", "Print what was measured at the end."),
			flag("show-detailed-stats", "Print how it goes, every --reporting-interval."),
			{name: "timeout", takes: takesMaybe, kind: "Long", of: "milliseconds", def: "10000", help: "Stop when no record comes for so long."},
			long("messages", "count", "", "Deprecated: --num-records."),
			long("num-records", "count", "", "How many records to read."),
			long("reporting-interval", "interval_ms", "5000", "How often to print how it goes, in milliseconds."),
			format,
			flag("hide-header", "Do not print the names of the columns."),
			dropped("threads"), dropped("num-fetch-threads"),
		},
		run: runConsumerPerf,
	}
}

// runConsumerPerf is kafka-consumer-perf-test.
func runConsumerPerf(r *run) error {
	if err := first(
		r.need("bootstrap-server"), r.oneOf("topic", "include"), r.oneOf("messages", "num-records"), r.not("consumer.config", "command-config"),
	); err != nil {
		return err
	}
	if r.number("reporting-interval") <= 0 {
		return saysf("Reporting interval must be greater than 0.")
	}
	if r.has("messages") {
		fmt.Fprintln(r.err, "Warning: --messages is deprecated. Use --num-records instead.")
	}
	if r.has("consumer.config") {
		fmt.Fprintln(r.err, "Warning: --consumer.config is deprecated. Use --command-config instead.")
	}
	props, err := r.properties(r.either("command-config", "consumer.config"), r.all("command-property"))
	if err != nil {
		return err
	}
	if props["client.id"] == "" {
		props["client.id"] = "perf-consumer-client"
	}
	props["max.partition.fetch.bytes"] = r.text("fetch-size")
	props["check.crcs"] = "false"
	group := r.text("group")
	if group == "" {
		group = fmt.Sprintf("perf-consumer-%d", rand.IntN(100_000))
	}
	p := &consumerPerf{run: r, date: javaDate(r.text("date-format"))}
	p.begun = time.Now()
	p.join.begun = p.begun
	start := kgo.NewOffset().AtStart()
	if r.has("from-latest") {
		start = kgo.NewOffset().AtEnd()
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(start), kgo.UnknownTopicRetries(-1),
		kgo.OnPartitionsAssigned(p.join.assigned), kgo.OnPartitionsRevoked(p.join.revoked), kgo.OnPartitionsLost(p.join.revoked),
	}
	if r.has("include") {
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics("^(?:"+r.text("include")+")$"))
	} else {
		opts = append(opts, kgo.ConsumeTopics(r.text("topic")))
	}
	if !r.has("hide-header") {
		if r.has("show-detailed-stats") {
			r.printf("time, threadId, ")
		} else {
			r.printf("start.time, end.time, ")
		}
		r.println("data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec")
	}
	cl, err := r.connect(props, opts...)
	if err != nil {
		return plainError{message(err)}
	}
	defer cl.Close()
	if err := p.read(cl); err != nil {
		return plainError{message(err)}
	}
	return nil
}

// consumerPerf is one measurement.
type consumerPerf struct {
	*run
	date           func(time.Time) string
	begun          time.Time
	join           joining
	records, bytes int64
}

// read reads until there are enough records or none comes, and prints what came of it.
func (p *consumerPerf) read(cl *kgo.Client) error {
	wanted := p.number("num-records")
	if p.has("messages") {
		wanted = p.number("messages")
	}
	timeout := time.Duration(p.number("timeout")) * time.Millisecond
	every := time.Duration(p.number("reporting-interval")) * time.Millisecond
	now, report, last := p.begun, p.begun, time.Now()
	var records, bytes int64 // at the last report
	for p.records < wanted && now.Sub(last) <= timeout && p.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(p.ctx, 100*time.Millisecond)
		fetches := cl.PollFetches(ctx)
		cancel()
		now = time.Now()
		var fail error
		fetches.EachError(func(_ string, _ int32, err error) {
			if fatal(err) {
				fail = err
			}
		})
		if fail != nil {
			return fail
		}
		for it := fetches.RecordIter(); !it.Done(); {
			rec := it.Next()
			p.records++
			p.bytes += int64(len(rec.Key) + len(rec.Value))
			last = now
		}
		if now.Sub(report) >= every {
			round := p.join.round()
			if p.has("show-detailed-stats") {
				p.printProgress(now, now.Sub(report).Milliseconds(), round, p.records-records, p.bytes-bytes)
				if err := p.out.Flush(); err != nil {
					return err
				}
			}
			report, records, bytes = now, p.records, p.bytes
		}
	}
	if p.records < wanted {
		p.printf("WARNING: Exiting before consuming the expected number of records: timeout (%d ms) exceeded. You can use the --timeout option to increase the timeout.\n", timeout.Milliseconds())
	}
	end := time.Now()
	if !p.has("show-detailed-stats") {
		elapsed := end.Sub(p.begun)
		joined := p.join.all()
		fetch := elapsed.Milliseconds() - joined
		mb := float64(p.bytes) / (1 << 20)
		p.printf("%s, %s, %.4f, %s, %d, %s, %d, %d, %s, %s\n", p.date(p.begun), p.date(end), mb, javaRate(mb, elapsed.Seconds()), p.records, javaRate(float64(p.records), elapsed.Seconds()),
			joined, fetch, javaRate(mb, float64(fetch)/1000), javaRate(float64(p.records), float64(fetch)/1000))
	}
	if p.has("print-metrics") {
		s := max(1e-3, end.Sub(p.begun).Seconds())
		p.printMetrics("consumer-fetch-manager-metrics", "perf-consumer-client", map[string]float64{
			"records-consumed-total": float64(p.records), "records-consumed-rate": float64(p.records) / s, "bytes-consumed-total": float64(p.bytes), "bytes-consumed-rate": float64(p.bytes) / s,
		})
	}
	return nil
}

// javaRate is a number divided by another with four digits, as Java writes it where the other is 0.
func javaRate(n, by float64) string {
	f := n / by
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 0):
		return strings.Trim("-Infinity", map[bool]string{true: "-"}[f > 0])
	}
	return fmt.Sprintf("%.4f", f)
}

// printProgress prints a line of --show-detailed-stats.
func (p *consumerPerf) printProgress(now time.Time, elapsed, round, records, bytes int64) {
	fetch := elapsed - round
	mb := float64(bytes) / (1 << 20)
	perSecond := func(n float64) float64 {
		if fetch <= 0 {
			return 0
		}
		return 1000 * n / float64(fetch)
	}
	p.printf("%s, %d, %.4f, %.4f, %d, %.4f, %d, %d, %.4f, %.4f\n", p.date(now), 0, float64(p.bytes)/(1<<20), 1000*mb/float64(elapsed), p.records, 1000*float64(records)/float64(elapsed),
		round, fetch, perSecond(mb), perSecond(float64(records)))
}

// joining measures how long a member waits for partitions.
type joining struct {
	mu       sync.Mutex // guards what follows
	begun    time.Time
	have     int
	sum, now int64 // milliseconds in all, and since the last report
}

// assigned is for partitions that the member gets.
func (j *joining) assigned(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.have == 0 {
		ms := time.Since(j.begun).Milliseconds()
		j.sum, j.now = j.sum+ms, j.now+ms
	}
	for _, p := range parts {
		j.have += len(p)
	}
}

// revoked is for partitions that the member gives away.
func (j *joining) revoked(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range parts {
		j.have -= len(p)
	}
	if j.have <= 0 {
		j.have, j.begun = 0, time.Now()
	}
}

// all is how long the member has waited.
func (j *joining) all() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sum
}

// round is how long the member has waited since round was asked last.
func (j *joining) round() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	ms := j.now
	j.now = 0
	return ms
}

// javaDate makes the function that writes times in a form of Java's SimpleDateFormat.
func javaDate(form string) func(time.Time) string {
	words := map[string]string{
		"yyyy": "2006", "yy": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1", "dd": "02", "d": "2", "HH": "15", "hh": "03", "h": "3",
		"mm": "04", "m": "4", "ss": "05", "s": "5", "a": "PM", "EEEE": "Monday", "EEE": "Mon", "Z": "-0700", "z": "MST", "XXX": "Z07:00", "X": "Z07",
	}
	return func(t time.Time) string {
		var b strings.Builder
		for i := 0; i < len(form); {
			n := 1
			for i+n < len(form) && form[i+n] == form[i] {
				n++
			}
			run := form[i : i+n]
			switch {
			case form[i] == '\'':
				end := strings.IndexByte(form[i+1:], '\'')
				if end < 0 {
					end = len(form) - i - 1
				}
				b.WriteString(form[i+1 : i+1+end])
				n = min(end+2, len(form)-i)
			case form[i] == 'S':
				fmt.Fprintf(&b, "%0*d", n, t.Nanosecond()/1e6)
			case words[run] != "":
				b.WriteString(t.Format(words[run]))
			default:
				b.WriteString(run)
			}
			i += n
		}
		return b.String()
	}
}
