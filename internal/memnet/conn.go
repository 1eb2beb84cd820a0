package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a connection. It implements net.Conn, and CloseRead and
// CloseWrite as net.TCPConn has them. Its methods may be called concurrently.
type Conn struct {
	local, remote Addr
	in, out       *stream
}

// Pipe returns the two ends of a connection.
func Pipe() (*Conn, *Conn) { return pair("a", "b") }

// pair connects two names.
func pair(near, far Addr) (*Conn, *Conn) {
	there, back := newStream(), newStream()
	return &Conn{local: near, remote: far, in: back, out: there}, &Conn{local: far, remote: near, in: there, out: back}
}

// Read reads what has arrived, at least one byte. It returns io.EOF when the peer
// has closed and nothing is left, os.ErrDeadlineExceeded at the deadline, and
// net.ErrClosed once this end is closed.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	if err != nil && err != io.EOF {
		err = c.failed("read", err)
	}
	return n, err
}

// Write writes all of p, or says how much of it before the error: EPIPE when the
// peer reads no more, os.ErrDeadlineExceeded at the deadline, and net.ErrClosed once
// this end is closed. It waits while the peer does not read what lies between them.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	if err != nil {
		err = c.failed("write", err)
	}
	return n, err
}

// Close ends both directions. The peer reads what was written before, and then io.EOF.
func (c *Conn) Close() error {
	first := c.in.closeRead()
	c.out.closeWrite()
	if !first {
		return c.failed("close", net.ErrClosed)
	}
	return nil
}

// CloseWrite ends this direction alone: the peer reads io.EOF and may still write.
func (c *Conn) CloseWrite() error {
	if !c.out.closeWrite() {
		return c.failed("close", net.ErrClosed)
	}
	return nil
}

// CloseRead gives up what the peer writes: its writes fail from here on.
func (c *Conn) CloseRead() error {
	if !c.in.closeRead() {
		return c.failed("close", net.ErrClosed)
	}
	return nil
}

// LocalAddr returns this end's name.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's name.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the deadlines of Read and Write. The zero time is none.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reader, t)
	c.out.setDeadline(&c.out.writer, t)
	return nil
}

// SetReadDeadline sets the deadline of Read, also of one that waits.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.reader, t)
	return nil
}

// SetWriteDeadline sets the deadline of Write, also of one that waits.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writer, t)
	return nil
}

// failed makes an error as the net package's own.
func (c *Conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

const (
	// mostBetween is how many bytes may be written and not yet read.
	mostBetween = 256 << 10
	// leastBetween is the smallest memory that is taken for them, and mostKept the largest that stays when they are read.
	leastBetween = 4 << 10
	mostKept     = 64 << 10
)

// stream is one direction: a ring of bytes that grows to mostBetween and is given
// back when it is empty and was large.
type stream struct {
	mu             sync.Mutex // guards what follows
	moved          sync.Cond  // something below has changed
	buf            []byte
	r, n           int  // buf[r:r+n], around its end, has bytes
	busy           bool // a Write is under way, and its bytes stay together
	reader, writer end
}

// end is one side of a stream.
type end struct {
	closed bool
	late   bool // its deadline has passed
	timer  *time.Timer
	set    int // how many times the deadline was set: an older timer does nothing
}

// newStream returns an empty stream.
func newStream() *stream {
	s := new(stream)
	s.moved.L = &s.mu
	return s
}

// read takes up to len(p) bytes.
func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.reader.closed:
			return 0, net.ErrClosed
		case s.reader.late:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case s.n > 0:
			return s.take(p), nil
		case s.writer.closed:
			return 0, io.EOF
		}
		s.moved.Wait()
	}
}

// take copies what is there; mu is held.
func (s *stream) take(p []byte) int {
	done := 0
	for done < len(p) && s.n > 0 {
		k := copy(p[done:], s.buf[s.r:min(s.r+s.n, len(s.buf))])
		done += k
		s.n -= k
		if s.r += k; s.r == len(s.buf) {
			s.r = 0
		}
	}
	if s.n == 0 {
		s.r = 0
		if len(s.buf) > mostKept {
			s.buf = nil
		}
	}
	s.moved.Broadcast()
	return done
}

// write puts all of p into the stream.
func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done, mine := 0, false
	defer func() {
		if mine {
			s.busy = false
			s.moved.Broadcast()
		}
	}()
	for {
		switch {
		case s.writer.closed:
			return done, net.ErrClosed
		case s.writer.late:
			return done, os.ErrDeadlineExceeded
		case s.reader.closed:
			return done, os.NewSyscallError("write", syscall.EPIPE)
		case done == len(p):
			return done, nil
		case s.busy && !mine:
		case s.n < mostBetween:
			s.busy, mine = true, true
			done += s.put(p[done:])
			continue
		}
		s.moved.Wait()
	}
}

// put copies as much of p as there is room for; mu is held.
func (s *stream) put(p []byte) int {
	if want := min(s.n+len(p), mostBetween); want > len(s.buf) {
		size := max(leastBetween, len(s.buf))
		for size < want {
			size *= 2
		}
		grown := make([]byte, size)
		k := copy(grown, s.buf[s.r:min(s.r+s.n, len(s.buf))])
		copy(grown[k:], s.buf[:s.n-k])
		s.buf, s.r = grown, 0
	}
	done := 0
	for done < len(p) && s.n < len(s.buf) {
		at := s.r + s.n
		stop := len(s.buf)
		if at >= stop {
			at -= stop
			stop = s.r
		}
		k := copy(s.buf[at:stop], p[done:])
		done += k
		s.n += k
	}
	s.moved.Broadcast()
	return done
}

// closeRead gives up what was written and all that will be; false when it was so before.
func (s *stream) closeRead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.reader.close() {
		return false
	}
	s.buf, s.r, s.n = nil, 0, 0
	s.moved.Broadcast()
	return true
}

// closeWrite ends the stream behind what was written; false when it was so before.
func (s *stream) closeWrite() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writer.close() {
		return false
	}
	s.moved.Broadcast()
	return true
}

// close ends one side and its timer; the stream's mu is held.
func (e *end) close() bool {
	if e.closed {
		return false
	}
	e.closed = true
	e.stop()
	return true
}

// stop makes a timer that runs have no effect; the stream's mu is held.
func (e *end) stop() {
	e.set++
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
}

// setDeadline sets the deadline of one side of the stream. That of a closed side stays as it is.
func (s *stream) setDeadline(e *end, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.closed {
		return
	}
	e.stop()
	e.late = false
	if t.IsZero() {
		return
	}
	if d := time.Until(t); d > 0 {
		set := e.set
		e.timer = time.AfterFunc(d, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if e.set == set {
				e.late = true
				s.moved.Broadcast()
			}
		})
		return
	}
	e.late = true
	s.moved.Broadcast()
}
