package records

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// Produce writes records from standard input or files.
func Produce(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "produce [TOPIC]", Short: "Write records from standard input or files, a line each", Args: atMostOne("TOPIC"),
		Example: `  echo hello | klamm produce orders
  seq 1000 | klamm produce orders
  printf 'a\t1\nb\t2\n' | klamm produce orders -f '%k\t%v\n'
  klamm produce orders -k customer-7 -H source=shop < events.txt
  klamm consume orders -o start:end -f json | klamm produce copy -f json
  klamm produce orders -f json --file a.jsonl --file b.jsonl --dry-run`,
		Long: "Write records from standard input or files. -f is json (an object a line: topic, partition, timestamp, key, value,\n" +
			"headers, as consume -f json prints them), or tells the form of the text: %k key, %v value, %t topic, %p partition,\n" +
			"%h headers, %d timestamp (ms), %K %V %H lengths, \\t \\n and other text as it stands; franz-go's record format, as\n" +
			"rpk has it. With TOPIC all goes to it, whatever the input says; without, the input names it (%t, or topic in JSON).",
	}
	f := c.Flags()
	p := producing{app: a}
	f.StringVarP(&p.layout, "format", "f", `%v\n`, `form of the input, or json (default "%v\n")`)
	f.Lookup("format").DefValue = "" // the library would print it with its backslash doubled
	_ = c.RegisterFlagCompletionFunc("format", app.CompleteValues("json", `%v\n`, `%k\t%v\n`))
	f.StringArrayVar(&p.files, "file", nil, "read this file and not standard input, - for that; may be given again")
	f.StringVarP(&p.key, "key", "k", "", "key of every record")
	f.Int32VarP(&p.partition, "partition", "p", -1, "partition of every record (default: what the input says, by key, or spread)")
	f.BoolVar(&p.repartition, "repartition", false, "leave the partitions of the input out: by key, or spread")
	f.StringArrayVarP(&p.headers, "header", "H", nil, "key=value of a header of every record; may be given again")
	f.StringVar(&p.timestamp, "timestamp", "", "timestamp of every record: milliseconds, 2026-01-31T15:04:05Z, now (default: what the input says, or now)")
	f.BoolVar(&p.tombstone, "tombstone", false, "an empty value is null, which deletes the key in a compacted topic")
	f.StringVar(&p.rate, "rate", "", "at most so many records a second: 100, 100/s")
	client := producerFlags(c)
	dry := app.DryRunFlag(c)
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		p.keyed = f.Changed("key")
		if len(args) > 0 {
			p.topic = args[0]
		}
		if err := p.check(c); err != nil {
			return err
		}
		opts, err := client.options(c)
		if err != nil {
			return err
		}
		if *dry {
			return p.dryRun(c, client)
		}
		return p.run(c, opts)
	}
	return c
}

// atMostOne allows one argument.
func atMostOne(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return app.Usage(c, "%q is one argument too many; %s is one", args[1], name)
		}
		return nil
	}
}

// ProducerFlags are the flags that a producer's client takes.
type ProducerFlags struct {
	codec, acks, partitioner, batch string
	noIdempotence                   bool
	linger                          *time.Duration
}

// producerFlags gives a command the flags of a producer's client.
func producerFlags(c *cobra.Command) *ProducerFlags {
	p := &ProducerFlags{}
	f := c.Flags()
	f.StringVarP(&p.codec, "compression", "z", "", "none, gzip, snappy, lz4 or zstd (default snappy)")
	f.StringVar(&p.acks, "acks", "all", "who must have a record before it counts as written: all, 1 or 0")
	f.BoolVar(&p.noIdempotence, "no-idempotence", false, "a record that is sent again after a failure may be there twice")
	f.StringVar(&p.partitioner, "partitioner", "murmur2", "where keys go: murmur2 as Java and most clients, crc32 as librdkafka, fnv1a as Sarama, or round-robin")
	f.StringVar(&p.batch, "batch-size", "", "greatest size of a batch before compression (default 1MiB)")
	p.linger = app.DurationFlag(c, "linger", 10*time.Millisecond, "how long a batch waits for more")
	_ = c.RegisterFlagCompletionFunc("compression", app.CompleteValues("none", "gzip", "snappy", "lz4", "zstd"))
	_ = c.RegisterFlagCompletionFunc("acks", app.CompleteValues("all", "1", "0"))
	_ = c.RegisterFlagCompletionFunc("partitioner", app.CompleteValues("murmur2", "crc32", "fnv1a", "round-robin"))
	return p
}

