package main

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/wire"
)

// own keeps the elements of an answer that this run made: brokers that keep their data have others too.
func (t *run) own(name string) bool { return strings.HasPrefix(name, "cf."+t.id+"."+t.name+".") }

func clusterCases() []kase {
	return []kase{
		{"api-versions", func(t *run) {
			for _, v := range t.versions("ApiVersions", 0) {
				m, _ := t.learn(t.conn, v, "ApiVersions", o{"ClientSoftwareName": "conformance", "ClientSoftwareVersion": "1.0"})
				a := m.(*wire.ApiVersionsResponse)
				a.ApiKeys, a.SupportedFeatures, a.FinalizedFeatures = nil, nil, nil // they differ, and each is told by what it serves
				t.record("ApiVersions", a, nil)
			}
			for _, name := range []string{"", "with blank", "-x", "x-", "ok", "a_b"} {
				m, _ := t.learn(t.conn, 3, "ApiVersions", o{"ClientSoftwareName": name, "ClientSoftwareVersion": "1.0"})
				a := m.(*wire.ApiVersionsResponse)
				a.ApiKeys, a.SupportedFeatures, a.FinalizedFeatures = nil, nil, nil
				t.record("ApiVersions "+name, a, nil)
			}
			if slices.Contains(t.versions("ApiVersions", 0), 5) {
				for _, f := range []o{{"NodeId": 77}, {"ClusterId": "other"}, {"NodeId": 1}, {"NodeId": 1, "ClusterId": "other"}} {
					f["ClientSoftwareName"], f["ClientSoftwareVersion"] = "c", "1"
					m, _ := t.learn(t.conn, 5, "ApiVersions", f)
					a := m.(*wire.ApiVersionsResponse)
					a.ApiKeys, a.SupportedFeatures, a.FinalizedFeatures = nil, nil, nil
					t.record("ApiVersions of another broker", a, nil)
				}
			}
		}},
		{"api-versions-unknown", func(t *run) {
			// A version of the future is answered in version 0 with error 35.
			for _, v := range []int16{90, 32767} {
				f := binary.BigEndian.AppendUint16(nil, 18)
				f = binary.BigEndian.AppendUint16(f, uint16(v))
				f = binary.BigEndian.AppendUint32(f, 7)
				f = append(f, 0, 1, 'x', 0, 2, 'c', 2, '1', 0)
				t.conn.next = 7
				err := t.conn.send(f)
				m := &wire.ApiVersionsResponse{}
				if err == nil {
					err = t.conn.receive(18, 0, m)
				}
				m.ApiKeys = nil
				t.record("ApiVersions of the future", m, err)
			}
		}},
		{"metadata", func(t *run) {
			one, two := t.topic("one", 1), t.topic("two", 3)
			for _, v := range t.versions("Metadata", 0) {
				for _, names := range [][]string{{one}, {two, one}, {t.called("unknown")}, {"bad name!"}, {""}, {"."}, {".."}, {strings.Repeat("x", 250)}, {one, one}, {one, "bad/", t.called("unknown")}} {
					var asked a
					for _, n := range names {
						asked = append(asked, o{"Name": n})
					}
					if v < 4 && slices.Contains(names, t.called("unknown")) {
						continue // would create it
					}
					t.do(v, "Metadata", o{"Topics": asked, "AllowAutoTopicCreation": false})
				}
				t.do(v, "Metadata", o{"Topics": a{o{"Name": one}}, "AllowAutoTopicCreation": false, "IncludeClusterAuthorizedOperations": true, "IncludeTopicAuthorizedOperations": true})
				if v >= 1 {
					t.do(v, "Metadata", o{"Topics": a{}, "AllowAutoTopicCreation": false})
				}
				m, show := t.learn(t.conn, v, "Metadata", o{"Topics": nil, "AllowAutoTopicCreation": false})
				all := m.(*wire.MetadataResponse)
				all.Topics = slices.DeleteFunc(all.Topics, func(x wire.MetadataResponseMetadataResponseTopic) bool {
					return x.Name == nil || !t.own(*x.Name)
				})
				show()
			}
		}},
		{"metadata-by-id", func(t *run) {
			one := t.topic("one", 2)
			id := t.idOf(one)
			for _, v := range t.versions("Metadata", 10) {
				t.do(v, "Metadata", o{"Topics": a{o{"TopicId": id, "Name": nil}}})
				t.do(v, "Metadata", o{"Topics": a{o{"TopicId": wire.UUID{1, 2, 3}, "Name": nil}}})
				t.do(v, "Metadata", o{"Topics": a{o{"TopicId": wire.UUID{}, "Name": nil}}})
				t.do(v, "Metadata", o{"Topics": a{o{"TopicId": id, "Name": one}}})
				t.do(v, "Metadata", o{"Topics": a{o{"TopicId": id, "Name": nil}, o{"TopicId": wire.UUID{9}, "Name": nil}}})
				t.do(v, "Metadata", o{"Topics": a{o{"TopicId": id, "Name": nil}, o{"Name": one}}})
			}
		}},
		{"metadata-creates", func(t *run) {
			for _, v := range t.versions("Metadata", 0) {
				name := t.called("made" + string(rune('a'+v)))
				m, _ := t.learn(t.conn, v, "Metadata", o{"Topics": a{o{"Name": name}}, "AllowAutoTopicCreation": true})
				// The first answer says that the topic is unknown or has no leader yet; it may be there at once here.
				if a := m.(*wire.MetadataResponse); len(a.Topics) != 1 {
					t.record("Metadata", m, nil)
				}
				t.settleAuto(name)
				t.do(t.upTo("Metadata", 9), "Metadata", o{"Topics": a{o{"Name": name}}, "AllowAutoTopicCreation": false})
			}
		}},
		{"find-coordinator", func(t *run) {
			for _, v := range t.versions("FindCoordinator", 0) {
				if v < 4 {
					t.do(v, "FindCoordinator", o{"KeyField": t.called("g")})
					t.do(v, "FindCoordinator", o{"KeyField": ""})
					if v > 0 {
						t.do(v, "FindCoordinator", o{"KeyField": "x", "KeyType": 9})
						t.do(v, "FindCoordinator", o{"KeyField": "x", "KeyType": -1})
					}
					continue
				}
				t.do(v, "FindCoordinator", o{"CoordinatorKeys": a{t.called("g"), t.called("h")}})
				t.do(v, "FindCoordinator", o{"CoordinatorKeys": a{""}})
				t.do(v, "FindCoordinator", o{"CoordinatorKeys": a{}})
				t.do(v, "FindCoordinator", o{"CoordinatorKeys": a{"x"}, "KeyType": 9})
				t.do(v, "FindCoordinator", o{"CoordinatorKeys": a{"bad"}, "KeyType": 2})
			}
		}},
		{"describe-cluster", func(t *run) {
			for _, v := range t.versions("DescribeCluster", 0) {
				t.do(v, "DescribeCluster", o{})
				t.do(v, "DescribeCluster", o{"IncludeClusterAuthorizedOperations": true})
				if v > 0 {
					t.do(v, "DescribeCluster", o{"EndpointType": 2})
					t.do(v, "DescribeCluster", o{"EndpointType": 7})
					t.do(v, "DescribeCluster", o{"EndpointType": 0})
				}
				if v > 1 {
					t.do(v, "DescribeCluster", o{"IncludeFencedBrokers": true})
				}
			}
		}},
		{"describe-quorum", func(t *run) {
			for _, v := range t.versions("DescribeQuorum", 0) {
				m, show := t.learn(t.conn, v, "DescribeQuorum", o{"Topics": a{o{"TopicName": "__cluster_metadata", "Partitions": a{o{"PartitionIndex": 0}}}}})
				for i := range m.(*wire.DescribeQuorumResponse).Topics {
					x := &m.(*wire.DescribeQuorumResponse).Topics[i]
					for k := range x.Partitions {
						p := &x.Partitions[k]
						p.HighWatermark, p.LeaderEpoch = min(p.HighWatermark, 0), min(p.LeaderEpoch, 0)
						for _, r := range slices.Concat(p.CurrentVoters, p.Observers) {
							_ = r
						}
						for n := range p.CurrentVoters {
							p.CurrentVoters[n].LogEndOffset = 0
						}
						for n := range p.Observers {
							p.Observers[n].LogEndOffset = 0
						}
					}
				}
				show()
				t.do(v, "DescribeQuorum", o{"Topics": a{o{"TopicName": "other", "Partitions": a{o{"PartitionIndex": 0}}}}})
				t.do(v, "DescribeQuorum", o{"Topics": a{o{"TopicName": "__cluster_metadata", "Partitions": a{o{"PartitionIndex": 5}}}}})
				t.do(v, "DescribeQuorum", o{"Topics": a{}})
				t.do(v, "DescribeQuorum", o{"Topics": a{o{"TopicName": "__cluster_metadata", "Partitions": a{}}}})
			}
		}},
		{"describe-log-dirs", func(t *run) {
			one := t.topic("one", 2)
			t.produce(one, 0, batch(nil, 0, "a", "b"))
			for _, v := range t.versions("DescribeLogDirs", 0) {
				t.do(v, "DescribeLogDirs", o{"Topics": a{o{"Topic": one, "Partitions": a{0, 1}}}})
				t.do(v, "DescribeLogDirs", o{"Topics": a{o{"Topic": one, "Partitions": a{1, 7}}}})
				t.do(v, "DescribeLogDirs", o{"Topics": a{o{"Topic": t.called("unknown"), "Partitions": a{0}}}})
				t.do(v, "DescribeLogDirs", o{"Topics": a{}})
				m, show := t.learn(t.conn, v, "DescribeLogDirs", o{"Topics": nil})
				for i := range m.(*wire.DescribeLogDirsResponse).Results {
					r := &m.(*wire.DescribeLogDirsResponse).Results[i]
					r.Topics = slices.DeleteFunc(r.Topics, func(x wire.DescribeLogDirsResponseDescribeLogDirsTopic) bool { return !t.own(x.Name) })
				}
				show()
			}
		}},
		{"describe-acls", func(t *run) {
			for _, v := range t.versions("DescribeAcls", 0) {
				t.do(v, "DescribeAcls", o{"ResourceTypeFilter": 1, "ResourceNameFilter": nil, "PatternTypeFilter": 1, "PrincipalFilter": nil, "HostFilter": nil, "Operation": 1, "PermissionType": 1})
				t.do(v, "DescribeAcls", o{"ResourceTypeFilter": 2, "ResourceNameFilter": "x", "PrincipalFilter": "User:x", "HostFilter": "*", "Operation": 3, "PermissionType": 3})
			}
		}},
		{"describe-client-quotas", func(t *run) {
			for _, v := range t.versions("DescribeClientQuotas", 0) {
				t.do(v, "DescribeClientQuotas", o{"Components": a{}})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "user", "MatchType": 2, "Match": nil}}})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "user", "MatchType": 0, "Match": "x"}, o{"EntityType": "client-id", "MatchType": 1, "Match": nil}}, "Strict": true})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "planet", "MatchType": 2, "Match": nil}}})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "", "MatchType": 2, "Match": nil}}})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "user", "MatchType": 2, "Match": nil}, o{"EntityType": "user", "MatchType": 2, "Match": nil}}})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "user", "MatchType": 9, "Match": nil}}})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "user", "MatchType": 0, "Match": nil}}})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "user", "MatchType": 1, "Match": "x"}}})
				t.do(v, "DescribeClientQuotas", o{"Components": a{o{"EntityType": "ip", "MatchType": 2, "Match": nil}, o{"EntityType": "user", "MatchType": 2, "Match": nil}}})
			}
		}},
		{"list-transactions", func(t *run) {
			for _, v := range t.versions("ListTransactions", 0) {
				t.do(v, "ListTransactions", o{})
				t.do(v, "ListTransactions", o{"StateFilters": a{"Ongoing", "Nonsense", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence", "Empty", "ongoing"}, "ProducerIdFilters": a{12345}})
				t.do(v, "ListTransactions", o{"DurationFilter": 1000})
				if v >= 2 {
					t.do(v, "ListTransactions", o{"TransactionalIdPattern": "a.*"})
					t.do(v, "ListTransactions", o{"TransactionalIdPattern": ""})
					t.do(v, "ListTransactions", o{"TransactionalIdPattern": "(bad"})
				}
			}
		}},
		{"describe-topic-partitions", func(t *run) {
			one, two := t.topic("one", 3), t.topic("two", 4)
			asked := func(names ...string) a {
				var list a
				for _, n := range names {
					list = append(list, o{"Name": n})
				}
				return list
			}
			for _, v := range t.versions("DescribeTopicPartitions", 0) {
				t.do(v, "DescribeTopicPartitions", o{"Topics": asked(one)})
				t.do(v, "DescribeTopicPartitions", o{"Topics": asked(two, one)})
				t.do(v, "DescribeTopicPartitions", o{"Topics": asked(one, one, two, t.called("unknown"))})
				t.do(v, "DescribeTopicPartitions", o{"Topics": asked("bad name!", one)})
				t.do(v, "DescribeTopicPartitions", o{"Topics": asked("", one)})
				for _, limit := range []int{1, 2, 3, 4, 5, 7, 8, 0, -1} {
					t.do(v, "DescribeTopicPartitions", o{"Topics": asked(one, two), "ResponsePartitionLimit": limit})
					t.do(v, "DescribeTopicPartitions", o{"Topics": asked(one, t.called("p"), two), "ResponsePartitionLimit": limit})
				}
				for _, c := range []o{{"TopicName": one, "PartitionIndex": 0}, {"TopicName": one, "PartitionIndex": 2}, {"TopicName": one, "PartitionIndex": 3}, {"TopicName": one, "PartitionIndex": 9},
					{"TopicName": two, "PartitionIndex": 1}, {"TopicName": t.called("p"), "PartitionIndex": 1}, {"TopicName": t.called("zzz"), "PartitionIndex": 0}, {"TopicName": one, "PartitionIndex": -1}, {"TopicName": "bad!", "PartitionIndex": 0}} {
					t.do(v, "DescribeTopicPartitions", o{"Topics": asked(one, two), "Cursor": c})
					t.do(v, "DescribeTopicPartitions", o{"Topics": asked(one, two), "Cursor": c, "ResponsePartitionLimit": 2})
				}
			}
		}},
		{"list-reassignments", func(t *run) {
			one := t.topic("one", 2)
			for _, v := range t.versions("ListPartitionReassignments", 0) {
				t.do(v, "ListPartitionReassignments", o{"Topics": nil})
				t.do(v, "ListPartitionReassignments", o{"Topics": a{}})
				t.do(v, "ListPartitionReassignments", o{"Topics": a{o{"Name": one, "PartitionIndexes": a{0, 1, 5}}}})
				t.do(v, "ListPartitionReassignments", o{"Topics": a{o{"Name": t.called("unknown"), "PartitionIndexes": a{0}}}})
			}
		}},
	}
}
