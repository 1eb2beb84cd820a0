package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/klamm/klamm/internal/record"
)

// The index file of a sealed segment, drawn in docs/format/segments.md: a head, the
// entries, and a CRC32C of both. It is a cache: absent or wrong it is built anew
// from the segment.
const (
	indexMagic     = "KLIX\x01\x00\x00\x00"
	indexHead      = 8 + 8 + 8 + 4 // magic, base, size of the segment, entries
	indexEntrySize = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendIndex appends the file's bytes to b.
func appendIndex(b []byte, base, size int64, index []indexEntry) []byte {
	from := len(b)
	b = append(b, indexMagic...)
	b = binary.BigEndian.AppendUint64(b, uint64(base))
	b = binary.BigEndian.AppendUint64(b, uint64(size))
	b = binary.BigEndian.AppendUint32(b, uint32(len(index)))
	for _, e := range index {
		b = binary.BigEndian.AppendUint32(b, e.rel)
		b = binary.BigEndian.AppendUint32(b, e.pos)
		b = binary.BigEndian.AppendUint64(b, uint64(e.time))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

var errIndex = errors.New("the index does not fit its segment")

// parseIndex returns the entries of an index file's bytes for the segment with this
// base and size. The segment may have grown since the file was written.
func parseIndex(b []byte, base, size int64) ([]indexEntry, error) {
	if len(b) < indexHead+4 || string(b[:8]) != indexMagic {
		return nil, errIndex
	}
	n := int64(binary.BigEndian.Uint32(b[24:]))
	if int64(len(b)) != indexHead+n*indexEntrySize+4 ||
		int64(binary.BigEndian.Uint64(b[8:])) != base || binary.BigEndian.Uint64(b[16:]) > uint64(size) ||
		crc32.Checksum(b[:len(b)-4], castagnoli) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, errIndex
	}
	out := make([]indexEntry, n)
	last := indexEntry{}
	for i := range out {
		e := b[indexHead+i*indexEntrySize:]
		out[i] = indexEntry{binary.BigEndian.Uint32(e), binary.BigEndian.Uint32(e[4:]), int64(binary.BigEndian.Uint64(e[8:]))}
		if out[i].pos <= last.pos || out[i].rel < last.rel || int64(out[i].pos) >= size {
			return nil, errIndex
		}
		last = out[i]
	}
	return out, nil
}

// loadIndex brings the index of a segment into memory, from its file or from the
// segment itself.
func (l *Log) loadIndex(s *segment, h *handle) error {
	l.st.Lock()
	size, gen := s.size, l.gen
	l.st.Unlock()
	probe := newSegment(s.base)
	probe.indexed = true
	index, err := l.readIndex(s.base, size)
	fromFile := err == nil
	if err != nil && !errors.Is(err, errIndex) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	from := int64(0)
	if n := len(index); n > 0 {
		// The last entry has to hold, or the file is of another segment of this name.
		last := index[n-1]
		w := l.d.walk(h.f, int64(last.pos), size, record.HeaderSize)
		b, _, err := w.header()
		if err == nil && b.BaseOffset() == s.base+int64(last.rel) {
			probe.index, from = index, int64(last.pos)
			probe.greatest.time = last.time
		} else {
			fromFile = false
		}
		w.close()
	}
	interval := l.opts.Load().IndexIntervalBytes
	w := l.d.walk(h.f, from, size, minIndexInterval)
	defer w.close()
	for {
		b, n, err := w.header()
		if err == io.EOF {
			break
		}
		if err != nil {
			return l.damaged(s, w.pos, err)
		}
		if w.pos > from || from == 0 {
			probe.note(w.pos, b.BaseOffset(), b.MaxTimestamp(), interval)
		} else {
			probe.greatest.time = max(probe.greatest.time, b.MaxTimestamp())
		}
		w.next(n)
	}
	index = probe.index
	l.st.Lock()
	defer l.st.Unlock()
	if s.indexed || l.gen != gen {
		return nil
	}
	// Where appends went on meanwhile entries are missing: walks are longer, and
	// nothing is wrong.
	s.index, s.indexed = index, true
	s.indexFile = s.indexFile && fromFile
	return nil
}

func (l *Log) readIndex(base, size int64) ([]indexEntry, error) {
	f, err := l.d.fs.Open(l.path(indexName(base)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	if n > indexHead+4+indexEntrySize*(size/minIndexInterval+1) {
		return nil, errIndex
	}
	b := make([]byte, n)
	if m, err := f.ReadAt(b, 0); m < len(b) {
		return nil, fmt.Errorf("%w: %w", errIndex, err)
	}
	return parseIndex(b, base, size)
}

// writeIndexes writes the index files that sealed segments lack; the active one's
// too when all is set. Failing is no error: the index is built anew when needed.
func (l *Log) writeIndexes(all bool) {
	for {
		l.st.Lock()
		if l.gone {
			l.st.Unlock()
			return
		}
		var s *segment
		var b []byte
		for i, c := range l.segs {
			if (all || i+1 < len(l.segs)) && c.indexed && !c.indexFile && len(c.index) > 0 {
				s = c
				s.indexFile = true
				b = appendIndex(nil, c.base, c.size, c.index)
				break
			}
		}
		l.st.Unlock()
		if s == nil {
			return
		}
		name := l.path(indexName(s.base))
		f, err := l.d.fs.Create(name)
		if errors.Is(err, fs.ErrExist) {
			f, err = l.d.fs.Open(name)
		}
		if err != nil {
			return
		}
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(b, 0)
		}
		f.Close()
		if err != nil {
			_ = l.d.fs.Remove(name)
			return
		}
	}
}
