package commitlog

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

// crashPoints is how many crashes TestCrashPoints tries: each is a place between two
// calls of the disk and a draw of what survives. `make crash` asks for a million.
var crashPoints = flag.Int("crash.points", 40_000, "crash points for TestCrashPoints")

// model is what a log has to hold.
type model struct {
	batches []modelBatch // in order
	start   int64
	acked   int64 // everything below was reported as flushed
	// What a call that is under way may have done.
	pending []modelBatch // appended
	cut     int64        // truncated to, or -1
	reset   int64        // reset to, or -1
	from    int64        // start moves to, or -1
}

type modelBatch struct {
	base, next int64
	b          []byte
}

func (m *model) end() int64 {
	if len(m.batches) == 0 {
		return m.start
	}
	return m.batches[len(m.batches)-1].next
}

func (m *model) truncate(to int64) {
	for n := len(m.batches); n > 0 && m.batches[n-1].next > to; n-- {
		m.batches = m.batches[:n-1]
	}
	m.acked = min(m.acked, m.end())
}

// crasher drives one log by a seed and crashes its disk at every call.
type crasher struct {
	rng    *rand.Rand
	mem    *disk.Mem
	opt    DirOptions
	o      Options
	d      *Dir
	l      *Log
	m      model
	ts     int64
	epoch  int32
	seq    map[int64]int32
	points int
	most   int
	draws  int
	err    error
	broken bool // the directory has failed, as injected
	faults bool
}

var crashID = ID{Topic: "t", TopicID: [16]byte{7}}

func newCrasher(seed uint64, h hooks) (*crasher, error) {
	c := &crasher{rng: rand.New(rand.NewPCG(seed, 1)), mem: disk.NewMem(seed), seq: map[int64]int32{}, draws: 6}
	c.m.cut, c.m.reset, c.m.from = -1, -1, -1
	c.opt = DirOptions{Logger: quiet, BallastBytes: -1, MinFree: -1, ReserveBytes: -1, hooks: h, hot: 700}
	c.o = Options{SegmentBytes: 1500, Delete: true, RetentionMs: -1, RetentionBytes: -1, FlushBeforeAck: true}
	if seed%3 == 1 {
		c.o.FlushBeforeAck = false // other preallocation
	}
	if seed%4 == 1 {
		c.o.FileDeleteDelayMs = 1000
	}
	c.faults = seed%2 == 1
	if err := InitDir(c.mem, "data", Meta{ClusterID: "c", NodeID: 1}); err != nil {
		return nil, err
	}
	return c, c.open()
}

func (c *crasher) open() (err error) {
	if c.d, err = OpenDir(c.mem, "data", c.opt); err == nil {
		c.l, err = c.d.Open(crashID, c.o, nil)
	}
	return err
}

// run makes steps until most points were tried or one was bad.
func (c *crasher) run(steps, most int) error {
	c.most = most
	c.mem.OnChange(func(clone func(uint64) *disk.Mem) {
		for i := 0; i < c.draws && c.err == nil && c.points < c.most; i++ {
			c.points++
			seed := c.rng.Uint64()
			if err := c.check(clone(seed)); err != nil {
				c.err = fmt.Errorf("disk seed %d: %w", seed, err)
			}
		}
	})
	defer c.mem.OnChange(nil)
	for i := 0; i < steps && c.err == nil && c.points < c.most && !c.broken; i++ {
		err := c.step()
		if err == nil && !c.broken && i%4 == 0 {
			err = compare(c.l, &c.m) // the log as it runs, against the model
		}
		if err != nil && c.err == nil {
			c.err = fmt.Errorf("step %d: %w", i, err)
		}
	}
	c.d.Close()
	return c.err
}

func (c *crasher) step() error {
	r := c.rng.IntN(100)
	if r >= 80 && r < 86 || r >= 90 {
		c.mem.SetCapacity(0)
	}
	switch {
	case r < 55:
		return c.append()
	case r < 80:
		return c.sync()
	case r < 86:
		return c.truncate()
	case r < 90:
		c.l.SetHighWatermark(c.m.acked)
		return c.note(c.d.checkpointNow([]*Log{c.l}))
	case r < 92:
		return c.advance()
	case r < 94:
		return c.retain()
	case r < 95:
		return c.reset()
	case r < 97:
		return c.reopen()
	default:
		return c.fault()
	}
}

