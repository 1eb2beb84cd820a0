package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/wire"
)

// join joins a group and waits; a member without an id first asks for one where the version wants that. The
// member is known by name from then on.
func (t *run) join(v int16, name string, q o) (string, int32) {
	q = with(o{"SessionTimeoutMs": 10000, "RebalanceTimeoutMs": 3000, "ProtocolType": "consumer", "Protocols": a{o{"Name": "range", "Metadata": []byte("m")}}}, q)
	m, show := t.learn(t.conn, v, "JoinGroup", q)
	r := m.(*wire.JoinGroupResponse)
	if r.MemberId != "" && t.alias[r.MemberId] == "" {
		t.know(r.MemberId, name)
	}
	show()
	if r.ErrorCode == 79 { // MEMBER_ID_REQUIRED
		return t.join(v, name, with(q, o{"MemberId": r.MemberId}))
	}
	return r.MemberId, r.GenerationId
}

func with(q, more o) o {
	all := o{}
	for k, x := range q {
		all[k] = x
	}
	for k, x := range more {
		all[k] = x
	}
	return all
}

// stable is a group with one member that has its assignment.
func (t *run) stable(group string, q o) (member string, generation int32) {
	member, generation = t.join(t.upTo("JoinGroup", 5), "member of "+group, with(o{"GroupId": group}, q))
	t.do(t.upTo("SyncGroup", 3), "SyncGroup", with(instanceOf(q), o{"GroupId": group, "GenerationId": generation, "MemberId": member, "Assignments": a{o{"MemberId": member, "Assignment": []byte("all")}}}))
	return member, generation
}

func instanceOf(q o) o {
	if id, ok := q["GroupInstanceId"]; ok {
		return o{"GroupInstanceId": id}
	}
	return o{}
}

