package group

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/wire"
)

// consumerProtocol is the protocol type whose metadata the broker may look into.
const consumerProtocol = "consumer"

// classic is one group under the classic protocol. A group that only keeps
// offsets is one without protocol type.
type classic struct {
	id      string
	stored  []byte                      // durable: the value of its GroupMetadata record; nil when none
	offsets map[string]map[int32]offset // durable: by topic and partition

	state, previous State
	since           int64 // of state, in ms since 1970; -1 when the log does not tell
	generation      int32
	protocolType    string  // "" before any member
	protocol        *string // the chosen one; nil between generations without members
	leader          string  // "" without members

	members   []*member // in the order they joined
	byID      map[string]*member
	static    map[string]*member   // by group.instance.id (KIP-345)
	pending   map[string]*deadline // ids handed out that have not joined (KIP-394)
	supported map[string]int       // protocol name to the number of members that know it
	joining   int                  // members whose JoinGroup is parked
	unsynced  int                  // members that have not sent SyncGroup in this generation

	// topics are what the members of a consumer group subscribe to; known is
	// false when that cannot be told.
	topics map[string]struct{}
	known  bool

	timer deadline // rebalanceJoin or initialJoin
	sync  deadline
	// grew, delay and remaining are the first rebalance's: whether a member came
	// during the current delay, that delay, and how much longer it may become.
	grew             bool
	delay, remaining time.Duration
}

// member is one member of a group.
type member struct {
	id               string
	instance         *string // group.instance.id; nil for a dynamic member
	client           Client
	rebalanceTimeout int32 // ms
	sessionTimeout   int32 // ms
	protocols        []protocol
	assignment       []byte

	joining  machine.Ticket // of its parked JoinGroup, or 0
	syncing  machine.Ticket // of its parked SyncGroup, or 0
	unsynced bool           // it has not sent SyncGroup in this generation
	isNew    bool           // it has not been told its generation yet, so it cannot heartbeat
	session  deadline
}

// protocol is one assignor that a member knows, with its metadata for it.
type protocol struct {
	name     string
	metadata []byte
}

func newClassic(id string) *classic {
	g := &classic{id: id, state: Empty, since: -1}
	g.timer.group = g
	g.sync = deadline{purpose: pendingSync, group: g}
	return g
}

// revive makes the soft state that g.stored describes.
func (m *Machine) revive(g *classic, now time.Time) error {
	v := wire.NewGroupMetadataValue()
	if err := parseValue(g.stored, v, maxGroupValue); err != nil {
		return fmt.Errorf("group: metadata of group %q: %w", g.id, err)
	}
	g.generation, g.protocolType = v.Generation, v.ProtocolType
	g.protocol = v.Protocol
	name := ""
	if v.Protocol != nil {
		name = *v.Protocol
	}
	for i := range v.Members {
		mm := &v.Members[i]
		if g.byID[mm.MemberId] != nil || mm.GroupInstanceId != nil && g.static[*mm.GroupInstanceId] != nil {
			return fmt.Errorf("group: metadata of group %q names member %q twice", g.id, mm.MemberId)
		}
		rebalance := mm.RebalanceTimeout
		if rebalance == -1 { // before KIP-62 there was one timeout
			rebalance = mm.SessionTimeout
		}
		mem := &member{
			id: mm.MemberId, instance: mm.GroupInstanceId,
			client:           Client{ID: mm.ClientId, Host: mm.ClientHost},
			rebalanceTimeout: rebalance, sessionTimeout: mm.SessionTimeout,
			protocols:  []protocol{{name, mm.Subscription}},
			assignment: mm.Assignment,
		}
		m.add(g, mem)
		m.keepAlive(mem, now)
	}
	state := Empty
	if len(g.members) > 0 {
		state = Stable
	}
	m.setState(g, state, v.CurrentStateTimestamp)
	g.leader = ""
	if v.Leader != nil && g.byID[*v.Leader] != nil {
		g.leader = *v.Leader
	} else if len(g.members) > 0 {
		g.leader = g.members[0].id
	}
	g.learnTopics()
	return nil
}

// add makes mem a member.
func (m *Machine) add(g *classic, mem *member) {
	if g.byID == nil {
		g.byID = make(map[string]*member, 1)
		g.supported = make(map[string]int, 1)
	}
	mem.session = deadline{purpose: memberSession, group: g, member: mem}
	g.members = append(g.members, mem)
	g.byID[mem.id] = mem
	if mem.instance != nil {
		if g.static == nil {
			g.static = make(map[string]*member, 1)
		}
		g.static[*mem.instance] = mem
	}
	g.support(mem, 1)
	if g.leader == "" {
		g.leader = mem.id
	}
	m.removePending(g, mem.id)
}