// note judges an error: an injected one breaks the directory, and that is right.
func (c *crasher) note(err error) error {
	if err != nil && c.d.Err() != nil && errors.Is(err, disk.ErrIO) {
		c.broken = true
		return nil
	}
	if errors.Is(err, disk.ErrFull) && c.l.Failed() == nil {
		c.mem.SetCapacity(0)
		c.d.full.Store(false)
		return nil
	}
	return err
}

func (c *crasher) append() error {
	var entries []*Entry
	next := c.m.end()
	for range 1 + c.rng.IntN(3) {
		o := plain()
		pid := int64(c.rng.IntN(4)) - 1
		n := 1 + c.rng.IntN(3)
		if pid >= 0 {
			o.Producer = &record.Producer{ID: pid, Sequence: c.seq[pid]}
			c.seq[pid] += int32(n)
		}
		w := record.NewBuilder(nil, o)
		c.ts++
		for range n {
			w.Append(c.ts, nil, bytes.Repeat([]byte{byte(1 + c.rng.IntN(255))}, 1+c.rng.IntN(200)))
		}
		b, err := w.Finish()
		if err != nil {
			return err
		}
		own := append([]byte(nil), b...)
		entries = append(entries, &Entry{Records: own, Client: true})
		model := record.Batch(append([]byte(nil), b...))
		model.SetBaseOffset(next)
		model.SetLeaderEpoch(c.epoch)
		c.m.pending = append(c.m.pending, modelBatch{next, next + int64(n), model})
		next += int64(n)
	}
	err := c.l.Append(entries, c.epoch, time.UnixMilli(c.ts))
	for i, e := range entries {
		if err == nil && (e.Err != nil || e.Duplicate) {
			return fmt.Errorf("entry %d of producer %d: %+v", i, record.Batch(e.Records).ProducerID(), e)
		}
		if e.Err == nil {
			c.m.batches = append(c.m.batches, c.m.pending[i])
		}
	}
	c.m.pending = nil
	if err != nil {
		c.resync()
		if errors.Is(err, errFull) {
			c.mem.SetCapacity(0)
			c.d.full.Store(false)
			return nil
		}
		return c.note(err)
	}
	if got := c.l.Bounds().End; got != c.m.end() {
		return fmt.Errorf("end %d, want %d", got, c.m.end())
	}
	return nil
}

// resync takes the producers' next sequences from the log.
func (c *crasher) resync() {
	c.seq = map[int64]int32{}
	for _, p := range c.l.Producers() {
		c.seq[p.ID] = p.LastSequence + 1
	}
}

func (c *crasher) sync() error {
	if err := c.l.Sync(); err != nil {
		return c.note(err)
	}
	if got := c.l.Bounds().Flushed; got != c.m.end() {
		return fmt.Errorf("flushed %d, want %d", got, c.m.end())
	}
	c.m.acked = c.m.end()
	return nil
}

func (c *crasher) truncate() error {
	if c.m.end() == c.m.start {
		return nil
	}
	c.m.cut = c.m.start + c.rng.Int64N(c.m.end()-c.m.start+1)
	if back := c.m.end() - 6; c.rng.IntN(3) > 0 && back > c.m.cut {
		c.m.cut = back
	}
	err := c.l.Truncate(c.m.cut)
	if err == nil {
		c.m.truncate(c.m.cut)
		c.epoch++
		if c.l.Bounds().End != c.m.end() && len(c.m.batches) > 0 {
			return fmt.Errorf("truncated to %d: end %d, want %d", c.m.cut, c.l.Bounds().End, c.m.end())
		}
		c.follow()
		c.resync()
	}
	c.m.cut = -1
	return c.note(err)
}

