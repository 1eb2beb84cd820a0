package commitlog

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/record"
)

// Log is one partition's log. It is safe for concurrent use; appends and
// truncations take turns, reads wait for nobody.
//
// Two mutexes guard it, and mu is taken before st. mu is held while an append
// writes to the page cache, so that offsets and bytes have one order. st guards
// what readers see and is held for nanoseconds, never across a system call.
type Log struct {
	d       *Dir
	id      ID
	onFlush func(int64)
	opts    atomic.Pointer[Options]

	mu        sync.Mutex
	prod      producers
	appended  int64 // bytes since the log was opened: how hot it is
	sinceUnit int64 // bytes since the journal knows this log

	// fmu lets one fsync at a time run on this log's files: of two the kernel tells
	// only one that a page was lost. Only flushes take it, and wait under it.
	fmu sync.Mutex

	st        sync.Mutex
	start     int64
	flushed   int64
	end       int64
	hw        int64
	firstOpen int64
	ended     []endedTxn
	eps       epochs
	segs      []*segment // replaced as a whole, the last one is appended to
	tail      *tail
	hints     *hints
	err       error
	onRoll    func()
	gen       uint32 // counts truncations
	units     uint32 // counts changes that make a unit in the making stale
	records   int64  // appended and not flushed
	since     int64  // ms when the oldest of these was appended
	queued    bool   // waits for a flusher
	made      bool   // the directory exists
	durable   bool   // the directory's name is durable
	stale     bool   // the journal should hear of this log
	pending   bool   // the checkpointer has been told
	sealed    bool   // the directory is being stopped: no more appends
	gone      bool
}

// Bounds are the offsets that limit a log, all of one moment.
type Bounds struct {
	// Start is the first offset that may be read.
	Start int64
	// HighWatermark is what SetHighWatermark said last.
	HighWatermark int64
	// Flushed is the offset behind the last record that is known durable.
	Flushed int64
	// End is the offset of the next record.
	End int64
	// FirstUnstable is the first offset of a transaction that has no end below the
	// high watermark, or -1. The last stable offset is the smaller of this and the
	// high watermark.
	FirstUnstable int64
}

// Bounds returns the log's offsets of one moment.
func (l *Log) Bounds() Bounds {
	l.st.Lock()
	defer l.st.Unlock()
	return Bounds{l.start, l.hw, l.flushed, l.end, l.firstUnstable()}
}

func (l *Log) firstUnstable() int64 {
	least := l.firstOpen
	for _, t := range l.ended {
		if least < 0 || t.start < least {
			least = t.start
		}
	}
	return least
}

// ID returns what the log was opened as.
func (l *Log) ID() ID { return l.id }

// Options returns the options in force, with defaults filled in.
func (l *Log) Options() Options { return *l.opts.Load() }

// SetOptions changes the log's options at once, without a restart.
func (l *Log) SetOptions(o Options) {
	l.opts.Store(l.d.intern(o))
	if o.Compact {
		l.d.saidCompact(l)
	}
	if o.FlushBeforeAck {
		l.RequestFlush()
	}
}

// HighWatermark returns what SetHighWatermark said last, or what the journal
// remembers.
func (l *Log) HighWatermark() int64 {
	l.st.Lock()
	defer l.st.Unlock()
	return l.hw
}

// SetHighWatermark remembers the high watermark, for the journal and as the bound
// of retention and truncation. It never moves back and never beyond the end.
func (l *Log) SetHighWatermark(hw int64) {
	l.st.Lock()
	defer l.st.Unlock()
	l.raise(hw)
}

func (l *Log) raise(hw int64) {
	if hw = min(hw, l.end); hw <= l.hw {
		return
	}
	l.hw = hw
	l.stale = true
	for len(l.ended) > 0 && l.ended[0].marker < hw {
		l.ended = l.ended[1:]
		if len(l.ended) == 0 {
			l.ended = nil
		}
	}
}

