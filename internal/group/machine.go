// Package group is one shard of consumer groups and their committed offsets, as
// a machine: the classic group protocol (states, members, generations), offset
// commits and their expiry. It has no goroutine, clock, I/O or randomness of its
// own; internal/coordinator hosts it on a partition of __consumer_offsets.
//
// Two kinds of state live side by side. Durable is what Apply took over: for each
// group the last GroupMetadata record, and its offsets. Soft is what may vanish at
// any moment: who has rejoined, parked calls, deadlines. Decisions change soft
// state at once and return records for the rest; when an append fails, the engine
// throws the whole machine away and replays the log into a fresh one.
package group

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/machine"
)

// Decision is one call on a shard. The engine runs it, appends and applies its
// records, and releases its replies once they are replicated. Constructors (Join,
// CommitOffsets, ...) copy what they need of a request before they return.
type Decision func(m *Machine, env machine.Env) machine.Output

// Client says who sent a request, as DescribeGroups tells it.
type Client struct {
	ID   string // client.id
	Host string // the address in Java's form, "/192.0.2.1"
}

// State is where a group stands in the classic protocol.
type State uint8

// The states of a group.
const (
	Dead                State = iota // it does not exist
	Empty                            // no members; there may be offsets
	PreparingRebalance               // members are asked to rejoin
	CompletingRebalance              // the leader is computing the assignment
	Stable                           // every member has its assignment, or may fetch it
)

var states = [...]string{"Dead", "Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}

// String returns the name that Kafka shows.
func (s State) String() string { return states[s] }

// Stats are the machine's counts since New, for the engine's metrics.
type Stats struct {
	Groups         [Stable + 1]int // now, by State
	Offsets        int             // committed offsets now
	Rebalances     uint64          // generations completed with members
	OffsetCommits  uint64          // partitions committed
	OffsetDeletes  uint64          // partitions deleted by request or with their topic
	OffsetsExpired uint64
	UnknownRecords uint64 // values applied of record types that no release known here writes
}

// Machine is one shard. It is not safe for concurrent use.
type Machine struct {
	o             Options
	groups        map[string]*classic
	foreign       map[string][]byte // records of other types, key to value
	foreignGroups map[string]int    // how many of those belong to a group
	deadlines     deadlines
	cleanup       deadline
	stats         Stats
}

var _ machine.Machine = (*Machine)(nil)

// New returns a machine without groups. It first replays the shard's log through
// Apply; after Loaded it takes decisions.
func New(o Options) *Machine {
	return &Machine{
		o:             o,
		groups:        make(map[string]*classic),
		foreign:       make(map[string][]byte),
		foreignGroups: make(map[string]int),
		cleanup:       deadline{purpose: cleanup},
	}
}

// Loaded ends the replay: groups come to life as their last records describe
// them, and their members have a session timeout from now to show themselves. A
// group that is larger than group.max.size rebalances.
func (m *Machine) Loaded(env machine.Env) (machine.Output, error) {
	r := run{m: m, env: env}
	for _, id := range sortedKeys(m.groups) {
		g := m.groups[id]
		if g.stored == nil {
			continue
		}
		if err := m.revive(g, env.Now); err != nil {
			return machine.Output{}, err
		}
	}
	for _, id := range sortedKeys(m.groups) {
		if g := m.groups[id]; len(g.members) > m.o.MaxSize {
			r.prepareRebalance(g)
		}
	}
	if len(m.groups) > 0 {
		m.deadlines.set(&m.cleanup, env.Now.Add(m.o.CheckInterval))
	}
	return r.out, nil
}

// Expire returns what the passing of time decides at now.
func (m *Machine) Expire(now time.Time, rand *rand.Rand) machine.Output {
	r := run{m: m, env: machine.Env{Now: now, Rand: rand}}
	for {
		d := m.deadlines.passed(now)
		if d == nil {
			return r.out
		}
		switch d.purpose {
		case memberSession:
			r.expireSession(d.group, d.member)
		case pendingJoin:
			r.expirePending(d.group, d.id)
		case rebalanceJoin:
			r.completeJoin(d.group)
		case initialJoin:
			r.initialDelayOver(d.group)
		case pendingSync:
			r.expireSync(d.group)
		case cleanup:
			r.cleanup()
		}
	}
}

// NextExpiry is when Expire may have something to decide next; the zero time when never.
func (m *Machine) NextExpiry() time.Time { return m.deadlines.next() }

// Len returns the number of groups.
func (m *Machine) Len() int { return len(m.groups) }

// Idle says that the machine holds nothing: a fresh one is as good.
func (m *Machine) Idle() bool { return len(m.groups) == 0 && len(m.foreign) == 0 }

// Stats returns the counts so far.
func (m *Machine) Stats() Stats { return m.stats }

// create adds an empty group. It is a simple one, which only keeps offsets, until a member joins.
func (m *Machine) create(id string) *classic {
	g := newClassic(id)
	m.groups[id] = g
	m.stats.Groups[g.state]++
	return g
}

// setState moves a group on; previous tells where it came from.
func (m *Machine) setState(g *classic, s State, nowMs int64) {
	m.stats.Groups[g.state]--
	m.stats.Groups[s]++
	g.previous, g.state, g.since = g.state, s, nowMs
}

// forget removes a group of which nothing durable is left; with offsets left it
// becomes a simple one.
func (m *Machine) forget(g *classic) {
	for _, mem := range g.members {
		m.deadlines.stop(&mem.session)
	}
	for _, p := range g.pending {
		m.deadlines.stop(p)
	}
	m.deadlines.stop(&g.timer)
	m.deadlines.stop(&g.sync)
	delete(m.groups, g.id)
	m.stats.Groups[g.state]--
	if len(g.offsets) > 0 {
		m.create(g.id).offsets = g.offsets
	}
}

// run is one decision under way.
type run struct {
	m   *Machine
	env machine.Env
	out machine.Output
}

func decide(f func(r *run)) Decision {
	return func(m *Machine, env machine.Env) machine.Output {
		r := run{m: m, env: env}
		f(&r)
		if m.cleanup.pos == 0 && (len(m.groups) > 0 || len(r.out.Records) > 0) {
			m.deadlines.set(&m.cleanup, env.Now.Add(m.o.CheckInterval))
		}
		return r.out
	}
}

func (r *run) reply(body any) { r.out.Reply(r.env.Ticket, body) }

func (r *run) record(key, value []byte) {
	r.out.Records = append(r.out.Records, machine.Record{Key: key, Value: value})
}

func (r *run) nowMs() int64 { return r.env.Now.UnixMilli() }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
