package commitlog

import (
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"sync"
	"time"
)

// flushQueue holds the logs that became dirty, each once.
type flushQueue struct {
	mu   sync.Mutex
	cond sync.Cond
	logs []*Log
	busy int // flushes under way
	// crowded is when a log became dirty last while another was being flushed.
	crowded time.Time
	all     bool // a syncfs is under way: what becomes dirty meanwhile waits for its end
	done    bool
}

// gatherTime is what a group commit of many logs waits at most for the next one.
const gatherTime = 50 * time.Microsecond

// crowdTime is for how long after several logs were dirty together a flush is left to
// the group commit.
const crowdTime = 20 * time.Millisecond

// syncAllSlow is how long a syncfs may take before fdatasync is preferred again for
// a time: it also waits for what others write to the file system.
const syncAllSlow = 25 * time.Millisecond

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

// FlushAlone makes durable what is appended now, in the caller's goroutine, when no
// other flush is under way or waited for, or lately was: a lone writer is spared two
// changes of goroutine, and several are not kept from each other's group commit.
// Otherwise it schedules one and reports false.
func (l *Log) FlushAlone() bool {
	q := &l.d.flushes
	q.mu.Lock()
	alone := q.busy == 0 && len(q.logs) == 0 && time.Since(q.crowded) > crowdTime
	if alone {
		q.busy++
	}
	q.mu.Unlock()
	if !alone {
		l.RequestFlush()
		return false
	}
	_ = l.flush() // its error has stopped the directory; the log tells
	q.mu.Lock()
	q.busy--
	q.mu.Unlock()
	return true
}

func (q *flushQueue) put(l *Log) {
	q.mu.Lock()
	if q.busy > 0 {
		q.crowded = time.Now()
	}
	q.logs = append(q.logs, l)
	q.mu.Unlock()
	q.cond.Signal()
}

// take waits for dirty logs and moves them to into: one, or all when they are at
// least most; then nobody else takes any until taken. It returns nil when the queue
// was shut and is empty. into holds what the caller took before and has made durable.
func (q *flushQueue) take(into []*Log, most int) []*Log {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(into) > 0 {
		q.busy--
	}
	for len(q.logs) == 0 || q.all {
		if q.done && len(q.logs) == 0 {
			return nil
		}
		q.cond.Wait()
	}
	n := 1
	if len(q.logs) >= most {
		n = len(q.logs)
		q.all = n > 1
	}
	q.busy++
	into = append(into[:0], q.logs[:n]...)
	rest := copy(q.logs, q.logs[n:])
	clear(q.logs[rest:])
	q.logs = q.logs[:rest]
	return into
}

// taken ends a take of n logs. Those whom it has answered are about to append
// again: they get a moment, so that the next take finds them together and does not
// begin with a single log.
func (q *flushQueue) taken(n int) {
	for until := time.Now().Add(gatherTime); time.Now().Before(until); {
		runtime.Gosched()
		q.mu.Lock()
		enough := len(q.logs) >= n-n/4
		q.mu.Unlock()
		if enough {
			break
		}
	}
	q.mu.Lock()
	q.all = false
	q.mu.Unlock()
	q.cond.Broadcast()
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
	var g group
	for {
		if g.logs = d.flushes.take(g.logs, d.opt.SyncAllMin); g.logs == nil {
			return
		}
		if len(g.logs) > 1 {
			done := d.flushAll(&g)
			d.flushes.taken(len(g.logs))
			if done {
				continue
			}
		}
		for _, l := range g.logs {
			l.st.Lock()
			l.queued = false
			l.st.Unlock()
			// The error has stopped the directory; its logs tell.
			_ = l.flush()
		}
	}
}

// group is what one syncfs makes durable, and memory that its flusher uses again.
type group struct {
	logs  []*Log
	marks []groupMark
	sizes []int64 // of the segments of all marks, one behind another
}

type groupMark struct {
	end  int64
	gen  uint32
	segs []*segment
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
func (d *Dir) flushAll(g *group) bool {
	if d.noSyncAll.Load() || d.hooks.any() || time.Now().UnixNano() < d.syncAllFrom.Load() {
		return false
	}
	g.marks, g.sizes = g.marks[:0], g.sizes[:0]
	for _, l := range g.logs {
		l.fmu.Lock()
		l.st.Lock()
		l.queued = false
		first := len(l.segs)
		for first > 0 && (l.segs[first-1].synced < l.segs[first-1].size || !l.segs[first-1].dirSynced) {
			first--
		}
		g.marks = append(g.marks, groupMark{l.end, l.gen, l.segs[first:]})
		for _, s := range l.segs[first:] {
			g.sizes = append(g.sizes, s.size)
		}
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
		took := time.Since(began)
		d.metrics.flushed(took)
		if most := max(syncAllSlow, time.Duration(len(g.logs))*time.Millisecond); took > most {
			// It wrote out more than our logs: others fill this file system.
			d.syncAllFrom.Store(time.Now().Add(100 * took).UnixNano())
		}
	}
	sizes := g.sizes
	for i, l := range g.logs {
		moved := int64(-1)
		m := &g.marks[i]
		if err == nil {
			l.st.Lock()
			if l.gen == m.gen {
				for k, s := range m.segs {
					s.synced, s.dirSynced = max(s.synced, sizes[k]), true
				}
				l.durable = true
			}
			l.st.Unlock()
			moved = l.noteFlushed(m.end, m.gen)
		}
		sizes = sizes[len(m.segs):]
		*m = groupMark{}
		l.fmu.Unlock()
		if moved >= 0 && l.onFlush != nil {
			l.onFlush(moved)
		}
	}
	return !unsupported
}

// flushOverdue schedules logs that flush.ms says should have been flushed.
func (d *Dir) flushOverdue(ctx context.Context, now time.Time) {
	if !d.timed.Load() {
		return
	}
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