// EpochAt returns the leader epoch of the record at offset, or -1.
func (l *Log) EpochAt(offset int64) int32 {
	l.st.Lock()
	defer l.st.Unlock()
	return l.eps.at(offset)
}

// LastEpoch returns the newest leader epoch in the log's history, or -1.
func (l *Log) LastEpoch() int32 {
	l.st.Lock()
	defer l.st.Unlock()
	return l.eps.last()
}

// EndOffsetFor returns the greatest epoch in the history that is not above epoch,
// and the offset behind its last record; -1, -1 when the log knows nothing of it
// (KIP-101, KIP-279, KIP-595).
func (l *Log) EndOffsetFor(epoch int32) (foundEpoch int32, end int64) {
	l.st.Lock()
	defer l.st.Unlock()
	return l.eps.endOf(epoch, l.end)
}

// StartEpoch notes that epoch begins at the log's end: a new leader does this
// before its first append (KAFKA-7415). An epoch that is known changes nothing.
func (l *Log) StartEpoch(epoch int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Failed(); err != nil {
		return err
	}
	l.st.Lock()
	l.eps = l.eps.note(epoch, l.end)
	l.stale = true
	l.st.Unlock()
	return nil
}

// Producers returns the state of every producer that the log knows, by id.
func (l *Log) Producers() []ProducerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.prod.list()
}

// ExpireProducers forgets producers that have been silent for longer than
// Options.ProducerExpirationMs and have no open transaction.
func (l *Log) ExpireProducers(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.prod.m) > 0 {
		l.prod.expire(now.UnixMilli(), l.opts.Load().ProducerExpirationMs)
	}
}

// Size returns the bytes of the log's segments.
func (l *Log) Size() int64 {
	l.st.Lock()
	defer l.st.Unlock()
	return l.size()
}

func (l *Log) size() int64 {
	n := int64(0)
	for _, s := range l.segs {
		n += s.size
	}
	return n
}

// SegmentInfo describes one segment.
type SegmentInfo struct {
	// Base and End are the first offset and the one behind the last.
	Base, End int64
	// Size is in bytes.
	Size int64
	// MaxTimestamp is the greatest timestamp of its batches in ms, or -1.
	MaxTimestamp int64
	// Path is the file.
	Path string
}

// Segments describes the log's segments, oldest first.
func (l *Log) Segments() []SegmentInfo {
	l.st.Lock()
	defer l.st.Unlock()
	out := make([]SegmentInfo, len(l.segs))
	for i, s := range l.segs {
		out[i] = SegmentInfo{s.base, l.endOf(l.segs, i), s.size, s.greatest.time, l.path(segmentName(s.base))}
	}
	return out
}

// endOf returns the offset behind segment i.
func (l *Log) endOf(segs []*segment, i int) int64 {
	if i+1 < len(segs) {
		return segs[i+1].base
	}
	return l.end
}

// OnRoll sets a function that is called without locks after a new segment was
// begun, by the goroutine that appended.
func (l *Log) OnRoll(f func()) {
	l.st.Lock()
	defer l.st.Unlock()
	l.onRoll = f
}

// Failed returns why the log takes nothing any more, or nil. It is a
// KAFKA_STORAGE_ERROR.
func (l *Log) Failed() error {
	if err := l.d.Err(); err != nil {
		return storageError(err)
	}
	l.st.Lock()
	defer l.st.Unlock()
	if l.err != nil {
		return storageError(l.err)
	}
	if l.gone {
		return code.Errorf(code.KafkaStorageError, "log %s is closed", l.name())
	}
	return nil
}

// deleted says that the log was closed, or deleted, and has no files under its name any more.
func (l *Log) deleted() bool {
	l.st.Lock()
	defer l.st.Unlock()
	return l.gone
}

