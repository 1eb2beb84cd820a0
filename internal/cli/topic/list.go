package topic

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// row is a topic in a list.
type row struct {
	Name       string `json:"name"`
	TopicID    string `json:"topic_id"`
	Partitions int    `json:"partitions"`
	Replicas   int    `json:"replicas"`
	Internal   bool   `json:"internal"`
	// The rest is null where it is not known.
	Records     *int64  `json:"records"` // end - start summed up: at most so many
	Bytes       *int64  `json:"bytes"`   // on the leaders
	RetentionMS *int64  `json:"retention_ms"`
	Policy      *string `json:"cleanup_policy"`
}

// retention says for people how long records stay.
func (r row) retention() string {
	if r.Policy == nil || r.RetentionMS == nil {
		return "-"
	}
	stay := app.DurationText(time.Duration(*r.RetentionMS) * time.Millisecond)
	if *r.RetentionMS < 0 || *r.RetentionMS > int64(290*365*24*time.Hour/time.Millisecond) {
		stay = "for ever"
	}
	compact, deletes := strings.Contains(*r.Policy, "compact"), strings.Contains(*r.Policy, "delete")
	switch {
	case compact && deletes:
		return stay + ", compacted"
	case compact:
		return "compacted"
	case deletes:
		return stay
	}
	return "for ever"
}

// list lists topics.
func list(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "list [NAME|PATTERN...]", Short: "List topics",
		Example: "  klamm topic list\n  klamm topic list 'shop-*' -o wide      # records, bytes and retention too\n  klamm topic list --regex 'shop-[0-9]+'\n  klamm topic list -o name --internal",
	}
	form := app.OutputFlag(c)
	internal := c.Flags().Bool("internal", false, "also the topics that the broker keeps for itself")
	regex := c.Flags().Bool("regex", false, "the arguments are regular expressions for whole names")
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, args []string) error {
		tests, err := matchers(c, args, *regex)
		if err != nil {
			return err
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			topics, err := adm.ListTopicsWithInternal(ctx)
			if err != nil {
				return app.Failed(err, "the topics could not be listed")
			}
			var found []kadm.TopicDetail
			hit := make([]bool, len(args))
			for _, t := range topics.Sorted() {
				if t.Err != nil {
					continue
				}
				wanted := len(args) == 0 && (*internal || !t.IsInternal)
				for i, test := range tests {
					if test(t.Topic) {
						exact := !*regex && !isPattern(args[i])
						hit[i] = true
						wanted = wanted || exact || *internal || !t.IsInternal
					}
				}
				if wanted {
					found = append(found, t)
				}
			}
			var fails []*app.Failure
			for i, arg := range args {
				if !hit[i] && !*regex && !isPattern(arg) {
					fails = append(fails, a.MissingTopic(ctx, adm, arg))
				}
			}
			rows := make([]row, len(found))
			for i, t := range found {
				rows[i] = row{Name: t.Topic, TopicID: uuidText(t.ID), Partitions: len(t.Partitions), Replicas: t.Partitions.NumReplicas(), Internal: t.IsInternal}
			}
			if form.Wide() || !form.Human() && form.String() != "name" && form.String() != "schema" {
				widen(ctx, cl, adm, found, rows, len(args) == 0)
			}
			if len(rows) == 0 && form.Human() {
				switch {
				case len(fails) > 0:
				case len(args) > 0:
					a.Say("no topic matches %s", strings.Join(args, ", "))
				default:
					a.Say("no topics yet; klamm topic create NAME makes one")
				}
				return app.Partly(a, 0, fails)
			}
			if err := app.PrintList(a, form, listOf(rows)); err != nil {
				return err
			}
			return app.Partly(a, len(rows), fails)
		})
	}
	a.Watchable(c)
	return c
}

// listOf is a list of topics.
func listOf(rows []row) app.List[row] {
	return app.List[row]{
		Items: rows,
		ID:    func(t row) string { return t.Name },
		Columns: []app.Column[row]{
			{Name: "name", Text: func(t row) string { return t.Name }},
			{Name: "partitions", Text: func(t row) string { return numberText(int64(t.Partitions)) }},
			{Name: "replicas", Text: func(t row) string { return numberText(int64(t.Replicas)) }},
			{Name: "records", Wide: true, Text: func(t row) string { return maybeNumber(t.Records) }},
			{Name: "bytes", Wide: true, Text: func(t row) string { return maybeNumber(t.Bytes) }},
			{Name: "retention", JSON: "retention_ms", Wide: true, Text: row.retention},
			{Name: "topic_id", Wide: true, Text: func(t row) string { return t.TopicID }},
			{Name: "internal", Wide: true, Text: func(t row) string { return fmt.Sprint(t.Internal) }},
			{Name: "cleanup_policy", Wide: true, Text: func(t row) string {
				if t.Policy == nil {
					return "-"
				}
				return *t.Policy
			}},
		},
	}
}

// numberText is a count, a dash for one that the broker did not tell.
func numberText(n int64) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// maybeNumber is a number, a dash for none.
func maybeNumber(n *int64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// widen asks for records, bytes and retention of all topics: a few requests for each broker, however many topics
// there are. What a broker does not tell stays nil.
func widen(ctx context.Context, cl *kgo.Client, adm *kadm.Client, topics []kadm.TopicDetail, rows []row, all bool) {
	if len(topics) == 0 {
		return
	}
	starts, _ := offsets(ctx, cl, topics, atStart)
	ends, _ := offsets(ctx, cl, topics, atEnd)
	bytes := sizes(ctx, adm, topics, all)
	configs := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: slices.Clone(names(topics)), Keys: []string{"cleanup.policy", "retention.ms"}})
	for i, t := range topics {
		r := &rows[i]
		for _, p := range t.Partitions {
			key := partition{t.Topic, p.Partition}
			start, ok := starts[key]
			end, too := ends[key]
			if ok && too {
				r.Records = plus(r.Records, end.offset-start.offset)
			}
			if n, ok := bytes[key]; ok {
				r.Bytes = plus(r.Bytes, n)
			}
		}
		if of := configs[t.Topic]; of.Err == nil {
			if ms, ok := of.Int("retention.ms"); ok {
				r.RetentionMS = &ms
			}
			if policy, ok := of.Row("cleanup.policy"); ok {
				r.Policy = policy.Value
			}
		}
	}
}

// plus adds to a sum that is nil as long as nothing was added.
func plus(sum *int64, n int64) *int64 {
	if sum != nil {
		n += *sum
	}
	return &n
}
