// Package isr is one partition's leadership as a machine: who is in sync, how
// far the high watermark may go, and which change of the in-sync set (ISR) to ask
// the controller for. It has no clock, lock or I/O; internal/replica hosts it.
//
// The rules are those of KIP-101, KIP-497, KIP-903 and KIP-966: the watermark
// waits for every member of the maximal ISR (the committed one united with the
// one that was asked for), and rests while fewer than min.insync.replicas are in sync.
package isr

import (
	"fmt"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/code"
)

// Partition is what the controller decided, as the metadata log holds it.
type Partition struct {
	Replicas, ISR               []int32
	Leader                      int32
	LeaderEpoch, PartitionEpoch int32
}

// Member is a replica of the ISR with the broker epoch it was seen under; the
// controller refuses to add one whose epoch is stale (KIP-903). -1 is unknown.
type Member struct {
	ID          int32
	BrokerEpoch int64
}

// Change is a new ISR to ask the controller for, by AlterPartition. It is in the
// order of the replicas.
type Change struct {
	LeaderEpoch, PartitionEpoch int32
	ISR                         []Member
}

func (c *Change) has(id int32) bool {
	return c != nil && slices.ContainsFunc(c.ISR, func(m Member) bool { return m.ID == id })
}

// Fetch is what a follower's fetch tells its leader.
type Fetch struct {
	// Replica is the follower's broker id.
	Replica int32
	// LeaderEpoch is the epoch that the follower follows; it has to be the leader's own.
	LeaderEpoch int32
	// BrokerEpoch is the follower's, -1 when it does not tell (before KIP-903).
	BrokerEpoch int64
	// Offset is where it reads on: it has everything before.
	Offset int64
}

// follower is what the leader knows of one other replica.
type follower struct {
	id          int32
	end         int64     // its log end, as its last fetch told; -1 before the first in this leader epoch
	brokerEpoch int64     // of that fetch
	caughtUp    time.Time // when it last had everything that was there
	// lastEnd and lastFetch are the leader's end and the time at the last fetch, by which the next one shows that it keeps up with a moving end.
	lastEnd   int64
	lastFetch time.Time
}

// State is one partition's leadership. The zero State leads nothing.
type State struct {
	self       int32
	part       Partition
	followers  []follower
	pending    *Change // asked for and not answered yet; nil when none
	epochStart int64   // log end when this leader epoch began
	watermark  int64
	maxLag     time.Duration
	minISR     int
}

// New returns the state of a partition's replica on broker self. maxLag is
// replica.lag.time.max.ms; watermark is the high watermark known from before.
func New(self int32, watermark int64, maxLag time.Duration) *State {
	return &State{self: self, watermark: watermark, maxLag: maxLag, part: Partition{Leader: -1, LeaderEpoch: -1, PartitionEpoch: -1}, minISR: 1}
}

// Leading says whether this broker leads the partition.
func (s *State) Leading() bool { return s.part.Leader == s.self && s.part.LeaderEpoch >= 0 }

// LeaderEpoch returns the epoch of the current leadership, whoever leads; -1 before any.
func (s *State) LeaderEpoch() int32 { return s.part.LeaderEpoch }

// Watermark returns the high watermark: the offset below which every in-sync replica has the log.
func (s *State) Watermark() int64 { return s.watermark }

// ISR returns the committed in-sync replicas, whoever leads; the caller does not change it.
func (s *State) ISR() []int32 { return s.part.ISR }

// Replicas returns how many replicas the partition has.
func (s *State) Replicas() int { return len(s.part.Replicas) }

// SetMinISR sets min.insync.replicas.
func (s *State) SetMinISR(n int) { s.minISR = n }

// EffectiveMinISR is min.insync.replicas, but never more than there are replicas.
func (s *State) EffectiveMinISR() int { return min(s.minISR, max(1, len(s.part.Replicas))) }

// UnderMinISR says that fewer replicas are in sync than acks=all demands.
func (s *State) UnderMinISR() bool { return len(s.part.ISR) < s.EffectiveMinISR() }

