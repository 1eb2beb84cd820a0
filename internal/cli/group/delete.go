package group

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// remove deletes groups with their committed offsets.
func remove(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME...", Short: "Delete groups and their committed offsets", Args: app.AtLeastOne("NAME"),
		Example: "  klamm group delete billing                   # asks for the name\n  klamm group delete billing --confirm billing\n  klamm group delete billing shadow -y\n  klamm group delete billing --dry-run",
	}
	harm := app.HarmFlags(c)
	c.ValidArgsFunction = a.CompleteGroups()
	_ = c.RegisterFlagCompletionFunc("confirm", a.CompleteGroups())
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			pages, fails := (&cluster{cl: cl, adm: adm}).survey(ctx, a, names, offsetDepth)
			var able []page
			for _, p := range pages {
				if len(p.Members) > 0 {
					fails = append(fails, p.busy("deleted"))
					continue
				}
				able = append(able, p)
				a.Say("delete group %s: %s, %s", p.Group, p.State, p.committedText())
			}
			if *harm.DryRun || len(able) == 0 {
				return app.Partly(a, len(able), fails)
			}
			for _, p := range able {
				if err := harm.Ask(a, p.Group, "delete it"); err != nil {
					return confirmAll(err, able)
				}
			}
			var doomed []string
			for _, p := range able {
				doomed = append(doomed, p.Group)
			}
			res, err := adm.DeleteGroups(ctx, doomed...)
			done := 0
			for _, p := range able {
				r, ok := res[p.Group]
				switch {
				case !ok && err != nil:
					fails = append(fails, app.Failed(err, "group %s could not be deleted", p.Group))
				case !ok:
					fails = append(fails, app.Failed(kerr.CoordinatorNotAvailable, "group %s could not be deleted", p.Group))
				case errors.Is(r.Err, kerr.NonEmptyGroup):
					fails = append(fails, &app.Failure{Exit: app.ExitRefused, Code: app.CodeRefused, What: fmt.Sprintf("group %s was not deleted", p.Group), Why: "a member joined it meanwhile", Try: "klamm group members " + quote(p.Group)})
				case r.Err != nil:
					fails = append(fails, app.Refusal(r.Err, r.ErrMessage, "group %s could not be deleted", p.Group))
				default:
					done++
					a.Say("deleted group %s", p.Group)
					for _, line := range p.restoring(a, c, nil) {
						a.Say("to reverse: %s", line)
					}
				}
			}
			return app.Partly(a, done, fails)
		})
	}
	return c
}

// committedText says where a group has committed offsets.
func (p *page) committedText() string {
	count := map[string]int{}
	var topics []string
	n := 0
	for _, o := range p.Offsets {
		if o.Committed < 0 {
			continue
		}
		n++
		if count[o.Topic]++; count[o.Topic] == 1 {
			topics = append(topics, o.Topic)
		}
	}
	if n == 0 {
		return "no committed offsets"
	}
	const most = 5
	if len(topics) > most {
		topics = append(topics[:most], "and more")
	}
	return fmt.Sprintf("offsets of %s of %s", app.CountText(n, "partition"), strings.Join(topics, ", "))
}

// restoring is the command that commits offsets of a group again; of all that there are, or of some.
func (p *page) restoring(a *app.App, cmd *cobra.Command, some func(partition) bool) []string {
	var moves []move
	for _, o := range p.Offsets {
		if o.Committed >= 0 && (some == nil || some(o.key())) {
			moves = append(moves, move{Group: p.Group, Topic: o.Topic, Partition: o.Partition, From: o.Committed, To: noOffset})
		}
	}
	return reversing(a, cmd, plan{page: *p, exists: true}, moves)
}

// confirmAll names all groups in the advice of a refusal, so that one more try is enough.
func confirmAll(err error, pages []page) error {
	if len(pages) < 2 {
		return err
	}
	f := app.Explain(err)
	if f.Code == app.CodeRefused && f.Try != "" {
		yes := strings.HasSuffix(f.Try, ", or -y")
		f.Try = ""
		for _, p := range pages {
			f.Try += " --confirm " + quote(p.Group)
		}
		f.Try = strings.TrimPrefix(f.Try, " ")
		if yes {
			f.Try += ", or -y"
		}
	}
	return f
}
