package main

import (
	"slices"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/wire"
)

// settleAuto waits for a topic that was made by being asked for.
func (t *run) settleAuto(name string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		m := t.quiet(1, "Metadata", o{"Topics": a{o{"Name": name}}}).(*wire.MetadataResponse)
		if len(m.Topics) == 1 && m.Topics[0].ErrorCode == 0 && len(m.Topics[0].Partitions) > 0 {
			t.settle(name, len(m.Topics[0].Partitions))
			return
		}
	}
	panic(broken{"topic " + name + " was not made"})
}

// create asks for topics and shows the configs of the answer only when asked: they are many.
func (t *run) create(v int16, validate bool, configs bool, topics ...any) {
	m, show := t.learn(t.conn, v, "CreateTopics", o{"Topics": a(topics), "TimeoutMs": 10000, "ValidateOnly": validate})
	r := m.(*wire.CreateTopicsResponse)
	for i := range r.Topics {
		x := &r.Topics[i]
		if (x.TopicId != wire.UUID{}) {
			t.know(x.TopicId, "an id that was drawn")
		}
		if !configs && x.Configs != nil {
			x.Configs = x.Configs[:0]
		}
		slices.SortFunc(x.Configs, func(a, b wire.CreateTopicsResponseCreatableTopicConfigs) int { return strings.Compare(a.Name, b.Name) })
	}
	show()
	for i := range r.Topics {
		if r.Topics[i].ErrorCode == 0 && !validate {
			t.settleAuto(r.Topics[i].Name)
		}
	}
}

