package bulk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/records"
)

// tally is a row of count.
type tally struct {
	Topic     string  `json:"topic"`
	Partition *int32  `json:"partition,omitempty"` // --by partition
	Hour      string  `json:"hour,omitempty"`      // --by hour, when it begins
	Key       *string `json:"key,omitempty"`       // --by key; null and none for records without a key
	KeyBase64 string  `json:"key_base64,omitempty"`
	Records   int64   `json:"records"`
	// AtMost says that Records is the number of offsets, of which some may have no record.
	AtMost bool `json:"at_most"`
	// Bytes are those of keys and values, where the records were read.
	Bytes *int64 `json:"bytes,omitempty"`
}

// group is what the row counts, as people read it.
func (t tally) group() string {
	switch {
	case t.Partition != nil:
		return fmt.Sprint(*t.Partition)
	case t.Hour != "":
		return t.Hour
	case t.Key != nil:
		return *t.Key
	case t.KeyBase64 != "":
		return "base64:" + t.KeyBase64
	}
	return "-"
}

// count counts records.
func count(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "count TOPIC...", Short: "Count the records of topics", Args: app.AtLeastOne("TOPIC"),
		Example: `  klamm topic count orders
  klamm topic count orders --exact               # reads them all
  klamm topic count orders --by hour --range @-1d:now
  klamm topic count orders --by key -n 10        # the 10 keys with the most records`,
		Long: "Count the records of topics: from the first and last offsets, which takes no time and is too many where compaction\nor transactions left gaps; or with --exact, --by key and --by hour by reading them.\n\n" + records.RangeHelp,
	}
	form := app.OutputFlag(c)
	f := c.Flags()
	exact := f.Bool("exact", false, "read the records and count them")
	by := f.String("by", "topic", "count for each topic, partition, hour or key")
	span := f.String("range", "start:end", "the range to count")
	top := f.IntP("num", "n", 0, "print so many rows, those with the most records first")
	partitions := new([]int32)
	records.PartitionsFlag(c, partitions, "the partitions of these `numbers` alone: 0,1")
	var isolation string
	records.IsolationFlag(c, &isolation, "read_uncommitted")
	_ = c.RegisterFlagCompletionFunc("by", app.CompleteValues("topic", "partition", "hour", "key"))
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, topics []string) error {
		s := scan{app: a, topics: topics, partitions: *partitions, isolation: isolation, label: "counted"}
		var err error
		if s.span, err = records.ParseRange(*span, a.Time()); err != nil {
			return app.Usage(c, "--range %s: %s", *span, err)
		}
		if !slices.Contains([]string{"topic", "partition", "hour", "key"}, *by) {
			return app.Usage(c, "--by %s: allowed are topic, partition, hour and key", *by)
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
		var rows []tally
		if *exact || *by == "hour" || *by == "key" {
			rows, err = s.ofRecords(ctx, cl, spans, o, *by)
		} else {
			rows = s.ofOffsets(ctx, cl, spans, *by)
		}
		if err != nil {
			return err
		}
		if *top > 0 {
			slices.SortStableFunc(rows, func(x, y tally) int { return cmp.Compare(y.Records, x.Records) })
			rows = rows[:min(*top, len(rows))]
		}
		if form.Human() && slices.ContainsFunc(rows, func(t tally) bool { return t.AtMost }) {
			a.Say("at most so many: compaction and transactions leave gaps; --exact reads the records")
		}
		return app.PrintList(a, form, tallies(rows, *by))
	}
	return c
}

// tallies is a list of rows.
func tallies(rows []tally, by string) app.List[tally] {
	l := app.List[tally]{
		Items:   rows,
		ID:      func(t tally) string { return fmt.Sprint(t.Records) },
		Columns: []app.Column[tally]{{Name: "topic", Text: func(t tally) string { return t.Topic }}},
	}
	if by != "topic" {
		l.Columns = append(l.Columns, app.Column[tally]{Name: by, Text: tally.group})
	}
	l.Columns = append(l.Columns, app.Column[tally]{Name: "records", Text: func(t tally) string { return fmt.Sprint(t.Records) }})
	if len(rows) > 0 && rows[0].Bytes != nil {
		l.Columns = append(l.Columns, app.Column[tally]{Name: "bytes", Text: func(t tally) string { return fmt.Sprint(*t.Bytes) }})
	}
	return l
}

