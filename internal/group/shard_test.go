package group

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/wire"
)

func defaultOptions() Options {
	return Options{
		MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute, InitialDelay: 3 * time.Second,
		MaxSize: 1 << 30, MaxMetadata: 4096, Retention: 7 * 24 * time.Hour, CheckInterval: 10 * time.Minute,
		MaxRecordBytes: 1 << 20,
	}
}

// shard drives a machine as its engine does: it applies what is decided at once.
type shard struct {
	t       testing.TB
	o       Options
	m       *Machine
	rand    *rand.Rand
	now     time.Time
	ticket  machine.Ticket
	log     []machine.Record
	replies map[machine.Ticket]any
	late    []machine.Ticket // answered since the last look, in order
}

func newShard(t testing.TB, o Options, seed uint64) *shard {
	s := &shard{
		t: t, o: o, m: New(o), rand: rand.New(rand.NewPCG(seed, seed)), now: time.UnixMilli(1_000_000_000_000).UTC(),
		replies: make(map[machine.Ticket]any),
	}
	s.loaded()
	return s
}

func (s *shard) loaded() {
	out, err := s.m.Loaded(machine.Env{Now: s.now, Rand: s.rand})
	if err != nil {
		s.t.Fatal(err)
	}
	s.take(out)
}

func (s *shard) do(d Decision) machine.Ticket {
	s.ticket++
	s.take(d(s.m, machine.Env{Now: s.now, Rand: s.rand, Ticket: s.ticket}))
	return s.ticket
}

func (s *shard) take(out machine.Output) {
	for _, r := range out.Records {
		s.log = append(s.log, r)
		if err := s.m.Apply(r); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, r := range out.Replies {
		if _, twice := s.replies[r.To]; twice || r.To > s.ticket {
			s.t.Fatalf("call %d is answered twice, or was never made: %v", r.To, r.Body)
		}
		s.replies[r.To] = r.Body
		s.late = append(s.late, r.To)
	}
}

// advance moves time on, stopping wherever the machine wants to be asked.
func (s *shard) advance(d time.Duration) {
	end := s.now.Add(d)
	for {
		next := s.m.NextExpiry()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(s.now) {
			s.now = next
		}
		s.take(s.m.Expire(s.now, s.rand))
	}
	s.now = end
}

// reload replays the log into a fresh machine; parked calls are lost with the old one.
func (s *shard) reload() {
	s.m = replay(s.t, s.o, s.log)
	s.loaded()
}

func replay(t testing.TB, o Options, log []machine.Record) *Machine {
	m := New(o)
	for _, r := range log {
		if err := m.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func snapshot(m *Machine) []machine.Record {
	var rs []machine.Record
	m.Snapshot(func(r machine.Record) { rs = append(rs, r) })
	return rs
}

func sameRecords(a, b []machine.Record) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d records and %d", len(a), len(b))
	}
	for i := range a {
		if !bytes.Equal(a[i].Key, b[i].Key) || !bytes.Equal(a[i].Value, b[i].Value) {
			return fmt.Errorf("record %d: %q=%q and %q=%q", i, a[i].Key, a[i].Value, b[i].Key, b[i].Value)
		}
	}
	return nil
}

// names gives random member ids short names, client#1 for the first.
type names struct {
	short, long map[string]string
}

var uuid = regexp.MustCompile(`-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

func (n *names) shorten(id string) string {
	return uuid.ReplaceAllStringFunc(id, func(u string) string {
		if n.short[u] == "" {
			s := "#" + strconv.Itoa(len(n.short)+1)
			n.short[u], n.long[s] = s, u
		}
		return n.short[u]
	})
}

var alias = regexp.MustCompile(`#\d+`)

func (n *names) lengthen(id string) string {
	return alias.ReplaceAllStringFunc(id, func(s string) string {
		if u, ok := n.long[s]; ok {
			return u
		}
		return s
	})
}

func errorName(c int16) string { return code.Error(c).Error() }

func str(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// show writes what a test looks at in an answer.
func show(body any) string {
	var b strings.Builder
	switch r := body.(type) {
	case *wire.JoinGroupResponse:
		fmt.Fprintf(&b, "join %s member=%s", errorName(r.ErrorCode), r.MemberId)
		if r.ErrorCode == 0 {
			fmt.Fprintf(&b, " generation=%d protocol=%s/%s leader=%s", r.GenerationId, str(r.ProtocolType), str(r.ProtocolName), r.Leader)
			if r.SkipAssignment {
				b.WriteString(" skip")
			}
			for _, m := range r.Members {
				fmt.Fprintf(&b, " [%s %s %q]", m.MemberId, str(m.GroupInstanceId), m.Metadata)
			}
		}
	case *wire.SyncGroupResponse:
		fmt.Fprintf(&b, "sync %s %q protocol=%s/%s", errorName(r.ErrorCode), r.Assignment, str(r.ProtocolType), str(r.ProtocolName))
	case *wire.HeartbeatResponse:
		fmt.Fprintf(&b, "heartbeat %s", errorName(r.ErrorCode))
	case *wire.LeaveGroupResponse:
		fmt.Fprintf(&b, "leave %s", errorName(r.ErrorCode))
		for _, m := range r.Members {
			fmt.Fprintf(&b, " [%s %s %s]", m.MemberId, str(m.GroupInstanceId), errorName(m.ErrorCode))
		}
	case *wire.OffsetCommitResponse:
		b.WriteString("commit")
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, " %s-%d %s", t.Name, p.PartitionIndex, errorName(p.ErrorCode))
			}
		}
	case *wire.OffsetFetchResponseOffsetFetchResponseGroup:
		fmt.Fprintf(&b, "fetch %s", errorName(r.ErrorCode))
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, " %s-%d=%d", t.Name, p.PartitionIndex, p.CommittedOffset)
				if p.CommittedLeaderEpoch != -1 || *p.Metadata != "" {
					fmt.Fprintf(&b, "(%d %q)", p.CommittedLeaderEpoch, *p.Metadata)
				}
			}
		}
	case *wire.OffsetDeleteResponse:
		fmt.Fprintf(&b, "delete-offsets %s", errorName(r.ErrorCode))
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				fmt.Fprintf(&b, " %s-%d %s", t.Name, p.PartitionIndex, errorName(p.ErrorCode))
			}
		}
	case *wire.DescribeGroupsResponseDescribedGroup:
		fmt.Fprintf(&b, "describe %s %s type=%q protocol=%q", errorName(r.ErrorCode), r.GroupState, r.ProtocolType, r.ProtocolData)
		for _, m := range r.Members {
			fmt.Fprintf(&b, " [%s %s %s%s %q %q]", m.MemberId, str(m.GroupInstanceId), m.ClientId, m.ClientHost, m.MemberMetadata, m.MemberAssignment)
		}
	case *wire.ListGroupsResponse:
		b.WriteString("list")
		for _, g := range r.Groups {
			fmt.Fprintf(&b, " [%s %q %s %s]", g.GroupId, g.ProtocolType, g.GroupState, g.GroupType)
		}
	case *wire.DeleteGroupsResponseDeletableGroupResult:
		fmt.Fprintf(&b, "delete %s", errorName(r.ErrorCode))
	default:
		fmt.Fprintf(&b, "%v", body)
	}
	return b.String()
}
