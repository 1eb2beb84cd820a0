package group

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/wire"
)

func versioned(version int16, m wire.Message) []byte {
	return m.Append(binary.BigEndian.AppendUint16(nil, uint16(version)), version)
}

func TestReplayReadsEveryVersionThatKafkaWrote(t *testing.T) {
	for version := int16(0); version <= maxOffsetValue; version++ {
		m := New(defaultOptions())
		v := &wire.OffsetCommitValue{Offset: 7, LeaderEpoch: 3, Metadata: "m", CommitTimestamp: 11, ExpireTimestamp: 13, TopicId: wire.UUID{1}}
		kind := uint16(keyOffset)
		if version == 0 {
			kind = keyOffsetLegacy
		}
		key := appendKey(kind, &wire.OffsetCommitKey{Group: "g", Topic: "t", Partition: 2})
		if err := m.Apply(machine.Record{Key: key, Value: versioned(version, v)}); err != nil {
			t.Fatal(version, err)
		}
		want := offset{offset: 7, committed: 11, expires: -1, leaderEpoch: -1, metadata: "m"}
		if version >= 3 {
			want.leaderEpoch = 3
		}
		if version == 1 {
			want.expires = 13
		}
		if version == 4 {
			want.topicID = wire.UUID{1}
		}
		if got := m.groups["g"].offsets["t"][2]; got != want {
			t.Errorf("version %d: %+v, want %+v", version, got, want)
		}
		if err := m.Apply(machine.Record{Key: key}); err != nil || m.stats.Offsets != 0 {
			t.Errorf("version %d: tombstone: %v, %d offsets", version, err, m.stats.Offsets)
		}
	}
	for version := int16(0); version <= maxGroupValue; version++ {
		m := New(defaultOptions())
		protocol, leader := "range", "m1"
		v := &wire.GroupMetadataValue{ProtocolType: "consumer", Generation: 4, Protocol: &protocol, Leader: &leader, CurrentStateTimestamp: 9,
			Members: []wire.GroupMetadataValueMemberMetadata{{MemberId: "m1", ClientId: "c", ClientHost: "/h", RebalanceTimeout: 20, SessionTimeout: 10, Subscription: consumerMetadata("t"), Assignment: []byte("A")}}}
		if err := m.Apply(machine.Record{Key: groupKey("g"), Value: versioned(version, v)}); err != nil {
			t.Fatal(version, err)
		}
		if _, err := m.Loaded(machine.Env{Now: time.UnixMilli(1000)}); err != nil {
			t.Fatal(version, err)
		}
		g := m.groups["g"]
		if g.state != Stable || g.generation != 4 || g.leader != "m1" || !g.subscribes("t") || g.subscribes("u") || string(g.members[0].assignment) != "A" {
			t.Errorf("version %d: %+v", version, g)
		}
		if want := int32(20); version == 0 && g.members[0].rebalanceTimeout != 10 || version > 0 && g.members[0].rebalanceTimeout != want {
			t.Errorf("version %d: rebalance timeout %d", version, g.members[0].rebalanceTimeout)
		}
	}
	if err := New(defaultOptions()).Apply(machine.Record{Key: groupKey("g"), Value: []byte{0, 99}}); err == nil {
		t.Error("a value of an unknown version is an error: what it says would be lost")
	}
}

func TestRecordsOfOtherProtocolsAreKeptAndTheirGroupsLeftAlone(t *testing.T) {
	s := newShard(t, defaultOptions(), 1)
	key := appendKey(3, &wire.ConsumerGroupMetadataKey{GroupId: "new"})
	unknown := []byte{0x7f, 0, 1, 2}
	s.take(machine.Output{Records: []machine.Record{
		{Key: key, Value: versioned(0, &wire.ConsumerGroupMetadataValue{Epoch: 5})},
		{Key: unknown, Value: []byte("?")},
		{Key: offsetKey("new", "t", 0), Value: (&offset{offset: 1, expires: -1, leaderEpoch: -1}).value()},
	}})
	if s.m.Stats().UnknownRecords != 1 {
		t.Errorf("%d unknown records, want 1", s.m.Stats().UnknownRecords)
	}
	if err := sameRecords(snapshot(s.m), snapshot(replay(t, s.o, snapshot(s.m)))); err != nil || len(snapshot(s.m)) != 3 {
		t.Error(err, len(snapshot(s.m)))
	}
	for _, d := range []Decision{
		Join(&wire.JoinGroupRequest{GroupId: "new", SessionTimeoutMs: 10_000, ProtocolType: "consumer", Protocols: []wire.JoinGroupRequestJoinGroupRequestProtocol{{Name: "range"}}}, 3, Client{}),
		Delete("new"), Describe("new", 6), List(&wire.ListGroupsRequest{}),
	} {
		t.Log(show(s.replies[s.do(d)]))
	}
	s.do(Heartbeat(&wire.HeartbeatRequest{GroupId: "new"})) // arms the check
	s.advance(100 * 24 * time.Hour)
	if len(snapshot(s.m)) != 3 {
		t.Error("offsets of another protocol's group expired")
	}
	s.take(machine.Output{Records: []machine.Record{{Key: key}, {Key: unknown}}})
	if len(s.m.foreign)+len(s.m.foreignGroups) != 0 {
		t.Error("tombstones were not taken over")
	}
}

