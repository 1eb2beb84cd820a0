package group

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

// The versions of JoinGroup from which on its answers differ.
const (
	joinNeedsMemberID  = 4 // KIP-394: an id is handed out first
	joinSkipAssignment = 9 // KIP-814: a static leader is told not to assign anew
)

// maxPendingJoins bounds the ids of one group that were handed out and not used
// yet, so that clients that retry without one cannot fill the memory (KAFKA-7610).
const maxPendingJoins = 10_000

// joinRequest is a JoinGroup in memory of its own.
type joinRequest struct {
	group, memberID  string
	instance         *string
	sessionTimeout   int32
	rebalanceTimeout int32
	protocolType     string
	protocols        []protocol
	version          int16
	client           Client
}

// Join returns the decision on a JoinGroup, answered by a *wire.JoinGroupResponse
// when the next generation begins or at once. The first join of a member id that
// the client does not bring is answered MEMBER_ID_REQUIRED from version 4 on.
func Join(req *wire.JoinGroupRequest, version int16, c Client) Decision {
	q := &joinRequest{
		group: owned(req.GroupId), memberID: owned(req.MemberId), instance: ownedPtr(req.GroupInstanceId),
		sessionTimeout: req.SessionTimeoutMs, rebalanceTimeout: req.RebalanceTimeoutMs,
		protocolType: owned(req.ProtocolType), protocols: make([]protocol, len(req.Protocols)),
		version: version, client: Client{ID: owned(c.ID), Host: owned(c.Host)},
	}
	if version == 0 { // it has one timeout for both
		q.rebalanceTimeout = q.sessionTimeout
	}
	for i := range req.Protocols {
		p := &req.Protocols[i]
		q.protocols[i] = protocol{owned(p.Name), bytes.Clone(p.Metadata)}
	}
	return decide(func(r *run) { r.join(q) })
}

func (r *run) join(q *joinRequest) {
	m := r.m
	switch {
	case q.group == "":
		r.reply(joinError(q.memberID, code.InvalidGroupId))
		return
	case int64(q.sessionTimeout) < m.o.MinSessionTimeout.Milliseconds() || int64(q.sessionTimeout) > m.o.MaxSessionTimeout.Milliseconds():
		r.reply(joinError(q.memberID, code.InvalidSessionTimeout))
		return
	case m.foreignGroups[q.group] > 0: // another protocol's group
		r.reply(joinError(q.memberID, code.InconsistentGroupProtocol))
		return
	}
	g := m.groups[q.group]
	fresh := g == nil
	if fresh {
		if q.memberID != "" {
			r.reply(joinError(q.memberID, code.UnknownMemberId))
			return
		}
		g = m.create(q.group)
	}
	switch {
	case !g.accepts(q.memberID, m.o.MaxSize):
		m.removePending(g, q.memberID)
		if mem := g.byID[q.memberID]; mem != nil {
			r.dropMember(g, mem)
		}
		r.reply(joinError("", code.GroupMaxSizeReached))
		r.maybeCompleteJoin(g) // it may have been the last one waited for
	case q.memberID == "":
		r.joinNew(g, q)
	default:
		r.joinExisting(g, q)
	}
	if !fresh || len(r.out.Records) > 0 {
		return
	}
	if len(g.members) == 0 && len(g.pending) == 0 {
		m.forget(g) // it was refused, and leaves no trace
		return
	}
	r.storeNew(g)
}

// accepts says whether group.max.size has room for the member. While members
// rejoin, those that have are counted: the last to come are turned away when the
// limit was lowered.
func (g *classic) accepts(id string, limit int) bool {
	mem := g.byID[id]
	switch g.state {
	case PreparingRebalance:
		return mem != nil && mem.joining != 0 || g.joining < limit
	case CompletingRebalance, Stable:
		return mem != nil || len(g.members) < limit
	}
	return true
}

func (r *run) joinNew(g *classic, q *joinRequest) {
	if !g.supports(q.protocolType, q.protocols) {
		r.reply(joinError("", code.InconsistentGroupProtocol))
		return
	}
	prefix := q.client.ID
	if q.instance != nil {
		prefix = *q.instance
	}
	id := prefix + "-" + newUUID(r.env.Rand)
	switch {
	case q.instance != nil && g.static[*q.instance] != nil:
		r.replaceStatic(g, g.static[*q.instance], id, q)
	case q.instance == nil && q.version >= joinNeedsMemberID:
		if len(g.pending) >= maxPendingJoins {
			r.reply(joinError("", code.CoordinatorNotAvailable))
			return
		}
		d := &deadline{purpose: pendingJoin, group: g, id: id}
		if g.pending == nil {
			g.pending = make(map[string]*deadline, 1)
		}
		g.pending[id] = d
		r.m.deadlines.set(d, r.env.Now.Add(milliseconds(q.sessionTimeout)))
		r.reply(joinError(id, code.MemberIdRequired))
	default:
		r.addMember(g, id, q)
	}
}

