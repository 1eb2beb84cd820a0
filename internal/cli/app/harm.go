package app

import (
	"bufio"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Harm is the flags of a command that destroys something.
type Harm struct {
	// DryRun is --dry-run: say what would go, and destroy nothing.
	DryRun  *bool
	yes     bool
	confirm []string
}

// HarmFlags gives a command that destroys something --dry-run, -y and --confirm.
func HarmFlags(c *cobra.Command) *Harm {
	h := &Harm{DryRun: DryRunFlag(c)}
	c.Flags().BoolVarP(&h.yes, "yes", "y", false, "do not ask")
	c.Flags().StringArrayVar(&h.confirm, "confirm", nil, "the name of what may be destroyed; may be given again")
	return h
}

// Ask makes sure that name may be destroyed: by -y or --confirm, or because the person at the terminal types
// the name. deed says what will happen, in the form "delete it". A profile that is protected accepts
// --confirm alone. The failure has exit code 4, and nothing must have been done before.
func (h *Harm) Ask(a *App, name, deed string) error {
	if slices.Contains(h.confirm, name) {
		return nil
	}
	refused := &Failure{Exit: ExitRefused, Code: CodeRefused, What: "nothing was done", Why: "to " + deed + " needs a yes", Try: "--confirm " + name + ", or -y"}
	if p := a.Protected(); p != "" {
		refused.Why, refused.Try = fmt.Sprintf("profile %s is protected: to %s needs its name", p, deed), "--confirm "+name
		return refused
	}
	if h.yes {
		return nil
	}
	if !a.Interactive() {
		return refused
	}
	fmt.Fprintf(a.Err, "This cannot be undone. Type %s to %s: ", name, deed)
	line, _ := bufio.NewReader(a.In).ReadString('\n')
	if strings.TrimSpace(line) != name {
		refused.Why, refused.Try = "another name was typed", ""
		return refused
	}
	return nil
}
