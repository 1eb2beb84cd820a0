package topic

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// remove deletes topics for good.
func remove(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME...", Short: "Delete topics and all their records", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic delete orders                    # asks for the name\n  klamm topic delete orders --confirm orders   # in scripts\n  klamm topic delete orders payments -y\n  klamm topic delete 'tmp-*' --dry-run         # a pattern needs --confirm of each name",
	}
	harm := app.HarmFlags(c)
	wait := app.WaitFlag(c)
	c.ValidArgsFunction = a.CompleteTopics()
	_ = c.RegisterFlagCompletionFunc("confirm", a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			topics, fails, err := find(ctx, a, c, adm, args)
			if err != nil {
				return err
			}
			tellLoss(ctx, a, cl, adm, topics)
			if *harm.DryRun || len(topics) == 0 {
				return app.Partly(a, len(topics), fails)
			}
			for _, t := range topics {
				// A pattern names what nobody has read, so -y is not enough for it.
				ask := harm.Ask
				if !slices.Contains(args, t.Topic) {
					ask = harm.AskByName
				}
				if err := ask(a, t.Topic, "delete it"); err != nil {
					return confirmAll(err, args, topics)
				}
			}
			res, err := adm.DeleteTopics(ctx, names(topics)...)
			if err != nil {
				return app.Failed(err, "the topics could not be deleted")
			}
			gone := map[string]int{}
			for _, t := range topics {
				r := res[t.Topic]
				if r.Err != nil {
					fails = append(fails, app.Refusal(r.Err, r.ErrMessage, "topic %s could not be deleted", r.Topic))
					continue
				}
				gone[r.Topic] = 0
				a.Say("deleted topic %s", r.Topic)
			}
			settle(ctx, cl, gone)
			if *wait {
				if err := everywhere(ctx, a, cl, gone); err != nil {
					return err
				}
			}
			return app.Partly(a, len(gone), fails)
		})
	}
	return c
}

// tellLoss says what goes with topics: partitions, records, bytes, and who reads them.
func tellLoss(ctx context.Context, a *app.App, cl *kgo.Client, adm *kadm.Client, topics []kadm.TopicDetail) {
	if len(topics) == 0 || a.Quiet() {
		return
	}
	rows := make([]row, len(topics))
	starts, _ := offsets(ctx, cl, topics, atStart)
	ends, _ := offsets(ctx, cl, topics, atEnd)
	bytes := sizes(ctx, adm, topics, false)
	by, _ := readers(ctx, cl, adm, topics, func(p partition) (int64, bool) { e, ok := ends[p]; return e.offset, ok })
	for i, t := range topics {
		r := &rows[i]
		for _, p := range t.Partitions {
			key := partition{t.Topic, p.Partition}
			if start, ok := starts[key]; ok {
				r.Records = plus(r.Records, max(ends[key].offset-start.offset, 0))
			}
			if n, ok := bytes[key]; ok {
				r.Bytes = plus(r.Bytes, n)
			}
		}
		text := app.CountText(len(t.Partitions), "partition")
		if r.Records != nil {
			text += ", about " + app.CountText(*r.Records, "record")
		}
		if r.Bytes != nil {
			text += ", " + app.BytesText(*r.Bytes)
		}
		if list := by[t.Topic]; len(list) > 0 {
			text += "; " + app.CountText(len(list), "group") + " with offsets in it: " + groupNames(list)
		}
		a.Say("delete topic %s: %s", t.Topic, text)
	}
}

// groupNames lists a few groups by name.
func groupNames(list []lag) string {
	const most = 5
	var names []string
	for _, g := range list[:min(len(list), most)] {
		names = append(names, g.Group)
	}
	if len(list) > most {
		names = append(names, "and more")
	}
	return strings.Join(names, ", ")
}

// confirmAll names all topics in the advice of a refusal, so that one more try is enough. Of very many it says how to
// name them.
func confirmAll(err error, args []string, topics []kadm.TopicDetail) error {
	const most = 20
	if len(topics) < 2 {
		return err
	}
	f := app.Explain(err)
	switch {
	case f.Code != app.CodeRefused || f.Try == "":
	case len(topics) > most && strings.Contains(f.Why, "is protected"):
		f.Try = fmt.Sprintf("--confirm NAME for each of the %d topics", len(topics))
	case len(topics) > most:
		f.Try = fmt.Sprintf("klamm topic delete $(klamm topic list '%s' -o name) -y, when all %d may go", strings.Join(args, "' '"), len(topics))
	default:
		all := "--confirm " + strings.Join(names(topics), " --confirm ")
		if strings.HasSuffix(f.Try, ", or -y") {
			all += ", or -y"
		}
		f.Try = all
	}
	return f
}
