package group

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Noun is the noun of consumer groups.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("group", "groups", "List and look at consumer groups", "  klamm group list\n  klamm group describe billing", groupList(a), groupDescribe(a))
}

// groupRow is a group in a list.
type groupRow struct {
	Group       string `json:"group"`
	State       string `json:"state"`
	Protocol    string `json:"protocol_type"`
	Coordinator int32  `json:"coordinator"`
}

// groupList lists groups.
func groupList(a *app.App) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List consumer groups", Args: app.Exactly(), Example: "  klamm group list\n  klamm group list -o json"}
	form := app.OutputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			groups, err := adm.ListGroups(ctx)
			if err != nil {
				return app.Failed(err, "the groups could not be listed")
			}
			rows := []groupRow{}
			for _, g := range groups.Sorted() {
				rows = append(rows, groupRow{g.Group, g.State, g.ProtocolType, g.Coordinator})
			}
			if len(rows) == 0 && form.Human() {
				a.Say("no groups yet; klamm consume TOPIC -g NAME makes one")
				return nil
			}
			return app.PrintList(a, form, app.List[groupRow]{
				Items: rows,
				ID:    func(g groupRow) string { return g.Group },
				Columns: []app.Column[groupRow]{
					{Name: "group", Text: func(g groupRow) string { return g.Group }},
					{Name: "state", Text: func(g groupRow) string { return g.State }},
					{Name: "protocol_type", Text: func(g groupRow) string { return app.OrDash(g.Protocol) }},
					{Name: "coordinator", Text: func(g groupRow) string { return fmt.Sprint(g.Coordinator) }},
				},
			})
		})
	}
	return c
}

// groupPage is what group describe tells of a group.
type groupPage struct {
	Group       string      `json:"group"`
	State       string      `json:"state"`
	Protocol    string      `json:"protocol"`
	Coordinator int32       `json:"coordinator"`
	Lag         int64       `json:"lag"` // records not yet committed, of all partitions with a commit
	Members     []memberRow `json:"members"`
	Offsets     []offsetRow `json:"offsets"`
}

// memberRow is one member of a groupPage.
type memberRow struct {
	MemberID   string  `json:"member_id"`
	InstanceID *string `json:"instance_id"`
	ClientID   string  `json:"client_id"`
	Host       string  `json:"host"`
	Partitions int     `json:"partitions"`
}

// offsetRow is one partition of a groupPage.
type offsetRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed_offset"` // -1 for none
	End       int64  `json:"end_offset"`
	Lag       int64  `json:"lag"` // -1 when not known
	MemberID  string `json:"member_id,omitempty"`
}

// groupDescribe tells all of groups.
func groupDescribe(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "describe NAME...", Short: "Show groups: members, committed offsets, lag", Args: app.AtLeastOne("NAME"),
		Example: "  klamm group describe billing\n  klamm group describe billing -o json",
	}
	form := app.OutputFlag(c)
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			// A copy, because the client library writes over the names it is given.
			lags, err := adm.Lag(ctx, slices.Clone(names)...)
			if err != nil && len(lags) == 0 {
				return app.Failed(err, "the groups could not be described")
			}
			var pages []groupPage
			var fails []*app.Failure
			for _, n := range names {
				l, ok := lags[n]
				switch {
				case !ok || errors.Is(l.Error(), kerr.GroupIDNotFound) || l.State == "Dead":
					fails = append(fails, &app.Failure{Exit: app.ExitNotFound, Code: app.CodeNotFound, What: fmt.Sprintf("there is no group %s", n), Try: "klamm group list"})
				case l.Error() != nil:
					fails = append(fails, app.Failed(l.Error(), "group %s could not be described", n))
				default:
					pages = append(pages, newGroupPage(l))
				}
			}
			if err := app.PrintPages(a, form, len(names), app.List[groupPage]{
				Items: pages,
				ID:    func(p groupPage) string { return p.Group },
				Columns: []app.Column[groupPage]{
					{Name: "group", Text: func(p groupPage) string { return p.Group }},
					{Name: "state", Text: func(p groupPage) string { return p.State }},
					{Name: "members", Text: func(p groupPage) string { return fmt.Sprint(len(p.Members)) }},
					{Name: "lag", Text: func(p groupPage) string { return fmt.Sprint(p.Lag) }},
				},
			}, func(w io.Writer, p groupPage) { p.print(w) }); err != nil {
				return err
			}
			return app.Partly(a, len(pages), fails)
		})
	}
	return c
}

// newGroupPage gathers a page of what the client library computed.
func newGroupPage(l kadm.DescribedGroupLag) groupPage {
	p := groupPage{Group: l.Group, State: l.State, Protocol: l.Protocol, Coordinator: l.Coordinator.NodeID, Members: []memberRow{}, Offsets: []offsetRow{}}
	for _, m := range l.Members {
		row := memberRow{MemberID: m.MemberID, InstanceID: m.InstanceID, ClientID: m.ClientID, Host: m.ClientHost}
		if as, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range as.Topics {
				row.Partitions += len(t.Partitions)
			}
		}
		p.Members = append(p.Members, row)
	}
	for _, o := range l.Lag.Sorted() {
		row := offsetRow{Topic: o.Topic, Partition: o.Partition, Committed: o.Commit.At, End: o.End.Offset, Lag: o.Lag}
		if o.Member != nil {
			row.MemberID = o.Member.MemberID
		}
		if o.Lag > 0 {
			p.Lag += o.Lag
		}
		p.Offsets = append(p.Offsets, row)
	}
	return p
}

// print writes the page for people.
func (p *groupPage) print(w io.Writer) {
	fmt.Fprintf(w, "%s   %s, %s, lag %s, coordinator %d", p.Group, p.State, app.CountText(len(p.Members), "member"), app.CountText(int(p.Lag), "record"), p.Coordinator)
	if p.Protocol != "" {
		fmt.Fprintf(w, ", assignor %s", p.Protocol)
	}
	fmt.Fprintln(w)
	if len(p.Members) > 0 {
		fmt.Fprintln(w)
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tw, "MEMBER\tINSTANCE\tCLIENT\tHOST\tPARTITIONS")
		for _, m := range p.Members {
			instance := "-"
			if m.InstanceID != nil {
				instance = *m.InstanceID
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\n", m.MemberID, instance, m.ClientID, m.Host, m.Partitions)
		}
		_ = tw.Flush()
	}
	if len(p.Offsets) > 0 {
		fmt.Fprintln(w)
		tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tw, "TOPIC\tPARTITION\tCOMMITTED\tEND\tLAG\tMEMBER")
		for _, o := range p.Offsets {
			fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s\t%s\n", o.Topic, o.Partition, app.OffsetText(o.Committed), app.OffsetText(o.End), app.OffsetText(o.Lag), app.OrDash(o.MemberID))
		}
		_ = tw.Flush()
	}
}
