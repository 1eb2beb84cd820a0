package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klamm/klamm/internal/cli/app"
)

// flagError refuses a flag, with the name that was perhaps meant.
func flagError(c *cobra.Command, err error) error {
	f := app.Usage(c, "%s", flagText(err))
	if near := nearestFlag(c, err); near != "" {
		f.Why = "did you mean " + near + "?"
	}
	return f
}

// flagText says what is wrong with a flag as a person would.
func flagText(err error) string {
	var value *pflag.InvalidValueError
	var none *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &value):
		return fmt.Sprintf("--%s %s: %s", value.GetFlag().Name, value.GetValue(), valueText(value))
	case errors.As(err, &none):
		return fmt.Sprintf("--%s needs a value", none.GetFlag().Name)
	case errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) == 1:
		return "unknown flag: -" + unknown.GetSpecifiedName()
	}
	return err.Error()
}

// valueText says what a value should be.
func valueText(err *pflag.InvalidValueError) string {
	kind := "a whole number"
	switch t := err.GetFlag().Value.Type(); {
	case t == "bool":
		kind = "true or false"
	case strings.HasPrefix(t, "float"):
		kind = "a number"
	case strings.HasPrefix(t, "uint"):
		kind = "a whole number from 0 on"
	}
	switch cause := err.Unwrap(); {
	case errors.Is(cause, strconv.ErrRange):
		return "it is beyond what can be"
	case errors.Is(cause, strconv.ErrSyntax):
		return "not " + kind
	default:
		return cause.Error()
	}
}

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
