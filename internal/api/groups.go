package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// parkedGroup is a reply that waits for a shard's decision: for the other members of a rebalance, or for records to be committed.
type parkedGroup struct {
	*coordinator.Pending
	errors       *errorCounts
	key, version int16
	// turn makes the response of what the machine answered; errors of the engine arrive as error.
	turn func(body any) wire.Message
}

// Deadline implements rpc.Parked: the machine answers in its own time.
func (p *parkedGroup) Deadline() time.Time { return time.Time{} }

// Finish implements rpc.Parked.
func (p *parkedGroup) Finish(r *rpc.Reply, _ time.Time) bool {
	body := p.Take()
	if body == nil {
		return false
	}
	response := p.turn(body)
	p.errors.answered(p.key, response)
	r.Buf = response.Append(r.Buf, p.version)
	return true
}

// Drop implements rpc.Parked.
func (p *parkedGroup) Drop() { p.Cancel() }

// parkedRebalance is the reply to a member that waits for the others of its group.
type parkedRebalance struct{ *parkedGroup }

// End implements rpc.Ending: this broker coordinates nothing any more. A member that is told so looks for its
// group again, here or elsewhere.
func (p parkedRebalance) End(r *rpc.Reply) bool {
	if p.Finish(r, time.Time{}) {
		return true
	}
	p.Cancel()
	response := p.turn(code.NotCoordinator)
	p.errors.answered(p.key, response)
	r.Buf = response.Append(r.Buf, p.version)
	return true
}

// decideGroup hands a decision on a group to its shard and parks the reply. fail makes the response to a code.
func (b *Broker) decideGroup(c *rpc.Call, r *rpc.Reply, groupID string, d group.Decision, fail func(code.Error) wire.Message) wire.Message {
	r.Park(b.askGroup(c, groupID, d, fail))
	return nil
}

// rebalance is decideGroup for a decision that waits for the other members.
func (b *Broker) rebalance(c *rpc.Call, r *rpc.Reply, groupID string, d group.Decision, fail func(code.Error) wire.Message) wire.Message {
	r.Park(parkedRebalance{b.askGroup(c, groupID, d, fail)})
	return nil
}

// askGroup hands a decision on a group to its shard.
func (b *Broker) askGroup(c *rpc.Call, groupID string, d group.Decision, fail func(code.Error) wire.Message) *parkedGroup {
	p := &parkedGroup{Pending: coordinator.NewPending(), errors: b.errors, key: c.Header.Key, version: c.Header.Version}
	p.turn = func(body any) wire.Message {
		if err, failed := body.(error); failed {
			return fail(code.Of(err))
		}
		return body.(wire.Message)
	}
	b.Groups.Do(groupID, d, p.Pending)
	return p
}

// client is who a group's member is, in memory of its own.
func client(c *rpc.Call) group.Client {
	return group.Client{ID: strings.Clone(c.Header.ClientID), Host: "/" + hostOf(c.Conn.Remote)}
}

func (b *Broker) joinGroup(_ context.Context, c *rpc.Call, q *wire.JoinGroupRequest, r *rpc.Reply) wire.Message {
	memberID, version := strings.Clone(q.MemberId), c.Header.Version // the call is gone when a parked reply fails
	fail := func(e code.Error) wire.Message {
		a := wire.NewJoinGroupResponse()
		a.ErrorCode, a.MemberId = int16(e), memberID
		if version >= 7 {
			a.ProtocolType = nil
		}
		return a
	}
	if !b.allowed(c, auth.Read, auth.Group, q.GroupId) {
		return fail(code.GroupAuthorizationFailed)
	}
	c.Conn.Did.Member(q.GroupId)
	return b.rebalance(c, r, q.GroupId, group.Join(q, version, client(c)), fail)
}

