package api

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// Kinds of endpoints that DescribeCluster lists (KIP-919).
const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

// describeCluster lists the brokers, or on the controllers' listener the controllers (KIP-700).
func (b *Broker) describeCluster(_ context.Context, c *rpc.Call, q *wire.DescribeClusterRequest, _ *rpc.Reply) wire.Message {
	a := &wire.DescribeClusterResponse{}
	a.Default()
	a.ClusterId, a.EndpointType = b.ClusterID, q.EndpointType
	if err := b.checkEndpointType(q.EndpointType, c.Conn.Listener); err != nil {
		a.ErrorCode, a.ErrorMessage = b.failure(err)
		return a
	}
	if q.EndpointType == controllerEndpoints {
		if tcp, ok := c.Conn.Local.(*net.TCPAddr); ok { // this node is the only controller, and is reached where it was
			a.Brokers = append(a.Brokers, wire.DescribeClusterResponseDescribeClusterBroker{BrokerId: b.NodeID, Host: tcp.IP.String(), Port: int32(tcp.Port)})
		}
		if id, _, ok := b.Quorum.Leader(); ok {
			a.ControllerId = id
		}
		a.ClusterAuthorizedOperations = b.operations(q.IncludeClusterAuthorizedOperations, c, auth.Cluster, auth.ClusterName)
		return a
	}
	b.reachable(b.image(), c.Conn, q.IncludeFencedBrokers, func(broker *metadata.Broker, host string, port int32) {
		a.Brokers = append(a.Brokers, wire.DescribeClusterResponseDescribeClusterBroker{BrokerId: broker.ID, Host: host, Port: port, Rack: broker.Rack, IsFenced: broker.Fenced})
	})
	if len(a.Brokers) > 0 {
		a.ControllerId = a.Brokers[0].BrokerId
		if id, _, ok := b.Quorum.Leader(); ok {
			a.ControllerId = id
		}
	}
	a.ClusterAuthorizedOperations = b.operations(q.IncludeClusterAuthorizedOperations, c, auth.Cluster, auth.ClusterName)
	return a
}

// checkEndpointType says whether a listener answers for the kind of endpoints that is asked for.
func (b *Broker) checkEndpointType(kind int8, listener string) error {
	switch controllers := b.forControllers(listener); {
	case kind != brokerEndpoints && kind != controllerEndpoints:
		return code.Errorf(code.UnsupportedEndpointType, "endpoint type %d is unknown; there are 1 (brokers) and 2 (controllers)", kind)
	case controllers && kind == brokerEndpoints:
		return code.Errorf(code.MismatchedEndpointType, "this is a controllers' listener; ask for endpoints of type 2, or ask a broker")
	case !controllers && kind == controllerEndpoints:
		return code.Errorf(code.MismatchedEndpointType, "this is a brokers' listener; ask for endpoints of type 1, or ask a controller")
	}
	return nil
}

// describeQuorum shows the state of the metadata quorum.
func (b *Broker) describeQuorum(ctx context.Context, c *rpc.Call, q *wire.DescribeQuorumRequest, _ *rpc.Reply) wire.Message {
	a := &wire.DescribeQuorumResponse{}
	if !b.allowed(c, auth.Describe, auth.Cluster, auth.ClusterName) {
		a.ErrorCode = int16(code.ClusterAuthorizationFailed)
		return a
	}
	for _, t := range q.Topics {
		r := wire.DescribeQuorumResponseTopicData{TopicName: t.TopicName}
		for _, p := range t.Partitions {
			d := wire.DescribeQuorumResponsePartitionData{PartitionIndex: p.PartitionIndex, ErrorCode: int16(code.UnknownTopicOrPartition)}
			if t.TopicName == "__cluster_metadata" && p.PartitionIndex == 0 {
				d = b.quorumState(ctx)
			}
			r.Partitions = append(r.Partitions, d)
		}
		a.Topics = append(a.Topics, r)
	}
	for _, m := range b.image().Controllers() {
		n := wire.DescribeQuorumResponseNode{NodeId: m.ControllerId}
		for _, e := range m.EndPoints {
			n.Listeners = append(n.Listeners, wire.DescribeQuorumResponseListener{Name: e.Name, Host: e.Host, Port: e.Port})
		}
		a.Nodes = append(a.Nodes, n)
	}
	return a
}

