package quorum

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/record"
)

// tailEntries is how many entries raft finds in memory behind what was applied.
const tailEntries = 1024

// raftLog is raft's storage: a partition log, whose offsets are raft's indexes,
// behind a snapshot. It belongs to the quorum's goroutine.
type raftLog struct {
	log   Log
	snaps *snapshots
	// first is the first index that raft may ask for; firstTerm is the term before it.
	first     uint64
	firstTerm uint64
	// last is the last index that raft has handed over; written is the last in the log: a
	// leader writes its proposals before raft hears of them.
	last, written uint64
	// tail holds the last entries, the last of them at index last.
	tail []*raftpb.Entry

	hard   *raftpb.HardState
	voters *raftpb.ConfState

	unsynced bool
	buf      []byte
	empty    []byte
}

// openLog fits the log to the snapshots: it continues behind the newest, or holds it.
func openLog(log Log, snaps *snapshots, hard *raftpb.HardState, voters *raftpb.ConfState) (*raftLog, error) {
	l := &raftLog{log: log, snaps: snaps, hard: hard, voters: voters}
	l.empty = new(encoder).empty()
	start, end := log.Bounds()
	newest := snaps.newest()
	behind := int64(newest.index) + 1
	if end < behind {
		// Nothing of the log is behind the snapshot: it was installed from a leader, or is the first.
		if err := log.ResetTo(behind); err != nil {
			return nil, err
		}
		start, end = behind, behind
	}
	if start > behind {
		return nil, fmt.Errorf("quorum: the metadata log begins at %d and its newest snapshot ends at %d, so records between are missing; bring a newer snapshot back into the directory", start, behind)
	}
	base := newest
	for _, s := range snaps.list {
		if int64(s.index)+1 >= start {
			base = s
			break
		}
	}
	l.first, l.firstTerm, l.last = base.index+1, base.term, uint64(end-1)
	l.written = l.last
	if l.first <= l.last {
		if term := uint64(log.EpochAt(int64(l.last))); term > hard.GetTerm() {
			return nil, fmt.Errorf("quorum: the metadata log's last record is of epoch %d and quorum-state knows %d; a file of another time was put in its place", term, hard.GetTerm())
		}
	}
	if hard.GetCommit() > l.last {
		return nil, fmt.Errorf("quorum: quorum-state says that offset %d is committed and the metadata log ends at %d; records were lost, restore this voter's directory or add it anew", hard.GetCommit(), l.last+1)
	}
	return l, nil
}

// InitialState implements raft.Storage.
func (l *raftLog) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return l.hard, l.voters, nil
}

// FirstIndex implements raft.Storage.
func (l *raftLog) FirstIndex() (uint64, error) { return l.first, nil }

// LastIndex implements raft.Storage.
func (l *raftLog) LastIndex() (uint64, error) { return l.last, nil }

// Term implements raft.Storage.
func (l *raftLog) Term(i uint64) (uint64, error) {
	switch {
	case i == l.first-1:
		return l.firstTerm, nil
	case i < l.first:
		return 0, raft.ErrCompacted
	case i > l.last:
		return 0, raft.ErrUnavailable
	case l.last-i < uint64(len(l.tail)):
		return l.tail[uint64(len(l.tail))-1-(l.last-i)].GetTerm(), nil
	}
	return uint64(l.log.EpochAt(int64(i))), nil
}

// Entries implements raft.Storage.
func (l *raftLog) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	switch {
	case lo < l.first:
		return nil, raft.ErrCompacted
	case hi > l.last+1:
		return nil, raft.ErrUnavailable
	}
	inTail := l.last + 1 - uint64(len(l.tail)) // index of tail[0]
	var entries []*raftpb.Entry
	size := uint64(0)
	fits := func(e *raftpb.Entry) bool {
		size += uint64(len(e.GetData()))
		if len(entries) > 0 && size > maxSize {
			return false
		}
		entries = append(entries, e)
		return true
	}
	for lo < min(hi, inTail) {
		max := int(min(maxSize-min(size, maxSize), 1<<20))
		b, err := l.log.Read(nil, int64(lo), int64(min(hi, inTail)), max)
		if err != nil {
			return nil, fmt.Errorf("quorum: read the metadata log at %d: %w", lo, err)
		}
		for len(b) > 0 {
			batch, rest, err := record.Next(b)
			if err != nil || batch.BaseOffset() > int64(lo) {
				return nil, fmt.Errorf("quorum: the metadata log has no entry at %d: %w", lo, err)
			}
			b = rest
			if batch.BaseOffset() < int64(lo) {
				continue
			}
			e := newEntry(lo, uint64(batch.LeaderEpoch()), batch)
			place(batch, 0, 0)
			if !fits(e) {
				return entries, nil
			}
			lo++
			if lo == hi {
				return entries, nil
			}
		}
	}
	for ; lo < hi; lo++ {
		if !fits(l.tail[lo-inTail]) {
			break
		}
	}
	return entries, nil
}

