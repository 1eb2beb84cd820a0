package record

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/klamm/klamm/internal/code"
)

// Where the fields of a message of the old formats begin. In magic 1 a timestamp
// of 8 bytes stands between the attributes and the key's length.
const (
	msgCRC        = 12
	msgMagic      = 16
	msgAttributes = 17
	msgTimestamp  = 18
	msgBody       = 18 // magic 0; 26 in magic 1
)

// The least length field of a message: CRC, magic and attributes, the lengths of
// key and value, and a timestamp in magic 1.
const (
	minV0 = 4 + 1 + 1 + 4 + 4
	minV1 = minV0 + 8
)

// message is one framed and checked message of magic 0 or 1.
type message struct {
	offset     int64
	timestamp  int64
	magic      int8
	attributes byte
	key, value []byte
}

func (m *message) codec() Codec { return Codec(m.attributes & attrCodec) }

func (m *message) timestampType() TimestampType {
	switch {
	case m.magic == 0:
		return NoTimestampType
	case m.attributes&attrLogAppendTime != 0:
		return LogAppendTime
	}
	return CreateTime
}

// nextMessage cuts the first message off b and checks its CRC and lengths.
func nextMessage(b []byte, m *message) (rest []byte, err error) {
	size, err := Peek(b)
	if err != nil {
		return nil, err
	}
	m.offset = int64(binary.BigEndian.Uint64(b))
	m.magic = int8(b[msgMagic])
	if m.magic > 1 {
		return nil, code.Errorf(code.InvalidRecord, "message set: a batch of magic %d stands among messages of magic 0 and 1; one partition's records have one magic", m.magic)
	}
	if len(b) < size {
		return nil, ErrShort
	}
	b, rest = b[:size:size], b[size:]
	if sum, want := crc32.ChecksumIEEE(b[msgMagic:]), binary.BigEndian.Uint32(b[msgCRC:]); sum != want {
		return nil, code.Errorf(code.CorruptMessage, "message at offset %d: its CRC is %08x and its header says %08x; the bytes were changed on the way", m.offset, sum, want)
	}
	m.attributes = b[msgAttributes]
	m.timestamp = NoTimestamp
	b = b[msgBody:]
	if m.magic == 1 {
		m.timestamp = int64(binary.BigEndian.Uint64(b))
		b = b[8:]
	}
	var ok bool
	if m.key, b, ok = int32Bytes(b); ok {
		m.value, b, ok = int32Bytes(b)
	}
	if !ok || len(b) != 0 {
		return nil, code.Errorf(code.CorruptMessage, "message at offset %d: the lengths of key and value do not fit its %d bytes", m.offset, size)
	}
	return rest, nil
}