// quorumState is the one partition that the metadata quorum has.
func (b *Broker) quorumState(ctx context.Context) wire.DescribeQuorumResponsePartitionData {
	d := wire.DescribeQuorumResponsePartitionData{}
	state, err := b.Quorum.Describe(ctx)
	if err != nil {
		d.ErrorCode, d.ErrorMessage = b.failure(err)
		return d
	}
	d.LeaderId, d.LeaderEpoch, d.HighWatermark = state.Leader, state.Epoch, state.HighWatermark
	for _, v := range state.Voters {
		d.CurrentVoters = append(d.CurrentVoters, wire.DescribeQuorumResponseReplicaState{
			ReplicaId: v.ID, ReplicaDirectoryId: v.Directory, LogEndOffset: v.LogEnd,
			LastFetchTimestamp: milliseconds(v.LastFetch), LastCaughtUpTimestamp: milliseconds(v.CaughtUp),
		})
	}
	return d
}

// milliseconds is a time as the wire has it, -1 for none.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// describeLogDirs shows what lies in each log directory, and how much room there is (KIP-113, KIP-827).
func (b *Broker) describeLogDirs(_ context.Context, c *rpc.Call, q *wire.DescribeLogDirsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.DescribeLogDirsResponse{}
	if !b.allowed(c, auth.Describe, auth.Cluster, auth.ClusterName) {
		a.ErrorCode = int16(code.ClusterAuthorizationFailed)
		return a
	}
	wanted := func(p *replica.Partition) bool {
		return q.Topics == nil || slices.ContainsFunc(q.Topics, func(t wire.DescribeLogDirsRequestDescribableLogDirTopic) bool {
			return t.Topic == p.Topic() && slices.Contains(t.Partitions, p.Index())
		})
	}
	all := b.Replicas.All()
	for _, dir := range b.Dirs {
		r := wire.DescribeLogDirsResponseDescribeLogDirsResult{LogDir: dir.Path(), TotalBytes: -1, UsableBytes: -1}
		if dir.Err() != nil {
			r.ErrorCode = int16(code.KafkaStorageError)
			a.Results = append(a.Results, r)
			continue
		}
		r.TotalBytes, r.UsableBytes = dir.Usage()
		for _, p := range all {
			if p.Directory() != wire.UUID(dir.Meta().DirectoryID) || !wanted(p) {
				continue
			}
			if n := len(r.Topics); n == 0 || r.Topics[n-1].Name != p.Topic() {
				r.Topics = append(r.Topics, wire.DescribeLogDirsResponseDescribeLogDirsTopic{Name: p.Topic()})
			}
			t := &r.Topics[len(r.Topics)-1]
			t.Partitions = append(t.Partitions, wire.DescribeLogDirsResponseDescribeLogDirsPartition{PartitionIndex: p.Index(), PartitionSize: p.Log().Size(), OffsetLag: max(0, p.HighWatermark()-p.Log().Bounds().End)})
		}
		a.Results = append(a.Results, r)
	}
	return a
}

// describeACLs answers as Kafka does without an authorizer; with one, the empty list is the truth as long as none can be stored.
func (b *Broker) describeACLs(_ context.Context, c *rpc.Call, q *wire.DescribeAclsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.DescribeAclsResponse{}
	var err error
	switch {
	case !b.allowed(c, auth.Describe, auth.Cluster, auth.ClusterName):
		err = code.ClusterAuthorizationFailed
	case !b.Authorizer.Enabled():
		err = code.Errorf(code.SecurityDisabled, "no authorizer is configured, so there are no ACLs")
	}
	a.ErrorCode, a.ErrorMessage = b.failure(err)
	return a
}

// describeClientQuotas lists the quotas that the metadata holds.
func (b *Broker) describeClientQuotas(_ context.Context, c *rpc.Call, q *wire.DescribeClientQuotasRequest, _ *rpc.Reply) wire.Message {
	a := &wire.DescribeClientQuotasResponse{Entries: []wire.DescribeClientQuotasResponseEntryData{}}
	if !b.allowed(c, auth.DescribeConfigs, auth.Cluster, auth.ClusterName) {
		a.ErrorCode, a.Entries = int16(code.ClusterAuthorizationFailed), nil
		return a
	}
	for _, component := range q.Components {
		if !slices.Contains([]string{"user", "client-id", "ip"}, component.EntityType) {
			err := code.Errorf(code.UnsupportedVersion, "quota entities of type %q are unknown; there are user, client-id and ip", component.EntityType)
			a.ErrorCode, a.ErrorMessage = b.failure(err)
			a.Entries = nil
			return a
		}
	}
	return a
}
