// Package kafka is Kafka's own command-line tools under their own names: the same options, the same lines of
// output and the same exit codes as those of Apache Kafka 4.4, for scripts and for fingers that know them.
// Options that Kafka 4 dropped and that were common are there too. Where a tool of Java prints a stack trace,
// these print its first line.
package kafka

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
)

// version is the release of Apache Kafka whose tools these are like.
const version = "4.4.0"

// Commands are all of Kafka's tools. Each may also be the name of the program itself, with .sh behind it or not.
func Commands(a *app.App) []*cobra.Command {
	var cmds []*cobra.Command
	for _, t := range tools() {
		cmds = append(cmds, t.command(a))
	}
	return cmds
}

// tools are the tools by their names' order of use.
func tools() []tool {
	return []tool{
		topicsTool(), consoleProducerTool(), consoleConsumerTool(), groupsTool(), configsTool(), getOffsetsTool(), deleteRecordsTool(), logDirsTool(), apiVersionsTool(), dumpLogTool(), producerPerfTool(), consumerPerfTool(),
	}
}

// tool is one of Kafka's tools.
type tool struct {
	name    string
	short   string
	about   string // what the tool says of itself before its options
	example string
	options []option
	prefix  string // stands before the message of an error
	onParse bool   // a command line that cannot be read is answered with the options
	stdout  bool   // an error of the work itself is told on standard output
	local   bool   // it works on files, and connects to nobody
	run     func(*run) error
}

// run is one run of a tool.
type run struct {
	*options
	app  *app.App
	cmd  *cobra.Command
	ctx  context.Context
	tool tool
	args []string
	out  *bufio.Writer // standard output
	err  io.Writer     // standard error
}

// usageError is a command line that cannot be obeyed: the tool prints its options behind the message.
type usageError struct{ message string }

// Error is the message.
func (e usageError) Error() string { return e.message }

// usagef is a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// plainError is an error whose message stands alone, without the tool's prefix, on standard error.
type plainError struct{ message string }

// Error is the message.
func (e plainError) Error() string { return e.message }

// plainf is a plainError.
func plainf(format string, args ...any) error { return plainError{fmt.Sprintf(format, args...)} }

// silent is an end with an exit code of which all was said.
type silent int

// Error says the code.
func (e silent) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// command is the tool as a command of klamm. It reads its options itself, as cobra's manners are not Java's.
func (t tool) command(a *app.App) *cobra.Command {
	c := &cobra.Command{Use: t.name + " [OPTION]...", Short: t.short, Example: t.example, DisableFlagParsing: true, Args: cobra.ArbitraryArgs}
	t.options = append(t.options, flag("help", "Print this."), flag("version", "Print the version."))
	t.document(c)
	c.SetHelpFunc(func(*cobra.Command, []string) { t.printHelp(a.Out) })
	c.ValidArgsFunction = t.complete(a)
	c.RunE = func(c *cobra.Command, args []string) error {
		out := bufio.NewWriterSize(a.Out, 64<<10)
		r := &run{app: a, cmd: c, ctx: c.Context(), tool: t, out: out, err: after{out, a.Err}}
		err := r.end(r.main(args))
		if ferr := out.Flush(); ferr != nil && err == nil {
			err = ferr
		}
		return err
	}
	return c
}

// main reads the command line and does what it says.
func (r *run) main(args []string) error {
	if len(args) == 0 {
		return usageError{r.tool.about}
	}
	r.args = args
	o, err := parse(r.tool.options, args)
	if err != nil {
		switch {
		case r.tool.onParse:
			return usageError{err.Error()}
		case r.tool.stdout:
			return plainError{err.Error()}
		}
		return err
	}
	r.options = o
	switch {
	case o.has("help"):
		r.tool.printHelp(r.out)
		return nil
	case o.has("version"):
		fmt.Fprintf(r.out, "%s (klamm %s)\n", version, app.Version)
		return nil
	}
	if err := o.check(); err != nil {
		if r.tool.onParse {
			return usageError{err.Error()}
		}
		return err
	}
	r.fromEnvironment()
	return r.tool.run(r)
}

// end says an error as the tool does and makes an exit code of it.
func (r *run) end(err error) error {
	var use usageError
	var plain plainError
	var code silent
	switch {
	case err == nil:
		return nil
	case errors.As(err, &code):
		return app.Said(int(code))
	case errors.As(err, &use):
		fmt.Fprintln(r.err, use.message)
		r.tool.printOptions(r.err)
	case errors.As(err, &plain):
		fmt.Fprintln(r.err, plain.message)
	case r.ctx.Err() != nil:
		return app.Said(130)
	case r.tool.stdout:
		fmt.Fprintln(r.out, r.tool.prefix+message(err))
	default:
		fmt.Fprintln(r.err, r.tool.prefix+message(err))
	}
	return app.Said(app.ExitFailed)
}

// printf writes to standard output.
func (r *run) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

// println writes a line to standard output.
func (r *run) println(s string) { r.out.WriteString(s + "\n") }

// after writes to one writer when another has written all it holds, so that both come in the order of their lines.
type after struct {
	before *bufio.Writer
	w      io.Writer
}

// Write writes what the other holds, and then b.
func (a after) Write(b []byte) (int, error) {
	if err := a.before.Flush(); err != nil {
		return 0, err
	}
	return a.w.Write(b)
}

// lines are the lines of a text, without empty ones.
func lines(s string) (all []string) {
	for l := range strings.Lines(s) {
		if l = strings.TrimSpace(l); l != "" {
			all = append(all, l)
		}
	}
	return all
}
