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
)

// asKlamm in the environment makes this test binary the klamm that scripts call.
const asKlamm = "KLAMM_TEST_AS_KLAMM"

func TestMain(m *testing.M) {
	if os.Getenv(asKlamm) != "" {
		os.Exit(Main(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// startDev runs klamm dev in dir and returns the address for clients.
func startDev(t *testing.T, dir string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logs, stderr := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		code := Main(ctx, []string{"klamm", "dev", "--listen", "127.0.0.1:0", "--data-dir", dir, "--override", "admin.listener="}, strings.NewReader(""), io.Discard, stderr)
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
		if code := <-exit; code != exitOK {
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
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	wrapper := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asKlamm, self)
	if err := os.WriteFile(filepath.Join(bin, "klamm"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KLAMM_BROKERS="+addr, "LC_ALL=C")
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.WaitDelay = time.Second
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s\nout: %s\nerr: %s", err, script, out.String(), errs.String())
	}
	return out.String()
}

// block is a fenced block of a Markdown file.
type block struct{ info, text string }

// blocks returns the fenced blocks of a Markdown text.
func blocks(text string) []block {
	var bs []block
	var open *block
	for line := range strings.Lines(text) {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{info: strings.TrimSpace(info)}
		case fence:
			bs = append(bs, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return bs
}

// TestTheTourOfTheReadmeIsTrue runs every block marked "sh tour" and compares what it prints with the block
// marked "text tour" behind it.
func TestTheTourOfTheReadmeIsTrue(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell here")
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	addr := startDev(t, filepath.Join(dir, "klamm-data"))
	bs := blocks(string(readme))
	ran := 0
	for i, b := range bs {
		words := strings.Fields(b.info)
		if len(words) < 2 || words[0] != "sh" || words[1] != "tour" {
			continue
		}
		if len(words) == 3 {
			if _, err := exec.LookPath(words[2]); err != nil {
				t.Logf("no %s here; this part of the tour is left out", words[2])
				continue
			}
		}
		ran++
		got := shell(t, dir, addr, strings.ReplaceAll(b.text, "localhost:9092", addr))
		if i+1 < len(bs) && bs[i+1].info == "text tour" && strings.TrimSpace(got) != strings.TrimSpace(bs[i+1].text) {
			t.Errorf("%s\nprints:\n%s\nand the tour says:\n%s", b.text, got, bs[i+1].text)
		}
	}
	if ran < 5 {
		t.Errorf("the tour has %d parts; were they marked?", ran)
	}
}
