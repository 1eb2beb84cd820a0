package server

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysSender is what sendmsg(2) and sendfile(2) need between two waits for the socket.
type sysSender struct {
	iovecs  []unix.Iovec
	msg     unix.Msghdr
	flags   int
	fd      int // of the file
	off     int64
	left    int
	err     error
	sendmsg func(fd uintptr) bool // method values, made once
	sendfil func(fd uintptr) bool
}

// mostSpliced bounds one sendfile call, so that others get the processor.
const mostSpliced = 4 << 20

func (o *sender) canSplice() bool { return o.raw != nil }

// writeAll sends the pieces together.
func (o *sender) writeAll(more bool) error {
	if o.raw == nil {
		return o.writeEach()
	}
	s := &o.sys
	if s.sendmsg == nil {
		s.sendmsg = o.stepSendmsg
	}
	s.iovecs = s.iovecs[:0]
	left := 0
	for _, b := range o.iov {
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(len(b))
		s.iovecs = append(s.iovecs, v)
		left += len(b)
	}
	s.left, s.err, s.flags = left, nil, unix.MSG_NOSIGNAL
	if more {
		s.flags |= unix.MSG_MORE
	}
	s.msg = unix.Msghdr{}
	s.msg.Iov = &s.iovecs[0]
	s.msg.SetIovlen(len(s.iovecs))
	err := o.raw.Write(s.sendmsg)
	runtime.KeepAlive(o.iov)
	s.msg = unix.Msghdr{}
	clear(s.iovecs)
	if err == nil {
		err = s.err
	}
	return err
}

// stepSendmsg sends until the socket is full or all is sent.
func (o *sender) stepSendmsg(fd uintptr) bool {
	s := &o.sys
	for {
		r, _, errno := syscall.Syscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&s.msg)), uintptr(s.flags))
		switch errno {
		case 0:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		default:
			s.err = os.NewSyscallError("sendmsg", errno)
			return true
		}
		n := int(r)
		o.sent += int64(n)
		if s.left -= n; s.left == 0 {
			return true
		}
		s.advance(n)
	}
}

// advance passes over n bytes that are sent.
func (s *sysSender) advance(n int) {
	first := len(s.iovecs) - int(s.msg.Iovlen)
	for n >= int(s.iovecs[first].Len) {
		n -= int(s.iovecs[first].Len)
		first++
	}
	v := &s.iovecs[first]
	v.Base = (*byte)(unsafe.Add(unsafe.Pointer(v.Base), n))
	v.SetLen(int(v.Len) - n)
	s.msg.Iov = v
	s.msg.SetIovlen(len(s.iovecs) - first)
}

// splice sends n bytes of a file from off on, from page cache to socket.
func (o *sender) splice(fd uintptr, off int64, n int) error {
	s := &o.sys
	if s.sendfil == nil {
		s.sendfil = o.stepSendfile
	}
	s.fd, s.off, s.left, s.err = int(fd), off, n, nil
	err := o.raw.Write(s.sendfil)
	if err == nil {
		err = s.err
	}
	return err
}

func (o *sender) stepSendfile(fd uintptr) bool {
	s := &o.sys
	for s.left > 0 {
		n, err := syscall.Sendfile(int(fd), s.fd, &s.off, min(s.left, mostSpliced))
		if n > 0 {
			s.left -= n
			o.sent += int64(n)
		}
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			s.err = os.NewSyscallError("sendfile", err)
			return true
		case n == 0:
			s.err = fmt.Errorf("sendfile: the file ends %d bytes before the reply does: %w", s.left, io.ErrUnexpectedEOF)
			return true
		}
	}
	return true
}