// ofOffsets counts from what is known of each partition's offsets.
func (s *scan) ofOffsets(ctx context.Context, cl *kgo.Client, spans []records.Span, by string) []tally {
	ctx, cancel := context.WithTimeout(ctx, s.app.Timeout())
	defer cancel()
	gaps := gaps(ctx, s.app.AdminOf(cl), s.topics)
	var rows []tally
	for _, span := range spans {
		if n := len(rows); by == "topic" && n > 0 && rows[n-1].Topic == span.Topic {
			rows[n-1].Records += span.Len()
			rows[n-1].AtMost = rows[n-1].Records > 0 && gaps[span.Topic]
			continue
		}
		t := tally{Topic: span.Topic, Records: span.Len(), AtMost: span.Len() > 0 && gaps[span.Topic]}
		if by == "partition" {
			t.Partition = &span.Partition
		}
		rows = append(rows, t)
	}
	return rows
}

// gaps says which topics may have offsets without a record: those that are compacted, and all when transactions
// are used in this cluster.
func gaps(ctx context.Context, adm *kadm.Client, topics []string) map[string]bool {
	all := map[string]bool{}
	found, err := adm.ListTopicsWithInternal(ctx, "__transaction_state")
	transactions := err != nil || found["__transaction_state"].Err == nil
	configs, err := adm.DescribeTopicConfigs(ctx, topics...)
	for _, t := range topics {
		policy := ""
		if rc, cerr := configs.On(t, nil); err == nil && cerr == nil {
			for _, kv := range rc.Configs {
				if kv.Key == "cleanup.policy" {
					policy = kv.MaybeValue()
				}
			}
		}
		all[t] = transactions || policy == "" || strings.Contains(policy, "compact")
	}
	return all
}

// ofRecords counts by reading.
func (s *scan) ofRecords(ctx context.Context, cl *kgo.Client, spans []records.Span, o records.ReadOptions, by string) ([]tally, error) {
	type id struct {
		topic     string
		partition int32
		hour      int64
		key       string
		null      bool
	}
	type sum struct{ records, bytes int64 }
	sums := map[id]*sum{}
	for _, span := range spans { // those without a record count too
		switch by {
		case "topic":
			sums[id{topic: span.Topic}] = &sum{}
		case "partition":
			sums[id{topic: span.Topic, partition: span.Partition}] = &sum{}
		}
	}
	err := s.spans(ctx, cl, spans, o, func(r *kgo.Record) error {
		at := id{topic: r.Topic}
		switch by {
		case "partition":
			at.partition = r.Partition
		case "hour":
			at.hour = r.Timestamp.Truncate(time.Hour).UnixMilli()
		case "key":
			at.key, at.null = string(r.Key), r.Key == nil
		}
		n := sums[at]
		if n == nil {
			n = &sum{}
			sums[at] = n
		}
		n.records++
		n.bytes += int64(len(r.Key) + len(r.Value))
		return nil
	})
	if err != nil {
		return nil, err
	}
	order := map[string]int{}
	for i, t := range s.topics {
		order[t] = i
	}
	ids := make([]id, 0, len(sums))
	for at := range sums {
		ids = append(ids, at)
	}
	slices.SortFunc(ids, func(x, y id) int {
		return cmp.Or(cmp.Compare(order[x.topic], order[y.topic]), cmp.Compare(x.partition, y.partition), cmp.Compare(x.hour, y.hour), cmp.Compare(x.key, y.key))
	})
	rows := make([]tally, len(ids))
	for i, at := range ids {
		n := sums[at]
		rows[i] = tally{Topic: at.topic, Records: n.records, Bytes: &n.bytes}
		switch by {
		case "partition":
			rows[i].Partition = &at.partition
		case "hour":
			rows[i].Hour = time.UnixMilli(at.hour).UTC().Format("2006-01-02T15:04Z")
		case "key":
			if !at.null {
				rows[i].Key, rows[i].KeyBase64 = records.TextOrBase64([]byte(at.key))
			}
		}
	}
	return rows, nil
}
