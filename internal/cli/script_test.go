package cli

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/klamm/klamm/internal/cli/apptest"
)

// otherBroker in the environment names a broker to run the scripts against instead of one in this process, and
// what it is: kafka=HOST:PORT.
const otherBroker = "KLAMM_TEST_BROKER"

// TestScripts runs testdata/script: what every command prints and how it exits, one script a command. The
// condition [klamm] or [kafka] in a script tells which kind of broker it runs against; each such line is a
// difference between the two and has a comment that explains it. Each script has a broker of its own on Klamm,
// and one for all of them otherwise (then with -parallel 1), so a script takes away what it made.
func TestScripts(t *testing.T) {
	if raceEnabled {
		t.Skip("a process for each command, which the race detector slows tenfold; each noun's own tests run in this one")
	}
	kind, addr, other := strings.Cut(os.Getenv(otherBroker), "=")
	if !other {
		kind = "klamm"
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			broker := addr
			if !other {
				broker = apptest.Broker(env.T().(testing.TB))
			}
			env.Setenv("KLAMM_BROKERS", broker)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/.config")
			return nil
		},
		Condition: func(cond string) (bool, error) { return cond == kind, nil },
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
			"retry": retry,
		},
	})
}

// exits runs a command line that ends with an exit code: exits CODE klamm ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%v exited with %s, want %s", args[1:], got, args[0])
	}
}

// retry runs a command until its output has a text, for what a broker does in its own time: retry TEXT COMMAND ARG...
func retry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: retry TEXT COMMAND ARG...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if err := ts.Exec(args[1], args[2:]...); err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
	}
	ts.Fatalf("%v never printed %q", args[1:], args[0])
}
