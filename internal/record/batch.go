// Package record reads, checks, builds and converts Kafka's record batches on
// bytes. A [Batch] is a slice of a request's frame or of a segment; its methods
// read fields in place and copy nothing. The formats are drawn in
// docs/format/record-batch.md.
//
// The package holds no goroutine and no package-level mutable state. Compressors
// and their memory live in a [Codecs] value that its owner hands down.
package record

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/klamm/klamm/internal/code"
)

// Sizes of the parts of a batch, in bytes.
const (
	// LogOverhead is the base offset and the length that stand before every
	// batch and every message of the old formats.
	LogOverhead = 12
	// HeaderSize is the header of a v2 batch; the records begin behind it.
	HeaderSize = 61
	// PeekSize is how many bytes [Peek] and [Magic] need to see.
	PeekSize = 17
)

// Where the fields of a v2 header begin.
const (
	offBaseOffset      = 0
	offLength          = 8
	offLeaderEpoch     = 12
	offMagic           = 16
	offCRC             = 17
	offAttributes      = 21
	offLastOffsetDelta = 23
	offBaseTimestamp   = 27
	offMaxTimestamp    = 35
	offProducerID      = 43
	offProducerEpoch   = 51
	offBaseSequence    = 53
	offCount           = 57
)

// Bits of a v2 batch's attributes. Bits 0 to 2 are the codec, 7 to 15 are unused.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
	attrReserved      = 0xff80
)

// What stands in a field that does not apply.
const (
	NoTimestamp     int64 = -1
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
	NoLeaderEpoch   int32 = -1
)

// castagnoli is the polynomial of the v2 format's CRC.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrShort says that the bytes end before the batch does. Whether that is an
// error is for the caller to say: the end of a segment and the end of a fetch
// answer may both cut a batch.
var ErrShort = errors.New("record: the bytes end inside a batch")

// TimestampType says whose clock a batch's timestamps come from.
type TimestampType int8

// The timestamp types of Kafka (KIP-32). Messages of magic 0 carry no time.
const (
	NoTimestampType TimestampType = -1
	CreateTime      TimestampType = 0
	LogAppendTime   TimestampType = 1
)

// String returns Kafka's name of the type.
func (t TimestampType) String() string {
	switch t {
	case CreateTime:
		return "CreateTime"
	case LogAppendTime:
		return "LogAppendTime"
	}
	return "NoTimestampType"
}

// Batch is the bytes of exactly one v2 batch, header and records. Its accessors
// demand at least [HeaderSize] bytes, which [Next] guarantees, and trust
// nothing else: Check and Validate say whether the content holds.
type Batch []byte

// Peek returns the size in bytes of the batch or old message that begins at
// hdr, from its length field and with its magic checked. It returns [ErrShort]
// for fewer than [PeekSize] bytes and a CORRUPT_MESSAGE error for a length or a
// magic that cannot be. The size is not bounded by what hdr holds.
func Peek(hdr []byte) (size int, err error) {
	if len(hdr) < PeekSize {
		return 0, ErrShort
	}
	length := int32(binary.BigEndian.Uint32(hdr[offLength:]))
	minimum := int32(HeaderSize - LogOverhead)
	switch m := int8(hdr[offMagic]); m {
	case 2:
	case 1:
		minimum = minV1
	case 0:
		minimum = minV0
	default:
		return 0, code.Errorf(code.CorruptMessage, "batch at offset %d has magic %d; this broker knows 0, 1 and 2",
			int64(binary.BigEndian.Uint64(hdr)), m)
	}
	if length < minimum {
		return 0, code.Errorf(code.CorruptMessage, "batch at offset %d has length %d, and its magic %d needs at least %d",
			int64(binary.BigEndian.Uint64(hdr)), length, int8(hdr[offMagic]), minimum)
	}
	return LogOverhead + int(length), nil
}

// Magic returns the format version of the batch or message that begins at b,
// or -1 when b is shorter than [PeekSize].
func Magic(b []byte) int8 {
	if len(b) < PeekSize {
		return -1
	}
	return int8(b[offMagic])
}

// Next cuts the first v2 batch off b and returns it with what follows. Both
// alias b. It returns [ErrShort] when b is empty or ends inside the batch, and
// a CORRUPT_MESSAGE error when the header cannot be one of v2.
func Next(b []byte) (Batch, []byte, error) {
	size, err := Peek(b)
	if err != nil {
		return nil, b, err
	}
	if b[offMagic] != 2 {
		return nil, b, code.Errorf(code.CorruptMessage, "batch at offset %d has magic %d where only magic 2 may stand",
			int64(binary.BigEndian.Uint64(b)), b[offMagic])
	}
	if len(b) < size {
		return nil, b, ErrShort
	}
	return Batch(b[:size:size]), b[size:], nil
}

// BaseOffset is the offset of the first record the batch was made with; after
// compaction that record may be gone and the offset stays.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[offBaseOffset:])) }

// SetBaseOffset writes the base offset. The CRC does not cover it.
func (b Batch) SetBaseOffset(o int64) { binary.BigEndian.PutUint64(b[offBaseOffset:], uint64(o)) }

