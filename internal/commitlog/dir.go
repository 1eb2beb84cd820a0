package commitlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

// DirOptions tune a log directory. The zero value is good for a broker.
type DirOptions struct {
	// Logger hears of what happens to the directory; nil means slog.Default.
	Logger *slog.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
	// ClusterID and NodeID are whose directory it has to be; an empty ClusterID asks
	// for nothing.
	ClusterID string
	NodeID    int32
	// Flushers is how many fsyncs may be under way at once; 0 means 4.
	Flushers int
	// SyncAllMin is from how many dirty logs on one syncfs takes the place of an
	// fdatasync each; 0 means 8. Measured on ext4 with 4 KB dirty in each log, in us
	// for one round by syncfs and by four fdatasyncs at a time: 1 log 155 and 124, 4
	// logs 204 and 390, 8 logs 377 and 527, 16 logs 373 and 1,093, 128 logs 1,719 and
	// 14,804, 500 logs 27,814 and 47,081 (BenchmarkDirtyLogs).
	SyncAllMin int
	// TailCache keeps what is read at the ends of logs; nil for one of 16 MiB.
	TailCache *TailCache
	// CheckpointBytes is how much is appended to a log before the journal hears of it,
	// and about what has to be read again after a crash; 0 means 64 MiB. For logs of the
	// page-cache class it is four times as much.
	CheckpointBytes int64
	// MinFree is the floor of free bytes below which appends are refused; 0 means
	// 64 MiB, or 1 % of a smaller file system; negative for none.
	MinFree int64
	// BallastBytes is a file that is removed when the disk is full, so that the journal
	// can still be written; 0 means 4 MiB, negative for none.
	BallastBytes int64
	// ReserveBytes is what a Reserved log allocates with each segment; 0 means 1 MiB,
	// negative for none.
	ReserveBytes int64
	// RetentionCheckInterval is how often retention looks; 0 means 5 minutes
	// (log.retention.check.interval.ms).
	RetentionCheckInterval time.Duration
	// MaxOpenSealed is how many sealed segments are held open for readers; 0 means 512.
	MaxOpenSealed int
	// NoPreallocation keeps files exactly as long as their batches.
	NoPreallocation bool

	hooks hooks
	hot   int64 // bytes appended from which on a log is hot; 0 means 16 KiB
}

// hooks are mistakes that tests switch on to see that the crash suite finds them.
type hooks struct {
	ackBeforeSync, noDirSync, noCRC, retrySync, keepHalf bool
}

func (h hooks) any() bool { return h != hooks{} }

// Dir is one log directory: it holds the lock, the journal and the logs, and Run
// their goroutines.
type Dir struct {
	fs      disk.FS
	path    string
	opt     DirOptions
	meta    Meta
	lock    disk.Unlocker
	journal *journal
	metrics *metrics
	cache   *TailCache
	codecs  *record.Codecs
	hooks   hooks

	flushes   flushQueue
	scratch   sync.Pool
	buffers   buffers
	failure   atomic.Pointer[error]
	full      atomic.Bool
	noAlloc   atomic.Bool
	noSyncAll atomic.Bool
	// syncAllFrom is the time in ns before which syncfs is not tried again.
	syncAllFrom atomic.Int64
	wake        chan struct{} // something for maintenance
	failed      chan struct{}

	mu      sync.Mutex
	logs    map[string]*Log
	options map[Options]*Options
	found   map[string]*Log // recovered at start and not opened yet
	due     []*Log          // for the checkpointer
	trash   []trash
	sealed  []sealed // sealed segments with open files, oldest first
	clean   bool     // the journal tells everything
	compact bool     // it was said that compaction keeps everything
	closed  bool
	ballast atomic.Bool // the ballast is there
	timed   atomic.Bool // some log has flush.ms
}

// trash is a file or directory to remove at a time.
type trash struct {
	path string
	at   time.Time
}

type sealed struct {
	l *Log
	s *segment
}

const (
	lockFile    = ".lock"
	ballastFile = "klamm.ballast"
)

