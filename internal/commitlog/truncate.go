package commitlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"sort"
	"time"

	"github.com/klamm/klamm/internal/code"
)

// Truncate removes every record at offset to and behind it; to inside a batch
// removes the whole batch. Epoch history and producer state follow. The journal
// hears of it before anything is cut. It does nothing but clean the history when to
// is at the end or behind it.
func (l *Log) Truncate(to int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Failed(); err != nil {
		return err
	}
	l.fmu.Lock() // a flush that is under way would count what is being cut
	defer l.fmu.Unlock()
	if to >= l.end {
		l.st.Lock()
		l.eps = l.eps.cut(to)
		l.stale = true
		l.st.Unlock()
		return nil
	}
	if to < l.start {
		return code.Errorf(code.OffsetOutOfRange, "cannot truncate %s to %d, before its start %d; reset it instead", l.name(), to, l.start)
	}
	i := sort.Search(len(l.segs), func(i int) bool { return l.segs[i].base > to }) - 1
	s := l.segs[i]
	pos, at, greatest, firstTime, err := l.boundary(s, to)
	if err != nil {
		return err
	}
	if !l.prod.cut(at) {
		if err := l.rebuildProducers(at); err != nil {
			return err
		}
	}
	drop := l.segs[i+1:]
	l.dropTail(false)
	l.st.Lock()
	l.gen++
	l.units++
	l.hints = nil
	s.size, s.synced, s.greatest, s.firstTime = pos, min(s.synced, pos), greatest, firstTime
	n := sort.Search(len(s.index), func(i int) bool { return int64(s.index[i].pos) >= pos })
	s.index, s.indexFile = s.index[:n:n], false
	if pos == 0 {
		s.index, s.indexed = nil, true
	}
	l.segs = l.segs[: i+1 : i+1]
	l.end = at
	l.start = min(l.start, at) // the batch that held the start went as a whole
	below := at < l.flushed
	l.flushed, l.hw = min(l.flushed, at), min(l.hw, at)
	l.eps = l.eps.cut(at)
	kept := l.ended[:0]
	for _, t := range l.ended {
		if t.marker < at {
			kept = append(kept, t)
		}
	}
	l.ended = kept
	l.firstOpen = l.prod.firstOpen()
	l.records = max(0, l.end-l.flushed)
	l.stale = true
	l.st.Unlock()
	if below { // segments above the flushed end are in no unit
		if err := l.d.noteHeld(l, false); err != nil {
			return l.fail(fmt.Errorf("truncate %s to %d: %w", l.name(), at, err))
		}
	}
	for k := len(drop) - 1; k >= 0; k-- {
		if err := l.remove(drop[k], true); err != nil {
			return l.fail(fmt.Errorf("truncate %s to %d: %w", l.name(), at, err))
		}
	}
	if err := l.d.fs.Remove(l.path(indexName(s.base))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l.fail(fmt.Errorf("truncate %s to %d: %w", l.name(), at, err))
	}
	h, err := l.acquire(s)
	if err == nil {
		if err = h.f.Truncate(pos); err == nil {
			err = l.syncCut(h)
		}
		h.release()
		s.alloc = pos
	}
	if err == nil && len(drop) > 0 {
		err = l.d.fs.SyncDir(l.path(""))
	}
	if err != nil {
		return l.fail(fmt.Errorf("truncate %s to %d: %w", l.name(), at, err))
	}
	return nil
}

// syncCut makes a truncation durable, so that cut bytes do not come back behind new
// ones after a crash.
func (l *Log) syncCut(h *handle) error {
	if err := h.f.Sync(); err != nil {
		return l.d.fail(fmt.Errorf("fsync %s: %w", h.f.Name(), err))
	}
	return nil
}

// boundary finds the batch of s that holds offset to, and what the segment is up to
// there.
func (l *Log) boundary(s *segment, to int64) (pos, at int64, greatest stamp, firstTime int64, err error) {
	h, err := l.acquire(s)
	if err != nil {
		return 0, 0, stamp{}, 0, l.readError(err)
	}
	defer h.release()
	greatest, firstTime, at = stamp{-1, -1}, -1, s.base
	w := l.d.walk(h.f, 0, s.size, 64<<10)
	defer w.close()
	for {
		b, n, err := w.header()
		if err == io.EOF {
			return w.pos, at, greatest, firstTime, nil
		}
		if err != nil {
			return 0, 0, greatest, firstTime, l.damaged(s, w.pos, err)
		}
		if b.LastOffset() >= to {
			return w.pos, b.BaseOffset(), greatest, firstTime, nil
		}
		if w.pos == 0 {
			firstTime = b.MaxTimestamp()
		}
		if b.MaxTimestamp() > greatest.time {
			greatest = stamp{b.MaxTimestamp(), b.BaseOffset()}
		}
		at = b.NextOffset()
		w.next(n)
	}
}