func topicCases() []kase {
	return []kase{
		{"create-topics", func(t *run) {
			for _, v := range t.versions("CreateTopics", 0) {
				at := func(n string) string { return t.called(n + string(rune('a'+v))) }
				t.create(v, false, true, o{"Name": at("plain"), "NumPartitions": 2, "ReplicationFactor": 1})
				t.create(v, false, false, o{"Name": at("plain"), "NumPartitions": 2, "ReplicationFactor": 1})
				if v >= 4 {
					t.create(v, false, false, o{"Name": at("defaults"), "NumPartitions": -1, "ReplicationFactor": -1})
				}
				t.create(v, false, true, o{"Name": at("config"), "NumPartitions": 1, "ReplicationFactor": 1, "Configs": a{o{"Name": "cleanup.policy", "Value": "compact"}, o{"Name": "retention.ms", "Value": " 1000 "}}})
				t.create(v, false, false, o{"Name": at("placed"), "NumPartitions": -1, "ReplicationFactor": -1, "Assignments": a{o{"PartitionIndex": 0, "BrokerIds": a{1}}, o{"PartitionIndex": 1, "BrokerIds": a{1}}}})
				if v >= 1 {
					t.create(v, true, false, o{"Name": at("dry"), "NumPartitions": 2, "ReplicationFactor": 1})
					t.create(v, true, false, o{"Name": at("plain"), "NumPartitions": 2, "ReplicationFactor": 1})
				}
				t.do(min(v, t.upTo("Metadata", 9)), "Metadata", o{"Topics": a{o{"Name": at("placed")}}, "AllowAutoTopicCreation": false})
			}
		}},
		{"create-topics-bad", func(t *run) {
			t.topic("with.dots_not", 1)
			for _, v := range t.versions("CreateTopics", 0) {
				good := func(n string) o { return o{"Name": n, "NumPartitions": 1, "ReplicationFactor": 1} }
				for _, n := range []string{"", ".", "..", "a b", "a/b", "a\\b", "ü", strings.Repeat("x", 250), "a\x00b", "a:b"} {
					t.create(v, false, false, good(n))
				}
				t.create(v, false, false, good(strings.ReplaceAll(t.called("with.dots_not"), ".", "_")))
				t.create(v, false, false, good(t.called("with_dots.not")))
				for _, f := range []o{
					{"NumPartitions": 0, "ReplicationFactor": 1}, {"NumPartitions": -2, "ReplicationFactor": 1}, {"NumPartitions": 1, "ReplicationFactor": 0}, {"NumPartitions": 1, "ReplicationFactor": 2},
					{"NumPartitions": 1, "ReplicationFactor": -2}, {"NumPartitions": 1, "ReplicationFactor": 1, "Assignments": a{o{"PartitionIndex": 0, "BrokerIds": a{1}}}},
					{"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": a{o{"PartitionIndex": 1, "BrokerIds": a{1}}}},
					{"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": a{o{"PartitionIndex": 0, "BrokerIds": a{1, 1}}}},
					{"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": a{o{"PartitionIndex": 0, "BrokerIds": a{9}}}},
					{"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": a{o{"PartitionIndex": 0, "BrokerIds": a{}}}},
					{"NumPartitions": -1, "ReplicationFactor": -1, "Assignments": a{o{"PartitionIndex": 0, "BrokerIds": a{1}}, o{"PartitionIndex": 0, "BrokerIds": a{1}}}},
					{"NumPartitions": -1, "ReplicationFactor": 1, "Assignments": a{o{"PartitionIndex": 0, "BrokerIds": a{1}}}},
					{"NumPartitions": 1, "ReplicationFactor": -1, "Assignments": a{o{"PartitionIndex": 0, "BrokerIds": a{1}}}},
				} {
					f["Name"] = t.called("bad")
					t.create(v, false, false, f)
				}
				for _, c := range [][2]any{{"cleanup.policy", "shred"}, {"no.such.config", "1"}, {"retention.ms", "much"}, {"retention.ms", "-2"}, {"segment.bytes", "1"}, {"segment.bytes", nil}, {"min.insync.replicas", "0"},
					{"max.message.bytes", "-1"}, {"compression.type", "rar"}, {"message.timestamp.type", "Never"}, {"cleanup.policy", ""}, {"cleanup.policy", "compact,delete"}, {"unclean.leader.election.enable", "maybe"},
					{"min.cleanable.dirty.ratio", "2"}, {"segment.ms", "0"}, {"flush.messages", "0"}, {"index.interval.bytes", "-1"}, {"preallocate", ""}, {"remote.storage.enable", "true"}, {"local.retention.ms", "99999999999999"},
					{"compression.gzip.level", "0"}, {"compression.zstd.level", "99"}, {"compression.lz4.level", "0"}, {"leader.replication.throttled.replicas", "x"}, {"leader.replication.throttled.replicas", "0:1"}, {"follower.replication.throttled.replicas", "*"}} {
					f := good(t.called("bad"))
					f["Configs"] = a{o{"Name": c[0], "Value": c[1]}}
					t.create(v, v >= 1, false, f)
				}
				f := good(t.called("twice"))
				f["Configs"] = a{o{"Name": "retention.ms", "Value": "1"}, o{"Name": "retention.ms", "Value": "2"}}
				t.create(v, v >= 1, false, f)
				t.create(v, false, false, good(t.called("dup")), good(t.called("dup")))
				t.create(v, v >= 1, false, good("__consumer_offsets"))
				t.create(v, v >= 1, false, good("__cluster_metadata"))
				t.create(v, false, false)
			}
		}},
		{"delete-topics", func(t *run) {
			for _, v := range t.versions("DeleteTopics", 0) {
				x, y := t.topic("x"+string(rune('a'+v)), 1), t.topic("y"+string(rune('a'+v)), 2)
				if v < 6 {
					t.do(v, "DeleteTopics", o{"TopicNames": a{t.called("unknown")}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"TopicNames": a{"bad name!"}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"TopicNames": a{""}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"TopicNames": a{}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"TopicNames": a{x, x}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"TopicNames": a{x, t.called("unknown"), y}, "TimeoutMs": 10000})
				} else {
					id := t.idOf(y)
					t.idOf(x)
					t.do(v, "DeleteTopics", o{"Topics": a{o{"Name": t.called("unknown")}, o{"Name": nil, "TopicId": wire.UUID{5}}}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"Topics": a{o{"Name": nil, "TopicId": wire.UUID{}}}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"Topics": a{o{"Name": y, "TopicId": id}}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"Topics": a{o{"Name": y}, o{"Name": nil, "TopicId": id}}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"Topics": a{o{"Name": y}, o{"Name": y}}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"Topics": a{o{"Name": nil, "TopicId": id}, o{"Name": nil, "TopicId": id}}, "TimeoutMs": 10000})
					t.do(v, "DeleteTopics", o{"Topics": a{o{"Name": x}}, "TimeoutMs": 10000})
				}
				again := t.topic("x"+string(rune('a'+v)), 3)
				t.do(t.upTo("Metadata", 9), "Metadata", o{"Topics": a{o{"Name": again}}, "AllowAutoTopicCreation": false})
			}
		}},
		{"create-partitions", func(t *run) {
			for _, v := range t.versions("CreatePartitions", 0) {
				x := t.topic("x"+string(rune('a'+v)), 2)
				ask := func(validate bool, topics ...any) {
					t.do(v, "CreatePartitions", o{"Topics": a(topics), "TimeoutMs": 10000, "ValidateOnly": validate})
				}
				for _, n := range []int{0, -1, 1, 2, 100000} {
					ask(true, o{"Name": x, "Count": n, "Assignments": nil})
				}
				ask(true, o{"Name": x, "Count": 3, "Assignments": nil})
				ask(true, o{"Name": t.called("unknown"), "Count": 3, "Assignments": nil})
				ask(true, o{"Name": "bad name!", "Count": 3, "Assignments": nil})
				ask(true, o{"Name": x, "Count": 3, "Assignments": a{}})
				ask(true, o{"Name": x, "Count": 3, "Assignments": a{o{"BrokerIds": a{1}}, o{"BrokerIds": a{1}}}})
				ask(true, o{"Name": x, "Count": 3, "Assignments": a{o{"BrokerIds": a{1, 1}}}})
				ask(true, o{"Name": x, "Count": 3, "Assignments": a{o{"BrokerIds": a{7}}}})
				ask(true, o{"Name": x, "Count": 3, "Assignments": a{o{"BrokerIds": a{}}}})
				ask(false, o{"Name": x, "Count": 3, "Assignments": nil}, o{"Name": x, "Count": 4, "Assignments": nil})
				ask(false, o{"Name": x, "Count": 3, "Assignments": nil})
				ask(false, o{"Name": x, "Count": 4, "Assignments": a{o{"BrokerIds": a{1}}}})
				ask(false, o{"Name": "__consumer_offsets", "Count": 1, "Assignments": nil})
				ask(false)
				t.settle(x, 4)
				t.do(t.upTo("Metadata", 9), "Metadata", o{"Topics": a{o{"Name": x}}, "AllowAutoTopicCreation": false})
			}
		}},
		{"elect-leaders", func(t *run) {
			x := t.topic("x", 2)
			for _, v := range t.versions("ElectLeaders", 0) {
				for _, kind := range []int{0, 1, 7} {
					if v == 0 && kind > 0 {
						continue
					}
					t.do(v, "ElectLeaders", o{"ElectionType": kind, "TopicPartitions": a{o{"Topic": x, "Partitions": a{0, 1, 9}}, o{"Topic": t.called("unknown"), "Partitions": a{0}}}, "TimeoutMs": 10000})
					t.do(v, "ElectLeaders", o{"ElectionType": kind, "TopicPartitions": a{o{"Topic": x, "Partitions": a{0}}}, "TimeoutMs": 10000})
					t.do(v, "ElectLeaders", o{"ElectionType": kind, "TopicPartitions": a{}, "TimeoutMs": 10000})
					m, show := t.learn(t.conn, v, "ElectLeaders", o{"ElectionType": kind, "TopicPartitions": nil, "TimeoutMs": 10000})
					r := m.(*wire.ElectLeadersResponse)
					r.ReplicaElectionResults = slices.DeleteFunc(r.ReplicaElectionResults, func(x wire.ElectLeadersResponseReplicaElectionResult) bool { return !t.own(x.Topic) })
					show()
				}
			}
		}},
	}
}
