// Package cli is the command line: the tree of all commands, of which each noun has a package of its own
// below, and what surrounds them: help, completion, man pages, other names of the program.
package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/benchcmd"
	"github.com/klamm/klamm/internal/cli/cluster"
	"github.com/klamm/klamm/internal/cli/debug"
	"github.com/klamm/klamm/internal/cli/demo"
	"github.com/klamm/klamm/internal/cli/dump"
	"github.com/klamm/klamm/internal/cli/generate"
	"github.com/klamm/klamm/internal/cli/group"
	"github.com/klamm/klamm/internal/cli/kafka"
	"github.com/klamm/klamm/internal/cli/profile"
	"github.com/klamm/klamm/internal/cli/properties"
	"github.com/klamm/klamm/internal/cli/records"
	"github.com/klamm/klamm/internal/cli/run"
	"github.com/klamm/klamm/internal/cli/topic"
)

// Process is Main for a process: an interrupt or SIGTERM ends the command in good order, and a second one ends
// the process the hard way.
func Process(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Main(ctx, args, stdin, stdout, stderr)
}

// Main runs one command and returns its exit code. args begins with the program's name, as os.Args does.
// It returns soon after ctx ends.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return Run(ctx, app.New(stdin, stdout, stderr), args)
}

// Run is Main for an App of the caller's making.
func Run(ctx context.Context, a *app.App, args []string) int {
	root := Root(a)
	if len(args) > 0 {
		program := args[0]
		args = args[1:]
		if other := otherName(root, program); other != "" {
			args = append([]string{other}, args...)
		}
	}
	root.SetArgs(app.Plural(root, args))
	done := a.KeepWatch()
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	err := done(root.ExecuteContext(ctx))
	if err == nil {
		return app.ExitOK
	}
	f := app.Explain(err)
	f.Print(a.Err)
	return f.Exit
}

// Root builds the whole tree.
func Root(a *app.App) *cobra.Command {
	root := &cobra.Command{
		Use:   "klamm",
		Short: "A broker that every Kafka client can use, in one binary",
		Long:  "klamm is a broker that every Kafka client can use, and the command line to use it with.",
		Example: `  klamm dev                                    # a broker here, data in ./klamm-data
  klamm topic create orders -p 6
  echo hello | klamm produce orders
  klamm consume orders -o start`,
		Version:           app.Version, // gives --version
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE:              app.OnlySubcommands,
	}
	a.Flags(root)
	root.SetHelpFunc(help)
	root.SetUsageFunc(func(c *cobra.Command) error { help(c, nil); return nil })
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(&cobra.Group{ID: "run", Title: "Run"}, &cobra.Group{ID: "data", Title: "Data"}, &cobra.Group{ID: "operate", Title: "Operate"}, &cobra.Group{ID: "tools", Title: "Tools"}, &cobra.Group{ID: "compat", Title: "Kafka's own names"})
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", run.Dev(a))
	add("run", demo.Command(a, Run))
	add("run", run.Server(a))
	add("run", run.Format(a))
	add("run", properties.Init(a))
	add("data", topic.Noun(a))
	add("data", records.Produce(a))
	add("data", records.Consume(a))
	add("data", records.Tail(a))
	add("data", group.Noun(a))
	add("operate", cluster.Noun(a))
	add("operate", cluster.Nodes(a))
	add("operate", debug.Clients(a))
	add("operate", debug.Doctor(a))
	add("operate", debug.Noun(a))
	add("operate", benchcmd.Noun(a))
	add("tools", properties.Noun(a))
	add("tools", profile.Noun(a))
	add("tools", generate.Noun(a))
	add("tools", dump.Noun(a))
	add("tools", completion(a))
	add("tools", man(a))
	add("tools", version(a))
	add("compat", kafka.Commands(a)...)
	return root
}
