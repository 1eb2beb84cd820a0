package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Producer is the identity of an idempotent producer in a batch.
type Producer struct {
	ID       int64
	Epoch    int16
	Sequence int32 // of the first record
}

// BuilderOptions say what the header of a batch holds. The zero value makes an
// uncompressed batch at offset 0 with the producers' times and leader epoch 0.
type BuilderOptions struct {
	// BaseOffset is the first record's offset.
	BaseOffset int64
	// LeaderEpoch is the partition leader's epoch; producers send NoLeaderEpoch.
	LeaderEpoch int32
	// Codec compresses the records at Level; see Codecs.Compress.
	Codec Codec
	// Level is the codec's level, 0 for its default.
	Level Level
	// AppendTime, when TimestampType is LogAppendTime, is the time of all records
	// in milliseconds since 1970.
	AppendTime    int64
	TimestampType TimestampType
	// Producer is nil for a batch that is not idempotent. It is copied.
	Producer *Producer
	// Transactional and Control set the bits of those names.
	Transactional bool
	Control       bool
	// DeleteHorizon, in milliseconds since 1970, marks the batch with a delete
	// horizon (KIP-534); 0 means none.
	DeleteHorizon int64
}

// Builder makes v2 batches. The same calls give the same bytes. A Builder is used
// again after Reset and then allocates nothing once its buffer has grown; it is
// for one goroutine at a time. The zero value needs a Reset.
type Builder struct {
	o        BuilderOptions
	producer Producer
	codecs   *Codecs
	buf      []byte // header and uncompressed records
	out      []byte // the same, compressed
	count    int32
	last     int32 // greatest offset delta
	maxTime  int64
}

// NewBuilder returns a builder of one batch by o. codecs may be nil when
// o.Codec is None.
func NewBuilder(codecs *Codecs, o BuilderOptions) *Builder {
	b := new(Builder)
	b.Reset(codecs, o)
	return b
}

// Reset makes the builder empty for another batch. Bytes that Finish returned are
// overwritten from now on.
func (b *Builder) Reset(codecs *Codecs, o BuilderOptions) {
	b.producer = Producer{NoProducerID, NoProducerEpoch, NoSequence}
	if o.Producer != nil {
		b.producer = *o.Producer
	}
	// Field by field, so that the caller's Producer may lie on its stack.
	b.o = BuilderOptions{
		BaseOffset: o.BaseOffset, LeaderEpoch: o.LeaderEpoch, Codec: o.Codec, Level: o.Level,
		AppendTime: o.AppendTime, TimestampType: o.TimestampType,
		Transactional: o.Transactional, Control: o.Control, DeleteHorizon: o.DeleteHorizon,
	}
	b.codecs = codecs
	b.count, b.last, b.maxTime = 0, -1, NoTimestamp
	if cap(b.buf) < HeaderSize {
		b.buf = make([]byte, HeaderSize, 512)
	}
	b.buf = b.buf[:HeaderSize]
}

// Append adds a record at the next offset. nil key and value are null.
func (b *Builder) Append(timestamp int64, key, value []byte, headers ...Header) {
	var raw int
	for _, h := range headers {
		raw += sizeVarlong(int64(len(h.Key))) + len(h.Key) + sizeNullable(h.Value)
	}
	b.begin(b.last+1, timestamp, key, value, sizeVarlong(int64(len(headers)))+raw)
	if len(headers) == 0 {
		b.buf = append(b.buf, 0)
		return
	}
	b.buf = AppendHeaders(b.buf, headers...)
}

// AppendRecord adds r at its own offset, which must be greater than the one
// before, at least the base offset and less than 2^31 away from it; the headers are
// taken as they are encoded. The cleaner keeps a batch's offsets by it.
func (b *Builder) AppendRecord(r Record) {
	delta := r.Offset - b.o.BaseOffset
	if delta <= int64(b.last) || delta > math.MaxInt32 {
		panic(fmt.Sprintf("record: offset %d appended to a batch at %d after delta %d", r.Offset, b.o.BaseOffset, b.last))
	}
	b.begin(int32(delta), r.Timestamp, r.Key, r.Value, max(1, len(r.Headers)))
	if len(r.Headers) == 0 {
		b.buf = append(b.buf, 0)
		return
	}
	b.buf = append(b.buf, r.Headers...)
}

