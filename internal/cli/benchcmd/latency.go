package benchcmd

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// stampBytes begin a value: who sent it, and when it was due.
const stampBytes = 16

// endToEnd measures how long records are on their way.
func endToEnd(a *app.App) *cobra.Command {
	l := &load{}
	c := &cobra.Command{
		Use: "latency [TOPIC]", Short: "Measure how long records are on their way, from sending to reading", Args: cobra.ArbitraryArgs,
		Long: "Measure how long records are on their way: until they are acknowledged, and until a consumer has them. Records are sent\n" +
			"at a steady rate, and the time of each begins when it was due, so that a stall is not hidden by records that were not\nsent meanwhile. Without TOPIC a topic is made and deleted again.",
		Example: "  klamm bench latency\n  klamm bench latency --rate 10000 --duration 1m\n  klamm bench latency --size 1kB --acks 1 -o json",
	}
	l.common(c, "100")
	l.sending(c, 1000)
	c.Flags().Int64VarP(&l.count, "num", "n", 0, "stop after so many records")
	l.duration = app.DurationFlag(c, "duration", 10*time.Second, "stop after so long (with -n only when it is given)")
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := l.check(c, args, stampBytes); err != nil {
			return err
		}
		if l.rate == 0 {
			return app.Usage(c, "--rate 0: latency is measured at a steady rate; klamm bench produce measures as many as go")
		}
		l.bound(c)
		return l.run(a, c, func(ctx context.Context, adm *kadm.Client, partitions int) (result, error) {
			return l.travel(ctx, a, c, adm, partitions)
		})
	}
	return c
}

// travel sends and reads at once.
func (l *load) travel(ctx context.Context, a *app.App, c *cobra.Command, adm *kadm.Client, partitions int) (result, error) {
	r := result{Bench: "latency", Topic: l.topic, Partitions: partitions, Clients: l.producers, RecordBytes: l.bytes, Acks: l.acks, Compression: l.codec, Rate: l.rate}
	ends, err := adm.ListEndOffsets(ctx, l.topic)
	if err != nil {
		return r, app.Failed(err, "the last offsets of topic %s could not be read", l.topic)
	}
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			from[o.Partition] = kgo.NewOffset().At(o.Offset)
		}
	})
	cl, err := a.Client(ctx, c, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: from}), kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMinBytes(1))
	if err != nil {
		return r, err
	}
	defer cl.Close()
	if err := l.meet(ctx, cl); err != nil {
		return r, app.Failed(err, "topic %s could not be looked up for consuming", l.topic)
	}
	var me [8]byte // others may write to a topic that was named
	_, _ = rand.Read(me[:])
	base := time.Now()
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var lat histogram
	var seen atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for reading.Err() == nil {
			fetches := cl.PollFetches(reading)
			now := time.Since(base)
			fetches.EachRecord(func(rec *kgo.Record) {
				if len(rec.Value) >= stampBytes && [8]byte(rec.Value) == me {
					lat.add(now - time.Duration(binary.BigEndian.Uint64(rec.Value[8:])))
					seen.Add(1)
				}
			})
		}
	})
	took, err := l.send(ctx, a, c, &r, func(value []byte, due time.Time) {
		copy(value, me[:])
		binary.BigEndian.PutUint64(value[8:], uint64(max(due.Sub(base), 0)))
	}, "sending")
	// What is on its way has until now all it needs to arrive.
	late, stop := context.WithTimeout(ctx, 5*time.Second)
	for err == nil && seen.Load() < r.Records && app.Sleep(late, 5*time.Millisecond) {
	}
	stop()
	cancel()
	wg.Wait()
	if err != nil {
		return r, err
	}
	r.EndToEnd = lat.told()
	if ctx.Err() == nil {
		r.Lost = max(r.Records-seen.Load(), 0)
	}
	r.finish(took)
	return r, nil
}