func (b *Broker) syncGroup(_ context.Context, c *rpc.Call, q *wire.SyncGroupRequest, r *rpc.Reply) wire.Message {
	fail := func(e code.Error) wire.Message {
		a := wire.NewSyncGroupResponse()
		a.ErrorCode = int16(e)
		return a
	}
	switch {
	case !b.allowed(c, auth.Read, auth.Group, q.GroupId):
		return fail(code.GroupAuthorizationFailed)
	case c.Header.Version >= 5 && (q.ProtocolType == nil || q.ProtocolName == nil):
		return fail(code.InconsistentGroupProtocol)
	}
	return b.rebalance(c, r, q.GroupId, group.Sync(q), fail)
}

func (b *Broker) heartbeat(_ context.Context, c *rpc.Call, q *wire.HeartbeatRequest, r *rpc.Reply) wire.Message {
	fail := func(e code.Error) wire.Message { return &wire.HeartbeatResponse{ErrorCode: int16(e)} }
	if !b.allowed(c, auth.Read, auth.Group, q.GroupId) {
		return fail(code.GroupAuthorizationFailed)
	}
	c.Conn.Did.Member(q.GroupId)
	return b.decideGroup(c, r, q.GroupId, group.Heartbeat(q), func(e code.Error) wire.Message {
		if e == code.CoordinatorLoadInProgress { // the group is still being read: the member is most likely in it
			e = code.None
		}
		return fail(e)
	})
}

func (b *Broker) leaveGroup(_ context.Context, c *rpc.Call, q *wire.LeaveGroupRequest, r *rpc.Reply) wire.Message {
	fail := func(e code.Error) wire.Message { return &wire.LeaveGroupResponse{ErrorCode: int16(e)} }
	if !b.allowed(c, auth.Read, auth.Group, q.GroupId) {
		return fail(code.GroupAuthorizationFailed)
	}
	return b.decideGroup(c, r, q.GroupId, group.Leave(q, c.Header.Version), fail)
}

// offsetCommit stores a group's offsets. Topics that the caller may not read or that do not exist fail alone.
func (b *Broker) offsetCommit(_ context.Context, c *rpc.Call, q *wire.OffsetCommitRequest, r *rpc.Reply) wire.Message {
	if !b.allowed(c, auth.Read, auth.Group, q.GroupId) {
		return group.CommitError(q, code.GroupAuthorizationFailed)
	}
	c.Conn.Did.Member(q.GroupId)
	image := b.image()
	refused := make(map[tp]code.Error)
	ask := *q
	ask.Topics = slices.Clone(q.Topics)
	byID := c.Header.Version >= 10
	for i := range ask.Topics {
		t := &ask.Topics[i]
		var m *metadata.Topic
		if byID {
			if m = image.TopicByID(t.TopicId); m != nil {
				t.Name = m.Name
			}
		} else if m = image.Topic(t.Name); m != nil {
			t.TopicId = m.ID
		}
		kept := make([]wire.OffsetCommitRequestOffsetCommitRequestPartition, 0, len(t.Partitions))
		for _, p := range t.Partitions {
			switch {
			case m == nil && byID:
				refused[tp{string(t.TopicId[:]), p.PartitionIndex}] = code.UnknownTopicId
			case !b.allowed(c, auth.Read, auth.Topic, t.Name):
				refused[commitKey(t, byID, p.PartitionIndex)] = code.TopicAuthorizationFailed
			case m == nil || p.PartitionIndex < 0 || int(p.PartitionIndex) >= len(m.Partitions):
				refused[commitKey(t, byID, p.PartitionIndex)] = code.UnknownTopicOrPartition
			default:
				kept = append(kept, p)
			}
		}
		t.Partitions = kept
	}
	shape := commitShape(q)
	merge := func(done *wire.OffsetCommitResponse) wire.Message {
		codes := commitCodes(done, byID)
		return mergeCommit(shape, refused, func(key tp) int16 { return codes[key] }, byID)
	}
	ask.Topics = slices.DeleteFunc(ask.Topics, func(t wire.OffsetCommitRequestOffsetCommitRequestTopic) bool { return len(t.Partitions) == 0 })
	if len(ask.Topics) == 0 {
		return merge(&wire.OffsetCommitResponse{})
	}
	p := &parkedGroup{Pending: coordinator.NewPending(), errors: b.errors, key: c.Header.Key, version: c.Header.Version}
	p.turn = func(body any) wire.Message {
		if err, isError := body.(error); isError { // of the shard: nothing was committed
			return mergeCommit(shape, refused, func(tp) int16 { return int16(code.Of(err)) }, byID)
		}
		return merge(body.(*wire.OffsetCommitResponse))
	}
	b.Groups.Do(q.GroupId, group.CommitOffsets(&ask, c.Header.Version), p.Pending)
	r.Park(p)
	return nil
}

