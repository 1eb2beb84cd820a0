package rpc

import (
	"time"

	"github.com/klamm/klamm/internal/disk"
)

// Reply collects what goes back on one call. The server sets Buf to hold the
// frame's size and response header; handlers append the body. The server fills
// in the size, which counts Ranges too, and sends everything in one write where
// there are no files.
type Reply struct {
	// Buf is the frame so far. It is appended to and never cut below its length
	// at the handler's start.
	Buf []byte
	// Ranges are bytes that lie elsewhere, in the order of At.
	Ranges []Range
	// Silent says that nothing is sent for this call (Produce with acks=0).
	Silent bool
	// Close says that the connection is closed once what stands before is sent;
	// Reason is logged.
	Close  bool
	Reason string
	// Throttle is how long the connection is muted after the reply is sent (KIP-219).
	Throttle time.Duration
	parked   Parked
}

// Range is bytes that are spliced into a reply behind the first At bytes of Buf:
// either Bytes, or Len bytes of File at Offset.
type Range struct {
	At     int
	Bytes  []byte
	File   disk.File
	Offset int64
	Len    int
	// Hold is released once the bytes are sent or the connection is gone; may be nil.
	Hold Releaser
}

// Releaser gives back what a range refers to. Release is called exactly once.
type Releaser interface{ Release() }

// Size is the number of bytes of the reply: Buf and all ranges.
func (r *Reply) Size() int {
	n := len(r.Buf)
	for i := range r.Ranges {
		n += r.Ranges[i].Size()
	}
	return n
}

// Size is the number of bytes of the range.
func (g *Range) Size() int {
	if g.Bytes != nil {
		return len(g.Bytes)
	}
	return g.Len
}

// Parked is an answer that waits for something: the high watermark, bytes to
// fetch, the other members of a group. The connection's completer asks it in
// the order of the calls; it never runs beside itself. Finish is also asked once
// when the reply has become the connection's oldest, whatever Ready says, so
// that several may share one channel. Exactly one of Finish with true and Drop
// ends it.
type Parked interface {
	// Ready receives a value, or is closed, when Finish may have something to say.
	Ready() <-chan struct{}
	// Deadline is when Finish must answer; the zero time for never.
	Deadline() time.Time
	// Finish completes the reply and reports true, or reports false to go on
	// waiting. At or after Deadline it always answers.
	Finish(r *Reply, now time.Time) bool
	// Drop ends the wait without an answer: the connection is gone.
	Drop()
}

// Ending is a Parked that waits because its client asked it to: a server that stops does not wait for it.
type Ending interface {
	Parked
	// End is called when the server stops, once at most, by the goroutine that calls Finish, and in its
	// place. It completes the reply as though the wait were over and reports true, or reports false where
	// the reply waits for something else that it owes its client: Finish is asked from there on.
	End(r *Reply) bool
}

// Waiting is what a Parked may say of itself, for the log of slow requests.
type Waiting interface {
	// WaitsFor names what the reply waits for, to be read behind "waited for", such as "the disk". It is
	// asked when the wait begins, by the goroutine that calls Finish, and allocates nothing.
	WaitsFor() string
}

// Park makes the reply wait for p.
func (r *Reply) Park(p Parked) { r.parked = p }

// Parked returns what the reply waits for; nil when it is complete.
func (r *Reply) Parked() Parked { return r.parked }

// Reset makes the reply empty for reuse; the memory of Buf and Ranges stays.
func (r *Reply) Reset() {
	clear(r.Ranges)
	*r = Reply{Buf: r.Buf[:0], Ranges: r.Ranges[:0]}
}

// Release gives back what the ranges hold.
func (r *Reply) Release() {
	for i := range r.Ranges {
		if h := r.Ranges[i].Hold; h != nil {
			r.Ranges[i].Hold = nil
			h.Release()
		}
	}
}
