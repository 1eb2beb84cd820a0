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

// config shows a topic's configuration.
func config(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "config NAME [KEY...]", Short: "Show a topic's configuration: values, defaults and where they come from", Args: app.AtLeastOne("NAME"),
		Example: "  klamm topic config orders                    # what is not default\n  klamm topic config orders --all\n  klamm topic config orders retention.ms -o wide   # with its documentation\n  klamm topic alter orders --set retention.ms=3600000",
	}
	form := app.OutputFlag(c)
	all := c.Flags().Bool("all", false, "defaults too")
	topics, keys := a.CompleteTopics(), a.CompleteTopicConfigs(true)
	c.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return topics(c, args, begun)
		}
		return keys(c, args, begun)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		name, keys := args[0], args[1:]
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			t, err := findOne(ctx, a, c, adm, name)
			if err != nil {
				return err
			}
			got := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeTopic, Names: []string{name}, Documentation: form.Wide() || !form.Human()})
			settings.LookBehind(ctx, cl, anyLeader(t), got)
			of := got[name]
			if f := of.Failure("the configuration of topic %s could not be read", name); f != nil {
				return f
			}
			var rows []settings.Row
			var fails []*app.Failure
			for _, k := range keys {
				row, ok := of.Row(k)
				if !ok {
					fails = append(fails, of.Unknown("topic", k))
					continue
				}
				rows = append(rows, row)
			}
			if len(keys) == 0 {
				for _, row := range of.Rows {
					if *all || !row.IsDefault() {
						rows = append(rows, row)
					}
				}
			}
			if len(rows) == 0 && form.Human() {
				if len(fails) == 0 {
					a.Say("all of topic %s is default; --all shows it", name)
				}
				return app.Partly(a, 0, fails)
			}
			if err := app.PrintList(a, form, app.List[settings.Row]{
				Items:   rows,
				ID:      func(r settings.Row) string { return r.Key },
				Columns: settings.Columns(func(r settings.Row) settings.Row { return r }),
			}); err != nil {
				return err
			}
			return app.Partly(a, len(rows), fails)
		})
	}
	return c
}