// fail takes the log offline: its bytes on disk are not what they have to be.
func (l *Log) fail(err error) error {
	l.st.Lock()
	first := l.err == nil
	if first {
		l.err = err
	}
	l.st.Unlock()
	if first {
		l.logger().Error("log is offline", "event", "log_offline", "err", err)
	}
	return storageError(err)
}

func storageError(err error) error {
	if code.Of(err) == code.KafkaStorageError {
		return err
	}
	return fmt.Errorf("%w: %w", code.KafkaStorageError, err)
}

func (l *Log) logger() *slog.Logger {
	return l.d.opt.Logger.With("topic", l.id.Topic, "partition", l.id.Partition)
}

func (id ID) dir() string { return id.Topic + "-" + strconv.Itoa(int(id.Partition)) }

func (l *Log) name() string { return l.id.dir() }

func (l *Log) path(name string) string { return path.Join(l.d.path, l.id.dir(), name) }

// ensure makes the partition's directory and first segment. mu is held.
func (l *Log) ensure() (*segment, error) {
	l.st.Lock()
	segs, end, made := l.segs, l.end, l.made
	l.st.Unlock()
	if len(segs) > 0 {
		s := segs[len(segs)-1]
		return s, l.open(s)
	}
	if !made {
		if err := l.d.fs.MkdirAll(l.path("")); err != nil {
			return nil, err
		}
		l.st.Lock()
		l.made = true
		l.st.Unlock()
	}
	return l.begin(end)
}

// begin makes a new last segment at base. mu is held.
func (l *Log) begin(base int64) (*segment, error) {
	f, err := l.d.fs.Create(l.path(segmentName(base)))
	if err != nil {
		return nil, err
	}
	s := newSegment(base)
	s.indexed, s.h = true, newHandle(f)
	o := l.opts.Load()
	if o.SegmentJitterMs > 0 {
		s.jitter = rand.Int64N(o.SegmentJitterMs + 1)
	}
	if o.Preallocate || o.Reserved {
		// The topic asks for it, or has to go on when the disk is full; if there is no
		// room the write will say so.
		n := o.SegmentBytes
		if !o.Preallocate {
			n = min(n, l.d.opt.ReserveBytes)
		}
		if n > 0 && f.Allocate(0, n, false) == nil {
			s.alloc = n
		}
	}
	l.st.Lock()
	l.segs = append(l.segs[:len(l.segs):len(l.segs)], s)
	l.st.Unlock()
	return s, nil
}

// open makes sure that the segment's file is open.
func (l *Log) open(s *segment) error {
	h, err := l.acquire(s)
	if err == nil {
		h.release()
	}
	return err
}

// acquire returns the segment's open file with a reference for the caller.
func (l *Log) acquire(s *segment) (*handle, error) {
	l.st.Lock()
	if h := s.h; h != nil {
		h.refs.Add(1)
		l.st.Unlock()
		return h, nil
	}
	l.st.Unlock()
	f, err := l.d.fs.Open(l.path(segmentName(s.base)))
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, err
	}
	h := newHandle(f)
	l.st.Lock()
	if s.h != nil { // another one was faster
		other := s.h
		other.refs.Add(1)
		l.st.Unlock()
		h.release()
		return other, nil
	}
	if size < s.size {
		want := s.size
		l.st.Unlock()
		h.release()
		return nil, l.fail(fmt.Errorf("segment %s has %d bytes and the journal knows of %d; bytes that were durable are gone: restore the file, or delete the partition's directory to copy it from another replica",
			l.path(segmentName(s.base)), size, want))
	}
	h.refs.Add(1)
	s.h = h
	s.alloc = max(s.alloc, size)
	sealed := len(l.segs) > 0 && l.segs[len(l.segs)-1] != s
	l.st.Unlock()
	if sealed {
		l.d.opened(l, s)
	}
	return h, nil
}

// codecs for the few who look into batches: lookups by time.
func (l *Log) codecs() *record.Codecs { return l.d.codecs }
