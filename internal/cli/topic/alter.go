package topic

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// step is one change of a topic.
type step struct {
	Topic string `json:"topic"`
	settings.Step
}

// partitionsKey names the number of partitions among the keys of steps.
const partitionsKey = "partitions"

// alter changes topics.
func alter(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "alter NAME...", Short: "Change the configuration of topics, or give them more partitions", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic alter orders --set retention.ms=3600000 --unset segment.ms\n  klamm topic alter orders --append cleanup.policy=compact\n  klamm topic alter orders payments -p 12\n  klamm topic alter 'shop-*' --set compression.type=zstd --dry-run",
	}
	form := app.OutputFlag(c)
	flags := settings.AddFlags(c, a.CompleteTopicConfigs(false), a.CompleteTopicConfigs(true))
	partitions := c.Flags().Int32P("partitions", "p", 0, "how many partitions there are to be; never fewer than there are")
	dry := app.DryRunFlag(c)
	c.ValidArgsFunction = a.CompleteTopics()
	c.RunE = func(c *cobra.Command, args []string) error {
		changes, err := flags.Changes(c)
		if err != nil {
			return err
		}
		if c.Flags().Changed("partitions") && *partitions < 1 {
			return app.Usage(c, "-p %d: a topic has at least one partition", *partitions)
		}
		if len(changes) == 0 && *partitions == 0 {
			return app.Usage(c, "nothing is to be changed: give --set, --unset, --append, --subtract or -p")
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			topics, fails, err := find(ctx, a, c, adm, args)
			if err != nil {
				return err
			}
			job := alteration{changes: changes, partitions: int(*partitions), dry: *dry}
			steps, done, more := job.run(ctx, a, cl, adm, topics)
			fails = append(fails, more...)
			if err := printSteps(a, form, *dry, steps); err != nil {
				return err
			}
			return app.Partly(a, done, fails)
		})
	}
	return c
}

// alteration is what is to change of topics.
type alteration struct {
	changes    []settings.Change
	partitions int // 0 leaves them as many as they are
	dry        bool
}

// run makes the changes, topic by topic all or none of its configuration, with one request for all topics of each
// kind. It returns what was changed, of how many topics, and a failure for each other.
func (j alteration) run(ctx context.Context, a *app.App, cl *kgo.Client, adm *kadm.Client, topics []kadm.TopicDetail) (steps []step, done int, fails []*app.Failure) {
	var configs map[string]*settings.Resource
	if len(j.changes) > 0 {
		configs = settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: names(topics)})
		settings.LookBehind(ctx, cl, anyLeader(topics...), configs)
	}
	planned := map[string][]step{}
	var able, grow []kadm.TopicDetail
	for _, t := range topics {
		if j.partitions > 0 && j.partitions < len(t.Partitions) {
			fails = append(fails, tooFew(t, j.partitions))
			continue
		}
		if len(j.changes) > 0 {
			of := configs[t.Topic]
			if f := of.Failure("the configuration of topic %s could not be read", t.Topic); f != nil {
				fails = append(fails, f)
				continue
			}
			plan, refused := of.Plan("topic", kmsg.ConfigSourceDynamicTopicConfig, j.changes)
			if len(refused) > 0 {
				fails = append(fails, refused...)
				continue
			}
			for _, s := range plan {
				planned[t.Topic] = append(planned[t.Topic], step{t.Topic, s})
			}
		}
		able = append(able, t)
		if j.partitions > len(t.Partitions) {
			grow = append(grow, t)
		}
	}
	failed := map[string]bool{}
	refuse := func(name string, f *app.Failure) {
		if !failed[name] {
			failed[name] = true
			fails = append(fails, f)
		}
	}
	if len(j.changes) > 0 && len(able) > 0 {
		for _, o := range settings.Alter(ctx, cl, kmsg.ConfigResourceTypeTopic, names(able), j.changes, j.dry) {
			if o.Err != nil {
				refuse(o.Name, o.Failure("topic %s could not be altered", o.Name))
			}
		}
	}
	var left []kadm.TopicDetail
	for _, t := range grow {
		if !failed[t.Topic] {
			left = append(left, t)
		}
	}
	for name, f := range raise(ctx, cl, adm, left, j.partitions, j.dry) {
		refuse(name, f)
	}
	for _, t := range able {
		if failed[t.Topic] {
			continue
		}
		done++
		steps = append(steps, planned[t.Topic]...)
		switch {
		case j.partitions > len(t.Partitions):
			steps = append(steps, partitionStep(t, j.partitions))
		case j.partitions > 0:
			a.Say("topic %s has %s already", t.Topic, app.CountText(j.partitions, "partition"))
		}
	}
	return steps, done, fails
}

// partitionStep is the change of a topic's number of partitions.
func partitionStep(t kadm.TopicDetail, to int) step {
	from, now := fmt.Sprint(len(t.Partitions)), fmt.Sprint(to)
	return step{t.Topic, settings.Step{Key: partitionsKey, Old: &from, New: &now}}
}

// printSteps tells what was changed, or would be.
func printSteps(a *app.App, form *app.Form, dry bool, steps []step) error {
	if slices.ContainsFunc(steps, func(s step) bool { return s.Key == partitionsKey }) {
		defer a.Say("note: with more partitions most keys go to another partition from now on; their older records stay where they are")
	}
	if form.Human() {
		verb := "altered"
		if dry {
			verb = "would alter"
		}
		for _, s := range steps {
			a.Say("%s topic %s: %s", verb, s.Topic, s.Step)
		}
		return nil
	}
	return app.PrintList(a, form, app.List[step]{
		Items: steps,
		ID:    func(s step) string { return s.Topic },
		Columns: []app.Column[step]{
			{Name: "topic", Text: func(s step) string { return s.Topic }},
			{Name: "key", Text: func(s step) string { return s.Key }},
			{Name: "old", Text: func(s step) string { return settings.ValueText(s.Old, false) }},
			{Name: "new", Text: func(s step) string { return settings.ValueText(s.New, false) }},
		},
	})
}
