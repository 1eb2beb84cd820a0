package api

import (
	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/rpc"
)

// Keys of the APIs that are served, by Kafka's names.
const (
	keyProduce                    = 0
	keyFetch                      = 1
	keyListOffsets                = 2
	keyMetadata                   = 3
	keyOffsetCommit               = 8
	keyOffsetFetch                = 9
	keyFindCoordinator            = 10
	keyJoinGroup                  = 11
	keyHeartbeat                  = 12
	keyLeaveGroup                 = 13
	keySyncGroup                  = 14
	keyDescribeGroups             = 15
	keyListGroups                 = 16
	keyAPIVersions                = 18
	keyCreateTopics               = 19
	keyDeleteTopics               = 20
	keyDeleteRecords              = 21
	keyInitProducerID             = 22
	keyOffsetForLeaderEpoch       = 23
	keyDescribeACLs               = 29
	keyDescribeConfigs            = 32
	keyAlterConfigs               = 33
	keyDescribeLogDirs            = 35
	keyCreatePartitions           = 37
	keyDeleteGroups               = 42
	keyElectLeaders               = 43
	keyIncrementalAlterConfigs    = 44
	keyListPartitionReassignments = 46
	keyOffsetDelete               = 47
	keyDescribeClientQuotas       = 48
	keyDescribeQuorum             = 55
	keyDescribeCluster            = 60
	keyDescribeProducers          = 61
	keyListTransactions           = 66
	keyGetTelemetrySubscriptions  = 71
	keyPushTelemetry              = 72
	keyListConfigResources        = 74
	keyDescribeTopicPartitions    = 75
)

// access is one line of what a caller must be allowed to be answered.
type access struct {
	op       auth.Operation
	resource auth.ResourceType
}

// row is one line of the table: an API with every version that it is served at (those of
// Apache Kafka 3.9 and 4.4 together), its handler, and what a caller must be allowed.
type row struct {
	rpc.API
	// access lists the checks that its handler makes; one of several lines may be enough where Kafka
	// says so. An API that anybody may call has a line of its own: anyone.
	access []access
}

// anyone is the access of an API that is answered to everybody.
var anyone = []access{}

