//go:build !unix

package server

import (
	"net"
	"syscall"
)

// rawConn returns nil: sockets are read through the portable calls here.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (c *conn) tryRead(uintptr) bool { panic("server: raw read without a raw connection") }
