package commitlog

import (
	"math"

	"github.com/klamm/klamm/internal/record"
)

// ID names a partition's log. Its directory is Topic-Partition under the log
// directory.
type ID struct {
	// Topic is the topic's name.
	Topic string
	// TopicID is the topic's id, all zero when it has none (the metadata log). A
	// log that was written under another id is put aside, never continued.
	TopicID [16]byte
	// Partition counts from 0.
	Partition int32
}

// Options tune one log. Times are in milliseconds as in Kafka's keys, whose
// greatest values a time.Duration does not hold. The zero value keeps everything
// for ever and does not wait for fsync; DefaultOptions are Kafka's defaults.
type Options struct {
	// SegmentBytes is where a segment ends; 0 means 1 GiB, and it is at most 2 GiB - 1
	// (segment.bytes).
	SegmentBytes int64
	// SegmentMs ends a segment when a batch's timestamp is that far behind the first
	// of the segment; 0 means never (segment.ms). SegmentJitterMs takes a random time
	// off it, drawn for each segment (segment.jitter.ms).
	SegmentMs, SegmentJitterMs int64
	// IndexIntervalBytes is how many bytes lie between two entries of the sparse
	// index, at least 16 KiB (index.interval.bytes).
	IndexIntervalBytes int64

	// Delete says that old segments go by time and size (cleanup.policy contains
	// delete); Compact that the topic is to be compacted, which keeps everything
	// until there is a cleaner.
	Delete, Compact bool
	// RetentionMs and RetentionBytes bound age and size of the log when Delete is
	// set; negative is no bound (retention.ms, retention.bytes).
	RetentionMs, RetentionBytes int64
	// FileDeleteDelayMs is how long a deleted file stays under another name; 0 removes
	// it at once (file.delete.delay.ms).
	FileDeleteDelayMs int64

	// FlushBeforeAck makes the log of the durable class (flush.before.ack).
	FlushBeforeAck bool
	// FlushByCaller leaves it to who appends to ask for the flush of the durable class,
	// by RequestFlush or FlushAlone.
	FlushByCaller bool
	// FlushMessages fsyncs before Append returns once so many records are not
	// flushed; 0 means never (flush.messages). A log of the durable class flushes
	// every append anyway and Append does not wait: there who answers waits for
	// Bounds.Flushed, under flush.messages=1 for acks=1 too.
	FlushMessages int64
	// FlushMs schedules an fsync of what is older than that; 0 means never (flush.ms).
	FlushMs int64
	// Preallocate reserves a whole segment's space when it is begun (preallocate).
	Preallocate bool
	// Reserved logs go on below the directory's floor of free space: metadata and
	// offsets.
	Reserved bool

	// MaxMessageBytes bounds one batch of a client; 0 means no bound
	// (max.message.bytes).
	MaxMessageBytes int
	// ProducerExpirationMs forgets an idempotent producer that long after its last
	// batch; 0 means never (producer.id.expiration.ms).
	ProducerExpirationMs int64

	// The rest is not looked at here; it is what a leader does to batches before
	// Append.

	// TimestampType is message.timestamp.type.
	TimestampType record.TimestampType
	// TimestampBeforeMaxMs and TimestampAfterMaxMs bound how far a record's time may
	// be from the broker's; math.MaxInt64 is no bound.
	TimestampBeforeMaxMs, TimestampAfterMaxMs int64
	// CompressionType is compression.type: producer, uncompressed or a codec's name.
	CompressionType string
	// GzipLevel, LZ4Level and ZstdLevel are the levels for CompressionType.
	GzipLevel, LZ4Level, ZstdLevel int32
	// MaxDecompressedBytes bounds what one batch may decompress to
	// (max.decompressed.message.bytes).
	MaxDecompressedBytes int64
	// MinInsyncReplicas is min.insync.replicas.
	MinInsyncReplicas int32
	// UncleanLeaderElection is unclean.leader.election.enable.
	UncleanLeaderElection bool
}

// Limits of segments.
const (
	defaultSegmentBytes = 1 << 30
	maxSegmentBytes     = math.MaxInt32
	minIndexInterval    = 16 << 10
)

// DefaultOptions are those of a topic without configuration in Kafka 4.4, in the
// durable class.
func DefaultOptions() Options {
	const week = 7 * 24 * 3600 * 1000
	return Options{
		SegmentBytes: defaultSegmentBytes, SegmentMs: week, IndexIntervalBytes: 4096,
		Delete: true, RetentionMs: week, RetentionBytes: -1, FileDeleteDelayMs: 60_000,
		FlushBeforeAck: true, MaxMessageBytes: 1048588, ProducerExpirationMs: 86_400_000,
		TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: 3_600_000,
		CompressionType: "producer", GzipLevel: -1, LZ4Level: 9, ZstdLevel: 3,
		MaxDecompressedBytes: 2147483639, MinInsyncReplicas: 1,
	}
}

// normal fills in what zero means.
func (o Options) normal() Options {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	o.SegmentBytes = min(o.SegmentBytes, maxSegmentBytes)
	o.IndexIntervalBytes = max(o.IndexIntervalBytes, minIndexInterval)
	if o.SegmentMs <= 0 {
		o.SegmentMs = math.MaxInt64
	}
	if o.FlushMessages == 1 { // nothing is answered before fsync: the durable class, and more
		o.FlushBeforeAck = true
	}
	if o.FlushMessages <= 0 {
		o.FlushMessages = math.MaxInt64
	}
	if o.FlushMs <= 0 {
		o.FlushMs = math.MaxInt64
	}
	return o
}
