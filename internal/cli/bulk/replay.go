package bulk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/records"
)

// replay copies a range of a topic into another.
func replay(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "replay TOPIC TO", Short: "Copy a range of a topic into another topic, or another cluster", Args: app.Exactly("TOPIC", "TO"),
		Example: `  klamm topic replay orders orders-again --range @-1h:now
  klamm topic replay dead-letters orders --grep timeout --rate 100
  klamm topic replay orders orders --to-brokers other:9092 --state orders.replay
  klamm topic replay orders errors --cel 'json.status >= 500.0' --dry-run`,
		Long: `Copy a range of a topic into another topic, or into one of another cluster, with keys, values, headers and timestamps.
Partitions are kept where both topics have as many, and chosen by key otherwise. The end of the range is fixed when
the command begins, also when a topic is copied into itself. A topic that is not there is made.

With --state the command notes how far it came, each second and when it is stopped, and goes on there when it is
called again. After a crash the last second's records are written a second time; after Ctrl-C none are.

` + records.RangeHelp + "\n\n" + celHelp,
	}
	f := c.Flags()
	r := replaying{scan: scan{app: a, label: "copied"}}
	span := f.String("range", "start:end", "the range to copy")
	f.StringVar(&r.toBrokers, "to-brokers", "", "brokers of the other cluster, host:port[,host:port]")
	f.StringVar(&r.toProfile, "to-profile", "", "the profile of the other cluster (klamm profile list)")
	f.StringVar(&r.grep, "grep", "", "only records that have this text in key, value or headers")
	f.StringVar(&r.cel, "cel", "", "only records for which this expression of CEL is true")
	f.StringVar(&r.rate, "rate", "", "at most so many records a second: 100, 100/s")
	f.StringVar(&r.state, "state", "", "note in this file how far it came, and go on there")
	records.PartitionsFlag(c, &r.scan.partitions, "copy the partitions of these `numbers` alone: 0,1")
	records.IsolationFlag(c, &r.scan.isolation, "read_committed")
	r.dry = app.DryRunFlag(c)
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, args []string) error {
		var err error
		r.scan.topics, r.to = args[:1], args[1]
		if r.scan.span, err = records.ParseRange(*span, a.Time()); err != nil {
			return app.Usage(c, "--range %s: %s", *span, err)
		}
		if r.perSec, err = records.ParseRate(r.rate); err != nil {
			return app.Usage(c, "--rate %s: %s", r.rate, err)
		}
		if r.grep != "" && r.cel != "" {
			return app.Usage(c, "--grep and --cel both say which records")
		}
		if r.grep != "" || r.cel != "" {
			flags := matchFlags{cel: r.cel}
			if r.match, err = flags.matcher(c, r.grep); err != nil {
				return err
			}
		}
		return r.run(c)
	}
	return c
}

// replaying is one run of replay.
type replaying struct {
	scan                       scan
	to, toBrokers, toProfile   string
	grep, cel, rate, state     string
	perSec                     float64
	match                      *matcher
	dry                        *bool
	from, target               kadm.TopicDetail
	fromCluster, targetCluster string
	there                      bool
	keep                       bool
	note                       replayed
	mu                         sync.Mutex // guards marks
	marks                      map[int32]*mark
}

// replayed is the note of how far a replay came. Its names stay, as a later klamm may go on with it.
type replayed struct {
	Version   int              `json:"version"`
	Topic     string           `json:"topic"`
	TopicID   string           `json:"topic_id"`
	To        string           `json:"to"`
	ToCluster string           `json:"to_cluster"`
	Next      map[string]int64 `json:"next"` // the first offset of each partition that is not copied
	Ends      map[string]int64 `json:"ends"` // where the range ends in each
	Done      bool             `json:"done"`
}

// mark is how far one partition is copied.
type mark struct {
	next    int64 // all before it are written
	pending []int64
	written map[int64]bool // of pending
}

