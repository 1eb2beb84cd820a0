package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
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

// helpCommand is klamm help COMMAND. It refuses a word that is no command, where cobra's own shows the help of what
// stands above.
func helpCommand() *cobra.Command {
	c := &cobra.Command{Use: "help [COMMAND]", Short: "Show the help of a command", Example: "  klamm help topic create"}
	c.RunE = func(c *cobra.Command, args []string) error {
		of, rest, err := c.Root().Find(args)
		if err != nil || of == nil {
			of, rest = c.Root(), args
		}
		if len(rest) > 0 {
			return app.OnlySubcommands(of, rest)
		}
		of.InitDefaultHelpFlag()
		return of.Help()
	}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) (words []string, _ cobra.ShellCompDirective) {
		if of, rest, err := c.Root().Find(args); err == nil && len(rest) == 0 {
			for _, sub := range of.Commands() {
				if sub.IsAvailableCommand() && strings.HasPrefix(sub.Name(), begun) {
					words = append(words, sub.Name()+"\t"+sub.Short)
				}
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
	return c
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
