package group

import (
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

// commitGroupIDNotFound is the version of OffsetCommit that knows that error (KIP-848).
const commitGroupIDNotFound = 9

// CommitOffsets returns the decision on an OffsetCommit, answered by a
// *wire.OffsetCommitResponse. Topics carry their names in every version, and ids
// where they are known: the API resolves them before.
func CommitOffsets(req *wire.OffsetCommitRequest, version int16) Decision {
	q := ownedCommit(req)
	return decide(func(r *run) {
		if c := r.mayCommit(q, version); c != code.None {
			r.reply(CommitError(q, c))
			return
		}
		r.reply(r.commit(q))
	})
}

// CommitError returns the answer to req that says c for every partition. The
// answer aliases the strings of req.
func CommitError(req *wire.OffsetCommitRequest, c code.Error) *wire.OffsetCommitResponse {
	resp := &wire.OffsetCommitResponse{Topics: make([]wire.OffsetCommitResponseOffsetCommitResponseTopic, len(req.Topics))}
	for i := range req.Topics {
		from, to := &req.Topics[i], &resp.Topics[i]
		to.Name, to.TopicId = from.Name, from.TopicId
		to.Partitions = make([]wire.OffsetCommitResponseOffsetCommitResponsePartition, len(from.Partitions))
		for j := range from.Partitions {
			to.Partitions[j].PartitionIndex = from.Partitions[j].PartitionIndex
			to.Partitions[j].ErrorCode = int16(c)
		}
	}
	return resp
}

// mayCommit says whether the group accepts a commit from that member in that
// generation; the group need not exist for one without generation.
func (r *run) mayCommit(q *wire.OffsetCommitRequest, version int16) code.Error {
	generation := q.GenerationIdOrMemberEpoch
	g := r.m.groups[q.GroupId]
	if g == nil {
		switch {
		case generation < 0:
			return code.None
		case version >= commitGroupIDNotFound:
			return code.GroupIdNotFound
		}
		return code.IllegalGeneration
	}
	if generation < 0 && g.state == Empty {
		return code.None // a tool, or a consumer that manages its partitions itself
	}
	if generation < 0 && q.MemberId == "" && q.GroupInstanceId == nil {
		return code.UnknownMemberId
	}
	if c := g.check(q.MemberId, q.GroupInstanceId); c != code.None {
		return c
	}
	switch {
	case generation != g.generation:
		return code.IllegalGeneration
	case g.state == CompletingRebalance:
		return code.RebalanceInProgress
	}
	if mem := g.byID[q.MemberId]; mem != nil {
		r.m.keepAlive(mem, r.env.Now)
	}
	return code.None
}

func (r *run) commit(q *wire.OffsetCommitRequest) *wire.OffsetCommitResponse {
	now := r.nowMs()
	resp := CommitError(q, code.None)
	for i := range q.Topics {
		t := &q.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			o := offset{
				offset: p.CommittedOffset, leaderEpoch: p.CommittedLeaderEpoch, topicID: t.TopicId,
				committed: now, expires: -1,
			}
			if p.CommittedMetadata != nil {
				o.metadata = *p.CommittedMetadata
			}
			if tooLong(o.metadata, r.m.o.MaxMetadata) {
				resp.Topics[i].Partitions[j].ErrorCode = int16(code.OffsetMetadataTooLarge)
				continue
			}
			if p.CommitTimestamp != -1 { // version 1
				o.committed = p.CommitTimestamp
			}
			if q.RetentionTimeMs != -1 { // versions 2 to 4
				o.expires = now + q.RetentionTimeMs
			}
			r.record(offsetKey(q.GroupId, t.Name, p.PartitionIndex), o.value())
			r.m.stats.OffsetCommits++
		}
	}
	return resp
}

// tooLong compares in Java's characters, as offset.metadata.max.bytes does despite its name.
func tooLong(s string, limit int) bool {
	if len(s) <= limit {
		return false
	}
	n := 0
	for _, c := range s {
		if c == utf8.RuneError {
			n++
			continue
		}
		n += utf16.RuneLen(c)
	}
	return n > limit
}

// FetchOffsets returns the decision on one group of an OffsetFetch, answered by a
// *wire.OffsetFetchResponseOffsetFetchResponseGroup. Null topics ask for all.
// GroupOf and ResponseOf make it serve the versions before 8. An offset that is not
// there is -1, and so is that of a topic whose id is another than the committed one.
func FetchOffsets(req *wire.OffsetFetchRequestOffsetFetchRequestGroup) Decision {
	group := owned(req.GroupId)
	var topics []wire.OffsetFetchResponseOffsetFetchResponseTopics
	if req.Topics != nil {
		topics = make([]wire.OffsetFetchResponseOffsetFetchResponseTopics, len(req.Topics))
		for i := range req.Topics {
			from, to := &req.Topics[i], &topics[i]
			to.Name, to.TopicId = owned(from.Name), from.TopicId
			to.Partitions = make([]wire.OffsetFetchResponseOffsetFetchResponsePartitions, len(from.PartitionIndexes))
			for j, p := range from.PartitionIndexes {
				to.Partitions[j].PartitionIndex = p
			}
		}
	}
	return decide(func(r *run) {
		resp := &wire.OffsetFetchResponseOffsetFetchResponseGroup{GroupId: group, Topics: topics}
		g := r.m.groups[group]
		if topics == nil {
			resp.Topics = g.allOffsets()
		} else {
			g.fill(topics)
		}
		r.reply(resp)
	})
}

