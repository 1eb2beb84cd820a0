// Package benchcmd is klamm bench: how fast a cluster takes and gives records, and how long each of them is on its way.
package benchcmd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// Noun is the noun of measurements.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("bench", "", "Measure how fast a cluster is", "  klamm bench produce\n  klamm bench consume\n  klamm bench latency --rate 1000", produce(a), consume(a), endToEnd(a))
}

// load is what a measurement sends or reads; its fields are flags.
type load struct {
	size       string
	bytes      int // of size
	count      int64
	duration   *time.Duration
	producers  int
	acks       string
	codec      string
	keys       int
	partitions int32
	replicas   int16
	rate       float64
	linger     *time.Duration
	dry        *bool
	form       *app.Form
	topic      string // that is used; made here when own is set
	own        bool
}

// The bounds of the flags, so that a slip does not fill memory.
const (
	mostBytes   = 64 << 20
	mostClients = 1000
	mostKeys    = 10_000_000
)

// common gives a command the flags that all have.
func (l *load) common(c *cobra.Command, bytes string) {
	l.form = app.OutputFlag(c)
	l.dry = app.DryRunFlag(c)
	f := c.Flags()
	f.StringVar(&l.size, "size", bytes, "bytes of a value (100, 1kB, 1MiB)")
	f.Int32VarP(&l.partitions, "partitions", "p", 6, "partitions of the topic that is made")
	f.Int16VarP(&l.replicas, "replicas", "r", -1, "copies of each partition of the topic that is made (default: the broker's)")
	f.Lookup("replicas").DefValue = ""
}

// sending gives a command the flags of those that produce.
func (l *load) sending(c *cobra.Command, rate float64) {
	f := c.Flags()
	f.IntVar(&l.producers, "producers", 1, "clients that produce at once")
	f.StringVar(&l.acks, "acks", "all", "who must have a record: all, 1 or 0")
	f.StringVarP(&l.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	f.IntVar(&l.keys, "keys", 0, "how many different keys; 0 for records without a key")
	f.Float64Var(&l.rate, "rate", rate, "records a second, of all producers together; 0 for as many as go")
	l.linger = app.DurationFlag(c, "linger", 0, "how long a producer waits for more records in a batch")
	_ = c.RegisterFlagCompletionFunc("acks", app.CompleteValues("all", "1", "0"))
	_ = c.RegisterFlagCompletionFunc("compression", app.CompleteValues("none", "gzip", "snappy", "lz4", "zstd"))
}

// check refuses flags that make no sense, and reads those that are sizes. least is the smallest value there may be.
func (l *load) check(c *cobra.Command, args []string, least int) error {
	n, err := app.ParseSize(l.size)
	switch {
	case err != nil:
		return app.Usage(c, "--size: %s", err)
	case n < int64(least) || n > mostBytes:
		return app.Usage(c, "--size %s: allowed are %d to %d bytes", l.size, least, mostBytes)
	case l.count < 0:
		return app.Usage(c, "-n %d: must be 1 or more", l.count)
	case l.duration != nil && *l.duration < 0 || l.rate < 0 || l.rate > 1e9:
		return app.Usage(c, "--rate must be from 0 to 1000000000")
	case l.producers < 0 || l.producers > mostClients || c.Flags().Changed("producers") && l.producers == 0:
		return app.Usage(c, "--producers %d: allowed are 1 to %d", l.producers, mostClients)
	case l.keys < 0 || l.keys > mostKeys:
		return app.Usage(c, "--keys %d: allowed are 0 to %d", l.keys, mostKeys)
	case l.partitions < 1 || l.replicas < 1 && c.Flags().Changed("replicas"):
		return app.Usage(c, "a topic has at least one partition and one copy of each")
	case l.acks != "" && l.acks != "all" && l.acks != "1" && l.acks != "0":
		return app.Usage(c, "--acks %s: allowed are all, 1 and 0", l.acks)
	case len(args) > 1:
		return app.Usage(c, "%q is one argument too many", args[1])
	}
	if l.codec != "" {
		if _, err := app.Codec(l.codec); err != nil {
			return app.Usage(c, "--compression: %s", err)
		}
	}
	l.bytes, l.own = int(n), len(args) == 0
	if !l.own {
		l.topic = args[0]
		if c.Flags().Changed("partitions") || c.Flags().Changed("replicas") {
			return app.Usage(c, "-p and -r are for the topic that is made when none is named")
		}
		return nil
	}
	var id [4]byte
	_, _ = rand.Read(id[:])
	l.topic = "klamm-bench-" + hex.EncodeToString(id[:])
	return nil
}

// options are those of a producer.
func (l *load) options() []kgo.Opt {
	opts := []kgo.Opt{kgo.DefaultProduceTopic(l.topic), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(10_000), kgo.ProducerBatchMaxBytes(int32(max(1_000_000, l.bytes+10_000)))}
	if l.linger != nil && *l.linger > 0 {
		opts = append(opts, kgo.ProducerLinger(*l.linger))
	}
	if l.codec != "" {
		codec, err := app.Codec(l.codec)
		if err == nil { // as check has seen
			opts = append(opts, kgo.ProducerBatchCompression(codec))
		}
	}
	switch l.acks {
	case "1":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	}
	return opts
}

// topicOf makes the topic, or looks the one up that was named. end deletes what was made, also after Ctrl-C.
func (l *load) topicOf(ctx context.Context, a *app.App, adm *kadm.Client) (partitions int, end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout())
	defer cancel()
	if !l.own {
		topics, err := adm.ListTopics(ctx, l.topic)
		if err != nil {
			return 0, nil, app.Failed(err, "topic %s could not be looked up", l.topic)
		}
		t, ok := topics[l.topic]
		if !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
			return 0, nil, a.MissingTopic(ctx, adm, l.topic)
		}
		if t.Err != nil {
			return 0, nil, app.Failed(t.Err, "topic %s could not be looked up", l.topic)
		}
		return len(t.Partitions), func() {}, nil
	}
	largest := fmt.Sprint(l.bytes + 100_000)
	configs := map[string]*string{}
	if l.bytes > 900_000 {
		configs["max.message.bytes"] = &largest
	}
	if _, err := adm.CreateTopic(ctx, l.partitions, l.replicas, configs, l.topic); err != nil {
		return 0, nil, app.Failed(err, "topic %s could not be created", l.topic)
	}
	return int(l.partitions), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if _, err := adm.DeleteTopic(ctx, l.topic); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			a.Say("topic %s could not be deleted: %s; klamm topic delete %s -y", l.topic, app.Explain(err).Error(), l.topic)
		}
	}, nil
}

