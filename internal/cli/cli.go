// Package cli is the command line: one file a noun, built by functions, with nothing shared but what
// Main is handed. Data goes to standard output, talk to standard error.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// Version is this release of klamm.
const Version = "0.1.0"

// The exit codes of every command.
const (
	exitOK        = 0
	exitFailed    = 1
	exitUsage     = 2
	exitNotFound  = 3
	exitRefused   = 4 // refused, or needs confirmation
	exitTimeout   = 5
	exitUnhealthy = 6 // what was looked at is not well
	exitPartly    = 7 // done for some of what was named
)

// Main runs one command and returns its exit code. args begins with the program's name, as os.Args does.
// It returns soon after ctx ends.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{in: stdin, out: stdout, err: stderr, env: os.Getenv}
	return a.main(ctx, args)
}

// app is what commands share: where they read, write and look things up, and the flags of all commands.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string

	brokers string // --brokers
	timeout timeoutFlag
	quiet   bool
	verbose bool
}

// main is Main on an app.
func (a *app) main(ctx context.Context, args []string) int {
	root := a.root()
	if len(args) > 0 {
		args = args[1:]
	}
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	f := explain(err)
	f.print(a.err)
	return f.exit
}

// root builds the whole tree.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "klamm",
		Short: "A broker that every Kafka client can use, in one binary",
		Long:  "klamm is a broker that every Kafka client can use, and the command line to use it with.",
		Example: `  klamm dev                                    # a broker here, data in ./klamm-data
  klamm topic create orders -p 6
  echo hello | klamm produce orders
  klamm consume orders -o start`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.brokers, "brokers", "b", "", "brokers to connect to, host:port[,host:port] (env KLAMM_BROKERS, KAFKA_BOOTSTRAP_SERVERS; default localhost:9092)")
	f.StringVar(&a.brokers, "bootstrap-server", "", "the same as --brokers")
	f.Lookup("bootstrap-server").Hidden = true
	f.VarP(&a.timeout, "timeout", "", "give up after this long (30s, 1m)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no talk on standard error")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say which brokers are used and why")
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(helpTemplate)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(c, "%s", err)
	})
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run"}, &cobra.Group{ID: "data", Title: "Data"}, &cobra.Group{ID: "tools", Title: "Tools"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", a.dev(), a.server(), a.format())
	add("data", a.topic(), a.produce(), a.consume(), a.group())
	add("tools", a.log(), a.version())
	root.RunE = a.onlySubcommands
	root.Args = cobra.ArbitraryArgs
	return root
}

// noun builds a command that only holds others.
func (a *app) noun(use, short, example string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: cobra.ArbitraryArgs, RunE: a.onlySubcommands}
	c.AddCommand(verbs...)
	return c
}

// onlySubcommands shows the help of a command that does nothing alone, and refuses a word it does not know.
func (a *app) onlySubcommands(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	f := usage(c, "%q is not a command of %s", args[0], c.CommandPath())
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		f.try = c.CommandPath() + " " + near[0]
	}
	return f
}

// exactly demands n arguments, told by their names.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usage(c, "%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return usage(c, "%q is one argument too many", args[len(names)])
		}
		return nil
	}
}

// atLeastOne demands one argument or more.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(c, "%s is missing", name)
		}
		return nil
	}
}

// say talks to the person at the terminal: a line on standard error, unless -q.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.err, format+"\n", args...)
	}
}

// terminal says that w or r is a terminal.
func terminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	st, err := file.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}

// helpTemplate puts examples first.
const helpTemplate = `{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}
{{end}}{{if .HasExample}}
Examples
{{.Example}}
{{end}}
Usage
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{if eq (len .Groups) 0}}
Commands{{range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{else}}{{range $g := .Groups}}
{{$g.Title}}{{range $cmds}}{{if and (eq .GroupID $g.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}
Flags
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableInheritedFlags}}
Flags of every command
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}`
