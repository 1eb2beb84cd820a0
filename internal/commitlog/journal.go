package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"path"
	"sync"

	"github.com/klamm/klamm/internal/disk"
)

// The journal, drawn in docs/format/journal.md: frames of a length, a CRC32C and a
// payload that begins with its kind.
const (
	journalFile  = "klamm.journal"
	frameHead    = 8
	maxUnit      = 256 << 20 // a frame longer than this is damage
	maxJournal   = 4 << 30
	journalLevel = 1 // format of the journal
)

// Kinds of frames.
const (
	frameBegin byte = 1 // the format's number; the first frame of a file
	frameOpen  byte = 2 // a process opened the directory: what follows may be unclean
	frameClean byte = 3 // the directory was stopped clean; as the last frame
	frameGroup byte = 4 // frames of units, written and durable together
	frameUnit  byte = 5 // in a group: all that is known of one partition
	frameGone  byte = 6 // in a group: a partition was deleted
)

// journal is a log directory's manifest and checkpoint.
type journal struct {
	fs   disk.FS
	name string

	mu    sync.Mutex
	f     disk.File
	end   int64
	live  int64              // bytes of the newest units
	units map[string]unitRef // by the partition's directory
}

// unitRef is where the newest unit of a partition lies.
type unitRef struct {
	pos int64
	n   int32
}

// unit is all that the journal says of one partition, of one moment.
type unit struct {
	id    ID
	start int64
	hw    int64
	point int64 // recovery point: everything below is durable
	void  bool  // a reset is under way: files that lie there do not count
	segs  []unitSegment
	eps   epochs
	prod  []producer
	ended []endedTxn
}

// unitSegment is a segment as of the recovery point; the last one may have grown.
type unitSegment struct {
	base, size          int64
	greatest            stamp
	firstTime, appended int64
}

// appendFrame appends kind and payload, which fill writes, as a frame.
func appendFrame(b []byte, kind byte, fill func([]byte) []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	if fill != nil {
		b = fill(b)
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-frameHead))
	binary.BigEndian.PutUint32(b[at+4:], crc32.Checksum(b[at+frameHead:], castagnoli))
	return b
}

