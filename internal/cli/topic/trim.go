package topic

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// trim deletes the older records of a topic.
func trim(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "trim NAME", Short: "Delete a topic's older records, by offset or time", Args: app.Exactly("NAME"),
		Example: "  klamm topic trim orders --before -7d         # what is older than a week\n  klamm topic trim orders --before @2026-01-31 --dry-run\n  klamm topic trim orders --before 1000 --partition 0 --confirm orders\n  klamm topic trim orders --partition 0:1000 --partition 3:500 -y",
	}
	form := app.OutputFlag(c)
	before := c.Flags().String("before", "", "what goes: records before an offset (1000), a time (@2026-01-31T15:04), a duration ago (-1h), or end")
	only := c.Flags().StringArray("partition", nil, "of this partition alone: P, or P:OFFSET with an offset of its own; may be given again")
	harm := app.HarmFlags(c)
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	_ = c.RegisterFlagCompletionFunc("confirm", a.CompleteTopics())
	_ = c.RegisterFlagCompletionFunc("before", app.CompleteValues("-1h", "-1d", "-7d", "end"))
	_ = c.RegisterFlagCompletionFunc("partition", cobra.NoFileCompletions)
	c.RunE = func(c *cobra.Command, args []string) error {
		to, err := parseTrim(c, *before, *only, a.Time())
		if err != nil {
			return err
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			t, err := findOne(ctx, a, c, adm, args[0])
			if err != nil {
				return err
			}
			cuts, err := to.plan(ctx, cl, t)
			if err != nil {
				return err
			}
			return cut(ctx, a, form, harm, cl, adm, cuts, nil)
		})
	}
	return c
}

// empty deletes all records of topics.
func empty(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "empty NAME...", Short: "Delete all records of topics, and keep the topics", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic empty orders                     # asks for the name\n  klamm topic empty orders --dry-run\n  klamm topic empty orders --confirm orders",
	}
	form := app.OutputFlag(c)
	harm := app.HarmFlags(c)
	c.ValidArgsFunction = a.CompleteTopics()
	_ = c.RegisterFlagCompletionFunc("confirm", a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		if i := slices.IndexFunc(args, isPattern); i >= 0 {
			return app.Usage(c, "%s is a pattern; name each topic that is to be emptied", args[i])
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			topics, fails, err := find(ctx, a, c, adm, args)
			if err != nil {
				return err
			}
			var cuts []cutRow
			for _, t := range topics {
				more, err := trimTo{end: true}.plan(ctx, cl, t)
				if err != nil {
					return err
				}
				cuts = append(cuts, more...)
			}
			if len(cuts) == 0 {
				return app.Partly(a, 0, fails)
			}
			return cut(ctx, a, form, harm, cl, adm, cuts, fails)
		})
	}
	return c
}

// trimTo says where logs are to begin.
type trimTo struct {
	end    bool
	offset int64           // when no other is set; -1 for none
	time   *time.Time      // the first record at this time or later
	only   map[int32]int64 // partitions, with an offset of their own or -1; nil for all
}

// parseTrim reads --before and --partition.
func parseTrim(c *cobra.Command, before string, only []string, now time.Time) (trimTo, error) {
	to := trimTo{offset: -1}
	switch {
	case before == "":
	case before == "end":
		to.end = true
	case strings.HasPrefix(before, "@"), strings.HasPrefix(before, "-"):
		t, err := app.ParseTime(strings.TrimPrefix(before, "@"), now)
		if err != nil {
			return to, app.Usage(c, "--before %s: %s", before, err)
		}
		to.time = &t
	default:
		n, err := strconv.ParseInt(before, 10, 64)
		if err != nil {
			return to, app.Usage(c, "--before %s: allowed are an offset (1000), a time (@2026-01-31T15:04), a duration ago (-1h) and end", before)
		}
		to.offset = n
	}
	for _, arg := range only {
		p, offset, own := strings.Cut(arg, ":")
		n, err := strconv.ParseInt(p, 10, 32)
		at := int64(-1)
		if err == nil && own {
			at, err = strconv.ParseInt(offset, 10, 64)
		}
		if err != nil || n < 0 || own && at < 0 {
			return to, app.Usage(c, "--partition %s: not of the form 3 or 3:1000", arg)
		}
		if !own && before == "" {
			return to, app.Usage(c, "--partition %s: give --before too, or an offset as in %s:1000", arg, arg)
		}
		if to.only == nil {
			to.only = map[int32]int64{}
		}
		to.only[int32(n)] = at
	}
	if before == "" && len(only) == 0 {
		return to, app.Usage(c, "--before is missing: it says what goes")
	}
	return to, nil
}