// options are the client's.
func (p *ProducerFlags) options(c *cobra.Command) ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.ProducerLinger(*p.linger)}
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	if p.codec != "" {
		k, ok := codecs[p.codec]
		if !ok {
			return nil, app.Usage(c, "-z %s: the codecs are none, gzip, snappy, lz4 and zstd", p.codec)
		}
		opts = append(opts, kgo.ProducerBatchCompression(k))
	}
	switch p.acks {
	case "all", "-1":
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	default:
		return nil, app.Usage(c, "--acks %s: allowed are all, 1 and 0", p.acks)
	}
	if p.noIdempotence || p.acks == "1" || p.acks == "0" {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	if p.batch != "" {
		n, err := app.ParseSize(p.batch)
		if err != nil || n < 1<<10 || n > 1<<30 {
			return nil, app.Usage(c, "--batch-size %s: a size from 1KiB to 1GiB", p.batch)
		}
		opts = append(opts, kgo.ProducerBatchMaxBytes(int32(n)))
	}
	part, err := p.newPartitioner(c)
	return append(opts, kgo.RecordPartitioner(fixedPartitioner{part})), err
}

// newPartitioner is what chooses the partition of records that name none.
func (p *ProducerFlags) newPartitioner(c *cobra.Command) (kgo.Partitioner, error) {
	keyed := func(hash func([]byte) uint32) kgo.Partitioner {
		return kgo.UniformBytesPartitioner(64<<10, true, true, func(key []byte, n int) int { return int(hash(key) % uint32(n)) })
	}
	switch p.partitioner {
	case "murmur2":
		return kgo.UniformBytesPartitioner(64<<10, true, true, nil), nil
	case "crc32":
		return keyed(crc32.ChecksumIEEE), nil
	case "fnv1a":
		return kgo.UniformBytesPartitioner(64<<10, true, true, kgo.SaramaCompatHasher(func(key []byte) uint32 {
			h := fnv.New32a()
			_, _ = h.Write(key)
			return h.Sum32()
		})), nil
	case "round-robin":
		return kgo.RoundRobinPartitioner(), nil
	}
	return nil, app.Usage(c, "--partitioner %s: there are murmur2, crc32, fnv1a and round-robin", p.partitioner)
}

// chosen is the partition of a record whose partition is the partitioner's choice.
const chosen = int32(-1)

// FixedPartitioner leaves records in the partition that they name, and spreads those that name none (below zero):
// by their key as Java does, or evenly.
func FixedPartitioner() kgo.Opt {
	return kgo.RecordPartitioner(fixedPartitioner{kgo.UniformBytesPartitioner(64<<10, true, true, nil)})
}

// fixedPartitioner leaves a record in the partition that it names, and lets another partitioner choose for those
// that are in none (chosen).
type fixedPartitioner struct{ free kgo.Partitioner }

// ForTopic is kgo.Partitioner.
func (f fixedPartitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return fixedTopicPartitioner{f.free.ForTopic(topic)}
}

// fixedTopicPartitioner is fixedPartitioner for one topic.
type fixedTopicPartitioner struct{ free kgo.TopicPartitioner }

// RequiresConsistency is kgo.TopicPartitioner: a record that names its partition goes there or nowhere.
func (f fixedTopicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || f.free.RequiresConsistency(r)
}

// Partition is kgo.TopicPartitioner.
func (f fixedTopicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return f.free.Partition(r, n)
}

