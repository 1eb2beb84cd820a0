package group

import (
	"slices"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/wire"
)

// rebalance asks the members to rejoin, or, when that is under way, goes on as
// soon as all have.
func (r *run) rebalance(g *classic) {
	switch g.state {
	case Empty, Stable, CompletingRebalance:
		r.prepareRebalance(g)
	case PreparingRebalance:
		r.maybeCompleteJoin(g)
	}
}

func (r *run) prepareRebalance(g *classic) {
	if g.state == CompletingRebalance {
		for _, mem := range g.members {
			mem.assignment = nil
		}
		r.answerSyncs(g, code.RebalanceInProgress)
	}
	r.endSyncPhase(g)
	first := g.state == Empty
	r.m.setState(g, PreparingRebalance, r.nowMs())
	if first {
		// The group is new: others of it are about to come.
		g.grew = false
		g.delay = r.m.o.InitialDelay
		g.remaining = max(g.rebalanceTimeout()-g.delay, 0)
		g.timer.purpose = initialJoin
		r.m.deadlines.set(&g.timer, r.env.Now.Add(g.delay))
		return
	}
	if g.allJoined() {
		r.completeJoin(g)
		return
	}
	r.waitForJoins(g)
}

func (r *run) waitForJoins(g *classic) {
	g.timer.purpose = rebalanceJoin
	r.m.deadlines.set(&g.timer, r.env.Now.Add(g.rebalanceTimeout()))
}

// maybeCompleteJoin ends the join phase when all members have rejoined; the
// first one ends by its delay alone.
func (r *run) maybeCompleteJoin(g *classic) {
	if g.state == PreparingRebalance && g.previous != Empty && g.allJoined() {
		r.completeJoin(g)
	}
}

// initialDelayOver ends the first join phase, unless members came during the
// last delay and the rebalance timeout leaves time for more.
func (r *run) initialDelayOver(g *classic) {
	if !g.grew || g.remaining == 0 {
		r.completeJoin(g)
		return
	}
	g.grew = false
	delay := min(r.m.o.InitialDelay, g.remaining)
	g.remaining = max(g.remaining-g.delay, 0)
	g.delay = delay
	r.m.deadlines.set(&g.timer, r.env.Now.Add(delay))
}

// completeJoin begins the next generation with the members that rejoined and the
// static ones, who have until their session ends.
func (r *run) completeJoin(g *classic) {
	r.m.deadlines.stop(&g.timer)
	for _, mem := range slices.Clone(g.members) {
		if mem.joining == 0 && mem.instance == nil {
			r.m.remove(g, mem)
		}
	}
	if len(g.members) > 0 && !g.leaderJoined() {
		r.waitForJoins(g)
		return
	}
	g.generation++
	r.endSyncPhase(g)
	if len(g.members) == 0 {
		g.protocol = nil
		r.m.setState(g, Empty, r.nowMs())
		g.learnTopics()
		r.store(g)
		return
	}
	chosen := g.vote()
	g.protocol = &chosen
	r.m.setState(g, CompletingRebalance, r.nowMs())
	g.learnTopics()
	for _, mem := range g.members {
		r.answerJoin(g, mem, g.joined(mem, g.leader == mem.id))
		r.m.keepAlive(mem, r.env.Now)
		mem.isNew = false
		mem.unsynced = true
		g.unsynced++
	}
	r.m.deadlines.set(&g.sync, r.env.Now.Add(g.rebalanceTimeout()))
}

// leaderJoined makes sure that the leader is among those who rejoined, and
// returns false when nobody did.
func (g *classic) leaderJoined() bool {
	if mem := g.byID[g.leader]; mem != nil && mem.joining != 0 {
		return true
	}
	for _, mem := range g.members {
		if mem.joining != 0 {
			g.leader = mem.id
			return true
		}
	}
	return false
}

// joined is the answer to a JoinGroup in the current generation.
func (g *classic) joined(mem *member, withMembers bool) *wire.JoinGroupResponse {
	protocolType := g.protocolType // the answer outlives this decision
	resp := &wire.JoinGroupResponse{
		GenerationId: g.generation, ProtocolType: &protocolType, ProtocolName: g.protocol,
		Leader: g.leader, MemberId: mem.id, Members: []wire.JoinGroupResponseJoinGroupResponseMember{},
	}
	if withMembers {
		for _, other := range g.members {
			resp.Members = append(resp.Members, wire.JoinGroupResponseJoinGroupResponseMember{
				MemberId: other.id, GroupInstanceId: other.instance, Metadata: g.metadata(other),
			})
		}
	}
	return resp
}

