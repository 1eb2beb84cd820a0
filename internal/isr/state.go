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

// Change is a new ISR to ask the controller for, by AlterPartition.
type Change struct {
	LeaderEpoch, PartitionEpoch int32
	ISR                         []Member
}

// follower is what the leader knows of one other replica.
type follower struct {
	id          int32
	end         int64 // its log end, as its last fetch told; -1 before the first in this leader epoch
	brokerEpoch int64
	caughtUp    time.Time // when it last had everything that was there
	// lastEnd and lastFetch are the leader's end and the time at the fetch before, to see that it keeps up with a moving end.
	lastEnd   int64
	lastFetch time.Time
}

// State is one partition's leadership. The zero State leads nothing.
type State struct {
	self       int32
	part       Partition
	followers  []follower
	pending    []int32 // the ISR that was asked for and not answered yet; nil when none
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

// ISR returns the committed in-sync replicas; the caller does not change it.
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

// Fetched notes that a follower fetched at offset in the current leader epoch,
// while the leader's log ended at end. It reports whether the replica belongs to this partition.
func (s *State) Fetched(id int32, brokerEpoch, offset, end int64, now time.Time) bool {
	f := s.follower(id)
	if f == nil || !s.Leading() {
		return false
	}
	switch {
	case offset >= end:
		f.caughtUp = now
	case f.lastEnd >= 0 && offset >= f.lastEnd && f.lastFetch.After(f.caughtUp):
		f.caughtUp = f.lastFetch // it has all that was there at its fetch before
	}
	f.end, f.brokerEpoch = offset, brokerEpoch
	f.lastEnd, f.lastFetch = end, now
	return true
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
		if slices.Contains(s.part.ISR, f.id) || slices.Contains(s.pending, f.id) {
			to = min(to, f.end)
		}
	}
	if to <= s.watermark {
		return false
	}
	s.watermark = to
	return true
}

// Follow sets the watermark of a follower: what the leader told, but not beyond own, its log's end.
func (s *State) Follow(leaderWatermark, own int64) bool {
	to := min(leaderWatermark, own)
	if s.Leading() || to <= s.watermark {
		return false
	}
	s.watermark = to
	return true
}

// Cut sets the watermark back after the log was truncated or reset to end.
func (s *State) Cut(end int64) { s.watermark = min(s.watermark, end) }

// Raise lifts the watermark to the log's start where that moved beyond it (DeleteRecords, full reset).
func (s *State) Raise(start int64) { s.watermark = max(s.watermark, start) }

// Propose returns the change of the ISR that is due, or nil. Whoever caught up
// in this epoch, up to the watermark and to the epoch's start, joins; whoever
// has not had everything for longer than the allowed lag leaves. Only one
// change is under way at a time; it counts as proposed until Resolve or Become.
func (s *State) Propose(selfEpoch int64, now time.Time) *Change {
	if !s.Leading() || s.pending != nil {
		return nil
	}
	var isr []int32
	members := []Member{}
	for _, id := range s.part.Replicas {
		f := s.follower(id)
		in := slices.Contains(s.part.ISR, id)
		switch {
		case id == s.self:
			members = append(members, Member{id, selfEpoch})
		case f == nil:
			continue
		case in && now.Sub(f.caughtUp) <= s.maxLag, !in && f.end >= s.watermark && f.end >= s.epochStart && f.end >= 0:
			members = append(members, Member{id, f.brokerEpoch})
		default:
			continue
		}
		isr = append(isr, id)
	}
	if len(isr) == len(s.part.ISR) && !slices.ContainsFunc(isr, func(id int32) bool { return !slices.Contains(s.part.ISR, id) }) {
		return nil
	}
	s.pending = isr
	return &Change{LeaderEpoch: s.part.LeaderEpoch, PartitionEpoch: s.part.PartitionEpoch, ISR: members}
}

// Refused forgets a proposed change that the controller did not take.
func (s *State) Refused(c *Change) {
	if c.LeaderEpoch == s.part.LeaderEpoch && c.PartitionEpoch == s.part.PartitionEpoch {
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
	return fmt.Sprintf("leader=%d epoch=%d/%d isr=%v pending=%v hw=%d", s.part.Leader, s.part.LeaderEpoch, s.part.PartitionEpoch, s.part.ISR, s.pending, s.watermark)
}