// PartitionByBackup is kgo.TopicBackupPartitioner.
func (f fixedTopicPartitioner) PartitionByBackup(r *kgo.Record, n int, backup kgo.TopicBackupIter) int {
	if free, ok := f.free.(kgo.TopicBackupPartitioner); ok && r.Partition < 0 {
		return free.PartitionByBackup(r, n, backup)
	}
	return f.Partition(r, n)
}

// OnNewBatch is kgo.TopicPartitionerOnNewBatch.
func (f fixedTopicPartitioner) OnNewBatch() {
	if free, ok := f.free.(kgo.TopicPartitionerOnNewBatch); ok {
		free.OnNewBatch()
	}
}

// producing is one run of produce.
type producing struct {
	app         *app.App
	topic       string
	layout      string
	files       []string
	key         string
	keyed       bool
	partition   int32
	repartition bool
	headers     []string
	timestamp   string
	tombstone   bool
	rate        string

	base   kgo.Record
	time   time.Time // of every record; zero for none
	perSec float64   // 0 for no limit
	client *kgo.Client
	read   int64
}

// check reads the flags.
func (p *producing) check(c *cobra.Command) error {
	if p.partition < -1 {
		return app.Usage(c, "-p %d: must not be below 0", p.partition)
	}
	if p.topic == "" && p.layout != "json" && !strings.Contains(strings.ReplaceAll(p.layout, "%%", ""), "%t") {
		return app.Usage(c, "TOPIC is missing")
	}
	if p.keyed {
		p.base.Key = []byte(p.key)
	}
	for _, h := range p.headers {
		k, v, ok := strings.Cut(h, "=")
		if !ok || k == "" {
			return app.Usage(c, "-H %s: not of the form key=value", h)
		}
		p.base.Headers = append(p.base.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	if p.timestamp != "" {
		t, err := app.ParseTime(p.timestamp, p.app.Time())
		if err != nil {
			return app.Usage(c, "--timestamp %s: %s", p.timestamp, err)
		}
		p.time = t
	}
	var err error
	if p.perSec, err = ParseRate(p.rate); err != nil {
		return app.Usage(c, "--rate %s: %s", p.rate, err)
	}
	if _, err := NewSource(strings.NewReader(""), p.layout); err != nil {
		return app.Usage(c, "-f %s: %s", p.layout, err)
	}
	for _, f := range p.files {
		if _, err := os.Stat(f); f != "-" && errors.Is(err, fs.ErrNotExist) {
			return app.NotFound("file", f, "")
		}
	}
	return nil
}

// ParseRate reads records a second: 100, 100/s, 0.5; "" is 0, no limit.
func ParseRate(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
	if err != nil || !(n > 0) || math.IsInf(n, 0) {
		return 0, errors.New("a number of records a second above 0, such as 100")
	}
	return n, nil
}

// Pace waits until record number n of a run that began then is due at perSec records a second, and says whether
// ctx went on that long. A rate of 0 waits for nothing.
func Pace(ctx context.Context, began time.Time, n int64, perSec float64) bool {
	if perSec == 0 {
		return true
	}
	due := began.Add(time.Duration(float64(n) / perSec * float64(time.Second)))
	if d := time.Until(due); d > time.Millisecond {
		return app.Sleep(ctx, d)
	}
	return true
}

// prepare makes of what was read what is to be written.
func (p *producing) prepare(in *JSONRecord) (*kgo.Record, error) {
	r := &in.Record
	switch {
	case p.topic != "":
		r.Topic = p.topic
	case r.Topic == "":
		return nil, fmt.Errorf("record %d names no topic, and the command line does not either", p.read)
	}
	switch {
	case p.partition >= 0:
		r.Partition = p.partition
	case p.repartition || !in.HasPartition:
		r.Partition = chosen
	}
	if p.keyed {
		r.Key = p.base.Key
	}
	if p.tombstone && len(r.Value) == 0 {
		r.Value = nil
	}
	if !p.time.IsZero() {
		r.Timestamp = p.time
	}
	r.Headers = append(r.Headers, p.base.Headers...)
	return r, nil
}

// item is a record on its way from the reader, or what ended it.
type item struct {
	r   *JSONRecord
	err error
}

// items reads all files on a goroutine of its own.
func (p *producing) items(stop <-chan struct{}) <-chan item {
	items := make(chan item, 1024)
	// A read of a terminal cannot be interrupted: this goroutine alone may outlive the command, until the process ends.
	go func() {
		defer close(items)
		files := p.files
		if len(files) == 0 {
			files = []string{"-"}
		}
		for _, name := range files {
			if !p.readFile(name, items, stop) {
				return
			}
		}
	}()
	return items
}

// readFile reads one file, and says whether to go on with the next.
func (p *producing) readFile(name string, items chan<- item, stop <-chan struct{}) bool {
	send := func(i item) bool {
		select {
		case items <- i:
			return i.err == nil
		case <-stop:
			return false
		}
	}
	r, where := p.app.In, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return send(item{err: err})
		}
		defer func() { _ = f.Close() }()
		r, where = f, name
	}
	src, err := NewSource(r, p.layout)
	if err != nil {
		return send(item{err: err})
	}
	for {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return true
		}
		if err != nil {
			return send(item{err: fmt.Errorf("%s, %w", where, err)})
		}
		if !send(item{r: rec}) {
			return false
		}
	}
}

