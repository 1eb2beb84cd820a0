package benchcmd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// consume measures reading.
func consume(a *app.App) *cobra.Command {
	l := &load{producers: 2, acks: "all", codec: "none"}
	c := &cobra.Command{
		Use: "consume [TOPIC]", Short: "Measure consuming: records and bytes a second", Args: cobra.ArbitraryArgs,
		Long: "Measure consuming: from the start of a topic to what is its end now. Without TOPIC a topic is made, filled first, and\n" +
			"deleted again. The clock runs from the first request; connecting is not in it. No group is made.",
		Example: "  klamm bench consume                          # fills a topic of its own first\n  klamm bench consume orders\n  klamm bench consume -n 5000000 --size 1kB --consumers 4\n  klamm bench consume orders --duration 10s -o json",
	}
	l.common(c, "100")
	consumers := c.Flags().Int("consumers", 1, "clients that consume at once, each some of the partitions")
	c.Flags().Int64VarP(&l.count, "num", "n", 0, "records to read (default: 2000000 of its own topic, all of one that is named)")
	c.Flags().StringVarP(&l.codec, "compression", "z", "none", "of the records it fills its topic with: none, gzip, snappy, lz4 or zstd")
	_ = c.RegisterFlagCompletionFunc("compression", app.CompleteValues("none", "gzip", "snappy", "lz4", "zstd"))
	limit := app.DurationFlag(c, "duration", 0, "stop after so long")
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := l.check(c, args, 0); err != nil {
			return err
		}
		if *consumers < 1 || *consumers > mostClients {
			return app.Usage(c, "--consumers %d: allowed are 1 to %d", *consumers, mostClients)
		}
		if l.own && l.count == 0 {
			l.count = 2_000_000
		}
		return l.run(a, c, func(ctx context.Context, adm *kadm.Client, partitions int) (result, error) {
			if l.own {
				a.Say("filling %s with %s", l.topic, app.CountText(l.count, "record"))
				var filled result
				if _, err := l.send(ctx, a, c, &filled, nil, "filling"); err != nil {
					return result{}, err
				}
				if err := filled.verdict(); err != nil {
					return result{}, err
				}
			}
			return l.read(ctx, a, c, adm, partitions, *consumers, *limit)
		})
	}
	return c
}

// idle is how long a consumer waits for records that should be there: control records at the end of a partition, and
// those that were compacted away, never come.
const idle = 3 * time.Second

// read consumes what is there, with some clients.
func (l *load) read(ctx context.Context, a *app.App, c *cobra.Command, adm *kadm.Client, partitions, consumers int, limit time.Duration) (result, error) {
	r := result{Bench: "consume", Topic: l.topic, Partitions: partitions, Clients: min(consumers, partitions)}
	starts, err := adm.ListStartOffsets(ctx, l.topic)
	if err != nil {
		return r, app.Failed(err, "the first offsets of topic %s could not be read", l.topic)
	}
	ends, err := adm.ListEndOffsets(ctx, l.topic)
	if err != nil {
		return r, app.Failed(err, "the last offsets of topic %s could not be read", l.topic)
	}
	shares := make([]map[int32]kgo.Offset, r.Clients)
	until, total, n := map[int32]int64{}, int64(0), 0
	for p := range int32(partitions) {
		start, ok := starts.Lookup(l.topic, p)
		end, too := ends.Lookup(l.topic, p)
		if !ok || !too || start.Err != nil || end.Err != nil || end.Offset <= start.Offset {
			continue
		}
		until[p] = end.Offset
		total += end.Offset - start.Offset
		i := n % r.Clients
		n++
		if shares[i] == nil {
			shares[i] = map[int32]kgo.Offset{}
		}
		shares[i][p] = kgo.NewOffset().At(start.Offset)
	}
	if total == 0 {
		return r, &app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("there are no records in topic %s", l.topic), Try: "klamm bench produce " + l.topic}
	}
	r.Clients = min(r.Clients, n)
	if l.count > 0 {
		total = min(total, l.count)
	}
	var clients []*kgo.Client
	defer func() {
		for _, cl := range clients {
			cl.Close()
		}
	}()
	// They are paused, so that connecting is over when the clock begins.
	for _, share := range shares[:r.Clients] {
		cl, err := a.Client(ctx, c, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.topic: share}), kgo.FetchMaxPartitionBytes(int32(max(1<<20, 2*l.bytes))), kgo.KeepControlRecords())
		if err != nil {
			return r, err
		}
		clients = append(clients, cl)
		cl.PauseFetchTopics(l.topic)
		if err := l.meet(ctx, cl); err != nil {
			return r, app.Failed(err, "topic %s could not be looked up for consuming", l.topic)
		}
	}
	stop, cancel := context.WithCancel(ctx)
	if limit > 0 {
		stop, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	progress := a.Progress("consuming", total)
	var records, bytes, last atomic.Int64
	var failed atomic.Pointer[error]
	began := time.Now()
	var wg sync.WaitGroup
	for i, cl := range clients {
		left := map[int32]int64{}
		for p := range shares[i] {
			left[p] = until[p]
		}
		wg.Go(func() {
			cl.ResumeFetchTopics(l.topic)
			for len(left) > 0 && stop.Err() == nil && records.Load() < total {
				poll, cancel := context.WithTimeout(stop, idle)
				fetches := cl.PollFetches(poll)
				if fetches.NumRecords() == 0 {
					fetches.EachError(func(_ string, _ int32, err error) {
						if poll.Err() == nil {
							failed.CompareAndSwap(nil, &err)
						}
					})
					cancel()
					return
				}
				cancel()
				count, size := int64(0), int64(0)
				fetches.EachPartition(func(p kgo.FetchTopicPartition) {
					for _, rec := range p.Records {
						if !rec.Attrs.IsControl() {
							count++
							size += int64(len(rec.Key) + len(rec.Value))
						}
					}
					if k := len(p.Records); k > 0 && p.Records[k-1].Offset+1 >= left[p.Partition] {
						delete(left, p.Partition)
					}
				})
				records.Add(count)
				bytes.Add(size)
				last.Store(int64(time.Since(began)))
				progress.Add(count, size)
			}
		})
	}
	wg.Wait()
	progress.Done()
	if err := failed.Load(); err != nil {
		return r, app.Failed(*err, "topic %s could not be read any further", l.topic)
	}
	r.Records, r.Bytes = records.Load(), bytes.Load()
	if r.Records > 0 {
		r.RecordBytes = int(r.Bytes / r.Records)
	}
	r.finish(time.Duration(last.Load()))
	return r, nil
}