// begin writes a record up to its headers, which take headerSize bytes.
func (b *Builder) begin(delta int32, timestamp int64, key, value []byte, headerSize int) {
	if b.count == 0 {
		base := timestamp
		if b.o.DeleteHorizon != 0 {
			base = b.o.DeleteHorizon
		}
		binary.BigEndian.PutUint64(b.buf[offBaseTimestamp:], uint64(base))
	}
	dt := timestamp - int64(binary.BigEndian.Uint64(b.buf[offBaseTimestamp:]))
	size := 1 + sizeVarlong(dt) + sizeVarlong(int64(delta)) + sizeNullable(key) + sizeNullable(value) + headerSize
	b.buf = appendVarint(b.buf, int32(size))
	b.buf = append(b.buf, 0)
	b.buf = appendVarlong(b.buf, dt)
	b.buf = appendVarint(b.buf, delta)
	b.buf = appendNullable(b.buf, key)
	b.buf = appendNullable(b.buf, value)
	b.count++
	b.last = delta
	b.maxTime = max(b.maxTime, timestamp)
}

// Count is the number of records appended since Reset.
func (b *Builder) Count() int { return int(b.count) }

// Size is the batch's size in bytes, before compression.
func (b *Builder) Size() int { return len(b.buf) }

// SizeWith is what Size would be at most after a record of that key and value
// and of headers in n encoded bytes.
func (b *Builder) SizeWith(key, value []byte, n int) int {
	const most = 5 + 1 + 10 + 5 + 5 + 5 + 5 // varints at their longest
	return len(b.buf) + most + len(key) + len(value) + n
}

// SetLastOffset makes the batch end at offset, which is not before its last
// record's: the cleaner keeps a batch's end when its last record is gone.
func (b *Builder) SetLastOffset(offset int64) {
	delta := offset - b.o.BaseOffset
	if delta < int64(b.last) || delta > math.MaxInt32 {
		panic(fmt.Sprintf("record: last offset %d set on a batch at %d whose last record is at delta %d", offset, b.o.BaseOffset, b.last))
	}
	b.last = int32(delta)
}

// Finish compresses the records, writes header and CRC and returns the batch,
// which is valid until the next Reset. The only errors are those of Compress.
func (b *Builder) Finish() (Batch, error) {
	out := b.buf
	if b.o.Codec != None && b.count > 0 {
		var err error
		b.out = append(b.out[:0], b.buf[:HeaderSize]...)
		if b.out, err = b.codecs.Compress(b.out, b.buf[HeaderSize:], b.o.Codec, b.o.Level, 2); err != nil {
			return nil, err
		}
		out = b.out
	}
	attr := uint16(b.o.Codec)
	maxTime := b.maxTime
	if b.o.TimestampType == LogAppendTime {
		attr |= attrLogAppendTime
		maxTime = b.o.AppendTime
	}
	if b.o.Transactional {
		attr |= attrTransactional
	}
	if b.o.Control {
		attr |= attrControl
	}
	if b.o.DeleteHorizon != 0 {
		attr |= attrDeleteHorizon
	}
	if b.count == 0 {
		base := NoTimestamp
		if b.o.DeleteHorizon != 0 {
			base = b.o.DeleteHorizon
		}
		binary.BigEndian.PutUint64(out[offBaseTimestamp:], uint64(base))
	}
	be := binary.BigEndian
	be.PutUint64(out[offBaseOffset:], uint64(b.o.BaseOffset))
	be.PutUint32(out[offLength:], uint32(len(out)-LogOverhead))
	be.PutUint32(out[offLeaderEpoch:], uint32(b.o.LeaderEpoch))
	out[offMagic] = 2
	be.PutUint16(out[offAttributes:], attr)
	be.PutUint32(out[offLastOffsetDelta:], uint32(max(b.last, 0)))
	be.PutUint64(out[offMaxTimestamp:], uint64(maxTime))
	be.PutUint64(out[offProducerID:], uint64(b.producer.ID))
	be.PutUint16(out[offProducerEpoch:], uint16(b.producer.Epoch))
	be.PutUint32(out[offBaseSequence:], uint32(b.producer.Sequence))
	be.PutUint32(out[offCount:], uint32(b.count))
	batch := Batch(out[:len(out):len(out)])
	batch.Seal()
	return batch, nil
}

func sizeNullable(v []byte) int {
	if v == nil {
		return 1
	}
	return sizeVarlong(int64(len(v))) + len(v)
}