// run writes all input.
func (p *producing) run(c *cobra.Command, opts []kgo.Opt) error {
	a, ctx := p.app, c.Context()
	cl, err := a.Client(ctx, c, append(append(opts, WriterOptions()...), kgo.AllowAutoTopicCreation())...)
	if err != nil {
		return err
	}
	defer cl.Close()
	p.client = cl
	p.announce(ctx)
	if app.IsTerminal(a.In) && len(p.files) == 0 {
		a.Say("type records, a line each; Ctrl-D ends")
	}
	bar := a.Progress("written", 0)
	began := time.Now()
	w := NewWriter(ctx, a, cl, bar)
	in := p.write(ctx, w, began)
	w.Close()
	bar.Done()
	to := cmp.Or(p.topic, "the topics that the input names")
	if f := w.Failure(to); f != nil {
		return f
	}
	records, bytes := w.Written()
	a.Say("%s", written(records, bytes, "written to "+to, time.Since(began)))
	if in != nil {
		f := app.Input(in, "the input cannot be read in the form %s; what stood before was written", p.layout)
		f.Try = "klamm produce --help"
		return f
	}
	return nil
}

// announce says that a topic is not there, as a broker may make one of any name that is misspelt.
func (p *producing) announce(ctx context.Context) {
	if p.topic == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.app.Timeout())
	defer cancel()
	adm := p.app.AdminOf(p.client)
	found, err := adm.ListTopicsWithInternal(ctx, p.topic)
	if err == nil && errors.Is(found[p.topic].Err, kerr.UnknownTopicOrPartition) {
		more := ""
		if f := p.app.MissingTopic(ctx, adm, p.topic); strings.HasPrefix(f.Try, "did you mean") {
			more, _, _ = strings.Cut("; "+f.Try, "?")
			more += "?"
		}
		p.app.Say("there is no topic %s yet: the broker makes it where it is set to%s", p.topic, more)
	}
}

// write reads until the input ends, an error or ctx's end, and returns when all that was read is written. It
// returns the error of the input.
func (p *producing) write(ctx context.Context, w *Writer, began time.Time) error {
	stop := make(chan struct{})
	items := p.items(stop)
	var in error
	interrupted := false
	for in == nil && w.Err() == nil && !interrupted {
		select {
		case it, ok := <-items:
			if !ok {
				close(stop)
				w.Flush()
				return nil
			}
			in = p.one(ctx, w, it, began)
		case <-ctx.Done():
			interrupted = true
		}
	}
	// What was read is written, also after Ctrl-C.
	close(stop)
	for interrupted && in == nil && w.Err() == nil {
		select {
		case it, ok := <-items:
			if !ok {
				interrupted = false
				break
			}
			in = p.one(ctx, w, it, began)
		default:
			interrupted = false
		}
	}
	w.Flush()
	return in
}