func TestGroupTombstoneLeavesItsOffsets(t *testing.T) {
	s := newShard(t, defaultOptions(), 1)
	s.do(Join(&wire.JoinGroupRequest{GroupId: "g", SessionTimeoutMs: 10_000, ProtocolType: "consumer", Protocols: []wire.JoinGroupRequestJoinGroupRequestProtocol{{Name: "range"}}}, 9, Client{ID: "c"}))
	s.take(machine.Output{Records: []machine.Record{
		{Key: offsetKey("g", "t", 0), Value: (&offset{offset: 1, expires: -1, leaderEpoch: -1}).value()},
		{Key: groupKey("g")},
	}})
	if g := s.m.groups["g"]; g == nil || g.offsets["t"][0].offset != 1 || g.stored != nil || len(g.pending) != 0 {
		t.Errorf("%+v", g)
	}
	if n := len(s.m.deadlines.heap); n != 1 {
		t.Errorf("%d deadlines; only that of the check for expiry stays", n)
	}
}

// FuzzApply feeds any record to a machine: it takes it over or refuses it, comes
// to life, lives on for a day, and its snapshot says the same again.
func FuzzApply(f *testing.F) {
	f.Add(groupKey("g"), []byte{0, 3, 0, 0})
	f.Add(offsetKey("g", "t", 1), (&offset{offset: 1, expires: 5, metadata: "x"}).value())
	protocol, leader := "range", "m1"
	f.Add(groupKey("g"), versioned(3, &wire.GroupMetadataValue{ProtocolType: "consumer", Generation: 4, Protocol: &protocol, Leader: &leader,
		Members: []wire.GroupMetadataValueMemberMetadata{{MemberId: "m1", Subscription: consumerMetadata("t")}, {MemberId: "m2"}}}))
	f.Add(appendKey(3, &wire.ConsumerGroupMetadataKey{GroupId: "new"}), []byte{0, 0})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		m := New(defaultOptions())
		if m.Apply(machine.Record{Key: key, Value: value}) != nil {
			return
		}
		before := snapshot(m)
		again := replay(t, m.o, before)
		if err := sameRecords(before, snapshot(again)); err != nil {
			t.Fatal(err)
		}
		now := time.UnixMilli(1_000_000_000_000)
		r := rand.New(rand.NewPCG(1, 1))
		if _, err := m.Loaded(machine.Env{Now: now, Rand: r}); err != nil {
			return
		}
		for range 20 {
			now = now.Add(3 * time.Hour)
			for _, rec := range m.Expire(now, r).Records {
				if err := m.Apply(rec); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestConfigKeysMakeOptions(t *testing.T) {
	set, err := config.NewSet(ConfigKeys(), []config.Key{{Name: "message.max.bytes", Scope: config.Broker, Kind: config.Int, Default: "1048588", Doc: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	o, err := OptionsFrom(func(name string) string { return set.String(config.Broker, name, config.Layers{}) })
	if err != nil {
		t.Fatal(err)
	}
	want := Options{MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute, InitialDelay: 3 * time.Second, MaxSize: 1<<31 - 1,
		MaxMetadata: 4096, Retention: 7 * 24 * time.Hour, CheckInterval: 10 * time.Minute, MaxRecordBytes: 1048588 - batchOverhead}
	if o != want {
		t.Errorf("%+v, want %+v", o, want)
	}
	for _, k := range ConfigKeys() {
		if k.Doc == "" || k.Check != nil && k.Check(k.Default) != nil {
			t.Errorf("%s: no documentation, or its default %q is refused", k.Name, k.Default)
		}
	}
	if _, err := OptionsFrom(func(string) string { return "x" }); err == nil {
		t.Error("a value that is no number makes options")
	}
}

func TestJoinsThatNeverComeBackAreBounded(t *testing.T) {
	s := newShard(t, defaultOptions(), 1)
	join := &wire.JoinGroupRequest{GroupId: "g", SessionTimeoutMs: 10_000, ProtocolType: "consumer", Protocols: []wire.JoinGroupRequestJoinGroupRequestProtocol{{Name: "range"}}}
	for range maxPendingJoins {
		s.do(Join(join, 9, Client{ID: "c"}))
	}
	if got := show(s.replies[s.do(Join(join, 9, Client{ID: "c"}))]); got != "join COORDINATOR_NOT_AVAILABLE member=" {
		t.Error(got)
	}
	s.advance(10 * time.Second)
	if got := s.replies[s.do(Join(join, 9, Client{ID: "c"}))].(*wire.JoinGroupResponse); code.Error(got.ErrorCode) != code.MemberIdRequired || len(s.m.groups["g"].pending) != 1 {
		t.Error(show(got))
	}
}

// BenchmarkHeartbeats is the engine's most frequent call, with 5,000 members.
func BenchmarkHeartbeats(b *testing.B) {
	s := newShard(b, defaultOptions(), 1)
	var ds []Decision
	for i := range 5000 {
		group := "g" + string(rune('a'+i%26))
		s.do(Join(&wire.JoinGroupRequest{GroupId: group, SessionTimeoutMs: 60_000, RebalanceTimeoutMs: 60_000, ProtocolType: "consumer",
			Protocols: []wire.JoinGroupRequestJoinGroupRequestProtocol{{Name: "range"}}}, 3, Client{ID: "c"}))
	}
	s.advance(7 * time.Second)
	for _, g := range s.m.groups {
		for _, mem := range g.members {
			ds = append(ds, Heartbeat(&wire.HeartbeatRequest{GroupId: g.id, MemberId: mem.id, GenerationId: g.generation}))
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(ds) == 0 {
			s.now = s.now.Add(3 * time.Second)
			s.m.Expire(s.now, s.rand)
		}
		ds[i%len(ds)](s.m, machine.Env{Now: s.now, Rand: s.rand, Ticket: 1})
	}
}
