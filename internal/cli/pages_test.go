package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/cli/transcript"
)

// updatePages makes TestPagesAreTrue write what the commands print into the pages in place of finding fault.
var updatePages = flag.Bool("update.pages", false, "write what the commands of the pages print into them")

// page runs what a page shows, in a directory and against a broker of its own.
type page struct {
	t    *testing.T
	path string
	dir  string
	addr string // of the broker, for localhost:9092
	node string // of its admin listener, for localhost:9644
	ran  int
}

// TestPagesAreTrue runs the blocks of README.md and of docs/*.md that are marked with "tour", in their order:
//
//	sh tour         a script; the block "text tour" behind it is what it prints on standard output. A third word
//	                is a program without which it is left out.
//	console tour    commands behind "$ " with what they print on both streams; a line of three dots stands for any
//	                lines, and ^C is where an interrupt ends the command.
//	LANG tour FILE  a file that commands further down read.
//
// What differs from run to run (times, ids, rates) may differ. An exit code other than 0 is a fault unless the
// console shows an error, or the block's last word is "fails".
func TestPagesAreTrue(t *testing.T) {
	if raceEnabled {
		t.Skip("a process for each command, which the race detector slows tenfold; each noun's own tests run in this one")
	}
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell here")
	}
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, path := range append(paths, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		blocks := transcript.Blocks(string(text))
		if !strings.Contains(string(text), " tour") {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			if !*updatePages {
				t.Parallel()
			}
			p := &page{t: t, path: path, dir: t.TempDir(), node: freePort(t)}
			p.addr = startDev(t, filepath.Join(p.dir, "klamm-data"), "admin.listener="+p.node)
			p.run(string(text), blocks)
		})
		ran++
	}
	if ran < 10 {
		t.Errorf("%d pages have parts of the tour; were they marked?", ran)
	}
}

// freePort is an address of this machine that nobody listened at a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run runs the marked blocks of a page.
func (p *page) run(text string, blocks []transcript.Block) {
	updated := strings.Split(text, "\n")
	shift := 0
	for i, b := range blocks {
		words := strings.Fields(b.Info)
		if len(words) < 2 || words[1] != "tour" {
			continue
		}
		p.ran++
		third := ""
		if len(words) > 2 {
			third = words[2]
		}
		switch words[0] {
		case "text":
		case "sh":
			if third != "" {
				if _, err := exec.LookPath(third); err != nil {
					p.t.Logf("no %s here; this part is left out", third)
					continue
				}
			}
			got := shell(p.t, p.dir, p.addr, p.here(b.Text))
			if i+1 < len(blocks) && blocks[i+1].Info == "text tour" && !transcript.Match(blocks[i+1].Text, p.there(got)) {
				p.t.Errorf("%s:%d\n%s\nprints:\n%s\nand the page says:\n%s", p.path, b.Line, b.Text, got, blocks[i+1].Text)
			}
		case "console":
			cs := transcript.Commands(b.Text)
			var now strings.Builder
			for i := range cs {
				cs[i].Want = p.console(b.Line, cs[i], third == "fails")
				now.WriteString(cs[i].String())
			}
			lines := strings.Split(strings.TrimSuffix(now.String(), "\n"), "\n")
			old := strings.Count(b.Text, "\n")
			at := b.Line + shift
			updated = append(updated[:at:at], append(lines, updated[at+old:]...)...)
			shift += len(lines) - old
		default:
			if err := os.WriteFile(filepath.Join(p.dir, third), []byte(p.here(b.Text)), 0o644); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if now := strings.Join(updated, "\n"); *updatePages && now != text {
		if err := os.WriteFile(p.path, []byte(now), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
}

// here puts the test's addresses and directory in the place of those that a page names.
func (p *page) here(text string) string {
	return strings.NewReplacer("localhost:9092", p.addr, "localhost:9644", p.node).Replace(text)
}

// there is the reverse of here.
func (p *page) there(text string) string {
	host, port, _ := net.SplitHostPort(p.addr)
	_, admin, _ := net.SplitHostPort(p.node)
	text = strings.NewReplacer(p.addr, "localhost:9092", p.node, "localhost:9644", p.dir+"/", "", p.dir, ".").Replace(text)
	// In a table the two stand apart.
	return strings.NewReplacer(host+" ", "localhost ", port, "9092", admin, "9644").Replace(text)
}

// console runs a command of a console and returns what it printed, or what was wanted when that is the same.
func (p *page) console(line int, c transcript.Command, fails bool) string {
	before, after, interrupt := strings.Cut("\n"+c.Want, "\n^C\n")
	script := p.here(c.Line)
	if interrupt {
		script = "exec " + script
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-u", "-c", script)
	cmd.Dir = p.dir
	cmd.Env = shellEnv(p.t, p.dir, p.addr)
	cmd.WaitDelay = time.Second
	out := &growing{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	printed := ""
	if interrupt {
		out.wait(ctx, func(got string) bool { return transcript.Begins(before, p.there(got)) })
		printed = strings.TrimPrefix(before, "\n") + "\n^C\n"
		_ = cmd.Process.Signal(os.Interrupt)
	}
	err := cmd.Wait()
	got := p.there(out.text())
	want := c.Want
	if interrupt {
		want = strings.TrimPrefix(before+"\n"+after, "\n")
	}
	failed := err != nil && !fails && !strings.Contains(got, "error K") && !interrupt
	if transcript.Match(want, got) && !failed {
		return c.Want
	}
	if *updatePages && !failed {
		if interrupt {
			return printed + got
		}
		return got
	}
	p.t.Errorf("%s:%d\n$ %s\nended with %v and prints:\n%s\nand the page says:\n%s", p.path, line, c.Line, err, got, c.Want)
	return c.Want
}

// growing is what a running command has printed so far.
type growing struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{} // closed by the next write
}

// Write appends.
func (g *growing) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.more != nil {
		close(g.more)
		g.more = nil
	}
	return g.b.Write(b)
}

// text is all of it.
func (g *growing) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.String()
}

// wait waits until it is as it should be, or ctx ends.
func (g *growing) wait(ctx context.Context, enough func(string) bool) {
	for {
		g.mu.Lock()
		got := g.b.String()
		if g.more == nil {
			g.more = make(chan struct{})
		}
		more := g.more
		g.mu.Unlock()
		if enough(got) {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// shellEnv puts klamm into the path of dir's scripts, with the broker to talk to and a home of their own.
func shellEnv(t *testing.T, dir, addr string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, ".bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	wrapper := filepath.Join(bin, "klamm")
	if _, err := os.Stat(wrapper); err != nil {
		if err := os.WriteFile(wrapper, fmt.Appendf(nil, "#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", asKlamm, self), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KLAMM_BROKERS="+addr, "KLAMM_PROFILE=", "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, ".config"), "LC_ALL=C", "TZ=UTC")
}
