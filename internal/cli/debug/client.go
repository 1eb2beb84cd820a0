package debug

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/node"
)

// Clients is the noun of who is connected.
func Clients(a *app.App) *cobra.Command {
	return app.Noun("client", "clients", "See who is connected", "  klamm client list\n  klamm client list --watch", clientList(a))
}

// clientRow is one connection, in the names that the broker has for it.
type clientRow struct {
	NodeID int32 `json:"node_id"`
	node.Client
}

// mostClients bounds the page of one broker, in bytes.
const mostClients = 256 << 20

// clientList lists connections.
func clientList(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List connections: who, with which library, topics and rates", Args: app.Exactly(),
		Long:    "List connections: who, with which library, topics and rates. Klamm alone tells this, at the admin listener of its\nnodes (admin.listener); rates are those of the last minute.",
		Example: "  klamm client list\n  klamm client list --topic orders\n  klamm client list --watch\n  klamm client list -o wide\n  klamm client list --admin 10.0.0.5:9644 -o json",
	}
	form := app.OutputFlag(c)
	admin := adminFlag(c)
	topic := c.Flags().String("topic", "", "only who produces to or reads this topic")
	id := c.Flags().String("client-id", "", "only this client id")
	_ = c.RegisterFlagCompletionFunc("topic", a.CompleteTopics())
	c.RunE = func(c *cobra.Command, _ []string) error {
		rows, done, fails, err := connections(a, c, *admin)
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r clientRow) bool {
			return *id != "" && r.ClientID != *id || *topic != "" && !slices.Contains(r.TopicsProduced, *topic) && !slices.Contains(r.TopicsFetched, *topic)
		})
		switch {
		case len(rows) > 0 || !form.Human():
			if done == 0 && len(fails) > 0 {
				break
			}
			if err := app.PrintList(a, form, clientRows(rows)); err != nil {
				return err
			}
		case done > 0:
			a.Say("nobody is connected who matches")
		}
		return app.Partly(a, done, fails)
	}
	a.Watchable(c)
	return c
}

// connections asks the brokers, or the one of --admin, who is connected. done is how many answered.
func connections(a *app.App, c *cobra.Command, said string) (rows []clientRow, done int, fails []*app.Failure, err error) {
	ask := func(ctx context.Context, all []adminOf) {
		for _, at := range all {
			page, f := at.clients(ctx)
			if f != nil {
				fails = append(fails, f)
				continue
			}
			done++
			rows = append(rows, page...)
		}
	}
	if said != "" {
		// Then no broker need be asked where its admin listener is.
		ctx, cancel := context.WithTimeout(c.Context(), a.Timeout())
		defer cancel()
		ask(ctx, []adminOf{{node: -1, addr: said}})
	} else {
		err = a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			md, err := adm.BrokerMetadata(ctx)
			if err != nil {
				return app.Failed(err, "the brokers could not be listed")
			}
			ask(ctx, admins(ctx, cl, md.Brokers, md.Cluster, ""))
			return nil
		})
	}
	app.Sort(rows, func(x, y clientRow) int {
		return cmp.Or(strings.Compare(x.ClientID, y.ClientID), strings.Compare(x.Address, y.Address))
	})
	return rows, done, fails, err
}

// clients reads the page of one broker.
func (at adminOf) clients(ctx context.Context) ([]clientRow, *app.Failure) {
	if at.err != nil {
		return nil, at.err
	}
	var b bytes.Buffer
	if err := get(ctx, at.addr, "/clients", mostClients, &b); err != nil {
		return nil, at.unreachable(err)
	}
	var page node.Clients
	if err := json.Unmarshal(b.Bytes(), &page); err != nil {
		return nil, app.Input(err, "http://%s/clients is not what Klamm answers there", at.addr)
	}
	rows := make([]clientRow, len(page.Clients))
	for i, c := range page.Clients {
		rows[i] = clientRow{page.NodeID, c}
		r := &rows[i]
		for _, list := range []*[]string{&r.TopicsProduced, &r.TopicsFetched, &r.Groups} {
			if *list == nil {
				*list = []string{}
			}
		}
	}
	return rows, nil
}

// clientRows is rows as a list.
func clientRows(rows []clientRow) app.List[clientRow] {
	rate := func(get func(clientRow) float64) func(clientRow) string {
		return func(r clientRow) string { return app.BytesText(int64(get(r))) + "/s" }
	}
	names := func(l []string) string { return app.OrDash(strings.Join(l, ",")) }
	return app.List[clientRow]{
		Items: rows,
		ID:    func(r clientRow) string { return r.Address },
		Columns: []app.Column[clientRow]{
			{Name: "node_id", Wide: true, Text: func(r clientRow) string { return fmt.Sprint(r.NodeID) }},
			{Name: "client_id", Text: func(r clientRow) string { return app.OrDash(r.ClientID) }},
			{Name: "address", Text: func(r clientRow) string { return r.Address }},
			{Name: "principal", Text: func(r clientRow) string { return app.OrDash(r.Principal) }},
			{Name: "library", Text: func(r clientRow) string { return app.OrDash(strings.TrimSpace(r.Library + " " + r.Version)) }},
			{Name: "topics", Text: func(r clientRow) string {
				return names(slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.TopicsProduced, r.TopicsFetched)))))
			}},
			{Name: "in", Text: rate(func(r clientRow) float64 { return r.BytesInPerSecond })},
			{Name: "out", Text: rate(func(r clientRow) float64 { return r.BytesOutPerSecond })},
			{Name: "requests", Text: func(r clientRow) string { return fmt.Sprintf("%.1f/s", r.RequestsPerSecond) }},
			{Name: "produces", Wide: true, Text: func(r clientRow) string { return names(r.TopicsProduced) }},
			{Name: "records_produced", Wide: true, Text: func(r clientRow) string { return fmt.Sprint(r.RecordsProduced) }},
			{Name: "produced", Wide: true, Text: func(r clientRow) string { return fmt.Sprintf("%.1f/s", r.RecordsProducedPerSecond) }},
			{Name: "fetches", Wide: true, Text: func(r clientRow) string { return names(r.TopicsFetched) }},
			{Name: "records_fetched", Wide: true, Text: func(r clientRow) string { return fmt.Sprint(r.RecordsFetched) }},
			{Name: "fetched", Wide: true, Text: func(r clientRow) string { return fmt.Sprintf("%.1f/s", r.RecordsFetchedPerSecond) }},
			{Name: "groups", Wide: true, Text: func(r clientRow) string { return names(r.Groups) }},
			{Name: "listener", Wide: true, Text: func(r clientRow) string { return app.OrDash(r.Listener) }},
			{Name: "connected_at", Wide: true, Text: func(r clientRow) string { return r.ConnectedAt.UTC().Format(time.RFC3339) }},
			{Name: "last_request", Wide: true, Text: func(r clientRow) string { return app.OrDash(r.LastRequest) }},
			{Name: "metrics_series", Wide: true, Text: func(r clientRow) string { return fmt.Sprint(r.MetricsSeries) }},
		},
	}
}
