// Package app is what the commands of klamm share: where they read and write, the flags of all of them,
// connecting to a cluster, forms of output, asking before harm, and how a command fails.
package app

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/node"
)

// Version is this release of klamm.
const Version = node.Version

// The exit codes of every command.
const (
	ExitOK        = 0
	ExitFailed    = 1
	ExitUsage     = 2
	ExitNotFound  = 3
	ExitRefused   = 4 // refused, or needs confirmation
	ExitTimeout   = 5
	ExitUnhealthy = 6 // what was looked at is not well
	ExitPartly    = 7 // done for some of what was named
)

// App is one run of the program: where its commands read, write and look things up. Data goes to Out, talk
// to Err. The zero value of every other field is of use.
type App struct {
	In       io.Reader
	Out, Err io.Writer
	// Env looks a variable of the environment up.
	Env func(string) string
	// Environ is the whole environment, NAME=value each, for a node that is configured by it.
	Environ []string
	// Now is the clock, for times that are told relative to it. Nil is time.Now.
	Now func() time.Time
	// Terminal says that In and Err are a person's terminal, for tests. Nil finds out.
	Terminal func() bool

	brokers    string // --brokers
	profile    string // --profile
	properties []string
	timeout    timeoutFlag
	quiet      bool
	verbose    bool
	noColor    bool

	moreBrokers string            // of SetConnection
	more        map[string]string // of SetConnection
	found       *target           // once it was looked for
}

// New returns the App of a process.
func New(stdin io.Reader, stdout, stderr io.Writer) *App {
	return &App{In: stdin, Out: stdout, Err: stderr, Env: os.Getenv, Environ: os.Environ()}
}

// Flags gives root the flags that every command has.
func (a *App) Flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&a.brokers, "brokers", "b", "", "brokers to connect to, host:port[,host:port] (env KLAMM_BROKERS, KAFKA_BOOTSTRAP_SERVERS; default localhost:9092)")
	f.StringVar(&a.brokers, "bootstrap-server", "", "the same as --brokers")
	f.Lookup("bootstrap-server").Hidden = true
	f.StringVar(&a.profile, "profile", "", "the profile to connect by (env KLAMM_PROFILE; klamm profile list)")
	f.StringArrayVarP(&a.properties, "property", "X", nil, "key=value of the client, in librdkafka's or Java's name; may be given again")
	f.VarP(&a.timeout, "timeout", "", "give up after this long (30s, 1m)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no talk on standard error")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "say which brokers are used and why")
	f.BoolVar(&a.noColor, "no-color", false, "no colours (env NO_COLOR)")
}

// Say talks to the person at the terminal: a line on standard error, unless -q.
func (a *App) Say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.Err, format+"\n", args...)
	}
}

// Quiet says that -q was given.
func (a *App) Quiet() bool { return a.quiet }

// Verbose says that -v was given.
func (a *App) Verbose() bool { return a.verbose }

// Time is now.
func (a *App) Time() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

// Timeout is how long a command that asks brokers may take: --timeout, or 30 s.
func (a *App) Timeout() time.Duration { return a.timeout.duration() }

// TimeoutSet says that --timeout was given, for commands that otherwise go on for ever.
func (a *App) TimeoutSet() bool { return a.timeout != 0 }

// Interactive says that a person sits at the terminal: standard input and standard error are one.
func (a *App) Interactive() bool {
	if a.Terminal != nil {
		return a.Terminal()
	}
	return IsTerminal(a.In) && IsTerminal(a.Err)
}

// Talking says that standard error is a terminal and may be talked to: progress is for it alone.
func (a *App) Talking() bool {
	if a.quiet {
		return false
	}
	if a.Terminal != nil {
		return a.Terminal()
	}
	return IsTerminal(a.Err)
}

// Pretty says that standard output is read by a person.
func (a *App) Pretty() bool { return IsTerminal(a.Out) }

// Colour says that w may be written in colours: it is a terminal, and neither NO_COLOR nor --no-color is set.
func (a *App) Colour(w io.Writer) bool {
	return !a.noColor && a.Env("NO_COLOR") == "" && a.Env("TERM") != "dumb" && IsTerminal(w)
}

// Paint is s in a colour (red, yellow, green, blue or bold) where w may be written in colours.
func (a *App) Paint(w io.Writer, colour, s string) string {
	code, ok := map[string]string{"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1"}[colour]
	if !ok || !a.Colour(w) {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// IsTerminal says that a reader or writer is a terminal.
func IsTerminal(f any) bool {
	at, ok := file(f)
	if !ok {
		return false
	}
	st, err := at.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}