func commitKey(t *wire.OffsetCommitRequestOffsetCommitRequestTopic, byID bool, index int32) tp {
	if byID {
		return tp{string(t.TopicId[:]), index}
	}
	return tp{strings.Clone(t.Name), index}
}

// commitShape is the response to a request with every partition in its place, in memory of its own.
func commitShape(q *wire.OffsetCommitRequest) *wire.OffsetCommitResponse {
	a := &wire.OffsetCommitResponse{}
	for i := range q.Topics {
		t := &q.Topics[i]
		r := wire.OffsetCommitResponseOffsetCommitResponseTopic{Name: strings.Clone(t.Name), TopicId: t.TopicId}
		for _, p := range t.Partitions {
			r.Partitions = append(r.Partitions, wire.OffsetCommitResponseOffsetCommitResponsePartition{PartitionIndex: p.PartitionIndex})
		}
		if r.Partitions != nil {
			a.Topics = append(a.Topics, r)
		}
	}
	return a
}

// commitCodes are what the group's shard answered for each partition.
func commitCodes(done *wire.OffsetCommitResponse, byID bool) map[tp]int16 {
	codes := make(map[tp]int16)
	for i := range done.Topics {
		t := &done.Topics[i]
		for _, p := range t.Partitions {
			if byID {
				codes[tp{string(t.TopicId[:]), p.PartitionIndex}] = p.ErrorCode
			} else {
				codes[tp{t.Name, p.PartitionIndex}] = p.ErrorCode
			}
		}
	}
	return codes
}

// mergeCommit puts what was refused here and what the group's shard answered into one response. It looks at
// nothing of the request, which is gone by then.
func mergeCommit(shape *wire.OffsetCommitResponse, refused map[tp]code.Error, answered func(tp) int16, byID bool) wire.Message {
	for i := range shape.Topics {
		t := &shape.Topics[i]
		for k := range t.Partitions {
			key := tp{t.Name, t.Partitions[k].PartitionIndex}
			if byID {
				key.topic = string(t.TopicId[:])
			}
			if e, ok := refused[key]; ok {
				t.Partitions[k].ErrorCode = int16(e)
			} else {
				t.Partitions[k].ErrorCode = answered(key)
			}
		}
	}
	return shape
}

// groupsAtOnce is how many groups of one request are asked beside each other.
const groupsAtOnce = 16

// offsetFetch returns committed offsets, of several groups from version 8 on.
func (b *Broker) offsetFetch(ctx context.Context, c *rpc.Call, q *wire.OffsetFetchRequest, r *rpc.Reply) wire.Message {
	if tooMany(r, len(q.Groups)) {
		return nil
	}
	if c.Header.Version < 8 {
		one := b.fetchOffsets(ctx, c, group.GroupOf(q))
		return group.ResponseOf(&one)
	}
	a := &wire.OffsetFetchResponse{Groups: make([]wire.OffsetFetchResponseOffsetFetchResponseGroup, len(q.Groups))}
	var some errgroup.Group
	some.SetLimit(groupsAtOnce) // a request may name many, and a goroutine each would take all memory
	for i := range q.Groups {
		some.Go(func() error {
			a.Groups[i] = b.fetchOffsets(ctx, c, &q.Groups[i])
			return nil
		})
	}
	_ = some.Wait() // each group has its own error in the answer
	return a
}