// Become takes over what the controller decided; end is the own log's end. It
// reports whether a new leader epoch began in which this broker leads: its start
// must be noted in the log before the first append (KAFKA-7415). A decision
// older than the known one is ignored: what counts are the epochs, not who leads (KAFKA-7164).
func (s *State) Become(p Partition, end int64, now time.Time) (newLeadership bool) {
	if p.LeaderEpoch < s.part.LeaderEpoch || p.LeaderEpoch == s.part.LeaderEpoch && p.PartitionEpoch <= s.part.PartitionEpoch {
		return false
	}
	epochMoved := p.LeaderEpoch > s.part.LeaderEpoch
	s.part = Partition{Replicas: p.Replicas, ISR: p.ISR, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	s.pending = nil
	if p.Leader != s.self {
		s.followers = nil
		return false
	}
	if epochMoved {
		s.epochStart = end
		s.followers = nil
	}
	old := s.followers
	s.followers = nil
	for _, id := range p.Replicas {
		if id == s.self {
			continue
		}
		f := follower{id: id, end: -1, brokerEpoch: -1, caughtUp: now, lastEnd: -1, lastFetch: now}
		if i := slices.IndexFunc(old, func(o follower) bool { return o.id == id }); i >= 0 {
			f = old[i]
		}
		s.followers = append(s.followers, f)
	}
	return epochMoved
}

// Fetched notes a follower's fetch while the leader's log ended at end. Only a
// fetch that is read by the leader's epoch counts, and one of an earlier life of
// the follower does not: its disk may have lost since what it told then (KIP-903).
//
//	code.NotLeaderOrFollower  this broker does not lead, or the follower has registered anew since
//	code.FencedLeaderEpoch    the follower follows an earlier leader, or does not say which
//	code.UnknownLeaderEpoch   it follows a later one, or is no replica as far as is known here
func (s *State) Fetched(q Fetch, end int64, now time.Time) error {
	switch {
	case !s.Leading():
		return code.NotLeaderOrFollower
	case q.LeaderEpoch < s.part.LeaderEpoch:
		return code.FencedLeaderEpoch
	case q.LeaderEpoch > s.part.LeaderEpoch:
		return code.UnknownLeaderEpoch
	}
	f := s.follower(q.Replica)
	if f == nil {
		return code.UnknownLeaderEpoch
	}
	if q.BrokerEpoch >= 0 && q.BrokerEpoch < f.brokerEpoch {
		return code.NotLeaderOrFollower
	}
	switch {
	case q.Offset >= end:
		f.caughtUp = now
	case f.lastEnd >= 0 && q.Offset >= f.lastEnd && f.lastFetch.After(f.caughtUp):
		f.caughtUp = f.lastFetch // it has all that was there at its fetch before
	}
	f.end, f.brokerEpoch = q.Offset, q.BrokerEpoch
	f.lastEnd, f.lastFetch = end, now
	return nil
}

// Advance moves the high watermark as far as the rules allow; own is how far
// this broker's log counts: its flushed end in the durable class, its written
// end in the page-cache class. It reports whether the watermark moved.
func (s *State) Advance(own int64) bool {
	if !s.Leading() || s.UnderMinISR() {
		return false
	}
	to := own
	for i := range s.followers {
		f := &s.followers[i]
		if slices.Contains(s.part.ISR, f.id) || s.pending.has(f.id) {
			to = min(to, f.end)
		}
	}
	if to <= s.watermark {
		return false
	}
	s.watermark = to
	return true
}

// Follow sets the watermark of a follower: what the leader told, but not beyond
// own, its log's end. It never moves back, though the leader's may be behind: a
// new leader learns what is committed only from fetches. It reports whether it moved.
func (s *State) Follow(leaderWatermark, own int64) bool {
	to := min(leaderWatermark, own)
	if s.Leading() || to <= s.watermark {
		return false
	}
	s.watermark = to
	return true
}

// Cut sets the watermark back after the log was truncated or reset to end. Only a
// follower that had lost committed records, or an unclean election, gets there.
func (s *State) Cut(end int64) { s.watermark = min(s.watermark, end) }

// Raise lifts the watermark to the log's start where that moved beyond it (DeleteRecords, full reset).
func (s *State) Raise(start int64) { s.watermark = max(s.watermark, start) }

// Propose returns the change of the ISR that is due, or nil. selfEpoch is the own
// broker epoch. Whoever fetched in this leader epoch, from the watermark and from
// the epoch's start on at least, joins, unless it lags; whoever has not had
// everything for longer than the allowed lag leaves. The ends of those who lag are
// not looked at: at the end of a partition at rest a dead follower stands level.
//
// Only one change is under way at a time. The watermark waits for its members
// until Become tells what came of it, or Refused that nothing did.
func (s *State) Propose(selfEpoch int64, now time.Time) *Change {
	if !s.Leading() || s.pending != nil {
		return nil
	}
	due := false
	for i := range s.followers {
		f := &s.followers[i]
		due = due || s.belongs(f, now) != slices.Contains(s.part.ISR, f.id)
	}
	if !due {
		return nil
	}
	c := &Change{LeaderEpoch: s.part.LeaderEpoch, PartitionEpoch: s.part.PartitionEpoch}
	for _, id := range s.part.Replicas {
		if id == s.self {
			c.ISR = append(c.ISR, Member{id, selfEpoch})
		} else if f := s.follower(id); s.belongs(f, now) {
			c.ISR = append(c.ISR, Member{id, f.brokerEpoch})
		}
	}
	s.pending = c
	return c
}

// belongs says whether a follower is to be in the ISR.
func (s *State) belongs(f *follower, now time.Time) bool {
	if now.Sub(f.caughtUp) > s.maxLag {
		return false
	}
	return slices.Contains(s.part.ISR, f.id) || f.end >= 0 && f.end >= s.watermark && f.end >= s.epochStart
}

// Refused forgets a proposed change that was certainly not made and never will be:
// the controller said so (INELIGIBLE_REPLICA, OPERATION_NOT_ATTEMPTED). After a
// lost answer the change may have been made, so it stays, is sent again, and ends
// with Become.
func (s *State) Refused(c *Change) {
	if s.pending == c {
		s.pending = nil
	}
}

// Followers calls visit for every other replica with its known log end (-1 unknown) and when it last was caught up.
func (s *State) Followers(visit func(id int32, end int64, caughtUp time.Time)) {
	for i := range s.followers {
		visit(s.followers[i].id, s.followers[i].end, s.followers[i].caughtUp)
	}
}

func (s *State) follower(id int32) *follower {
	for i := range s.followers {
		if s.followers[i].id == id {
			return &s.followers[i]
		}
	}
	return nil
}

// String shows the state for tests and logs.
func (s *State) String() string {
	pending := "none"
	if s.pending != nil {
		pending = fmt.Sprint(s.pending.ISR)
	}
	return fmt.Sprintf("leader=%d epoch=%d/%d isr=%v pending=%s hw=%d", s.part.Leader, s.part.LeaderEpoch, s.part.PartitionEpoch, s.part.ISR, pending, s.watermark)
}
