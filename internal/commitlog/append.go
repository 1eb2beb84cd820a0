package commitlog

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

// Entry is what one request appends to a log.
type Entry struct {
	// Records holds one or more v2 batches whose bytes have been checked. Append
	// writes base offset and leader epoch into them.
	Records []byte
	// Client says that a producer sent them: sequence numbers and size are checked.
	Client bool

	// BaseOffset and LastOffset are what Append gave the first and the last record;
	// for a duplicate what the original got.
	BaseOffset, LastOffset int64
	// AppendTime is the time that the broker gave the records in ms, or -1.
	AppendTime int64
	// Duplicate says that the records are in the log already and were not written.
	Duplicate bool
	// Err is why this entry was not appended; others are not touched by it.
	Err error
}

// Steps by which space is made ready at the end of a hot log.
const (
	// zeroStep is written with zeros ahead of small durable appends, so that their
	// fdatasync changes no metadata and needs no journal commit of the file system:
	// 4 KB appends at 110 us instead of 220 us, 16 logs at 36,000 fsyncs a second
	// instead of 18,000. From smallAppend on it costs more than it saves.
	zeroStep    = 256 << 10
	smallAppend = 64 << 10
	// allocStep is what fallocate reserves ahead of the others.
	allocStep = 8 << 20
	// copyPieces is the size up to which many pieces are copied into one buffer for
	// one write instead of being handed over as a vector.
	copyPieces = 64 << 10
)

var zeros [zeroStep]byte

// scratch is what an append needs for its time; a Dir keeps some.
type scratch struct {
	pieces [][]byte
	buf    []byte
	undo   []undo
	run    []*Entry
}

// Append gives the entries' records the next offsets and the leader's epoch, and
// writes them with one call. Entries that are refused carry their own Err. A
// returned error is a storage failure or a full disk (KAFKA_STORAGE_ERROR): then
// every entry that was not written before it carries it too. The records are in
// the page cache when it returns, and durable when Bounds.Flushed has passed them;
// a log of the durable class has scheduled that.
//
// It allocates nothing. The entries and their bytes are the caller's again.
func (l *Log) Append(entries []*Entry, epoch int32, now time.Time) error {
	if err := l.refuses(); err != nil {
		for _, e := range entries {
			e.Err = err
		}
		return err
	}
	o := l.opts.Load()
	sc := l.d.scratch.Get().(*scratch)
	l.mu.Lock()
	a := appending{l: l, o: o, sc: sc, epoch: epoch, now: now.UnixMilli()}
	err := a.all(entries)
	l.mu.Unlock()
	sc.reset()
	l.d.scratch.Put(sc)
	if err != nil {
		for _, e := range entries {
			if e.LastOffset < 0 && e.Err == nil {
				e.Err = err
			}
		}
	}
	if ferr := a.finish(); err == nil {
		err = ferr
	}
	return err
}

func (sc *scratch) reset() {
	clear(sc.pieces)
	clear(sc.undo)
	clear(sc.run)
	sc.pieces, sc.undo, sc.run = sc.pieces[:0], sc.undo[:0], sc.run[:0]
}

// refuses says why the log takes no appends now: it failed, or the disk is full.
func (l *Log) refuses() error {
	if err := l.Failed(); err != nil {
		return err
	}
	if l.d.full.Load() && !l.opts.Load().Reserved {
		return errFull
	}
	return nil
}

// shut says that the directory is being stopped. mu is held.
func (l *Log) shut() error {
	l.st.Lock()
	defer l.st.Unlock()
	if l.sealed || l.gone {
		return code.Errorf(code.KafkaStorageError, "log %s is being closed", l.name())
	}
	return nil
}

// errFull is shared, so that a full disk costs nothing.
var errFull = code.Errorf(code.KafkaStorageError, "the log directory's file system is full; delete data, shorten retention or add space, and appends go on by themselves")

