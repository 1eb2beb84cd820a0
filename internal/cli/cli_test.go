package cli

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

// klamm runs one command line without a terminal and without environment.
func klamm(t *testing.T, in string, args ...string) (exit int, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app.App{In: strings.NewReader(in), Out: &o, Err: &e, Env: func(string) string { return "" }}
	exit = Run(context.Background(), a, append([]string{"klamm"}, args...))
	return exit, o.String(), e.String()
}

// walk calls f with every command of the tree.
func walk(c *cobra.Command, f func(*cobra.Command)) {
	f(c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			walk(sub, f)
		}
	}
}

func TestEveryCommandHasAnExampleAShortTextAndHelpThatBeginsWithThem(t *testing.T) {
	walk(Root(apptest.Discard()), func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s lacks a short text or an example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "klamm ") {
				t.Errorf("%s: the example %q is not an indented command", c.CommandPath(), line)
			}
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		exit, out, _ := klamm(t, "", args...)
		if exit != 0 || strings.Index(out, "Examples") > strings.Index(out, "Usage") || !strings.Contains(out, "Examples") {
			t.Errorf("%s --help: exit %d\n%s", c.CommandPath(), exit, out)
		}
	})
}

func TestMistakesOfTheCommandLineExitWith2AndSayWhatToTry(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"topc"}, "try: klamm topic\n"},
		{[]string{"topic", "lst"}, "try: klamm topic list\n"},
		{[]string{"topic", "create"}, "NAME is missing"},
		{[]string{"produce"}, "TOPIC is missing"},
		{[]string{"produce", "a", "b"}, `"b" is one argument too many`},
		{[]string{"topic", "list", "--what"}, "unknown flag: --what"},
		{[]string{"topic", "list", "--brokrs", "x"}, "did you mean --brokers?"},
		{[]string{"topic", "create", "a", "-c", "x"}, "key=value"},
		{[]string{"topic", "create", "a", "-p", "0"}, "at least one partition"},
		{[]string{"topic", "list", "-o", "xml"}, "the forms are"},
		{[]string{"topic", "list", "-o", "template={{"}, "template"},
		{[]string{"consume", "a", "-o", "yesterday"}, "allowed are start, end"},
		{[]string{"consume", "a", "-o", "@soon"}, "is not a time"},
		{[]string{"consume", "a", "-g", "g", "-o", ":end"}, "a group reads on"},
		{[]string{"consume", "a", "-f", "%"}, "-f %"},
		{[]string{"produce", "a", "-z", "brotli"}, "none, gzip, snappy, lz4 and zstd"},
		{[]string{"produce", "a", "--acks", "2"}, "all, 1 and 0"},
		{[]string{"produce", "a", "-H", "x"}, "key=value"},
		{[]string{"topic", "list", "--timeout", "soon"}, "not a duration"},
		{[]string{"server"}, "--config is missing"},
		{[]string{"help", "topc"}, "try: klamm topic\n"},
		{[]string{"help", "topic", "crate"}, "try: klamm topic create\n"},
		{[]string{"help", "version", "more"}, `"more" is not a command of klamm version`},
		{[]string{"topic", "create", "a", "-p", "abc"}, "error K1001: --partitions abc: not a whole number\n"},
		{[]string{"topic", "create", "a", "-p", "99999999999999999999"}, "--partitions 99999999999999999999: it is beyond what can be\n"},
		{[]string{"topic", "create", "a", "-p"}, "--partitions needs a value\n"},
		{[]string{"topic", "create", "a", "-q=maybe"}, "--quiet maybe: not true or false\n"},
		{[]string{"demo", "--seed", "-1"}, "--seed -1: not a whole number from 0 on\n"},
		{[]string{"topic", "trim", "a", "-p", "1"}, "unknown flag: -p\n"},
		{[]string{"dev", "--listen", "0.0.0.0:9092"}, "this machine alone"},
		{[]string{"dev", "--override", "num.partitions=x"}, "not a number"},
		{[]string{"version", "-o", "xml"}, "the forms are"},
	} {
		exit, out, err := klamm(t, "", c.args...)
		if exit != app.ExitUsage || out != "" || !strings.Contains(err, c.want) || !strings.Contains(err, "error K") {
			t.Errorf("%v: exit %d, out %q, err %q; want %q", c.args, exit, out, err, c.want)
		}
	}
}

func TestNobodyListensIsSaidAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	began := time.Now()
	for _, args := range [][]string{{"topic", "list"}, {"produce", "t"}, {"consume", "t"}, {"group", "describe", "g"}} {
		exit, _, text := klamm(t, "", append(args, "-b", addr)...)
		if exit != app.ExitFailed || !strings.Contains(text, "error K1002") || !strings.Contains(text, addr) || !strings.Contains(text, "klamm dev") {
			t.Errorf("%v: exit %d, %s", args, exit, text)
		}
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
}

func TestServerRefusesAFileThatItCannotObey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("node.id=1\nlisteners=SSL://:9092\nnum.io.threads=0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exit, _, text := klamm(t, "", "server", "--config", file)
	if exit != app.ExitFailed || !strings.Contains(text, file+":2:") || !strings.Contains(text, file+":3:") || !strings.Contains(text, "K1007") {
		t.Errorf("exit %d: %s", exit, text)
	}
	if exit, _, text = klamm(t, "", "server", "--config", file+".not"); exit != app.ExitNotFound || !strings.Contains(text, "there is no file") {
		t.Errorf("exit %d: %s", exit, text)
	}
}

// full takes nothing.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestOutputThatIsLostIsAFailure(t *testing.T) {
	for _, line := range []string{"version", "version -o name", "version -o schema", "version -o json", "config explain retention.ms", "generate alerts", "completion bash", "--help", "topic"} {
		var text bytes.Buffer
		if exit := Main(t.Context(), append([]string{"klamm"}, strings.Fields(line)...), strings.NewReader(""), full{}, &text); exit != app.ExitFailed || !strings.Contains(text.String(), "the output could not be written\n  why: no space left") {
			t.Errorf("klamm %s: exit %d, %s", line, exit, text.String())
		}
	}
}
