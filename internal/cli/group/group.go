// Package group is klamm group: consumer groups, how far behind they are, and moving them.
package group

import (
	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
)

// Noun is the noun of consumer groups.
func Noun(a *app.App) *cobra.Command {
	return app.Noun("group", "groups", "See and move consumer groups", "  klamm group list\n  klamm group describe billing\n  klamm group lag\n  klamm group seek billing --to -1h            # shows the plan; --apply acts",
		list(a), describe(a), lag(a), members(a), watch(a), seek(a), remove(a), forget(a), export(a), load(a))
}
