package record

import (
	"encoding/binary"
	"fmt"

	"github.com/klamm/klamm/internal/code"
)

// ConvertStats are what a conversion did.
type ConvertStats struct {
	// Records is how many records were converted.
	Records int
	// NextOffset, of ConvertDown, is the offset behind the last batch that was
	// converted or left out. It moves on where the answer is empty.
	NextOffset int64
}

// ConvertUp appends to dst one v2 batch with the records of src, a message set of
// magic 0 or 1 as an old producer sends it, by the topic's rules, which it applies
// as Apply does. The batch begins at offset 0 with dense offsets, whatever those of
// src are, since the broker gives them anew; it keeps the codec of src unless the
// rules ask for another. Magic 0 has no time, so its records get NoTimestamp. An
// empty src gives an empty answer without an error.
//
// Errors: CORRUPT_MESSAGE for wrong CRCs and lengths, INVALID_RECORD for mixed
// magics, for nested and empty wrappers and for records without a needed key,
// INVALID_TIMESTAMP, UNSUPPORTED_COMPRESSION_TYPE for zstd, MESSAGE_TOO_LARGE.
func ConvertUp(dst, src []byte, r *Rules, c *Codecs) ([]byte, ConvertStats, []RecordError, error) {
	var stats ConvertStats
	if len(src) == 0 {
		return dst, stats, nil, nil
	}
	it := Messages(src, c, r.outputLimit())
	defer it.Close()
	w := c.builder()
	defer c.builders.Put(w)
	w.Reset(c, BuilderOptions{LeaderEpoch: NoLeaderEpoch, TimestampType: r.TimestampType, AppendTime: r.Now})
	v := verdict{max: NoTimestamp}
	var rec Record
	for it.Next(&rec) {
		if it.TimestampType() == LogAppendTime {
			return dst, stats, nil, errProducerAppendTime()
		}
		v.look(r, &rec)
		if v.wrong == 0 {
			w.Append(rec.Timestamp, rec.Key, rec.Value)
		}
	}
	if err := it.Err(); err != nil {
		return dst, stats, nil, err
	}
	if err := v.err(); err != nil {
		return dst, stats, v.errors, err
	}
	w.o.Codec = it.Codec()
	if r.Recompress {
		w.o.Codec, w.o.Level = r.Codec, r.Level
	}
	b, err := w.Finish()
	if err != nil {
		return dst, stats, nil, err
	}
	if err := r.checkSize(b, len(b)); err != nil {
		return dst, stats, nil, err
	}
	stats.Records = w.Count()
	return append(dst, b...), stats, nil, nil
}

// ConvertDown appends to dst the records of src, whole v2 batches of one
// partition's log, as a message set of magic toMagic, 0 or 1, for a fetcher that
// knows no other. Control batches and headers are left out; timestamps too for
// magic 0. The codec stays, with one wrapper a batch. Records before first are left
// out of uncompressed batches.
//
// It stops before a batch that would make the set longer than limit bytes unless
// that batch is its first, and at the first batch that is cut; what it stopped at
// is fetched again from stats.NextOffset, so the caller reads on from there when
// nothing but control batches was found. outputLimit is how many bytes one batch
// may have when decompressed, before and after conversion.
//
// Batches of zstd are UNSUPPORTED_COMPRESSION_TYPE, when they come first; behind
// others the set ends before them. A batch that converts to more than outputLimit
// is MESSAGE_TOO_LARGE. Otherwise errors are those of Next and Iter; dst is then
// returned as it was.
func ConvertDown(dst, src []byte, toMagic int8, first int64, limit, outputLimit int, c *Codecs) ([]byte, ConvertStats, error) {
	if toMagic != 0 && toMagic != 1 {
		panic(fmt.Sprintf("record: no conversion down to magic %d", toMagic))
	}
	start := len(dst)
	stats := ConvertStats{NextOffset: first}
	for {
		b, rest, err := Next(src)
		if err == ErrShort {
			return dst, stats, nil
		}
		if err == nil {
			err = b.Validate(FromReplica)
		}
		if err != nil {
			return dst[:start], ConvertStats{NextOffset: first}, err
		}
		src = rest
		if b.IsControl() || b.Count() == 0 || b.LastOffset() < first {
			stats.NextOffset = max(stats.NextOffset, b.NextOffset())
			continue
		}
		if b.Codec() == Zstd {
			if len(dst) > start {
				return dst, stats, nil
			}
			return dst[:start], ConvertStats{NextOffset: first}, code.Errorf(code.UnsupportedCompressionType,
				"batch at offset %d is compressed with zstd, which this version of Fetch cannot carry; use a client with Fetch version 10 or later", b.BaseOffset())
		}
		before := len(dst)
		var n int
		if dst, n, err = convertBatchDown(dst, b, toMagic, first, outputLimit, c); err != nil {
			return dst[:start], ConvertStats{NextOffset: first}, err
		}
		if before > start && len(dst)-start > limit {
			return dst[:before], stats, nil
		}
		stats.Records += n
		stats.NextOffset = max(stats.NextOffset, b.NextOffset())
		if len(dst)-start >= limit {
			return dst, stats, nil
		}
	}
}

// convertBatchDown appends one batch's records as messages, or as one wrapper
// message around them.
func convertBatchDown(dst []byte, b Batch, magic int8, first int64, outputLimit int, c *Codecs) ([]byte, int, error) {
	codec := b.Codec()
	var attributes byte
	if magic == 1 && b.TimestampType() == LogAppendTime {
		attributes = attrLogAppendTime
	}
	// Inner messages are written to memory of their own, then compressed.
	messages, room := dst, len(dst)+outputLimit
	var inner *Buffer
	if codec != None {
		inner = c.buffer()
		defer inner.Release()
		messages, room = inner.b, outputLimit
	}
	it := b.Iter(c, outputLimit)
	defer it.Close()
	var (
		rec     Record
		n       int
		base    int64
		last    int64
		maxTime = NoTimestamp
	)
	for it.Next(&rec) {
		if codec == None && rec.Offset < first {
			continue
		}
		if n == 0 && magic == 1 && codec != None {
			base = rec.Offset // inner offsets of magic 1 are relative (KIP-31)
		}
		if len(messages)+messageSize(magic, rec.Key, rec.Value) > room {
			return dst, 0, code.Errorf(code.MessageTooLarge, "batch at offset %d converts to more than %d bytes of magic %d; use a client with Fetch version 4 or later", b.BaseOffset(), outputLimit, magic)
		}
		messages = appendMessage(messages, magic, attributes, rec.Offset-base, rec.Timestamp, rec.Key, rec.Value)
		last = rec.Offset
		maxTime = max(maxTime, rec.Timestamp)
		n++
	}
	if inner != nil {
		inner.b = messages
	}
	if err := it.Err(); err != nil {
		return dst, 0, err
	}
	if codec == None || n == 0 {
		if codec == None {
			dst = messages
		}
		return dst, n, nil
	}
	at := len(dst)
	dst = appendMessageHead(dst, magic, attributes|byte(codec), last, maxTime, nil)
	value := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst, err := c.Compress(dst, messages, codec, DefaultLevel, magic)
	if err != nil {
		return dst[:at], 0, err
	}
	binary.BigEndian.PutUint32(dst[value:], uint32(len(dst)-value-4))
	sealMessage(dst[at:])
	return dst, n, nil
}
