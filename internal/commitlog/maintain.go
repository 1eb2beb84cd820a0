package commitlog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/disk"
)

// maintain checkpoints, deletes, watches the disk's space and applies retention
// until ctx ends.
func (d *Dir) maintain(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	retention := time.Now().Add(d.opt.RetentionCheckInterval)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case now := <-tick.C:
			d.lookAtSpace()
			d.takeOut(now)
			d.flushOverdue(ctx, now)
			if !now.Before(retention) {
				retention = now.Add(d.opt.RetentionCheckInterval)
				d.Retain(ctx, now)
			}
		}
		d.mu.Lock()
		due := d.due
		d.due = nil
		d.mu.Unlock()
		if len(due) > 0 {
			// An error has stopped the directory, or there is no room; then the journal
			// stays behind and a crash costs a longer scan.
			if err := d.checkpointNow(due); err != nil && d.Err() == nil {
				d.opt.Logger.Warn("checkpoint was not written", "event", "checkpoint_failed", "directory", d.path, "err", err)
			}
		}
	}
}

// Retain applies retention to every log and forgets expired producers, as of now. Run
// does it by itself every RetentionCheckInterval.
func (d *Dir) Retain(ctx context.Context, now time.Time) {
	for l := range d.all() {
		if ctx.Err() != nil {
			return
		}
		l.ExpireProducers(now)
		if err := l.retain(now); err != nil && d.Err() == nil {
			// One log must not keep the others from being cleaned (KAFKA-7215).
			l.logger().Warn("retention failed", "event", "retention_failed", "err", err)
		}
	}
}

// checkpoint tells the checkpointer of a log.
func (d *Dir) checkpoint(l *Log) {
	l.st.Lock()
	told := l.pending
	l.pending = true
	l.st.Unlock()
	if told {
		return
	}
	d.mu.Lock()
	d.due = append(d.due, l)
	d.mu.Unlock()
	d.poke()
}

func (d *Dir) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// maxGroup bounds how many bytes of units are written together.
const maxGroup = 16 << 20

// captured is a unit in the making and what would make it stale.
type captured struct {
	l     *Log
	u     *unit
	units uint32
}

// checkpointNow makes logs durable up to now and writes their units.
func (d *Dir) checkpointNow(logs []*Log) error {
	var units []captured
	var failed error
	for _, l := range logs {
		l.mu.Lock()
		u, n := l.capture()
		l.sinceUnit = 0
		l.mu.Unlock()
		err := l.flush()
		if err == nil {
			err = l.nameAll()
		}
		if err != nil {
			if d.Err() != nil {
				return err
			}
			if l.deleted() {
				continue // nothing of it is to be remembered
			}
			failed = err
			l.markStale()
			continue
		}
		l.writeIndexes(false)
		units = append(units, captured{l, u, n})
	}
	if err := d.write(units); err != nil {
		return err
	}
	return failed
}

// markStale notes that the journal does not know all of the log.
func (l *Log) markStale() {
	l.st.Lock()
	l.stale = true
	l.st.Unlock()
}

// nameAll makes the names of the log's segments durable, also of empty ones.
func (l *Log) nameAll() error {
	l.fmu.Lock()
	defer l.fmu.Unlock()
	l.st.Lock()
	named, segs := l.durable || len(l.segs) == 0, l.segs
	for _, s := range segs {
		named = named && s.dirSynced
	}
	l.st.Unlock()
	if named || l.d.hooks.noDirSync {
		return nil
	}
	if err := l.syncNames(); err != nil {
		return err
	}
	l.st.Lock()
	for _, s := range segs {
		s.dirSynced = true
	}
	l.st.Unlock()
	return nil
}

// capture returns a unit of this moment. mu is held.
func (l *Log) capture() (*unit, uint32) {
	u := &unit{id: l.id}
	for _, p := range l.prod.m {
		u.prod = append(u.prod, *p)
	}
	l.st.Lock()
	defer l.st.Unlock()
	l.pending, l.stale = false, false
	u.start, u.hw, u.point = l.start, l.hw, l.end
	for _, s := range l.segs {
		u.segs = append(u.segs, unitSegment{s.base, s.size, s.greatest, s.firstTime, s.appended})
	}
	u.eps = append(u.eps, l.eps...)
	u.ended = append(u.ended, l.ended...)
	return u, l.units
}

