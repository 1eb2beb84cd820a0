package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/cli/transcript"
)

const (
	columns, rows = 106, 28
	// readyText ends what klamm dev says when it is ready.
	readyText = "Stop: Ctrl-C"
	// patience is how long a command may take.
	patience = 20 * time.Second
)

// step is a command line and what it prints. A line that begins with # is a remark and prints nothing.
type step struct {
	line string
	out  []chunk
}

// chunk is a piece of output, and when it came after the command began.
type chunk struct {
	after time.Duration
	text  string
}

// text is all that a step prints.
func (s step) text() string {
	var b strings.Builder
	for _, c := range s.out {
		b.WriteString(c.text)
	}
	return b.String()
}

// errTaken says that a port was free a moment ago.
var errTaken = errors.New("a port was taken meanwhile")

// record runs command lines in a terminal, the first of which starts a broker. It listens on free ports, and the
// recording has Klamm's own in their place.
func record(ctx context.Context, klamm string, lines []string) (steps []step, err error) {
	for range 5 {
		if steps, err = attempt(ctx, klamm, lines); !errors.Is(err, errTaken) {
			break
		}
	}
	return steps, err
}

// attempt is record once.
func attempt(ctx context.Context, klamm string, lines []string) ([]step, error) {
	klamm, err := filepath.Abs(klamm)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "session")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(klamm, filepath.Join(bin, "klamm")); err != nil {
		return nil, err
	}
	client, admin, err := freePorts()
	if err != nil {
		return nil, err
	}
	t := terminal{
		dir: dir,
		env: append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "XDG_CONFIG_HOME="+dir,
			"KLAMM_BROKERS=", "KAFKA_BOOTSTRAP_SERVERS=", "KLAMM_PROFILE=", "NO_COLOR=", "TERM=xterm-256color", "TZ=UTC"),
		here:  strings.NewReplacer("localhost:9092", "localhost:"+client),
		there: strings.NewReplacer("localhost:"+client, "localhost:9092", "127.0.0.1:"+admin, "127.0.0.1:9644"),
	}
	broker, err := t.start(ctx, lines[0]+" --listen localhost:"+client+" --override admin.listener=127.0.0.1:"+admin)
	if err != nil {
		return nil, err
	}
	defer broker.end()
	first, err := broker.read(func(said string) bool { return strings.Contains(said, readyText) })
	if strings.Contains(step{out: first}.text(), "is taken") {
		return nil, errTaken
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; it said: %s", lines[0], err, step{out: first}.text())
	}
	steps := []step{{lines[0], first}}
	for _, line := range lines[1:] {
		s := step{line: line}
		if !strings.HasPrefix(line, "#") {
			c, err := t.start(ctx, line)
			if err != nil {
				return nil, err
			}
			s.out, err = c.read(nil)
			c.end()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// freePorts are two free ports of this machine with as many digits as those in whose place they are, so that
// columns stay where they are. They are anybody's until the broker has them; record tries others then.
func freePorts() (client, admin string, err error) {
	var free []string
	for range 1000 {
		port := fmt.Sprint(1024 + rand.IntN(10000-1024))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close() // so that the second is another one
		if free = append(free, port); len(free) == 2 {
			return free[0], free[1], nil
		}
	}
	return "", "", errors.New("no port of four digits is free on 127.0.0.1; stop what listens there")
}

// terminal is where command lines run.
type terminal struct {
	dir         string
	env         []string
	here, there *strings.Replacer // addresses of the session to those of this run, and back
}

// running is a command line that runs in a terminal of its own.
type running struct {
	cmd   *exec.Cmd
	pty   *os.File
	began time.Time
	there *strings.Replacer
}

// start begins a command line.
func (t *terminal) start(ctx context.Context, line string) (*running, error) {
	pty, tty, err := openTerminal(columns, rows)
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	c := exec.CommandContext(ctx, "sh", "-c", t.here.Replace(line))
	c.Dir, c.Env = t.dir, t.env
	c.Stdin, c.Stdout, c.Stderr = tty, tty, tty
	c.SysProcAttr = session()
	if err := c.Start(); err != nil {
		_ = pty.Close()
		return nil, err
	}
	return &running{cmd: c, pty: pty, began: time.Now(), there: t.there}, nil
}

// read reads what the command prints, until that is enough or the command ends.
func (r *running) read(enough func(string) bool) ([]chunk, error) {
	if err := r.pty.SetReadDeadline(r.began.Add(patience)); err != nil {
		return nil, err
	}
	var out []chunk
	var said strings.Builder
	buf := make([]byte, 32<<10)
	for {
		n, err := r.pty.Read(buf)
		if n > 0 {
			said.Write(buf[:n])
			out = append(out, chunk{time.Since(r.began), r.there.Replace(string(buf[:n]))})
		}
		switch {
		case enough != nil && enough(said.String()):
			return out, nil
		case ended(err) && enough == nil:
			return out, nil
		case err != nil:
			return out, err
		}
	}
}

// end interrupts the command and waits for its end.
func (r *running) end() {
	interrupt(r.cmd.Process)
	_ = r.cmd.Wait()
	_ = r.pty.Close()
}

// normal is a text without what differs from run to run.
func normal(text string) string {
	text = strings.ReplaceAll(transcript.Normal(strings.ReplaceAll(text, "\r", "")), "\t", " ")
	text = regexp.MustCompile(`klamm \d+\.\d+\.\d+\S*`).ReplaceAllString(text, "klamm VERSION")
	text = strings.ReplaceAll(text, " in DURATION, RATE", "") // said when there was any to speak of
	return strings.TrimSpace(text)
}
