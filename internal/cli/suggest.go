package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klamm/klamm/internal/cli/app"
)

// nearestFlag is the flag of c that is most like the one that err says is not there, or "".
func nearestFlag(c *cobra.Command, err error) string {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) || len(missing.GetSpecifiedName()) < 2 {
		return ""
	}
	var names []string
	see := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	c.NonInheritedFlags().VisitAll(see)
	c.InheritedFlags().VisitAll(see)
	near := app.Nearest(missing.GetSpecifiedName(), names)
	if near == "" {
		return ""
	}
	return "--" + near
}
