package main

import (
	"bytes"
	"fmt"
	"strconv"
)

// position is where a record lies.
type position struct {
	partition int32
	offset    int64
}

// delivery is one record as a consumer printed it.
type delivery struct {
	position
	id    int    // the event's number
	print uint64 // its fingerprint
}

// ledger holds what was produced and what each member of the group delivered,
// and accounts for every event at the end. One goroutine uses it.
type ledger struct {
	prints []uint64   // by event: fingerprint
	keys   []uint32   // by event: number of its key
	at     []position // by event: where it was first delivered from; offset -1 when it was not yet
	by     []int8     // by event: member that delivered it first
	ends   []int64    // by partition: the largest offset seen, plus one

	delivered, allowed int      // deliveries; duplicates that at-least-once permits
	unique             int      // events delivered at least once
	faults             []string // the first few things that are wrong
	faultCount         int
	last               map[[2]int32]int64 // (member, partition): the last offset
	killed             int                // member that was killed; -1 for none yet
}

func newLedger(n int, partitions int) *ledger {
	l := &ledger{prints: make([]uint64, 0, n), keys: make([]uint32, 0, n), at: make([]position, n), by: make([]int8, n),
		ends: make([]int64, partitions), last: make(map[[2]int32]int64), killed: -1}
	for i := range l.at {
		l.at[i].offset = -1
	}
	return l
}

func (l *ledger) fault(format string, args ...any) {
	l.faultCount++
	if len(l.faults) < 5 {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// deliver books one delivery of a member. A second delivery of an event is
// permitted only after a member that was killed had it: it had no chance to
// commit. It must come from the same place: else the event was written twice.
func (l *ledger) deliver(member int, d delivery) {
	l.delivered++
	switch {
	case d.id < 0 || d.id >= len(l.prints):
		l.fault("a record at %d:%d that was never produced", d.partition, d.offset)
		return
	case d.print != l.prints[d.id]:
		l.fault("event %d at %d:%d came back with another key or value", d.id, d.partition, d.offset)
		return
	case d.partition < 0 || int(d.partition) >= len(l.ends) || d.offset < 0:
		l.fault("event %d came from %d:%d, which does not exist", d.id, d.partition, d.offset)
		return
	}
	mp := [2]int32{int32(member), d.partition}
	if last, ok := l.last[mp]; ok && d.offset <= last {
		l.fault("member %d read %d:%d after %d:%d", member, d.partition, d.offset, d.partition, last)
	}
	l.last[mp] = d.offset
	l.ends[d.partition] = max(l.ends[d.partition], d.offset+1)
	switch first := l.at[d.id]; {
	case first.offset < 0:
		l.at[d.id], l.by[d.id] = d.position, int8(member)
		l.unique++
	case first != d.position:
		l.fault("event %d was written twice, at %d:%d and %d:%d", d.id, first.partition, first.offset, d.partition, d.offset)
	case int(l.by[d.id]) == l.killed:
		l.allowed++
	default:
		l.fault("event %d was delivered again by member %d though member %d, which was not killed, had it", d.id, member, l.by[d.id])
	}
}

// close accounts for every event once nothing more comes: all delivered, no
// offset left over, and the events of each key in the order they were produced.
func (l *ledger) close() {
	order := make([][]int, len(l.ends))
	for p, end := range l.ends {
		order[p] = make([]int, end)
		for i := range order[p] {
			order[p][i] = -1
		}
	}
	for id, at := range l.at {
		if at.offset < 0 {
			l.fault("event %d was lost", id)
			continue
		}
		order[at.partition][at.offset] = id
	}
	lastOfKey := make(map[uint32]int)
	home := make(map[uint32]int32)
	for p := range order {
		for offset, id := range order[p] {
			if id < 0 {
				l.fault("nothing was delivered from %d:%d", p, offset)
				continue
			}
			key := l.keys[id]
			if h, ok := home[key]; ok && h != int32(p) {
				l.fault("event %d lies in partition %d, earlier events of its key in %d", id, p, h)
			}
			home[key] = int32(p)
			if last, ok := lastOfKey[key]; ok && last > id {
				l.fault("event %d comes after event %d of the same key", id, last)
			}
			lastOfKey[key] = id
		}
	}
}

// parseLine reads a line of a member: partition, offset, key and value,
// separated by tabs.
func parseLine(line []byte) (delivery, error) {
	p, rest, ok1 := bytes.Cut(line, []byte{'\t'})
	o, rest, ok2 := bytes.Cut(rest, []byte{'\t'})
	key, value, ok3 := bytes.Cut(rest, []byte{'\t'})
	partition, err1 := strconv.ParseInt(string(p), 10, 32)
	offset, err2 := strconv.ParseInt(string(o), 10, 64)
	if !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil {
		return delivery{}, fmt.Errorf("a consumer printed %.80q, want partition, offset, key and value", line)
	}
	return delivery{position{int32(partition), offset}, eventID(value), fingerprint(key, value)}, nil
}
