package group

import "github.com/klamm/klamm/internal/wire"

// Summary is what metrics tell of one group.
type Summary struct {
	// ID is the group's.
	ID string
	// State is where it stands; groups of other protocols than the classic one are Empty.
	State State
	// Members is how many members it has, by the classic protocol.
	Members int
	// Offsets are its committed offsets, in no order.
	Offsets []CommittedOffset
}

// CommittedOffset is one partition's offset in a group.
type CommittedOffset struct {
	// Topic and Partition name the partition.
	Topic     string
	Partition int32
	// TopicID is the topic's id where the commit told it, else zero.
	TopicID wire.UUID
	// Offset is that of the next record to read.
	Offset int64
}

// Summarize returns the decision that tells all groups of the shard with their
// offsets, answered by a []Summary in no order. It changes nothing, and copies
// about 50 bytes an offset.
func Summarize() Decision {
	return decide(func(r *run) {
		list := make([]Summary, 0, len(r.m.groups))
		for id, g := range r.m.groups {
			s := Summary{ID: id, State: g.state, Members: len(g.members)}
			n := 0
			for _, parts := range g.offsets {
				n += len(parts)
			}
			s.Offsets = make([]CommittedOffset, 0, n)
			for topic, parts := range g.offsets {
				for p, o := range parts {
					s.Offsets = append(s.Offsets, CommittedOffset{Topic: topic, Partition: p, TopicID: o.topicID, Offset: o.offset})
				}
			}
			list = append(list, s)
		}
		r.reply(list)
	})
}
