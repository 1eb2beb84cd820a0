package group

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/wire"
)

// TestRandomClients runs consumers that join, sync, beat, commit, crash, restart
// and leave at random, while the coordinator reloads now and then, and checks
// after each step what must always hold:
//
//   - every parked call gets exactly one answer (or none, when its shard was dropped);
//   - in one generation one member leads, and every member has one assignment;
//   - the records replayed give the durable state of the live machine;
//   - counters and lists of a group agree with its members.
func TestRandomClients(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			o := defaultOptions()
			o.InitialDelay = time.Duration(seed%3) * time.Second
			if seed%5 == 0 {
				o.MaxSize = 3
			}
			d := &driver{shard: newShard(t, o, seed), r: rand.New(rand.NewPCG(seed, 99)), owners: map[string]string{}}
			for range 1500 {
				d.step()
				d.check()
			}
			d.settle()
		})
	}
}

// driver is a crowd of clients.
type driver struct {
	*shard
	r       *rand.Rand
	clients []*consumer
	owners  map[string]string // group, generation and assignment to member id
	dropped machine.Ticket    // calls up to here went with a dropped shard
}

// consumer is one client as librdkafka or the Java one behaves.
type consumer struct {
	name, group string
	instance    *string
	version     int16
	topics      []string
	member      string
	generation  int32
	leader      bool
	members     []string
	joining     machine.Ticket
	syncing     machine.Ticket
	stable      bool
	protocols   []string
}

func (d *driver) step() {
	switch n := d.r.IntN(100); {
	case len(d.clients) == 0 || n < 4 && len(d.clients) < 12:
		c := &consumer{
			name: fmt.Sprintf("c%d", d.r.IntN(50)), group: fmt.Sprintf("g%d", d.r.IntN(3)),
			version: int16(d.r.IntN(10)), topics: []string{fmt.Sprintf("t%d", d.r.IntN(3))}, protocols: []string{"range"},
		}
		if c.version >= 5 && d.r.IntN(3) == 0 {
			i := fmt.Sprintf("i%d", d.r.IntN(4))
			c.instance = &i
		}
		if d.r.IntN(3) == 0 {
			c.protocols = []string{"sticky", "range"}
		}
		d.clients = append(d.clients, c)
	case n < 6: // it crashes
		i := d.r.IntN(len(d.clients))
		d.clients = append(d.clients[:i], d.clients[i+1:]...)
	case n < 8: // it restarts
		c := d.any()
		c.member, c.generation, c.joining, c.syncing, c.stable = "", 0, 0, 0, false
	case n < 10: // it leaves
		c := d.any()
		if c.member != "" {
			d.do(Leave(&wire.LeaveGroupRequest{GroupId: c.group, Members: []wire.LeaveGroupRequestMemberIdentity{{MemberId: c.member, GroupInstanceId: c.instance}}}, 5))
			c.member, c.stable, c.joining, c.syncing = "", false, 0, 0
		}
	case n < 12: // its subscription changes
		c := d.any()
		c.topics = []string{fmt.Sprintf("t%d", d.r.IntN(3))}
		if c.joining == 0 && c.syncing == 0 {
			d.join(c)
		}
	case n < 13:
		d.dropped = d.ticket
		d.reload()
	case n < 16:
		d.do(Delete(fmt.Sprintf("g%d", d.r.IntN(3))))
	case n < 18:
		d.do(TopicsDeleted([]DeletedTopic{{Name: fmt.Sprintf("t%d", d.r.IntN(3))}}))
	case n < 20:
		d.do(DeleteOffsets(&wire.OffsetDeleteRequest{GroupId: fmt.Sprintf("g%d", d.r.IntN(3)), Topics: []wire.OffsetDeleteRequestOffsetDeleteRequestTopic{
			{Name: fmt.Sprintf("t%d", d.r.IntN(3)), Partitions: []wire.OffsetDeleteRequestOffsetDeleteRequestPartition{{PartitionIndex: 0}}},
		}}))
	case n < 21:
		d.advance(time.Duration(d.r.IntN(300)) * time.Hour / 3)
	case n < 30:
		d.advance(time.Duration(d.r.IntN(4000)) * time.Millisecond)
	default:
		d.act(d.any())
	}
}

func (d *driver) any() *consumer { return d.clients[d.r.IntN(len(d.clients))] }

