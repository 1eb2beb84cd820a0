package node_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/node"
)

// start runs a node on a directory of its own and returns the address for clients.
func start(t *testing.T, dir string, overrides ...string) (addr string, stop func()) {
	t.Helper()
	cfg, err := node.Dev(dir, "127.0.0.1:0", append([]string{"admin.listener="}, overrides...))
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(cfg, node.OSHost(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case <-n.Ready():
	case err := <-ended:
		t.Fatalf("the node ended: %v", err)
	case <-time.After(20 * time.Second):
		t.Fatal("the node is not ready after 20 s")
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the node ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return n.Info().Addr, stop
}

// session is a real client with what the calls before it left behind.
type session struct {
	cl    *kgo.Client
	adm   *kadm.Client
	addr  string
	topic string
	group string
}

// broker sends a request that goes to one broker rather than to a group's coordinator or a partition's leader.
func (s *session) broker(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	return s.cl.Broker(1).Request(ctx, req)
}

// clientCalls is one call of every API that is served, by franz-go, in an order in
// which each finds what it needs. internal/tidy checks that no API is missing.
var clientCalls = []struct {
	api  string
	call func(ctx context.Context, s *session) error
}{
	{"ApiVersions", func(ctx context.Context, s *session) error {
		_, err := s.adm.ApiVersions(ctx)
		return err
	}},
	{"CreateTopics", func(ctx context.Context, s *session) error {
		r, err := s.adm.CreateTopic(ctx, 2, 1, map[string]*string{"retention.ms": kadm.StringPtr("86400000")}, s.topic)
		if err != nil {
			return err
		}
		return r.Err
	}},
	{"Metadata", func(ctx context.Context, s *session) error {
		m, err := s.adm.Metadata(ctx, s.topic)
		if err == nil && len(m.Topics[s.topic].Partitions) != 2 {
			err = fmt.Errorf("%d partitions, want 2", len(m.Topics[s.topic].Partitions))
		}
		return err
	}},
	{"DescribeTopicPartitions", func(ctx context.Context, s *session) error {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = s.topic
		req.Topics = append(req.Topics, t)
		resp, err := s.broker(ctx, req)
		if err == nil && len(resp.(*kmsg.DescribeTopicPartitionsResponse).Topics[0].Partitions) != 2 {
			err = errors.New("not two partitions")
		}
		return err
	}},
	{"InitProducerId", func(ctx context.Context, s *session) error {
		id, epoch, err := s.cl.ProducerID(ctx)
		if err == nil && (id < 0 || epoch != 0) {
			err = fmt.Errorf("producer id %d epoch %d", id, epoch)
		}
		return err
	}},
	{"Produce", func(ctx context.Context, s *session) error {
		for i := range 100 {
			r := &kgo.Record{Topic: s.topic, Partition: int32(i % 2), Key: fmt.Append(nil, "k", i), Value: fmt.Append(nil, "v", i)}
			if err := s.cl.ProduceSync(ctx, r).FirstErr(); err != nil {
				return err
			}
		}
		return nil
	}},
	{"Fetch", func(ctx context.Context, s *session) error {
		s.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart()}})
		for n := 0; n < 100; {
			f := s.cl.PollFetches(ctx)
			if err := f.Err0(); err != nil {
				return err
			}
			n += f.NumRecords()
		}
		return nil
	}},
	{"ListOffsets", func(ctx context.Context, s *session) error {
		end, err := s.adm.ListEndOffsets(ctx, s.topic)
		if o, _ := end.Lookup(s.topic, 0); err == nil && o.Offset != 50 {
			err = fmt.Errorf("end offset %d, want 50", o.Offset)
		}
		return err
	}},
	{"OffsetForLeaderEpoch", func(ctx context.Context, s *session) error {
		var q kadm.OffsetForLeaderEpochRequest
		q.Add(s.topic, 0, 0)
		r, err := s.adm.OffsetForLeaderEpoch(ctx, q)
		if err == nil && r[s.topic][0].EndOffset != 50 {
			err = fmt.Errorf("epoch 0 ends at %d, want 50", r[s.topic][0].EndOffset)
		}
		return err
	}},
	{"DescribeProducers", func(ctx context.Context, s *session) error {
		var set kadm.TopicsSet
		set.Add(s.topic, 0)
		r, err := s.adm.DescribeProducers(ctx, set)
		if err == nil && len(r[s.topic].Partitions[0].ActiveProducers) != 1 {
			err = errors.New("not one producer")
		}
		return err
	}},
	{"DeleteRecords", func(ctx context.Context, s *session) error {
		o := kadm.Offsets{}
		o.AddOffset(s.topic, 0, 10, -1)
		r, err := s.adm.DeleteRecords(ctx, o)
		if d, _ := r.Lookup(s.topic, 0); err == nil && d.LowWatermark != 10 {
			err = fmt.Errorf("low watermark %d, want 10", d.LowWatermark)
		}
		return err
	}},
	{"CreatePartitions", func(ctx context.Context, s *session) error {
		r, err := s.adm.CreatePartitions(ctx, 1, s.topic)
		if err == nil {
			err = r[s.topic].Err
		}
		return err
	}},
	{"IncrementalAlterConfigs", func(ctx context.Context, s *session) error {
		r, err := s.adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "segment.ms", Value: kadm.StringPtr("3600000")}}, s.topic)
		if err == nil {
			err = r[0].Err
		}
		return err
	}},
	{"DescribeConfigs", func(ctx context.Context, s *session) error {
		r, err := s.adm.DescribeTopicConfigs(ctx, s.topic)
		if err != nil {
			return err
		}
		for _, c := range r[0].Configs {
			if c.Key == "segment.ms" && c.MaybeValue() == "3600000" {
				return nil
			}
		}
		return errors.New("segment.ms is not what it was set to")
	}},
	{"AlterConfigs", func(ctx context.Context, s *session) error {
		r, err := s.adm.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: kadm.StringPtr("3600000")}}, s.topic)
		if err == nil {
			err = r[0].Err
		}
		return err
	}},
	{"ListConfigResources", func(ctx context.Context, s *session) error {
		_, err := s.broker(ctx, kmsg.NewPtrListConfigResourcesRequest())
		return err
	}},
	{"GetTelemetrySubscriptions", func(ctx context.Context, s *session) error {
		resp, err := s.broker(ctx, kmsg.NewPtrGetTelemetrySubscriptionsRequest())
		if err != nil {
			return err
		}
		r := resp.(*kmsg.GetTelemetrySubscriptionsResponse)
		if r.PushIntervalMillis != 300_000 || len(r.RequestedMetrics) != 0 || r.ClientInstanceID == ([16]byte{}) {
			return fmt.Errorf("without a subscription the answer is %+v", r)
		}
		return kerr.ErrorForCode(r.ErrorCode)
	}},
	{"PushTelemetry", func(ctx context.Context, s *session) error {
		resp, err := s.broker(ctx, kmsg.NewPtrPushTelemetryRequest())
		if err == nil && !errors.Is(kerr.ErrorForCode(resp.(*kmsg.PushTelemetryResponse).ErrorCode), kerr.InvalidRequest) {
			err = errors.New("a push of nobody was not refused")
		}
		return err
	}},
	{"FindCoordinator", func(ctx context.Context, s *session) error {
		return s.adm.FindGroupCoordinators(ctx, s.group)[s.group].Err
	}},
	{"JoinGroup", groupRound},
	{"SyncGroup", nil}, // these are part of JoinGroup's round
	{"Heartbeat", nil},
	{"OffsetCommit", nil},
	{"LeaveGroup", nil},
	{"OffsetFetch", func(ctx context.Context, s *session) error {
		r, err := s.adm.FetchOffsets(ctx, s.group)
		if o, ok := r.Lookup(s.topic, 1); err == nil && (!ok || o.At != 50) {
			err = fmt.Errorf("committed %+v, want 50", o)
		}
		return err
	}},
	{"DescribeGroups", func(ctx context.Context, s *session) error {
		r, err := s.adm.DescribeGroups(ctx, s.group)
		if err == nil && r[s.group].State != "Empty" {
			err = fmt.Errorf("state %q, want Empty", r[s.group].State)
		}
		return err
	}},
	{"ListGroups", func(ctx context.Context, s *session) error {
		r, err := s.adm.ListGroups(ctx)
		if _, ok := r[s.group]; err == nil && !ok {
			err = errors.New("the group is not listed")
		}
		return err
	}},
	{"OffsetDelete", func(ctx context.Context, s *session) error {
		var set kadm.TopicsSet
		set.Add(s.topic, 0)
		r, err := s.adm.DeleteOffsets(ctx, s.group, set)
		if err == nil {
			err = r.Error()
		}
		return err
	}},
	{"DeleteGroups", func(ctx context.Context, s *session) error {
		r, err := s.adm.DeleteGroup(ctx, s.group)
		if err == nil {
			err = r.Err
		}
		return err
	}},
	{"ElectLeaders", func(ctx context.Context, s *session) error {
		var set kadm.TopicsSet
		set.Add(s.topic, 0)
		r, err := s.adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
		if e := r[s.topic][0].Err; err == nil && !errors.Is(e, kerr.ElectionNotNeeded) {
			err = fmt.Errorf("%v, want ELECTION_NOT_NEEDED", e)
		}
		return err
	}},
	{"ListPartitionReassignments", func(ctx context.Context, s *session) error {
		r, err := s.adm.ListPartitionReassignments(ctx, nil)
		if err == nil && len(r) != 0 {
			err = fmt.Errorf("%d reassignments, want none", len(r))
		}
		return err
	}},
	{"DescribeLogDirs", func(ctx context.Context, s *session) error {
		r, err := s.adm.DescribeAllLogDirs(ctx, nil)
		if err == nil && len(r[1]) == 0 {
			err = errors.New("no directory")
		}
		return err
	}},
	{"DescribeCluster", func(ctx context.Context, s *session) error {
		resp, err := s.broker(ctx, kmsg.NewPtrDescribeClusterRequest())
		if err == nil && len(resp.(*kmsg.DescribeClusterResponse).Brokers) != 1 {
			err = errors.New("not one broker")
		}
		return err
	}},
	{"DescribeQuorum", func(ctx context.Context, s *session) error {
		req := kmsg.NewPtrDescribeQuorumRequest()
		t := kmsg.NewDescribeQuorumRequestTopic()
		t.Topic = "__cluster_metadata"
		t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
		req.Topics = append(req.Topics, t)
		resp, err := s.broker(ctx, req)
		if err == nil && resp.(*kmsg.DescribeQuorumResponse).Topics[0].Partitions[0].LeaderID != 1 {
			err = errors.New("node 1 does not lead")
		}
		return err
	}},
	{"DescribeAcls", func(ctx context.Context, s *session) error {
		_, err := s.adm.DescribeACLs(ctx, kadm.NewACLs().AnyResource().Allow().Deny().AllowHosts().DenyHosts().Operations(kadm.OpAny).ResourcePatternType(kadm.ACLPatternAny))
		if errors.Is(err, kerr.SecurityDisabled) {
			return nil // what Kafka says without an authorizer
		}
		return err
	}},
	{"DescribeClientQuotas", func(ctx context.Context, s *session) error {
		r, err := s.adm.DescribeClientQuotas(ctx, false, nil)
		if err == nil && len(r) != 0 {
			err = fmt.Errorf("%d quotas, want none", len(r))
		}
		return err
	}},
	{"ListTransactions", func(ctx context.Context, s *session) error {
		r, err := s.adm.ListTransactions(ctx, nil, nil)
		if err == nil && len(r) != 0 {
			err = fmt.Errorf("%d transactions, want none", len(r))
		}
		return err
	}},
	{"DeleteTopics", func(ctx context.Context, s *session) error {
		r, err := s.adm.DeleteTopic(ctx, s.topic)
		if err == nil {
			err = r.Err
		}
		return err
	}},
}