// Size is the whole batch's size by its own length field: 12 + length.
func (b Batch) Size() int {
	return LogOverhead + int(int32(binary.BigEndian.Uint32(b[offLength:])))
}

// LeaderEpoch is the epoch of the leader that appended the batch, or
// [NoLeaderEpoch] (KIP-101).
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[offLeaderEpoch:])) }

// SetLeaderEpoch writes the leader's epoch. The CRC does not cover it.
func (b Batch) SetLeaderEpoch(e int32) { binary.BigEndian.PutUint32(b[offLeaderEpoch:], uint32(e)) }

// Magic is the format version, 2 for every batch that Next returned.
func (b Batch) Magic() int8 { return int8(b[offMagic]) }

// CRC is the stored CRC32C of everything from the attributes on.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[offCRC:]) }

// Attributes are the flag bits: codec, timestamp type, transactional, control,
// delete horizon.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[offAttributes:])) }

// Codec is how the records are compressed. Values 5 to 7 mean nothing; Validate
// refuses them.
func (b Batch) Codec() Codec { return Codec(b[offAttributes+1] & attrCodec) }

// TimestampType says whether the producer's clock or the broker's stands in the
// batch.
func (b Batch) TimestampType() TimestampType {
	if b[offAttributes+1]&attrLogAppendTime != 0 {
		return LogAppendTime
	}
	return CreateTime
}

// IsTransactional says that the batch belongs to a transaction (KIP-98).
func (b Batch) IsTransactional() bool { return b[offAttributes+1]&attrTransactional != 0 }

// IsControl says that the batch holds control records, which no consumer sees.
func (b Batch) IsControl() bool { return b[offAttributes+1]&attrControl != 0 }

// HasDeleteHorizon says that BaseTimestamp holds the time from which the
// cleaner may drop the batch's tombstones (KIP-534).
func (b Batch) HasDeleteHorizon() bool { return b[offAttributes+1]&attrDeleteHorizon != 0 }

// LastOffsetDelta is the last offset minus the base offset.
func (b Batch) LastOffsetDelta() int32 {
	return int32(binary.BigEndian.Uint32(b[offLastOffsetDelta:]))
}

// LastOffset is the last offset that the batch covers, whether or not its record
// is still there.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the first offset behind the batch.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// BaseTimestamp is what the records' timestamp deltas count from, in
// milliseconds since 1970: the first record's time, or the delete horizon.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[offBaseTimestamp:])) }

// DeleteHorizon is the delete horizon in milliseconds since 1970, or
// [NoTimestamp] when the batch has none.
func (b Batch) DeleteHorizon() int64 {
	if !b.HasDeleteHorizon() {
		return NoTimestamp
	}
	return b.BaseTimestamp()
}

// MaxTimestamp is the greatest timestamp of the records, or the broker's time at
// append when the type is LogAppendTime; [NoTimestamp] when there is none.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[offMaxTimestamp:])) }

// SetMaxTimestamp rewrites timestamp type and greatest timestamp in the header
// and computes the CRC anew; the records stay as they are. With LogAppendTime
// readers take ts as every record's time. It writes nothing when both stand
// there already.
func (b Batch) SetMaxTimestamp(t TimestampType, ts int64) {
	if b.TimestampType() == t && b.MaxTimestamp() == ts {
		return
	}
	if t == LogAppendTime {
		b[offAttributes+1] |= attrLogAppendTime
	} else {
		b[offAttributes+1] &^= attrLogAppendTime
	}
	binary.BigEndian.PutUint64(b[offMaxTimestamp:], uint64(ts))
	b.Seal()
}

// SetLogAppendTime makes now, in milliseconds since 1970, the time of every
// record: header and CRC alone are rewritten.
func (b Batch) SetLogAppendTime(now int64) { b.SetMaxTimestamp(LogAppendTime, now) }

// ProducerID is the idempotent producer's id, or [NoProducerID].
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[offProducerID:])) }

// ProducerEpoch is the idempotent producer's epoch, or [NoProducerEpoch].
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[offProducerEpoch:])) }

// BaseSequence is the sequence number of the batch's first record, or
// [NoSequence].
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[offBaseSequence:])) }

// LastSequence is the sequence number of the batch's last record, or
// [NoSequence]. Sequences run from 2^31-1 on to 0.
func (b Batch) LastSequence() int32 {
	s := b.BaseSequence()
	if s == NoSequence {
		return NoSequence
	}
	return AddSequence(s, b.LastOffsetDelta())
}

// AddSequence returns the sequence number n behind s; after 2^31-1 comes 0. s
// and n are not negative.
func AddSequence(s, n int32) int32 { return int32((int64(s) + int64(n)) & 0x7fffffff) }

// Count is the number of records in the batch. It may be 0, and smaller than
// LastOffsetDelta + 1, after compaction.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[offCount:])) }

// Records returns the bytes behind the header: the records, compressed by Codec.
// They alias the batch.
func (b Batch) Records() []byte { return b[HeaderSize:] }

