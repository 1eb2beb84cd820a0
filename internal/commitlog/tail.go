package commitlog

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/klamm/klamm/internal/record"
)

// Sizes of the tail cache.
const (
	minChunk = 64 << 10
	// maxChunk is the largest append that is kept: from there on a range of the file
	// is cheaper for its readers.
	maxChunk = SendfileMin
	// tailIdle is how much may be appended to a log that nobody reads at its end
	// before its tail is no longer kept.
	tailIdle = 2 << 20
	// tailNear is how near the end of a log a read has to be to have the tail kept.
	tailNear = 1 << 20
)

// TailCache keeps the newest bytes of the logs whose ends are being read, within
// one bound for all directories that share it. Bytes are copied in; readers share
// them by reference counts.
type TailCache struct {
	limit int64

	mu   sync.Mutex
	used int64
	ring []*chunk // oldest first
	free [3][][]byte
}

// NewTailCache returns a cache of at most limit bytes; 0 or less keeps nothing.
func NewTailCache(limit int64) *TailCache { return &TailCache{limit: limit} }

// Used returns the bytes that the cache holds, those of readers included.
func (c *TailCache) Used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// chunk is a run of batches in memory. n, end and dead are guarded by the st of
// its log; bytes below n do not change.
type chunk struct {
	cache     *TailCache
	l         *Log
	buf       []byte
	n         int
	base, end int64
	dead      bool
	refs      atomic.Int32
}

// tail is what a log has in the cache. chunks continue one another; cur is the one
// that is written and belongs, with pos, to the log's mu.
type tail struct {
	chunks []*chunk
	unread int64
	cur    *chunk
	pos    int
}

func chunkClass(n int) int { return max(0, bits.Len(uint(n-1))-16) }

// get returns a chunk for n bytes with two references, the log's and the writer's;
// nil when there is no room.
func (c *TailCache) get(l *Log, n int) *chunk {
	class := chunkClass(n)
	size := int64(minChunk) << class
	if size > maxChunk || size > c.limit {
		return nil
	}
	c.mu.Lock()
	for c.used+size > c.limit && len(c.ring) > 0 {
		old := c.ring[0]
		c.ring[0] = nil
		c.ring = c.ring[1:]
		c.mu.Unlock()
		old.l.dropChunk(old)
		c.mu.Lock()
	}
	if c.used+size > c.limit {
		c.mu.Unlock()
		return nil
	}
	ch := &chunk{cache: c, l: l}
	if f := c.free[class]; len(f) > 0 {
		ch.buf = f[len(f)-1]
		f[len(f)-1] = nil
		c.free[class] = f[:len(f)-1]
	} else {
		for i := range c.free { // memory of other sizes would stand beside the bound
			if i != class {
				c.free[i] = nil
			}
		}
		ch.buf = make([]byte, size)
	}
	c.used += size
	ch.refs.Store(2)
	c.ring = append(c.ring, ch)
	c.mu.Unlock()
	return ch
}

func (ch *chunk) release() {
	if ch.refs.Add(-1) != 0 {
		return
	}
	c := ch.cache
	c.mu.Lock()
	c.used -= int64(len(ch.buf))
	class := chunkClass(len(ch.buf))
	c.free[class] = append(c.free[class], ch.buf)
	ch.buf = nil
	c.mu.Unlock()
}

// dropChunk takes a chunk, and older ones, out of the log's tail.
func (l *Log) dropChunk(ch *chunk) {
	for {
		l.st.Lock()
		if ch.dead {
			l.st.Unlock()
			return
		}
		if l.tail == nil || len(l.tail.chunks) == 0 { // it is being written first
			ch.dead = true
			l.st.Unlock()
			ch.release()
			return
		}
		old := l.tail.chunks[0]
		old.dead = true
		l.tail.chunks[0] = nil
		l.tail.chunks = l.tail.chunks[1:]
		l.st.Unlock()
		old.release()
	}
}

// dropTail forgets the log's tail. mu is held.
func (l *Log) dropTail(keep bool) {
	l.st.Lock()
	t := l.tail
	if t == nil {
		l.st.Unlock()
		return
	}
	drop := t.chunks
	t.chunks = nil
	for _, c := range drop {
		c.dead = true
	}
	if !keep {
		l.tail = nil
	}
	l.st.Unlock()
	if t.cur != nil {
		t.cur.release()
		t.cur = nil
	}
	for _, c := range drop {
		c.release()
	}
}

// cacheAppend copies what was written into the tail, if somebody reads there. mu
// is held.
func (l *Log) cacheAppend(pieces [][]byte, n int, from, next int64) {
	l.st.Lock()
	t := l.tail
	if t == nil {
		l.st.Unlock()
		return
	}
	t.unread += int64(n)
	idle := t.unread > tailIdle
	dead := t.cur != nil && t.cur.dead
	l.st.Unlock()
	if idle {
		l.dropTail(false)
		return
	}
	fresh := false
	if t.cur == nil || dead || n > len(t.cur.buf)-t.pos {
		if t.cur != nil {
			t.cur.release()
		}
		t.pos = 0
		t.cur = l.d.cache.get(l, n)
		if t.cur == nil {
			l.dropTail(true) // a gap: what is older cannot be continued
			return
		}
		t.cur.base = from
		fresh = true
	}
	for _, p := range pieces {
		t.pos += copy(t.cur.buf[t.pos:], p)
	}
	l.st.Lock()
	t.cur.n, t.cur.end = t.pos, next
	if fresh && !t.cur.dead {
		t.chunks = append(t.chunks, t.cur)
	}
	l.st.Unlock()
}

// find returns the chunk that holds offset, or nil. The log's st is held.
func (t *tail) find(offset int64) *chunk {
	for i := len(t.chunks) - 1; i >= 0; i-- {
		if c := t.chunks[i]; c.base <= offset {
			if offset < c.end {
				return c
			}
			return nil
		}
	}
	return nil
}

// cut returns the batches of b from the one that holds offset on, below limit and
// within most bytes, one at least when minOne, and the offset behind them. b
// begins with a batch.
func cut(b []byte, offset, limit int64, most int, minOne bool) (out []byte, first, next int64) {
	for len(b) >= record.HeaderSize && record.Batch(b).LastOffset() < offset {
		n := record.Batch(b).Size()
		if n < record.HeaderSize || n > len(b) {
			return nil, offset, offset
		}
		b = b[n:]
	}
	n := 0
	next = offset
	for len(b)-n >= record.HeaderSize {
		c := record.Batch(b[n:])
		size := c.Size()
		if size < record.HeaderSize || size > len(b)-n || c.BaseOffset() >= limit {
			break
		}
		if n+size > most && !(n == 0 && minOne) {
			break
		}
		if n == 0 {
			first = c.BaseOffset()
		}
		n += size
		next = c.NextOffset()
	}
	return b[:n], first, next
}
