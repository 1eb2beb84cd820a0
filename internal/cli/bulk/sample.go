package bulk

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/records"
)

// maxSample bounds how many records sample picks, as each is a question of its own.
const maxSample = 10_000

// sample shows a few records from here and there.
func sample(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "sample TOPIC", Short: "Show a few records from here and there", Args: app.Exactly("TOPIC"),
		Example: `  klamm topic sample orders -n 5
  klamm topic sample orders -n 20 -o @-1h:now -f json
  klamm topic sample orders --seed 7             # the same ones again`,
		Long: "Show a few records, chosen at random and spread over all partitions and the whole range. Only these are read,\nhowever large the topic is.\n\n" + records.RangeHelp + "\n\n" + records.FormHelp,
	}
	f := c.Flags()
	from := f.StringP("offset", "o", "start:end", "the range to choose from")
	n := f.IntP("num", "n", 10, "how many")
	seed := f.Uint64("seed", 0, "choose the same ones again, as long as the topic stays as it is")
	partitions := new([]int32)
	records.PartitionsFlag(c, partitions, "the partitions of these `numbers` alone: 0,1")
	flags := records.NewFormFlags(c, placed)
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		form, err := flags.Form(c, a.Pretty())
		if err != nil {
			return err
		}
		if *n < 1 || *n > maxSample {
			return app.Usage(c, "-n %d: from 1 to %d", *n, maxSample)
		}
		s := scan{app: a, topics: args, partitions: *partitions}
		if s.span, err = records.ParseRange(*from, a.Time()); err != nil {
			return app.Usage(c, "-o %s: %s", *from, err)
		}
		ctx := c.Context()
		cl, err := a.Client(ctx, c)
		if err != nil {
			return err
		}
		defer cl.Close()
		var o records.ReadOptions
		spans, err := s.resolve(ctx, c, cl, &o)
		if err != nil {
			return err
		}
		if !f.Changed("seed") {
			*seed = rand.Uint64()
		}
		got, err := s.pick(ctx, cl, spans, *n, rand.New(rand.NewPCG(*seed, 0)))
		if err != nil {
			return err
		}
		sink := records.NewSink(a, form)
		for _, r := range got {
			if err := sink.Print(r); err != nil {
				break // Flush has the same error
			}
		}
		if err := sink.Flush(); err != nil && !app.ClosedPipe(err) {
			return err
		}
		a.Say("%d of at most %s", len(got), app.CountText(records.Total(spans), "record"))
		return nil
	}
	return c
}

// pick reads n records of spans, in the order of partitions and offsets.
func (s *scan) pick(ctx context.Context, cl *kgo.Client, spans []records.Span, n int, random *rand.Rand) ([]*kgo.Record, error) {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(x, y records.Span) int { return cmp.Compare(x.Partition, y.Partition) })
	total := records.Total(spans)
	n = int(min(int64(n), total))
	type place struct {
		partition int32
		offset    int64
	}
	taken := map[place]*kgo.Record{}
	take := func(r *kgo.Record) error { taken[place{r.Partition, r.Offset}] = r; return nil }
	// One offset of each n-th part of the range.
	var one, rest []records.Span
	for i := range int64(n) {
		lo, hi := part(total, int64(n), i), part(total, int64(n), i+1)
		at := lo + random.Int64N(max(hi-lo, 1))
		for _, span := range spans {
			if at < span.Len() {
				rest = append(rest, records.Span{Topic: span.Topic, Partition: span.Partition, Start: span.Start + at, End: span.End, First: span.First, Next: span.Next})
				one = append(one, records.Span{Topic: span.Topic, Partition: span.Partition, Start: span.Start + at, End: span.Start + at + 1, First: span.First, Next: span.Next})
				break
			}
			at -= span.Len()
		}
	}
	o := records.ReadOptions{PartitionBytes: 1}
	if err := s.spans(ctx, cl, one, o, take); err != nil {
		return nil, err
	}
	// Where compaction, transactions or retention left no record at the offset, the next that is there is taken.
	for i, span := range rest {
		if taken[place{span.Partition, one[i].Start}] != nil {
			continue
		}
		err := s.spans(ctx, cl, []records.Span{span}, o, func(r *kgo.Record) error {
			if taken[place{r.Partition, r.Offset}] != nil {
				return nil
			}
			_ = take(r)
			return records.ErrStop
		})
		if err != nil {
			return nil, err
		}
	}
	got := make([]*kgo.Record, 0, len(taken))
	for _, r := range taken {
		got = append(got, r)
	}
	slices.SortFunc(got, func(x, y *kgo.Record) int {
		return cmp.Or(cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset))
	})
	return got, nil
}

// part is where the i-th of n equal parts of total begins.
func part(total, n, i int64) int64 {
	return total/n*i + total%n*i/n
}
