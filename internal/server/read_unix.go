//go:build unix

package server

import (
	"io"
	"net"
	"syscall"
)

// rawConn returns what reads and writes of the socket go through, or nil when nc is none.
func rawConn(nc net.Conn) syscall.RawConn {
	if _, ok := nc.(*net.TCPConn); !ok {
		if _, ok := nc.(*net.UnixConn); !ok {
			return nil
		}
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// tryRead is called with the descriptor when the socket may have bytes. It takes a buffer, tries to
// read into it, and gives it back before the goroutine waits. It reports whether it is done.
func (c *conn) tryRead(fd uintptr) bool {
	p, err := c.space()
	if err != nil {
		c.readErr = err
		return true
	}
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.rest()
			return false
		case err != nil:
			c.readErr = err
		case n == 0:
			c.readErr = io.EOF
		default:
			c.filled(n, len(p))
		}
		return true
	}
}
