package server

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// noRegistry registers nothing.
type noRegistry struct{}

func (noRegistry) Register(prometheus.Collector) error  { return nil }
func (noRegistry) MustRegister(...prometheus.Collector) {}
func (noRegistry) Unregister(prometheus.Collector) bool { return true }

// dialMemory connects over a pair of bounded pipes in memory.
func (r *rig) dialMemory() *client {
	a, b := newPipes()
	r.tb.Cleanup(func() { a.Close() })
	r.s.listeners[0].admit(b)
	return &client{a, r.tb}
}

// pipe is one direction of a connection in memory.
type pipe struct {
	mu       sync.Mutex
	cond     *sync.Cond
	b        []byte
	closed   bool
	deadline time.Time
}

const pipeSize = 64 << 10

type memConn struct{ in, out *pipe }

func newPipes() (*memConn, *memConn) {
	a, b := &pipe{}, &pipe{}
	a.cond, b.cond = sync.NewCond(&a.mu), sync.NewCond(&b.mu)
	return &memConn{a, b}, &memConn{b, a}
}

func (c *memConn) Read(p []byte) (int, error) {
	in := c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		switch {
		case !in.deadline.IsZero() && !in.deadline.After(time.Now()):
			return 0, os.ErrDeadlineExceeded
		case len(in.b) > 0:
			n := copy(p, in.b)
			in.b = in.b[:copy(in.b, in.b[n:])]
			in.cond.Broadcast()
			return n, nil
		case in.closed:
			return 0, io.EOF
		}
		in.cond.Wait()
	}
}

func (c *memConn) Write(p []byte) (n int, err error) {
	out := c.out
	out.mu.Lock()
	defer out.mu.Unlock()
	for len(p) > 0 {
		if out.closed {
			return n, net.ErrClosed
		}
		k := min(len(p), pipeSize-len(out.b))
		out.b = append(out.b, p[:k]...)
		n, p = n+k, p[k:]
		out.cond.Broadcast()
		if len(p) > 0 {
			out.cond.Wait()
		}
	}
	return n, nil
}

func (c *memConn) Close() error {
	for _, p := range []*pipe{c.in, c.out} {
		p.mu.Lock()
		p.closed = true
		p.cond.Broadcast()
		p.mu.Unlock()
	}
	return nil
}

func (c *memConn) LocalAddr() net.Addr                { return memAddr{} }
func (c *memConn) RemoteAddr() net.Addr               { return memAddr{} }
func (c *memConn) SetDeadline(t time.Time) error      { return c.SetReadDeadline(t) }
func (c *memConn) SetWriteDeadline(t time.Time) error { return nil }
func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.mu.Lock()
	c.in.deadline = t
	c.in.cond.Broadcast()
	c.in.mu.Unlock()
	return nil
}

type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return "memory" }

// scripted is a connection on which chunks arrive, and then its end.
type scripted struct {
	memConn
	chunks  [][]byte
	written bytes.Buffer
	once    sync.Once
	ended   chan struct{}
}

func (c *scripted) Read(p []byte) (int, error) {
	for len(c.chunks) > 0 && len(c.chunks[0]) == 0 {
		c.chunks = c.chunks[1:]
	}
	if len(c.chunks) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.chunks[0])
	c.chunks[0] = c.chunks[0][n:]
	return n, nil
}

func (c *scripted) Write(p []byte) (int, error)     { return c.written.Write(p) }
func (c *scripted) SetReadDeadline(time.Time) error { return nil }
func (c *scripted) Close() error                    { c.once.Do(func() { close(c.ended) }); return nil }
