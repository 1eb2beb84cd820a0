package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// group is the noun of consumer groups.
func (a *app) group() *cobra.Command {
	c := a.noun("group", "List and look at consumer groups", "  klamm group list\n  klamm group describe billing", a.groupList(), a.groupDescribe())
	c.Aliases = []string{"groups"}
	return c
}

// groupRow is a group in a list.
type groupRow struct {
	Group       string `json:"group"`
	State       string `json:"state"`
	Protocol    string `json:"protocol_type"`
	Coordinator int32  `json:"coordinator"`
}

// groupList lists groups.
func (a *app) groupList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List consumer groups", Args: exactly(), Example: "  klamm group list\n  klamm group list -o json"}
	form := outputFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.admin(c, func(ctx context.Context, adm *kadm.Client) error {
			groups, err := adm.ListGroups(ctx)
			if err != nil {
				return failed(err, "the groups could not be listed")
			}
			rows := []groupRow{}
			for _, g := range groups.Sorted() {
				rows = append(rows, groupRow{g.Group, g.State, g.ProtocolType, g.Coordinator})
			}
			if len(rows) == 0 && *form == "table" {
				a.say("no groups yet; klamm consume TOPIC -g NAME makes one")
				return nil
			}
			return printList(c, a.out, *form, list[groupRow]{
				items: rows, header: []string{"group", "state", "protocol_type", "coordinator"},
				row: func(g groupRow) []string {
					return []string{g.Group, g.State, orDash(g.Protocol), fmt.Sprint(g.Coordinator)}
				},
				name: func(g groupRow) string { return g.Group },
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
func (a *app) groupDescribe() *cobra.Command {
	c := &cobra.Command{
		Use: "describe NAME...", Short: "Show groups: members, committed offsets, lag", Args: atLeastOne("NAME"),
		Example: "  klamm group describe billing\n  klamm group describe billing -o json",
	}
	form := outputFlag(c)
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.admin(c, func(ctx context.Context, adm *kadm.Client) error {
			// A copy, because the client library writes over the names it is given.
			lags, err := adm.Lag(ctx, slices.Clone(names)...)
			if err != nil && len(lags) == 0 {
				return failed(err, "the groups could not be described")
			}
			var pages []groupPage
			var fails []*failure
			for _, n := range names {
				l, ok := lags[n]
				switch {
				case !ok || errors.Is(l.Error(), kerr.GroupIDNotFound) || l.State == "Dead":
					fails = append(fails, &failure{exit: exitNotFound, code: codeNotFound, what: fmt.Sprintf("there is no group %s", n), try: "klamm group list"})
				case l.Error() != nil:
					fails = append(fails, failed(l.Error(), "group %s could not be described", n))
				default:
					pages = append(pages, newGroupPage(l))
				}
			}
			switch *form {
			case "table":
				for i, p := range pages {
					if i > 0 {
						fmt.Fprintln(a.out)
					}
					p.print(a)
				}
				err = nil
			case "json":
				err = nil
				if len(names) == 1 && len(pages) == 1 {
					err = printJSON(a.out, pages[0])
				} else if len(pages) > 0 {
					err = printJSON(a.out, pages)
				}
			default:
				err = printList(c, a.out, *form, list[groupPage]{
					items: pages, header: []string{"group", "state", "members", "lag"},
					row: func(p groupPage) []string {
						return []string{p.Group, p.State, fmt.Sprint(len(p.Members)), fmt.Sprint(p.Lag)}
					},
					name: func(p groupPage) string { return p.Group },
				})
			}
			if err != nil {
				return err
			}
			return partly(a, len(pages), fails)
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
func (p *groupPage) print(a *app) {
	fmt.Fprintf(a.out, "%s   %s, %s, lag %s, coordinator %d", p.Group, p.State, countText(len(p.Members), "member"), countText(int(p.Lag), "record"), p.Coordinator)
	if p.Protocol != "" {
		fmt.Fprintf(a.out, ", assignor %s", p.Protocol)
	}
	fmt.Fprintln(a.out)
	if len(p.Members) > 0 {
		fmt.Fprintln(a.out)
		tw := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
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
		fmt.Fprintln(a.out)
		tw := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tw, "TOPIC\tPARTITION\tCOMMITTED\tEND\tLAG\tMEMBER")
		for _, o := range p.Offsets {
			fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s\t%s\n", o.Topic, o.Partition, offsetText(o.Committed), offsetText(o.End), offsetText(o.Lag), orDash(o.MemberID))
		}
		_ = tw.Flush()
	}
}

// offsetText writes an offset, a dash for none.
func offsetText(o int64) string {
	if o < 0 {
		return "-"
	}
	return fmt.Sprint(o)
}
