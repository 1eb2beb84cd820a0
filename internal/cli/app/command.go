package app

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Noun builds a command that only holds others. plural is a second name, which lists when it stands alone or
// before flags; empty for none.
func Noun(use, plural, short, example string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ArbitraryArgs, RunE: OnlySubcommands}
	if plural != "" {
		c.Aliases = []string{plural}
	}
	c.AddCommand(verbs...)
	return c
}

// Plural puts the verb list behind the plural of a noun that stands alone or before flags: klamm topics -o json is
// klamm topic list -o json.
func Plural(root *cobra.Command, args []string) []string {
	noun, _, err := root.Find(args)
	if err != nil {
		return args
	}
	for i, word := range args {
		if noun.HasAlias(word) && (i+1 == len(args) || strings.HasPrefix(args[i+1], "-")) {
			return slices.Insert(slices.Clone(args), i+1, "list")
		}
	}
	return args
}

// OnlySubcommands shows the help of a command that does nothing alone, and refuses a word it does not know.
func OnlySubcommands(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	f := Usage(c, "%q is not a command of %s", args[0], c.CommandPath())
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		f.Try = c.CommandPath() + " " + near[0]
	}
	return f
}

// Exactly demands one argument for each name.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return Usage(c, "%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return Usage(c, "%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// AtLeastOne demands one argument or more.
func AtLeastOne(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return Usage(c, "%s is missing", name)
		}
		return nil
	}
}

// changes marks a command that changes a cluster, files or settings; the walk over the tree asks of such a
// command that it has --dry-run.
const changes = "changes"

// Changes says that c was marked by DryRunFlag or HarmFlags.
func Changes(c *cobra.Command) bool { return c.Annotations[changes] != "" }

// DryRunFlag gives --dry-run to a command that changes something. Every such command has it: with it, the
// command says what it would do, as far as a broker can say, and does nothing.
func DryRunFlag(c *cobra.Command) *bool {
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[changes] = "yes"
	return c.Flags().Bool("dry-run", false, "say what would be done, and do nothing")
}