// act does what the client would do next.
func (d *driver) act(c *consumer) {
	switch {
	case c.joining != 0 && c.member != "" && d.r.IntN(8) == 0: // it lost patience, and its connection
		d.join(c)
	case c.syncing != 0 && d.r.IntN(8) == 0:
		d.sync(c)
	case c.joining != 0:
		d.joined(c)
	case c.syncing != 0:
		d.synced(c)
	case !c.stable:
		d.join(c)
	case d.r.IntN(2) == 0:
		t := d.do(Heartbeat(&wire.HeartbeatRequest{GroupId: c.group, GenerationId: c.generation, MemberId: c.member, GroupInstanceId: c.instance}))
		switch e := code.Error(d.replies[t].(*wire.HeartbeatResponse).ErrorCode); e {
		case code.None:
		case code.RebalanceInProgress:
			c.stable = false
		default:
			c.member, c.stable = "", false
		}
	default:
		req := &wire.OffsetCommitRequest{
			GroupId: c.group, GenerationIdOrMemberEpoch: c.generation, MemberId: c.member, GroupInstanceId: c.instance, RetentionTimeMs: -1,
			Topics: []wire.OffsetCommitRequestOffsetCommitRequestTopic{{Name: c.topics[0], Partitions: []wire.OffsetCommitRequestOffsetCommitRequestPartition{
				{PartitionIndex: int32(d.r.IntN(2)), CommittedOffset: d.r.Int64N(1000), CommitTimestamp: -1, CommittedLeaderEpoch: -1},
			}}},
		}
		if d.r.IntN(5) == 0 {
			req.RetentionTimeMs = d.r.Int64N(int64(time.Hour / time.Millisecond))
		}
		d.do(CommitOffsets(req, 9))
	}
}

func (d *driver) join(c *consumer) {
	c.stable = false
	req := &wire.JoinGroupRequest{
		GroupId: c.group, MemberId: c.member, GroupInstanceId: c.instance, ProtocolType: "consumer",
		SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 30_000,
	}
	for _, p := range c.protocols {
		req.Protocols = append(req.Protocols, wire.JoinGroupRequestJoinGroupRequestProtocol{Name: p, Metadata: consumerMetadata(c.topics...)})
	}
	c.joining = d.do(Join(req, c.version, Client{ID: c.name, Host: "/h"}))
	d.joined(c)
}

func (d *driver) joined(c *consumer) {
	body, ok := d.replies[c.joining]
	if !ok {
		if c.joining <= d.dropped {
			c.joining = 0
		}
		return
	}
	c.joining = 0
	r := body.(*wire.JoinGroupResponse)
	switch code.Error(r.ErrorCode) {
	case code.None:
		c.member, c.generation, c.leader, c.members = r.MemberId, r.GenerationId, r.Leader == r.MemberId, nil
		for _, m := range r.Members {
			c.members = append(c.members, m.MemberId)
		}
		d.sync(c)
	case code.MemberIdRequired:
		c.member = r.MemberId
	case code.RebalanceInProgress, code.CoordinatorNotAvailable:
	default:
		c.member = ""
	}
}

func (d *driver) sync(c *consumer) {
	req := &wire.SyncGroupRequest{GroupId: c.group, MemberId: c.member, GroupInstanceId: c.instance, GenerationId: c.generation}
	if c.leader {
		for _, m := range c.members {
			req.Assignments = append(req.Assignments, wire.SyncGroupRequestSyncGroupRequestAssignment{MemberId: m, Assignment: []byte("for " + m)})
		}
	}
	c.syncing = d.do(Sync(req))
	d.synced(c)
}

func (d *driver) synced(c *consumer) {
	body, ok := d.replies[c.syncing]
	if !ok {
		if c.syncing <= d.dropped {
			c.syncing = 0
		}
		return
	}
	c.syncing = 0
	r := body.(*wire.SyncGroupResponse)
	switch code.Error(r.ErrorCode) {
	case code.None:
		c.stable = true
		if a := string(r.Assignment); a != "" {
			key := fmt.Sprint(c.group, c.generation, a)
			if other, ok := d.owners[key]; ok && other != c.member && c.instance == nil {
				d.t.Fatalf("%q of group %s generation %d belongs to %s and to %s", a, c.group, c.generation, other, c.member)
			}
			d.owners[key] = c.member
		}
	case code.RebalanceInProgress:
	default:
		c.member = ""
	}
}

