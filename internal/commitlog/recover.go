package commitlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

// adopt makes the log what a unit of the journal says, without touching a file: for
// a directory that was stopped clean.
func (l *Log) adopt(u *unit) {
	l.start, l.flushed, l.end = u.start, u.point, u.point
	l.hw = min(max(u.hw, u.start), u.point)
	l.eps = u.eps
	l.firstOpen = -1
	for i, us := range u.segs {
		s := newSegment(us.base)
		s.size, s.synced, s.greatest, s.firstTime, s.appended = us.size, us.size, us.greatest, us.firstTime, us.appended
		s.dirSynced = true
		s.indexFile = i+1 < len(u.segs)
		l.segs = append(l.segs, s)
	}
	l.made, l.durable = len(u.segs) > 0, len(u.segs) > 0
	for i := range u.prod {
		p := u.prod[i]
		if l.prod.m == nil {
			l.prod.m = make(map[int64]*producer, len(u.prod))
		}
		l.prod.m[p.id] = &p
		if p.txnStart >= 0 {
			l.prod.open++
		}
	}
	l.firstOpen = l.prod.firstOpen()
	l.ended = u.ended
}

// recover makes the log what its files say above the recovery point of u, which is
// nil when the journal knows nothing: then everything is scanned. Damage above the
// recovery point is cut off and kept aside; damage below it is an error and nothing
// is changed.
func (l *Log) recover(u *unit) error {
	list, err := l.d.fs.List(l.path(""))
	if err != nil {
		if u != nil && len(u.segs) > 0 && u.point > u.start {
			return fmt.Errorf("the journal knows %s up to offset %d and its directory cannot be read: %w; restore it, or delete the topic", l.name(), u.point, err)
		}
		if errors.Is(err, fs.ErrNotExist) {
			if u != nil {
				u.segs = nil
				l.adopt(u)
			}
			return nil
		}
		return err
	}
	var bases []int64
	for _, e := range list {
		name := e.Name()
		if strings.HasSuffix(name, ".deleted") || strings.HasSuffix(name, ".tmp") {
			if err := l.d.fs.Remove(l.path(name)); err != nil {
				return err
			}
			continue
		}
		if digits, ok := strings.CutSuffix(name, ".log"); ok && len(digits) == 20 {
			base, err := strconv.ParseInt(digits, 10, 64)
			if err == nil && base >= 0 {
				bases = append(bases, base)
			}
		}
	}
	if u == nil {
		u = &unit{}
		if len(bases) > 0 {
			u.start, u.point = bases[0], bases[0]
		}
	}
	if u.void { // a reset was under way
		for _, b := range bases {
			if err := l.d.fs.Remove(l.path(segmentName(b))); err != nil {
				return err
			}
		}
		bases = nil
	}
	sizes := map[int64]int64{}
	for _, b := range bases {
		info, err := l.d.fs.Stat(l.path(segmentName(b)))
		if err != nil {
			return err
		}
		sizes[b] = info.Size()
	}
	for _, s := range u.segs {
		if size, ok := sizes[s.base]; !ok && s.size > 0 || size < s.size {
			return fmt.Errorf("segment %s has %d bytes and the journal knows of %d that are durable; restore the file, or delete the partition's directory to copy it from another replica",
				l.path(segmentName(s.base)), size, s.size)
		}
	}
	l.adopt(u)
	l.made = true
	// What is left of segments that log start or a reset had dropped.
	first := u.point
	if len(u.segs) > 0 {
		first = u.segs[0].base
	}
	for len(bases) > 0 && bases[0] < first {
		if err := l.d.fs.Remove(l.path(segmentName(bases[0]))); err != nil {
			return err
		}
		bases = bases[1:]
	}
	if n := len(l.segs); n > 0 && l.segs[n-1].size == 0 && sizes[l.segs[n-1].base] == 0 {
		if _, ok := sizes[l.segs[n-1].base]; !ok {
			l.segs = l.segs[:n-1]
		}
	}
	for len(bases) > 0 && len(l.segs) > 0 && bases[0] < l.segs[len(l.segs)-1].base {
		bases = bases[1:]
	}
	for i, base := range bases {
		bad, err := l.scan(base, sizes[base])
		if err != nil {
			return err
		}
		if bad != nil {
			if err := l.putAside(base, sizes[base], bases[i+1:], bad); err != nil {
				return err
			}
			break
		}
	}
	l.eps = l.eps.cut(l.end + 1)
	l.firstOpen = l.prod.firstOpen()
	l.ended = append(l.ended, l.prod.ended...)
	l.prod.ended = nil
	l.stale = true
	return nil
}