// follow takes the log's bounds where the model cannot know them.
func (c *crasher) follow() {
	if len(c.m.batches) == 0 {
		c.m.start = c.l.Bounds().End
		c.m.acked = c.m.start
	}
}

func (c *crasher) advance() error {
	if c.m.acked <= c.m.start {
		return nil
	}
	c.l.SetHighWatermark(c.m.acked)
	c.m.from = c.m.start + c.rng.Int64N(c.m.acked-c.m.start) + 1
	err := c.l.AdvanceStart(c.m.from)
	if err == nil {
		c.m.start = c.m.from
		for len(c.m.batches) > 0 && c.m.batches[0].next <= c.m.start {
			c.m.batches = c.m.batches[1:]
		}
	}
	c.m.from = -1
	return c.note(err)
}

// retain lets retention by size delete what it does.
func (c *crasher) retain() error {
	c.l.SetHighWatermark(c.m.acked)
	o := c.o
	o.RetentionBytes = 2500
	c.l.SetOptions(o)
	defer c.l.SetOptions(c.o)
	c.l.mu.Lock()
	to, err := c.l.expired(c.l.opts.Load(), c.ts)
	c.l.mu.Unlock()
	if err != nil || to <= c.m.start {
		return err
	}
	c.m.from = to
	if err = c.l.retain(time.UnixMilli(c.ts)); err == nil {
		c.m.start = to
		for len(c.m.batches) > 0 && c.m.batches[0].next <= c.m.start {
			c.m.batches = c.m.batches[1:]
		}
		if got := c.l.Bounds().Start; got != to {
			err = fmt.Errorf("retention moved the start to %d, want %d", got, to)
		}
	}
	c.m.from = -1
	return c.note(err)
}

func (c *crasher) reset() error {
	c.m.reset = c.m.end() + c.rng.Int64N(20) - 3
	c.m.reset = max(0, c.m.reset)
	err := c.l.ResetTo(c.m.reset)
	if err == nil {
		c.m.batches, c.m.start, c.m.acked = nil, c.m.reset, c.m.reset
		c.seq = map[int64]int32{}
	}
	c.m.reset = -1
	return c.note(err)
}

// reopen stops the directory, clean or not, and starts it again.
func (c *crasher) reopen() error {
	if c.rng.IntN(2) == 0 {
		if err := c.d.stop(); err != nil {
			return c.note(err)
		}
		c.m.acked = c.m.end()
	}
	if err := c.d.Close(); err != nil {
		return err
	}
	if err := c.open(); err != nil {
		return err
	}
	if err := c.l.Failed(); err != nil {
		return err
	}
	c.resync()
	return compare(c.l, &c.m)
}

func (c *crasher) fault() error {
	if !c.faults {
		return nil
	}
	if c.rng.IntN(4) > 0 {
		c.mem.SetCapacity(c.used() + int64(c.rng.IntN(600)))
		return c.append()
	}
	once := false
	c.mem.Fail(func(op disk.Op, _ string) error {
		if op == disk.OpSync && !once {
			once = true
			return disk.ErrIO
		}
		return nil
	})
	if err := c.append(); err != nil || c.broken {
		return err
	}
	return c.sync()
}

func (c *crasher) used() int64 {
	c.mem.SetCapacity(1 << 40)
	total, free, _ := c.mem.Free("data")
	c.mem.SetCapacity(0)
	return total - free
}

// check loses power on a copy of the disk and looks at what comes up.
func (c *crasher) check(m *disk.Mem) error {
	m.SetCapacity(0)
	m.Crash()
	opt := c.opt
	opt.hooks = hooks{noCRC: c.opt.hooks.noCRC}
	if c.rng.IntN(4) == 0 { // power goes again while it recovers
		m.PowerOffAfter(1 + c.rng.Int64N(8))
		if d, err := OpenDir(m, "data", opt); err == nil {
			_ = d.Close()
		}
		m.Crash()
	}
	d, err := OpenDir(m, "data", opt)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer d.Close()
	l, err := d.Open(crashID, c.o, nil)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if err := l.Failed(); err != nil {
		return err
	}
	return compare(l, &c.m)
}