// OpenDir locks a log directory that InitDir has made, and reads its journal. When
// the directory was not stopped clean it recovers every log that it finds, several
// at a time. It refuses a directory that is locked (naming the process), of another
// cluster or node, of a newer format, or of Apache Kafka, and touches nothing in it.
//
// Logs work before Run, except that nothing is flushed by itself.
func OpenDir(f disk.FS, dir string, o DirOptions) (*Dir, error) {
	o = o.normal()
	meta, err := ReadMeta(f, dir)
	if err != nil {
		return nil, err
	}
	if o.ClusterID != "" && o.ClusterID != meta.ClusterID {
		return nil, fmt.Errorf("%w: %s belongs to cluster %s and this node is of cluster %s", ErrForeign, dir, meta.ClusterID, o.ClusterID)
	}
	if o.ClusterID != "" && o.NodeID != meta.NodeID {
		return nil, fmt.Errorf("%w: %s belongs to node %d and this is node %d", ErrForeign, dir, meta.NodeID, o.NodeID)
	}
	lock, err := f.Lock(path.Join(dir, lockFile))
	if err != nil {
		return nil, err
	}
	d := &Dir{fs: f, path: dir, opt: o, meta: meta, lock: lock, cache: o.TailCache, hooks: o.hooks,
		logs: map[string]*Log{}, options: map[Options]*Options{}, found: map[string]*Log{},
		wake: make(chan struct{}, 1), failed: make(chan struct{}), codecs: record.NewCodecs(1)}
	d.metrics = newMetrics(dir)
	d.flushes.cond.L = &d.flushes.mu
	d.scratch.New = func() any { return &scratch{} }
	if err = d.metrics.register(o.Registerer); err == nil {
		if d.journal, d.clean, err = openJournal(f, dir); err == nil {
			err = d.begin()
		}
	}
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("open log directory %s: %w", dir, err)
	}
	return d, nil
}

func (o DirOptions) normal() DirOptions {
	def := func(v *int64, to int64) {
		if *v == 0 {
			*v = to
		}
		*v = max(*v, 0)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Flushers <= 0 {
		o.Flushers = 4
	}
	if o.SyncAllMin <= 0 {
		o.SyncAllMin = 8
	}
	if o.TailCache == nil {
		o.TailCache = NewTailCache(16 << 20)
	}
	def(&o.CheckpointBytes, 64<<20)
	def(&o.BallastBytes, 4<<20)
	def(&o.ReserveBytes, 1<<20)
	def(&o.hot, 16<<10)
	if o.RetentionCheckInterval <= 0 {
		o.RetentionCheckInterval = 5 * time.Minute
	}
	if o.MaxOpenSealed <= 0 {
		o.MaxOpenSealed = 512
	}
	return o
}

// begin removes what was being deleted, recovers, and makes the reserve.
func (d *Dir) begin() error {
	if d.opt.MinFree == 0 {
		total, _, err := d.fs.Free(d.path)
		if err != nil {
			return err
		}
		d.opt.MinFree = min(64<<20, total/100)
	}
	if !d.clean {
		list, err := d.fs.List(d.path)
		if err != nil {
			return err
		}
		var ids []ID
		for _, e := range list {
			if !e.IsDir() {
				continue
			}
			if isDeleted(e.Name()) {
				d.trash = append(d.trash, trash{path.Join(d.path, e.Name()), time.Now()})
			} else if id, ok := parseDir(e.Name()); ok {
				ids = append(ids, id)
			}
		}
		seen := map[string]bool{}
		for _, id := range ids {
			seen[id.dir()] = true
		}
		for name := range d.journal.units {
			if id, ok := parseDir(name); ok && !seen[name] {
				ids = append(ids, id)
			}
		}
		if err := d.recoverAll(ids); err != nil {
			return err
		}
	}
	d.lookAtSpace()
	return nil
}

// recoverAll recovers logs side by side. A log that cannot be is offline; the others
// go on.
func (d *Dir) recoverAll(ids []ID) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	next := 0
	began := time.Now()
	for range min(len(ids), 2*runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				mu.Lock()
				if next == len(ids) {
					mu.Unlock()
					return
				}
				id := ids[next]
				next++
				mu.Unlock()
				l := d.newLog(id)
				u, err := d.journal.unit(id.dir())
				if err == nil {
					if u != nil {
						l.id = u.id
					}
					err = l.recover(u)
				}
				if err != nil {
					l.fail(fmt.Errorf("recover %s: %w", id.dir(), err))
				}
				mu.Lock()
				d.found[id.dir()] = l
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(ids) > 0 {
		d.opt.Logger.Info("logs recovered after an unclean stop", "event", "logs_recovered", "directory", d.path, "logs", len(ids), "took", time.Since(began))
	}
	return d.Err()
}

func (d *Dir) newLog(id ID) *Log {
	l := &Log{d: d, id: id, firstOpen: -1}
	l.opts.Store(d.intern(Options{}))
	return l
}

// intern returns one copy of equal options for all logs.
func (d *Dir) intern(o Options) *Options {
	o = o.normal()
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.options[o]; p != nil {
		return p
	}
	if len(d.options) > 1000 { // of topics that have changed since
		clear(d.options)
	}
	if o.FlushMs != math.MaxInt64 {
		d.timed.Store(true)
	}
	p := &o
	d.options[o] = p
	return p
}

// saidCompact says once that compaction keeps everything.
func (d *Dir) saidCompact(l *Log) {
	d.mu.Lock()
	said := d.compact
	d.compact = true
	d.mu.Unlock()
	if !said {
		l.logger().Warn("cleanup.policy=compact keeps every record: this version has no log cleaner yet", "event", "compaction_missing")
	}
}

// Meta returns what meta.properties says.
func (d *Dir) Meta() Meta { return d.meta }

// Path returns the directory.
func (d *Dir) Path() string { return d.path }

// Err returns why the directory has stopped, or nil. All its logs answer
// KAFKA_STORAGE_ERROR then.
func (d *Dir) Err() error {
	if e := d.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// fail stops the directory for good and returns its first error.
func (d *Dir) fail(err error) error {
	if d.failure.CompareAndSwap(nil, &err) {
		d.opt.Logger.Error("log directory has failed and takes nothing any more", "event", "log_dir_failed", "directory", d.path, "err", err)
		close(d.failed)
	}
	return storageError(d.Err())
}

// Usage returns the bytes of the directory's file system and how many are free.
func (d *Dir) Usage() (total, free int64) {
	total, free, err := d.fs.Free(d.path)
	if err != nil {
		return -1, -1
	}
	return total, free
}

// Found returns the partitions that the journal or the directory know of, opened or
// not. Their topic ids are zero where nothing tells them. Found logs that nobody
// opens stay as they are.
func (d *Dir) Found() []ID {
	seen := map[string]ID{}
	d.journal.mu.Lock()
	for name := range d.journal.units {
		if id, ok := parseDir(name); ok {
			seen[name] = id
		}
	}
	d.journal.mu.Unlock()
	if list, err := d.fs.List(d.path); err == nil {
		for _, e := range list {
			if id, ok := parseDir(e.Name()); ok && e.IsDir() {
				seen[e.Name()] = id
			}
		}
	}
	var out []ID
	for name, id := range seen {
		d.mu.Lock()
		l := d.logs[name]
		if l == nil {
			l = d.found[name]
		}
		d.mu.Unlock()
		if l != nil {
			id = l.id
		} else if u, err := d.journal.unit(name); err == nil && u != nil {
			id = u.id
		}
		out = append(out, id)
	}
	return out
}

// Has says whether the log of a partition is open, or has files or a unit in the
// journal.
func (d *Dir) Has(id ID) bool {
	name := id.dir()
	d.mu.Lock()
	known := d.logs[name] != nil || d.found[name] != nil
	d.mu.Unlock()
	if known {
		return true
	}
	d.journal.mu.Lock()
	_, known = d.journal.units[name]
	d.journal.mu.Unlock()
	return known
}

// Len is the number of open logs.
func (d *Dir) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.logs)
}

