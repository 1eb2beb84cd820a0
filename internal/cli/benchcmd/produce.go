package benchcmd

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// produce measures sending.
func produce(a *app.App) *cobra.Command {
	l := &load{}
	c := &cobra.Command{
		Use: "produce [TOPIC]", Short: "Measure producing: records a second, and the time until they are acknowledged", Args: cobra.ArbitraryArgs,
		Long: "Measure producing. Without TOPIC a topic is made and deleted again; the records that go to a TOPIC stay in it. As fast\n" +
			"as it goes, records queue in the client before they are sent, and the latency has that in it: it is the latency at\nthat load. With --rate, a record's time begins when it was due, whether or not it could be sent then.",
		Example: "  klamm bench produce\n  klamm bench produce --duration 30s --size 1kB --producers 4 -z lz4\n  klamm bench produce --rate 5000 --acks 1\n  klamm bench produce -n 1000000 -p 12 -o json",
	}
	l.common(c, "100")
	l.sending(c, 0)
	c.Flags().Int64VarP(&l.count, "num", "n", 0, "stop after so many records")
	l.duration = app.DurationFlag(c, "duration", 10*time.Second, "stop after so long (with -n only when it is given)")
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := l.check(c, args, 0); err != nil {
			return err
		}
		l.bound(c)
		return l.run(a, c, func(ctx context.Context, _ *kadm.Client, partitions int) (result, error) {
			r := result{Bench: "produce", Topic: l.topic, Partitions: partitions, Clients: l.producers, RecordBytes: l.bytes, Acks: l.acks, Compression: l.codec, Rate: l.rate}
			took, err := l.send(ctx, a, c, &r, nil, "producing")
			r.finish(took)
			return r, err
		})
	}
	return c
}

// bound leaves the duration away when a number was given and no duration.
func (l *load) bound(c *cobra.Command) {
	if l.count > 0 && !c.Flags().Changed("duration") {
		*l.duration = 0
	}
}

// run makes the topic, measures, deletes the topic and prints. A dry run says what it would do.
func (l *load) run(a *app.App, c *cobra.Command, measure func(ctx context.Context, adm *kadm.Client, partitions int) (result, error)) error {
	ctx := c.Context()
	cl, err := a.Client(ctx, c)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := a.AdminOf(cl)
	if *l.dry {
		where := "topic " + l.topic
		if l.own {
			where = fmt.Sprintf("a topic of its own with %s, deleted at the end", app.CountText(l.partitions, "partition"))
		}
		a.Say("would use %s, with records of %d B", where, l.bytes)
		return nil
	}
	partitions, end, err := l.topicOf(ctx, a, adm)
	if err != nil {
		return err
	}
	r, err := measure(ctx, adm, partitions)
	end()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		a.Say("interrupted; this is what was measured until then")
	}
	if err := r.show(a, l.form); err != nil {
		return err
	}
	return r.verdict()
}

// tally is what one producer saw. Its callbacks come from one goroutine of the client after another, and are read
// when all have come.
type tally struct {
	mu      sync.Mutex // guards the rest; the client's own goroutines call back
	lat     histogram
	records int64
	bytes   int64
	errors  int64
	first   error
	last    time.Time // of the last acknowledgement
}

// note counts a record that is acknowledged or not.
func (t *tally) note(r *kgo.Record, err error, due time.Time) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if t.errors++; t.first == nil {
			t.first = err
		}
		return
	}
	t.records++
	t.bytes += int64(len(r.Key) + len(r.Value))
	t.last = now
	t.lat.add(now.Sub(due))
}

