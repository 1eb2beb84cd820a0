package replica

import (
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/isr"
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
	SmallRanges   bool  // with FileRanges: also a small one, as the fetcher's answer is large already
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
// never reaches beyond them (KAFKA-9807); after an error they are -1. It never
// waits. Consumers may read from a follower too (KIP-392), replicas only from the
// leader.
//
//	code.NotLeaderOrFollower, code.FencedLeaderEpoch, code.UnknownLeaderEpoch
//	code.OffsetOutOfRange    before the log's start or beyond its end, or an epoch of which nothing is known
//	code.KafkaStorageError   the log directory failed
func (p *Partition) Read(q *ReadQuery, out *ReadResult) error {
	out.Diverging = false
	out.HighWatermark, out.LastStable, out.LogStart = -1, -1, -1
	leader, epoch := p.Leader()
	switch {
	case leader < 0, q.Follower && leader != p.self:
		return code.NotLeaderOrFollower
	case q.LeaderEpoch >= 0 && q.LeaderEpoch < epoch:
		return code.FencedLeaderEpoch
	case q.LeaderEpoch > epoch:
		return code.UnknownLeaderEpoch
	}
	b := p.log.Bounds()
	if q.Offset < b.Start {
		return code.OffsetOutOfRange
	}
	if q.FetchedEpoch >= 0 {
		epoch, end := p.log.EndOffsetFor(q.FetchedEpoch)
		if epoch < 0 || end < 0 {
			return code.OffsetOutOfRange
		}
		if epoch < q.FetchedEpoch || end < q.Offset {
			out.Diverging, out.DivergingEpoch, out.DivergingEnd = true, epoch, end
			out.tell(b)
			return nil
		}
	}
	if q.Offset > b.End {
		return code.OffsetOutOfRange
	}
	limit := b.HighWatermark
	switch {
	case q.Follower:
		limit = b.End
	case q.Committed:
		limit = lastStable(b)
	}
	if q.Offset < limit {
		mode := commitlog.ReadBytes
		if q.FileRanges {
			mode = commitlog.ReadRanges
			if q.SmallRanges {
				mode = commitlog.ReadSmallRanges
			}
		}
		if err := p.log.Read(&out.Data, q.Offset, limit, q.MaxBytes, q.MinOne, mode); err != nil {
			return p.unlessGone(err)
		}
	} else if err := p.log.Failed(); err != nil {
		return p.unlessGone(err)
	}
	out.tell(b)
	return nil
}

func (r *ReadResult) tell(b commitlog.Bounds) {
	r.HighWatermark, r.LastStable, r.LogStart = b.HighWatermark, lastStable(b), b.Start
}

// Followed notes that a follower fetched at q.Offset, and moves the watermark by
// what that proves. Read must have found nothing wrong with q. Errors are those of
// isr.State.Fetched: the fetch may have been overtaken by an election since.
func (p *Partition) Followed(q *ReadQuery, now time.Time) error {
	f := isr.Fetch{Replica: q.FollowerID, LeaderEpoch: q.LeaderEpoch, BrokerEpoch: q.FollowerEpoch, Offset: q.Offset}
	p.mu.Lock()
	err := p.state.Fetched(f, p.log.Bounds().End, now)
	moved := err == nil && p.advance()
	p.mu.Unlock()
	if moved {
		p.wake(OnWatermark)
	}
	return err
}
