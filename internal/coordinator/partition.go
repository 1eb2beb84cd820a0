package coordinator

import (
	"time"

	"github.com/klamm/klamm/internal/replica"
)

// Partition is a replica as a shard uses it: its log, and the watermark that
// says what is kept. One shard at a time uses it.
type Partition interface {
	// Leading says whether this broker leads the partition, and in which epoch.
	Leading() (epoch int32, ok bool)
	// Failed is why nothing more is appended and the high watermark moves no more: the log or its directory failed; nil while they work.
	Failed() error
	// HighWatermark is the offset below which all in-sync replicas have the log.
	HighWatermark() int64
	// Bounds are the log's first offset and the one behind its last.
	Bounds() (start, end int64)
	// Append writes batches with one write, as leader of epoch, and returns the offset
	// behind them. The bytes are the caller's again when it returns.
	Append(batches []byte, epoch int32, now time.Time) (end int64, err error)
	// Read calls f with whole batches from the one that holds offset on, about max
	// bytes of them, which are valid during the call. It calls f with none at the end.
	Read(offset int64, max int, f func(batches []byte) error) error
	// Watch wakes w when the watermark or the leadership moves; nil ends that.
	Watch(w *replica.Waiter)
	// OnRoll has f called, by who appends, after the log has begun a segment, until
	// another shard sets its own.
	OnRoll(f func())
	// AdvanceStart drops the segments that end below offset.
	AdvanceStart(offset int64) error
}

// Source finds the partition of the coordinator's topic with that number. An error
// says that this broker does not hold it.
type Source func(index int32) (Partition, error)