// appending is one call of Append while it runs. The log's mu is held.
type appending struct {
	l      *Log
	o      *Options
	sc     *scratch
	epoch  int32
	now    int64
	next   int64 // offset of the next record
	bytes  int   // of the run
	from   int64 // first offset of the run
	wrote  int64 // bytes of all runs
	rolled bool
	flush  bool // Options.FlushMessages is reached
	due    bool // the journal should know of what was written
}

func (a *appending) all(entries []*Entry) error {
	for _, e := range entries {
		e.Err, e.Duplicate, e.BaseOffset, e.LastOffset, e.AppendTime = nil, false, -1, -1, -1
	}
	if err := a.l.shut(); err != nil {
		return err
	}
	a.next = a.l.end // only appends move it, under mu
	a.from = a.next
	for _, e := range entries {
		mark, next := len(a.sc.undo), a.next
		first, ok := a.prepare(e)
		if !ok {
			a.l.prod.revert(a.sc.undo[mark:])
			a.sc.undo, a.next = a.sc.undo[:mark], next
			continue
		}
		if a.must(e, first) {
			// The entry opens a segment. What came before it goes out first, so it is
			// taken out of the state and back in.
			a.l.prod.revert(a.sc.undo[mark:])
			a.sc.undo, a.next = a.sc.undo[:mark], next
			err := a.write()
			if err == nil {
				err = a.roll(next)
			}
			if err != nil {
				a.l.prod.revert(a.sc.undo)
				return err
			}
			a.prepare(e)
		}
		a.sc.pieces = append(a.sc.pieces, e.Records)
		a.sc.run = append(a.sc.run, e)
		a.bytes += len(e.Records)
	}
	if err := a.write(); err != nil {
		a.l.prod.revert(a.sc.undo)
		return err
	}
	return nil
}

// prepare assigns offsets in the entry's bytes and takes its batches into the
// producer state. ok is false when it is not to be written. first is the first
// batch.
func (a *appending) prepare(e *Entry) (first record.Batch, ok bool) {
	base := a.next
	for rest := e.Records; ; {
		var b record.Batch
		var err error
		b, rest, err = record.Next(rest)
		if err != nil {
			e.Err = err
			if errors.Is(err, record.ErrShort) {
				e.Err = code.Errorf(code.CorruptMessage, "the %d bytes for %s do not end with a whole batch", len(e.Records), a.l.name())
			}
			return nil, false
		}
		if b.LastOffsetDelta() < 0 {
			e.Err = code.Errorf(code.CorruptMessage, "batch for %s has last offset delta %d", a.l.name(), b.LastOffsetDelta())
			return nil, false
		}
		if e.Client {
			if a.o.MaxMessageBytes > 0 && len(b) > a.o.MaxMessageBytes {
				e.Err = code.Errorf(code.MessageTooLarge, "a batch of %d bytes for %s is above max.message.bytes of %d", len(b), a.l.name(), a.o.MaxMessageBytes)
				return nil, false
			}
			if b.ProducerID() >= 0 {
				dup, err := a.l.prod.check(b)
				if err != nil {
					e.Err = err
					return nil, false
				}
				if dup != nil {
					e.Duplicate, e.BaseOffset, e.LastOffset = true, dup.offset-int64(dup.delta), dup.offset
					return nil, false
				}
			}
		}
		b.SetBaseOffset(a.next)
		b.SetLeaderEpoch(a.epoch)
		if b.ProducerID() >= 0 {
			a.l.prod.apply(b, a.now, &a.sc.undo)
		}
		if first == nil {
			first = b
		}
		a.next += int64(b.LastOffsetDelta()) + 1
		if len(rest) == 0 {
			break
		}
	}
	if int64(len(e.Records)) > a.o.SegmentBytes {
		e.Err = code.Errorf(code.RecordListTooLarge, "%d bytes for %s are above segment.bytes of %d", len(e.Records), a.l.name(), a.o.SegmentBytes)
		return nil, false
	}
	e.BaseOffset = base
	if first.TimestampType() == record.LogAppendTime {
		e.AppendTime = first.MaxTimestamp()
	}
	return first, true
}