// Snapshot implements raft.Storage: the newest, for a follower that is too far behind.
func (l *raftLog) Snapshot() (*raftpb.Snapshot, error) {
	s := l.snaps.newest()
	b, err := l.snaps.bytes(s)
	if err != nil {
		return nil, err
	}
	return &raftpb.Snapshot{Data: b, Metadata: &raftpb.SnapshotMetadata{ConfState: l.voters, Index: &s.index, Term: &s.term}}, nil
}

func newEntry(index, term uint64, data []byte) *raftpb.Entry {
	kind := raftpb.EntryNormal
	return &raftpb.Entry{Index: &index, Term: &term, Type: &kind, Data: data}
}

// append takes entries of raft, which continue the log or replace its end. What a
// leader wrote already is not written again.
func (l *raftLog) append(entries []*raftpb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	first := entries[0].GetIndex()
	if first > l.last+1 {
		return fmt.Errorf("quorum: raft gave an entry at %d for a log that ends at %d", first, l.last+1)
	}
	if first <= l.last {
		if err := l.truncate(first); err != nil {
			return err
		}
	}
	have := min(uint64(len(entries)), l.written-l.last)
	if have > 0 && uint64(l.log.EpochAt(int64(first))) != entries[0].GetTerm() {
		if err := l.truncate(first); err != nil {
			return err
		}
		have = 0
	}
	if err := l.write(entries[have:]); err != nil {
		return err
	}
	l.last += uint64(len(entries))
	l.tail = append(l.tail, entries...)
	return nil
}

// write writes entries at the end of the log; raft does not see them there before append.
func (l *raftLog) write(entries []*raftpb.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	l.buf = l.buf[:0]
	for _, e := range entries {
		if e.GetType() != raftpb.EntryNormal {
			return fmt.Errorf("quorum: raft gave an entry of type %v at %d; the voters of this cluster cannot be changed", e.GetType(), e.GetIndex())
		}
		data := e.GetData()
		if len(data) == 0 {
			data = l.empty
		}
		from := len(l.buf)
		l.buf = append(l.buf, data...)
		place(l.buf[from:], e.GetIndex(), e.GetTerm())
	}
	if err := l.log.Append(l.buf); err != nil {
		return fmt.Errorf("quorum: append to the metadata log at %d: %w", l.written+1, err)
	}
	if cap(l.buf) > 4<<20 {
		l.buf = nil
	}
	l.unsynced = true
	l.written += uint64(len(entries))
	return nil
}

// truncate removes the entry at to and those behind it.
func (l *raftLog) truncate(to uint64) error {
	if err := l.log.Truncate(int64(to)); err != nil {
		return fmt.Errorf("quorum: truncate the metadata log to %d: %w", to, err)
	}
	l.written = to - 1
	if to <= l.last {
		drop := min(l.last+1-to, uint64(len(l.tail)))
		l.tail = l.tail[:uint64(len(l.tail))-drop]
		l.last = to - 1
	}
	l.unsynced = true
	return nil
}

func (l *raftLog) sync() error {
	if !l.unsynced {
		return nil
	}
	l.unsynced = false
	if err := l.log.Sync(); err != nil {
		return fmt.Errorf("quorum: sync the metadata log: %w", err)
	}
	return nil
}

// applied lets go of what raft will hardly ask for again.
func (l *raftLog) applied(index uint64) {
	inTail := l.last + 1 - uint64(len(l.tail))
	if index < inTail {
		return
	}
	keep := uint64(tailEntries)
	if len(l.voters.GetVoters()) == 1 {
		keep = 0
	}
	if n := index + 1 - inTail; n > 2*keep {
		l.tail = slices.Clone(l.tail[n-keep:])
	}
}

// install makes the log go on behind a snapshot of the leader.
func (l *raftLog) install(s snapshot) error {
	if err := l.log.ResetTo(int64(s.index) + 1); err != nil {
		return fmt.Errorf("quorum: reset the metadata log to %d: %w", s.index+1, err)
	}
	l.first, l.firstTerm, l.last, l.written, l.tail = s.index+1, s.term, s.index, s.index, nil
	return nil
}

// compact drops what lies before the older of the snapshots that are kept.
func (l *raftLog) compact() error {
	base := l.snaps.list[0]
	if base.index+1 <= l.first {
		return nil
	}
	if err := l.log.AdvanceStart(int64(base.index) + 1); err != nil {
		return fmt.Errorf("quorum: drop the metadata log before %d: %w", base.index+1, err)
	}
	l.first, l.firstTerm = base.index+1, base.term
	return nil
}
