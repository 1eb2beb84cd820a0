package group

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// behind is how far a group is behind.
type behind struct {
	Group      string        `json:"group"`
	State      string        `json:"state"`
	Members    int           `json:"members"`
	Lag        int64         `json:"lag"`         // records
	LagSeconds *float64      `json:"lag_seconds"` // age of the oldest record that is not yet read; null when not known
	Topics     []topicBehind `json:"topics"`
}

// topicBehind is how far a group is behind in a topic.
type topicBehind struct {
	Topic      string   `json:"topic"`
	Lag        int64    `json:"lag"`
	LagSeconds *float64 `json:"lag_seconds"`
	Partitions []offset `json:"partitions"`
}

// lag tells how far groups are behind.
func lag(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "lag [NAME...]", Short: "How far groups are behind, in records and in seconds", Args: cobra.ArbitraryArgs,
		Long:    "How far groups are behind, in records and in seconds: the age of the oldest record that is there and not yet read.\nWithout a name of all groups.",
		Example: "  klamm group lag                              # all groups\n  klamm group lag billing\n  klamm group lag billing -o wide              # by partition\n  klamm group lag billing -o json",
	}
	form := app.OutputFlag(c)
	c.ValidArgsFunction = a.CompleteGroups()
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			asked := len(names)
			if asked == 0 {
				var err error
				if names, err = groupNames(ctx, cl); err != nil {
					return err
				}
			}
			pages, fails := (&cluster{cl: cl, adm: adm}).survey(ctx, a, names, timeDepth)
			if asked == 0 {
				fails = stillThere(fails)
			}
			var items []behind
			for _, p := range pages {
				items = append(items, newBehind(p))
			}
			if form.Human() {
				if len(items) == 0 && len(fails) == 0 {
					a.Say("no groups yet; klamm consume TOPIC -g NAME makes one")
				}
				printBehind(a, items, form.Wide())
				return app.Partly(a, len(pages), fails)
			}
			if err := app.PrintPages(a, form, asked, app.List[behind]{
				Items: items,
				ID:    func(b behind) string { return b.Group },
				Columns: []app.Column[behind]{
					{Name: "group", Text: func(b behind) string { return b.Group }},
					{Name: "state", Text: func(b behind) string { return b.State }},
					{Name: "members", Text: func(b behind) string { return fmt.Sprint(b.Members) }},
					{Name: "lag", Text: func(b behind) string { return fmt.Sprint(b.Lag) }},
					{Name: "lag_seconds", Text: func(b behind) string { return floatText(b.LagSeconds) }},
				},
			}, nil); err != nil {
				return err
			}
			return app.Partly(a, len(pages), fails)
		})
	}
	a.Watchable(c)
	return c
}

// newBehind sums a page up by topics.
func newBehind(p page) behind {
	b := behind{Group: p.Group, State: p.State, Members: len(p.Members), Lag: p.Lag, LagSeconds: p.LagSeconds, Topics: []topicBehind{}}
	for _, o := range p.Offsets {
		if n := len(b.Topics); n == 0 || b.Topics[n-1].Topic != o.Topic {
			b.Topics = append(b.Topics, topicBehind{Topic: o.Topic})
		}
		t := &b.Topics[len(b.Topics)-1]
		t.Lag += max(o.Lag, 0)
		t.Partitions = append(t.Partitions, o)
	}
	for i := range b.Topics {
		b.Topics[i].seconds()
	}
	return b
}

// seconds takes the greatest lag in time of the partitions; it is not known when that of one is not.
func (t *topicBehind) seconds() {
	for _, o := range t.Partitions {
		switch {
		case o.Lag < 0:
		case o.LagSeconds == nil:
			t.LagSeconds = nil
			return
		case t.LagSeconds == nil || *o.LagSeconds > *t.LagSeconds:
			t.LagSeconds = o.LagSeconds
		}
	}
}

// printBehind is a row for each topic of each group, or for each partition.
func printBehind(a *app.App, items []behind, wide bool) {
	if len(items) == 0 {
		return
	}
	var rows [][]string
	noted := false
	row := func(note string, cells ...string) {
		noted = noted || note != ""
		rows = append(rows, append(cells, note))
	}
	head := []string{"GROUP", "STATE", "TOPIC", "PARTITIONS", "LAG", "BEHIND"}
	if wide {
		head = []string{"GROUP", "STATE", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "BEHIND"}
	}
	for _, b := range items {
		switch {
		case len(b.Topics) == 0 && wide:
			row("", b.Group, b.State, "-", "-", "-", "-", "-", "-")
		case len(b.Topics) == 0:
			row("", b.Group, b.State, "-", "0", "-", "-")
		}
		for _, t := range b.Topics {
			strange := 0
			for _, o := range t.Partitions {
				if o.Note != "" {
					strange++
				}
				if wide {
					row(o.Note, b.Group, b.State, o.Topic, fmt.Sprint(o.Partition), app.OffsetText(o.Committed), app.OffsetText(o.End), app.OffsetText(o.Lag), secondsText(o.LagSeconds))
				}
			}
			if !wide {
				note := ""
				if strange > 0 {
					note = fmt.Sprintf("%s out of range or gone; -o wide", app.CountText(strange, "partition"))
				}
				row(note, b.Group, b.State, t.Topic, fmt.Sprint(len(t.Partitions)), fmt.Sprint(t.Lag), secondsText(t.LagSeconds))
			}
		}
	}
	table := app.NewTable(a.Out)
	if noted {
		table.Row(append(head, "NOTE")...)
	} else {
		table.Row(head...)
	}
	for _, cells := range rows {
		last := len(cells) - 1
		cells[last] = app.OrDash(cells[last])
		if !noted {
			cells = cells[:last]
		}
		table.Row(cells...)
	}
	_ = table.Flush()
}
