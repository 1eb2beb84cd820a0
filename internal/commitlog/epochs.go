package commitlog

import "sort"

// epochStart says at which offset a leader's epoch began.
type epochStart struct {
	epoch int32
	start int64
}

// epochs is the history of leader epochs, both columns ascending (KIP-101). The
// zero value is empty.
type epochs []epochStart

// last returns the newest epoch, or -1.
func (e epochs) last() int32 {
	if len(e) == 0 {
		return -1
	}
	return e[len(e)-1].epoch
}

// note records that epoch begins at start. An epoch that is known changes nothing.
// An older entry that never got an offset of its own is replaced.
func (e epochs) note(epoch int32, start int64) epochs {
	if epoch <= e.last() || epoch < 0 {
		return e
	}
	for len(e) > 0 && e[len(e)-1].start >= start {
		e = e[:len(e)-1]
	}
	return append(e, epochStart{epoch, start})
}

// at returns the epoch of the record at offset, or -1 when it is before all.
func (e epochs) at(offset int64) int32 {
	i := sort.Search(len(e), func(i int) bool { return e[i].start > offset })
	if i == 0 {
		return -1
	}
	return e[i-1].epoch
}

// endOf answers OffsetForLeaderEpoch (KIP-279): the greatest epoch that is not
// above the asked one and the offset behind its last record; -1, -1 when nothing
// is known of it. end is the log's end.
func (e epochs) endOf(epoch int32, end int64) (int32, int64) {
	if epoch < 0 || len(e) == 0 || epoch > e.last() {
		return -1, -1
	}
	if epoch == e.last() {
		return epoch, end
	}
	i := sort.Search(len(e), func(i int) bool { return e[i].epoch > epoch })
	if i == 0 {
		return epoch, e[0].start
	}
	return e[i-1].epoch, e[i].start
}

// cut forgets epochs that begin at to or behind it (KAFKA-10706: in every
// truncation, also one at the end).
func (e epochs) cut(to int64) epochs {
	for len(e) > 0 && e[len(e)-1].start >= to {
		e = e[:len(e)-1]
	}
	return e
}

// advance forgets epochs that ended before start; the one that holds start begins
// there from now on.
func (e epochs) advance(start int64) epochs {
	i := sort.Search(len(e), func(i int) bool { return e[i].start > start })
	if i == 0 {
		return e
	}
	kept := append(epochs(nil), e[i-1:]...)
	kept[0].start = max(kept[0].start, start)
	return kept
}