// noteHeld writes the unit of a log whose mu is held and whose end is durable.
func (d *Dir) noteHeld(l *Log, void bool) error {
	u, n := l.capture()
	u.void = void
	return d.write([]captured{{l, u, n}})
}

// noteStart writes into the journal that the log begins at start, and that segments
// before base do not count. It returns false when the journal's unit does not reach
// base. mu of the log is held.
func (d *Dir) noteStart(l *Log, start, base int64) (bool, error) {
	u, err := d.journal.unit(l.name())
	if err != nil {
		return false, err
	}
	if u == nil || u.point < start {
		return false, nil
	}
	for len(u.segs) > 0 && u.segs[0].base < base {
		u.segs = u.segs[1:]
	}
	u.start = start
	l.st.Lock()
	u.hw = min(l.hw, u.point)
	n := l.units
	l.st.Unlock()
	u.eps = u.eps.advance(start)
	if err := d.write([]captured{{l, u, n}}); err != nil {
		return false, storageError(err)
	}
	return true, nil
}

// write writes units, except those that became stale meanwhile, and compacts the
// journal when most of it is old.
func (d *Dir) write(units []captured) error {
	j := d.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	all := units
	for len(units) > 0 {
		var b []byte
		refs := map[string]unitRef{}
		for len(units) > 0 && len(b) < maxGroup {
			c := units[0]
			units = units[1:]
			c.l.st.Lock()
			stale := c.l.units != c.units || c.l.gone
			c.l.stale = c.l.stale || stale
			c.l.st.Unlock()
			if stale {
				continue
			}
			at := len(b)
			b = appendFrame(b, frameUnit, func(b []byte) []byte { return appendUnit(b, c.u) })
			refs[c.u.id.dir()] = unitRef{int64(at), int32(len(b) - at)}
		}
		if len(b) == 0 {
			continue
		}
		if err := d.noteJournal(b, refs); err != nil {
			for _, c := range all {
				c.l.markStale()
			}
			return err
		}
		d.metrics.checkpoints.Add(float64(len(refs)))
	}
	if j.bloated() {
		if err := j.compact(); err != nil {
			if errors.Is(err, disk.ErrFull) {
				return nil // later
			}
			return d.fail(fmt.Errorf("rewrite the journal: %w", err))
		}
	}
	return nil
}

// noteJournal writes a group, with the ballast's space when there is no other. The
// journal's mu is held.
func (d *Dir) noteJournal(b []byte, refs map[string]unitRef) error {
	err := d.journal.note(b, refs)
	if errors.Is(err, disk.ErrFull) {
		d.setFull(err)
		d.ballast.Store(false)
		if d.fs.Remove(path.Join(d.path, ballastFile)) == nil {
			err = d.journal.note(b, refs)
		}
	}
	var s *syncError
	if errors.As(err, &s) || err != nil && !errors.Is(err, disk.ErrFull) {
		return d.fail(fmt.Errorf("write the journal: %w", err))
	}
	return err
}

// moveAside takes a log's directory away under another name: for deletion, or to be
// kept as a stray.
func (d *Dir) moveAside(l *Log, why string) error {
	name := l.name()
	l.st.Lock()
	l.units++
	l.st.Unlock()
	l.close()
	// A flush that is under way still finds its files by their names; the next one
	// finds the log closed.
	l.fmu.Lock()
	defer l.fmu.Unlock()
	l.st.Lock()
	made := l.made
	l.st.Unlock()
	if !made { // a log that could not be recovered does not know
		_, err := d.fs.Stat(path.Join(d.path, name))
		made = err == nil
	}
	d.journal.mu.Lock()
	_, known := d.journal.units[name]
	var err error
	if known {
		gone := appendFrame(nil, frameGone, func(b []byte) []byte { return append(b, name...) })
		err = d.noteJournal(gone, map[string]unitRef{name: {}})
	}
	d.journal.mu.Unlock()
	if err != nil || !made {
		return err
	}
	var random [8]byte
	_, _ = rand.Read(random[:])
	aside := path.Join(d.path, name+"."+hex.EncodeToString(random[:])+"-"+why)
	if err := d.fs.Rename(path.Join(d.path, name), aside); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := d.fs.SyncDir(d.path); err != nil {
		return d.fail(fmt.Errorf("fsync directory %s: %w", d.path, err))
	}
	if why == "delete" {
		delay := min(l.opts.Load().FileDeleteDelayMs, maxDelay)
		d.discard(aside, time.Now().Add(time.Duration(delay)*time.Millisecond))
	}
	return nil
}

