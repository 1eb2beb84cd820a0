package commitlog

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

// buffer is memory out of a pool.
type buffer struct {
	b     []byte
	class int
}

// buffers are pools of memory by powers of two from 4 KiB to 2 MiB. The zero value
// is ready.
type buffers struct{ pools [10]sync.Pool }

func (p *buffers) get(n int) *buffer {
	class := max(0, bits.Len(uint(max(n, 1)-1))-12)
	if class >= len(p.pools) {
		return &buffer{make([]byte, n), -1}
	}
	if b, ok := p.pools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, 4096<<class), class}
}

func (p *buffers) put(b *buffer) {
	if b != nil && b.class >= 0 {
		p.pools[b.class].Put(b)
	}
}

// errBad says why the bytes at a position are no batch.
var errBad = errors.New("not a batch")

// walker reads a segment's batches in order through a window.
type walker struct {
	f    disk.File
	pool *buffers
	buf  *buffer
	at   int64 // position of the window
	n    int   // bytes in the window
	pos  int64 // of the next batch
	end  int64 // where to stop
	step int   // bytes to read at a time
}

func (d *Dir) walk(f disk.File, pos, end int64, step int) *walker {
	return &walker{f: f, pool: &d.buffers, pos: pos, end: end, at: pos, step: step}
}

func (w *walker) close() {
	w.pool.put(w.buf)
	w.buf = nil
}

// window returns n bytes at the current position, n being within end.
func (w *walker) window(n int) ([]byte, error) {
	if off := int(w.pos - w.at); w.buf != nil && off+n <= w.n {
		return w.buf.b[off : off+n], nil
	}
	want := int(min(int64(max(n, w.step)), w.end-w.pos))
	if w.buf == nil || len(w.buf.b) < want {
		w.pool.put(w.buf)
		w.buf = w.pool.get(want)
	}
	m, err := w.f.ReadAt(w.buf.b[:want], w.pos)
	w.at, w.n = w.pos, m
	if m >= n {
		return w.buf.b[:n], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// header returns the header of the batch at the current position and the batch's
// size; io.EOF at the end; an error that wraps errBad for bytes that cannot be a
// batch. next steps over it.
func (w *walker) header() (record.Batch, int, error) {
	if w.pos >= w.end {
		return nil, 0, io.EOF
	}
	if w.end-w.pos < record.HeaderSize {
		return nil, 0, fmt.Errorf("%w: %d bytes are less than a header", errBad, w.end-w.pos)
	}
	h, err := w.window(record.HeaderSize)
	if err != nil {
		return nil, 0, err
	}
	size, err := record.Peek(h)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errBad, err)
	}
	if record.Magic(h) != 2 {
		return nil, 0, fmt.Errorf("%w: magic %d", errBad, record.Magic(h))
	}
	if int64(size) > w.end-w.pos {
		return nil, 0, fmt.Errorf("%w: it would have %d bytes and there are %d", errBad, size, w.end-w.pos)
	}
	return record.Batch(h), size, nil
}

// batch returns the whole batch at the current position, as header does.
func (w *walker) batch() (record.Batch, error) {
	_, size, err := w.header()
	if err != nil {
		return nil, err
	}
	b, err := w.window(size)
	return record.Batch(b), err
}

func (w *walker) next(size int) { w.pos += int64(size) }
