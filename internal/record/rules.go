package record

import (
	"encoding/binary"
	"fmt"

	"github.com/klamm/klamm/internal/code"
)

// Rules are what a topic demands of the records that producers send. The zero
// value demands nothing beyond Batch.Validate and keeps the producers' times. The
// caller computes absolute times from its clock for each use.
type Rules struct {
	// Recompress asks for Codec at Level where a producer chose another codec
	// (compression.type other than "producer"). Batches in the right codec keep
	// their bytes, whatever their level.
	Recompress bool
	Codec      Codec
	Level      Level
	// TimestampType is message.timestamp.type. With LogAppendTime the broker's Now
	// becomes the time of every record.
	TimestampType TimestampType
	// Now is the broker's time in milliseconds since 1970.
	Now int64
	// Earliest and Latest bound the times of records under CreateTime, in
	// milliseconds since 1970, both ends allowed; 0 means no bound
	// (message.timestamp.before.max.ms and message.timestamp.after.max.ms, KIP-937).
	// Latest is checked on the header alone; Earliest walks the records.
	Earliest, Latest int64
	// NeedKeys refuses records without a key: the topic is compacted.
	NeedKeys bool
	// MaxBytes is the greatest batch in bytes, before and after a rewrite
	// (max.message.bytes); 0 means no bound.
	MaxBytes int
	// OutputLimit is how many bytes a batch may decompress to; 0 means
	// MinOutputLimit. See OutputLimit, the function.
	OutputLimit int
}

// maxRecordErrors bounds the list that a client is shown.
const maxRecordErrors = 1000

// RecordError is what is wrong with one record of a batch (KIP-467).
type RecordError struct {
	Index   int32 // in the batch, from 0
	Message string
}

// Apply makes a producer's batch what the topic's rules demand and returns it: b
// itself, of which the header may have been rewritten in place, or new bytes when
// it was recompressed. b has passed Check and Validate(FromClient).
//
// Records are walked only where a rule looks at them (Recompress with another
// codec, Earliest, NeedKeys), and nothing is allocated unless something is
// recompressed, decompressed into memory that the pool has not yet, or refused.
//
// Errors: MESSAGE_TOO_LARGE; INVALID_TIMESTAMP and INVALID_RECORD, with the
// records at fault where single ones are; those of Iter. A refused batch is
// unchanged.
func Apply(b Batch, r *Rules, c *Codecs) (Batch, []RecordError, error) {
	if err := r.checkSize(b, len(b)); err != nil {
		return nil, nil, err
	}
	created := r.TimestampType != LogAppendTime
	if created && b.TimestampType() == LogAppendTime {
		b.SetMaxTimestamp(CreateTime, b.MaxTimestamp()) // as in Kafka the topic says whose time it is, and not the producer
	}
	late := created && r.Latest != 0 && b.MaxTimestamp() > r.Latest
	recompress := r.Recompress && b.Codec() != r.Codec
	if late || recompress || r.NeedKeys || created && r.Earliest != 0 {
		return r.walk(b, c, recompress, late)
	}
	if !created {
		b.SetLogAppendTime(r.Now)
	}
	return b, nil, nil
}

// walk is Apply where the records have to be looked at. late says that by the
// header one of them is beyond Latest.
func (r *Rules) walk(b Batch, c *Codecs, recompress, late bool) (Batch, []RecordError, error) {
	it := b.Iter(c, r.outputLimit())
	defer it.Close()
	plain := it.b
	v := verdict{max: NoTimestamp}
	var rec Record
	for it.Next(&rec) {
		v.look(r, &rec)
	}
	if err := it.Err(); err != nil {
		return nil, nil, err
	}
	if late && !v.untimely {
		return nil, nil, code.Errorf(code.InvalidTimestamp, "batch says that its greatest timestamp is %d; times up to %d are accepted", b.MaxTimestamp(), r.Latest)
	}
	if err := v.err(); err != nil {
		return nil, v.errors, err
	}
	if recompress {
		out := make([]byte, HeaderSize, HeaderSize+len(plain)/2+64)
		copy(out, b[:HeaderSize])
		out, err := c.Compress(out, plain, r.Codec, r.Level, 2)
		if err != nil {
			return nil, nil, err
		}
		if err := r.checkSize(b, len(out)); err != nil {
			return nil, nil, err
		}
		out[offAttributes+1] = out[offAttributes+1]&^attrCodec | byte(r.Codec)
		binary.BigEndian.PutUint32(out[offLength:], uint32(len(out)-LogOverhead))
		b = out
		b.Seal()
	}
	if r.TimestampType == LogAppendTime {
		b.SetLogAppendTime(r.Now)
	} else {
		b.SetMaxTimestamp(CreateTime, v.max)
	}
	return b, nil, nil
}

func (r *Rules) outputLimit() int {
	if r.OutputLimit == 0 {
		return MinOutputLimit
	}
	return r.OutputLimit
}

func (r *Rules) checkSize(b Batch, size int) error {
	if r.MaxBytes == 0 || size <= r.MaxBytes {
		return nil
	}
	return code.Errorf(code.MessageTooLarge, "batch of %d records takes %d bytes and max.message.bytes is %d; send smaller batches or raise it", b.Count(), size, r.MaxBytes)
}

func errProducerAppendTime() error {
	return code.Errorf(code.InvalidTimestamp, "batch has timestamp type LogAppendTime; producers send CreateTime")
}

// verdict gathers what is wrong with the records of one batch by the rules.
type verdict struct {
	index    int32
	max      int64 // greatest timestamp
	wrong    int
	untimely bool
	errors   []RecordError
}

// look judges the next record by r, which is not kept so that the caller's may lie
// on its stack.
func (v *verdict) look(r *Rules, rec *Record) {
	if r.NeedKeys && rec.Key == nil {
		v.add("the topic is compacted and the record has no key; give it one")
	}
	if t := rec.Timestamp; r.TimestampType != LogAppendTime && t != NoTimestamp {
		if r.Earliest != 0 && t < r.Earliest || r.Latest != 0 && t > r.Latest {
			v.untimely = true
			v.add(fmt.Sprintf("timestamp %d is not within [%d, %s] (message.timestamp.before.max.ms, message.timestamp.after.max.ms)", t, r.Earliest, bound(r.Latest)))
		}
	}
	v.max = max(v.max, rec.Timestamp)
	v.index++
}

func bound(t int64) string {
	if t == 0 {
		return "unbounded"
	}
	return fmt.Sprint(t)
}

func (v *verdict) add(message string) {
	v.wrong++
	if len(v.errors) < maxRecordErrors {
		v.errors = append(v.errors, RecordError{v.index, message})
	}
}

// err is the batch's error: as in Kafka, INVALID_TIMESTAMP goes before
// INVALID_RECORD.
func (v *verdict) err() error {
	if v.wrong == 0 {
		return nil
	}
	c := code.InvalidRecord
	if v.untimely {
		c = code.InvalidTimestamp
	}
	return code.Errorf(c, "batch refused for %d of its %d records; record %d: %s", v.wrong, v.index, v.errors[0].Index, v.errors[0].Message)
}
