package commitlog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sort"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

// ReadMode says what may come back from Read.
type ReadMode int8

const (
	// ReadBytes gives bytes in memory only.
	ReadBytes ReadMode = iota
	// ReadRanges lets Read answer with a range of a file, for sendfile, from
	// SendfileMin contiguous bytes on.
	ReadRanges
	// ReadSmallRanges is ReadRanges from eagerMin bytes on: for an answer that holds much
	// memory already, as that of a reader far behind the ends of many logs would.
	ReadSmallRanges
)

// SendfileMin is from how many contiguous bytes on a file range is cheaper than
// reading them: 0.10 CPU-s/GiB against 0.29 at 1 MiB, six times dearer at 1 KiB.
const SendfileMin = 256 << 10

// eagerMin is SendfileMin of ReadSmallRanges: a call of sendfile costs a few microseconds.
const eagerMin = 16 << 10

// Slice is what a read found: batches in memory or a range of a file. It may be
// used again and again; what it holds is valid until Release. The zero value is
// empty.
type Slice struct {
	b     []byte
	n     int
	off   int64
	first int64
	next  int64
	l     *Log
	h     *handle
	ch    *chunk
	buf   *buffer
}

// Len is the number of bytes.
func (s *Slice) Len() int { return s.n }

// Bytes returns the batches, or nil when they are a file range. They are shared and
// must not be changed.
func (s *Slice) Bytes() []byte { return s.b }

// File returns the range; f is nil when the batches are in memory. A range may end
// inside a batch, as Kafka's answers do.
func (s *Slice) File() (f disk.File, off int64, n int) {
	if s.h == nil {
		return nil, 0, 0
	}
	return s.h.f, s.off, s.n
}

// FirstOffset is the base offset of the first batch; it may be before the offset
// that was asked for. For an empty slice it is that offset.
func (s *Slice) FirstOffset() int64 { return s.first }

// NextOffset is the offset behind the last whole batch. For a file range that ends
// inside a batch it is a lower bound.
func (s *Slice) NextOffset() int64 { return s.next }

// Release gives back what the slice holds and makes it empty.
func (s *Slice) Release() {
	if s.h != nil {
		s.h.release()
	}
	if s.ch != nil {
		s.ch.release()
	}
	if s.buf != nil {
		s.l.d.buffers.put(s.buf)
	}
	*s = Slice{}
}

// hints are where the last reads ended: a consumer that goes on there needs no
// walk.
type hints struct {
	at   [4]hint
	next int
}

type hint struct{ offset, base, pos int64 }

// place is where a read begins and ends in a segment.
type place struct {
	s       *segment
	h       *handle
	pos, at int64 // a batch begins at pos with offset at <= the one asked for
	stop    int64 // behind the last byte that may be read
	exact   bool  // stop is the limit itself, not a batch boundary below it
	last    bool  // the segment is appended to
	cut     int64 // greatest indexed position within max bytes of pos, and its offset
	cutAt   int64
}