// fetchOffsets answers for one group.
func (b *Broker) fetchOffsets(ctx context.Context, c *rpc.Call, q *wire.OffsetFetchRequestOffsetFetchRequestGroup) wire.OffsetFetchResponseOffsetFetchResponseGroup {
	failed := wire.OffsetFetchResponseOffsetFetchResponseGroup{GroupId: q.GroupId}
	if !b.allowed(c, auth.Describe, auth.Group, q.GroupId) {
		failed.ErrorCode = int16(code.GroupAuthorizationFailed)
		return failed
	}
	image := b.image()
	byID := c.Header.Version >= 10
	ask := *q
	ask.Topics = nil
	var refused []wire.OffsetFetchResponseOffsetFetchResponseTopics
	for _, t := range q.Topics {
		var e code.Error
		if byID {
			if m := image.TopicByID(t.TopicId); m != nil {
				t.Name = m.Name
			} else {
				e = code.UnknownTopicId
			}
		} else if m := image.Topic(t.Name); m != nil {
			t.TopicId = m.ID
		}
		if e == code.None && !b.allowed(c, auth.Describe, auth.Topic, t.Name) {
			e = code.TopicAuthorizationFailed
		}
		if e == code.None {
			ask.Topics = append(ask.Topics, t)
			continue
		}
		r := wire.OffsetFetchResponseOffsetFetchResponseTopics{Name: t.Name, TopicId: t.TopicId}
		for _, index := range t.PartitionIndexes {
			r.Partitions = append(r.Partitions, wire.OffsetFetchResponseOffsetFetchResponsePartitions{PartitionIndex: index, CommittedOffset: -1, CommittedLeaderEpoch: -1, Metadata: new(string), ErrorCode: int16(e)})
		}
		refused = append(refused, r)
	}
	if q.Topics != nil && ask.Topics == nil {
		ask.Topics = []wire.OffsetFetchRequestOffsetFetchRequestTopics{} // none, which is not all
	}
	body, err := b.Groups.Call(ctx, q.GroupId, group.FetchOffsets(&ask))
	if err != nil {
		failed.ErrorCode = int16(code.Of(err))
		return failed
	}
	done := *body.(*wire.OffsetFetchResponseOffsetFetchResponseGroup)
	if q.Topics == nil { // all: only what the caller may see, and what still exists
		done.Topics = slices.DeleteFunc(done.Topics, func(t wire.OffsetFetchResponseOffsetFetchResponseTopics) bool {
			return !b.allowed(c, auth.Describe, auth.Topic, t.Name)
		})
		for i := range done.Topics {
			if m := image.Topic(done.Topics[i].Name); m != nil {
				done.Topics[i].TopicId = m.ID
			}
		}
	}
	done.Topics = append(done.Topics, refused...)
	return done
}