// must says whether the entry has to begin a new segment, first being its first
// batch.
func (a *appending) must(e *Entry, first record.Batch) bool {
	segs := a.l.segs
	if len(segs) == 0 {
		return false
	}
	return a.l.mustRoll(segs[len(segs)-1], a.o, int64(a.bytes), int64(len(e.Records)), a.next-1, first.MaxTimestamp(), a.now)
}

// mustRoll is Kafka's rule: size, age by the batches' own time, and offsets that
// an index entry could not hold (KAFKA-5413). pending bytes come before the n that
// are asked for. mu is held.
func (l *Log) mustRoll(s *segment, o *Options, pending, n, last, time, now int64) bool {
	if s.size+pending == 0 {
		return false
	}
	if s.size+pending+n > o.SegmentBytes || last-s.base > math.MaxInt32 {
		return true
	}
	if o.SegmentMs == math.MaxInt64 || s.size == 0 {
		return false
	}
	age := now - s.appended
	if s.firstTime >= 0 {
		age = time - s.firstTime
	}
	return age > o.SegmentMs-min(s.jitter, o.SegmentMs)
}

// write puts the run behind the last segment and publishes it.
func (a *appending) write() error {
	if len(a.sc.pieces) == 0 {
		return nil
	}
	l := a.l
	s, err := l.ensure()
	if err == nil {
		err = l.put(s, a.sc.pieces, a.bytes, a.o, &a.sc.buf)
	}
	if err != nil {
		for _, e := range a.sc.run {
			e.BaseOffset, e.LastOffset = -1, -1
		}
		return l.wrote(err)
	}
	l.cacheAppend(a.sc.pieces, a.bytes, a.from, a.next)
	l.st.Lock()
	l.eps = l.eps.note(a.epoch, a.from)
	l.publish(s, a.sc.pieces, a.now, a.next)
	if l.records == 0 {
		l.since = a.now
	}
	l.records += a.next - a.from
	a.flush = l.records >= a.o.FlushMessages
	l.st.Unlock()
	for i, e := range a.sc.run {
		end := a.next
		if i+1 < len(a.sc.run) {
			end = a.sc.run[i+1].BaseOffset
		}
		e.LastOffset = end - 1
	}
	a.wrote += int64(a.bytes)
	l.appended += int64(a.bytes)
	l.sinceUnit += int64(a.bytes)
	a.due = a.due || l.sinceUnit >= l.checkpointStep(a.o)
	a.sc.undo = a.sc.undo[:0]
	a.sc.pieces, a.sc.run = a.sc.pieces[:0], a.sc.run[:0]
	a.from, a.bytes = a.next, 0
	return nil
}

// publish makes written batches visible. mu and st are held.
func (l *Log) publish(s *segment, pieces [][]byte, now, end int64) {
	interval := l.opts.Load().IndexIntervalBytes
	pos := s.size
	for _, p := range pieces {
		for len(p) > 0 {
			b := record.Batch(p)
			n := b.Size()
			s.note(pos, b.BaseOffset(), b.MaxTimestamp(), interval)
			pos += int64(n)
			p = p[n:]
		}
	}
	s.size, s.appended = pos, now
	l.end = end
	l.stale = true
	if len(l.prod.ended) > 0 {
		l.ended = append(l.ended, l.prod.ended...)
		l.prod.ended = l.prod.ended[:0]
	}
	if l.prod.open > 0 || l.firstOpen >= 0 {
		l.firstOpen = l.prod.firstOpen()
	}
}