// Read finds the batches from the one that holds offset on, below limit, which is a
// batch boundary such as the high watermark, and within max bytes; with minOne it
// gives one batch even when that is larger (KIP-74). It gives what lies together:
// the caller asks again for more. s is empty when offset is not below limit.
//
// Bytes come from the tail cache or are read into pooled memory, then with their
// CRC checked. The error is OFFSET_OUT_OF_RANGE outside Start and End,
// CORRUPT_MESSAGE for bytes that are damaged, KAFKA_STORAGE_ERROR when the log is
// offline. It allocates nothing.
func (l *Log) Read(s *Slice, offset, limit int64, max int, minOne bool, mode ReadMode) error {
	s.Release()
	s.l, s.first, s.next = l, offset, offset
	if err := l.d.Err(); err != nil {
		return storageError(err)
	}
	l.st.Lock()
	if l.err != nil || l.gone {
		l.st.Unlock()
		return l.Failed()
	}
	if offset < l.start || offset > l.end {
		l.st.Unlock()
		return code.OffsetOutOfRange
	}
	limit = min(limit, l.end)
	if offset >= limit || len(l.segs) == 0 {
		l.st.Unlock()
		return nil
	}
	t := l.tail
	if t != nil {
		if c := t.find(offset); c != nil {
			c.refs.Add(1)
			n := c.n
			t.unread = 0
			l.st.Unlock()
			s.b, s.first, s.next = cut(c.buf[:n:n], offset, limit, max, minOne)
			s.n, s.ch = len(s.b), c
			if s.n == 0 {
				s.first, s.next = offset, offset
			}
			return nil
		}
	}
	p := l.place(offset, limit, max)
	if p.last && p.s.size-p.pos <= tailNear && l.d.cache != nil {
		if t == nil {
			l.tail = &tail{}
		} else {
			t.unread = 0
		}
	}
	if p.h = p.s.h; p.h != nil {
		p.h.refs.Add(1)
	}
	indexed := p.s.indexed
	l.st.Unlock()
	var err error
	if p.h == nil {
		if p.h, err = l.acquire(p.s); err != nil {
			return l.readError(err)
		}
	}
	if !indexed {
		if err := l.loadIndex(p.s, p.h); err != nil {
			p.h.release()
			return l.readError(err)
		}
		h := p.h
		l.st.Lock()
		p = l.placeIn(p.s, offset, limit, max)
		l.st.Unlock()
		p.h = h
	}
	err = l.read(s, &p, offset, limit, max, minOne, mode)
	if s.h == nil {
		p.h.release()
	}
	if err != nil {
		s.Release()
		return l.readError(err)
	}
	if s.n > 0 {
		l.st.Lock()
		if l.hints == nil {
			l.hints = &hints{}
		}
		if end := p.pos + int64(s.n); s.h == nil || end == p.cut {
			h := hint{s.next, p.s.base, end}
			if l.hints.at[l.hints.next] != h {
				l.hints.next = (l.hints.next + 1) % len(l.hints.at)
				l.hints.at[l.hints.next] = h
			}
		}
		l.st.Unlock()
	}
	return nil
}

func (l *Log) readError(err error) error {
	if c := code.Of(err); c == code.KafkaStorageError || c == code.CorruptMessage {
		return err
	}
	return storageError(fmt.Errorf("read %s: %w", l.name(), err))
}

// place finds the segment of offset and where to read in it. st is held, offset
// lies between start and end.
func (l *Log) place(offset, limit int64, max int) place {
	i := sort.Search(len(l.segs), func(i int) bool { return l.segs[i].base > offset }) - 1
	return l.placeIn(l.segs[i], offset, limit, max)
}

func (l *Log) placeIn(s *segment, offset, limit int64, max int) place {
	p := place{s: s, stop: s.size}
	i := sort.Search(len(l.segs), func(i int) bool { return l.segs[i].base >= s.base })
	p.last = i >= len(l.segs)-1
	p.pos, p.at = s.locate(offset)
	if l.hints != nil {
		for _, h := range l.hints.at {
			if h.base == s.base && h.offset <= offset && h.offset > p.at && h.pos <= s.size {
				p.pos, p.at = h.pos, h.offset
			}
		}
	}
	end := l.end
	if !p.last {
		end = l.segs[i+1].base
	}
	if limit < end {
		p.exact = true
		p.stop, _ = s.locate(limit)
	}
	p.cut, p.cutAt = s.floor(min(p.pos+int64(max), p.stop))
	return p
}