// isDeleted says that a directory's name is one of moveAside for deletion.
func isDeleted(name string) bool {
	rest, ok := strings.CutSuffix(name, "-delete")
	i := strings.LastIndexByte(rest, '.')
	return ok && i > 0 && len(rest)-i == 17
}

// discard removes a path at a time.
func (d *Dir) discard(name string, at time.Time) {
	d.mu.Lock()
	d.trash = append(d.trash, trash{name, at})
	d.mu.Unlock()
}

// takeOut removes what is due at now; the zero time means everything.
func (d *Dir) takeOut(now time.Time) {
	d.mu.Lock()
	var due []trash
	kept := d.trash[:0]
	for _, t := range d.trash {
		if now.IsZero() || !t.at.After(now) {
			due = append(due, t)
		} else {
			kept = append(kept, t)
		}
	}
	clear(d.trash[len(kept):])
	d.trash = kept
	d.mu.Unlock()
	for _, t := range due {
		if err := d.removeAll(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.opt.Logger.Warn("deleted file could not be removed", "event", "file_not_removed", "path", t.path, "err", err)
		}
	}
}

// removeAll removes a file, or a directory with the files in it.
func (d *Dir) removeAll(name string) error {
	if list, err := d.fs.List(name); err == nil {
		for _, e := range list {
			if err := d.fs.Remove(path.Join(name, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return d.fs.Remove(name)
}

// setFull refuses appends until there is room.
func (d *Dir) setFull(err error) {
	if !d.full.Swap(true) {
		d.metrics.full.Set(1)
		d.opt.Logger.Error("file system is full: appends are refused until there is room", "event", "disk_full", "directory", d.path, "floor_bytes", d.opt.MinFree, "err", err)
	}
}

// lookAtSpace refuses appends below the floor of free space, takes them again above
// it, and keeps the ballast.
func (d *Dir) lookAtSpace() {
	_, free, err := d.fs.Free(d.path)
	if err != nil {
		return
	}
	if d.opt.MinFree > 0 && free < d.opt.MinFree {
		d.setFull(fmt.Errorf("%d bytes are free", free))
		return
	}
	if d.full.Load() {
		if free <= d.opt.MinFree+d.opt.BallastBytes {
			return
		}
		d.full.Store(false)
		d.metrics.full.Set(0)
		d.opt.Logger.Info("file system has room again: appends go on", "event", "disk_room_again", "directory", d.path, "free_bytes", free)
	}
	if d.opt.BallastBytes > 0 && !d.ballast.Load() && free > d.opt.MinFree+2*d.opt.BallastBytes {
		f, err := d.fs.Create(path.Join(d.path, ballastFile))
		d.ballast.Store(err == nil || errors.Is(err, fs.ErrExist))
		if err != nil {
			return
		}
		_ = f.Allocate(0, d.opt.BallastBytes, false) // without fallocate there is no ballast
		_ = f.Close()
	}
}

// opened notes that a sealed segment's file is open, and closes the one that was
// opened first when there are too many.
func (d *Dir) opened(l *Log, s *segment) {
	d.mu.Lock()
	d.sealed = append(d.sealed, sealed{l, s})
	var old sealed
	if len(d.sealed) > d.opt.MaxOpenSealed {
		old = d.sealed[0]
		d.sealed = d.sealed[1:]
	}
	d.mu.Unlock()
	if old.l == nil {
		return
	}
	old.l.st.Lock()
	h := old.s.h
	back := h != nil && old.s.synced < old.s.size // its fsync is still to come
	if back || h == nil {
		h = nil
	} else {
		old.s.h = nil
		if old.s.indexFile {
			old.s.index, old.s.indexed = nil, false
		}
	}
	old.l.st.Unlock()
	if h != nil {
		h.release()
	}
	if back {
		d.mu.Lock()
		d.sealed = append(d.sealed, old)
		d.mu.Unlock()
	}
}
