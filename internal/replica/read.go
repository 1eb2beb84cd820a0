package replica

import (
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
)

// ReadQuery is what a fetcher wants of one partition.
type ReadQuery struct {
	Offset        int64
	MaxBytes      int
	MinOne        bool  // at least one whole batch, even beyond MaxBytes (KIP-74)
	Committed     bool  // read_committed: not beyond the last stable offset
	LeaderEpoch   int32 // the leader epoch the fetcher believes in; -1 unknown (KIP-320)
	FetchedEpoch  int32 // epoch of the last record it has, -1 unknown: divergence is looked for (KIP-595)
	FileRanges    bool  // the answer may be a range of a file, for sendfile
	Follower      bool  // a replica: it may read up to the log's end
	FollowerID    int32 // valid with Follower
	FollowerEpoch int64 // its broker epoch (KIP-903)
}

// ReadResult is the answer of one read. It is reused; Data is released by its owner.
type ReadResult struct {
	HighWatermark, LastStable, LogStart int64
	Data                                commitlog.Slice
	// Diverging says that the fetcher's log differs from DivergingEpoch on, which ends at DivergingEnd.
	Diverging      bool
	DivergingEpoch int32
	DivergingEnd   int64
}

// Read finds what q asks for. The watermarks in out are of one moment, and Data
// never reaches beyond them (KAFKA-9807). It never waits.
//
//	code.NotLeaderOrFollower, code.FencedLeaderEpoch, code.UnknownLeaderEpoch
//	code.OffsetOutOfRange    before the log's start or beyond its end
//	code.KafkaStorageError   the log directory failed
func (p *Partition) Read(q *ReadQuery, out *ReadResult) error {
	out.Diverging = false
	out.HighWatermark, out.LastStable, out.LogStart = -1, -1, -1
	leader, _ := p.Leader()
	if leader < 0 {
		return code.NotLeaderOrFollower
	}
	if err := p.CheckEpoch(q.LeaderEpoch); err != nil {
		return err
	}
	hw := p.hw.Load()
	b := p.log.Bounds()
	out.HighWatermark, out.LogStart, out.LastStable = min(hw, b.End), b.Start, min(hw, b.End)
	if b.FirstUnstable >= 0 {
		out.LastStable = min(out.LastStable, b.FirstUnstable)
	}
	if q.FetchedEpoch >= 0 {
		epoch, end := p.log.EndOffsetFor(q.FetchedEpoch)
		if epoch < 0 || end < 0 {
			return code.OffsetOutOfRange
		}
		if epoch < q.FetchedEpoch || end < q.Offset {
			out.Diverging, out.DivergingEpoch, out.DivergingEnd = true, epoch, end
			return nil
		}
	}
	if q.Offset < b.Start || q.Offset > b.End {
		return code.OffsetOutOfRange
	}
	limit := out.HighWatermark
	switch {
	case q.Follower:
		limit = b.End
	case q.Committed:
		limit = out.LastStable
	}
	if q.Offset >= limit {
		return nil
	}
	mode := commitlog.ReadBytes
	if q.FileRanges {
		mode = commitlog.ReadRanges
	}
	return p.log.Read(&out.Data, q.Offset, limit, q.MaxBytes, q.MinOne, mode)
}

// Followed notes that a follower fetched at q.Offset in the current leader
// epoch, and moves the watermark by what that proves.
func (p *Partition) Followed(q *ReadQuery, now time.Time) error {
	p.mu.Lock()
	known := p.state.Fetched(q.FollowerID, q.FollowerEpoch, q.Offset, p.log.Bounds().End, now)
	moved := known && p.advance()
	p.mu.Unlock()
	if moved {
		p.wake(OnWatermark)
	}
	if !known {
		return code.UnknownLeaderEpoch
	}
	return nil
}