// ErrOpen is returned by Open for a partition that is open.
var ErrOpen = errors.New("the log is open already")

// Open returns the log of a partition. Nothing is made on disk before the first
// append. onFlush, which may be nil, is called without locks whenever the flushed
// end has moved, with that end; calls for one log may overlap. Files that were
// written under another topic id are put aside first. A log that could not be
// recovered is a KAFKA_STORAGE_ERROR, and Delete removes it.
func (d *Dir) Open(id ID, o Options, onFlush func(flushedEnd int64)) (*Log, error) {
	if err := d.Err(); err != nil {
		return nil, storageError(err)
	}
	if p, ok := parseDir(id.dir()); !ok || p.Topic != id.Topic {
		return nil, fmt.Errorf("open log: %q partition %d names no directory", id.Topic, id.Partition)
	}
	name := id.dir()
	opts := d.intern(o)
	d.mu.Lock()
	if d.logs[name] != nil {
		d.mu.Unlock()
		return nil, fmt.Errorf("%w: %s", ErrOpen, name)
	}
	l := d.found[name]
	delete(d.found, name)
	d.mu.Unlock()
	if l == nil {
		l = d.newLog(id)
		u, err := d.journal.unit(name)
		if err != nil {
			return nil, storageError(err)
		}
		if u != nil {
			l.id = u.id
			l.adopt(u)
		}
	}
	if l.err != nil {
		d.mu.Lock()
		d.found[name] = l // so that Delete finds it
		d.mu.Unlock()
		return nil, storageError(l.err)
	}
	if l.id.TopicID != id.TopicID && l.id.TopicID != ([16]byte{}) && id.TopicID != ([16]byte{}) {
		l.logger().Warn("directory belongs to a deleted topic of the same name and is put aside", "event", "stray_directory", "topic_id", l.id.TopicID, "new_topic_id", id.TopicID)
		if err := d.moveAside(l, "stray"); err != nil {
			return nil, storageError(err)
		}
		l = d.newLog(id)
	}
	l.id.Topic, l.id.Partition = id.Topic, id.Partition
	if id.TopicID != ([16]byte{}) {
		l.id.TopicID = id.TopicID
	}
	l.opts.Store(opts)
	l.onFlush = onFlush
	if o.Compact {
		d.saidCompact(l)
	}
	d.mu.Lock()
	d.logs[name] = l
	d.mu.Unlock()
	l.RequestFlush() // what was recovered and is perhaps not durable
	return l, nil
}

