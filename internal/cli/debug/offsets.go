package debug

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// offsetRow is the places of a partition's log; -1 is what is not there or not told.
type offsetRow struct {
	Topic       string  `json:"topic"`
	Partition   int32   `json:"partition"`
	Leader      int32   `json:"leader"`
	LeaderEpoch int32   `json:"leader_epoch"`
	Start       int64   `json:"start_offset"`
	StartEpoch  int32   `json:"start_epoch"`
	Stable      int64   `json:"last_stable_offset"`
	End         int64   `json:"end_offset"` // the high watermark
	EndEpoch    int32   `json:"end_epoch"`
	Newest      int64   `json:"max_timestamp_offset"` // of the record with the greatest timestamp
	NewestTime  *string `json:"max_timestamp"`        // null when there is none
	Error       string  `json:"error,omitempty"`
}

// offsets shows where the logs of topics begin and end.
func offsets(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "offsets TOPIC...", Short: "Show the places of partitions: start, last stable, end, newest record, epochs", Args: app.AtLeastOne("TOPIC"),
		Example: "  klamm debug offsets orders\n  klamm debug offsets orders -o json",
	}
	form := app.OutputFlag(c)
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, topics []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			md, err := adm.Metadata(ctx, topics...)
			if err != nil {
				return app.Failed(err, "the topics could not be looked up")
			}
			var rows []offsetRow
			var fails []*app.Failure
			done := map[string]bool{}
			for _, n := range topics {
				t, ok := md.Topics[n]
				switch {
				case done[n]:
				case !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition):
					fails = append(fails, a.MissingTopic(ctx, adm, n))
				case t.Err != nil:
					fails = append(fails, app.Failed(t.Err, "topic %s could not be looked up", n))
				default:
					for _, d := range t.Partitions.Sorted() {
						rows = append(rows, offsetRow{Topic: n, Partition: d.Partition, Leader: d.Leader, LeaderEpoch: d.LeaderEpoch, Error: errorName(d.Err)})
					}
					done[n] = true
				}
			}
			lookUp(ctx, cl, rows)
			if len(rows) > 0 {
				if err := app.PrintList(a, form, offsetList(rows)); err != nil {
					return err
				}
			}
			return app.Partly(a, len(done), fails)
		})
	}
	return c
}

// offsetList is rows as a list.
func offsetList(rows []offsetRow) app.List[offsetRow] {
	number := func(get func(offsetRow) int64) func(offsetRow) string {
		return func(r offsetRow) string { return app.OffsetText(get(r)) }
	}
	return app.List[offsetRow]{
		Items: rows,
		ID:    func(r offsetRow) string { return fmt.Sprintf("%s-%d", r.Topic, r.Partition) },
		Columns: []app.Column[offsetRow]{
			{Name: "topic", Text: func(r offsetRow) string { return r.Topic }},
			{Name: "partition", Text: number(func(r offsetRow) int64 { return int64(r.Partition) })},
			{Name: "leader", Text: number(func(r offsetRow) int64 { return int64(r.Leader) })},
			{Name: "epoch", Text: number(func(r offsetRow) int64 { return int64(r.LeaderEpoch) })},
			{Name: "start", Text: number(func(r offsetRow) int64 { return r.Start })},
			{Name: "last_stable", Text: number(func(r offsetRow) int64 { return r.Stable })},
			{Name: "end", Text: number(func(r offsetRow) int64 { return r.End })},
			{Name: "max_timestamp", Text: func(r offsetRow) string {
				if r.NewestTime == nil {
					return "-"
				}
				return *r.NewestTime
			}},
			{Name: "at_offset", Text: number(func(r offsetRow) int64 { return r.Newest })},
			{Name: "start_epoch", Wide: true, Text: number(func(r offsetRow) int64 { return int64(r.StartEpoch) })},
			{Name: "end_epoch", Wide: true, Text: number(func(r offsetRow) int64 { return int64(r.EndEpoch) })},
			{Name: "error", Wide: true, Text: func(r offsetRow) string { return app.OrDash(r.Error) }},
		},
	}
}

// lookUp fills in the places, with four questions to each broker for all its partitions.
func lookUp(ctx context.Context, cl *kgo.Client, rows []offsetRow) {
	var starts, ends, stables, newest map[place]kmsg.ListOffsetsResponseTopicPartition
	var wg sync.WaitGroup
	wg.Go(func() { starts = ask(ctx, cl, rows, -2, 0) })
	wg.Go(func() { ends = ask(ctx, cl, rows, -1, 0) })
	wg.Go(func() { stables = ask(ctx, cl, rows, -1, 1) })
	wg.Go(func() { newest = ask(ctx, cl, rows, -3, 0) })
	wg.Wait()
	for i := range rows {
		r := &rows[i]
		r.Start, r.StartEpoch, r.End, r.EndEpoch, r.Stable, r.Newest = -1, -1, -1, -1, -1, -1
		at := place{r.Topic, r.Partition}
		if p, ok := starts[at]; ok {
			if r.Start, r.StartEpoch = p.Offset, p.LeaderEpoch; p.ErrorCode != 0 {
				r.Error = codeName(p.ErrorCode)
			}
		}
		if p, ok := ends[at]; ok && p.ErrorCode == 0 {
			r.End, r.EndEpoch = p.Offset, p.LeaderEpoch
		}
		if p, ok := stables[at]; ok && p.ErrorCode == 0 {
			r.Stable = p.Offset
		}
		if p, ok := newest[at]; ok && p.ErrorCode == 0 && p.Timestamp >= 0 {
			text := app.TimeText(p.Timestamp)
			r.Newest, r.NewestTime = p.Offset, &text
		}
	}
}

// place names a partition.
type place struct {
	topic     string
	partition int32
}

// ask is one question about all partitions that have a leader. What is not answered is left out.
func ask(ctx context.Context, cl *kgo.Client, rows []offsetRow, timestamp int64, isolation int8) map[place]kmsg.ListOffsetsResponseTopicPartition {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	for _, r := range rows {
		if r.Leader < 0 {
			continue
		}
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != r.Topic {
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = r.Topic
			req.Topics = append(req.Topics, rt)
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = r.Partition, timestamp
		rt := &req.Topics[len(req.Topics)-1]
		rt.Partitions = append(rt.Partitions, rp)
	}
	got := map[place]kmsg.ListOffsetsResponseTopicPartition{}
	if len(req.Topics) == 0 {
		return got
	}
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				got[place{t.Topic, p.Partition}] = p
			}
		}
	}
	return got
}