// offsetDelete forgets a group's offsets of topics that it does not subscribe to (KIP-496).
func (b *Broker) offsetDelete(ctx context.Context, c *rpc.Call, q *wire.OffsetDeleteRequest, _ *rpc.Reply) wire.Message {
	a := &wire.OffsetDeleteResponse{}
	if !b.allowed(c, auth.Delete, auth.Group, q.GroupId) {
		a.ErrorCode = int16(code.GroupAuthorizationFailed)
		return a
	}
	image := b.image()
	ask := &wire.OffsetDeleteRequest{GroupId: q.GroupId}
	for _, t := range q.Topics {
		allowed, m := b.allowed(c, auth.Read, auth.Topic, t.Name), image.Topic(t.Name)
		r := wire.OffsetDeleteResponseOffsetDeleteResponseTopic{Name: t.Name}
		kept := t
		kept.Partitions = nil
		for _, p := range t.Partitions {
			e := code.None
			switch {
			case !allowed:
				e = code.TopicAuthorizationFailed
			case m == nil || p.PartitionIndex < 0 || int(p.PartitionIndex) >= len(m.Partitions):
				e = code.UnknownTopicOrPartition
			default:
				kept.Partitions = append(kept.Partitions, p)
				continue
			}
			r.Partitions = append(r.Partitions, wire.OffsetDeleteResponseOffsetDeleteResponsePartition{PartitionIndex: p.PartitionIndex, ErrorCode: int16(e)})
		}
		if kept.Partitions != nil {
			ask.Topics = append(ask.Topics, kept)
		}
		if r.Partitions != nil {
			a.Topics = append(a.Topics, r)
		}
	}
	body, err := b.Groups.Call(ctx, q.GroupId, group.DeleteOffsets(ask))
	if err != nil {
		return &wire.OffsetDeleteResponse{ErrorCode: int16(code.Of(err))}
	}
	done := body.(*wire.OffsetDeleteResponse)
	if done.ErrorCode != 0 {
		return done
	}
	for _, t := range done.Topics { // a topic's partitions come together, whoever answered for them
		if i := slices.IndexFunc(a.Topics, func(r wire.OffsetDeleteResponseOffsetDeleteResponseTopic) bool { return r.Name == t.Name }); i >= 0 {
			a.Topics[i].Partitions = append(a.Topics[i].Partitions, t.Partitions...)
		} else {
			a.Topics = append(a.Topics, t)
		}
	}
	return a
}

func (b *Broker) describeGroups(ctx context.Context, c *rpc.Call, q *wire.DescribeGroupsRequest, r *rpc.Reply) wire.Message {
	if tooMany(r, len(q.Groups)) {
		return nil
	}
	a := &wire.DescribeGroupsResponse{Groups: make([]wire.DescribeGroupsResponseDescribedGroup, len(q.Groups))}
	for i, id := range q.Groups {
		d := &a.Groups[i]
		d.Default()
		d.GroupId = id
		if !b.allowed(c, auth.Describe, auth.Group, id) {
			d.ErrorCode = int16(code.GroupAuthorizationFailed)
			continue
		}
		body, err := b.Groups.Call(ctx, id, group.Describe(id, c.Header.Version))
		if err != nil {
			d.ErrorCode = int16(code.Of(err))
			continue
		}
		*d = *body.(*wire.DescribeGroupsResponseDescribedGroup)
		if d.ErrorCode == 0 {
			d.AuthorizedOperations = b.operations(q.IncludeAuthorizedOperations, c, auth.Group, id)
		}
	}
	return a
}

func (b *Broker) listGroups(ctx context.Context, c *rpc.Call, q *wire.ListGroupsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.ListGroupsResponse{}
	bodies, err := b.Groups.Each(ctx, group.List(q))
	if err != nil {
		a.ErrorCode = int16(code.Of(err))
		return a
	}
	all := b.allowed(c, auth.Describe, auth.Cluster, auth.ClusterName)
	for _, body := range bodies {
		for _, g := range body.(*wire.ListGroupsResponse).Groups {
			if all || b.allowed(c, auth.Describe, auth.Group, g.GroupId) {
				a.Groups = append(a.Groups, g)
			}
		}
	}
	return a
}

func (b *Broker) deleteGroups(ctx context.Context, c *rpc.Call, q *wire.DeleteGroupsRequest, r *rpc.Reply) wire.Message {
	if tooMany(r, len(q.GroupsNames)) {
		return nil
	}
	a := &wire.DeleteGroupsResponse{}
	seen := make(map[string]bool, len(q.GroupsNames))
	for _, id := range q.GroupsNames {
		if seen[id] {
			continue
		}
		seen[id] = true
		r := wire.DeleteGroupsResponseDeletableGroupResult{GroupId: id}
		if !b.allowed(c, auth.Delete, auth.Group, id) {
			r.ErrorCode = int16(code.GroupAuthorizationFailed)
		} else if body, err := b.Groups.Call(ctx, id, group.Delete(id)); err != nil {
			r.ErrorCode = int16(code.Of(err))
		} else {
			r = *body.(*wire.DeleteGroupsResponseDeletableGroupResult)
		}
		a.Results = append(a.Results, r)
	}
	return a
}