// all returns the open logs.
func (d *Dir) all() iter.Seq[*Log] {
	d.mu.Lock()
	logs := make([]*Log, 0, len(d.logs))
	for _, l := range d.logs {
		logs = append(logs, l)
	}
	d.mu.Unlock()
	return func(yield func(*Log) bool) {
		for _, l := range logs {
			if !yield(l) {
				return
			}
		}
	}
}

// Delete removes a partition's log, open or not. The journal forgets it, its
// directory gets another name at once, and goes after Options.FileDeleteDelayMs. A
// partition that is not there is no error.
func (d *Dir) Delete(id ID) error {
	name := id.dir()
	d.mu.Lock()
	l := d.logs[name]
	if l == nil {
		l = d.found[name]
	}
	delete(d.logs, name)
	delete(d.found, name)
	d.mu.Unlock()
	if l == nil {
		l = d.newLog(id)
		u, err := d.journal.unit(name)
		if err != nil {
			return storageError(err)
		}
		l.made = u != nil && len(u.segs) > 0
	}
	if err := d.moveAside(l, "delete"); err != nil {
		return storageError(fmt.Errorf("delete %s: %w", name, err))
	}
	return nil
}

// Close gives the directory back without marking it clean: for those who do not Run.
func (d *Dir) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	logs := make([]*Log, 0, len(d.logs)+len(d.found))
	for _, l := range d.logs {
		logs = append(logs, l)
	}
	for _, l := range d.found {
		logs = append(logs, l)
	}
	d.mu.Unlock()
	for _, l := range logs {
		l.close()
	}
	if d.journal != nil && d.journal.f != nil {
		d.journal.f.Close()
	}
	d.metrics.unregister()
	return d.lock.Unlock()
}

// close lets go of the log's files; it answers nothing any more.
func (l *Log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropTail(false)
	l.st.Lock()
	l.gone = true
	var open []*handle
	for _, s := range l.segs {
		if s.h != nil {
			open = append(open, s.h)
			s.h = nil
		}
	}
	l.st.Unlock()
	for _, h := range open {
		h.release()
	}
}

// Run does the directory's work until ctx ends: group commits, checkpoints,
// retention, deletion. Then it flushes everything, writes the journal, marks the
// directory clean and closes it. It returns the storage error that stopped the
// directory, at once when that happens, or nil.
func (d *Dir) Run(ctx context.Context) error {
	var flushers, others sync.WaitGroup
	for range d.opt.Flushers {
		flushers.Go(d.flusher)
	}
	inner, cancel := context.WithCancel(ctx)
	others.Go(func() { d.maintain(inner) })
	select {
	case <-ctx.Done():
	case <-d.failed:
	}
	cancel()
	others.Wait()
	d.flushes.shut()
	flushers.Wait()
	err := d.Err()
	if err == nil {
		err = d.stop()
	}
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// stop makes everything durable and marks the directory clean.
func (d *Dir) stop() error {
	d.takeOut(time.Time{})
	var logs []*Log
	whole := true
	d.mu.Lock()
	for _, l := range d.logs {
		logs = append(logs, l)
	}
	for _, l := range d.found {
		logs = append(logs, l)
	}
	d.mu.Unlock()
	var stale []*Log
	for _, l := range logs {
		l.seal()
		l.st.Lock()
		if l.err != nil {
			whole = false // it has to be looked at again
		} else if l.stale && (l.made || l.start > 0) {
			stale = append(stale, l)
		}
		l.st.Unlock()
	}
	if len(stale) >= d.opt.SyncAllMin {
		d.flushAll(&group{logs: stale}) // what it cannot do, the checkpoint does one by one
	}
	if err := d.checkpointNow(stale); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	d.journal.mu.Lock()
	defer d.journal.mu.Unlock()
	if err := d.journal.append(appendFrame(nil, frameClean, nil)); err != nil {
		return fmt.Errorf("mark %s clean: %w", d.path, err)
	}
	return nil
}

// seal lets no append in any more, cuts off space that was made ready, and writes
// the indexes.
func (l *Log) seal() {
	l.mu.Lock()
	l.st.Lock()
	l.sealed = true
	l.st.Unlock()
	if n := len(l.segs); n > 0 {
		if s := l.segs[n-1]; s.alloc > s.size && s.h != nil && s.h.f.Truncate(s.size) == nil {
			s.alloc = s.size
		}
	}
	l.mu.Unlock()
	l.writeIndexes(true)
}