// compare says whether the log is one that the model allows.
func compare(l *Log, m *model) error {
	b := l.Bounds()
	if m.reset >= 0 && b.Start == m.reset && b.End == m.reset {
		return nil
	}
	least := m.acked
	if m.cut >= 0 {
		least = min(least, m.cut-4) // a batch that holds the offset goes as a whole
	}
	if b.End < least || b.Flushed > b.End || b.HighWatermark > b.End || b.Start > b.End {
		return fmt.Errorf("bounds %+v after %d was acknowledged", b, m.acked)
	}
	if b.Start > m.start && b.Start != m.from {
		return fmt.Errorf("start %d, want at most %d", b.Start, m.start)
	}
	all := append(append([]modelBatch(nil), m.batches...), m.pending...)
	var s Slice
	defer s.Release()
	i := 0
	last := map[int64]record.Batch{}
	for o := max(b.Start, m.start); o < b.End; o = s.NextOffset() {
		if err := l.Read(&s, o, b.End, 1<<20, true, ReadBytes); err != nil {
			return err
		}
		if s.Len() == 0 {
			return fmt.Errorf("nothing at %d of %+v", o, b)
		}
		for rest := s.Bytes(); len(rest) > 0; {
			got, r, err := record.Next(rest)
			if err != nil {
				return err
			}
			for i < len(all) && all[i].next <= got.BaseOffset() {
				i++
			}
			if i == len(all) || !bytes.Equal(all[i].b, got) {
				have := int64(-1)
				if i < len(all) {
					have = all[i].base
				}
				return fmt.Errorf("other bytes at offset %d of %+v, where %d is in start %d acked %d end %d cut %d reset %d from %d",
					got.BaseOffset(), b, have, m.start, m.acked, m.end(), m.cut, m.reset, m.from)
			}
			if e := l.EpochAt(max(got.BaseOffset(), b.Start)); e != got.LeaderEpoch() {
				return fmt.Errorf("epoch %d at offset %d, want %d", e, got.BaseOffset(), got.LeaderEpoch())
			}
			if got.ProducerID() >= 0 {
				last[got.ProducerID()] = append(record.Batch(nil), got...)
			}
			rest = r
		}
	}
	for _, p := range l.Producers() {
		if p.LastOffset >= b.End {
			return fmt.Errorf("producer %+v beyond the end %d", p, b.End)
		}
		if g := last[p.ID]; g != nil && (p.LastOffset != g.LastOffset() || p.LastSequence != g.LastSequence()) {
			return fmt.Errorf("producer %+v, want offset %d sequence %d", p, g.LastOffset(), g.LastSequence())
		}
		delete(last, p.ID)
	}
	if len(last) > 0 {
		return fmt.Errorf("producers missing: %d", len(last))
	}
	return nil
}

func TestCrashPoints(t *testing.T) {
	var next, points atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for points.Load() < int64(*crashPoints) && !t.Failed() {
				seed := uint64(next.Add(1) - 1)
				c, err := newCrasher(seed, hooks{})
				if err == nil {
					err = c.run(150, *crashPoints)
				}
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
				}
				points.Add(int64(c.points))
			}
		})
	}
	wg.Wait()
	t.Logf("%d crash points by %d seeds in %v", points.Load(), next.Load(), time.Since(began))
}

func TestCrashSuiteCatchesMutants(t *testing.T) {
	for name, h := range map[string]hooks{
		"ack before fsync":           {ackBeforeSync: true},
		"no directory fsync":         {noDirSync: true},
		"no CRC at recovery":         {noCRC: true},
		"retry after a failed fsync": {retrySync: true},
		"half a record kept":         {keepHalf: true},
	} {
		t.Run(name, func(t *testing.T) {
			points := 0
			for seed := uint64(0); seed < 200; seed++ {
				c, err := newCrasher(seed, h)
				if err == nil {
					err = c.run(150, 1<<30)
				}
				points += c.points
				if err != nil {
					t.Logf("caught at seed %d after %d points: %v", seed, points, err)
					return
				}
			}
			t.Fatalf("not caught in %d points", points)
		})
	}
}
