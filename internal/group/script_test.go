package group

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/wire"
)

// TestScripts runs the scripts in testdata. Each command is a call, which gets the
// next number; what is answered, then or later, is shown as "number: answer".
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		sc := &script{t: t, names: names{map[string]string{}, map[string]string{}}}
		sc.restart(defaultOptions())
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return sc.command(d) })
	})
}

type script struct {
	t     *testing.T
	s     *shard
	names names
}

func (sc *script) restart(o Options) { sc.s = newShard(sc.t, o, 1) }

// args are a command's name=value pairs.
type args struct {
	sc *script
	d  *datadriven.TestData
}

func (a args) has(name string) bool { return a.d.HasArg(name) }

func (a args) list(name string) []string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == name {
			return arg.Vals
		}
	}
	return nil
}

func (a args) str(name, otherwise string) string {
	if v := a.list(name); len(v) > 0 {
		return a.sc.names.lengthen(v[0])
	}
	if a.has(name) {
		return ""
	}
	return otherwise
}

func (a args) ptr(name string) *string {
	if !a.has(name) {
		return nil
	}
	s := a.str(name, "")
	return &s
}

func (a args) num(name string, otherwise int64) int64 {
	if !a.has(name) {
		return otherwise
	}
	n, err := strconv.ParseInt(a.str(name, ""), 10, 64)
	if err != nil {
		a.d.Fatalf(a.sc.t, "%s: %v", name, err)
	}
	return n
}

func (a args) dur(name string, otherwise time.Duration) time.Duration {
	if !a.has(name) {
		return otherwise
	}
	v, err := time.ParseDuration(a.str(name, ""))
	if err != nil {
		a.d.Fatalf(a.sc.t, "%s: %v", name, err)
	}
	return v
}

// consumerMetadata is a consumer's subscription, version 0.
func consumerMetadata(topics ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(topics)))
	for _, t := range topics {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(t))), t...)
	}
	return append(b, 0xff, 0xff, 0xff, 0xff)
}

// topicsOf groups arguments of the form topic-partition=value.
func (a args) partitions(f func(topic string, partition int32, value string)) {
	for _, v := range a.list("at") {
		tp, value, _ := strings.Cut(v, ":")
		i := strings.LastIndexByte(tp, '-')
		n, err := strconv.Atoi(tp[i+1:])
		if err != nil {
			a.d.Fatalf(a.sc.t, "%s is no topic-partition", tp)
		}
		f(tp[:i], int32(n), value)
	}
}

