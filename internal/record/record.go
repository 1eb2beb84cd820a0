package record

import "github.com/klamm/klamm/internal/code"

// minRecord is the least a record takes: length, attributes, two deltas, two
// lengths and the header count, a byte each.
const minRecord = 7

// Record is one record as a batch or an old message set holds it. Its bytes alias
// what it was read from.
type Record struct {
	// Offset is absolute.
	Offset int64
	// Timestamp is in milliseconds since 1970, or NoTimestamp.
	Timestamp int64
	// Key and Value are nil when null and empty when empty.
	Key, Value []byte
	// Headers are still encoded; Headers.Iter walks them.
	Headers Headers
}

// Header is one header of a record. Value is nil when null.
type Header struct {
	Key   []byte
	Value []byte
}

// Headers are a record's headers as they lie in a v2 record: a varint count and
// that many pairs. Empty bytes mean none. Those of a Record that Iter returned
// are well formed.
type Headers []byte

// Len is the number of headers.
func (h Headers) Len() int {
	n, _ := varint(h)
	return int(max(n, 0))
}

// Iter returns an iterator over the headers.
func (h Headers) Iter() HeaderIter {
	n, w := varint(h)
	return HeaderIter{left: n, b: h[w:]}
}

// HeaderIter walks a record's headers and allocates nothing.
type HeaderIter struct {
	left int32
	b    []byte
}

// Next returns the next header; false when there is none left or the bytes are
// malformed. The header aliases the record.
func (it *HeaderIter) Next() (Header, bool) {
	if it.left <= 0 {
		return Header{}, false
	}
	k, rest, ok := lengthBytes(it.b)
	if !ok || k == nil {
		return Header{}, false
	}
	v, rest, ok := lengthBytes(rest)
	if !ok {
		return Header{}, false
	}
	it.b = rest
	it.left--
	return Header{Key: k, Value: v}, true
}

