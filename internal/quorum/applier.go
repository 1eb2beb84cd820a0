package quorum

import (
	"sync"

	"github.com/klamm/klamm/internal/metadata"
)

// applier tells the observers what was committed, in its own goroutine, so that a
// slow one does not hold up raft's heartbeats.
type applier struct {
	mu     sync.Mutex // guards queue and closed
	more   sync.Cond
	queue  []committed
	closed bool
}

// committed is one change on its way to the observers, with who waits for it.
type committed struct {
	image *metadata.Image
	delta *metadata.Delta // nil when nothing changed
	ready bool            // it is the first
	done  chan outcome    // nil when nobody waits
	out   outcome
}

func (a *applier) init() { a.more.L = &a.mu }

func (a *applier) push(c committed) {
	a.mu.Lock()
	a.queue = append(a.queue, c)
	a.mu.Unlock()
	a.more.Signal()
}

// close lets run end when it has done all that was pushed.
func (a *applier) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.more.Signal()
}

func (a *applier) run(q *Quorum) {
	for {
		a.mu.Lock()
		for len(a.queue) == 0 && !a.closed {
			a.more.Wait()
		}
		queue := a.queue
		a.queue = nil
		a.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, c := range queue {
			if c.delta != nil {
				q.image.Store(c.image)
				if c.ready || !c.delta.Empty() {
					for _, o := range q.opt.Observers {
						o.Observe(c.delta, c.image)
					}
				}
			}
			if c.ready {
				close(q.ready)
			}
			if c.done != nil {
				c.done <- c.out
			}
		}
	}
}