// put writes the pieces behind the segment's last batch. When it fails nothing of
// them is left, or the log is offline. mu is held.
func (l *Log) put(s *segment, pieces [][]byte, n int, o *Options, buf *[]byte) error {
	f := s.h.f
	l.makeRoom(s, n, o)
	var done int
	var err error
	switch {
	case len(pieces) == 1:
		done, err = f.WriteAt(pieces[0], s.size)
	case n <= copyPieces:
		b := (*buf)[:0]
		for _, p := range pieces {
			b = append(b, p...)
		}
		*buf = b
		done, err = f.WriteAt(b, s.size)
	default:
		done, err = f.WriteVecAt(pieces, s.size)
	}
	if err == nil {
		s.alloc = max(s.alloc, s.size+int64(done))
		return nil
	}
	if l.d.hooks.keepHalf {
		s.size += int64(done)
		return err
	}
	if terr := f.Truncate(s.size); terr != nil {
		l.fail(fmt.Errorf("a write failed and what it left could not be cut off: %w (%w)", err, terr))
		return err
	}
	s.alloc = s.size
	return err
}

// makeRoom makes space ready at the end of a hot log, in steps that double.
func (l *Log) makeRoom(s *segment, n int, o *Options) {
	need := s.size + int64(n)
	if need <= s.alloc || l.appended < l.d.opt.hot || l.d.opt.NoPreallocation {
		return
	}
	f := s.h.f
	step := min(l.appended, allocStep)
	if o.FlushBeforeAck && n < smallAppend {
		step = min(step, zeroStep)
		from := max(s.alloc, s.size)
		to := min(need+step, o.SegmentBytes)
		if to-from > zeroStep {
			from = to - zeroStep
		}
		if from >= to || from > max(s.alloc, need) {
			return
		}
		if _, err := f.WriteAt(zeros[:to-from], from); err == nil {
			s.alloc = to
			return
		}
		f.Truncate(s.size) // the write that follows tells what is wrong
		s.alloc = s.size
		return
	}
	to := min(need+step, o.SegmentBytes)
	if to <= need || l.d.noAlloc.Load() {
		return
	}
	switch err := f.Allocate(s.size, to-s.size, false); {
	case err == nil:
		s.alloc = to
	case errors.Is(err, errors.ErrUnsupported):
		l.d.noAlloc.Store(true)
	}
}

// wrote judges an error of a write: a full disk refuses appends until there is
// room, anything else stops the directory.
func (l *Log) wrote(err error) error {
	if errors.Is(err, disk.ErrFull) {
		l.d.setFull(err)
		return errFull
	}
	l.d.fail(fmt.Errorf("write log %s: %w", l.name(), err))
	return storageError(err)
}

// roll ends the last segment and begins one at base.
func (a *appending) roll(base int64) error {
	a.rolled = true
	return a.l.roll(base)
}

// roll seals the last segment and begins one at base. mu is held.
func (l *Log) roll(base int64) error {
	s := l.segs[len(l.segs)-1]
	if s.alloc > s.size && s.h != nil {
		if err := s.h.f.Truncate(s.size); err != nil {
			return l.wrote(err)
		}
		s.alloc = s.size
	}
	if _, err := l.begin(base); err != nil {
		return l.wrote(err)
	}
	l.d.opened(l, s)
	return nil
}

// finish does what follows an append, without locks.
func (a *appending) finish() error {
	l := a.l
	if a.wrote == 0 {
		return nil
	}
	l.d.metrics.appends.Inc()
	l.d.metrics.bytes.Add(float64(a.wrote))
	var err error
	if a.o.FlushBeforeAck {
		if !a.o.FlushByCaller {
			l.RequestFlush()
		}
	} else if a.flush {
		err = l.Sync()
	}
	// A roll of the durable class costs the journal next to nothing; of the other it
	// would be an fsync of all that the segment holds.
	if a.due || a.rolled && a.o.FlushBeforeAck {
		l.d.checkpoint(l)
	}
	if a.rolled {
		l.st.Lock()
		f := l.onRoll
		l.st.Unlock()
		if f != nil {
			f()
		}
	}
	return err
}