// ResetTo empties the log and lets it go on at offset: a follower that is behind its
// leader's start, and a log that begins with a snapshot. Start, end and high
// watermark are offset then; epochs and producers are forgotten.
func (l *Log) ResetTo(offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Failed(); err != nil {
		return err
	}
	l.fmu.Lock()
	defer l.fmu.Unlock()
	l.dropTail(false)
	l.prod = producers{}
	l.st.Lock()
	drop := l.segs
	l.gen++
	l.units++
	l.segs, l.hints, l.eps, l.ended = nil, nil, nil, nil
	l.firstOpen, l.records = -1, 0
	l.start, l.end, l.flushed, l.hw = offset, offset, offset, offset
	l.stale = true
	l.st.Unlock()
	// The first note says that what lies there is void, the second that it is gone.
	if err := l.d.noteHeld(l, len(drop) > 0); err != nil {
		return l.fail(fmt.Errorf("reset %s to %d: %w", l.name(), offset, err))
	}
	if len(drop) == 0 {
		return nil
	}
	for k := len(drop) - 1; k >= 0; k-- {
		if err := l.remove(drop[k], true); err != nil {
			return l.fail(fmt.Errorf("reset %s to %d: %w", l.name(), offset, err))
		}
	}
	err := l.d.fs.SyncDir(l.path(""))
	if err == nil {
		err = l.d.noteHeld(l, false)
	}
	if err != nil {
		return l.fail(fmt.Errorf("reset %s to %d: %w", l.name(), offset, err))
	}
	return nil
}

// AdvanceStart moves the log's start to offset, at most the high watermark: for
// DeleteRecords, for a leader's start, for a coordinator's snapshot. Records before
// it are not read any more, and segments that lie wholly before it are deleted.
func (l *Log) AdvanceStart(offset int64) error {
	for range 3 {
		l.mu.Lock()
		done, err := l.advance(offset)
		l.mu.Unlock()
		if done || err != nil {
			return err
		}
		// Segments may go only when the journal's unit reaches beyond them.
		if err := l.d.checkpointNow([]*Log{l}); err != nil {
			return storageError(err)
		}
	}
	return code.Errorf(code.KafkaStorageError, "cannot move the start of %s to %d while it is being truncated", l.name(), offset)
}

// advance moves the start and deletes segments before it; false when the journal has
// to be brought forward first. mu is held.
func (l *Log) advance(offset int64) (bool, error) {
	if err := l.Failed(); err != nil {
		return false, err
	}
	if offset <= l.start {
		return true, nil
	}
	l.st.Lock()
	hw, made := l.hw, l.made
	l.st.Unlock()
	if offset > hw {
		return false, code.Errorf(code.OffsetOutOfRange, "cannot move the start of %s to %d, beyond its high watermark %d", l.name(), offset, hw)
	}
	n := 0
	for n+1 < len(l.segs) && l.segs[n+1].base <= offset {
		n++
	}
	if n > 0 {
		ok, err := l.d.noteStart(l, offset, l.segs[n].base)
		if !ok || err != nil {
			return false, err
		}
	}
	drop := l.segs[:n]
	l.st.Lock()
	l.start = offset
	l.stale = true
	if n > 0 {
		l.units++
		l.segs = append([]*segment(nil), l.segs[n:]...)
		l.eps = l.eps.advance(offset)
	}
	l.st.Unlock()
	if n == 0 && made {
		l.d.checkpoint(l)
	}
	for _, s := range drop {
		if err := l.remove(s, false); err != nil {
			return false, l.wrote(err)
		}
		l.d.metrics.deleted.Inc()
	}
	return true, nil
}

// remove takes a segment's files away: at once, or under another name first when
// Options.FileDeleteDelayMs says so.
func (l *Log) remove(s *segment, now bool) error {
	l.st.Lock()
	h := s.h
	s.h = nil
	l.st.Unlock()
	if h != nil {
		h.release()
	}
	if err := l.d.fs.Remove(l.path(indexName(s.base))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	name := l.path(segmentName(s.base))
	delay := l.opts.Load().FileDeleteDelayMs
	if now || delay <= 0 {
		return l.d.fs.Remove(name)
	}
	if err := l.d.fs.Rename(name, name+".deleted"); err != nil {
		return err
	}
	l.d.discard(name+".deleted", time.Now().Add(time.Duration(min(delay, maxDelay))*time.Millisecond))
	return nil
}

// maxDelay bounds a delay in milliseconds to what a time.Duration holds.
const maxDelay = math.MaxInt64 / int64(time.Millisecond) / 2

// retain deletes what retention lets go, and ends an active segment that is too
// old. now is the broker's clock.
func (l *Log) retain(now time.Time) error {
	o := l.opts.Load()
	if !o.Delete || o.RetentionMs < 0 && o.RetentionBytes < 0 || l.Failed() != nil {
		return nil
	}
	ms := now.UnixMilli()
	l.mu.Lock()
	to, err := l.expired(o, ms)
	start := l.start
	l.mu.Unlock()
	if err != nil || to <= start {
		return err
	}
	l.logger().Info("retention deletes segments", "event", "segments_deleted", "from", start, "to", to)
	return l.AdvanceStart(to)
}

// expired returns up to where retention lets the log go. mu is held.
func (l *Log) expired(o *Options, ms int64) (int64, error) {
	l.st.Lock()
	hw, size := l.hw, l.size()
	l.st.Unlock()
	if n := len(l.segs); n > 0 && o.RetentionMs >= 0 {
		// The active segment goes by the broker's clock alone: a client's clock must
		// not delete what nobody has had time to read.
		if s := l.segs[n-1]; s.size > 0 && l.end <= hw && ms-s.appended > o.RetentionMs {
			if err := l.roll(l.end); err != nil {
				return 0, err
			}
		}
	}
	to := l.start
	for i := 0; i+1 < len(l.segs); i++ {
		s, next := l.segs[i], l.segs[i+1].base
		age := s.appended
		if s.greatest.time >= 0 {
			age = min(age, s.greatest.time)
		}
		old := o.RetentionMs >= 0 && ms-age > o.RetentionMs
		large := o.RetentionBytes >= 0 && size-s.size >= o.RetentionBytes
		if next > hw || !old && !large {
			break
		}
		to, size = next, size-s.size
	}
	return to, nil
}
