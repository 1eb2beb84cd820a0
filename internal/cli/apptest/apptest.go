// Package apptest is for tests of commands: it runs command lines without a process and brokers to run them against.
package apptest

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/node"
)

// Result is what a command line came to.
type Result struct {
	Exit     int
	Out, Err string
}

// Run runs one command line against a broker (empty for none) without a terminal, with an environment of
// its own. build makes the commands that stand below klamm.
func Run(t testing.TB, build func(*app.App) []*cobra.Command, broker, in string, args ...string) Result {
	t.Helper()
	var out, text bytes.Buffer
	a := &app.App{In: strings.NewReader(in), Out: &out, Err: &text, Env: func(string) string { return "" }}
	exit := RunApp(t, a, build, broker, args...)
	return Result{exit, out.String(), text.String()}
}

// RunApp is Run for an App of the test's making, and returns the exit code.
func RunApp(t testing.TB, a *app.App, build func(*app.App) []*cobra.Command, broker string, args ...string) int {
	t.Helper()
	root := &cobra.Command{Use: "klamm", SilenceErrors: true, SilenceUsage: true}
	a.Flags(root)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return app.Usage(c, "%s", err) })
	root.AddCommand(build(a)...)
	if broker != "" {
		args = append(args[:len(args):len(args)], "-b", broker)
	}
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := root.ExecuteContext(ctx)
	if err == nil {
		return app.ExitOK
	}
	f := app.Explain(err)
	f.Print(a.Err)
	return f.Exit
}

// Broker runs a node in this process until the test ends, and returns its address for clients. overrides are
// key=value in Kafka's names.
func Broker(t testing.TB, overrides ...string) string {
	t.Helper()
	cfg, err := node.Dev(t.TempDir(), "127.0.0.1:0", append([]string{"admin.listener="}, overrides...))
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	n, err := node.New(cfg, node.OSHost(), slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelWarn})), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the broker ended with %v\n%s", err, logs.String())
		}
	})
	select {
	case <-n.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatalf("the broker ended before it was ready: %v\n%s", err, logs.String())
	case <-time.After(20 * time.Second):
		t.Fatal("the broker is not ready after 20 s")
	}
	return n.Info().Addr
}

// Discard is an App for building a tree that is only looked at.
func Discard() *app.App {
	return &app.App{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Env: func(string) string { return "" }}
}