func groupCases() []kase {
	return []kase{
		{"join-one", func(t *run) {
			for _, v := range t.versions("JoinGroup", 0) {
				g := t.called(fmt.Sprint("g", v))
				member, generation := t.join(v, "member", o{"GroupId": g})
				sv := min(t.newest("SyncGroup"), max(0, v-2))
				for _, s := range []int16{sv, t.newest("SyncGroup")} {
					t.do(s, "SyncGroup", o{"GroupId": g, "GenerationId": generation, "MemberId": member, "ProtocolType": "consumer", "ProtocolName": "range", "Assignments": a{o{"MemberId": member, "Assignment": []byte("mine")}}})
				}
				for _, h := range t.versions("Heartbeat", 0) {
					t.do(h, "Heartbeat", o{"GroupId": g, "GenerationId": generation, "MemberId": member})
				}
				t.join(v, "member", o{"GroupId": g, "MemberId": member}) // again: the leader's rejoin begins a generation
				t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
				t.do(t.newest("Heartbeat"), "Heartbeat", o{"GroupId": g, "GenerationId": generation, "MemberId": member})
				t.do(t.newest("Heartbeat"), "Heartbeat", o{"GroupId": g, "GenerationId": generation + 1, "MemberId": member})
				t.do(t.upTo("LeaveGroup", 2), "LeaveGroup", o{"GroupId": g, "MemberId": member})
				t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
			}
		}},
		{"join-bad", func(t *run) {
			for _, v := range t.versions("JoinGroup", 0) {
				g := t.called(fmt.Sprint("g", v))
				for _, q := range []o{
					{"GroupId": ""}, {"GroupId": g, "SessionTimeoutMs": 1}, {"GroupId": g, "SessionTimeoutMs": 100000000}, {"GroupId": g, "MemberId": "nobody"}, {"GroupId": g, "ProtocolType": ""},
					{"GroupId": g, "Protocols": a{}}, {"GroupId": "nothing here " + g, "MemberId": "nobody"}, {"GroupId": g, "SessionTimeoutMs": -1},
				} {
					t.join(v, "member", q)
				}
				member, _ := t.join(v, "member", o{"GroupId": g})
				t.join(v, "other", o{"GroupId": g, "MemberId": member, "ProtocolType": "connect"})
				t.join(v, "other", o{"GroupId": g, "MemberId": member, "Protocols": a{}})
				t.join(v, "other", o{"GroupId": g, "ProtocolType": "connect"})
				t.join(v, "other", o{"GroupId": g, "Protocols": a{o{"Name": "sticky", "Metadata": []byte{}}}})
				if v >= 5 {
					t.join(v, "other", o{"GroupId": g, "GroupInstanceId": "i", "MemberId": "wrong"})
					t.join(v, "other", o{"GroupId": g, "GroupInstanceId": "", "MemberId": ""})
					t.join(v, "other", o{"GroupId": g, "GroupInstanceId": strings.Repeat("x", 300), "MemberId": ""})
				}
			}
		}},
		{"sync-heartbeat-bad", func(t *run) {
			g := t.called("g")
			member, generation := t.stable(g, nil)
			for _, v := range t.versions("SyncGroup", 0) {
				for _, q := range []o{{}, {"GenerationId": generation + 1}, {"MemberId": "nobody"}, {"GroupId": t.called("none")}, {"GroupId": ""}, {"GenerationId": -1}, {"MemberId": ""}, {"ProtocolName": "sticky"}, {"ProtocolType": "connect"},
					{"ProtocolType": nil}, {"ProtocolName": nil}, {"GroupInstanceId": "i"}} {
					t.do(v, "SyncGroup", with(o{"GroupId": g, "GenerationId": generation, "MemberId": member, "ProtocolType": "consumer", "ProtocolName": "range"}, q))
				}
			}
			for _, v := range t.versions("Heartbeat", 0) {
				for _, q := range []o{{}, {"GenerationId": generation + 1}, {"MemberId": "nobody"}, {"GroupId": t.called("none")}, {"GroupId": ""}, {"GenerationId": -1}, {"MemberId": ""}, {"GroupInstanceId": "i"}} {
					t.do(v, "Heartbeat", with(o{"GroupId": g, "GenerationId": generation, "MemberId": member}, q))
				}
			}
			for _, v := range t.versions("LeaveGroup", 0) {
				if v < 3 {
					for _, q := range []o{{"MemberId": "nobody"}, {"GroupId": t.called("none"), "MemberId": "x"}, {"GroupId": "", "MemberId": "x"}, {"MemberId": ""}} {
						t.do(v, "LeaveGroup", with(o{"GroupId": g}, q))
					}
					continue
				}
				t.do(v, "LeaveGroup", o{"GroupId": g, "Members": a{o{"MemberId": "nobody"}, o{"MemberId": "", "GroupInstanceId": "i"}, o{"MemberId": "x", "GroupInstanceId": "i"}}})
				t.do(v, "LeaveGroup", o{"GroupId": g, "Members": a{}})
				t.do(v, "LeaveGroup", o{"GroupId": t.called("none"), "Members": a{o{"MemberId": "x"}}})
				t.do(v, "LeaveGroup", o{"GroupId": "", "Members": a{o{"MemberId": "x"}}})
			}
			t.do(t.newest("LeaveGroup"), "LeaveGroup", o{"GroupId": g, "Members": a{o{"MemberId": member}, o{"MemberId": member}}})
		}},
		{"two-members", func(t *run) {
			v, s, h := t.upTo("JoinGroup", 9), t.upTo("SyncGroup", 5), t.newest("Heartbeat")
			g := t.called("g")
			protocol := "range"
			sync := func(c *connection, member string, generation int32, list a) func() answer {
				return t.start(c, s, "SyncGroup", o{"GroupId": g, "GenerationId": generation, "MemberId": member, "ProtocolType": "consumer", "ProtocolName": protocol, "Assignments": list})
			}
			one, generation := t.join(v, "one", o{"GroupId": g, "Protocols": a{o{"Name": "range", "Metadata": []byte("1")}, o{"Name": "sticky", "Metadata": []byte("1s")}}})
			sync(t.conn, one, generation, a{o{"MemberId": one, "Assignment": []byte("all")}})()
			// A second member asks for its id and joins; it waits for the first.
			second := t.connect()
			q := o{"GroupId": g, "SessionTimeoutMs": 10000, "RebalanceTimeoutMs": 5000, "ProtocolType": "consumer", "Protocols": a{o{"Name": "sticky", "Metadata": []byte("2s")}, o{"Name": "range", "Metadata": []byte("2")}}}
			m, show := t.learn(second, v, "JoinGroup", q)
			two := m.(*wire.JoinGroupResponse).MemberId
			t.know(two, "two")
			show()
			joined := t.start(second, v, "JoinGroup", with(q, o{"MemberId": two}))
			t.waitFor(func() bool {
				return t.quiet(h, "Heartbeat", o{"GroupId": g, "GenerationId": generation, "MemberId": one}).(*wire.HeartbeatResponse).ErrorCode == 27
			})
			t.do(h, "Heartbeat", o{"GroupId": g, "GenerationId": generation, "MemberId": one})
			t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
			t.do(t.upTo("OffsetCommit", 9), "OffsetCommit", o{"GroupId": g, "GenerationIdOrMemberEpoch": generation, "MemberId": one, "Topics": a{}})
			t.do(v, "JoinGroup", with(q, o{"MemberId": one, "Protocols": a{o{"Name": "sticky", "Metadata": []byte("1s")}, o{"Name": "range", "Metadata": []byte("1")}}}))
			r := joined()
			next := int32(-1)
			if a, ok := r.message.(*wire.JoinGroupResponse); ok {
				next, protocol = a.GenerationId, *a.ProtocolName
			}
			waiting := sync(second, two, next, nil)
			t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
			sync(t.conn, one, next, a{o{"MemberId": one, "Assignment": []byte("left")}, o{"MemberId": two, "Assignment": []byte("right")}})()
			waiting()
			t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
			sync(second, two, next, nil)()
			t.on(second, h, "Heartbeat", o{"GroupId": g, "GenerationId": next, "MemberId": two})
			// The follower leaves: the leader is told to join again.
			t.on(second, t.newest("LeaveGroup"), "LeaveGroup", o{"GroupId": g, "Members": a{o{"MemberId": two, "GroupInstanceId": nil}}})
			t.do(h, "Heartbeat", o{"GroupId": g, "GenerationId": next, "MemberId": one})
			t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
			t.do(v, "JoinGroup", with(q, o{"MemberId": one}))
		}},
		{"static-members", func(t *run) {
			for _, v := range t.versions("JoinGroup", 5) {
				g := t.called(fmt.Sprint("g", v))
				s, h := t.newest("SyncGroup"), t.newest("Heartbeat")
				static := o{"GroupId": g, "GroupInstanceId": "i"}
				member, generation := t.join(v, "first", static)
				t.do(s, "SyncGroup", o{"GroupId": g, "GenerationId": generation, "MemberId": member, "GroupInstanceId": "i", "ProtocolType": "consumer", "ProtocolName": "range", "Assignments": a{o{"MemberId": member, "Assignment": []byte("all")}}})
				t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
				// The same instance comes back under another member id and keeps its assignment and generation.
				again, generation2 := t.join(v, "second", static)
				t.do(s, "SyncGroup", o{"GroupId": g, "GenerationId": generation2, "MemberId": again, "GroupInstanceId": "i", "ProtocolType": "consumer", "ProtocolName": "range"})
				t.do(h, "Heartbeat", o{"GroupId": g, "GenerationId": generation2, "MemberId": again, "GroupInstanceId": "i"})
				t.do(h, "Heartbeat", o{"GroupId": g, "GenerationId": generation2, "MemberId": member, "GroupInstanceId": "i"}) // fenced
				t.do(h, "Heartbeat", o{"GroupId": g, "GenerationId": generation2, "MemberId": again, "GroupInstanceId": "j"})
				t.do(h, "Heartbeat", o{"GroupId": g, "GenerationId": generation2 + 5, "MemberId": again, "GroupInstanceId": "i"})
				t.do(s, "SyncGroup", o{"GroupId": g, "GenerationId": generation2, "MemberId": member, "GroupInstanceId": "i", "ProtocolType": "consumer", "ProtocolName": "range"})
				t.join(v, "fenced", with(static, o{"MemberId": member}))
				t.join(v, "unknown", with(static, o{"MemberId": "x", "GroupInstanceId": "j"}))
				t.do(t.upTo("OffsetCommit", 9), "OffsetCommit", o{"GroupId": g, "GenerationIdOrMemberEpoch": generation2, "MemberId": member, "GroupInstanceId": "i", "Topics": a{o{"Name": "x", "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 1}}}}})
				t.join(v, "changed", with(static, o{"MemberId": again, "Protocols": a{o{"Name": "range", "Metadata": []byte("other")}}}))
				t.do(t.newest("LeaveGroup"), "LeaveGroup", o{"GroupId": g, "Members": a{o{"MemberId": member, "GroupInstanceId": "i"}}})
				t.do(t.newest("LeaveGroup"), "LeaveGroup", o{"GroupId": g, "Members": a{o{"MemberId": "", "GroupInstanceId": "i"}, o{"MemberId": "", "GroupInstanceId": "i"}}})
				t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
			}
		}},
		{"offset-commit", func(t *run) {
			x := t.topic("x", 3)
			id := t.idOf(x)
			long := strings.Repeat("m", 5000)
			for _, v := range t.versions("OffsetCommit", 0) {
				g := t.called(fmt.Sprint("g", v))
				topics := func(list ...any) a { return a{o{"Name": x, "TopicId": id, "Partitions": a(list)}} }
				at := func(p int, offset int64) o {
					return o{"PartitionIndex": p, "CommittedOffset": offset, "CommittedMetadata": fmt.Sprint("meta", p)}
				}
				commit := func(q o) { t.do(v, "OffsetCommit", with(o{"GroupId": g}, q)) }
				commit(o{"Topics": topics(at(0, 5), at(1, 7))})
				commit(o{"Topics": topics(at(0, 6), with(at(2, 0), o{"CommittedMetadata": nil, "CommittedLeaderEpoch": 3}))})
				commit(o{"Topics": topics(at(0, -1))})
				commit(o{"Topics": topics(at(9, 1), at(-1, 1), at(0, 8))})
				commit(o{"Topics": topics(with(at(0, 1), o{"CommittedMetadata": long}), at(1, 8))})
				commit(o{"Topics": a{o{"Name": t.called("unknown"), "TopicId": wire.UUID{3}, "Partitions": a{at(0, 1)}}}})
				commit(o{"Topics": a{o{"Name": t.called("unknown"), "TopicId": wire.UUID{3}, "Partitions": a{at(0, 1)}}, topics(at(0, 9))[0]}})
				commit(o{"Topics": a{o{"Name": "bad name!", "TopicId": wire.UUID{}, "Partitions": a{at(0, 1)}}}})
				commit(o{"Topics": a{}})
				commit(o{"Topics": topics()})
				commit(o{"GroupId": "", "Topics": topics(at(0, 1))})
				if v > 0 {
					commit(o{"GenerationIdOrMemberEpoch": 5, "Topics": topics(at(0, 1))})
					commit(o{"GenerationIdOrMemberEpoch": 5, "MemberId": "x", "Topics": topics(at(0, 1))})
					commit(o{"GenerationIdOrMemberEpoch": -1, "MemberId": "x", "Topics": topics(at(0, 11))})
					commit(o{"GroupId": t.called("none"), "GenerationIdOrMemberEpoch": 5, "MemberId": "x", "Topics": topics(at(0, 1))})
				}
				if v >= 7 {
					commit(o{"GenerationIdOrMemberEpoch": 5, "MemberId": "x", "GroupInstanceId": "i", "Topics": topics(at(0, 1))})
				}
				commit(o{"Topics": topics(at(1, 21), at(1, 22))})
				for _, f := range t.versions("OffsetFetch", 0) {
					t.fetchOffsets(f, g, x, id, a{0, 1, 2, 7})
				}
			}
		}},
		{"offset-commit-member", func(t *run) {
			x := t.topic("x", 1)
			id := t.idOf(x)
			for _, v := range t.versions("OffsetCommit", 1) {
				g := t.called(fmt.Sprint("g", v))
				member, generation := t.stable(g, nil)
				for _, q := range []o{{}, {"GenerationIdOrMemberEpoch": generation + 1}, {"GenerationIdOrMemberEpoch": generation - 1}, {"MemberId": "nobody"}, {"MemberId": ""}, {"GenerationIdOrMemberEpoch": -1, "MemberId": ""}, {"GenerationIdOrMemberEpoch": -1}} {
					t.do(v, "OffsetCommit", with(o{"GroupId": g, "GenerationIdOrMemberEpoch": generation, "MemberId": member, "Topics": a{o{"Name": x, "TopicId": id, "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 3}}}}}, q))
				}
				t.do(t.upTo("OffsetFetch", 5), "OffsetFetch", o{"GroupId": g, "Topics": a{o{"Name": x, "PartitionIndexes": a{0}}}})
				t.do(t.newest("OffsetDelete"), "OffsetDelete", o{"GroupId": g, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0}}}}})
			}
		}},
		{"offset-fetch", func(t *run) {
			x, y := t.topic("x", 2), t.topic("y", 1)
			id := t.idOf(x)
			idY := t.idOf(y)
			g := t.called("g")
			t.quiet(t.upTo("OffsetCommit", 9), "OffsetCommit", o{"GroupId": g, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 3, "CommittedMetadata": "m", "CommittedLeaderEpoch": 0}}}, o{"Name": y, "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 4, "CommittedMetadata": ""}}}}})
			for _, v := range t.versions("OffsetFetch", 0) {
				t.fetchOffsets(v, g, x, id, a{0, 1, 5})
				t.fetchOffsets(v, t.called("none"), x, id, a{0, 1, 5})
				t.fetchOffsets(v, g, t.called("unknown"), wire.UUID{9}, a{0})
				t.fetchOffsets(v, "", x, id, a{0})
				t.fetchOffsets(v, g, "bad name!", wire.UUID{}, a{0})
				if v >= 2 && v < 8 {
					t.do(v, "OffsetFetch", o{"GroupId": g, "Topics": nil})
					t.do(v, "OffsetFetch", o{"GroupId": t.called("none"), "Topics": nil})
				}
				if v < 8 {
					t.do(v, "OffsetFetch", o{"GroupId": g, "Topics": a{}})
					continue
				}
				for _, q := range []o{{"Topics": nil}, {"Topics": a{}}, {"GroupId": t.called("none"), "Topics": nil}, {"MemberId": "x", "MemberEpoch": 1, "Topics": nil}, {"MemberId": "x", "MemberEpoch": -1, "Topics": nil}, {"GroupId": t.called("none"), "MemberId": "x", "MemberEpoch": 1, "Topics": nil}} {
					t.do(v, "OffsetFetch", o{"Groups": a{with(o{"GroupId": g, "MemberId": nil}, q)}})
				}
				t.do(v, "OffsetFetch", o{"Groups": a{o{"GroupId": g, "MemberId": nil, "Topics": a{o{"Name": x, "TopicId": id, "PartitionIndexes": a{0}}, o{"Name": y, "TopicId": idY, "PartitionIndexes": a{0}}}}, o{"GroupId": t.called("none"), "MemberId": nil, "Topics": nil}}, "RequireStable": true})
				t.do(v, "OffsetFetch", o{"Groups": a{o{"GroupId": g, "MemberId": nil, "Topics": a{}}, o{"GroupId": g, "MemberId": nil, "Topics": a{}}}})
				t.do(v, "OffsetFetch", o{"Groups": a{}})
			}
		}},
		{"offset-delete", func(t *run) {
			x, y := t.topic("x", 2), t.topic("y", 1)
			g := t.called("g")
			t.quiet(t.upTo("OffsetCommit", 9), "OffsetCommit", o{"GroupId": g, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 3}, o{"PartitionIndex": 1, "CommittedOffset": 3}}}, o{"Name": y, "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 4}}}}})
			for _, v := range t.versions("OffsetDelete", 0) {
				ask := func(group string, topic string, partitions ...int) {
					var list a
					for _, p := range partitions {
						list = append(list, o{"PartitionIndex": p})
					}
					t.do(v, "OffsetDelete", o{"GroupId": group, "Topics": a{o{"Name": topic, "Partitions": list}}})
				}
				ask(t.called("none"), x, 0)
				ask("", x, 0)
				ask(g, t.called("unknown"), 0)
				ask(g, x, 9)
				ask(g, x, 0)
				ask(g, x, 0)
				t.fetchOffsets(t.upTo("OffsetFetch", 7), g, x, wire.UUID{}, a{0, 1})
				t.do(v, "OffsetDelete", o{"GroupId": g, "Topics": a{}})
				t.do(v, "OffsetDelete", o{"GroupId": g, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 1}}}, o{"Name": y, "Partitions": a{o{"PartitionIndex": 0}}}}})
				t.do(t.upTo("OffsetFetch", 7), "OffsetFetch", o{"GroupId": g, "Topics": nil})
			}
		}},
		{"describe-groups", func(t *run) {
			g, offsets := t.called("g"), t.called("offsets")
			x := t.topic("x", 1)
			member, generation := t.stable(g, o{"GroupInstanceId": "i"})
			t.quiet(t.upTo("OffsetCommit", 9), "OffsetCommit", o{"GroupId": offsets, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 3}}}}})
			for _, v := range t.versions("DescribeGroups", 0) {
				t.do(v, "DescribeGroups", o{"Groups": a{g}})
				t.do(v, "DescribeGroups", o{"Groups": a{g, offsets, t.called("none"), ""}, "IncludeAuthorizedOperations": true})
				t.do(v, "DescribeGroups", o{"Groups": a{}})
				t.do(v, "DescribeGroups", o{"Groups": a{g, g}})
			}
			for _, v := range t.versions("ListGroups", 0) {
				for _, q := range []o{{}, {"StatesFilter": a{"Stable"}}, {"StatesFilter": a{"Empty"}}, {"StatesFilter": a{"empty"}}, {"StatesFilter": a{"Nonsense"}}, {"TypesFilter": a{"classic"}}, {"TypesFilter": a{"Consumer"}}, {"TypesFilter": a{"nonsense"}}, {"StatesFilter": a{"Stable", "Empty"}, "TypesFilter": a{"Classic"}}} {
					m, show := t.learn(t.conn, v, "ListGroups", q)
					r := m.(*wire.ListGroupsResponse)
					r.Groups = slices.DeleteFunc(r.Groups, func(x wire.ListGroupsResponseListedGroup) bool { return !t.own(x.GroupId) })
					show()
				}
			}
			for _, v := range t.versions("DeleteGroups", 0) {
				t.do(v, "DeleteGroups", o{"GroupsNames": a{g, t.called("none"), ""}})
				t.do(v, "DeleteGroups", o{"GroupsNames": a{}})
				t.quiet(t.upTo("OffsetCommit", 9), "OffsetCommit", o{"GroupId": offsets, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 3}}}}})
				t.do(v, "DeleteGroups", o{"GroupsNames": a{offsets}})
				t.do(v, "DeleteGroups", o{"GroupsNames": a{offsets, offsets}})
				t.fetchOffsets(t.upTo("OffsetFetch", 7), offsets, x, wire.UUID{}, a{0})
			}
			t.do(t.newest("LeaveGroup"), "LeaveGroup", o{"GroupId": g, "Members": a{o{"MemberId": member, "GroupInstanceId": "i"}}})
			t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
			t.do(t.newest("DeleteGroups"), "DeleteGroups", o{"GroupsNames": a{g}})
			t.do(t.upTo("DescribeGroups", 5), "DescribeGroups", o{"Groups": a{g}})
			_ = generation
		}},
		{"topic-deletion-and-offsets", func(t *run) {
			x := t.topic("x", 1)
			g := t.called("g")
			t.quiet(t.upTo("OffsetCommit", 9), "OffsetCommit", o{"GroupId": g, "Topics": a{o{"Name": x, "Partitions": a{o{"PartitionIndex": 0, "CommittedOffset": 3}}}}})
			t.do(t.upTo("DeleteTopics", 5), "DeleteTopics", o{"TopicNames": a{x}, "TimeoutMs": 10000})
			t.waitFor(func() bool {
				r := t.quiet(t.upTo("OffsetFetch", 7), "OffsetFetch", o{"GroupId": g, "Topics": nil}).(*wire.OffsetFetchResponse)
				return len(r.Topics) == 0
			})
			t.do(t.upTo("OffsetFetch", 7), "OffsetFetch", o{"GroupId": g, "Topics": nil})
		}},
	}
}

// fetchOffsets asks for a group's offsets in the shape of the version.
func (t *run) fetchOffsets(v int16, group, topic string, id wire.UUID, partitions a) {
	if v < 8 {
		t.do(v, "OffsetFetch", o{"GroupId": group, "Topics": a{o{"Name": topic, "PartitionIndexes": partitions}}})
		return
	}
	t.do(v, "OffsetFetch", o{"Groups": a{o{"GroupId": group, "MemberId": nil, "Topics": a{o{"Name": topic, "TopicId": id, "PartitionIndexes": partitions}}}}})
}