// nextFrame returns the payload of the first frame of b, and the frame's size; 0
// when there is none that is whole.
func nextFrame(b []byte) (payload []byte, size int) {
	if len(b) < frameHead+1 {
		return nil, 0
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n < 1 || n > maxUnit || n > int64(len(b)-frameHead) {
		return nil, 0
	}
	p := b[frameHead : frameHead+n]
	if crc32.Checksum(p, castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return nil, 0
	}
	return p, frameHead + int(n)
}

func appendBegin(b []byte) []byte {
	return appendFrame(b, frameBegin, func(b []byte) []byte { return append(b, journalLevel) })
}

// loaded is what a journal's bytes say.
type loaded struct {
	end   int64 // behind the last whole frame
	units map[string]unitRef
	live  int64
	clean bool // the last frame says so
	whole bool // nothing is missing that was ever durable, as far as can be seen
}

// loadJournal reads a journal's bytes. A torn end is what a crash leaves: frames that
// were never durable. When whole frames follow a damaged one the file was damaged
// otherwise, and nothing of it counts.
func loadJournal(b []byte) (loaded, error) {
	l := loaded{units: map[string]unitRef{}}
	p, n := nextFrame(b)
	if n == 0 || p[0] != frameBegin || len(p) < 2 {
		return l, nil
	}
	if p[1] > journalLevel {
		return l, fmt.Errorf("%w: the journal has format %d and this version reads up to %d; start the newer version of klamm", ErrForeign, p[1], journalLevel)
	}
	pos := n
	for {
		p, n := nextFrame(b[pos:])
		if n == 0 || p[0] >= frameUnit {
			break
		}
		l.clean = p[0] == frameClean
		if p[0] == frameGroup && !l.group(p[1:], int64(pos+frameHead+1)) {
			return loaded{units: map[string]unitRef{}}, nil
		}
		pos += n
	}
	// The search is bounded: it looks at so many bytes and no more.
	budget := int64(64 << 20)
	for at := pos + 1; at+frameHead < len(b) && budget > 0; at++ {
		if k := b[at+frameHead]; k < frameBegin || k > frameGroup {
			continue
		}
		if _, n := nextFrame(b[at:]); n > 0 {
			return loaded{units: map[string]unitRef{}}, nil
		}
		if n := int64(binary.BigEndian.Uint32(b[at:])); n <= int64(len(b)-at-frameHead) {
			budget -= n
		}
	}
	l.end, l.whole = int64(pos), true
	if pos < len(b) {
		l.clean = false
	}
	return l, nil
}

// group takes the frames of a group that begin at pos in the file; false when one is
// malformed.
func (l *loaded) group(b []byte, pos int64) bool {
	for len(b) > 0 {
		p, n := nextFrame(b)
		if n == 0 {
			return false
		}
		switch p[0] {
		case frameUnit:
			id, _, ok := parseUnitID(p[1:])
			if !ok {
				return false
			}
			name := id.dir()
			l.live += int64(n) - int64(l.units[name].n)
			l.units[name] = unitRef{pos, int32(n)}
		case frameGone:
			name := string(p[1:])
			l.live -= int64(l.units[name].n)
			delete(l.units, name)
		default:
			return false
		}
		b, pos = b[n:], pos+int64(n)
	}
	return true
}

// openJournal loads the directory's journal, or begins one. clean says that the
// last process stopped clean and that the units tell everything.
func openJournal(f disk.FS, dir string) (j *journal, clean bool, err error) {
	j = &journal{fs: f, name: path.Join(dir, journalFile), units: map[string]unitRef{}}
	var b []byte
	b, err = readSmall(f, j.name, maxJournal)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	l, err := loadJournal(b)
	if err != nil {
		return nil, false, err
	}
	if !l.whole {
		if err := replaceFile(f, j.name, appendFrame(appendBegin(nil), frameOpen, nil)); err != nil {
			return nil, false, err
		}
		if j.f, err = f.Open(j.name); err == nil {
			j.end, err = j.f.Size()
		}
		return j, false, err
	}
	if j.f, err = f.Open(j.name); err != nil {
		return nil, false, err
	}
	j.end, j.units, j.live = l.end, l.units, l.live
	// Unclean from here on, and durably so before anything is read (KAFKA-10471).
	if err = j.f.Truncate(j.end); err == nil {
		err = j.append(appendFrame(nil, frameOpen, nil))
	}
	return j, l.clean, err
}

// note writes frames as one group and makes them durable. units says where each
// unit lies in them, by partition; an empty reference takes the partition out. mu is
// held.
func (j *journal) note(frames []byte, units map[string]unitRef) error {
	at := j.end + frameHead + 1
	if err := j.append(appendFrame(nil, frameGroup, func(b []byte) []byte { return append(b, frames...) })); err != nil {
		return err
	}
	for name, r := range units {
		j.live += int64(r.n) - int64(j.units[name].n)
		if r.n == 0 {
			delete(j.units, name)
			continue
		}
		j.units[name] = unitRef{at + r.pos, r.n}
	}
	return nil
}

// append writes a frame and makes it durable. A write that fails leaves nothing.
func (j *journal) append(b []byte) error {
	if _, err := j.f.WriteAt(b, j.end); err != nil {
		return errors.Join(err, j.f.Truncate(j.end))
	}
	if err := j.f.Sync(); err != nil {
		return &syncError{err}
	}
	j.end += int64(len(b))
	return nil
}

// syncError marks an fsync that failed, which stops the directory.
type syncError struct{ err error }

func (e *syncError) Error() string { return "fsync: " + e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

// bloated says that most of the file is old.
func (j *journal) bloated() bool { return j.end > 1<<20 && j.end > 4*j.live }

// compact writes the newest units into a new file and puts that in place.
func (j *journal) compact() error {
	b := appendFrame(appendBegin(make([]byte, 0, int(j.live)+64)), frameOpen, nil)
	units := make(map[string]unitRef, len(j.units))
	var err error
	if len(j.units) > 0 {
		b = appendFrame(b, frameGroup, func(b []byte) []byte {
			for name, r := range j.units {
				at := len(b)
				b = append(b, make([]byte, r.n)...)
				if n, rerr := j.f.ReadAt(b[at:], r.pos); n < int(r.n) {
					err = fmt.Errorf("read %s: %w", j.name, rerr)
				}
				units[name] = unitRef{int64(at), r.n}
			}
			return b
		})
	}
	if err != nil {
		return err
	}
	if err := replaceFile(j.fs, j.name, b); err != nil {
		return err
	}
	f, err := j.fs.Open(j.name)
	if err != nil {
		return err
	}
	j.f.Close()
	j.f, j.units, j.end = f, units, int64(len(b))
	return nil
}

// unit reads the newest unit of a partition; nil when there is none.
func (j *journal) unit(name string) (*unit, error) {
	j.mu.Lock()
	r, ok := j.units[name]
	f := j.f
	j.mu.Unlock()
	if !ok {
		return nil, nil
	}
	b := make([]byte, r.n)
	if n, err := f.ReadAt(b, r.pos); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", j.name, err)
	}
	p, n := nextFrame(b)
	if n == 0 {
		return nil, fmt.Errorf("%s is damaged at byte %d; restart to recover from the logs", j.name, r.pos)
	}
	u, err := parseUnit(p[1:])
	if err != nil {
		return nil, fmt.Errorf("%s at byte %d: %w", j.name, r.pos, err)
	}
	return u, nil
}

func appendUnit(b []byte, u *unit) []byte {
	b = binary.AppendUvarint(b, uint64(len(u.id.Topic)))
	b = append(b, u.id.Topic...)
	b = binary.AppendUvarint(b, uint64(u.id.Partition))
	b = append(b, u.id.TopicID[:]...)
	b = binary.AppendUvarint(b, uint64(u.start))
	b = binary.AppendUvarint(b, uint64(u.hw))
	b = binary.AppendUvarint(b, uint64(u.point))
	if u.void {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(u.segs)))
	for _, s := range u.segs {
		b = binary.AppendUvarint(b, uint64(s.base))
		b = binary.AppendUvarint(b, uint64(s.size))
		for _, v := range [...]int64{s.greatest.time, s.greatest.offset, s.firstTime, s.appended} {
			b = binary.AppendVarint(b, v)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(u.eps)))
	for _, e := range u.eps {
		b = binary.AppendUvarint(b, uint64(e.epoch))
		b = binary.AppendUvarint(b, uint64(e.start))
	}
	b = binary.AppendUvarint(b, uint64(len(u.prod)))
	for i := range u.prod {
		p := &u.prod[i]
		for _, v := range [...]int64{p.id, int64(p.epoch), p.first, p.lastTime, p.appended, p.txnStart, p.lastMarker, int64(p.coordinator)} {
			b = binary.AppendVarint(b, v)
		}
		b = append(b, p.n)
		for _, s := range p.batches[:p.n] {
			b = binary.AppendUvarint(b, uint64(s.offset))
			b = binary.AppendUvarint(b, uint64(s.delta))
			b = binary.AppendUvarint(b, uint64(s.seq))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(u.ended)))
	for _, t := range u.ended {
		b = binary.AppendUvarint(b, uint64(t.start))
		b = binary.AppendUvarint(b, uint64(t.marker))
	}
	return b
}