// read fills s from the place.
func (l *Log) read(s *Slice, p *place, offset, limit int64, max int, minOne bool, mode ReadMode) error {
	l.st.Lock()
	size := p.s.size
	l.st.Unlock()
	if p.at != offset {
		w := walker{f: p.h.f, pool: &l.d.buffers, pos: p.pos, end: size, at: p.pos, step: minIndexInterval}
		for {
			b, n, err := w.header()
			if err != nil {
				w.close()
				return l.damaged(p.s, w.pos, err)
			}
			if b.LastOffset() >= offset {
				p.at = b.BaseOffset()
				break
			}
			w.next(n)
		}
		p.pos = w.pos
		w.close()
	}
	if mode != ReadBytes {
		least := int64(SendfileMin)
		if mode == ReadSmallRanges {
			least = eagerMin
		}
		if n := min(int64(max), p.stop-p.pos); n >= least {
			if p.cut >= p.pos+least {
				n = p.cut - p.pos
				s.next = p.cutAt
			} else {
				s.next = p.at
			}
			head := l.d.buffers.get(record.HeaderSize)
			_, err := p.h.f.ReadAt(head.b[:record.HeaderSize], p.pos)
			first, perr := record.Peek(head.b[:record.HeaderSize])
			base := record.Batch(head.b).BaseOffset()
			l.d.buffers.put(head)
			if err == nil {
				err = perr
			}
			if err != nil || base != p.at {
				return l.damaged(p.s, p.pos, errors.Join(errBad, err))
			}
			if int64(first) > n && minOne {
				n = int64(first)
			}
			if _, ok := p.h.f.Fd(); ok {
				s.h, s.off, s.n, s.first = p.h, p.pos, int(n), p.at
				return nil
			}
		}
	}
	want := int(min(int64(max), size-p.pos))
	if want < record.HeaderSize {
		want = int(min(int64(record.HeaderSize), size-p.pos))
	}
	s.buf = l.d.buffers.get(want)
	b, err := l.pread(p, s.buf.b[:want])
	if err != nil {
		return err
	}
	if first, err := record.Peek(b); err != nil {
		return l.damaged(p.s, p.pos, err)
	} else if first > want {
		if !minOne {
			return nil
		}
		if int64(first) > size-p.pos {
			return l.damaged(p.s, p.pos, errBad)
		}
		if first > len(s.buf.b) {
			l.d.buffers.put(s.buf)
			s.buf = l.d.buffers.get(first)
		}
		if b, err = l.pread(p, s.buf.b[:first]); err != nil {
			return err
		}
	}
	out, first, next := cut(b, offset, limit, max, minOne)
	if len(out) == 0 {
		if minOne {
			return l.damaged(p.s, p.pos, errBad)
		}
		return nil
	}
	at := p.at
	for rest := out; len(rest) > 0; {
		c, r, err := record.Next(rest)
		if err == nil {
			err = c.Check()
		}
		if err == nil && c.BaseOffset() != at {
			err = fmt.Errorf("%w: offset %d where %d comes next", errBad, c.BaseOffset(), at)
		}
		if err != nil {
			return l.damaged(p.s, p.pos+int64(len(out)-len(rest)), err)
		}
		at, rest = c.NextOffset(), r
	}
	s.b, s.n, s.first, s.next = out, len(out), first, next
	return nil
}

func (l *Log) pread(p *place, b []byte) ([]byte, error) {
	n, err := p.h.f.ReadAt(b, p.pos)
	if n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, l.damaged(p.s, p.pos, io.ErrUnexpectedEOF)
		}
		return nil, err
	}
	return b, nil
}

// damaged says which bytes are no batch. A truncation that ran meanwhile is no
// damage: then the offset is simply not there.
func (l *Log) damaged(s *segment, pos int64, err error) error {
	l.st.Lock()
	known := false
	for _, t := range l.segs {
		known = known || t == s && pos < t.size
	}
	l.st.Unlock()
	if !known {
		return code.OffsetOutOfRange
	}
	if !errors.Is(err, errBad) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && code.Of(err) != code.CorruptMessage {
		return err
	}
	err = code.Errorf(code.CorruptMessage, "%s is damaged at byte %d: %v; restore the file or let another replica lead", l.path(segmentName(s.base)), pos, err)
	l.logger().Error("damaged batch", "event", "damaged_batch", "err", err)
	return err
}

// OffsetForTime returns the first record at or above timestamp ts, in ms, below
// limit: its offset, timestamp and leader epoch; -1, -1, -1 when there is none.
func (l *Log) OffsetForTime(ts, limit int64) (offset, timestamp int64, epoch int32, err error) {
	l.st.Lock()
	segs, start := l.segs, l.start
	limit = min(limit, l.end)
	l.st.Unlock()
	for i, s := range segs {
		l.st.Lock()
		skip := s.greatest.time < ts || i+1 < len(segs) && segs[i+1].base <= start
		l.st.Unlock()
		if skip {
			continue
		}
		if s.base >= limit {
			break
		}
		o, t, e, err := l.timeInSegment(s, ts, start, limit)
		if err != nil || o >= 0 {
			return o, t, e, err
		}
	}
	return -1, -1, -1, nil
}

