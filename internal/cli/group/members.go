package group

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// memberRow is a member with its group.
type memberRow struct {
	Group string `json:"group"`
	member
}

// members lists who is in groups.
func members(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "members NAME...", Short: "List the members of groups and what they read", Args: app.AtLeastOne("NAME"),
		Example: "  klamm group members billing\n  klamm group members billing -o wide          # with partitions\n  klamm group members billing -o json",
	}
	form := app.OutputFlag(c)
	c.ValidArgsFunction = a.CompleteGroups()
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			pages, fails := (&cluster{cl: cl, adm: adm}).survey(ctx, a, names, memberDepth)
			var rows []memberRow
			for _, p := range pages {
				if len(p.Members) == 0 {
					a.Say("group %s has no members; it is %s", p.Group, p.State)
				}
				for _, m := range p.Members {
					rows = append(rows, memberRow{p.Group, m})
				}
			}
			if len(rows) > 0 || !form.Human() {
				if err := app.PrintList(a, form, app.List[memberRow]{
					Items: rows,
					ID:    func(r memberRow) string { return r.MemberID },
					Columns: []app.Column[memberRow]{
						{Name: "group", Text: func(r memberRow) string { return r.Group }},
						{Name: "member_id", Text: func(r memberRow) string { return r.MemberID }},
						{Name: "instance_id", Text: func(r memberRow) string { return r.instance() }},
						{Name: "client_id", Text: func(r memberRow) string { return app.OrDash(r.ClientID) }},
						{Name: "host", Text: func(r memberRow) string { return app.OrDash(r.Host) }},
						{Name: "partitions", Text: func(r memberRow) string { return fmt.Sprint(r.Partitions) }},
						{Name: "assigned", Wide: true, Text: func(r memberRow) string { return r.assigned() }},
					},
				}); err != nil {
					return err
				}
			}
			return app.Partly(a, len(pages), fails)
		})
	}
	a.Watchable(c)
	return c
}