// int32Bytes reads a length of four bytes and that many bytes; length -1 gives nil.
func int32Bytes(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if n == -1 {
		return nil, b, true
	}
	if n < 0 || int(n) > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// MessageIter walks the records of a message set of magic 0 or 1, those inside of
// compressed wrapper messages too. It demands good CRCs outside and inside, one
// magic in the whole set, one level of compression, and no bytes behind the last
// message.
type MessageIter struct {
	b      []byte // outer messages
	codecs *Codecs
	limit  int

	inner     []byte // messages of the wrapper that is being read
	buf       *Buffer
	wrapper   message
	innerBase int64 // added to inner offsets

	magic int8
	codec Codec
	time  TimestampType
	err   error
}

// Messages returns an iterator over the message set b, whose wrappers c
// decompresses to at most limit bytes together. Close the iterator to give its
// memory back.
func Messages(b []byte, c *Codecs, limit int) MessageIter {
	return MessageIter{b: b, codecs: c, limit: limit, magic: Magic(b)}
}

// Magic is the set's format, 0 or 1, or -1 when it is too short to tell.
func (it *MessageIter) Magic() int8 { return it.magic }

// Codec is the codec of the wrapper read last, None when there was none.
func (it *MessageIter) Codec() Codec { return it.codec }

// TimestampType is that of the record read last: its own, or its wrapper's.
func (it *MessageIter) TimestampType() TimestampType { return it.time }

// Next reads the next record into r; the bytes alias the set or, inside of a
// wrapper, memory that the call after this record takes back. It returns false at
// the end and on an error, which Err tells.
func (it *MessageIter) Next(r *Record) bool {
	if it.err != nil {
		return false
	}
	for {
		if it.buf != nil {
			if len(it.inner) > 0 {
				return it.nextInner(r)
			}
			it.Close()
		}
		if len(it.b) == 0 {
			return false
		}
		var m message
		if it.b, it.err = it.cut(it.b, &m); it.err != nil {
			return false
		}
		if m.codec() == None {
			it.time = m.timestampType()
			*r = Record{Offset: m.offset, Timestamp: m.timestamp, Key: m.key, Value: m.value}
			return true
		}
		if it.err = it.open(m); it.err != nil {
			return false
		}
	}
}

// Err is the error that ended the iteration, nil at a good end.
func (it *MessageIter) Err() error { return it.err }

// Close gives the iterator's memory back.
func (it *MessageIter) Close() {
	if it.buf != nil {
		it.buf.Release()
		it.buf, it.inner = nil, nil
	}
}

// cut is nextMessage with what this iterator demands besides.
func (it *MessageIter) cut(b []byte, m *message) ([]byte, error) {
	rest, err := nextMessage(b, m)
	switch {
	case err == ErrShort:
		return nil, code.Errorf(code.CorruptMessage, "message set: its last message is cut after %d bytes; send whole messages", len(b))
	case err != nil:
		return nil, err
	case m.magic != it.magic:
		return nil, code.Errorf(code.InvalidRecord, "message set: a message of magic %d stands among messages of magic %d; one partition's records have one magic", m.magic, it.magic)
	}
	return rest, nil
}

// open decompresses a wrapper.
func (it *MessageIter) open(m message) error {
	codec := m.codec()
	if codec > LZ4 {
		return code.Errorf(code.UnsupportedCompressionType, "message at offset %d: %s is no codec of magic %d; use gzip, snappy or lz4, or the newer batch format", m.offset, codec, m.magic)
	}
	if m.value == nil {
		return code.Errorf(code.InvalidRecord, "message at offset %d: compressed by %s and its value is null", m.offset, codec)
	}
	if it.codecs == nil {
		return code.Errorf(code.UnsupportedCompressionType, "message at offset %d is compressed with %s and there is no codec to read it", m.offset, codec)
	}
	buf, err := it.codecs.Decompress(m.value, codec, m.magic, it.limit)
	if err != nil {
		return err
	}
	it.limit -= len(buf.Bytes())
	it.buf, it.inner, it.wrapper, it.codec = buf, buf.Bytes(), m, codec
	if len(it.inner) == 0 {
		return code.Errorf(code.InvalidRecord, "message at offset %d: compressed by %s and empty", m.offset, codec)
	}
	it.innerBase = 0
	if m.magic == 1 {
		last, err := lastOffset(it.inner)
		if err != nil {
			return err
		}
		it.innerBase = m.offset - last
	}
	return nil
}

func (it *MessageIter) nextInner(r *Record) bool {
	var m message
	if it.inner, it.err = it.cut(it.inner, &m); it.err != nil {
		return false
	}
	if m.codec() != None {
		it.err = code.Errorf(code.InvalidRecord, "message at offset %d: compressed inside of a compressed message", it.wrapper.offset)
		return false
	}
	*r = Record{Offset: it.innerBase + m.offset, Timestamp: m.timestamp, Key: m.key, Value: m.value}
	// A wrapper of LogAppendTime speaks for all that is in it (KIP-32).
	if it.time = it.wrapper.timestampType(); it.time == LogAppendTime {
		r.Timestamp = it.wrapper.timestamp
	}
	return true
}

// lastOffset finds the offset field of the set's last message: inner offsets of
// magic 1 count up to it, and it stands at the wrapper's offset (KIP-31).
func lastOffset(b []byte) (int64, error) {
	var last int64
	for len(b) > 0 {
		size, err := Peek(b)
		if err != nil || size > len(b) {
			return 0, code.Errorf(code.CorruptMessage, "message set: a compressed set's last message is cut")
		}
		last = int64(binary.BigEndian.Uint64(b))
		b = b[size:]
	}
	return last, nil
}

// appendMessage appends a message of magic 0 or 1.
func appendMessage(dst []byte, magic int8, attributes byte, offset, timestamp int64, key, value []byte) []byte {
	at := len(dst)
	dst = appendMessageHead(dst, magic, attributes, offset, timestamp, key)
	dst = appendInt32Bytes(dst, value)
	sealMessage(dst[at:])
	return dst
}

// appendMessageHead appends a message up to its key, with length and CRC left open.
func appendMessageHead(dst []byte, magic int8, attributes byte, offset, timestamp int64, key []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(offset))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, byte(magic), attributes)
	if magic == 1 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(timestamp))
	}
	return appendInt32Bytes(dst, key)
}

// sealMessage writes the length and CRC of the message that is exactly m.
func sealMessage(m []byte) {
	binary.BigEndian.PutUint32(m[offLength:], uint32(len(m)-LogOverhead))
	binary.BigEndian.PutUint32(m[msgCRC:], crc32.ChecksumIEEE(m[msgMagic:]))
}

func appendInt32Bytes(dst, v []byte) []byte {
	if v == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
	return append(dst, v...)
}

// messageSize is what appendMessage takes.
func messageSize(magic int8, key, value []byte) int {
	n := LogOverhead + minV0 + len(key) + len(value)
	if magic == 1 {
		n += 8
	}
	return n
}
