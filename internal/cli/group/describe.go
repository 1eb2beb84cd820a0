package group

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// describe tells all of groups.
func describe(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "describe NAME...", Short: "Show groups: members, committed offsets, lag", Args: app.AtLeastOne("NAME"),
		Example: "  klamm group describe billing\n  klamm group describe billing --offsets       # without the members\n  klamm group describe billing --watch\n  klamm group describe billing -o json",
	}
	form := app.OutputFlag(c)
	onlyOffsets := c.Flags().Bool("offsets", false, "show the offsets and not the members")
	onlyMembers := c.Flags().Bool("members", false, "show the members and not the offsets")
	c.ValidArgsFunction = a.CompleteGroups()
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			pages, fails := (&cluster{cl: cl, adm: adm}).survey(ctx, a, names, timeDepth)
			both := *onlyOffsets == *onlyMembers
			if err := app.PrintPages(a, form, len(names), pageList(pages), func(w io.Writer, p page) {
				p.headline(w)
				if both || *onlyMembers {
					p.printMembers(w, form.Wide())
				}
				if both || *onlyOffsets {
					p.printOffsets(w, form.Wide())
				}
				p.more(w)
			}); err != nil {
				return err
			}
			return app.Partly(a, len(pages), fails)
		})
	}
	a.Watchable(c)
	return c
}

// pageList is pages as a list.
func pageList(pages []page) app.List[page] {
	return app.List[page]{
		Items: pages,
		ID:    func(p page) string { return p.Group },
		Columns: []app.Column[page]{
			{Name: "group", Text: func(p page) string { return p.Group }},
			{Name: "state", Text: func(p page) string { return p.State }},
			{Name: "members", Text: func(p page) string { return fmt.Sprint(len(p.Members)) }},
			{Name: "lag", Text: func(p page) string { return fmt.Sprint(p.Lag) }},
			{Name: "lag_seconds", Text: func(p page) string { return floatText(p.LagSeconds) }},
		},
	}
}

// headline is the first line of a page.
func (p *page) headline(w io.Writer) {
	fmt.Fprintf(w, "%s   %s, %s, lag %s", p.Group, p.State, app.CountText(len(p.Members), "member"), app.CountText(p.Lag, "record"))
	if p.Lag > 0 && p.LagSeconds != nil {
		fmt.Fprintf(w, ", %s behind", secondsText(p.LagSeconds))
	}
	fmt.Fprintf(w, ", coordinator %d", p.Coordinator)
	if p.Type != "classic" {
		fmt.Fprintf(w, ", type %s", p.Type)
	}
	if p.Protocol != "" {
		fmt.Fprintf(w, ", assignor %s", p.Protocol)
	}
	fmt.Fprintln(w)
}

// printMembers is a row for each member.
func (p *page) printMembers(w io.Writer, wide bool) {
	if len(p.Members) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := app.NewTable(w)
	cells := []string{"MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS"}
	if wide {
		cells = append(cells, "ASSIGNED")
	}
	t.Row(cells...)
	for _, m := range p.Members {
		cells = append(cells[:0], m.MemberID, m.instance(), app.OrDash(m.ClientID), app.OrDash(m.Host), fmt.Sprint(m.Partitions))
		if wide {
			cells = append(cells, m.assigned())
		}
		t.Row(cells...)
	}
	_ = t.Flush()
}

// instance is the name of a static member, a dash for another.
func (m member) instance() string {
	if m.InstanceID == nil {
		return "-"
	}
	return *m.InstanceID
}

// assigned is what a member reads, in the form orders:0,1 payments:2.
func (m member) assigned() string {
	var parts []string
	for _, a := range m.Assigned {
		if len(a.Partitions) > 0 {
			parts = append(parts, a.Topic+":"+app.IDsText(a.Partitions))
		}
	}
	return app.OrDash(strings.Join(parts, " "))
}

// printOffsets is a row for each partition.
func (p *page) printOffsets(w io.Writer, wide bool) {
	if len(p.Offsets) == 0 {
		fmt.Fprintln(w, "\nno committed offsets")
		return
	}
	fmt.Fprintln(w)
	t := app.NewTable(w)
	cells := []string{"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "BEHIND", "CLIENT"}
	if wide {
		cells = append(cells, "START", "HOST", "MEMBER", "OLDEST UNREAD")
	}
	notes := false
	for _, o := range p.Offsets {
		notes = notes || o.Note != ""
	}
	if notes {
		cells = append(cells, "NOTE")
	}
	t.Row(cells...)
	for _, o := range p.Offsets {
		cells = append(cells[:0], o.Topic, fmt.Sprint(o.Partition), app.OffsetText(o.Committed), app.OffsetText(o.End), app.OffsetText(o.Lag),
			secondsText(o.LagSeconds), app.OrDash(o.ClientID))
		if wide {
			oldest := "-"
			if o.Oldest != nil {
				oldest = *o.Oldest
			}
			cells = append(cells, app.OffsetText(o.Start), app.OrDash(o.Host), app.OrDash(o.MemberID), oldest)
		}
		if notes {
			cells = append(cells, app.OrDash(o.Note))
		}
		t.Row(cells...)
	}
	_ = t.Flush()
}

// more names the next commands.
func (p *page) more(w io.Writer) {
	next := "klamm group watch " + p.Group
	if len(p.Members) == 0 {
		next = "klamm group seek " + p.Group + " --to start   (shows the plan)"
	}
	fmt.Fprintf(w, "\nMore: %s", next)
	if len(p.Offsets) > 0 {
		fmt.Fprintf(w, "   klamm topic describe %s", p.Offsets[0].Topic)
	}
	fmt.Fprintln(w)
}