func (g *classic) fill(topics []wire.OffsetFetchResponseOffsetFetchResponseTopics) {
	for i := range topics {
		t := &topics[i]
		var parts map[int32]offset
		if g != nil {
			parts = g.offsets[t.Name]
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			o, ok := parts[p.PartitionIndex]
			if ok && !o.topicID.IsZero() && !t.TopicId.IsZero() && o.topicID != t.TopicId {
				ok = false // of a topic of that name that was deleted
			}
			if !ok {
				o = offset{offset: -1, leaderEpoch: -1}
			}
			o.show(p)
		}
	}
}

func (g *classic) allOffsets() []wire.OffsetFetchResponseOffsetFetchResponseTopics {
	topics := []wire.OffsetFetchResponseOffsetFetchResponseTopics{}
	if g == nil {
		return topics
	}
	for _, name := range sortedKeys(g.offsets) {
		t := wire.OffsetFetchResponseOffsetFetchResponseTopics{Name: name}
		for _, p := range sortedKeys(g.offsets[name]) {
			o := g.offsets[name][p]
			t.TopicId = o.topicID
			t.Partitions = append(t.Partitions, wire.OffsetFetchResponseOffsetFetchResponsePartitions{PartitionIndex: p})
			o.show(&t.Partitions[len(t.Partitions)-1])
		}
		topics = append(topics, t)
	}
	return topics
}

func (o *offset) show(p *wire.OffsetFetchResponseOffsetFetchResponsePartitions) {
	metadata := o.metadata
	p.CommittedOffset, p.CommittedLeaderEpoch, p.Metadata = o.offset, o.leaderEpoch, &metadata
}

// GroupOf returns the one group that an OffsetFetch before version 8 asks for.
// It aliases req.
func GroupOf(req *wire.OffsetFetchRequest) *wire.OffsetFetchRequestOffsetFetchRequestGroup {
	g := &wire.OffsetFetchRequestOffsetFetchRequestGroup{GroupId: req.GroupId, MemberEpoch: -1}
	if req.Topics == nil {
		return g
	}
	g.Topics = make([]wire.OffsetFetchRequestOffsetFetchRequestTopics, len(req.Topics))
	for i := range req.Topics {
		g.Topics[i] = wire.OffsetFetchRequestOffsetFetchRequestTopics{Name: req.Topics[i].Name, PartitionIndexes: req.Topics[i].PartitionIndexes}
	}
	return g
}

// ResponseOf returns the answer to an OffsetFetch before version 8 with what was
// found for its group.
func ResponseOf(g *wire.OffsetFetchResponseOffsetFetchResponseGroup) *wire.OffsetFetchResponse {
	resp := &wire.OffsetFetchResponse{ErrorCode: g.ErrorCode, Topics: make([]wire.OffsetFetchResponseOffsetFetchResponseTopic, len(g.Topics))}
	for i := range g.Topics {
		from, to := &g.Topics[i], &resp.Topics[i]
		to.Name = from.Name
		to.Partitions = make([]wire.OffsetFetchResponseOffsetFetchResponsePartition, len(from.Partitions))
		for j, p := range from.Partitions {
			to.Partitions[j] = wire.OffsetFetchResponseOffsetFetchResponsePartition{
				PartitionIndex: p.PartitionIndex, CommittedOffset: p.CommittedOffset,
				CommittedLeaderEpoch: p.CommittedLeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			}
		}
	}
	return resp
}

// DeleteOffsets returns the decision on an OffsetDelete (KIP-496), answered by a
// *wire.OffsetDeleteResponse. Offsets of topics that consumers of the group
// subscribe to stay, and so do all while members of another protocol type are there.
func DeleteOffsets(req *wire.OffsetDeleteRequest) Decision {
	group := owned(req.GroupId)
	resp := &wire.OffsetDeleteResponse{Topics: make([]wire.OffsetDeleteResponseOffsetDeleteResponseTopic, len(req.Topics))}
	for i := range req.Topics {
		from, to := &req.Topics[i], &resp.Topics[i]
		to.Name = owned(from.Name)
		to.Partitions = make([]wire.OffsetDeleteResponseOffsetDeleteResponsePartition, len(from.Partitions))
		for j := range from.Partitions {
			to.Partitions[j].PartitionIndex = from.Partitions[j].PartitionIndex
		}
	}
	return decide(func(r *run) {
		if c := r.deleteOffsets(group, resp); c != code.None {
			resp.ErrorCode, resp.Topics = int16(c), []wire.OffsetDeleteResponseOffsetDeleteResponseTopic{}
		}
		r.reply(resp)
	})
}

