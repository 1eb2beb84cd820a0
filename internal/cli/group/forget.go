package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// forget deletes the committed offsets of a group in topics.
func forget(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "forget NAME TOPIC...", Short: "Delete the committed offsets of a group in topics",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return app.Exactly("NAME", "TOPIC")(c, args)
			}
			return nil
		},
		Example: "  klamm group forget billing orders            # asks for the group's name\n  klamm group forget billing orders -y\n  klamm group forget billing orders:0,3 payments --confirm billing\n  klamm group forget billing orders --dry-run",
	}
	harm := app.HarmFlags(c)
	topics := a.CompleteTopics()
	groups := a.CompleteGroups()
	c.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return groups(c, args, begun)
		}
		return topics(c, args[1:], begun)
	}
	_ = c.RegisterFlagCompletionFunc("confirm", a.CompleteGroups())
	c.RunE = func(c *cobra.Command, args []string) error {
		only, err := parseTopics(c, args[1:])
		if err != nil {
			return err
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			k := &cluster{cl: cl, adm: adm}
			p, near, err := k.find(ctx, a, args[0])
			switch {
			case err != nil:
				return err
			case near != nil:
				return near
			}
			which := kadm.TopicsSet{}
			chosen := map[partition]bool{}
			var fails []*app.Failure
			for _, s := range only {
				n := 0
				for _, o := range p.Offsets {
					if o.Topic == s.topic && o.Committed >= 0 && (s.partitions == nil || slices.Contains(s.partitions, o.Partition)) {
						which.Add(o.Topic, o.Partition)
						chosen[o.key()] = true
						n++
					}
				}
				if n == 0 {
					fails = append(fails, &app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("group %s has no committed offsets in %s", p.Group, s), Try: "klamm group describe " + quote(p.Group)})
					continue
				}
				a.Say("forget offsets of group %s in topic %s: %s", p.Group, s.topic, app.CountText(n, "partition"))
			}
			if *harm.DryRun || len(chosen) == 0 {
				return app.Partly(a, len(chosen), fails)
			}
			if err := harm.Ask(a, p.Group, "delete these offsets"); err != nil {
				return err
			}
			done := map[partition]bool{}
			byTopic := map[string]error{}
			for key, err := range k.takeAway(ctx, p.Group, which) {
				if err == nil {
					done[key] = true
				} else {
					byTopic[key.topic] = err
				}
			}
			for _, s := range only {
				if err := byTopic[s.topic]; err != nil {
					delete(byTopic, s.topic)
					fails = append(fails, p.unforgotten(s.topic, err))
				}
			}
			if len(done) > 0 {
				a.Say("deleted the offsets of %s", app.CountText(len(done), "partition"))
				for _, line := range p.restoring(a, c, func(key partition) bool { return done[key] }) {
					a.Say("to reverse: %s", line)
				}
			}
			return app.Partly(a, len(done), fails)
		})
	}
	return c
}

// String is the selection in the form orders or orders:0,3.
func (s selection) String() string {
	if s.partitions == nil {
		return "topic " + s.topic
	}
	return fmt.Sprintf("partitions %s of topic %s", strings.ReplaceAll(app.IDsText(s.partitions), ",", ", "), s.topic)
}

// unforgotten is the failure for a topic whose offsets stay.
func (p *page) unforgotten(topic string, err error) *app.Failure {
	f := app.Failed(err, "the offsets of group %s in topic %s could not be deleted", p.Group, topic)
	if errors.Is(err, kerr.GroupSubscribedToTopic) || errors.Is(err, kerr.NonEmptyGroup) {
		busy := p.busy("changed")
		f.Exit, f.Code, f.Try = busy.Exit, busy.Code, busy.Try
		if len(p.Members) > 0 {
			f.Why = busy.Why
		}
	}
	return f
}
