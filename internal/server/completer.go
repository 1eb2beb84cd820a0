package server

import (
	"errors"
	"time"

	"github.com/klamm/klamm/internal/rpc"
)

const (
	// mostOutstanding is how many replies of a connection may wait behind a parked one before it is not read any more.
	mostOutstanding = 512
	// mostOutstandingBytes is how many bytes of complete replies may.
	mostOutstandingBytes = 4 << 20
)

// completer finishes the parked replies of one connection in their order, and sends them. It lives
// while there are any, and owns the writing side of the connection for that time.
type completer struct {
	c    *conn
	loop func() // run, made once

	// Guarded by the connection's mu while the completer runs.
	queue   []outgoing // queue[head:] are outstanding
	head    int
	bytes   int  // memory of those in the queue that were complete when they came
	failed  bool // nothing can be sent any more
	awaited bool // the reader waits for room

	out    []outgoing // finished, to be sent
	sender sender
	timer  *time.Timer
	gone   chan struct{} // closed by the reader: the connection is gone
	done   chan struct{} // receives a value when the completer has ended while the reader waits for that
	room   chan struct{} // receives a value when there may be room in the queue
}

func newCompleter() *completer {
	k := &completer{gone: make(chan struct{}), done: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	k.loop = k.run
	return k
}

// add appends to the queue.
func (k *completer) add(replies []outgoing) {
	if k.head > 0 && k.head*2 >= len(k.queue) {
		n := copy(k.queue, k.queue[k.head:])
		clear(k.queue[n:])
		k.queue, k.head = k.queue[:n], 0
	}
	k.queue = append(k.queue, replies...)
	for i := range replies {
		if r := replies[i].Reply; r.Parked() == nil {
			k.bytes += held(r)
		}
	}
}

func (k *completer) full() bool {
	return len(k.queue)-k.head >= mostOutstanding || k.bytes >= mostOutstandingBytes
}

// held is the memory that a complete reply keeps.
func held(r *rpc.Reply) int {
	n := len(r.Buf)
	for i := range r.Ranges {
		n += len(r.Ranges[i].Bytes)
	}
	return n
}

// first returns the oldest outstanding reply, or nil.
func (k *completer) first() *rpc.Reply {
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	if k.head == len(k.queue) {
		return nil
	}
	return k.queue[k.head].Reply
}

// take moves the oldest reply to out; answered is when it was complete by the server's clock, 0 for when it
// came, and waits what it waited for.
func (k *completer) take(r *rpc.Reply, answered int64, waits string) {
	k.c.mu.Lock()
	o := k.queue[k.head]
	k.queue[k.head] = outgoing{}
	k.head++
	if r.Parked() == nil {
		k.bytes -= held(r)
	}
	if k.awaited {
		k.tellRoom()
	}
	k.c.mu.Unlock()
	if answered != 0 {
		o.t.answered, o.t.waits = answered, waits
	}
	k.out = append(k.out, o)
}

// tellRoom wakes the reader that waits for room.
func (k *completer) tellRoom() {
	select {
	case k.room <- struct{}{}:
	default:
	}
}

// run completes and sends until nothing is outstanding.
func (k *completer) run() {
	defer func() {
		if p := recover(); p != nil {
			k.fail(k.c.panicked(p))
		}
	}()
	asked := false // whether the oldest reply has been asked since it is the oldest
	ended := false // whether it was told that the server stops
	gathered := 0
	var now time.Time // when the oldest reply was asked last
	var waits string  // what it waits for
	for {
		r := k.first()
		if r == nil {
			if len(k.out) > 0 {
				if !k.flush() {
					return
				}
				gathered = 0
				continue
			}
			if k.end() {
				return
			}
			continue
		}
		p := r.Parked()
		if p != nil {
			now = time.Now()
		}
		if p != nil && !(!asked && p.Finish(r, now)) {
			if len(k.out) > 0 {
				if !k.flush() {
					return
				}
				gathered = 0
			}
			if w, ok := p.(rpc.Waiting); ok && !asked {
				waits = w.WaitsFor()
			}
			asked = true
			var ok, gone bool
			switch ok, gone, now = k.wait(p, r, &ended); {
			case gone:
				k.exit()
				return
			case !ok:
				continue
			}
		}
		asked, ended = false, false
		var answered int64
		if p != nil {
			answered = int64(now.Sub(k.c.s.began))
		}
		k.take(r, answered, waits)
		waits = ""
		if gathered += r.Size(); gathered >= mostGathered || len(k.out) >= mostCalls || r.Close {
			if !k.flush() {
				return
			}
			gathered = 0
		}
	}
}

// wait waits until p may be finished and tries that, at the time that it returns. When the server stops, what p
// need not wait for is ended, once.
func (k *completer) wait(p rpc.Parked, r *rpc.Reply, ended *bool) (finished, gone bool, now time.Time) {
	var stopped <-chan struct{}
	long, ok := p.(rpc.Ending)
	if ok && !*ended {
		stopped = k.c.s.stopped
	}
	var late <-chan time.Time
	if d := p.Deadline(); !d.IsZero() {
		if k.timer == nil {
			k.timer = time.NewTimer(time.Until(d))
		} else {
			k.timer.Reset(time.Until(d))
		}
		late = k.timer.C
	}
	select {
	case <-p.Ready():
	case <-late:
	case <-stopped:
		*ended = true
	case <-k.gone:
		return false, true, now
	}
	if late != nil {
		k.timer.Stop()
	}
	now = time.Now()
	if *ended && stopped != nil {
		return long.End(r), false, now
	}
	return p.Finish(r, now), false, now
}

// flush sends out; it reports false when the completer has ended.
func (k *completer) flush() bool {
	// A reply may have been parked for longer than a connection may be idle.
	now := time.Now()
	k.c.active.Store(now.UnixNano())
	_, err := k.c.send(&k.sender, k.out, int64(now.Sub(k.c.s.began)))
	for i := range k.out {
		r := k.out[i].Reply
		r.Release()
		k.c.s.recycle(r)
	}
	clear(k.out)
	k.out = k.out[:0]
	if err != nil {
		k.fail(err)
	}
	return err == nil
}

// end gives the writing side back when nothing is outstanding, and reports whether it did.
func (k *completer) end() bool {
	c := k.c
	c.mu.Lock()
	if k.head < len(k.queue) {
		c.mu.Unlock()
		return false
	}
	k.queue, k.head, k.bytes = k.queue[:0], 0, 0
	if c.ending {
		c.mu.Unlock()
		k.done <- struct{}{}
		return true
	}
	c.comp = nil
	awaited := k.awaited
	c.mu.Unlock()
	if awaited {
		// The reader still looks at it: it is not used again.
		k.tellRoom()
		return true
	}
	k.c = nil
	c.s.completers.Put(k)
	return true
}

// fail closes the connection; the reader finds that out and clears up.
func (k *completer) fail(err error) {
	c := k.c
	var e *closing
	if errors.As(err, &e) {
		c.cause.CompareAndSwap(nil, e)
	}
	c.mu.Lock()
	k.failed = true
	k.tellRoom()
	c.mu.Unlock()
	c.nc.Close()
	k.exit()
}

// exit leaves what is outstanding to the reader.
func (k *completer) exit() {
	dropAll(k.out)
	k.out = nil
	k.done <- struct{}{}
}
