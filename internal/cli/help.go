package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// help writes the help of a command: what it is, examples, how it is called, what stands below it, its flags.
func help(c *cobra.Command, _ []string) {
	w := c.OutOrStdout()
	text := c.Long
	if text == "" {
		text = c.Short
	}
	fmt.Fprintln(w, strings.TrimSpace(text))
	if c.HasExample() {
		fmt.Fprintf(w, "\nExamples\n%s\n", strings.TrimRight(c.Example, "\n"))
	}
	fmt.Fprint(w, "\nUsage\n")
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND\n", c.CommandPath())
	} else {
		fmt.Fprintf(w, "  %s\n", c.UseLine())
	}
	subcommands(w, c)
	if f := c.LocalFlags(); f.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags\n%s\n", strings.TrimRight(f.FlagUsages(), "\n"))
	}
	if f := c.InheritedFlags(); f.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags of every command\n%s\n", strings.TrimRight(f.FlagUsages(), "\n"))
	}
}

// subcommands lists what stands below a command, by groups where it has them.
func subcommands(w io.Writer, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	list := func(title, id string, all bool) {
		fmt.Fprintf(w, "\n%s\n", title)
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && (all || sub.GroupID == id) {
				fmt.Fprintf(w, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	if len(c.Groups()) == 0 {
		list("Commands", "", true)
		return
	}
	for _, g := range c.Groups() {
		list(g.Title, g.ID, false)
	}
}
