package group

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
)

// pace is how a group goes through a topic.
type pace struct {
	Group      string   `json:"group"`
	State      string   `json:"state"`
	Members    int      `json:"members"`
	Topic      string   `json:"topic"`
	Lag        int64    `json:"lag"`
	LagSeconds *float64 `json:"lag_seconds"`
	// Rates are records a second since the last look; null at the first.
	Consumed *float64 `json:"consumed_per_second"`
	Produced *float64 `json:"produced_per_second"`
	// CaughtUp is when the lag is gone if all goes on so; null when it does not shrink, or at the first look.
	CaughtUp *float64 `json:"caught_up_in_seconds"`
}

// watch shows how groups go on.
func watch(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "watch [NAME...]", Short: "Watch the lag of groups: rates, and when they will have caught up", Args: cobra.ArbitraryArgs,
		Long:    "Watch the lag of groups until Ctrl-C: how fast they read, how fast is written, and when they will have caught up if\nboth go on so. Without a name all groups.",
		Example: "  klamm group watch billing\n  klamm group watch                            # all groups\n  klamm group watch billing --every 10s\n  klamm group watch billing -n 3 -o jsonl      # three looks",
	}
	form := app.OutputFlag(c)
	every := app.DurationFlag(c, "every", 2*time.Second, "time between two looks")
	count := c.Flags().IntP("num", "n", 0, "stop after so many looks")
	c.ValidArgsFunction = a.CompleteGroups()
	c.RunE = func(c *cobra.Command, names []string) error {
		if *count < 0 || *every <= 0 {
			return app.Usage(c, "-n and --every must be above zero")
		}
		cl, err := a.Client(c.Context(), c)
		if err != nil {
			return err
		}
		defer cl.Close()
		adm := a.AdminOf(cl)
		var last map[paceKey]paceMark
		for n := 1; ; n++ {
			ctx, cancel := context.WithTimeout(c.Context(), a.Timeout())
			all := names
			if len(all) == 0 {
				all, err = groupNames(ctx, cl)
			}
			var pages []page
			var fails []*app.Failure
			if err == nil {
				pages, fails = (&cluster{cl: cl, adm: adm}).survey(ctx, a, all, timeDepth)
				if len(names) == 0 {
					fails = stillThere(fails)
				}
			}
			cancel()
			switch {
			case c.Context().Err() != nil:
				return nil
			case err != nil:
				return err
			case len(fails) > 0 && (n == 1 || len(pages) == 0):
				return app.Partly(a, 0, fails)
			}
			rows, marks := paces(pages, last, time.Now())
			last = marks
			if form.Human() && app.IsTerminal(a.Out) {
				fmt.Fprint(a.Out, "\x1b[H\x1b[2J") // to the top, and clear
			} else if form.Human() && n > 1 {
				fmt.Fprintln(a.Out)
			}
			if err := app.PrintList(a, form, paceList(rows)); err != nil {
				return err
			}
			if n == *count || !app.Sleep(c.Context(), *every) {
				return nil
			}
		}
	}
	return c
}

// paceList is rows as a list.
func paceList(rows []pace) app.List[pace] {
	return app.List[pace]{
		Items: rows,
		ID:    func(r pace) string { return r.Group },
		Columns: []app.Column[pace]{
			{Name: "group", Text: func(r pace) string { return r.Group }},
			{Name: "state", Text: func(r pace) string { return r.State }},
			{Name: "members", Text: func(r pace) string { return fmt.Sprint(r.Members) }},
			{Name: "topic", Text: func(r pace) string { return app.OrDash(r.Topic) }},
			{Name: "lag", Text: func(r pace) string { return fmt.Sprint(r.Lag) }},
			{Name: "behind", Text: func(r pace) string { return secondsText(r.LagSeconds) }},
			{Name: "consumed", Text: func(r pace) string { return rateText(r.Consumed) }},
			{Name: "produced", Text: func(r pace) string { return rateText(r.Produced) }},
			{Name: "caught_up_in", Text: func(r pace) string {
				switch {
				case r.CaughtUp == nil:
					return "-"
				case r.Lag == 0:
					return "now"
				}
				return app.DurationText(time.Duration(*r.CaughtUp * float64(time.Second)).Round(time.Second))
			}},
		},
	}
}

// rateText is records a second for people, a dash for unknown.
func rateText(r *float64) string {
	switch {
	case r == nil:
		return "-"
	case *r == 0:
		return "0/s"
	case *r < 10 && *r > -10:
		return fmt.Sprintf("%.2g/s", *r)
	}
	return fmt.Sprintf("%.0f/s", *r)
}

// paceKey names a row.
type paceKey struct{ group, topic string }

// paceMark is where a row stood: sums over the partitions with a committed offset.
type paceMark struct {
	at              time.Time
	committed, ends int64
	partitions      int
}

// paces compares groups with the last look at them.
func paces(pages []page, last map[paceKey]paceMark, now time.Time) (rows []pace, marks map[paceKey]paceMark) {
	marks = map[paceKey]paceMark{}
	for _, p := range pages {
		b := newBehind(p)
		if len(b.Topics) == 0 {
			rows = append(rows, pace{Group: p.Group, State: p.State, Members: b.Members})
		}
		for _, t := range b.Topics {
			m := paceMark{at: now}
			for _, o := range t.Partitions {
				if o.Committed >= 0 && o.End >= 0 {
					m.partitions++
					m.committed += o.Committed
					m.ends += o.End
				}
			}
			key := paceKey{p.Group, t.Topic}
			marks[key] = m
			r := pace{Group: p.Group, State: p.State, Members: b.Members, Topic: t.Topic, Lag: t.Lag, LagSeconds: t.LagSeconds}
			// With a partition more or less the sums are not of the same thing.
			if was, ok := last[key]; ok && was.partitions == m.partitions && m.at.After(was.at) {
				took := m.at.Sub(was.at).Seconds()
				consumed, produced := float64(m.committed-was.committed)/took, float64(m.ends-was.ends)/took
				r.Consumed, r.Produced = &consumed, &produced
				if t.Lag == 0 {
					r.CaughtUp = new(float64)
				} else if consumed > produced {
					s := float64(t.Lag) / (consumed - produced)
					r.CaughtUp = &s
				}
			}
			rows = append(rows, r)
		}
	}
	return rows, marks
}