// cutRow is what goes from a partition.
type cutRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start_offset"`
	NewStart  int64  `json:"new_start_offset"`
	End       int64  `json:"end_offset"`
	Records   int64  `json:"records"` // at most so many go
}

// plan finds out where each partition's log is to begin, never before it begins now and never after its end.
func (to trimTo) plan(ctx context.Context, cl *kgo.Client, t kadm.TopicDetail) ([]cutRow, error) {
	one := []kadm.TopicDetail{t}
	for p := range to.only {
		if _, ok := t.Partitions[p]; !ok {
			return nil, &app.Failure{
				Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("topic %s has no partition %d", t.Topic, p),
				Why: fmt.Sprintf("it has %s, counted from 0", app.CountText(len(t.Partitions), "partition")), Try: "klamm topic describe " + t.Topic,
			}
		}
	}
	starts, err := offsets(ctx, cl, one, atStart)
	if err != nil {
		return nil, silence(err, "the first offsets of topic %s could not be read", t.Topic)
	}
	ends, err := offsets(ctx, cl, one, atEnd)
	if err != nil {
		return nil, silence(err, "the last offsets of topic %s could not be read", t.Topic)
	}
	var times map[partition]place
	if to.time != nil {
		if times, err = offsets(ctx, cl, one, to.time.UnixMilli()); err != nil {
			return nil, silence(err, "the offsets of topic %s at %s could not be read", t.Topic, app.TimeText(to.time.UnixMilli()))
		}
	}
	var cuts []cutRow
	for _, d := range t.Partitions.Sorted() {
		own, wanted := to.only[d.Partition]
		if to.only != nil && !wanted {
			continue
		}
		key := partition{t.Topic, d.Partition}
		start, ok := starts[key]
		end, too := ends[key]
		if !ok || !too {
			return nil, &app.Failure{
				Exit: app.ExitFailed, Code: app.CodeBroker, What: fmt.Sprintf("partition %d of topic %s has no leader, so nothing was deleted", d.Partition, t.Topic),
				Try: "klamm topic describe " + t.Topic,
			}
		}
		at := end.offset
		switch {
		case wanted && own >= 0:
			at = own
		case to.end:
		case to.time != nil:
			if o := times[key]; o.offset >= 0 {
				at = o.offset
			}
		default:
			at = to.offset
		}
		at = max(start.offset, min(at, end.offset))
		cuts = append(cuts, cutRow{t.Topic, d.Partition, start.offset, at, end.offset, at - start.offset})
	}
	return cuts, nil
}

// silence is the failure of offsets that could not be read: of a leader that does not answer where others do.
func silence(err error, format string, args ...any) *app.Failure {
	f := app.Failed(err, format, args...)
	if f.Code == app.CodeUnreachable {
		f.Try = "klamm cluster health"
	}
	return f
}