// result is what was measured.
type result struct {
	Bench       string   `json:"bench"` // produce, consume or latency
	Topic       string   `json:"topic"`
	Partitions  int      `json:"partitions"`
	Clients     int      `json:"clients"`
	RecordBytes int      `json:"record_bytes"` // of each value; of a topic that was named what they were on average
	Acks        string   `json:"acks,omitempty"`
	Compression string   `json:"compression,omitempty"`
	Rate        float64  `json:"rate,omitempty"` // that was asked for
	Records     int64    `json:"records"`
	Bytes       int64    `json:"bytes"` // of keys and values
	Errors      int64    `json:"errors"`
	FirstError  string   `json:"first_error,omitempty"`
	Lost        int64    `json:"lost"` // that were acknowledged and not read within the patience of this command
	Seconds     float64  `json:"seconds"`
	PerSecond   float64  `json:"records_per_second"`
	MBPerSecond float64  `json:"megabytes_per_second"` // millions of bytes
	Latency     *latency `json:"latency"`              // from sending to acknowledgement; null where nothing is sent
	EndToEnd    *latency `json:"end_to_end_latency"`   // from sending to reading; null where not both are done
}

// finish fills in what follows from the sums.
func (r *result) finish(took time.Duration) {
	r.Seconds = float64(took.Microseconds()) / 1e6
	if r.Seconds > 0 {
		r.PerSecond = float64(r.Records) / r.Seconds
		r.MBPerSecond = float64(r.Bytes) / 1e6 / r.Seconds
	}
}