// rows is the table of all APIs that are served, in the order of their keys. Only these are advertised.
func (b *Broker) rows() []row {
	api := func(key int16, name string, highest int16, h rpc.Handler, a ...access) row {
		return row{rpc.API{Key: key, Name: name, Max: highest, Handle: h}, a}
	}
	blocks := func(r row) row { r.Blocks = true; return r }
	longPoll := func(r row) row { r.LongPoll = true; return r }
	topic := func(op auth.Operation) access { return access{op, auth.Topic} }
	group := func(op auth.Operation) access { return access{op, auth.Group} }
	cluster := func(op auth.Operation) access { return access{op, auth.Cluster} }
	return []row{
		{rpc.API{Key: keyProduce, Name: "Produce", Max: 13, Run: b.produce}, []access{topic(auth.Write)}},
		longPoll(api(keyFetch, "Fetch", 18, b.fetch, topic(auth.Read))),
		api(keyListOffsets, "ListOffsets", 11, answer(b, b.listOffsets), topic(auth.Describe)),
		blocks(api(keyMetadata, "Metadata", 13, answer(b, b.metadata), topic(auth.Describe), topic(auth.Create), cluster(auth.Create))),
		api(keyOffsetCommit, "OffsetCommit", 10, answer(b, b.offsetCommit), group(auth.Read), topic(auth.Read)),
		api(keyOffsetFetch, "OffsetFetch", 10, answer(b, b.offsetFetch), group(auth.Describe), topic(auth.Describe)),
		blocks(api(keyFindCoordinator, "FindCoordinator", 6, answer(b, b.findCoordinator), group(auth.Describe), access{auth.Describe, auth.TransactionalID})),
		longPoll(api(keyJoinGroup, "JoinGroup", 9, answer(b, b.joinGroup), group(auth.Read))),
		api(keyHeartbeat, "Heartbeat", 4, answer(b, b.heartbeat), group(auth.Read)),
		api(keyLeaveGroup, "LeaveGroup", 5, answer(b, b.leaveGroup), group(auth.Read)),
		longPoll(api(keySyncGroup, "SyncGroup", 5, answer(b, b.syncGroup), group(auth.Read))),
		blocks(api(keyDescribeGroups, "DescribeGroups", 6, answer(b, b.describeGroups), group(auth.Describe))),
		blocks(api(keyListGroups, "ListGroups", 5, answer(b, b.listGroups), cluster(auth.Describe), group(auth.Describe))),
		{rpc.API{Key: keyAPIVersions, Name: "ApiVersions", Max: 5, Handle: b.apiVersions}, anyone},
		blocks(api(keyCreateTopics, "CreateTopics", 7, answer(b, b.createTopics), cluster(auth.Create), topic(auth.Create), topic(auth.DescribeConfigs))),
		blocks(api(keyDeleteTopics, "DeleteTopics", 6, answer(b, b.deleteTopics), topic(auth.Delete), topic(auth.Describe))),
		api(keyDeleteRecords, "DeleteRecords", 2, answer(b, b.deleteRecords), topic(auth.Delete)),
		blocks(api(keyInitProducerID, "InitProducerId", 5, answer(b, b.initProducerID), cluster(auth.IdempotentWrite), topic(auth.Write), access{auth.Write, auth.TransactionalID})),
		api(keyOffsetForLeaderEpoch, "OffsetForLeaderEpoch", 4, answer(b, b.offsetForLeaderEpoch), topic(auth.Describe), cluster(auth.ClusterAction)),
		api(keyDescribeACLs, "DescribeAcls", 3, answer(b, b.describeACLs), cluster(auth.Describe)),
		api(keyDescribeConfigs, "DescribeConfigs", 4, answer(b, b.describeConfigs), topic(auth.DescribeConfigs), cluster(auth.DescribeConfigs), group(auth.DescribeConfigs)),
		blocks(api(keyAlterConfigs, "AlterConfigs", 2, answer(b, b.alterConfigs), topic(auth.AlterConfigs), cluster(auth.AlterConfigs), group(auth.AlterConfigs))),
		api(keyDescribeLogDirs, "DescribeLogDirs", 5, answer(b, b.describeLogDirs), cluster(auth.Describe)),
		blocks(api(keyCreatePartitions, "CreatePartitions", 3, answer(b, b.createPartitions), topic(auth.Alter))),
		blocks(api(keyDeleteGroups, "DeleteGroups", 3, answer(b, b.deleteGroups), group(auth.Delete))),
		blocks(api(keyElectLeaders, "ElectLeaders", 2, answer(b, b.electLeaders), cluster(auth.Alter))),
		blocks(api(keyIncrementalAlterConfigs, "IncrementalAlterConfigs", 1, answer(b, b.incrementalAlterConfigs), topic(auth.AlterConfigs), cluster(auth.AlterConfigs), group(auth.AlterConfigs))),
		api(keyListPartitionReassignments, "ListPartitionReassignments", 0, answer(b, b.listPartitionReassignments), cluster(auth.Describe)),
		blocks(api(keyOffsetDelete, "OffsetDelete", 0, answer(b, b.offsetDelete), group(auth.Delete), topic(auth.Read))),
		api(keyDescribeClientQuotas, "DescribeClientQuotas", 1, answer(b, b.describeClientQuotas), cluster(auth.DescribeConfigs)),
		api(keyDescribeQuorum, "DescribeQuorum", 2, answer(b, b.describeQuorum), cluster(auth.Describe)),
		api(keyDescribeCluster, "DescribeCluster", 2, answer(b, b.describeCluster), cluster(auth.Describe)),
		api(keyDescribeProducers, "DescribeProducers", 0, answer(b, b.describeProducers), topic(auth.Read)),
		api(keyListTransactions, "ListTransactions", 2, answer(b, b.listTransactions), access{auth.Describe, auth.TransactionalID}),
		api(keyGetTelemetrySubscriptions, "GetTelemetrySubscriptions", 0, answer(b, b.getTelemetrySubscriptions), anyone...),
		api(keyPushTelemetry, "PushTelemetry", 0, answer(b, b.pushTelemetry), anyone...),
		api(keyListConfigResources, "ListConfigResources", 1, answer(b, b.listConfigResources), cluster(auth.DescribeConfigs)),
		api(keyDescribeTopicPartitions, "DescribeTopicPartitions", 0, answer(b, b.describeTopicPartitions), topic(auth.Describe)),
	}
}

// Service is an API that is served, as a test of the table sees it.
type Service struct {
	// Key and Name are Kafka's.
	Key  int16
	Name string
	// Min and Max are the versions that are served.
	Min, Max int16
	// Access says that the table has what a caller must be allowed, or that anybody may call it.
	Access bool
}

// Services returns the table of all APIs without their handlers, in the order of their keys.
func Services() (list []Service) {
	var b *Broker // handlers are named and not called
	for _, r := range b.rows() {
		list = append(list, Service{Key: r.Key, Name: r.Name, Min: r.Min, Max: r.Max, Access: r.access != nil})
	}
	return list
}