// one writes one record of the input, or returns why the input ended.
func (p *producing) one(ctx context.Context, w *Writer, it item, began time.Time) error {
	if it.err != nil {
		return it.err
	}
	p.read++
	r, err := p.prepare(it.r)
	if err != nil {
		return err
	}
	Pace(ctx, began, p.read-1, p.perSec)
	w.Write(r, nil)
	return nil
}

// written says how much it was, and how fast where that means something.
func written(records, bytes int64, deed string, took time.Duration) string {
	s := fmt.Sprintf("%s (%s) %s", app.CountText(records, "record"), app.BytesText(bytes), deed)
	if records >= 1000 && took > 0 {
		s += fmt.Sprintf(" in %s, %.0f records/s", took.Round(time.Millisecond), float64(records)/took.Seconds())
	}
	return s
}

// dryRun reads all input, and says what would be written and where.
func (p *producing) dryRun(c *cobra.Command, flags *ProducerFlags) error {
	a := p.app
	free, err := flags.newPartitioner(c)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	type tally struct {
		records, bytes, spread int64
		partitions             map[int32]int64
		size                   int
		by                     fixedTopicPartitioner
	}
	topics := map[string]*tally{}
	cl, err := a.Client(c.Context(), c)
	if err != nil {
		return err
	}
	defer cl.Close()
	for it := range p.items(stop) {
		if c.Context().Err() != nil {
			return app.Explain(c.Context().Err())
		}
		p.read++
		in := it.err
		var r *kgo.Record
		if in == nil {
			r, in = p.prepare(it.r)
		}
		if in != nil {
			f := app.Input(in, "the input cannot be read in the form %s", p.layout)
			f.Try = "klamm produce --help"
			return f
		}
		t := topics[r.Topic]
		if t == nil {
			t = &tally{partitions: map[int32]int64{}, by: fixedTopicPartitioner{free.ForTopic(r.Topic)}}
			ctx, cancel := context.WithTimeout(c.Context(), a.Timeout())
			found, err := a.AdminOf(cl).ListTopicsWithInternal(ctx, r.Topic)
			cancel()
			if err != nil {
				return app.Failed(err, "topic %s could not be looked up", r.Topic)
			}
			t.size = len(found[r.Topic].Partitions)
			topics[r.Topic] = t
		}
		t.records++
		t.bytes += int64(len(r.Key) + len(r.Value))
		switch {
		case r.Partition >= 0 && t.size > 0 && int(r.Partition) >= t.size:
			return app.NotFound("partition", fmt.Sprintf("%d of topic %s (record %d); --repartition leaves the partitions of the input out", r.Partition, r.Topic, p.read), "klamm topic describe "+r.Topic)
		case r.Partition >= 0:
			t.partitions[r.Partition]++
		case r.Key != nil && t.size > 0 && flags.partitioner != "round-robin":
			t.partitions[int32(t.by.PartitionByBackup(r, t.size, nil))]++
		default:
			t.spread++
		}
	}
	names := make([]string, 0, len(topics))
	for n := range topics {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		t := topics[n]
		s := fmt.Sprintf("would write %s (%s) to %s", app.CountText(t.records, "record"), app.BytesText(t.bytes), n)
		if t.size == 0 {
			s += ", which is not there yet"
		}
		var parts []string
		for i := range int32(max(t.size, 1<<10)) {
			if t.partitions[i] > 0 {
				parts = append(parts, fmt.Sprintf("%d: %d", i, t.partitions[i]))
			}
		}
		if t.spread > 0 {
			parts = append(parts, fmt.Sprintf("spread: %d", t.spread))
		}
		a.Say("%s (%s)", s, strings.Join(parts, ", "))
	}
	if len(names) == 0 {
		a.Say("would write 0 records")
	}
	return nil
}
