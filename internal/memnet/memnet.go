// Package memnet is a network inside the process: listeners and connections as
// the net package has them, without sockets. It starts no goroutine, bounds what
// lies between two ends, and waits only where testing/synctest can see it.
package memnet

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
)

// backlog is how many connections may wait to be accepted before a dial waits too.
const backlog = 128

// Addr is the name of one end of a connection, or of a listener.
type Addr string

// Network returns "memory".
func (Addr) Network() string { return "memory" }

// String returns the name.
func (a Addr) String() string { return string(a) }

// Listener accepts the connections that are dialed to it. It implements net.Listener.
type Listener struct {
	addr  Addr
	queue chan *Conn    // dialed and not accepted
	room  chan struct{} // holds a value for each of queue
	done  chan struct{} // closed by Close

	mu     sync.Mutex // guards closed, and what is put into queue
	closed bool
}

// Listen returns a listener that says of itself that its address is addr. The
// caller tells those who are to dial it; there is no table of addresses.
func Listen(addr string) *Listener {
	return &Listener{addr: Addr(addr), queue: make(chan *Conn, backlog), room: make(chan struct{}, backlog), done: make(chan struct{})}
}

// Dial returns the near end of a new connection to the listener. The connection is
// usable before it is accepted. Dial waits while too many others wait to be
// accepted, until ctx ends; when the listener is closed it is refused (ECONNREFUSED).
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, l.failed("dial", err)
	}
	select {
	case l.room <- struct{}{}:
	case <-l.done:
		return nil, l.failed("dial", refused())
	case <-ctx.Done():
		return nil, l.failed("dial", ctx.Err())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, l.failed("dial", refused())
	}
	near, far := pair("client", l.addr)
	l.queue <- far
	return near, nil
}

// Accept returns the far end of the next connection. It implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, l.failed("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.queue:
		<-l.room
		return c, nil
	case <-l.done:
		return nil, l.failed("accept", net.ErrClosed)
	}
}

// Close ends the listener: what waits in Accept and Dial returns, and connections
// that nobody has accepted are closed. Those that were accepted stay.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.failed("close", net.ErrClosed)
	}
	l.closed = true
	close(l.done)
	for {
		select {
		case c := <-l.queue:
			_ = c.Close()
		default:
			return nil
		}
	}
}

// Addr returns the listener's name.
func (l *Listener) Addr() net.Addr { return l.addr }

// failed makes an error as the net package's own.
func (l *Listener) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: err}
}

// refused is the error of a port where nobody listens.
func refused() error { return os.NewSyscallError("connect", syscall.ECONNREFUSED) }