// cut shows what goes, asks, and deletes it. fails are what went wrong before.
func cut(ctx context.Context, a *app.App, form *app.Form, harm *app.Harm, cl *kgo.Client, adm *kadm.Client, cuts []cutRow, fails []*app.Failure) error {
	list := app.List[cutRow]{
		Items: cuts,
		ID:    func(r cutRow) string { return fmt.Sprintf("%s-%d", r.Topic, r.Partition) },
		Columns: []app.Column[cutRow]{
			{Name: "topic", Text: func(r cutRow) string { return r.Topic }},
			{Name: "partition", Text: func(r cutRow) string { return fmt.Sprint(r.Partition) }},
			{Name: "start_offset", Text: func(r cutRow) string { return fmt.Sprint(r.Start) }},
			{Name: "new_start_offset", Text: func(r cutRow) string { return fmt.Sprint(r.NewStart) }},
			{Name: "end_offset", Text: func(r cutRow) string { return fmt.Sprint(r.End) }},
			{Name: "records", Text: func(r cutRow) string { return fmt.Sprint(r.Records) }},
		},
	}
	var topics []string
	total, gone := map[string]int64{}, map[string]int64{}
	for _, r := range cuts {
		if !slices.Contains(topics, r.Topic) {
			topics = append(topics, r.Topic)
		}
		total[r.Topic] += r.End - r.Start
		gone[r.Topic] += r.Records
	}
	if form.Human() {
		if err := app.PrintList(a, form, list); err != nil {
			return err
		}
	}
	var able []string
	configs := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: topics, Keys: []string{"cleanup.policy"}})
	for _, name := range topics {
		if f := undeletable(name, configs[name]); f != nil {
			fails = append(fails, f)
			continue
		}
		if gone[name] == 0 {
			a.Say("topic %s: there is nothing to delete", name)
			continue
		}
		a.Say("delete from topic %s: about %d of %s", name, gone[name], app.CountText(total[name], "record"))
		able = append(able, name)
	}
	if !*harm.DryRun {
		for _, name := range able {
			if err := harm.Ask(a, name, "delete these records"); err != nil {
				return err
			}
		}
	}
	done, more := len(topics)-len(fails), []*app.Failure(nil)
	if !*harm.DryRun && len(able) > 0 {
		done, more = deleteRecords(ctx, a, adm, cuts, able)
		fails = append(fails, more...)
	}
	if !form.Human() {
		if err := app.PrintList(a, form, list); err != nil {
			return err
		}
	}
	return app.Partly(a, done, fails)
}

// undeletable is the failure for a topic of which brokers delete no records: its policy does not have delete.
func undeletable(name string, of *settings.Resource) *app.Failure {
	policy, ok := of.Row("cleanup.policy")
	if !ok || policy.Value == nil || strings.Contains(*policy.Value, "delete") {
		return nil
	}
	return &app.Failure{
		Exit: app.ExitFailed, Code: app.CodeBroker, What: fmt.Sprintf("no records of topic %s can be deleted", name),
		Why: fmt.Sprintf("its cleanup.policy is %q, and brokers delete records only where it has delete", *policy.Value),
		Try: fmt.Sprintf("klamm topic alter %s --append cleanup.policy=delete   # or delete keys by producing null values", name),
	}
}

// deleteRecords moves the starts of the logs of the topics that are able, with one request for each broker.
func deleteRecords(ctx context.Context, a *app.App, adm *kadm.Client, cuts []cutRow, able []string) (done int, fails []*app.Failure) {
	var ask kadm.Offsets
	gone := map[string]int64{}
	for _, r := range cuts {
		if slices.Contains(able, r.Topic) && r.Records > 0 {
			ask.Add(kadm.Offset{Topic: r.Topic, Partition: r.Partition, At: r.NewStart, LeaderEpoch: -1})
		}
	}
	res, err := adm.DeleteRecords(ctx, ask)
	failed := map[string]bool{}
	for _, r := range cuts {
		if _, asked := ask.Lookup(r.Topic, r.Partition); !asked {
			continue
		}
		got, ok := res.Lookup(r.Topic, r.Partition)
		switch {
		case ok && got.Err == nil:
			gone[r.Topic] += r.Records
		case ok:
			failed[r.Topic] = true
			fails = append(fails, app.Failed(got.Err, "records of partition %d of topic %s could not be deleted", r.Partition, r.Topic))
		default:
			failed[r.Topic] = true
			if err == nil {
				err = context.DeadlineExceeded
			}
			fails = append(fails, app.Failed(err, "records of partition %d of topic %s could not be deleted", r.Partition, r.Topic))
		}
	}
	for _, name := range able {
		if gone[name] > 0 || !failed[name] {
			done++
			a.Say("deleted about %s from topic %s", app.CountText(gone[name], "record"), name)
		}
	}
	return done, fails
}
