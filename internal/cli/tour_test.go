package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/klamm/klamm/internal/cli/app"
)

// asKlamm in the environment makes this test binary the klamm that scripts call.
const asKlamm = "KLAMM_TEST_AS_KLAMM"

func TestMain(m *testing.M) {
	if os.Getenv(asKlamm) != "" {
		os.Exit(Process(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){
		"klamm": func() { os.Exit(Process(os.Args, os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// startDev runs klamm dev in dir and returns the address for clients. overrides are key=value in Kafka's names.
func startDev(t *testing.T, dir string, overrides ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logs, stderr := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		args := []string{"klamm", "dev", "--listen", "127.0.0.1:0", "--data-dir", dir, "--override", "admin.listener="}
		for _, o := range overrides {
			args = append(args, "--override", o)
		}
		code := Main(ctx, args, strings.NewReader(""), io.Discard, stderr)
		_ = stderr.Close()
		exit <- code
	}()
	addr := make(chan string, 1)
	var said bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(logs); s.Scan(); {
			said.WriteString(s.Text() + "\n")
			var line struct{ Event, Addr string }
			if json.Unmarshal(s.Bytes(), &line) == nil && line.Event == "ready" {
				addr <- line.Addr
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-exit; code != app.ExitOK {
			<-read
			t.Errorf("klamm dev ended with exit code %d:\n%s", code, said.String())
		}
	})
	select {
	case a := <-addr:
		return a
	case <-read:
		t.Fatalf("klamm dev ended before it was ready:\n%s", said.String())
	case <-time.After(20 * time.Second):
		t.Fatal("klamm dev is not ready after 20 s")
	}
	return ""
}

// shell runs a script with klamm in its path and a broker to talk to, and returns its standard output.
func shell(t *testing.T, dir, addr, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	c.Dir = dir
	c.Env = shellEnv(t, dir, addr)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.WaitDelay = time.Second
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s\nout: %s\nerr: %s", err, script, out.String(), errs.String())
	}
	return out.String()
}

func TestCommandsAgainstANodeExitAsTheyPromise(t *testing.T) {
	addr := startDev(t, filepath.Join(t.TempDir(), "data"))
	for _, c := range []struct {
		in   string
		args string
		exit int
		out  string // what standard output has in it
		err  string // and standard error
	}{
		{"", "topic list", 0, "", "no topics yet"},
		{"", "group list -o json", 0, "[]", ""},
		{"", "topic create orders -p 2", 0, "", "created topic orders with 2 partitions and 1 copy of each"},
		{"", "topic create orders", 1, "", "topic orders exists already"},
		{"", "topic create orders --if-not-exists", 0, "", "exists already"},
		{"", "topic create dry --dry-run", 0, "", "would create topic dry"},
		{"", "topic describe dry", 3, "", "there is no topic dry"},
		{"", "topic create orders other", 7, "", "K1011"},
		{"", "topic create bad/name", 1, "", "INVALID_TOPIC_EXCEPTION"},
		{"", "topic create odd -c retention.ms=soon", 1, "", "retention.ms"},
		{"", "topic create wide -r 3", 1, "", "INVALID_REPLICATION_FACTOR"},
		{"", "topic create kept -c cleanup.policy=compact", 0, "", ""},
		{"", "topic describe kept", 0, "does not compact yet", ""},
		{"a\tx\nb\ty", `produce orders -p 1 -H source=test -f %k\t%v\n`, 0, "", "2 records (4 B) written to orders"},
		{"one", "produce orders -p 1 -k c --acks all -z gzip", 0, "", "1 record"},
		{"", "produce orders", 0, "", "0 records"},
		{"", `consume orders -o start:end -f %p,%o,%k=%v;%h{%k=%v}\n`, 0, "1,0,a=x;source=test\n1,1,b=y;source=test\n1,2,c=one;\n", ""},
		{"", "consume orders -o -1:end", 0, "one\n", ""},
		{"", "consume orders -o end:end", 0, "", ""},
		{"", "consume orders -o 1 -n 1 -f json", 0, `"key":"b"`, ""},
		{"", "consume orders -n 1 --timeout 300ms", 5, "", "0 of 1 record"},
		{"", "consume nope -o start", 3, "", "there is no topic nope"},
		{"", "consume orders -g g -n 2", 0, "x\ny\n", ""},
		{"", "group describe g -o json", 0, `"lag": 1`, ""},
		{"", "group describe g nope", 7, "orders  1          2", "there is no group nope"},
		{"", "group list -o name", 0, "g\n", ""},
		{"", "topic list -o csv", 0, "\norders,2,1,", ""},
		{"", "topic describe orders -o jsonl", 0, `"end_offset":3`, ""},
		{"", "topic delete orders", 4, "", "--confirm orders"},
		{"", "topic delete orders --dry-run", 0, "", "delete topic orders"},
		{"", "topic delete nope -y", 3, "", "there is no topic nope"},
		{"", "topic delete orders other nope --confirm orders --confirm other", 7, "", "deleted topic other"},
		{"", "topic list -o name", 0, "kept\n", ""},
	} {
		exit, out, text := klamm(t, c.in, append(strings.Fields(c.args), "-b", addr)...)
		if exit != c.exit || !strings.Contains(out, c.out) || !strings.Contains(text, c.err) {
			t.Errorf("klamm %s: exit %d, want %d\nout: %s\nerr: %s", c.args, exit, c.exit, out, text)
		}
	}
}

func TestASecondNodeIsToldWhoHasTheDirectoryAndThePort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addr := startDev(t, dir)
	exit, _, text := klamm(t, "", "dev", "--listen", "127.0.0.1:0", "--data-dir", dir, "--override", "admin.listener=")
	if exit != app.ExitFailed || !strings.Contains(text, fmt.Sprint(os.Getpid())) {
		t.Errorf("exit %d: %s", exit, text)
	}
	exit, _, text = klamm(t, "", "dev", "--listen", addr, "--data-dir", dir+"2", "--override", "admin.listener=")
	if exit != app.ExitFailed || !strings.Contains(text, "is taken") || !strings.Contains(text, "--listen localhost:19092") {
		t.Errorf("exit %d: %s", exit, text)
	}
}