// show prints a result.
func (r result) show(a *app.App, form *app.Form) error {
	float := func(f float64) string { return fmt.Sprintf("%.3f", f) }
	columns := []app.Column[result]{
		{Name: "bench", Text: func(r result) string { return r.Bench }},
		{Name: "topic", Text: func(r result) string { return r.Topic }},
		{Name: "partitions", Text: func(r result) string { return fmt.Sprint(r.Partitions) }},
		{Name: "clients", Text: func(r result) string { return fmt.Sprint(r.Clients) }},
		{Name: "record_bytes", Text: func(r result) string { return fmt.Sprint(r.RecordBytes) }},
		{Name: "records", Text: func(r result) string { return fmt.Sprint(r.Records) }},
		{Name: "bytes", Text: func(r result) string { return fmt.Sprint(r.Bytes) }},
		{Name: "errors", Text: func(r result) string { return fmt.Sprint(r.Errors) }},
		{Name: "seconds", Text: func(r result) string { return float(r.Seconds) }},
		{Name: "records_per_second", Text: func(r result) string { return float(r.PerSecond) }},
		{Name: "megabytes_per_second", Text: func(r result) string { return float(r.MBPerSecond) }},
	}
	for _, l := range []struct {
		name string
		of   func(result) *latency
	}{{"", func(r result) *latency { return r.Latency }}, {"end_to_end_", func(r result) *latency { return r.EndToEnd }}} {
		for _, q := range []struct {
			name string
			get  func(*latency) float64
		}{
			{"p50_ms", func(l *latency) float64 { return l.P50 }}, {"p95_ms", func(l *latency) float64 { return l.P95 }}, {"p99_ms", func(l *latency) float64 { return l.P99 }},
			{"p999_ms", func(l *latency) float64 { return l.P999 }}, {"max_ms", func(l *latency) float64 { return l.Max }},
		} {
			columns = append(columns, app.Column[result]{Name: l.name + q.name, Text: func(r result) string {
				if l.of(r) == nil {
					return "-"
				}
				return float(q.get(l.of(r)))
			}})
		}
	}
	return app.PrintPages(a, form, 1, app.List[result]{Items: []result{r}, ID: func(r result) string { return r.Topic }, Columns: columns}, func(w io.Writer, r result) { r.print(w) })
}

// print writes a result for people.
func (r *result) print(w io.Writer) {
	setting := []string{app.CountText(r.Partitions, "partition"), app.CountText(r.Clients, "client"), fmt.Sprintf("%d B a record", r.RecordBytes)}
	if r.Acks != "" {
		setting = append(setting, "acks="+r.Acks, "compression "+r.Compression)
	}
	if r.Rate > 0 {
		setting = append(setting, fmt.Sprintf("%.0f records/s asked for", r.Rate))
	}
	fmt.Fprintf(w, "%s   %s\n", r.Bench, strings.Join(setting, ", "))
	fmt.Fprintf(w, "%s in %.2f s   %.0f records/s   %.2f MB/s\n", app.CountText(r.Records, "record"), r.Seconds, r.PerSecond, r.MBPerSecond)
	for _, l := range []struct {
		label string
		of    *latency
	}{{"acknowledged", r.Latency}, {"read", r.EndToEnd}} {
		if l.of != nil {
			fmt.Fprintf(w, "%s after   p50 %s   p95 %s   p99 %s   p99.9 %s   max %s\n", l.label, msText(l.of.P50), msText(l.of.P95), msText(l.of.P99), msText(l.of.P999), msText(l.of.Max))
		}
	}
	if r.Errors > 0 {
		fmt.Fprintf(w, "%s, first: %s\n", app.CountText(r.Errors, "error"), r.FirstError)
	}
	if r.Lost > 0 {
		fmt.Fprintf(w, "%s acknowledged and not read\n", app.CountText(r.Lost, "record"))
	}
}

// msText is milliseconds with three digits.
func msText(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// verdict is a failure when records failed: exit code 1 when all did, 7 when some did.
func (r *result) verdict() error {
	switch {
	case r.Errors == 0 && r.Lost == 0:
		return nil
	case r.Records == 0:
		return &app.Failure{Exit: app.ExitFailed, Code: app.CodeBroker, What: "no record was acknowledged", Why: r.FirstError, Try: "klamm cluster health"}
	case r.Errors > 0:
		return &app.Failure{Exit: app.ExitPartly, Code: app.CodePartly, What: fmt.Sprintf("%s not acknowledged", app.CountText(r.Errors, "record")), Why: r.FirstError, Try: "klamm cluster health"}
	}
	return &app.Failure{Exit: app.ExitPartly, Code: app.CodePartly, What: fmt.Sprintf("%s acknowledged and not read", app.CountText(r.Lost, "record")), Try: "klamm cluster health"}
}

// filler is letters and digits at random, of which values are cut: compression finds what it finds in such text, and
// no two batches are alike.
func filler(bytes int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	b := make([]byte, max(1<<20, 2*bytes))
	random := mathrand.NewChaCha8([32]byte{'k', 'l', 'a', 'm', 'm'})
	_, _ = random.Read(b)
	for i := range b {
		b[i] = letters[b[i]%byte(len(letters))]
	}
	return b
}