// groupRound joins a group with a consumer of its own, consumes everything, commits and leaves.
func groupRound(ctx context.Context, s *session) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.addr), kgo.ConsumerGroup(s.group), kgo.ConsumeTopics(s.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.HeartbeatInterval(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	for n := 0; n < 90; {
		f := cl.PollFetches(ctx)
		if err := f.Err0(); err != nil {
			return err
		}
		n += f.NumRecords()
	}
	return cl.CommitUncommittedOffsets(ctx)
}

func TestEveryAPIAnswersARealClient(t *testing.T) {
	addr, _ := start(t, t.TempDir())
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	s := &session{cl: cl, adm: kadm.NewClient(cl), addr: addr, topic: "every-api", group: "every-api-group"}
	for _, c := range clientCalls {
		if c.call == nil {
			continue
		}
		t.Run(c.api, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := c.call(ctx, s); err != nil {
				t.Error(err)
			}
		})
	}
	versions, err := s.adm.ApiVersions(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	called := make(map[string]bool)
	for _, c := range clientCalls {
		called[strings.ToLower(c.api)] = true
	}
	one := versions[1]
	one.EachKeySorted(func(key, _, _ int16) {
		if name := kmsg.NameForKey(key); !called[strings.ToLower(name)] {
			t.Errorf("%s is served and no call of a real client tests it", name)
		}
	})
}