// send produces what the flags say and adds it to r. It returns how long it took, until the last acknowledgement.
// stamp, when it is not nil, marks values with the time that they were due.
func (l *load) send(ctx context.Context, a *app.App, c *cobra.Command, r *result, stamp func(value []byte, due time.Time), label string) (time.Duration, error) {
	clients := make([]*kgo.Client, 0, l.producers)
	defer func() {
		for _, cl := range clients {
			cl.Close()
		}
	}()
	for range l.producers {
		cl, err := a.Client(ctx, c, l.options()...)
		if err != nil {
			return 0, err
		}
		clients = append(clients, cl)
		// Connections and metadata are not what is measured.
		if err := l.meet(ctx, cl); err != nil {
			return 0, app.Failed(err, "topic %s could not be looked up for producing", l.topic)
		}
	}
	text := filler(l.bytes)
	progress := a.Progress(label, l.count)
	began := time.Now()
	stop, cancel := context.WithCancel(ctx)
	if l.duration != nil && *l.duration > 0 {
		stop, cancel = context.WithTimeout(ctx, *l.duration)
	}
	defer cancel()
	tallies := make([]tally, len(clients))
	var wg sync.WaitGroup
	for i, cl := range clients {
		share := l.count / int64(len(clients))
		if int64(i) < l.count%int64(len(clients)) {
			share++
		}
		if l.count > 0 && share == 0 {
			continue
		}
		wg.Go(func() {
			s := sender{load: l, cl: cl, tally: &tallies[i], text: text, stamp: stamp, progress: progress, random: rand.New(rand.NewPCG(uint64(i), 1)), began: began}
			s.run(stop, ctx, share)
		})
	}
	wg.Wait()
	progress.Done()
	var all histogram
	last := began
	for i := range tallies {
		t := &tallies[i]
		all.merge(&t.lat)
		r.Records += t.records
		r.Bytes += t.bytes
		r.Errors += t.errors
		if t.first != nil && r.FirstError == "" {
			r.FirstError = app.Explain(t.first).Error()
		}
		if t.last.After(last) {
			last = t.last
		}
	}
	r.Latency = all.told()
	return last.Sub(began), nil
}

// meet makes a client find the topic and connect to its leaders.
func (l *load) meet(ctx context.Context, cl *kgo.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	adm := kadm.NewClient(cl)
	for {
		ends, err := adm.ListEndOffsets(ctx, l.topic) // asks every leader
		if err == nil {
			err = ends.Error()
		}
		if err == nil {
			return nil
		}
		if !app.Sleep(ctx, 50*time.Millisecond) {
			return err
		}
	}
}

// sender is one producer at work.
type sender struct {
	*load
	cl       *kgo.Client
	tally    *tally
	text     []byte
	stamp    func([]byte, time.Time)
	progress *app.Progress
	random   *rand.Rand
	began    time.Time
}

// run sends until stop ends, or share records are sent when that is above zero, and waits for acknowledgements.
func (s *sender) run(stop, ctx context.Context, share int64) {
	interval := 0.0
	if s.rate > 0 {
		interval = float64(time.Second) * float64(s.producers) / s.rate
	}
	at, told := 0, int64(0)
	for n := int64(0); (share == 0 || n < share) && stop.Err() == nil; n++ {
		due := time.Now()
		if interval > 0 {
			due = s.began.Add(time.Duration(float64(n) * interval))
			if wait := time.Until(due); wait > 0 && !app.Sleep(stop, wait) {
				break
			}
		}
		if at+s.bytes > len(s.text) {
			at = s.random.IntN(len(s.text) - s.bytes + 1)
		}
		value := s.text[at : at+s.bytes : at+s.bytes]
		at += s.bytes
		if s.stamp != nil {
			value = append([]byte(nil), value...)
			s.stamp(value, due)
		}
		rec := &kgo.Record{Value: value}
		if s.keys > 0 {
			rec.Key = binary.BigEndian.AppendUint64(nil, s.random.Uint64N(uint64(s.keys)))
		}
		s.cl.Produce(ctx, rec, func(r *kgo.Record, err error) { s.tally.note(r, err, due) })
		if n-told == 256 {
			s.progress.Add(256, int64(256*s.bytes))
			told = n
		}
	}
	// Records that cannot be sent within the client's patience come back as errors.
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := s.cl.Flush(flush); err != nil {
		s.cl.UnsafeAbortBufferedRecords()
	}
}
