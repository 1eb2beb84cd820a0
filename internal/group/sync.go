package group

import (
	"bytes"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

type syncRequest struct {
	group, memberID            string
	instance                   *string
	generation                 int32
	protocolType, protocolName *string
	assignments                map[string][]byte
}

// Sync returns the decision on a SyncGroup, answered by a *wire.SyncGroupResponse.
// Followers wait for the leader's; the leader's assignment is recorded before
// anybody is told.
func Sync(req *wire.SyncGroupRequest) Decision {
	q := &syncRequest{
		group: owned(req.GroupId), memberID: owned(req.MemberId), instance: ownedPtr(req.GroupInstanceId),
		generation: req.GenerationId, protocolType: ownedPtr(req.ProtocolType), protocolName: ownedPtr(req.ProtocolName),
		assignments: make(map[string][]byte, len(req.Assignments)),
	}
	for i := range req.Assignments {
		a := &req.Assignments[i]
		q.assignments[owned(a.MemberId)] = bytes.Clone(a.Assignment)
	}
	return decide(func(r *run) { r.sync(q) })
}

func (r *run) sync(q *syncRequest) {
	g := r.m.groups[q.group]
	if c := g.checkSync(q); c != code.None {
		r.reply(syncError(c))
		return
	}
	mem := g.byID[q.memberID]
	g.synced(mem)
	if g.unsynced == 0 {
		r.m.deadlines.stop(&g.sync)
	}
	if g.state == Stable {
		r.reply(g.assigned(mem))
		return
	}
	r.superseded(mem, r.env.Ticket)
	if g.leader == mem.id {
		r.assign(g, q.assignments)
	}
}

// checkSync says why the request is refused; None when it is a member's in its
// generation.
func (g *classic) checkSync(q *syncRequest) code.Error {
	if q.group == "" {
		return code.InvalidGroupId
	}
	if g == nil {
		return code.UnknownMemberId
	}
	if c := g.check(q.memberID, q.instance); c != code.None {
		return c
	}
	switch {
	case q.generation != g.generation:
		return code.IllegalGeneration
	case q.protocolType != nil && *q.protocolType != g.protocolType,
		q.protocolName != nil && g.protocol != nil && *q.protocolName != *g.protocol:
		return code.InconsistentGroupProtocol
	case g.state == PreparingRebalance:
		return code.RebalanceInProgress
	}
	return code.None
}

// assign takes the leader's assignment: the group is stable once its record is.
func (r *run) assign(g *classic, assignments map[string][]byte) {
	for _, mem := range g.members {
		mem.assignment = assignments[mem.id]
	}
	r.m.setState(g, Stable, r.nowMs())
	value := g.value()
	if len(value) > r.m.o.MaxRecordBytes {
		// It can never be stored: tell the members, and try with whom comes back.
		r.m.setState(g, CompletingRebalance, r.nowMs())
		for _, mem := range g.members {
			mem.assignment = nil
		}
		r.answerSyncs(g, code.UnknownServerError)
		r.prepareRebalance(g)
		return
	}
	r.record(groupKey(g.id), value)
	r.m.stats.Rebalances++
	r.answerSyncs(g, code.None)
}

// Heartbeat returns the decision on a Heartbeat, answered by a *wire.HeartbeatResponse.
func Heartbeat(req *wire.HeartbeatRequest) Decision {
	group, id, instance, generation := owned(req.GroupId), owned(req.MemberId), ownedPtr(req.GroupInstanceId), req.GenerationId
	return decide(func(r *run) {
		r.reply(&wire.HeartbeatResponse{ErrorCode: int16(r.heartbeat(group, id, instance, generation))})
	})
}

func (r *run) heartbeat(group, id string, instance *string, generation int32) code.Error {
	if group == "" {
		return code.InvalidGroupId
	}
	g := r.m.groups[group]
	if g == nil {
		return code.UnknownMemberId
	}
	if c := g.check(id, instance); c != code.None {
		return c
	}
	if generation != g.generation {
		return code.IllegalGeneration
	}
	r.m.keepAlive(g.byID[id], r.env.Now)
	if g.state == PreparingRebalance {
		return code.RebalanceInProgress
	}
	return code.None
}

// Leave returns the decision on a LeaveGroup, answered by a *wire.LeaveGroupResponse.
// A static member may be removed by its instance id alone.
func Leave(req *wire.LeaveGroupRequest, version int16) Decision {
	group := owned(req.GroupId)
	members := make([]wire.LeaveGroupResponseMemberResponse, 0, max(1, len(req.Members)))
	for i := range req.Members {
		members = append(members, wire.LeaveGroupResponseMemberResponse{
			MemberId: owned(req.Members[i].MemberId), GroupInstanceId: ownedPtr(req.Members[i].GroupInstanceId),
		})
	}
	if version < leaveBatch {
		members = append(members[:0], wire.LeaveGroupResponseMemberResponse{MemberId: owned(req.MemberId)})
	}
	return decide(func(r *run) {
		resp := &wire.LeaveGroupResponse{Members: members}
		if c := r.leave(group, members); c != code.None {
			resp.ErrorCode, resp.Members = int16(c), []wire.LeaveGroupResponseMemberResponse{}
		} else if version < leaveBatch {
			resp.ErrorCode = members[0].ErrorCode
		}
		r.reply(resp)
	})
}

// leaveBatch is the version of LeaveGroup that names several members, with an error each.
const leaveBatch = 3

func (r *run) leave(group string, members []wire.LeaveGroupResponseMemberResponse) code.Error {
	if group == "" {
		return code.InvalidGroupId
	}
	g := r.m.groups[group]
	left := false
	for i := range members {
		c := r.leaveOne(g, members[i].MemberId, members[i].GroupInstanceId)
		members[i].ErrorCode = int16(c)
		left = left || c == code.None
	}
	if left && g.state != Empty {
		r.rebalance(g)
	}
	return code.None
}

func (r *run) leaveOne(g *classic, id string, instance *string) code.Error {
	if g == nil {
		return code.UnknownMemberId
	}
	var mem *member
	switch {
	case id == "":
		if instance != nil {
			mem = g.static[*instance]
		}
		if mem == nil {
			return code.UnknownMemberId
		}
	case g.pending[id] != nil:
		r.m.removePending(g, id)
		return code.None
	default:
		if c := g.check(id, instance); c != code.None {
			return c
		}
		mem = g.byID[id]
	}
	r.dropMember(g, mem)
	return code.None
}
