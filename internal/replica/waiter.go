package replica

import (
	"sync"
	"sync/atomic"
)

// Waiter is what one caller waits on. It is registered with partitions through
// Watches and collects which of them moved, so that a poll costs what moved and
// not what is listed. It is reused for as long as its owner lives.
type Waiter struct {
	ready chan struct{}

	mu    sync.Mutex // guards moved and every Watch's marked
	moved []int32
}

// NewWaiter returns a Waiter that nothing is registered with.
func NewWaiter() *Waiter { return &Waiter{ready: make(chan struct{}, 1)} }

// Ready receives a value when something moved since the last receive.
func (w *Waiter) Ready() <-chan struct{} { return w.ready }

// Wake makes Ready receive. It never waits.
func (w *Waiter) Wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// Moved appends the slots of the watches that moved since the last call to dst,
// each once for each time its watch was started, and forgets them. watch is called under a lock and returns the
// slot's watch, or nil when that is gone.
func (w *Waiter) Moved(dst []int32, watch func(slot int32) *Watch) []int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, slot := range w.moved {
		if h := watch(slot); h != nil {
			h.marked = false
		}
	}
	dst = append(dst, w.moved...)
	w.moved = w.moved[:0]
	return dst
}

// Reset forgets what moved, so that the next owner is not woken by it. No watch is active.
func (w *Waiter) Reset() {
	w.mu.Lock()
	w.moved = w.moved[:0]
	w.mu.Unlock()
	select {
	case <-w.ready:
	default:
	}
}

// Events say what a Watch is woken by. Leadership changes and deletion wake every watch.
type Events uint8

// The events of a partition.
const (
	OnWatermark Events = 1 << iota // the high watermark, the last stable offset or the log's start moved
	OnEnd                          // something was appended
	OnFlush                        // the flushed end moved
)

// Watch is one registration of a Waiter with a partition. It lies in its owner's
// memory; after Stop it may be started again.
type Watch struct {
	partition *Partition
	waiter    *Waiter
	slot      int32
	index     int32 // in partition.watches, guarded by partition.watchMu
	events    Events
	marked    bool // slot is in waiter.moved, guarded by waiter.mu
}

// Start registers the watch: when one of events happens on p, slot joins w's moved
// ones and w wakes. What happened before Start wakes nobody: look at the partition
// after it. A watch that is active is stopped first.
func (h *Watch) Start(p *Partition, w *Waiter, slot int32, events Events) {
	h.Stop()
	h.partition, h.waiter, h.slot, h.events, h.marked = p, w, slot, events, false
	p.watchMu.Lock()
	h.index = int32(len(p.watches))
	p.watches = append(p.watches, h)
	p.watched.Store(true)
	gone := p.gone
	p.watchMu.Unlock()
	if gone {
		h.mark()
	}
}

// Active says whether the watch is registered.
func (h *Watch) Active() bool { return h.partition != nil }

// Partition returns what is watched; nil when the watch is not active.
func (h *Watch) Partition() *Partition { return h.partition }

// Stop ends the registration. A slot that was marked before stays among the moved ones.
func (h *Watch) Stop() {
	p := h.partition
	if p == nil {
		return
	}
	p.watchMu.Lock()
	last := len(p.watches) - 1
	p.watches[h.index] = p.watches[last]
	p.watches[h.index].index = h.index
	p.watches[last] = nil
	p.watches = p.watches[:last]
	if last == 0 {
		p.watched.Store(false)
		if cap(p.watches) > 4 {
			p.watches = nil // a partition at rest holds no memory for those who once waited
		}
	}
	p.watchMu.Unlock()
	h.partition = nil
}

func (h *Watch) mark() {
	w := h.waiter
	w.mu.Lock()
	if !h.marked {
		h.marked = true
		w.moved = append(w.moved, h.slot)
	}
	w.mu.Unlock()
	w.Wake()
}

// watchers is the part of a partition that its watches register with.
type watchers struct {
	watched atomic.Bool // whether there are any, so that an append nobody waits for takes no lock
	watchMu sync.Mutex  // guards watches and gone; a Waiter's mu is taken inside it
	watches []*Watch
	gone    bool // the partition was deleted or moved away: nothing will ever move again
}

// wake marks every watch that waits for one of events.
func (p *watchers) wake(events Events) {
	if !p.watched.Load() {
		return
	}
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	for _, h := range p.watches {
		if h.events&events != 0 {
			h.mark()
		}
	}
}

// wakeAll marks every watch; the partition is gone for good when gone is true.
func (p *watchers) wakeAll(gone bool) {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	p.gone = p.gone || gone
	for _, h := range p.watches {
		h.mark()
	}
}
