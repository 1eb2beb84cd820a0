package records

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Produce writes records from standard input.
func Produce(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "produce TOPIC", Short: "Write records from standard input, a line each", Args: app.Exactly("TOPIC"),
		Example: `  echo hello | klamm produce orders
  seq 1000 | klamm produce orders
  printf 'a\t1\nb\t2\n' | klamm produce orders -f '%k\t%v\n'
  klamm produce orders -k customer-7 -H source=shop < events.txt`,
		Long: "Write records from standard input. -f tells their form: %k key, %v value, %t topic, %p partition,\n%h headers, %d timestamp, %K %V %H lengths, \\t \\n and other text as it stands.",
	}
	f := c.Flags()
	layout := f.StringP("format", "f", `%v\n`, `form of the input (default "%v\n")`)
	key := f.StringP("key", "k", "", "key of every record")
	partition := f.Int32P("partition", "p", -1, "partition of every record (default: by key, or spread)")
	headers := f.StringArrayP("header", "H", nil, "key=value of a header of every record; may be given again")
	codec := f.StringP("compression", "z", "", "none, gzip, snappy, lz4 or zstd (default snappy)")
	acks := f.String("acks", "all", "who must have a record before it counts as written: all, 1 or 0")
	f.Lookup("format").DefValue = "" // the library would print it with its backslash doubled
	c.RunE = func(c *cobra.Command, args []string) error {
		opts, err := producerOptions(c, *codec, *acks)
		if err != nil {
			return err
		}
		reader, err := kgo.NewRecordReader(&finalNewline{r: a.In, add: strings.HasSuffix(*layout, `\n`)}, *layout)
		if err != nil {
			return app.Usage(c, "-f %s: %s", *layout, err)
		}
		base := kgo.Record{Topic: args[0], Partition: max(*partition, 0)}
		if f.Changed("key") {
			base.Key = []byte(*key)
		}
		for _, h := range *headers {
			k, v, ok := strings.Cut(h, "=")
			if !ok || k == "" {
				return app.Usage(c, "-H %s: not of the form key=value", h)
			}
			base.Headers = append(base.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
		chosen := strings.Contains(strings.ReplaceAll(*layout, "%%", ""), "%p")
		if *partition >= 0 || chosen {
			opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		}
		ctx := c.Context()
		cl, err := a.Client(ctx, c, append(opts, kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(a.Timeout()))...)
		if err != nil {
			return err
		}
		defer cl.Close()
		if app.IsTerminal(a.In) {
			a.Say("type records, a line each; Ctrl-D ends")
		}
		p := producing{cl: cl, began: time.Now()}
		in := p.run(ctx, reader, base, chosen)
		if p.err != nil {
			return app.Failed(p.err, "record %d was not written to %s; %s before it were", p.failedAt, args[0], app.CountText(int(p.done), "record"))
		}
		a.Say("%s", p.summary(args[0]))
		if in != nil {
			return &app.Failure{Exit: app.ExitFailed, Code: app.CodeInput, What: fmt.Sprintf("input record %d cannot be read in the form %s", p.read+1, *layout), Why: in.Error(), Try: "klamm produce --help"}
		}
		return nil
	}
	return c
}

// producerOptions reads the flags that the client library takes as they are.
func producerOptions(c *cobra.Command, codec, acks string) ([]kgo.Opt, error) {
	var opts []kgo.Opt
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	if codec != "" {
		k, ok := codecs[codec]
		if !ok {
			return nil, app.Usage(c, "-z %s: the codecs are none, gzip, snappy, lz4 and zstd", codec)
		}
		opts = append(opts, kgo.ProducerBatchCompression(k))
	}
	switch acks {
	case "all", "-1":
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, app.Usage(c, "--acks %s: allowed are all, 1 and 0", acks)
	}
	return opts, nil
}

// producing is one run of produce.
type producing struct {
	cl    *kgo.Client
	began time.Time
	read  int64 // records read, by the goroutine that reads

	mu       sync.Mutex // guards what follows
	done     int64      // records written
	bytes    int64      // of their keys and values
	failedAt int64      // number of the first record that was not, from 1 on
	err      error      // why
}

// run reads until the input ends, an error or ctx's end, and returns when all that was read is written. It
// returns the error of the input.
func (p *producing) run(ctx context.Context, reader *kgo.RecordReader, base kgo.Record, chosen bool) error {
	type item struct {
		r   *kgo.Record
		err error
	}
	items := make(chan item, 1024)
	stop := make(chan struct{})
	// A read of a terminal cannot be interrupted: this goroutine alone may outlive the command, until the process ends.
	go func() {
		defer close(items)
		for {
			r, err := reader.ReadRecord()
			select {
			case items <- item{r, err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	defer close(stop)
	// What was read is written, also after Ctrl-C; --timeout bounds each record.
	ctx, interrupted := context.WithoutCancel(ctx), ctx.Done()
	var in error
loop:
	for p.broken() == nil {
		select {
		case <-interrupted:
			break loop
		case it, ok := <-items:
			if !ok {
				break loop
			}
			if it.err != nil {
				if !errors.Is(it.err, io.EOF) || errors.Is(it.err, io.ErrUnexpectedEOF) {
					in = it.err
				}
				break loop
			}
			p.produce(ctx, it.r, base, chosen)
		}
	}
	_ = p.cl.Flush(ctx)
	return in
}

// produce hands one record over.
func (p *producing) produce(ctx context.Context, r *kgo.Record, base kgo.Record, chosen bool) {
	p.read++
	n := p.read
	if r.Topic == "" {
		r.Topic = base.Topic
	}
	if !chosen {
		r.Partition = base.Partition
	}
	if base.Key != nil {
		r.Key = base.Key
	}
	r.Headers = append(r.Headers, base.Headers...)
	size := int64(len(r.Key) + len(r.Value))
	p.cl.Produce(ctx, r, func(_ *kgo.Record, err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case err == nil:
			p.done++
			p.bytes += size
		case p.err == nil || n < p.failedAt:
			p.err, p.failedAt = err, n
		}
	})
}

// broken is the error of the first record that was not written.
func (p *producing) broken() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// summary says how much was written, and how fast where that means something.
func (p *producing) summary(topic string) string {
	took := time.Since(p.began)
	s := fmt.Sprintf("%s (%s) written to %s", app.CountText(int(p.done), "record"), app.BytesText(p.bytes), topic)
	if p.done >= 1000 && took > 0 {
		s += fmt.Sprintf(" in %s, %.0f records/s", took.Round(time.Millisecond), float64(p.done)/took.Seconds())
	}
	return s
}

// finalNewline adds a newline to an input that does not end in one, when add is set.
type finalNewline struct {
	r    io.Reader
	add  bool
	last byte
	seen bool
	done bool
}

// Read is io.Reader.
func (f *finalNewline) Read(p []byte) (int, error) {
	if f.done {
		return 0, io.EOF
	}
	n, err := f.r.Read(p)
	if n > 0 {
		f.last, f.seen = p[n-1], true
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		f.done = true
		if f.add && f.seen && f.last != '\n' && len(p) > 0 {
			p[0] = '\n'
			return 1, nil
		}
	}
	return n, err
}
