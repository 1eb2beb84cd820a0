package debug

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// apiRow is one API of a broker.
type apiRow struct {
	NodeID    int32  `json:"node_id"`
	Key       int16  `json:"key"`
	Name      string `json:"name"`
	Min       int16  `json:"min_version"` // -1 when the broker does not have it
	Max       int16  `json:"max_version"` // -1 when the broker does not have it
	ClientMax int16  `json:"client_max_version"`
	Used      int16  `json:"used_version"` // the newest that both know; -1 for none
}

// apiVersions shows the APIs of brokers.
func apiVersions(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "api-versions", Short: "Show the APIs of each broker and their versions", Args: app.Exactly(),
		Example: "  klamm debug api-versions\n  klamm debug api-versions --diff              # where the brokers and this client differ\n  klamm debug api-versions --node 1 -o json",
	}
	form := app.OutputFlag(c)
	diff := c.Flags().Bool("diff", false, "only where a broker knows less or more than this client")
	node := c.Flags().Int32("node", -1, "only this broker")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
			answers, err := adm.ApiVersions(ctx)
			if err != nil {
				return app.Failed(err, "the brokers could not be asked for their APIs")
			}
			var rows []apiRow
			var fails []*app.Failure
			asked := 0
			for _, b := range answers.Sorted() {
				if *node >= 0 && b.NodeID != *node {
					continue
				}
				if b.Err != nil {
					fails = append(fails, app.Failed(b.Err, "broker %d did not tell its APIs", b.NodeID))
					continue
				}
				asked++
				rows = append(rows, apiRows(b.NodeID, b.Raw(), *diff)...)
			}
			if asked == 0 && len(fails) == 0 {
				return app.NotFound("broker", fmt.Sprint(*node), "klamm node list")
			}
			if len(rows) == 0 && form.Human() && len(fails) == 0 {
				a.Say("%s and this client know the same versions of all APIs", app.CountText(asked, "broker"))
				return nil
			}
			if err := app.PrintList(a, form, app.List[apiRow]{
				Items: rows,
				ID:    func(r apiRow) string { return r.Name },
				Columns: []app.Column[apiRow]{
					{Name: "node_id", Text: func(r apiRow) string { return fmt.Sprint(r.NodeID) }},
					{Name: "key", Text: func(r apiRow) string { return fmt.Sprint(r.Key) }},
					{Name: "name", Text: func(r apiRow) string { return r.Name }},
					{Name: "min", Text: func(r apiRow) string { return versionText(r.Min) }},
					{Name: "max", Text: func(r apiRow) string { return versionText(r.Max) }},
					{Name: "client_max", Wide: !*diff, Text: func(r apiRow) string { return versionText(r.ClientMax) }},
					{Name: "used", Wide: !*diff, Text: func(r apiRow) string { return versionText(r.Used) }},
				},
			}); err != nil {
				return err
			}
			return app.Partly(a, asked, fails)
		})
	}
	return c
}

// versionText is a version, a dash for none.
func versionText(v int16) string { return app.OffsetText(int64(v)) }

// apiRows are the APIs of a broker by number. With diff, those alone that it and this client do not know alike, and
// those that only this client knows.
func apiRows(node int32, res *kmsg.ApiVersionsResponse, diff bool) []apiRow {
	var rows []apiRow
	seen := map[int16]bool{}
	for _, k := range res.ApiKeys {
		r := apiRow{NodeID: node, Key: k.ApiKey, Name: apiName(k.ApiKey), Min: k.MinVersion, Max: k.MaxVersion, ClientMax: clientMax(k.ApiKey), Used: -1}
		if used := min(r.Max, r.ClientMax); used >= r.Min {
			r.Used = used
		}
		seen[k.ApiKey] = true
		if !diff || r.Max != r.ClientMax {
			rows = append(rows, r)
		}
	}
	for key := int16(0); diff && key <= kmsg.MaxKey; key++ {
		if highest := clientMax(key); highest >= 0 && !seen[key] && clientUses(key) {
			rows = append(rows, apiRow{NodeID: node, Key: key, Name: apiName(key), Min: -1, Max: -1, ClientMax: highest, Used: -1})
		}
	}
	app.Sort(rows, func(x, y apiRow) int { return int(x.Key) - int(y.Key) })
	return rows
}

// apiName names an API, also one that is newer than this client.
func apiName(key int16) string {
	if n := kmsg.NameForKey(key); n != "" && n != "Unknown" {
		return n
	}
	return fmt.Sprintf("API %d", key)
}

// clientMax is the newest version that this client speaks; -1 for none.
func clientMax(key int16) int16 {
	r := kmsg.RequestForKey(key)
	if r == nil {
		return -1
	}
	return r.MaxVersion()
}

// clientUses says that an API is one that clients call, and not brokers among themselves.
func clientUses(key int16) bool {
	switch kmsg.Key(key) {
	case kmsg.LeaderAndISR, kmsg.StopReplica, kmsg.UpdateMetadata, kmsg.ControlledShutdown, kmsg.WriteTxnMarkers, kmsg.Vote, kmsg.BeginQuorumEpoch, kmsg.EndQuorumEpoch,
		kmsg.AlterPartition, kmsg.Envelope, kmsg.FetchSnapshot, kmsg.BrokerRegistration, kmsg.BrokerHeartbeat, kmsg.AllocateProducerIDs, kmsg.ControllerRegistration, kmsg.AssignReplicasToDirs:
		return false
	}
	return true
}
