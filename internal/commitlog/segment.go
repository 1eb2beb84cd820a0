package commitlog

import (
	"fmt"
	"sort"
	"sync/atomic"

	"github.com/klamm/klamm/internal/disk"
)

// segment is one file of batches. Its fields are guarded by its log's st, except
// base and alloc.
type segment struct {
	base   int64 // offset of the first record, and the file's name
	size   int64 // bytes of whole batches
	synced int64 // bytes that are durable
	alloc  int64 // length of the file; guarded by the log's mu

	// greatest holds the greatest timestamp with the base offset of the batch that
	// has it: one value, because the two must never disagree (KAFKA-12981).
	greatest stamp
	// firstTime is the greatest timestamp of the first batch, from which segment.ms
	// counts; -1 when there is none.
	firstTime int64
	// appended is the broker's clock at the last append, in ms.
	appended int64

	index     []indexEntry
	h         *handle
	jitter    int64 // ms taken off segment.ms
	indexed   bool  // index covers the segment
	indexFile bool  // the index file is written
	dirSynced bool  // the file's name is durable
}

// stamp is a timestamp and the base offset of the batch that carries it.
type stamp struct{ time, offset int64 }

// indexEntry says that a batch begins at pos with offset base + rel, and that
// before it no timestamp is above time.
type indexEntry struct {
	rel  uint32
	pos  uint32
	time int64
}

// handle is an open file that is shared by its segment and by readers.
type handle struct {
	f    disk.File
	refs atomic.Int32
}

func newHandle(f disk.File) *handle {
	h := &handle{f: f}
	h.refs.Store(1)
	return h
}

func (h *handle) release() {
	if h.refs.Add(-1) == 0 {
		h.f.Close()
	}
}

func newSegment(base int64) *segment {
	return &segment{base: base, greatest: stamp{-1, -1}, firstTime: -1}
}

// locate returns the greatest indexed position whose batch begins at offset or
// before it, and that batch's offset.
func (s *segment) locate(offset int64) (pos, at int64) {
	i := sort.Search(len(s.index), func(i int) bool { return s.base+int64(s.index[i].rel) > offset })
	if i == 0 {
		return 0, s.base
	}
	e := s.index[i-1]
	return int64(e.pos), s.base + int64(e.rel)
}

// floor returns the greatest indexed position at or before pos, and its offset.
func (s *segment) floor(pos int64) (at, offset int64) {
	i := sort.Search(len(s.index), func(i int) bool { return int64(s.index[i].pos) > pos })
	if i == 0 {
		return 0, s.base
	}
	e := s.index[i-1]
	return int64(e.pos), s.base + int64(e.rel)
}

// note takes a batch that was written at pos into the index and the timestamps.
func (s *segment) note(pos, offset, maxTime, interval int64) {
	if pos == 0 {
		s.firstTime = maxTime
	} else if s.indexed {
		last := int64(0)
		if n := len(s.index); n > 0 {
			last = int64(s.index[n-1].pos)
		}
		if pos-last >= interval {
			s.index = append(s.index, indexEntry{uint32(offset - s.base), uint32(pos), s.greatest.time})
		}
	}
	if maxTime > s.greatest.time {
		s.greatest = stamp{maxTime, offset}
	}
}

func segmentName(base int64) string { return fmt.Sprintf("%020d.log", base) }

func indexName(base int64) string { return fmt.Sprintf("%020d.index", base) }
