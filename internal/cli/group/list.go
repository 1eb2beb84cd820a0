package group

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// row is a group in a list.
type row struct {
	Group        string   `json:"group"`
	State        string   `json:"state"`
	Type         string   `json:"type"` // classic, consumer, share or streams; empty when the broker does not tell
	ProtocolType string   `json:"protocol_type"`
	Coordinator  int32    `json:"coordinator"`
	Members      *int     `json:"members"` // null for groups that are neither classic nor consumer
	Lag          *int64   `json:"lag"`     // records; null like members
	LagSeconds   *float64 `json:"lag_seconds"`
}

// The words that --state and --type complete.
var (
	states = [...]string{"Empty", "Stable", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Dead"}
	types  = [...]string{"classic", "consumer", "share", "streams"}
)

// list lists groups.
func list(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List groups", Args: app.Exactly(),
		Example: "  klamm group list\n  klamm group list -o wide                     # with members and lag\n  klamm group list --state Stable --type consumer\n  klamm group list -o json",
	}
	form := app.OutputFlag(c)
	wantStates := c.Flags().StringSlice("state", nil, "only groups in these states: Stable, Empty and others")
	wantTypes := c.Flags().StringSlice("type", nil, "only groups of these types: classic, consumer, share, streams")
	_ = c.RegisterFlagCompletionFunc("state", app.CompleteValues(states[:]...))
	_ = c.RegisterFlagCompletionFunc("type", app.CompleteValues(types[:]...))
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			rows, some, err := listed(ctx, cl)
			if err != nil {
				return app.Failed(err, "the groups could not be listed")
			}
			if some != nil {
				a.Say("not all brokers told their groups: %v", some)
			}
			all := len(rows)
			rows = slices.DeleteFunc(rows, func(r row) bool { return !matches(*wantStates, r.State) || !matches(*wantTypes, r.Type) })
			if f := form.String(); f != "table" && f != "name" && f != "schema" && len(rows) > 0 {
				addLags(ctx, a, &cluster{cl: cl, adm: adm}, rows)
			}
			if len(rows) == 0 && form.Human() {
				if all == 0 {
					a.Say("no groups yet; klamm consume TOPIC -g NAME makes one")
				} else {
					a.Say("none of %s matches", app.CountText(all, "group"))
				}
				return nil
			}
			return app.PrintList(a, form, app.List[row]{
				Items: rows,
				ID:    func(r row) string { return r.Group },
				Columns: []app.Column[row]{
					{Name: "group", Text: func(r row) string { return r.Group }},
					{Name: "state", Text: func(r row) string { return app.OrDash(r.State) }},
					{Name: "type", Text: func(r row) string { return app.OrDash(r.Type) }},
					{Name: "protocol_type", Text: func(r row) string { return app.OrDash(r.ProtocolType) }},
					{Name: "coordinator", Text: func(r row) string { return fmt.Sprint(r.Coordinator) }},
					{Name: "members", Wide: true, Text: func(r row) string { return numberText(r.Members) }},
					{Name: "lag", Wide: true, Text: func(r row) string { return numberText(r.Lag) }},
					{Name: "lag_seconds", Wide: true, Text: func(r row) string { return floatText(r.LagSeconds) }},
				},
			})
		})
	}
	a.Watchable(c)
	return c
}

// matches says that a word is among those wanted, whatever its capitals; no words want all.
func matches(want []string, word string) bool {
	return len(want) == 0 || slices.ContainsFunc(want, func(w string) bool { return strings.EqualFold(w, word) })
}

// numberText is a number, a dash for none.
func numberText[N int | int64](n *N) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// floatText is a number with at most three decimals, a dash for none.
func floatText(f *float64) string {
	if f == nil {
		return "-"
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", *f), "0"), ".")
}

// listed asks every broker for its groups. some is the error of a broker when others answered.
func listed(ctx context.Context, cl *kgo.Client) (rows []row, some, err error) {
	answered := false
	for _, shard := range cl.RequestSharded(ctx, kmsg.NewPtrListGroupsRequest()) {
		err := shard.Err
		if err == nil {
			err = kerr.ErrorForCode(shard.Resp.(*kmsg.ListGroupsResponse).ErrorCode)
		}
		if err != nil {
			some = cmp.Or(some, err)
			continue
		}
		answered = true
		for _, g := range shard.Resp.(*kmsg.ListGroupsResponse).Groups {
			rows = append(rows, row{Group: g.Group, State: g.GroupState, Type: strings.ToLower(g.GroupType), ProtocolType: g.ProtocolType, Coordinator: shard.Meta.NodeID})
		}
	}
	if !answered && some != nil {
		return nil, nil, some
	}
	app.Sort(rows, func(x, y row) int { return strings.Compare(x.Group, y.Group) })
	return slices.CompactFunc(rows, func(x, y row) bool { return x.Group == y.Group }), some, nil
}

// addLags adds what only some forms show.
func addLags(ctx context.Context, a *app.App, c *cluster, rows []row) {
	var names []string
	for _, r := range rows {
		if describable(r.Type) {
			names = append(names, r.Group)
		}
	}
	pages, _ := c.survey(ctx, a, names, timeDepth) // who went meanwhile has a dash
	by := map[string]page{}
	for _, p := range pages {
		by[p.Group] = p
	}
	for i := range rows {
		if p, ok := by[rows[i].Group]; ok {
			n := len(p.Members)
			rows[i].Members, rows[i].Lag, rows[i].LagSeconds = &n, &p.Lag, p.LagSeconds
		}
	}
}