func (r *run) addMember(g *classic, id string, q *joinRequest) {
	if len(g.members) == 0 {
		g.protocolType = q.protocolType
	}
	if g.state == PreparingRebalance && g.previous == Empty {
		g.grew = true
	}
	mem := &member{
		id: id, instance: q.instance, client: q.client, protocols: q.protocols,
		rebalanceTimeout: q.rebalanceTimeout, sessionTimeout: q.sessionTimeout, isNew: true,
	}
	r.m.add(g, mem)
	r.park(g, mem)
	r.m.deadlines.set(&mem.session, r.env.Now.Add(newMemberJoinTimeout))
	r.rebalance(g)
}

func (r *run) joinExisting(g *classic, q *joinRequest) {
	if !g.supports(q.protocolType, q.protocols) {
		r.reply(joinError(q.memberID, code.InconsistentGroupProtocol))
		return
	}
	if g.pending[q.memberID] != nil && q.instance == nil {
		r.addMember(g, q.memberID, q)
		return
	}
	if c := g.check(q.memberID, q.instance); c != code.None {
		r.reply(joinError(q.memberID, c))
		return
	}
	mem := g.byID[q.memberID]
	switch g.state {
	case PreparingRebalance:
		r.rejoin(g, mem, q)
	case CompletingRebalance:
		if !sameProtocols(mem.protocols, q.protocols) {
			r.rejoin(g, mem, q)
			return
		}
		// It may not have received the answer to its JoinGroup.
		r.reply(g.joined(mem, g.leader == mem.id))
	case Stable:
		// A leader that joins wants a new assignment, for reasons its metadata does not show.
		if g.leader == mem.id || !sameProtocols(mem.protocols, q.protocols) {
			r.rejoin(g, mem, q)
			return
		}
		r.reply(g.joined(mem, false))
	default:
		r.reply(joinError(q.memberID, code.UnknownMemberId))
	}
}

func (r *run) rejoin(g *classic, mem *member, q *joinRequest) {
	g.update(mem, q)
	r.park(g, mem)
	r.rebalance(g)
}

func (g *classic) update(mem *member, q *joinRequest) {
	g.support(mem, -1)
	mem.protocols = q.protocols
	g.support(mem, 1)
	mem.rebalanceTimeout, mem.sessionTimeout = q.rebalanceTimeout, q.sessionTimeout
}

// replaceStatic gives a static member that comes back without its member id a
// new one. A stable group goes on as it is when the chosen protocol stays; whoever
// still uses the old id is fenced.
func (r *run) replaceStatic(g *classic, old *member, id string, q *joinRequest) {
	r.answerJoin(g, old, &wire.JoinGroupResponse{
		ErrorCode: int16(code.FencedInstanceId), GenerationId: -1, MemberId: old.id,
		Members: []wire.JoinGroupResponseJoinGroupResponseMember{},
	})
	r.answerSync(old, syncError(code.FencedInstanceId))
	leaderBefore := g.leader
	mem := r.m.rename(g, old, id)
	r.m.keepAlive(mem, r.env.Now)
	g.update(mem, q)
	switch g.state {
	case Stable:
		if g.protocol == nil || g.vote() != *g.protocol {
			r.park(g, mem)
			r.prepareRebalance(g)
			return
		}
		r.store(g)
		leads := g.leader == mem.id
		resp := g.joined(mem, leads && q.version >= joinSkipAssignment)
		if q.version >= joinSkipAssignment {
			resp.SkipAssignment = leads
		} else {
			// The old id as leader makes the member ask for its assignment and not send one.
			resp.Leader = leaderBefore
		}
		r.reply(resp)
	case CompletingRebalance:
		// The leader may be assigning to the old id at this moment.
		r.park(g, mem)
		r.prepareRebalance(g)
	default:
		r.park(g, mem)
		r.maybeCompleteJoin(g)
	}
}

// rename puts a member with a new id in the place of old.
func (m *Machine) rename(g *classic, old *member, id string) *member {
	m.deadlines.stop(&old.session)
	mem := new(member)
	*mem = *old
	mem.id = id
	mem.session = deadline{purpose: memberSession, group: g, member: mem}
	for i := range g.members {
		if g.members[i] == old {
			g.members[i] = mem
		}
	}
	delete(g.byID, old.id)
	g.byID[id] = mem
	g.static[*mem.instance] = mem
	if g.leader == old.id {
		g.leader = id
	}
	return mem
}

// newUUID returns a random UUID (RFC 9562, version 4) in its usual form.
func newUUID(r *rand.Rand) string {
	var b [16]byte
	for i := 0; i < len(b); i += 8 {
		v := r.Uint64()
		for j := range 8 {
			b[i+j] = byte(v >> (8 * j))
		}
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
