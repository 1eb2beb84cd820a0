package kafka

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// apiVersionsTool prints which requests the brokers know.
func apiVersionsTool() tool {
	return tool{
		name: "kafka-broker-api-versions", short: "What the brokers speak, as kafka-broker-api-versions.sh tells it",
		about:   "This tool helps to retrieve broker version information.",
		example: "  klamm kafka-broker-api-versions --bootstrap-server localhost:9092",
		options: []option{
			text("command-config", "command config property file", "A file of properties for the client."),
			bootstrap(),
		},
		run: runAPIVersions,
	}
}

// runAPIVersions is kafka-broker-api-versions.
func runAPIVersions(r *run) error {
	if err := r.need("bootstrap-server"); err != nil {
		return err
	}
	cl, _, err := r.admin()
	if err != nil {
		return err
	}
	defer cl.Close()
	_, _, nodes, err := metadata(r.ctx, cl, []string{})
	if err != nil {
		return err
	}
	for _, n := range nodes {
		rack := "null"
		if n.rack != nil {
			rack = *n.rack
		}
		r.printf("%s:%d (id: %d rack: %s isFenced: false) -> ", n.host, n.port, n.id, rack)
		text, err := apiVersions(r, cl, n.id)
		if err != nil {
			r.printf("ERROR: %s\n", message(err))
			continue
		}
		r.println(text)
	}
	return nil
}

// apiVersions asks one broker and writes what it knows beside what a client of Kafka 4.4 can use of it.
func apiVersions(r *run, cl *kgo.Client, broker int32) (string, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "klamm", app.Version
	res, err := req.RequestWith(r.ctx, cl.Broker(int(broker)))
	if err == nil {
		err = refused(res.ErrorCode, nil)
	}
	if err != nil {
		return "", err
	}
	known := knownAPIs()
	rows := map[int16]string{}
	for _, k := range res.ApiKeys {
		span := fmt.Sprint(k.MinVersion)
		if k.MaxVersion != k.MinVersion {
			span = fmt.Sprintf("%d to %d", k.MinVersion, k.MaxVersion)
		}
		a, ok := known[k.ApiKey]
		switch {
		case !ok:
			rows[k.ApiKey] = fmt.Sprintf("UNKNOWN(%d): %s", k.ApiKey, span)
		case a.latest < k.MinVersion:
			rows[k.ApiKey] = fmt.Sprintf("%s(%d): %s [unusable: node too new]", a.name, k.ApiKey, span)
		case a.oldest > k.MaxVersion:
			rows[k.ApiKey] = fmt.Sprintf("%s(%d): %s [unusable: node too old]", a.name, k.ApiKey, span)
		default:
			rows[k.ApiKey] = fmt.Sprintf("%s(%d): %s [usable: %d]", a.name, k.ApiKey, span, min(a.latest, k.MaxVersion))
		}
	}
	for key, a := range known {
		if _, ok := rows[key]; !ok && a.client {
			rows[key] = fmt.Sprintf("%s(%d): UNSUPPORTED", a.name, key)
		}
	}
	var keys []int16
	for k := range rows {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n\t" + rows[k])
	}
	return "(" + b.String() + "\n)", nil
}

// knownAPI is a request that the Java client knows.
type knownAPI struct {
	name           string
	oldest, latest int16
	client         bool // clients send it
}

// knownAPIs are the requests of the Java client by their keys.
func knownAPIs() map[int16]knownAPI {
	all := map[int16]knownAPI{}
	for _, line := range lines(clientAPIs) {
		var key int16
		var a knownAPI
		var who string
		if n, _ := fmt.Sscan(line, &key, &a.name, &a.oldest, &a.latest, &who); n >= 4 {
			a.client = who == "client"
			all[key] = a
		}
	}
	return all
}