// scan reads the batches of a segment that lie above what is known of it. bad says
// why it stopped before the end of what was written.
func (l *Log) scan(base, size int64) (bad error, err error) {
	var s *segment
	if n := len(l.segs); n > 0 && l.segs[n-1].base == base {
		s = l.segs[n-1]
	} else if base != l.end {
		return fmt.Errorf("%w: the segment begins at offset %d where %d comes next", errBad, base, l.end), nil
	} else {
		s = newSegment(base)
		s.appended = time.Now().UnixMilli()
		l.segs = append(l.segs, s)
	}
	if size == s.size {
		s.indexed = s.size == 0
		return nil, nil
	}
	f, err := l.d.fs.Open(l.path(segmentName(base)))
	if err != nil {
		return nil, err
	}
	if err := l.d.fs.Remove(l.path(indexName(base))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Close()
		return nil, err
	}
	s.h = newHandle(f)
	s.alloc = size
	s.dirSynced = false
	s.indexFile = false
	from := s.size
	s.indexed = from == 0
	w := l.d.walk(f, s.size, size, 1<<20)
	defer w.close()
	epoch := l.eps.last()
	now := time.Now().UnixMilli()
	for {
		b, err := w.batch()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = l.fits(b, epoch, s)
		}
		if err != nil {
			if !errors.Is(err, errBad) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, err
			}
			l.d.metrics.recovered.Add(float64(w.pos - from))
			zero, zerr := onlyZeros(w, l.d)
			if zerr != nil {
				return nil, zerr
			}
			if zero {
				return nil, nil // space that was made ready and not used
			}
			return err, nil
		}
		s.note(w.pos, b.BaseOffset(), b.MaxTimestamp(), minIndexInterval)
		if e := b.LeaderEpoch(); e > epoch {
			epoch = e
			l.eps = l.eps.note(e, b.BaseOffset())
		}
		l.prod.apply(b, now, nil)
		w.next(len(b))
		s.size = w.pos
		s.appended = now
		l.end = b.NextOffset()
	}
	l.d.metrics.recovered.Add(float64(w.pos - from))
	return nil, nil
}

// fits says whether a batch is whole and continues the log: the CRC does not cover
// offset and epoch, so these have to continue what is before.
func (l *Log) fits(b record.Batch, epoch int32, s *segment) error {
	if !l.d.hooks.noCRC {
		if err := b.Check(); err != nil {
			return fmt.Errorf("%w: %w", errBad, err)
		}
	}
	switch {
	case b.BaseOffset() != l.end:
		return fmt.Errorf("%w: offset %d where %d comes next", errBad, b.BaseOffset(), l.end)
	case b.LastOffsetDelta() < 0:
		return fmt.Errorf("%w: last offset delta %d", errBad, b.LastOffsetDelta())
	case b.LeaderEpoch() < epoch:
		return fmt.Errorf("%w: leader epoch %d behind epoch %d", errBad, b.LeaderEpoch(), epoch)
	}
	return nil
}

// onlyZeros says whether nothing but zeros follows the walker's position.
func onlyZeros(w *walker, d *Dir) (bool, error) {
	buf := d.buffers.get(int(min(64<<10, w.end-w.pos)))
	defer d.buffers.put(buf)
	for pos := w.pos; pos < w.end; {
		b := buf.b[:min(int64(len(buf.b)), w.end-pos)]
		n, err := w.f.ReadAt(b, pos)
		if n == 0 {
			return false, err
		}
		for _, c := range b[:n] {
			if c != 0 {
				return false, nil
			}
		}
		pos += int64(n)
	}
	return true, nil
}