func (r *run) deleteOffsets(group string, resp *wire.OffsetDeleteResponse) code.Error {
	if group == "" {
		return code.InvalidGroupId
	}
	g := r.m.groups[group]
	switch {
	case g == nil:
		return code.GroupIdNotFound
	case g.state != Empty && g.protocolType != consumerProtocol:
		return code.NonEmptyGroup
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		subscribed := g.subscribes(t.Name)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if subscribed {
				p.ErrorCode = int16(code.GroupSubscribedToTopic)
				continue
			}
			if _, ok := g.offsets[t.Name][p.PartitionIndex]; ok {
				r.record(offsetKey(group, t.Name, p.PartitionIndex), nil)
				r.m.stats.OffsetDeletes++
			}
		}
	}
	return code.None
}

// DeletedTopic is a topic that is gone.
type DeletedTopic struct {
	Name string
	ID   wire.UUID
}

// TopicsDeleted returns the decision to drop all offsets of topics that are gone.
// Offsets that were committed with the id of a newer topic of the name stay. It
// has no answer but nil.
func TopicsDeleted(topics []DeletedTopic) Decision {
	return decide(func(r *run) {
		for _, id := range sortedKeys(r.m.groups) {
			g := r.m.groups[id]
			for _, t := range topics {
				parts := g.offsets[t.Name]
				for _, p := range sortedKeys(parts) {
					if o := parts[p]; o.topicID.IsZero() || o.topicID == t.ID {
						r.record(offsetKey(id, t.Name, p), nil)
						r.m.stats.OffsetDeletes++
					}
				}
			}
		}
		r.reply(nil)
	})
}

// cleanup expires offsets and removes empty groups that have none left (KIP-211).
func (r *run) cleanup() {
	for _, id := range sortedKeys(r.m.groups) {
		g := r.m.groups[id]
		if r.m.foreignGroups[id] > 0 {
			continue // whether its members are there is not for this protocol to say
		}
		if r.expireOffsets(g) && g.state == Empty && len(g.pending) == 0 {
			r.record(groupKey(id), nil)
		}
	}
	if len(r.m.groups) > 0 {
		r.m.deadlines.set(&r.m.cleanup, r.env.Now.Add(r.m.o.CheckInterval))
	}
}

// expireOffsets records tombstones for the offsets that nobody has used for
// offsets.retention.minutes, and says whether that is all of them. A group with
// members uses those of the topics it reads; one without, all, counted from when
// the last member left.
func (r *run) expireOffsets(g *classic) bool {
	if len(g.offsets) == 0 {
		return true
	}
	empty := g.protocolType != "" && g.state == Empty
	simple := g.protocolType == ""
	unread := g.protocolType == consumerProtocol && g.known && g.state == Stable
	if !empty && !simple && !unread {
		return false
	}
	now, all := r.nowMs(), true
	for _, topic := range sortedKeys(g.offsets) {
		if g.subscribes(topic) {
			all = false
			continue
		}
		parts := g.offsets[topic]
		for _, p := range sortedKeys(parts) {
			o := parts[p]
			from := o.committed
			if empty && g.since != -1 {
				from = g.since
			}
			if o.expires >= 0 && now < o.expires || o.expires < 0 && now-from < r.m.o.Retention.Milliseconds() {
				all = false
				continue
			}
			r.record(offsetKey(g.id, topic, p), nil)
			r.m.stats.OffsetsExpired++
		}
	}
	return all
}

func ownedCommit(req *wire.OffsetCommitRequest) *wire.OffsetCommitRequest {
	q := &wire.OffsetCommitRequest{
		GroupId: owned(req.GroupId), GenerationIdOrMemberEpoch: req.GenerationIdOrMemberEpoch,
		MemberId: owned(req.MemberId), GroupInstanceId: ownedPtr(req.GroupInstanceId), RetentionTimeMs: req.RetentionTimeMs,
		Topics: make([]wire.OffsetCommitRequestOffsetCommitRequestTopic, len(req.Topics)),
	}
	for i := range req.Topics {
		from, to := &req.Topics[i], &q.Topics[i]
		to.Name, to.TopicId = owned(from.Name), from.TopicId
		to.Partitions = append(to.Partitions, from.Partitions...)
		for j := range to.Partitions {
			to.Partitions[j].CommittedMetadata = ownedPtr(to.Partitions[j].CommittedMetadata)
		}
	}
	return q
}