func (l *Log) timeInSegment(s *segment, ts, start, limit int64) (int64, int64, int32, error) {
	h, err := l.acquire(s)
	if err != nil {
		return -1, -1, -1, l.readError(err)
	}
	defer h.release()
	l.st.Lock()
	indexed := s.indexed
	l.st.Unlock()
	if !indexed {
		if err := l.loadIndex(s, h); err != nil {
			return -1, -1, -1, l.readError(err)
		}
	}
	l.st.Lock()
	size := s.size
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].time >= ts })
	pos := int64(0)
	if i > 0 {
		pos = int64(s.index[i-1].pos)
	}
	from, _ := s.locate(start)
	l.st.Unlock()
	w := l.d.walk(h.f, max(pos, from), size, 64<<10)
	defer w.close()
	for {
		b, n, err := w.header()
		if err == io.EOF {
			return -1, -1, -1, nil
		}
		if err != nil {
			return -1, -1, -1, l.damaged(s, w.pos, err)
		}
		if b.BaseOffset() >= limit {
			return -1, -1, -1, nil
		}
		if b.MaxTimestamp() < ts || b.LastOffset() < start {
			w.next(n)
			continue
		}
		if b, err = w.batch(); err != nil {
			return -1, -1, -1, l.damaged(s, w.pos, err)
		}
		if o, t, err := l.recordAt(b, ts, max(start, b.BaseOffset())); err != nil || o >= 0 {
			return o, t, b.LeaderEpoch(), err
		}
		w.next(n)
	}
}

// recordAt returns the first record of the batch from offset from on with a
// timestamp of at least ts; -1, -1 when there is none.
func (l *Log) recordAt(b record.Batch, ts, from int64) (int64, int64, error) {
	if err := b.Check(); err != nil {
		return -1, -1, err
	}
	if b.TimestampType() == record.LogAppendTime {
		return from, b.MaxTimestamp(), nil
	}
	limit := l.opts.Load().MaxDecompressedBytes
	if limit <= 0 {
		limit = math.MaxInt32
	}
	it := b.Iter(l.codecs(), int(limit))
	defer it.Close()
	var r record.Record
	for it.Next(&r) {
		if r.Offset >= from && r.Timestamp >= ts {
			return r.Offset, r.Timestamp, nil
		}
	}
	return -1, -1, it.Err()
}

// MaxTimestamp returns the record with the greatest timestamp below limit, the
// first of these: its offset, timestamp and leader epoch; -1, -1, -1 when no record
// has one.
func (l *Log) MaxTimestamp(limit int64) (offset, timestamp int64, epoch int32, err error) {
	l.st.Lock()
	segs, start, end := l.segs, l.start, l.end
	best := stamp{-1, -1}
	for i, s := range segs {
		next := end
		if i+1 < len(segs) {
			next = segs[i+1].base
		}
		if next <= start || s.base >= limit {
			continue
		}
		if s.base < start || next > limit { // only a part of it counts
			l.st.Unlock()
			part, err := l.greatestIn(s, start, limit)
			if err != nil {
				return -1, -1, -1, err
			}
			if part.time > best.time {
				best = part
			}
			l.st.Lock()
			continue
		}
		if s.greatest.time > best.time {
			best = s.greatest
		}
	}
	l.st.Unlock()
	if best.time < 0 {
		return -1, -1, -1, nil
	}
	return l.OffsetForTime(best.time, limit)
}

// greatestIn walks a segment for the greatest timestamp between start and limit.
func (l *Log) greatestIn(s *segment, start, limit int64) (stamp, error) {
	h, err := l.acquire(s)
	if err != nil {
		return stamp{}, l.readError(err)
	}
	defer h.release()
	l.st.Lock()
	size := s.size
	l.st.Unlock()
	w := l.d.walk(h.f, 0, size, 64<<10)
	defer w.close()
	best := stamp{-1, -1}
	for {
		b, n, err := w.header()
		if err == io.EOF || err == nil && b.BaseOffset() >= limit {
			return best, nil
		}
		if err != nil {
			return best, l.damaged(s, w.pos, err)
		}
		if b.LastOffset() >= start && b.MaxTimestamp() > best.time {
			best = stamp{b.MaxTimestamp(), b.BaseOffset()}
		}
		w.next(n)
	}
}
