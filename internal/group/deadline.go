package group

import "time"

// purpose says what happens when a deadline passes.
type purpose uint8

const (
	memberSession purpose = iota // a member was silent for its session timeout
	pendingJoin                  // an id was handed out and nobody joined with it (KIP-394)
	rebalanceJoin                // the time for members to rejoin is over
	initialJoin                  // the time for first members to gather is over
	pendingSync                  // the time for members to ask for their assignment is over
	cleanup                      // offsets and groups are checked for expiry
)

// deadline is a point in time that lies in its owner's memory. Moving it later,
// as every heartbeat does, costs a store: the heap finds out when its old time
// has come.
type deadline struct {
	purpose purpose
	group   *classic
	member  *member // memberSession
	id      string  // pendingJoin

	due time.Time // when it passes
	at  time.Time // its place in the heap, at most due
	seq uint64    // orders equal times, so that a run can be repeated
	pos int       // place in the heap + 1; 0 when it is not in
}

// deadlines is a heap of them, the earliest first.
type deadlines struct {
	heap []*deadline
	seq  uint64
}

// next returns when to look again, the zero time when there is nothing. It may
// be earlier than any deadline.
func (h *deadlines) next() time.Time {
	if len(h.heap) == 0 {
		return time.Time{}
	}
	return h.heap[0].at
}

// set makes d pass at due, whatever it was before.
func (h *deadlines) set(d *deadline, due time.Time) {
	d.due = due
	switch {
	case d.pos == 0:
		h.seq++
		d.at, d.seq = due, h.seq
		h.heap = append(h.heap, d)
		d.pos = len(h.heap)
		h.up(d)
	case due.Before(d.at):
		d.at = due
		h.up(d)
	}
}

// stop takes d out.
func (h *deadlines) stop(d *deadline) {
	if d.pos == 0 {
		return
	}
	last := h.heap[len(h.heap)-1]
	h.heap[len(h.heap)-1] = nil
	h.heap = h.heap[:len(h.heap)-1]
	if last != d {
		last.pos = d.pos
		h.heap[last.pos-1] = last
		h.up(last)
		h.down(last)
	}
	d.pos = 0
}

// passed takes out and returns a deadline that has passed at now; nil when there is none.
func (h *deadlines) passed(now time.Time) *deadline {
	for len(h.heap) > 0 {
		d := h.heap[0]
		if d.at.After(now) {
			return nil
		}
		if d.due.After(now) {
			d.at = d.due
			h.down(d)
			continue
		}
		h.stop(d)
		return d
	}
	return nil
}

func before(a, b *deadline) bool {
	if c := a.at.Compare(b.at); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}

func (h *deadlines) up(d *deadline) {
	for d.pos > 1 {
		parent := h.heap[d.pos/2-1]
		if !before(d, parent) {
			return
		}
		h.swap(d, parent)
	}
}

func (h *deadlines) down(d *deadline) {
	for {
		i := 2 * d.pos
		if i > len(h.heap) {
			return
		}
		child := h.heap[i-1]
		if i < len(h.heap) && before(h.heap[i], child) {
			child = h.heap[i]
		}
		if !before(child, d) {
			return
		}
		h.swap(d, child)
	}
}

func (h *deadlines) swap(a, b *deadline) {
	a.pos, b.pos = b.pos, a.pos
	h.heap[a.pos-1], h.heap[b.pos-1] = a, b
}