// checkpointStep is how much is appended before the journal hears of it. A log of
// the page-cache class is not fsynced otherwise, which costs 0.1 CPU-s/GiB of what
// retention would have taken before the system wrote it: it goes four times as far.
func (l *Log) checkpointStep(o *Options) int64 {
	if o.FlushBeforeAck {
		return l.d.opt.CheckpointBytes
	}
	return 4 * l.d.opt.CheckpointBytes
}

// AppendAsFollower appends batches as a leader has them: their offsets and epochs
// stay. They must continue at the log's end, and epochs must not fall back. The
// bytes have been checked by the caller.
func (l *Log) AppendAsFollower(batches []byte) error {
	if len(batches) == 0 {
		return nil
	}
	if err := l.refuses(); err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	o := l.opts.Load()
	sc := l.d.scratch.Get().(*scratch)
	l.mu.Lock()
	a := appending{l: l, o: o, sc: sc, now: now}
	err := a.follow(batches)
	l.mu.Unlock()
	sc.reset()
	l.d.scratch.Put(sc)
	if ferr := a.finish(); err == nil {
		err = ferr
	}
	return err
}

func (a *appending) follow(batches []byte) error {
	l := a.l
	if err := l.shut(); err != nil {
		return err
	}
	next, epoch := l.end, l.eps.last()
	for rest := batches; len(rest) > 0; {
		b, r, err := record.Next(rest)
		if err != nil {
			return fmt.Errorf("append to %s as follower: %w", l.name(), err)
		}
		switch {
		case b.BaseOffset() != next:
			return code.Errorf(code.CorruptMessage, "batch at offset %d does not continue %s, which ends at %d", b.BaseOffset(), l.name(), next)
		case b.LastOffsetDelta() < 0:
			return code.Errorf(code.CorruptMessage, "batch at offset %d has last offset delta %d", b.BaseOffset(), b.LastOffsetDelta())
		case b.LeaderEpoch() < epoch:
			return code.Errorf(code.CorruptMessage, "batch at offset %d for %s has leader epoch %d behind epoch %d", b.BaseOffset(), l.name(), b.LeaderEpoch(), epoch)
		}
		next, epoch, rest = b.NextOffset(), b.LeaderEpoch(), r
	}
	for rest := batches; len(rest) > 0; {
		b, r, _ := record.Next(rest)
		if n := len(l.segs); n > 0 && l.mustRoll(l.segs[n-1], a.o, 0, int64(len(b)), b.LastOffset(), b.MaxTimestamp(), a.now) {
			if err := a.roll(b.BaseOffset()); err != nil {
				return err
			}
		}
		// One write takes as many batches as fit behind the first without a roll.
		n := len(b)
		epoch := b.LeaderEpoch()
		end := b.NextOffset()
		for len(r) > 0 {
			c, r2, _ := record.Next(r)
			if s := l.lastSegment(); s != nil && l.mustRoll(s, a.o, int64(n), int64(len(c)), c.LastOffset(), c.MaxTimestamp(), a.now) || c.LeaderEpoch() != epoch {
				break
			}
			n, r, end = n+len(c), r2, c.NextOffset()
		}
		for p := rest[:n]; len(p) > 0; {
			c, p2, _ := record.Next(p)
			if c.ProducerID() >= 0 {
				l.prod.apply(c, a.now, &a.sc.undo)
			}
			p = p2
		}
		a.sc.pieces = append(a.sc.pieces, rest[:n])
		a.bytes, a.from, a.next, a.epoch = n, b.BaseOffset(), end, epoch
		if err := a.write(); err != nil {
			l.prod.revert(a.sc.undo)
			return err
		}
		rest = r
	}
	return nil
}

func (l *Log) lastSegment() *segment {
	if n := len(l.segs); n > 0 {
		return l.segs[n-1]
	}
	return nil
}
