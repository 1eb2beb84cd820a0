package api

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
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
	a.ClusterId = b.ClusterID
	if err := b.checkEndpointType(q.EndpointType, c.Conn.Listener); err != nil {
		a.ErrorCode, a.ErrorMessage = b.failure(err)
		return a
	}
	a.EndpointType = q.EndpointType
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
func (b *Broker) describeQuorum(ctx context.Context, c *rpc.Call, q *wire.DescribeQuorumRequest, r *rpc.Reply) wire.Message {
	if tooMany(r, len(q.Topics)) {
		return nil
	}
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
	if c.Header.Version < 2 {
		return a
	}
	for _, m := range b.image().Controllers() {
		n := wire.DescribeQuorumResponseNode{NodeId: m.ControllerId}
		for _, e := range m.EndPoints {
			n.Listeners = append(n.Listeners, wire.DescribeQuorumResponseListener{Name: e.Name, Host: e.Host, Port: e.Port})
		}
		a.Nodes = append(a.Nodes, n)
	}
	known := slices.ContainsFunc(a.Topics, func(t wire.DescribeQuorumResponseTopicData) bool {
		return slices.ContainsFunc(t.Partitions, func(p wire.DescribeQuorumResponsePartitionData) bool { return p.ErrorCode == 0 })
	})
	if !known {
		a.Nodes = nil // who asks for something else learns nothing of the quorum
		return a
	}
	if state, err := b.Quorum.Describe(ctx); a.Nodes == nil && err == nil {
		for _, v := range state.Voters {
			a.Nodes = append(a.Nodes, wire.DescribeQuorumResponseNode{NodeId: v.ID, Listeners: voterListeners(v.Endpoints)})
		}
	}
	return a
}

// voterListeners are a voter's addresses, each given as listener://host:port.
func voterListeners(endpoints []string) []wire.DescribeQuorumResponseListener {
	var list []wire.DescribeQuorumResponseListener
	for _, e := range endpoints {
		name, address, _ := strings.Cut(e, "://")
		host, port, err := net.SplitHostPort(address)
		n, bad := strconv.ParseUint(port, 10, 16)
		if err == nil && bad == nil {
			list = append(list, wire.DescribeQuorumResponseListener{Name: name, Host: host, Port: uint16(n)})
		}
	}
	return list
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
	if err := checkQuotaFilter(q.Components); err != nil {
		a.ErrorCode, a.ErrorMessage = b.failure(err)
		a.Entries = nil
	}
	return a
}

// How a component of DescribeClientQuotas matches the name of an entity (KIP-546).
const (
	matchExactly = 0
	matchDefault = 1
	matchAny     = 2
)

// checkQuotaFilter says whether a filter can match anything: its types exist, come once, and go together.
func checkQuotaFilter(components []wire.DescribeClientQuotasRequestComponentData) error {
	seen := map[string]bool{}
	for _, c := range components {
		switch {
		case c.EntityType == "":
			return code.Errorf(code.InvalidRequest, "a filter's entity type is empty; there are user, client-id and ip")
		case seen[c.EntityType]:
			return code.Errorf(code.InvalidRequest, "entity type %s comes twice in the filter; name each once", c.EntityType)
		case !slices.Contains([]string{"user", "client-id", "ip"}, c.EntityType):
			return code.Errorf(code.UnsupportedVersion, "quota entities of type %q are unknown; there are user, client-id and ip", c.EntityType)
		case c.MatchType < matchExactly || c.MatchType > matchAny:
			return code.Errorf(code.InvalidRequest, "match type %d is unknown; there are 0 (a name), 1 (the default) and 2 (any)", c.MatchType)
		case c.MatchType == matchExactly && c.Match == nil:
			return code.Errorf(code.InvalidRequest, "a filter for the name of a %s has no name; give one, or ask for any", c.EntityType)
		case c.MatchType != matchExactly && c.Match != nil:
			return code.Errorf(code.InvalidRequest, "a filter for the default or for any %s has a name; leave it null", c.EntityType)
		}
		seen[c.EntityType] = true
	}
	if seen["ip"] && len(seen) > 1 {
		return code.Errorf(code.InvalidRequest, "quotas of an ip go with no user or client-id; ask for them alone")
	}
	return nil
}