func joinError(memberID string, c code.Error) *wire.JoinGroupResponse {
	return &wire.JoinGroupResponse{
		ErrorCode: int16(c), GenerationId: -1, MemberId: memberID,
		Members: []wire.JoinGroupResponseJoinGroupResponseMember{},
	}
}

func syncError(c code.Error) *wire.SyncGroupResponse {
	return &wire.SyncGroupResponse{ErrorCode: int16(c), Assignment: []byte{}}
}

// park keeps a JoinGroup until its member's next generation. One that the member
// sent before is answered: it has given that one up.
func (r *run) park(g *classic, mem *member) {
	r.answerJoin(g, mem, joinError(mem.id, code.RebalanceInProgress))
	mem.joining = r.env.Ticket
	if mem.joining != 0 {
		g.joining++
	}
}

func (r *run) answerJoin(g *classic, mem *member, resp *wire.JoinGroupResponse) {
	if mem.joining != 0 {
		r.out.Reply(mem.joining, resp)
		mem.joining = 0
		g.joining--
	}
}

func (r *run) answerSync(mem *member, resp *wire.SyncGroupResponse) {
	if mem.syncing != 0 {
		r.out.Reply(mem.syncing, resp)
		mem.syncing = 0
	}
}

// answerSyncs answers every parked SyncGroup, with c or, for None, the member's assignment.
func (r *run) answerSyncs(g *classic, c code.Error) {
	for _, mem := range g.members {
		if mem.syncing == 0 {
			continue
		}
		resp := syncError(c)
		if c == code.None {
			resp = g.assigned(mem)
		}
		r.answerSync(mem, resp)
		r.m.keepAlive(mem, r.env.Now)
	}
}

// assigned is the answer to a SyncGroup.
func (g *classic) assigned(mem *member) *wire.SyncGroupResponse {
	protocolType := g.protocolType
	return &wire.SyncGroupResponse{ProtocolType: &protocolType, ProtocolName: g.protocol, Assignment: mem.assignment}
}

func (r *run) endSyncPhase(g *classic) {
	for _, mem := range g.members {
		mem.unsynced = false
	}
	g.unsynced = 0
	r.m.deadlines.stop(&g.sync)
}

// expireSession removes a member that was silent for too long. One whose call is
// parked here is known to be there, but for a new one: its client cannot tell us
// that it gave up.
func (r *run) expireSession(g *classic, mem *member) {
	if !mem.isNew && (mem.joining != 0 || mem.syncing != 0) {
		return
	}
	r.dropMember(g, mem)
	switch g.state {
	case Stable, CompletingRebalance:
		r.prepareRebalance(g)
	case PreparingRebalance:
		if g.allJoined() {
			r.completeJoin(g)
		}
	}
}

func (r *run) expirePending(g *classic, id string) {
	delete(g.pending, id)
	if g.state == PreparingRebalance && g.allJoined() {
		r.completeJoin(g)
	}
}

// expireSync removes those that never asked for their assignment.
func (r *run) expireSync(g *classic) {
	if g.unsynced == 0 || g.state != CompletingRebalance && g.state != Stable {
		return
	}
	for _, mem := range slices.Clone(g.members) {
		if mem.unsynced {
			r.dropMember(g, mem)
		}
	}
	r.prepareRebalance(g)
}

// dropMember takes a member out and answers what it has parked, so that it comes
// back as a new one when it is still there.
func (r *run) dropMember(g *classic, mem *member) {
	r.answerJoin(g, mem, joinError("", code.UnknownMemberId))
	r.answerSync(mem, syncError(code.UnknownMemberId))
	r.m.remove(g, mem)
}

// newMemberJoinTimeout is the time that a new member's JoinGroup may stay parked: it has no
// session yet, and one whose client gave up must not hold its place for ever.
const newMemberJoinTimeout = 5 * time.Minute

// superseded answers a member's earlier SyncGroup that is still parked.
func (r *run) superseded(mem *member, next machine.Ticket) {
	r.answerSync(mem, syncError(code.RebalanceInProgress))
	mem.syncing = next
}