// run copies.
func (r *replaying) run(c *cobra.Command) error {
	a, ctx := r.scan.app, c.Context()
	cl, err := a.Client(ctx, c)
	if err != nil {
		return err
	}
	defer cl.Close()
	other := a
	if r.toBrokers != "" || r.toProfile != "" {
		other = a.Other(r.toBrokers, r.toProfile)
	}
	to, err := other.Client(ctx, c, append(records.WriterOptions(), records.FixedPartitioner())...)
	if err != nil {
		return err
	}
	defer to.Close()
	var o records.ReadOptions
	spans, err := r.scan.resolve(ctx, c, cl, &o)
	if err != nil {
		return err
	}
	if err := r.look(ctx, a.AdminOf(cl), other.AdminOf(to)); err != nil {
		return err
	}
	over, err := r.goOn(spans)
	if err != nil || over {
		return err
	}
	r.plan(spans)
	if *r.dry {
		return nil
	}
	if err := r.create(ctx, other, other.AdminOf(to)); err != nil {
		return err
	}
	if r.match != nil {
		o.Filter = r.match.match
	}
	return r.copy(ctx, other, cl, to, spans, o)
}

// look finds out about both topics, and whether they are one.
func (r *replaying) look(ctx context.Context, from, to *kadm.Client) error {
	ctx, cancel := context.WithTimeout(ctx, r.scan.app.Timeout())
	defer cancel()
	topic := r.scan.topics[0]
	m, err := from.Metadata(ctx, topic)
	if err != nil {
		return app.Failed(err, "topic %s could not be looked up", topic)
	}
	r.from, r.fromCluster = m.Topics[topic], m.Cluster
	if m, err = to.Metadata(ctx, r.to); err != nil {
		return app.Failed(err, "topic %s could not be looked up", r.to)
	}
	r.target, r.targetCluster = m.Topics[r.to], m.Cluster
	switch err := r.target.Err; {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
	case err != nil:
		return app.Failed(err, "topic %s cannot be written", r.to)
	default:
		r.there = true
	}
	r.keep = !r.there || len(r.target.Partitions) == len(r.from.Partitions)
	return nil
}

// plan says what will be copied, and how.
func (r *replaying) plan(spans []records.Span) {
	what := "copy"
	if *r.dry {
		what = "would copy"
	}
	n := records.Total(spans)
	s := fmt.Sprintf("%s at most %s of %s into %s", what, app.CountText(n, "record"), r.scan.topics[0], r.to)
	if r.fromCluster != r.targetCluster {
		s += " of cluster " + r.targetCluster
	}
	if !r.there {
		s += ", which is made"
	}
	if r.keep {
		s += fmt.Sprintf(", keeping the %s", app.CountText(len(r.from.Partitions), "partition"))
	} else {
		s += fmt.Sprintf(", by key: it has %s and not %d", app.CountText(len(r.target.Partitions), "partition"), len(r.from.Partitions))
	}
	if r.fromCluster == r.targetCluster && r.to == r.scan.topics[0] {
		s += "; the topic then has them twice"
	}
	r.scan.app.Say("%s", s)
}

// create makes the topic that is copied to, with as many partitions.
func (r *replaying) create(ctx context.Context, a *app.App, adm *kadm.Client) error {
	if r.there {
		return nil
	}
	i := importing{app: a, topic: r.to, adm: adm, size: int32(len(r.from.Partitions))}
	if err := i.create(ctx); err != nil {
		return err
	}
	r.target = i.detail
	return nil
}

