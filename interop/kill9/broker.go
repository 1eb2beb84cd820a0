package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// broker is the process that is killed and started again. One goroutine uses it.
type broker struct {
	addr string
	cmd  *exec.Cmd // as the launcher printed it; run anew at each start
	args []string
	log  *os.File
	done chan error // receives the end of the process
}

// prepareBroker asks a launcher (see bench/brokers) for the command of a broker
// with its data in dir and a listener on port of loopback.
func prepareBroker(launcher, dir string, port int) (*broker, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	launcher, err := filepath.Abs(launcher)
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("something listens on %s already; choose another -port", addr)
	}
	cmd := exec.Command(launcher, dir, strconv.Itoa(port))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("launcher %s: %w", launcher, err)
	}
	args := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	log, err := os.OpenFile(filepath.Join(dir, "broker.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &broker{addr: addr, args: args, log: log}, nil
}

// start runs the broker; it does not wait until it serves.
func (b *broker) start() error {
	b.cmd = exec.Command(b.args[0], b.args[1:]...)
	b.cmd.Stdout, b.cmd.Stderr = b.log, b.log
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	b.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(b.cmd, b.done)
	return nil
}

// kill ends the process with SIGKILL and waits for its end. It returns an error
// when the broker had ended before.
func (b *broker) kill() error {
	select {
	case err := <-b.done:
		b.cmd = nil
		return fmt.Errorf("the broker ended on its own: %w\n%s", errors.Join(err, errors.New("see its log")), b.tail())
	default:
	}
	b.cmd.Process.Kill()
	<-b.done
	b.cmd = nil
	return nil
}

// close ends what runs.
func (b *broker) close() {
	if b.cmd != nil {
		b.cmd.Process.Kill()
		<-b.done
	}
	b.log.Close()
}

// tail is the end of the broker's log.
func (b *broker) tail() []byte {
	text, err := os.ReadFile(b.log.Name())
	if err != nil {
		return nil
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(lines[max(len(lines)-5, 0):], []byte("\n"))
}
