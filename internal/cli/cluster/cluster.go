// Package cluster is the commands on a cluster as a whole and on its nodes.
package cluster

import (
	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
)

// Noun is the noun of the cluster.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("cluster", "", "Look at the cluster: what it is, whether it is well, how it is configured", `  klamm cluster info
  klamm cluster health
  klamm cluster config --all
  klamm cluster id`,
		info(a), health(a), config(a), id(a))
}

// Nodes is the noun of the nodes of a cluster.
func Nodes(a *app.App) *cobra.Command {
	return app.Noun("node", "nodes", "Look at the brokers, and change what they log", `  klamm node list
  klamm node describe 1
  klamm node log-level 1`,
		nodeList(a), nodeDescribe(a), logLevel(a))
}