// unitReader reads what appendUnit wrote; bad is set once the bytes end early.
type unitReader struct {
	b   []byte
	bad bool
}

// uint31 reads a number that an int32 holds.
func (r *unitReader) uint31() int32 {
	v := r.uint()
	if v > math.MaxInt32 {
		r.bad, r.b = true, nil
		return 0
	}
	return int32(v)
}

// within reads a signed number that lies within bounds.
func (r *unitReader) within(lo, hi int64) int64 {
	v := r.int()
	if v < lo || v > hi {
		r.bad, r.b = true, nil
		return 0
	}
	return v
}

func (r *unitReader) uint() int64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || int64(v) < 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

func (r *unitReader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *unitReader) bytes(n int64) []byte {
	if n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// count reads how many things of at least size bytes follow.
func (r *unitReader) count(size int64) int64 {
	n := r.uint()
	if n > int64(len(r.b))/size {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

func parseUnitID(b []byte) (ID, []byte, bool) {
	r := unitReader{b: b}
	id := ID{Topic: string(r.bytes(r.uint())), Partition: r.uint31()}
	copy(id.TopicID[:], r.bytes(16))
	return id, r.b, !r.bad && id.Topic != "" && id.Partition >= 0
}

var errUnit = errors.New("the journal's unit is malformed")

func parseUnit(b []byte) (*unit, error) {
	u := &unit{}
	var ok bool
	if u.id, b, ok = parseUnitID(b); !ok {
		return nil, errUnit
	}
	r := unitReader{b: b}
	u.start, u.hw, u.point = r.uint(), r.uint(), r.uint()
	u.void = r.uint() == 1
	for range r.count(6) {
		u.segs = append(u.segs, unitSegment{base: r.uint(), size: r.uint(),
			greatest: stamp{r.int(), r.int()}, firstTime: r.int(), appended: r.int()})
	}
	for range r.count(2) {
		u.eps = append(u.eps, epochStart{r.uint31(), r.uint()})
	}
	for range r.count(9) {
		p := producer{id: r.int(), epoch: int16(r.within(math.MinInt16, math.MaxInt16)), first: r.int(), lastTime: r.int(), appended: r.int(),
			txnStart: r.int(), lastMarker: r.int(), coordinator: int32(r.within(math.MinInt32, math.MaxInt32))}
		n := r.bytes(1)
		if r.bad || n[0] > rememberedBatches {
			return nil, errUnit
		}
		p.n = n[0]
		for i := range p.batches[:p.n] {
			p.batches[i] = sent{offset: r.uint(), delta: r.uint31(), seq: r.uint31()}
		}
		u.prod = append(u.prod, p)
	}
	for range r.count(2) {
		u.ended = append(u.ended, endedTxn{r.uint(), r.uint()})
	}
	if r.bad || len(r.b) != 0 || u.start > u.point {
		return nil, errUnit
	}
	for i, s := range u.segs {
		if i > 0 && s.base <= u.segs[i-1].base || s.base > u.point || s.size > maxSegmentBytes {
			return nil, errUnit
		}
	}
	for i, e := range u.eps {
		if i > 0 && (e.epoch <= u.eps[i-1].epoch || e.start <= u.eps[i-1].start) {
			return nil, errUnit
		}
	}
	return u, nil
}
