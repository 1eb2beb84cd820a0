// Package topic is the commands on topics.
package topic

import (
	"encoding/base64"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/bulk"
)

// Noun is the noun of topics.
func Noun(a *app.App) *cobra.Command {
	n := app.Noun("topic", "topics", "List, create, look at, change and delete topics", `  klamm topic create orders -p 6
  klamm topic list
  klamm topic describe orders
  klamm topic alter orders --set retention.ms=3600000
  klamm topic delete orders`,
		list(a), describe(a), create(a), alter(a), config(a), clone(a), remove(a), addPartitions(a), trim(a), empty(a))
	n.AddCommand(bulk.Commands(a)...)
	return n
}

// uuidText writes a topic's id as Kafka's tools do.
func uuidText(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
