package commitlog

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"
)

// flushQueue holds the logs that became dirty, each once.
type flushQueue struct {
	mu   sync.Mutex
	cond sync.Cond
	logs []*Log
	done bool
}

// RequestFlush schedules a group commit: all that is appended by the time a
// flusher takes the log becomes durable with one fsync, and onFlush hears of it.
func (l *Log) RequestFlush() {
	l.st.Lock()
	if l.queued || l.flushed >= l.end {
		l.st.Unlock()
		return
	}
	l.queued = true
	l.st.Unlock()
	l.d.flushes.put(l)
}

func (q *flushQueue) put(l *Log) {
	q.mu.Lock()
	q.logs = append(q.logs, l)
	q.mu.Unlock()
	q.cond.Signal()
}

// take waits for dirty logs and moves them to into: one, or all when there are at
// least most. It returns nil when the queue was shut and is empty.
func (q *flushQueue) take(into []*Log, most int) []*Log {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.logs) == 0 {
		if q.done {
			return nil
		}
		q.cond.Wait()
	}
	n := 1
	if len(q.logs) >= most {
		n = len(q.logs)
	}
	into = append(into[:0], q.logs[:n]...)
	rest := copy(q.logs, q.logs[n:])
	clear(q.logs[rest:])
	q.logs = q.logs[:rest]
	return into
}

// shut lets the flushers end when nothing waits any more.
func (q *flushQueue) shut() {
	q.mu.Lock()
	q.done = true
	q.mu.Unlock()
	q.cond.Broadcast()
}

// flusher is one of the goroutines that make dirty logs durable.
func (d *Dir) flusher() {
	var logs []*Log
	for {
		if logs = d.flushes.take(logs, d.opt.SyncAllMin); logs == nil {
			return
		}
		if len(logs) > 1 && d.flushAll(logs) {
			continue
		}
		for _, l := range logs {
			l.st.Lock()
			l.queued = false
			l.st.Unlock()
			// The error has stopped the directory; its logs tell.
			_ = l.flush()
		}
	}
}

// Sync makes everything appended before the call durable and calls onFlush.
// Several callers share an fsync when one is under way. An error is a
// KAFKA_STORAGE_ERROR and has stopped the directory.
func (l *Log) Sync() error { return l.flush() }

// flush makes durable what is appended now.
func (l *Log) flush() error {
	l.st.Lock()
	want := l.end
	l.st.Unlock()
	for {
		l.st.Lock()
		want = min(want, l.end) // a truncation may have taken some
		gen, done := l.gen, l.flushed >= want
		l.st.Unlock()
		if done {
			return l.Failed()
		}
		l.fmu.Lock()
		moved, err := l.flushTo(want, gen)
		l.fmu.Unlock()
		if err != nil {
			return err
		}
		if moved >= 0 && l.onFlush != nil {
			l.onFlush(moved)
		}
	}
}

// flushTo fsyncs until want is durable, unless the log was truncated since gen. It
// returns the flushed end, or -1 when it did not move. fmu is held.
func (l *Log) flushTo(want int64, gen uint32) (int64, error) {
	if err := l.Failed(); err != nil {
		return -1, err
	}
	l.st.Lock()
	if l.flushed >= want || l.gen != gen {
		l.st.Unlock()
		return -1, nil
	}
	end, segs := l.end, l.segs
	l.st.Unlock()
	if l.d.hooks.ackBeforeSync {
		return l.noteFlushed(end, gen), nil
	}
	for i, s := range segs {
		l.st.Lock()
		size, synced, named := s.size, s.synced, s.dirSynced
		l.st.Unlock()
		if synced >= size && named {
			continue
		}
		if !named && !l.d.hooks.noDirSync {
			if err := l.syncNames(); err != nil {
				return -1, err
			}
		}
		if synced < size {
			h, err := l.acquire(segs[i])
			if err != nil {
				return -1, l.d.fail(fmt.Errorf("open %s to flush it: %w", l.path(segmentName(s.base)), err))
			}
			began := time.Now()
			err = h.f.Sync()
			h.release()
			if err != nil && l.d.hooks.retrySync {
				if h, err = l.acquire(segs[i]); err == nil {
					err = h.f.Sync()
					h.release()
				}
			}
			if err != nil {
				return -1, l.d.fail(fmt.Errorf("fsync %s: %w; what was written is lost in part: check the disk, then restart", l.path(segmentName(s.base)), err))
			}
			l.d.metrics.flushed(time.Since(began))
		}
		l.st.Lock()
		if l.gen == gen {
			s.synced, s.dirSynced = max(s.synced, size), true
		}
		l.st.Unlock()
	}
	return l.noteFlushed(end, gen), nil
}