// remove takes mem out; whatever it has parked was answered before.
func (m *Machine) remove(g *classic, mem *member) {
	m.deadlines.stop(&mem.session)
	g.members = slices.Delete(g.members, slices.Index(g.members, mem), slices.Index(g.members, mem)+1)
	delete(g.byID, mem.id)
	if mem.instance != nil && g.static[*mem.instance] == mem {
		delete(g.static, *mem.instance)
	}
	g.support(mem, -1)
	g.synced(mem)
	if g.leader == mem.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

func (m *Machine) removePending(g *classic, id string) {
	if d := g.pending[id]; d != nil {
		m.deadlines.stop(d)
		delete(g.pending, id)
	}
}

// keepAlive starts the member's session anew.
func (m *Machine) keepAlive(mem *member, now time.Time) {
	m.deadlines.set(&mem.session, now.Add(milliseconds(mem.sessionTimeout)))
}

func milliseconds(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

func (g *classic) support(mem *member, n int) {
	for i := range mem.protocols {
		name := mem.protocols[i].name
		if g.supported[name] += n; g.supported[name] == 0 {
			delete(g.supported, name)
		}
	}
}

// synced notes that mem has sent its SyncGroup.
func (g *classic) synced(mem *member) {
	if mem.unsynced {
		mem.unsynced = false
		g.unsynced--
	}
}

// allJoined says whether nobody is waited for before the next generation.
func (g *classic) allJoined() bool { return g.joining == len(g.members) && len(g.pending) == 0 }

// rebalanceTimeout is the longest of the members'.
func (g *classic) rebalanceTimeout() time.Duration {
	var most int32
	for _, mem := range g.members {
		most = max(most, mem.rebalanceTimeout)
	}
	return milliseconds(most)
}

// supports says whether a member with those protocols may join: all members have
// one protocol in common.
func (g *classic) supports(protocolType string, ps []protocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(ps) > 0
	}
	return protocolType == g.protocolType && slices.ContainsFunc(ps, func(p protocol) bool {
		return g.supported[p.name] == len(g.members)
	})
}

// vote chooses the protocol of the next generation: of those that all members
// know each member votes for the one it lists first, and the most votes win.
func (g *classic) vote() string {
	votes := make(map[string]int, 1)
	best := ""
	for _, mem := range g.members {
		for i := range mem.protocols {
			if name := mem.protocols[i].name; g.supported[name] == len(g.members) {
				votes[name]++
				if best == "" && votes[best] == 0 || votes[name] > votes[best] {
					best = name
				}
				break
			}
		}
	}
	return best
}

// metadata is what the member said for the chosen protocol.
func (g *classic) metadata(mem *member) []byte {
	if g.protocol != nil {
		for i := range mem.protocols {
			if mem.protocols[i].name == *g.protocol {
				return mem.protocols[i].metadata
			}
		}
	}
	return nil
}

// check refuses a request that is not from who it says (KIP-345).
func (g *classic) check(id string, instance *string) code.Error {
	if instance != nil {
		switch mem := g.static[*instance]; {
		case mem == nil:
			return code.UnknownMemberId
		case mem.id != id:
			return code.FencedInstanceId
		}
	}
	if g.byID[id] == nil {
		return code.UnknownMemberId
	}
	return code.None
}

// subscribes says whether the group reads topic, so that its offsets there are
// in use. A consumer group whose subscription cannot be read may read anything.
func (g *classic) subscribes(topic string) bool {
	if !g.known {
		return g.protocolType == consumerProtocol
	}
	_, ok := g.topics[topic]
	return ok
}

// learnTopics reads what the members subscribe to.
func (g *classic) learnTopics() {
	g.topics, g.known = nil, false
	if g.protocolType != consumerProtocol || g.protocol == nil && len(g.members) > 0 {
		return
	}
	topics := make(map[string]struct{})
	for _, mem := range g.members {
		if !subscription(g.metadata(mem), topics) {
			return
		}
	}
	g.topics, g.known = topics, true
}

// subscription adds the topics of a consumer's metadata to topics. Its version 0,
// a version and a list of topics, is how every later version begins.
func subscription(b []byte, topics map[string]struct{}) bool {
	if len(b) < 6 || int16(binary.BigEndian.Uint16(b)) < 0 {
		return false
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	for ; n > 0; n-- {
		if len(b) < 2 {
			return false
		}
		size := int(int16(binary.BigEndian.Uint16(b)))
		if size < 0 || 2+size > len(b) {
			return false
		}
		topics[string(b[2:2+size])] = struct{}{}
		b = b[2+size:]
	}
	return true
}

// store records the group as it is now.
func (r *run) store(g *classic) {
	r.record(groupKey(g.id), g.value())
}

func (g *classic) value() []byte {
	v := wire.GroupMetadataValue{
		ProtocolType: g.protocolType, Generation: g.generation, Protocol: g.protocol,
		CurrentStateTimestamp: g.since, Members: make([]wire.GroupMetadataValueMemberMetadata, len(g.members)),
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	for i, mem := range g.members {
		v.Members[i] = wire.GroupMetadataValueMemberMetadata{
			MemberId: mem.id, GroupInstanceId: mem.instance, ClientId: mem.client.ID, ClientHost: mem.client.Host,
			RebalanceTimeout: mem.rebalanceTimeout, SessionTimeout: mem.sessionTimeout,
			Subscription: g.metadata(mem), Assignment: mem.assignment,
		}
	}
	return v.Append(binary.BigEndian.AppendUint16(nil, groupValueVersion), groupValueVersion)
}

// storeNew records a group that has no generation yet, so that it is there after a restart.
func (r *run) storeNew(g *classic) {
	v := wire.GroupMetadataValue{CurrentStateTimestamp: r.nowMs()}
	r.record(groupKey(g.id), v.Append(binary.BigEndian.AppendUint16(nil, groupValueVersion), groupValueVersion))
}

func sameProtocols(a, b []protocol) bool {
	return slices.EqualFunc(a, b, func(x, y protocol) bool { return x.name == y.name && bytes.Equal(x.metadata, y.metadata) })
}

// owned copies a string out of a network frame.
func owned(s string) string { return strings.Clone(s) }

func ownedPtr(s *string) *string {
	if s == nil {
		return nil
	}
	c := strings.Clone(*s)
	return &c
}
