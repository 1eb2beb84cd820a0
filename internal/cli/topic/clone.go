package topic

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// clone makes a topic like another one.
func clone(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "clone OLD NEW", Short: "Create a topic like another one: partitions, replicas and configuration, no records", Args: app.Exactly("OLD", "NEW"),
		Example: "  klamm topic clone orders orders-test\n  klamm topic clone orders orders-wide -p 24 -c retention.ms=3600000",
	}
	form := app.OutputFlag(c)
	partitions := c.Flags().Int32P("partitions", "p", -1, "how many partitions (default: as many as OLD)")
	replicas := c.Flags().Int16P("replicas", "r", -1, "how many replicas of each (default: as many as OLD)")
	configs := c.Flags().StringArrayP("config", "c", nil, "key=value that is to differ from OLD; may be given again")
	dry := app.DryRunFlag(c)
	_ = c.RegisterFlagCompletionFunc("config", a.CompleteTopicConfigs(false))
	c.ValidArgsFunction = app.CompleteOnce(a.CompleteTopics())
	c.RunE = func(c *cobra.Command, args []string) error {
		from, to := args[0], args[1]
		others, err := keyValues(c, *configs)
		if err != nil {
			return err
		}
		if *partitions == 0 || *partitions < -1 {
			return app.Usage(c, "-p %d: a topic has at least one partition", *partitions)
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			old, err := findOne(ctx, a, c, adm, from)
			if err != nil {
				return err
			}
			of := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: []string{from}})[from]
			if f := of.Failure("the configuration of topic %s could not be read", from); f != nil {
				return f
			}
			spec := newTopic{partitions: int32(len(old.Partitions)), replicas: int16(old.Partitions.NumReplicas()), configs: others}
			if *partitions > 0 {
				spec.partitions = *partitions
			}
			if *replicas > 0 {
				spec.replicas = *replicas
			}
			for _, r := range of.Rows {
				// Only what is the topic's own: the rest comes from the brokers for the new one too.
				if _, other := others[r.Key]; !other && r.From() == kmsg.ConfigSourceDynamicTopicConfig {
					spec.configs[r.Key] = r.Value
				}
			}
			done, fails, err := spec.create(ctx, a, cl, adm, []string{to}, false, *dry)
			if err != nil {
				return err
			}
			if form.Human() {
				say(a, *dry, done)
				if len(done) > 0 && !*dry {
					a.Say("its records: klamm topic replay %s %s", from, to)
				}
			} else if err := app.PrintList(a, form, listOf(done)); err != nil {
				return err
			}
			return app.Partly(a, len(done), fails)
		})
	}
	return c
}