// AppendHeaders appends the encoding of hs to dst, for Record.Headers. It appends
// nothing for no headers.
func AppendHeaders(dst []byte, hs ...Header) Headers {
	if len(hs) == 0 {
		return dst
	}
	dst = appendVarint(dst, int32(len(hs)))
	for _, h := range hs {
		dst = appendVarint(dst, int32(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendNullable(dst, h.Value)
	}
	return dst
}

// lengthBytes reads a varint length and that many bytes; length -1 gives nil.
func lengthBytes(b []byte) (v, rest []byte, ok bool) {
	n, w := varint(b)
	if w == 0 || n < -1 || int(n) > len(b)-w {
		return nil, nil, false
	}
	b = b[w:]
	if n == -1 {
		return nil, b, true
	}
	return b[:n:n], b[n:], true
}

func appendNullable(dst, v []byte) []byte {
	if v == nil {
		return append(dst, 1)
	}
	dst = appendVarint(dst, int32(len(v)))
	return append(dst, v...)
}

// Iter walks the records of one batch. It allocates nothing for uncompressed
// batches; for compressed ones it holds the decompressed bytes until Close.
//
// It demands what the format says: varints and lengths that fit, offset deltas
// that ascend within the batch's range, as many records as the header counts,
// headers with keys, and no byte behind the last record.
type Iter struct {
	b          []byte
	buf        *Buffer
	base       int64
	baseTime   int64
	appendTime int64
	logAppend  bool
	left       int32
	prev       int32
	last       int32
	err        error
}

// Iter returns an iterator over the batch's records. c decompresses, and output
// beyond limit bytes is an error; for a batch of codec None c may be nil and limit
// is not looked at. Close the iterator to give its memory back. The batch must
// have passed Validate.
func (b Batch) Iter(c *Codecs, limit int) Iter {
	it := Iter{
		b: b.Records(), base: b.BaseOffset(), baseTime: b.BaseTimestamp(),
		appendTime: b.MaxTimestamp(), logAppend: b.TimestampType() == LogAppendTime,
		left: b.Count(), prev: -1, last: b.LastOffsetDelta(),
	}
	if codec := b.Codec(); codec != None && (it.left != 0 || len(it.b) != 0) {
		if c == nil {
			it.err = code.Errorf(code.UnsupportedCompressionType, "batch at offset %d is compressed with %s and there is no codec to read it", it.base, codec)
			return it
		}
		it.buf, it.err = c.Decompress(it.b, codec, 2, limit)
		if it.err != nil {
			return it
		}
		it.b = it.buf.Bytes()
	}
	if it.left < 0 || int64(it.left)*minRecord > int64(len(it.b)) {
		it.err = code.Errorf(code.InvalidRecord, "batch at offset %d claims %d records in %d bytes", it.base, it.left, len(it.b))
	}
	return it
}

// Next reads the next record into r, whose bytes alias the batch or, for
// compressed ones, memory that Close takes back. It returns false at the end
// and on an error, which Err tells.
func (it *Iter) Next(r *Record) bool {
	if it.err != nil {
		return false
	}
	if it.left == 0 {
		if len(it.b) != 0 {
			it.err = code.Errorf(code.InvalidRecord, "batch at offset %d: %d bytes follow its last record", it.base, len(it.b))
		}
		return false
	}
	size, w := varint(it.b)
	if w == 0 || size < minRecord-1 || int(size) > len(it.b)-w {
		return it.fail("length")
	}
	b := it.b[w : w+int(size)]
	it.b = it.b[w+int(size):]
	it.left--

	b = b[1:] // attributes, of which no bit has a meaning
	dt, w := varlong(b)
	if w == 0 {
		return it.fail("timestamp delta")
	}
	b = b[w:]
	do, w := varint(b)
	if w == 0 {
		return it.fail("offset delta")
	}
	if do <= it.prev || do > it.last {
		return it.fail("offset delta out of order")
	}
	it.prev = do
	b = b[w:]
	var ok bool
	if r.Key, b, ok = lengthBytes(b); !ok {
		return it.fail("key length")
	}
	if r.Value, b, ok = lengthBytes(b); !ok {
		return it.fail("value length")
	}
	if len(b) == 1 && b[0] == 0 {
		r.Headers = nil
	} else if r.Headers = Headers(b); !checkHeaders(b) {
		return it.fail("headers")
	}
	r.Offset = it.base + int64(do)
	if it.logAppend {
		r.Timestamp = it.appendTime
	} else {
		r.Timestamp = it.baseTime + dt
	}
	return true
}

// Err is the error that ended the iteration, nil at a good end. Errors are
// INVALID_RECORD for malformed records, and those of Codecs.Decompress.
func (it *Iter) Err() error { return it.err }

// Close gives the iterator's memory back. The records it returned must not be
// used after.
func (it *Iter) Close() {
	if it.buf != nil {
		it.buf.Release()
		it.buf = nil
	}
}

func (it *Iter) fail(what string) bool {
	it.err = code.Errorf(code.InvalidRecord, "batch at offset %d: malformed record after offset delta %d: %s", it.base, it.prev, what)
	return false
}

// Each calls f with every record of the batch, in order, and stops at the first
// error, its own or f's. The record is valid during the call. Arguments are those
// of Iter.
func (b Batch) Each(c *Codecs, limit int, f func(Record) error) error {
	it := b.Iter(c, limit)
	defer it.Close()
	var r Record
	for it.Next(&r) {
		if err := f(r); err != nil {
			return err
		}
	}
	return it.Err()
}

// checkHeaders says whether b is exactly one well-formed set of headers.
func checkHeaders(b []byte) bool {
	n, w := varint(b)
	if w == 0 || n < 0 || int64(n)*2 > int64(len(b)-w) {
		return false
	}
	b = b[w:]
	for ; n > 0; n-- {
		k, rest, ok := lengthBytes(b)
		if !ok || k == nil {
			return false
		}
		if _, b, ok = lengthBytes(rest); !ok {
			return false
		}
	}
	return len(b) == 0
}
