package topic

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// addPartitions gives a topic more partitions.
func addPartitions(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "add-partitions NAME [N]", Short: "Give a topic more partitions",
		Example: "  klamm topic add-partitions orders 2          # two more than there are\n  klamm topic add-partitions orders --to 12    # as many as are missing to twelve\n  klamm topic add-partitions orders --to 12 --dry-run",
	}
	form := app.OutputFlag(c)
	to := c.Flags().Int32("to", 0, "how many there are to be in the end")
	dry := app.DryRunFlag(c)
	wait := app.WaitFlag(c)
	c.Args = func(c *cobra.Command, args []string) error {
		if c.Flags().Changed("to") {
			return app.Exactly("NAME")(c, args)
		}
		return app.Exactly("NAME", "N")(c, args)
	}
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		more := 0
		if len(args) == 2 {
			var err error
			if more, err = strconv.Atoi(strings.TrimPrefix(args[1], "+")); err != nil || more < 1 {
				return app.Usage(c, "%s is no number of partitions to add; two more are 2 or +2", args[1])
			}
		} else if *to < 1 {
			return app.Usage(c, "--to %d: a topic has at least one partition", *to)
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			t, err := findOne(ctx, a, c, adm, args[0])
			if err != nil {
				return err
			}
			want := int(*to)
			if more > 0 {
				want = len(t.Partitions) + more
			}
			switch {
			case want < len(t.Partitions):
				return tooFew(t, want)
			case want == len(t.Partitions):
				a.Say("topic %s has %s already", t.Topic, app.CountText(want, "partition"))
				return printSteps(a, form, *dry, nil)
			}
			if f := raise(ctx, cl, adm, []kadm.TopicDetail{t}, want, *dry)[t.Topic]; f != nil {
				return f
			}
			if *wait && !*dry {
				if err := everywhere(ctx, a, cl, map[string]int{t.Topic: want}); err != nil {
					return err
				}
			}
			return printSteps(a, form, *dry, []step{partitionStep(t, want)})
		})
	}
	return c
}

// raise gives topics more partitions, with one request for all of them, or with dry lets the broker check whether
// it would. It returns a failure for each topic that was refused.
func raise(ctx context.Context, cl *kgo.Client, adm *kadm.Client, topics []kadm.TopicDetail, to int, dry bool) map[string]*app.Failure {
	fails := map[string]*app.Failure{}
	if len(topics) == 0 {
		return fails
	}
	update := adm.UpdatePartitions
	if dry {
		update = adm.ValidateUpdatePartitions
	}
	res, err := update(ctx, to, names(topics)...)
	wanted := map[string]int{}
	for _, t := range topics {
		r, ok := res[t.Topic]
		switch {
		case err != nil:
			fails[t.Topic] = app.Failed(err, "topic %s could not be given %s", t.Topic, app.CountText(to, "partition"))
		case ok && r.Err != nil:
			fails[t.Topic] = app.Refusal(r.Err, r.ErrMessage, "topic %s could not be given %s", t.Topic, app.CountText(to, "partition"))
		case !dry:
			wanted[t.Topic] = to
		}
	}
	settle(ctx, cl, wanted)
	return fails
}

// tooFew is the failure for fewer partitions than there are.
func tooFew(t kadm.TopicDetail, want int) *app.Failure {
	return &app.Failure{
		Exit: app.ExitFailed, Code: app.CodeBroker, What: fmt.Sprintf("topic %s has %s; it cannot have %d", t.Topic, app.CountText(len(t.Partitions), "partition"), want),
		Why: "partitions are never taken away, as their records would go with them", Try: fmt.Sprintf("klamm topic clone %s NEW -p %d", t.Topic, want),
	}
}
