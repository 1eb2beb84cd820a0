package kafka

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
)

// helpWidth is how wide the options are printed, as Java's tools print theirs.
const helpWidth = 80

// document gives the command flags for man pages and for completion; they are read by parse, not by cobra.
func (t tool) document(c *cobra.Command) {
	f := c.Flags()
	for _, o := range t.options {
		if f.Lookup(o.name) != nil {
			continue
		}
		if o.takes == takesNone {
			f.Bool(o.name, false, o.help)
		} else {
			f.String(o.name, o.def, o.help)
		}
		f.Lookup(o.name).Hidden = o.old != ""
	}
}

// printHelp writes the examples and then the options.
func (t tool) printHelp(w io.Writer) {
	fmt.Fprintf(w, "%s\n\nExamples\n%s\n\nUsage\n  klamm %s [OPTION]...\n\n", t.about, t.example, t.name)
	t.printOptions(w)
}

// printOptions writes the options in two columns.
func (t tool) printOptions(w io.Writer) {
	opts := slices.DeleteFunc(slices.Clone(t.options), func(o option) bool { return o.old != "" })
	slices.SortFunc(opts, func(a, b option) int { return strings.Compare(a.name, b.name) })
	wide := 0
	for _, o := range opts {
		wide = max(wide, len(o.shown()))
	}
	wide = min(wide, 38)
	row := func(left, right string) {
		words := wrap(right, helpWidth-wide-2)
		if len(left) > wide {
			fmt.Fprintln(w, left)
			left = ""
		}
		for _, line := range words {
			fmt.Fprintf(w, "%-*s  %s\n", wide, left, line)
			left = ""
		}
	}
	row("Option", "Description")
	row("------", "-----------")
	for _, o := range opts {
		help := o.help
		if o.def != "" {
			help += " (default: " + o.def + ")"
		}
		row(o.shown(), help)
	}
}

// shown is the option with its argument.
func (o option) shown() string {
	s := "--" + o.name
	if o.takes == takesNone {
		return s
	}
	arg := o.kind
	if o.of != "" {
		arg += ": " + o.of
	}
	if o.takes == takesMaybe {
		return s + " [" + arg + "]"
	}
	return s + " <" + arg + ">"
}

// wrap breaks a text into lines of a width, one at least.
func wrap(s string, width int) []string {
	var all []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len(line)+1+len(word) > width {
			all = append(all, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(all, line)
}

// complete completes the names of options, and topics and groups behind the options that take them.
func (t tool) complete(a *app.App) app.Completion {
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !strings.HasPrefix(begun, "-") {
			b := *a
			if o, err := parse(t.options, args[:len(args)-1]); err == nil && o.has("bootstrap-server") {
				b = *at(a, o.text("bootstrap-server"))
			}
			switch args[len(args)-1] {
			case "--topic":
				return b.CompleteTopics()(c, nil, begun)
			case "--group":
				return b.CompleteGroups()(c, nil, begun)
			}
		}
		var words []string
		for _, o := range t.options {
			if strings.HasPrefix("--"+o.name, begun) && o.old == "" {
				words = append(words, "--"+o.name+"\t"+o.help)
			}
		}
		return words, cobra.ShellCompDirectiveDefault
	}
}
