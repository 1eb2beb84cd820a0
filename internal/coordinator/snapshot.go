package coordinator

import (
	"time"

	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/record"
)

// writer fills batches and appends them.
type writer struct {
	s     *shard
	now   time.Time
	limit int
}

func (s *shard) writer(now time.Time) *writer {
	s.builder.Reset(nil, record.BuilderOptions{LeaderEpoch: s.epoch})
	s.buf = s.buf[:0]
	return &writer{s: s, now: now, limit: s.g.cfg.BatchBytes}
}

// add puts a record into the batch under way, or into the next one.
func (w *writer) add(r machine.Record) error {
	b := &w.s.builder
	if b.Count() > 0 && b.SizeWith(r.Key, r.Value, 1) > w.limit {
		if err := w.close(); err != nil {
			return err
		}
	}
	b.Append(w.now.UnixMilli(), r.Key, r.Value)
	return nil
}

// close ends the batch under way, and writes when enough have gathered.
func (w *writer) close() error {
	batch, err := w.s.builder.Finish()
	if err != nil {
		return err
	}
	w.s.buf = append(w.s.buf, batch...)
	w.s.builder.Reset(nil, record.BuilderOptions{LeaderEpoch: w.s.epoch})
	return nil
}

// flush writes all batches with one write.
func (w *writer) flush() error {
	if w.s.builder.Count() > 0 {
		if err := w.close(); err != nil {
			return err
		}
	}
	if len(w.s.buf) == 0 {
		return nil
	}
	end, err := w.s.p.Append(w.s.buf, w.s.epoch, w.now)
	if err != nil {
		return err
	}
	w.s.end = end
	w.s.written += int64(len(w.s.buf))
	if cap(w.s.buf) > 1<<20 {
		w.s.buf = nil
		w.s.builder = record.Builder{}
	}
	return nil
}

// snapshot is the shard's live state, written into the log again so that the
// segments before can go: what compaction would do, as long as nothing compacts.
type snapshot struct {
	due    bool
	barred bool  // the log holds what no snapshot does
	size   int64 // bytes of the last one
	start  int64 // offset of the one that waits for the watermark
	end    int64 // offset behind it; 0 when none waits
}

func (n *snapshot) pending() bool { return n.due || n.end != 0 }

// snapshotDue asks for a snapshot after a roll. One that is larger than what was
// written since the last is not worth it: a state that fills more than a segment
// would roll the log again, and again be written.
func (s *shard) snapshotDue() {
	n := &s.snapshot
	n.due = n.due || !n.barred && n.end == 0 && s.written > n.size
}

// keepShort writes a snapshot that is due, and drops the segments before one that
// is replicated.
func (s *shard) keepShort(now time.Time) error {
	n := &s.snapshot
	if n.due {
		n.due = false
		start := s.end
		s.written = 0
		w := s.writer(now)
		var failed error
		s.m.Snapshot(func(r machine.Record) {
			if failed == nil {
				failed = w.add(r)
			}
			// A megabyte at a time, so that a large state is not in memory twice.
			if failed == nil && len(s.buf) >= 1<<20 {
				if failed = w.flush(); failed == nil {
					w = s.writer(now)
				}
			}
		})
		if failed == nil {
			failed = w.flush()
		}
		if failed != nil {
			return failed
		}
		s.rolled.Store(false)
		n.size, n.start, n.end = s.written, start, s.end
		s.written = 0
		s.logger().Info("wrote a snapshot of a shard of groups", "event", "groups_snapshot", "from_offset", start, "end_offset", s.end, "bytes", n.size)
	}
	if n.end != 0 && s.p.HighWatermark() >= n.end {
		start := n.start
		n.start, n.end = 0, 0
		if err := s.p.AdvanceStart(start); err != nil {
			return err
		}
	}
	return nil
}