// putAside keeps what lies behind the last good batch under names that tell when
// and why, and cuts it off the log.
func (l *Log) putAside(base, size int64, later []int64, bad error) error {
	at := int64(0)
	var s *segment
	if n := len(l.segs); n > 0 && l.segs[n-1].base == base {
		s = l.segs[n-1]
		at = s.size
	}
	reason := "corrupt"
	if at == 0 && s == nil {
		reason = "gap"
	} else if errors.Is(bad, errBad) && strings.Contains(bad.Error(), "header") {
		reason = "torn"
	}
	suffix := fmt.Sprintf(".cut-%d-%d-%s", at, time.Now().Unix(), reason)
	l.logger().Warn("log was cut at its first bad batch; what follows was never acknowledged as durable and is kept aside", "event", "log_cut",
		"segment", l.path(segmentName(base)), "position", at, "bytes", size-at, "offset", l.end, "reason", bad, "kept_as", l.path(segmentName(base)+suffix))
	if s == nil {
		later = append([]int64{base}, later...)
	} else {
		if err := l.copyAside(s, size, l.path(segmentName(base)+suffix)); err != nil {
			return err
		}
		if err := s.h.f.Truncate(at); err != nil {
			return err
		}
		s.alloc = at
		if err := s.h.f.Sync(); err != nil {
			return l.d.fail(fmt.Errorf("fsync %s: %w", l.path(segmentName(base)), err))
		}
	}
	for _, b := range later {
		from := l.path(segmentName(b))
		to := from + fmt.Sprintf(".cut-0-%d-%s", time.Now().Unix(), "behind")
		if err := l.d.fs.Rename(from, to); err != nil {
			return err
		}
	}
	return l.d.fs.SyncDir(path.Clean(l.path("")))
}

// copyAside copies a segment's bytes behind its last good batch into a file.
func (l *Log) copyAside(s *segment, size int64, name string) error {
	f, err := l.d.fs.Create(name)
	for i := 2; errors.Is(err, fs.ErrExist); i++ {
		f, err = l.d.fs.Create(name + "-" + strconv.Itoa(i))
	}
	if err != nil {
		return err
	}
	defer f.Close()
	buf := l.d.buffers.get(int(min(1<<20, size-s.size)))
	defer l.d.buffers.put(buf)
	for pos := s.size; pos < size; {
		b := buf.b[:min(int64(len(buf.b)), size-pos)]
		n, err := s.h.f.ReadAt(b, pos)
		if n == 0 {
			return err
		}
		if _, err := f.WriteAt(b[:n], pos-s.size); err != nil {
			if errors.Is(err, disk.ErrFull) {
				// Bytes that nobody was promised must not keep a log from starting.
				l.logger().Warn("no room to keep the cut bytes aside", "event", "log_cut_lost", "kept_bytes", pos-s.size, "err", err)
				return nil
			}
			return err
		}
		pos += int64(n)
	}
	return nil
}

// rebuildProducers reads the producer state anew from the batches below to. mu is
// held.
func (l *Log) rebuildProducers(to int64) error {
	l.prod = producers{}
	now := time.Now().UnixMilli()
	for _, s := range l.segs {
		if s.base >= to {
			break
		}
		h, err := l.acquire(s)
		if err != nil {
			return err
		}
		w := l.d.walk(h.f, 0, s.size, 64<<10)
		for {
			b, n, err := w.header()
			if err == io.EOF || err == nil && b.BaseOffset() >= to {
				break
			}
			if err == nil && b.IsControl() {
				b, err = w.batch()
			}
			if err != nil {
				w.close()
				h.release()
				return l.damaged(s, w.pos, err)
			}
			l.prod.apply(b, now, nil)
			w.next(n)
		}
		w.close()
		h.release()
	}
	l.prod.ended = nil
	return nil
}