func (sc *script) command(d *datadriven.TestData) string {
	a, s := args{sc, d}, sc.s
	s.late = nil
	group := a.str("group", "g")
	version := int16(a.num("v", 9))
	client := Client{ID: a.str("client", "c"), Host: "/10.0.0.1"}
	logged := len(s.log)
	var ticket machine.Ticket
	switch d.Cmd {
	case "options":
		o := defaultOptions()
		o.InitialDelay = a.dur("delay", o.InitialDelay)
		o.MaxSize = int(a.num("max", int64(o.MaxSize)))
		o.MaxMetadata = int(a.num("metadata", int64(o.MaxMetadata)))
		o.MaxRecordBytes = int(a.num("record", int64(o.MaxRecordBytes)))
		if a.has("keep") {
			s.o = o
			s.reload()
			break
		}
		sc.restart(o)
		return ""
	case "join":
		req := &wire.JoinGroupRequest{
			GroupId: group, MemberId: a.str("member", ""), GroupInstanceId: a.ptr("instance"),
			SessionTimeoutMs: int32(a.dur("session", 10*time.Second).Milliseconds()), RebalanceTimeoutMs: int32(a.dur("rebalance", time.Minute).Milliseconds()),
			ProtocolType: a.str("type", "consumer"),
		}
		protocols := a.list("protocols")
		if !a.has("protocols") {
			protocols = []string{"range"}
		}
		for _, p := range protocols {
			name, meta, raw := strings.Cut(p, ":")
			if name == "" {
				continue
			}
			m := []byte(meta)
			if !raw {
				m = consumerMetadata(a.list("topics")...)
			}
			req.Protocols = append(req.Protocols, wire.JoinGroupRequestJoinGroupRequestProtocol{Name: name, Metadata: m})
		}
		ticket = s.do(Join(req, version, client))
	case "sync":
		req := &wire.SyncGroupRequest{
			GroupId: group, MemberId: a.str("member", ""), GenerationId: int32(a.num("generation", 1)), GroupInstanceId: a.ptr("instance"),
			ProtocolType: a.ptr("type"), ProtocolName: a.ptr("protocol"),
		}
		for _, v := range a.list("assign") {
			m, what, _ := strings.Cut(v, ":")
			req.Assignments = append(req.Assignments, wire.SyncGroupRequestSyncGroupRequestAssignment{MemberId: sc.names.lengthen(m), Assignment: []byte(what)})
		}
		ticket = s.do(Sync(req))
	case "heartbeat":
		ticket = s.do(Heartbeat(&wire.HeartbeatRequest{
			GroupId: group, MemberId: a.str("member", ""), GenerationId: int32(a.num("generation", 1)), GroupInstanceId: a.ptr("instance"),
		}))
	case "leave":
		req := &wire.LeaveGroupRequest{GroupId: group, MemberId: a.str("member", "")}
		for _, m := range a.list("members") {
			id, instance, static := strings.Cut(m, "/")
			mi := wire.LeaveGroupRequestMemberIdentity{MemberId: sc.names.lengthen(id)}
			if static {
				mi.GroupInstanceId = &instance
			}
			req.Members = append(req.Members, mi)
		}
		if !a.has("v") {
			version = 5
		}
		ticket = s.do(Leave(req, version))
	case "commit":
		req := &wire.OffsetCommitRequest{
			GroupId: group, MemberId: a.str("member", ""), GenerationIdOrMemberEpoch: int32(a.num("generation", -1)), GroupInstanceId: a.ptr("instance"),
			RetentionTimeMs: -1,
		}
		if a.has("retention") {
			req.RetentionTimeMs = a.dur("retention", 0).Milliseconds()
		}
		a.partitions(func(topic string, partition int32, value string) {
			parts := strings.SplitN(value, ":", 3)
			n, _ := strconv.ParseInt(parts[0], 10, 64)
			p := wire.OffsetCommitRequestOffsetCommitRequestPartition{PartitionIndex: partition, CommittedOffset: n, CommittedLeaderEpoch: -1, CommitTimestamp: a.num("timestamp", -1)}
			if len(parts) > 1 {
				e, _ := strconv.Atoi(parts[1])
				p.CommittedLeaderEpoch = int32(e)
			}
			if len(parts) > 2 {
				p.CommittedMetadata = &parts[2]
			}
			req.Topics = append(req.Topics, wire.OffsetCommitRequestOffsetCommitRequestTopic{
				Name: topic, TopicId: topicID(a.str("id", "")), Partitions: []wire.OffsetCommitRequestOffsetCommitRequestPartition{p},
			})
		})
		ticket = s.do(CommitOffsets(req, version))
	case "fetch":
		req := &wire.OffsetFetchRequestOffsetFetchRequestGroup{GroupId: group}
		a.partitions(func(topic string, partition int32, _ string) {
			req.Topics = append(req.Topics, wire.OffsetFetchRequestOffsetFetchRequestTopics{Name: topic, TopicId: topicID(a.str("id", "")), PartitionIndexes: []int32{partition}})
		})
		ticket = s.do(FetchOffsets(req))
	case "delete-offsets":
		req := &wire.OffsetDeleteRequest{GroupId: group}
		a.partitions(func(topic string, partition int32, _ string) {
			req.Topics = append(req.Topics, wire.OffsetDeleteRequestOffsetDeleteRequestTopic{
				Name: topic, Partitions: []wire.OffsetDeleteRequestOffsetDeleteRequestPartition{{PartitionIndex: partition}},
			})
		})
		ticket = s.do(DeleteOffsets(req))
	case "topics-deleted":
		ticket = s.do(TopicsDeleted([]DeletedTopic{{a.str("topic", ""), topicID(a.str("id", ""))}}))
	case "describe":
		if !a.has("v") {
			version = 6
		}
		ticket = s.do(Describe(group, version))
	case "list":
		ticket = s.do(List(&wire.ListGroupsRequest{StatesFilter: a.list("states"), TypesFilter: a.list("types")}))
	case "delete":
		ticket = s.do(Delete(group))
	case "advance":
		s.advance(a.dur("by", 0))
	case "reload":
		s.reload()
	case "records":
		logged = 0
	case "snapshot":
		var b strings.Builder
		for _, r := range snapshot(s.m) {
			b.WriteString(sc.names.shorten(describeRecord(r)) + "\n")
		}
		return b.String()
	default:
		d.Fatalf(sc.t, "no such command")
	}
	if err := sameRecords(snapshot(s.m), snapshot(replay(sc.t, s.o, s.log))); err != nil {
		d.Fatalf(sc.t, "the live machine and a replay of its log: %v", err)
	}
	var b strings.Builder
	for _, t := range s.late {
		fmt.Fprintf(&b, "%d: %s\n", t, sc.names.shorten(show(s.replies[t])))
	}
	if ticket != 0 && !slices.Contains(s.late, ticket) {
		fmt.Fprintf(&b, "%d parked\n", ticket)
	}
	if d.Cmd == "records" || a.has("log") {
		for _, r := range s.log[logged:] {
			fmt.Fprintf(&b, "record %s\n", sc.names.shorten(describeRecord(r)))
		}
	}
	return b.String()
}

func topicID(s string) (id wire.UUID) {
	copy(id[:], s)
	return id
}

func describeRecord(r machine.Record) string {
	kind, _ := keyType(r.Key)
	d := wire.NewDecoder(r.Key[2:])
	switch kind {
	case keyOffset, keyOffsetLegacy:
		var k wire.OffsetCommitKey
		k.Decode(&d, 0)
		at := fmt.Sprintf("offset %s %s-%d", k.Group, k.Topic, k.Partition)
		if r.Value == nil {
			return at + " tombstone"
		}
		o, err := parseOffsetValue(r.Value)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("%s v%d offset=%d epoch=%d metadata=%q committed=%d expires=%d", at, r.Value[1], o.offset, o.leaderEpoch, o.metadata, o.committed, o.expires)
	case keyGroupMetadata:
		var k wire.GroupMetadataKey
		k.Decode(&d, 0)
		if r.Value == nil {
			return "group " + k.Group + " tombstone"
		}
		v := wire.NewGroupMetadataValue()
		if err := parseValue(r.Value, v, maxGroupValue); err != nil {
			return err.Error()
		}
		s := fmt.Sprintf("group %s v%d type=%q generation=%d protocol=%s leader=%s since=%d", k.Group, r.Value[1], v.ProtocolType, v.Generation, str(v.Protocol), str(v.Leader), v.CurrentStateTimestamp)
		for _, m := range v.Members {
			s += fmt.Sprintf(" [%s %s %s%s %d %d %q %q]", m.MemberId, str(m.GroupInstanceId), m.ClientId, m.ClientHost, m.RebalanceTimeout, m.SessionTimeout, m.Subscription, m.Assignment)
		}
		return s
	}
	return fmt.Sprintf("type %d %q=%q", kind, r.Key, r.Value)
}