// Kinds of coordinators.
const (
	groupCoordinator       = 0
	transactionCoordinator = 1
)

// findCoordinator says which broker coordinates a group, and sees to it that the topic of offsets exists.
func (b *Broker) findCoordinator(ctx context.Context, c *rpc.Call, q *wire.FindCoordinatorRequest, r *rpc.Reply) wire.Message {
	if tooMany(r, len(q.CoordinatorKeys)) {
		return nil
	}
	a := wire.NewFindCoordinatorResponse()
	keys := q.CoordinatorKeys
	if c.Header.Version < 4 {
		keys = []string{q.KeyField}
	}
	a.Coordinators = make([]wire.FindCoordinatorResponseCoordinator, 0, len(keys))
	var refused wire.FindCoordinatorResponseCoordinator // what is wrong with all keys: one sentence, however many they are
	switch q.KeyType {
	case groupCoordinator:
	case transactionCoordinator:
		refused.ErrorCode, refused.ErrorMessage = b.failure(code.Errorf(code.TransactionalIdAuthorizationFailed, "this version of Klamm has no transactions yet; produce without a transactional.id"))
	default:
		refused.ErrorCode, refused.ErrorMessage = b.failure(code.Errorf(code.InvalidRequest, "coordinators of type %d do not exist in this version; there is 0 (groups)", q.KeyType))
	}
	for _, key := range keys {
		d := wire.FindCoordinatorResponseCoordinator{KeyField: key, NodeId: -1, Port: -1, ErrorCode: refused.ErrorCode, ErrorMessage: refused.ErrorMessage}
		if d.ErrorCode == 0 {
			e, err := b.coordinatorOf(ctx, c, key)
			if err != nil {
				d.ErrorCode, d.ErrorMessage = b.failure(err)
			} else {
				d.NodeId, d.Host, d.Port = e.id, e.host, e.port
			}
		}
		a.Coordinators = append(a.Coordinators, d)
	}
	if c.Header.Version < 4 && len(a.Coordinators) == 1 {
		d := a.Coordinators[0]
		a.ErrorCode, a.ErrorMessage, a.NodeId, a.Host, a.Port = d.ErrorCode, d.ErrorMessage, d.NodeId, d.Host, d.Port
	}
	return a
}

type coordinatorAddress struct {
	id int32
	endpoint
}

func (b *Broker) coordinatorOf(ctx context.Context, c *rpc.Call, key string) (coordinatorAddress, error) {
	var none coordinatorAddress
	if !b.allowed(c, auth.Describe, auth.Group, key) {
		return none, code.GroupAuthorizationFailed
	}
	image := b.image()
	t := image.Topic(offsetsTopic)
	if t == nil {
		create := &wire.CreateTopicsRequest{}
		create.Default()
		create.Topics = append(create.Topics, b.newTopic(offsetsTopic))
		if _, err := b.decide(ctx, controller.CreateTopics(create)); err != nil {
			b.Logger.Warn("the topic of committed offsets could not be created", "event", "offsets_topic_not_created", "error", err)
			return none, code.CoordinatorNotAvailable
		}
		image = b.image()
		if t = image.Topic(offsetsTopic); t == nil {
			return none, code.CoordinatorNotAvailable
		}
	}
	p := &t.Partitions[int(b.Groups.PartitionFor(key))%len(t.Partitions)]
	e, ok := b.leaderEndpoint(p.Leader, c.Conn)
	if !ok {
		return none, code.CoordinatorNotAvailable
	}
	return coordinatorAddress{p.Leader, e}, nil
}