// clientAPIs are the requests that the Java client of Kafka 4.4.0 knows: key, name, its oldest and its latest
// version, and whether it is sent by clients.
const clientAPIs = `
0 Produce 3 13 client
1 Fetch 4 18 client
2 ListOffsets 1 11 client
3 Metadata 0 13 client
8 OffsetCommit 2 10 client
9 OffsetFetch 1 10 client
10 FindCoordinator 0 6 client
11 JoinGroup 0 9 client
12 Heartbeat 0 4 client
13 LeaveGroup 0 5 client
14 SyncGroup 0 5 client
15 DescribeGroups 0 6 client
16 ListGroups 0 5 client
17 SaslHandshake 0 1 client
18 ApiVersions 0 5 client
19 CreateTopics 2 7 client
20 DeleteTopics 1 6 client
21 DeleteRecords 0 2 client
22 InitProducerId 0 6 client
23 OffsetForLeaderEpoch 2 4 client
24 AddPartitionsToTxn 0 5 client
25 AddOffsetsToTxn 0 4 client
26 EndTxn 0 5 client
27 WriteTxnMarkers 1 2 client
28 TxnOffsetCommit 0 6 client
29 DescribeAcls 1 3 client
30 CreateAcls 1 3 client
31 DeleteAcls 1 3 client
32 DescribeConfigs 1 4 client
33 AlterConfigs 0 2 client
34 AlterReplicaLogDirs 1 2 client
35 DescribeLogDirs 1 5 client
36 SaslAuthenticate 0 2 client
37 CreatePartitions 0 3 client
38 CreateDelegationToken 1 3 client
39 RenewDelegationToken 1 2 client
40 ExpireDelegationToken 1 2 client
41 DescribeDelegationToken 1 3 client
42 DeleteGroups 0 3 client
43 ElectLeaders 0 2 client
44 IncrementalAlterConfigs 0 1 client
45 AlterPartitionReassignments 0 1 client
46 ListPartitionReassignments 0 0 client
47 OffsetDelete 0 0 client
48 DescribeClientQuotas 0 1 client
49 AlterClientQuotas 0 1 client
50 DescribeUserScramCredentials 0 0 client
51 AlterUserScramCredentials 0 0 client
52 Vote 0 2
53 BeginQuorumEpoch 0 1
54 EndQuorumEpoch 0 1
55 DescribeQuorum 0 2 client
56 AlterPartition 2 3
57 UpdateFeatures 0 2 client
58 Envelope 0 0
59 FetchSnapshot 0 1
60 DescribeCluster 0 2 client
61 DescribeProducers 0 0 client
62 BrokerRegistration 0 4
63 BrokerHeartbeat 0 2
64 UnregisterBroker 0 0 client
65 DescribeTransactions 0 0 client
66 ListTransactions 0 2 client
67 AllocateProducerIds 0 0
68 ConsumerGroupHeartbeat 0 1 client
69 ConsumerGroupDescribe 0 1 client
70 ControllerRegistration 0 0
71 GetTelemetrySubscriptions 0 0 client
72 PushTelemetry 0 0 client
73 AssignReplicasToDirs 0 0
74 ListConfigResources 0 1 client
75 DescribeTopicPartitions 0 0 client
76 ShareGroupHeartbeat 1 1 client
77 ShareGroupDescribe 1 1 client
78 ShareFetch 1 2 client
79 ShareAcknowledge 1 2 client
80 AddRaftVoter 0 1 client
81 RemoveRaftVoter 0 0 client
82 UpdateRaftVoter 0 0
83 InitializeShareGroupState 0 0 client
84 ReadShareGroupState 0 0 client
85 WriteShareGroupState 0 1 client
86 DeleteShareGroupState 0 0 client
87 ReadShareGroupStateSummary 0 1 client
88 StreamsGroupHeartbeat 0 1 client
89 StreamsGroupDescribe 0 1 client
90 DescribeShareGroupOffsets 0 1 client
91 AlterShareGroupOffsets 0 0 client
92 DeleteShareGroupOffsets 0 0 client
93 StreamsGroupTopologyDescriptionUpdate 0 0 client
94 UnregisterController 0 0 client
`