// noteFlushed moves the flushed end.
func (l *Log) noteFlushed(end int64, gen uint32) int64 {
	l.st.Lock()
	defer l.st.Unlock()
	if l.gen != gen || end <= l.flushed {
		return -1
	}
	l.flushed = end
	l.records = l.end - end
	l.since = time.Now().UnixMilli()
	return end
}

// syncNames makes the partition's directory and the names in it durable.
func (l *Log) syncNames() error {
	l.st.Lock()
	durable := l.durable
	l.st.Unlock()
	if !durable {
		if err := l.d.fs.SyncDir(l.d.path); err != nil {
			return l.d.fail(fmt.Errorf("fsync directory %s: %w", l.d.path, err))
		}
		l.st.Lock()
		l.durable = true
		l.st.Unlock()
	}
	if err := l.d.fs.SyncDir(path.Join(l.d.path, l.name())); err != nil {
		return l.d.fail(fmt.Errorf("fsync directory %s: %w", l.path(""), err))
	}
	return nil
}

// flushAll makes many logs durable with one syncfs. It returns false when the
// system has none and each has to be flushed by itself.
func (d *Dir) flushAll(logs []*Log) bool {
	if d.noSyncAll.Load() || d.hooks.any() {
		return false
	}
	type mark struct {
		end   int64
		gen   uint32
		sizes []int64
		segs  []*segment
	}
	marks := make([]mark, len(logs))
	for i, l := range logs {
		l.fmu.Lock()
		l.st.Lock()
		l.queued = false
		m := mark{end: l.end, gen: l.gen, segs: l.segs, sizes: make([]int64, len(l.segs))}
		for k, s := range l.segs {
			m.sizes[k] = s.size
		}
		marks[i] = m
		l.st.Unlock()
	}
	began := time.Now()
	err := d.Err()
	unsupported := false
	if err == nil {
		if err = d.fs.SyncAll(d.path); errors.Is(err, errors.ErrUnsupported) {
			d.noSyncAll.Store(true)
			unsupported = true
		} else if err != nil {
			d.fail(fmt.Errorf("syncfs %s: %w; what was written is lost in part: check the disk, then restart", d.path, err))
		}
	}
	if err == nil {
		d.metrics.flushed(time.Since(began))
	}
	for i, l := range logs {
		moved := int64(-1)
		if err == nil {
			l.st.Lock()
			if l.gen == marks[i].gen {
				for k, s := range marks[i].segs {
					s.synced, s.dirSynced = max(s.synced, marks[i].sizes[k]), true
				}
				l.durable = true
			}
			l.st.Unlock()
			moved = l.noteFlushed(marks[i].end, marks[i].gen)
		}
		l.fmu.Unlock()
		if moved >= 0 && l.onFlush != nil {
			l.onFlush(moved)
		}
	}
	return !unsupported
}

// flushOverdue schedules logs that flush.ms says should have been flushed.
func (d *Dir) flushOverdue(ctx context.Context, now time.Time) {
	ms := now.UnixMilli()
	for l := range d.all() {
		if ctx.Err() != nil {
			return
		}
		l.st.Lock()
		due := l.flushed < l.end && ms-l.since >= l.opts.Load().FlushMs
		l.st.Unlock()
		if due {
			l.RequestFlush()
		}
	}
}
