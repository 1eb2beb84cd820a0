package group

import (
	"strings"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/wire"
)

// describeGroupIDNotFound is the version of DescribeGroups that knows that error (KIP-1043).
const describeGroupIDNotFound = 6

// Describe returns the decision that describes one group, answered by a
// *wire.DescribeGroupsResponseDescribedGroup. A group that does not exist is Dead,
// from version 6 on with GROUP_ID_NOT_FOUND. The authorized operations are the API's.
func Describe(groupID string, version int16) Decision {
	id := owned(groupID)
	return decide(func(r *run) { r.reply(r.m.describe(id, version)) })
}

func (m *Machine) describe(id string, version int16) *wire.DescribeGroupsResponseDescribedGroup {
	d := &wire.DescribeGroupsResponseDescribedGroup{
		GroupId: id, GroupState: Dead.String(), AuthorizedOperations: -1 << 31,
		Members: []wire.DescribeGroupsResponseDescribedGroupMember{},
	}
	g := m.groups[id]
	if g == nil || m.foreignGroups[id] > 0 {
		if version >= describeGroupIDNotFound {
			message := "Group " + id + " not found."
			if g != nil {
				message = "Group " + id + " is not a classic group."
			}
			d.ErrorCode, d.ErrorMessage = int16(code.GroupIdNotFound), &message
		}
		return d
	}
	d.GroupState, d.ProtocolType = g.state.String(), g.protocolType
	for _, mem := range g.members {
		dm := wire.DescribeGroupsResponseDescribedGroupMember{
			MemberId: mem.id, GroupInstanceId: mem.instance, ClientId: mem.client.ID, ClientHost: mem.client.Host,
			MemberAssignment: mem.assignment,
		}
		if g.state == Stable {
			dm.MemberMetadata = g.metadata(mem)
		}
		d.Members = append(d.Members, dm)
	}
	if g.state == Stable && g.protocol != nil {
		d.ProtocolData = *g.protocol
	}
	return d
}

// List returns the decision that lists the shard's groups, answered by a
// *wire.ListGroupsResponse. Empty filters let everything through; states (KIP-518)
// and types (KIP-848) are compared without regard to case.
func List(req *wire.ListGroupsRequest) Decision {
	states, types := lower(req.StatesFilter), lower(req.TypesFilter)
	return decide(func(r *run) {
		resp := &wire.ListGroupsResponse{Groups: []wire.ListGroupsResponseListedGroup{}}
		for _, id := range sortedKeys(r.m.groups) {
			g := r.m.groups[id]
			if r.m.foreignGroups[id] > 0 || !passes(states, g.state.String()) || !passes(types, classicType) {
				continue
			}
			resp.Groups = append(resp.Groups, wire.ListGroupsResponseListedGroup{
				GroupId: id, ProtocolType: g.protocolType, GroupState: g.state.String(), GroupType: classicType,
			})
		}
		r.reply(resp)
	})
}

const classicType = "classic"

func lower(filter []string) map[string]bool {
	set := make(map[string]bool, len(filter))
	for _, s := range filter {
		set[strings.ToLower(strings.TrimSpace(s))] = true
	}
	return set
}

func passes(filter map[string]bool, s string) bool {
	return len(filter) == 0 || filter[strings.ToLower(s)]
}

// Delete returns the decision to delete one group with its offsets, answered by a
// *wire.DeleteGroupsResponseDeletableGroupResult: NON_EMPTY_GROUP while it has members,
// GROUP_ID_NOT_FOUND when there is none.
func Delete(groupID string) Decision {
	id := owned(groupID)
	return decide(func(r *run) {
		r.reply(&wire.DeleteGroupsResponseDeletableGroupResult{GroupId: id, ErrorCode: int16(r.deleteGroup(id))})
	})
}

func (r *run) deleteGroup(id string) code.Error {
	g := r.m.groups[id]
	switch {
	case g == nil:
		return code.GroupIdNotFound
	case g.state != Empty || r.m.foreignGroups[id] > 0:
		return code.NonEmptyGroup
	}
	for _, topic := range sortedKeys(g.offsets) {
		for _, p := range sortedKeys(g.offsets[topic]) {
			r.out.Records = append(r.out.Records, machine.Record{Key: offsetKey(id, topic, p)})
		}
	}
	r.record(groupKey(id), nil)
	return code.None
}