// goOn reads the note of an earlier run, and leaves what that copied out of spans. over says that it copied all.
func (r *replaying) goOn(spans []records.Span) (over bool, err error) {
	r.marks = map[int32]*mark{}
	defer func() {
		for _, s := range spans {
			r.marks[s.Partition] = &mark{next: s.Start, written: map[int64]bool{}}
		}
	}()
	if r.state == "" {
		return false, nil
	}
	b, err := os.ReadFile(r.state)
	if errors.Is(err, fs.ErrNotExist) {
		r.note = replayed{Version: 1, Topic: r.scan.topics[0], TopicID: r.from.ID.String(), To: r.to, ToCluster: r.targetCluster, Next: map[string]int64{}, Ends: map[string]int64{}}
		for _, s := range spans {
			r.note.Ends[strconv.Itoa(int(s.Partition))] = s.End
		}
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r.note)
	}
	if err != nil {
		return false, app.Input(err, "%s cannot be read as the note of a replay", r.state)
	}
	if n := r.note; n.Version != 1 || n.Topic != r.scan.topics[0] || n.TopicID != r.from.ID.String() || n.To != r.to || n.ToCluster != r.targetCluster {
		return false, &app.Failure{
			Exit: app.ExitFailed, Code: app.CodeExists, What: "the replay that " + r.state + " notes cannot be gone on with",
			Why: fmt.Sprintf("it is from topic %s (%s) to %s in cluster %s", n.Topic, n.TopicID, n.To, n.ToCluster), Try: "another --state, or remove that file to begin again",
		}
	}
	if r.note.Done {
		r.scan.app.Say("this replay was done before; nothing to do")
		return true, nil
	}
	if r.note.Next == nil {
		r.note.Next = map[string]int64{}
	}
	for i := range spans {
		s := &spans[i]
		at := strconv.Itoa(int(s.Partition))
		end, ok := r.note.Ends[at]
		if !ok {
			s.Start = s.End // the partition came after the replay had begun
			continue
		}
		s.End = min(max(end, s.First), s.Next)
		s.Start = min(max(s.Start, r.note.Next[at]), s.End)
	}
	r.scan.app.Say("going on where %s says", r.state)
	return false, nil
}

// copy writes what it reads.
func (r *replaying) copy(ctx context.Context, other *app.App, cl, to *kgo.Client, spans []records.Span, o records.ReadOptions) error {
	a := r.scan.app
	began := time.Now()
	// The bar is that of reading; what is written is counted without one.
	w := records.NewWriter(ctx, other, to, nil)
	var note <-chan time.Time
	if r.state != "" {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		note = t.C
		if err := r.save(false); err != nil {
			return err
		}
	}
	n := int64(0)
	err := r.scan.spans(ctx, cl, spans, o, func(rec *kgo.Record) error {
		if err := w.Err(); err != nil {
			return records.ErrStop
		}
		if !records.Pace(ctx, began, n, r.perSec) {
			return ctx.Err()
		}
		n++
		out := &kgo.Record{Topic: r.to, Partition: rec.Partition, Key: rec.Key, Value: rec.Value, Headers: rec.Headers, Timestamp: rec.Timestamp}
		if !r.keep {
			out.Partition = -1
		}
		partition, offset := rec.Partition, rec.Offset
		r.sent(partition, offset)
		w.Write(out, func(*kgo.Record) { r.wrote(partition, offset) })
		select {
		case <-note:
			return r.save(false)
		default:
			return nil
		}
	})
	w.Flush()
	w.Close()
	if f := w.Failure(r.to); f != nil {
		err = f
	}
	if r.state != "" {
		if serr := r.save(err == nil); err == nil {
			err = serr
		}
	}
	records, bytes := w.Written()
	if err != nil {
		f := app.Failed(err, "stopped after %s were copied", app.CountText(records, "record"))
		if f.Why == "" {
			f.Why = app.Explain(err).What
		}
		if r.state != "" {
			f.Try = "the same command, which goes on there"
		}
		return f
	}
	if r.match != nil {
		r.match.tell(a)
	}
	a.Say("copied into %s: %s", r.to, app.Summary(records, bytes, time.Since(began)))
	return nil
}

// sent notes that a record is on its way.
func (r *replaying) sent(partition int32, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.marks[partition]
	m.pending = append(m.pending, offset)
}

// wrote notes that a record is written.
func (r *replaying) wrote(partition int32, offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.marks[partition]
	m.written[offset] = true
	for len(m.pending) > 0 && m.written[m.pending[0]] {
		delete(m.written, m.pending[0])
		m.next = m.pending[0] + 1
		m.pending = m.pending[1:]
	}
}

// save writes the note.
func (r *replaying) save(done bool) error {
	r.mu.Lock()
	for p, m := range r.marks {
		r.note.Next[strconv.Itoa(int(p))] = m.next
	}
	r.mu.Unlock()
	r.note.Done = done
	b, err := json.MarshalIndent(r.note, "", "  ")
	if err == nil {
		err = replaceFile(r.state, append(b, '\n'))
	}
	if err != nil {
		return app.Input(err, "%s cannot be written", r.state)
	}
	return nil
}