func (d *driver) check() {
	parked := map[machine.Ticket]bool{}
	var states [Stable + 1]int
	offsets := 0
	for id, g := range d.m.groups {
		states[g.state]++
		for _, ps := range g.offsets {
			offsets += len(ps)
		}
		joining, unsynced := 0, 0
		supported := map[string]int{}
		for _, mem := range g.members {
			for _, ticket := range []machine.Ticket{mem.joining, mem.syncing} {
				if _, answered := d.replies[ticket]; ticket != 0 && (parked[ticket] || answered || ticket <= d.dropped) {
					d.t.Fatalf("call %d is parked twice, or parked and answered", ticket)
				}
				parked[ticket] = true
			}
			if mem.joining != 0 {
				joining++
			}
			if mem.unsynced {
				unsynced++
			}
			if mem.syncing != 0 && g.state != CompletingRebalance || mem.joining != 0 && g.state != PreparingRebalance {
				d.t.Fatalf("a call of %s is parked in state %s", mem.id, g.state)
			}
			if mem.session.pos == 0 && (mem.isNew || mem.joining == 0 && mem.syncing == 0) {
				d.t.Fatalf("%s has no session and nothing parked", mem.id)
			}
			for _, p := range mem.protocols {
				supported[p.name]++
			}
			if g.byID[mem.id] != mem {
				d.t.Fatalf("%s is not found by its id", mem.id)
			}
		}
		switch {
		case joining != g.joining || unsynced != g.unsynced || len(g.byID) != len(g.members):
			d.t.Fatalf("group %s counts %d joining, %d unsynced, %d members; there are %d, %d, %d", id, g.joining, g.unsynced, len(g.byID), joining, unsynced, len(g.members))
		case len(g.members) > 0 && g.byID[g.leader] == nil || len(g.members) == 0 && g.leader != "":
			d.t.Fatalf("group %s is led by %q", id, g.leader)
		case fmt.Sprint(supported) != fmt.Sprint(g.supported) && len(supported)+len(g.supported) > 0:
			d.t.Fatalf("group %s: protocols %v, counted %v", id, supported, g.supported)
		case g.state == Empty && len(g.members) > 0, g.state > PreparingRebalance && len(g.members) == 0:
			d.t.Fatalf("group %s is %s with %d members", id, g.state, len(g.members))
		case g.state == PreparingRebalance && g.timer.pos == 0:
			d.t.Fatalf("group %s waits for members without end", id)
		case g.state == CompletingRebalance && g.sync.pos == 0:
			d.t.Fatalf("group %s waits for its assignment without end", id)
		}
	}
	if st := d.m.Stats(); st.Groups != states || st.Offsets != offsets {
		d.t.Fatalf("stats %+v; there are %v groups by state and %d offsets", st, states, offsets)
	}
	for ticket := d.dropped + 1; ticket <= d.ticket; ticket++ {
		if _, answered := d.replies[ticket]; !answered && !parked[ticket] {
			d.t.Fatalf("call %d is lost", ticket)
		}
	}
	if d.r.IntN(20) == 0 {
		if err := sameRecords(snapshot(d.m), snapshot(replay(d.t, d.o, d.log))); err != nil {
			d.t.Fatalf("the live machine and a replay of its log: %v", err)
		}
		if err := sameRecords(snapshot(d.m), snapshot(replay(d.t, d.o, snapshot(d.m)))); err != nil {
			d.t.Fatalf("the live machine and a replay of its snapshot: %v", err)
		}
	}
}

// settle lets everybody fall silent: all is answered, and in the end nothing is left.
func (d *driver) settle() {
	d.advance(time.Hour)
	for ticket := d.dropped + 1; ticket <= d.ticket; ticket++ {
		if _, answered := d.replies[ticket]; !answered {
			d.t.Fatalf("call %d was never answered", ticket)
		}
	}
	d.advance(15 * 24 * time.Hour)
	if n := d.m.Len(); n != 0 {
		d.t.Fatalf("%d groups are left: %+v", n, d.m.Stats())
	}
	if rs := snapshot(d.m); len(rs) != 0 || !d.m.NextExpiry().IsZero() {
		d.t.Fatalf("%d records are left, and the next deadline is %v", len(rs), d.m.NextExpiry())
	}
}
