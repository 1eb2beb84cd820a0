// Package debug is what looks beneath: klamm debug, which shows what brokers say as they say it, klamm doctor, which
// examines this machine and the way to a cluster, and klamm client, which shows who is connected.
package debug

import (
	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
)

// Noun is the noun of what brokers say as they say it.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("debug", "", "Look beneath: what brokers say, and all of it in one file",
		"  klamm debug api-versions --diff\n  klamm debug metadata -o json\n  klamm debug offsets orders\n  klamm debug bundle cluster.zip               # to send to whoever helps",
		apiVersions(a), metadata(a), offsets(a), bundle(a))
}
