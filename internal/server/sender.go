package server

import (
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/rpc"
)

const (
	// gathered is how many bytes are copied together for one write.
	gathered = 64 << 10
	// copied is the largest piece that is copied; a larger one is handed to the system where it lies.
	copied = 4 << 10
	// mostPieces is how many pieces one system call takes (IOV_MAX).
	mostPieces = 1024
	// splicedFrom is the size from which on a range of a file goes from page cache to socket.
	splicedFrom = 32 << 10
)

// sender sends replies in as few system calls as it can. It belongs to the goroutine that owns the
// writing side of a connection at the moment.
type sender struct {
	nc   net.Conn
	raw  syscall.RawConn // nil when the connection is no socket
	pool *sync.Pool      // of *[gathered]byte

	mem  *[gathered]byte // from pool; nil until something is copied
	buf  []byte          // copies, in mem
	iov  [][]byte        // what is to be sent, in order
	tail bool            // the last piece ends where buf ends
	sent int64           // bytes written since the last begin
	sys  sysSender
}

// begin makes the sender write to a connection.
func (o *sender) begin(nc net.Conn, raw syscall.RawConn, pool *sync.Pool) {
	o.nc, o.raw, o.pool, o.sent = nc, raw, pool, 0
}

// end forgets the connection and what has not been sent, and gives its memory back.
func (o *sender) end() {
	o.drop()
	if o.mem != nil {
		o.pool.Put(o.mem)
	}
	o.nc, o.raw, o.mem, o.buf = nil, nil, nil, nil
}

func (o *sender) drop() {
	clear(o.iov)
	o.iov, o.buf, o.tail = o.iov[:0], o.buf[:0], false
}

// reply adds a complete reply. What it refers to must stay until flush.
func (o *sender) reply(r *rpc.Reply) error {
	size := r.Size() - 4
	if size > maxReply {
		return fmt.Errorf("a reply of %d bytes is larger than a frame can be", size)
	}
	putSize(r.Buf, size)
	at := 0
	for i := range r.Ranges {
		g := &r.Ranges[i]
		if g.At < at || g.At > len(r.Buf) {
			return fmt.Errorf("a range lies at %d of a reply of %d bytes, behind %d", g.At, len(r.Buf), at)
		}
		if err := o.bytes(r.Buf[at:g.At]); err != nil {
			return err
		}
		at = g.At
		var err error
		if g.Bytes != nil {
			err = o.bytes(g.Bytes)
		} else if g.Len > 0 {
			err = o.file(g.File, g.Offset, g.Len)
		}
		if err != nil {
			return err
		}
	}
	return o.bytes(r.Buf[at:])
}

// bytes adds a piece that stays where it is until flush.
func (o *sender) bytes(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if len(b) <= copied && o.fits(len(b)) {
		o.buf = append(o.buf, b...)
		o.grown(len(b))
		return nil
	}
	if len(o.iov) == mostPieces {
		if err := o.flush(); err != nil {
			return err
		}
	}
	o.iov = append(o.iov, b)
	o.tail = false
	return nil
}

// fits makes sure that n more bytes can be copied, when there is room at all.
func (o *sender) fits(n int) bool {
	if o.mem == nil {
		o.mem = o.pool.Get().(*[gathered]byte)
		o.buf = o.mem[:0]
	}
	return len(o.buf)+n <= cap(o.buf) && (o.tail || len(o.iov) < mostPieces)
}

// grown notes that the last n bytes of buf are to be sent.
func (o *sender) grown(n int) {
	end := len(o.buf)
	if o.tail {
		last := &o.iov[len(o.iov)-1]
		*last = o.buf[end-len(*last)-n : end]
		return
	}
	o.iov = append(o.iov, o.buf[end-n:end])
	o.tail = true
}

// file adds n bytes of a file from off on. A short range is read and joins its neighbours; a long one
// is sent at once, behind all that was added before.
func (o *sender) file(f disk.File, off int64, n int) error {
	if n < splicedFrom {
		if !o.fits(n) {
			if err := o.flush(); err != nil {
				return err
			}
			o.fits(n)
		}
		end := len(o.buf)
		if err := readFull(f, o.buf[end:end+n], off); err != nil {
			return err
		}
		o.buf = o.buf[:end+n]
		o.grown(n)
		return nil
	}
	if fd, ok := f.Fd(); ok && o.canSplice() {
		if err := o.write(true); err != nil {
			return err
		}
		return o.splice(fd, off, n)
	}
	for n > 0 {
		if err := o.flush(); err != nil {
			return err
		}
		o.fits(0)
		k := min(n, cap(o.buf))
		if err := readFull(f, o.buf[:k], off); err != nil {
			return err
		}
		o.buf = o.buf[:k]
		o.grown(k)
		off, n = off+int64(k), n-k
	}
	return nil
}

// flush sends all that was added.
func (o *sender) flush() error { return o.write(false) }

// write sends all that was added; more says that something follows at once.
func (o *sender) write(more bool) error {
	var err error
	switch {
	case len(o.iov) == 0:
		return nil
	case len(o.iov) == 1 && !more:
		var n int
		n, err = o.nc.Write(o.iov[0])
		o.sent += int64(n)
	default:
		err = o.writeAll(more)
	}
	o.drop()
	return err
}

// writeEach sends the pieces by a write each.
func (o *sender) writeEach() error {
	for _, b := range o.iov {
		n, err := o.nc.Write(b)
		o.sent += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

func readFull(f disk.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	return fmt.Errorf("reading %d bytes of %s at %d for a reply: got %d: %w", len(b), f.Name(), off, n, err)
}