// Seal computes the CRC32C of the batch and stores it.
func (b Batch) Seal() {
	binary.BigEndian.PutUint32(b[offCRC:], crc32.Checksum(b[offAttributes:], castagnoli))
}

// Check says whether the bytes are whole: the length field is that of the slice
// and the CRC32C matches. It reads every byte once and is cheapest while they are
// hot in the cache. Errors are CORRUPT_MESSAGE.
func (b Batch) Check() error {
	if len(b) < HeaderSize || b.Size() != len(b) {
		return b.badLength()
	}
	if sum := crc32.Checksum(b[offAttributes:], castagnoli); sum != b.CRC() {
		return code.Errorf(code.CorruptMessage, "batch at offset %d: its CRC32C is %08x and its header says %08x; the bytes were changed on the way",
			b.BaseOffset(), sum, b.CRC())
	}
	return nil
}

func (b Batch) badLength() error {
	if len(b) < HeaderSize {
		return code.Errorf(code.CorruptMessage, "batch of %d bytes is shorter than a header of %d", len(b), HeaderSize)
	}
	return code.Errorf(code.CorruptMessage, "batch at offset %d: its length field says %d bytes and there are %d",
		b.BaseOffset(), b.Size(), len(b))
}

// Origin says who made a batch, and so what may be in it.
type Origin int8

// The origins of a batch.
const (
	// FromClient is a producer: offsets begin at 0 and are dense, there are no
	// control records.
	FromClient Origin = iota
	// FromCoordinator is a coordinator or the controller of this cluster: control
	// records are allowed, else as FromClient.
	FromCoordinator
	// FromReplica is another replica's or this broker's own log: compaction may
	// have left gaps and empty batches.
	FromReplica
)

// Validate checks the header's fields against each other by what o may send,
// without looking at the records and without the CRC. Errors are CORRUPT_MESSAGE
// for what no producer can mean, INVALID_RECORD for what is not allowed.
func (b Batch) Validate(o Origin) error {
	if len(b) < HeaderSize || b.Size() != len(b) {
		return b.badLength()
	}
	attr := uint16(b.Attributes())
	delta, count := b.LastOffsetDelta(), b.Count()
	switch {
	case b.Magic() != 2:
		return code.Errorf(code.CorruptMessage, "batch at offset %d has magic %d where only magic 2 may stand", b.BaseOffset(), b.Magic())
	case attr&attrCodec > uint16(Zstd):
		return code.Errorf(code.CorruptMessage, "batch at offset %d: compression codec %d does not exist; 0 to 4 do", b.BaseOffset(), attr&attrCodec)
	case attr&attrReserved != 0 && o != FromReplica:
		return code.Errorf(code.InvalidRecord, "batch at offset %d: attributes %#04x set bits that have no meaning; send only bits 0 to 6", b.BaseOffset(), attr)
	case delta < 0 || count < 0 || b.BaseOffset() < 0:
		return code.Errorf(code.CorruptMessage, "batch at offset %d: last offset delta %d and record count %d cannot be negative", b.BaseOffset(), delta, count)
	case int64(count) > int64(delta)+1:
		return code.Errorf(code.InvalidRecord, "batch at offset %d holds %d records for %d offsets", b.BaseOffset(), count, int64(delta)+1)
	case b.ProducerID() < NoProducerID:
		return code.Errorf(code.InvalidRecord, "batch at offset %d has producer id %d; it is -1 or not negative", b.BaseOffset(), b.ProducerID())
	case b.Codec() == None && int64(count)*minRecord > int64(len(b)-HeaderSize):
		return code.Errorf(code.CorruptMessage, "batch at offset %d claims %d records in %d bytes", b.BaseOffset(), count, len(b)-HeaderSize)
	}
	if o == FromReplica {
		return nil
	}
	switch {
	case count == 0:
		return code.Errorf(code.InvalidRecord, "batch holds no record; send at least one")
	case count != delta+1:
		return code.Errorf(code.InvalidRecord, "batch holds %d records and its last offset delta is %d; a producer's offsets are dense", count, delta)
	case attr&attrDeleteHorizon != 0:
		return code.Errorf(code.InvalidRecord, "batch carries a delete horizon, which only the log cleaner sets")
	case b.ProducerID() >= 0 && b.ProducerEpoch() < 0:
		return code.Errorf(code.InvalidRecord, "batch of producer %d has epoch %d; it cannot be negative", b.ProducerID(), b.ProducerEpoch())
	}
	if o == FromCoordinator {
		return nil
	}
	switch {
	case b.IsControl():
		return code.Errorf(code.InvalidRecord, "batch of control records; clients cannot write those")
	case b.BaseOffset() != 0:
		return code.Errorf(code.InvalidRecord, "batch begins at offset %d; a producer's batch begins at 0", b.BaseOffset())
	case b.ProducerID() >= 0 && b.BaseSequence() < 0:
		return code.Errorf(code.InvalidRecord, "batch of producer %d has base sequence %d; it cannot be negative", b.ProducerID(), b.BaseSequence())
	case b.ProducerID() < 0 && b.IsTransactional():
		return code.Errorf(code.InvalidRecord, "transactional batch without a producer id; call InitProducerId first")
	}
	return nil
}
