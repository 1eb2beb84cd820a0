package server

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Sizes of read buffers, in bytes.
const (
	// tiny holds the beginning of a frame of a silent connection, and is what a connection reads into
	// when the budget is used up. It is not charged to the budget: it weighs no more than a goroutine.
	tiny = 4 << 10
	// small is the largest beginning of a frame that is copied to give a big buffer back.
	small = 16 << 10
	// normal is what a connection reads into first.
	normal = 64 << 10
	// large is the frame size from which on a read ends where the frame ends, so that next to nothing
	// of the following one has to be moved.
	large = 256 << 10
	// extra is how far a read may go beyond the end of a large frame: enough for the next one's size.
	extra = 4 << 10
	// mostTrusted is the most bytes that are set aside for a frame because the connection's last one
	// was that large, before half of it has arrived.
	mostTrusted = 8 << 20
)

// buffer is pooled memory that a connection reads into.
type buffer struct {
	b     []byte // its full length
	class int    // index in sizes; -1 for one that is not pooled
}

// sizes are the capacities of pooled buffers.
var sizes = func() []int {
	s := []int{tiny, small, normal, 128 << 10, 256 << 10, 512 << 10}
	for n := 1 << 20; n <= 128<<20; n <<= 1 {
		s = append(s, n, n/4*5, n/4*6, n/4*7)
	}
	return s
}()

// classOfNormal is the index of normal in sizes.
const classOfNormal = 2

// buffers hands out buffers by size class within a budget for the process. A buffer is used by one
// goroutine at a time and given back only when no system call refers to it any more.
type buffers struct {
	limit int64
	used  atomic.Int64
	pools []sync.Pool

	privilege chan struct{} // holds a value while a connection may go over the limit

	waiting atomic.Int32
	mu      sync.Mutex // guards freed
	freed   chan struct{}
}

func newBuffers(limit int64) *buffers {
	return &buffers{limit: limit, privilege: make(chan struct{}, 1), pools: make([]sync.Pool, len(sizes))}
}

// get returns a buffer of at least n bytes in exchange for from (which may be nil, and stays the
// caller's until it is put), or nil when the budget is used up by others.
func (p *buffers) get(n int, from *buffer) *buffer {
	class, size := classOf(n)
	// As Kafka's pool it goes over the limit by at most one buffer, so that no request is too large for it.
	if size > tiny {
		others := p.used.Add(int64(size)) - int64(size)
		if from != nil && len(from.b) > tiny {
			others -= int64(len(from.b))
		}
		if others >= p.limit {
			p.used.Add(-int64(size))
			return nil
		}
	}
	return p.take(class, size)
}

// force returns a buffer of at least n bytes whatever the budget says. Only who has put a value into
// privilege may call it, so that the wait for memory is never mutual.
func (p *buffers) force(n int) *buffer {
	class, size := classOf(n)
	if size > tiny {
		p.used.Add(int64(size))
	}
	return p.take(class, size)
}

func (p *buffers) take(class, size int) *buffer {
	if class >= 0 {
		if b, _ := p.pools[class].Get().(*buffer); b != nil {
			return b
		}
	}
	return &buffer{make([]byte, size), class}
}

// classOf returns the class of buffers that hold n bytes, and their size.
func classOf(n int) (class, size int) {
	if n == normal {
		return classOfNormal, normal
	}
	class, _ = slices.BinarySearch(sizes, n)
	if class == len(sizes) {
		return -1, n
	}
	return class, sizes[class]
}

// put takes a buffer back.
func (p *buffers) put(b *buffer) {
	p.forget(b)
	if b.class >= 0 {
		p.pools[b.class].Put(b)
	}
}

// forget takes back what a buffer counts in the budget, and leaves it to its user.
func (p *buffers) forget(b *buffer) {
	if len(b.b) > tiny {
		p.used.Add(-int64(len(b.b)))
		if p.waiting.Load() > 0 {
			p.wake()
		}
	}
}

func (p *buffers) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.freed != nil {
		close(p.freed)
		p.freed = nil
	}
}

// await returns a channel that is closed when memory has been given back. The caller asks again once
// it has the channel, counts itself in waiting before and out of it after.
func (p *buffers) await() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.freed == nil {
		p.freed = make(chan struct{})
	}
	return p.freed
}
