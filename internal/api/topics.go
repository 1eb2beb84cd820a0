package api

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// Topics that hold the state of the broker's own coordinators.
const (
	offsetsTopic      = "__consumer_offsets"
	transactionsTopic = "__transaction_state"
	sharesTopic       = "__share_group_state"
)

// isInternal says whether a topic is the broker's own.
func isInternal(name string) bool {
	return name == offsetsTopic || name == transactionsTopic || name == sharesTopic
}

// newTopic is what a topic is created as that nobody described: by the broker's defaults, or as a coordinator needs its own.
func (b *Broker) newTopic(name string) wire.CreateTopicsRequestCreatableTopic {
	t := wire.CreateTopicsRequestCreatableTopic{Name: name, NumPartitions: -1, ReplicationFactor: -1}
	if name != offsetsTopic {
		return t
	}
	image := b.image()
	t.NumPartitions = int32(b.int("offsets.topic.num.partitions"))
	t.ReplicationFactor = int16(min(3, image.NumActive()))
	if _, set := b.Static["offsets.topic.replication.factor"]; set {
		t.ReplicationFactor = int16(b.int("offsets.topic.replication.factor"))
	}
	for _, kv := range coordinator.OffsetsTopicConfig(int(b.int("offsets.topic.segment.bytes"))) {
		t.Configs = append(t.Configs, wire.CreateTopicsRequestCreatableTopicConfig{Name: kv[0], Value: &kv[1]})
	}
	return t
}

// createTopics creates topics, or says what is wrong with each.
func (b *Broker) createTopics(ctx context.Context, c *rpc.Call, q *wire.CreateTopicsRequest, _ *rpc.Reply) wire.Message {
	q.Topics = slices.Clone(q.Topics)
	all := b.allowed(c, auth.Create, auth.Cluster, auth.ClusterName)
	a := &wire.CreateTopicsResponse{}
	q.Topics = slices.DeleteFunc(q.Topics, func(t wire.CreateTopicsRequestCreatableTopic) bool {
		var err error
		switch {
		case !all && !b.allowed(c, auth.Create, auth.Topic, t.Name):
			err = code.Errorf(code.TopicAuthorizationFailed, "not allowed to create topic %s", t.Name)
		case t.Name == "__cluster_metadata":
			err = code.Errorf(code.InvalidRequest, "topic %s holds the cluster's metadata and cannot be created", t.Name)
		default:
			return false
		}
		r := wire.CreateTopicsResponseCreatableTopicResult{Name: t.Name}
		r.Default()
		r.Name = t.Name
		r.ErrorCode, r.ErrorMessage = b.failure(err)
		a.Topics = append(a.Topics, r)
		return true
	})
	response, err := b.decide(ctx, controller.CreateTopics(cloneCreate(q)))
	if err != nil {
		for i := range q.Topics {
			r := wire.CreateTopicsResponseCreatableTopicResult{}
			r.Default()
			r.Name = q.Topics[i].Name
			r.ErrorCode, r.ErrorMessage = b.failure(err)
			a.Topics = append(a.Topics, r)
		}
		return a
	}
	done := response.(*wire.CreateTopicsResponse)
	for i := range done.Topics {
		t := &done.Topics[i]
		if t.ErrorCode == 0 && !b.allowed(c, auth.DescribeConfigs, auth.Topic, t.Name) {
			t.Configs, t.NumPartitions, t.ReplicationFactor = nil, -1, -1
			t.TopicConfigErrorCode = int16(code.TopicAuthorizationFailed)
		}
	}
	a.Topics = append(a.Topics, done.Topics...)
	return a
}

// cloneCreate copies what outlives the request's frame: names and configs become part of the metadata.
func cloneCreate(q *wire.CreateTopicsRequest) *wire.CreateTopicsRequest {
	out := *q
	out.Topics = slices.Clone(q.Topics)
	for i := range out.Topics {
		t := &out.Topics[i]
		t.Name = strings.Clone(t.Name)
		t.Configs = slices.Clone(t.Configs)
		for k := range t.Configs {
			t.Configs[k].Name, t.Configs[k].Value = strings.Clone(t.Configs[k].Name), cloneString(t.Configs[k].Value)
		}
	}
	return &out
}

func cloneString(s *string) *string {
	if s == nil {
		return nil
	}
	c := strings.Clone(*s)
	return &c
}

// deleteTopics deletes topics by name or by id; a name is free again at once.
func (b *Broker) deleteTopics(ctx context.Context, c *rpc.Call, q *wire.DeleteTopicsRequest, r *rpc.Reply) wire.Message {
	if tooMany(r, len(q.Topics)+len(q.TopicNames)) {
		return nil
	}
	states := q.Topics
	if c.Header.Version < 6 {
		for _, name := range q.TopicNames {
			states = append(states, wire.DeleteTopicsRequestDeleteTopicState{Name: &name})
		}
	}
	image := b.image()
	a := &wire.DeleteTopicsResponse{}
	ask := &wire.DeleteTopicsRequest{TimeoutMs: q.TimeoutMs}
	for _, s := range states {
		r := wire.DeleteTopicsResponseDeletableTopicResult{Name: cloneString(s.Name), TopicId: s.TopicId}
		if err := b.deletable(image, c, &s); err != nil {
			if code.Of(err) == code.TopicAuthorizationFailed && s.Name == nil {
				r.Name = nil // who may not describe a topic does not learn its name
			}
			r.ErrorCode, r.ErrorMessage = b.failure(err)
			a.Responses = append(a.Responses, r)
			continue
		}
		name := cloneString(s.Name)
		if ask.Topics = append(ask.Topics, wire.DeleteTopicsRequestDeleteTopicState{Name: name, TopicId: s.TopicId}); c.Header.Version < 6 {
			ask.TopicNames = append(ask.TopicNames, *name)
		}
	}
	if len(ask.Topics) == 0 {
		return a
	}
	response, err := b.decide(ctx, controller.DeleteTopics(ask, c.Header.Version))
	if err != nil {
		for _, s := range ask.Topics {
			r := wire.DeleteTopicsResponseDeletableTopicResult{Name: s.Name, TopicId: s.TopicId}
			r.ErrorCode, r.ErrorMessage = b.failure(err)
			a.Responses = append(a.Responses, r)
		}
		return a
	}
	a.Responses = append(a.Responses, response.(*wire.DeleteTopicsResponse).Responses...)
	return a
}

// deletable checks whether the caller may delete what it names. What is wrong with the naming itself is the controller's to say.
func (b *Broker) deletable(image *metadata.Image, c *rpc.Call, s *wire.DeleteTopicsRequestDeleteTopicState) error {
	var name string
	if s.Name != nil {
		name = *s.Name
	} else if t := image.TopicByID(s.TopicId); t != nil {
		name = t.Name
		if !b.allowed(c, auth.Describe, auth.Topic, name) {
			return code.TopicAuthorizationFailed
		}
	} else {
		return nil
	}
	if !b.allowed(c, auth.Delete, auth.Topic, name) {
		return code.TopicAuthorizationFailed
	}
	return nil
}

// createPartitions adds partitions to topics.
func (b *Broker) createPartitions(ctx context.Context, c *rpc.Call, q *wire.CreatePartitionsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.CreatePartitionsResponse{}
	fail := func(name string, err error) {
		r := wire.CreatePartitionsResponseCreatePartitionsTopicResult{Name: name}
		r.ErrorCode, r.ErrorMessage = b.failure(err)
		a.Results = append(a.Results, r)
	}
	ask := &wire.CreatePartitionsRequest{TimeoutMs: q.TimeoutMs, ValidateOnly: q.ValidateOnly}
	for _, t := range q.Topics {
		if !b.allowed(c, auth.Alter, auth.Topic, t.Name) {
			fail(t.Name, code.TopicAuthorizationFailed)
			continue
		}
		t.Name = strings.Clone(t.Name)
		ask.Topics = append(ask.Topics, t)
	}
	if len(ask.Topics) == 0 {
		return a
	}
	response, err := b.decide(ctx, controller.CreatePartitions(ask))
	if err != nil {
		for _, t := range ask.Topics {
			fail(t.Name, err)
		}
		return a
	}
	a.Results = append(a.Results, response.(*wire.CreatePartitionsResponse).Results...)
	return a
}

// electLeaders elects the preferred leaders, or unclean ones where no other is left (KIP-460).
func (b *Broker) electLeaders(ctx context.Context, c *rpc.Call, q *wire.ElectLeadersRequest, _ *rpc.Reply) wire.Message {
	a := &wire.ElectLeadersResponse{}
	if !b.allowed(c, auth.Alter, auth.Cluster, auth.ClusterName) {
		a.ErrorCode = int16(code.ClusterAuthorizationFailed)
		return a
	}
	response, err := b.decide(ctx, controller.ElectLeaders(q))
	if err != nil {
		a.ErrorCode, _ = b.failure(err)
		return a
	}
	return response.(*wire.ElectLeadersResponse)
}

// listPartitionReassignments lists the partitions whose replicas are being moved (KIP-455).
func (b *Broker) listPartitionReassignments(_ context.Context, c *rpc.Call, q *wire.ListPartitionReassignmentsRequest, _ *rpc.Reply) wire.Message {
	a := &wire.ListPartitionReassignmentsResponse{}
	if !b.allowed(c, auth.Describe, auth.Cluster, auth.ClusterName) {
		a.ErrorCode = int16(code.ClusterAuthorizationFailed)
		return a
	}
	one := func(t *metadata.Topic, wanted func(int32) bool) {
		var list []wire.ListPartitionReassignmentsResponseOngoingPartitionReassignment
		for i := range t.Partitions {
			p := &t.Partitions[i]
			if (len(p.Adding) > 0 || len(p.Removing) > 0) && wanted(int32(i)) {
				list = append(list, wire.ListPartitionReassignmentsResponseOngoingPartitionReassignment{PartitionIndex: int32(i), Replicas: p.Replicas, AddingReplicas: p.Adding, RemovingReplicas: p.Removing})
			}
		}
		if list != nil {
			a.Topics = append(a.Topics, wire.ListPartitionReassignmentsResponseOngoingTopicReassignment{Name: t.Name, Partitions: list})
		}
	}
	image := b.image()
	if q.Topics == nil {
		for t := range image.Topics() {
			one(t, func(int32) bool { return true })
		}
		return a
	}
	for _, asked := range q.Topics {
		if t := image.Topic(asked.Name); t != nil {
			one(t, func(i int32) bool { return slices.Contains(asked.PartitionIndexes, i) })
		}
	}
	return a
}

// describeTopicPartitions is the paged description of topics, sorted by name (KIP-966).
func (b *Broker) describeTopicPartitions(_ context.Context, c *rpc.Call, q *wire.DescribeTopicPartitionsRequest, _ *rpc.Reply) wire.Message {
	return b.topicPage(b.image(), c, q)
}

// topicPage is one page: as many partitions as the request and the broker allow, and where the next page begins.
func (b *Broker) topicPage(image *metadata.Image, c *rpc.Call, q *wire.DescribeTopicPartitionsRequest) *wire.DescribeTopicPartitionsResponse {
	a := &wire.DescribeTopicPartitionsResponse{}
	room := max(1, min(int(q.ResponsePartitionLimit), int(b.int("max.request.partition.size.limit"))))
	names := make([]string, 0, len(q.Topics))
	for _, t := range q.Topics {
		names = append(names, strings.Clone(t.Name))
	}
	all := len(q.Topics) == 0
	if all {
		for t := range image.Topics() {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	first := int32(0)
	if q.Cursor != nil {
		if q.Cursor.PartitionIndex < 0 || !all && !slices.Contains(names, q.Cursor.TopicName) {
			for _, name := range names {
				d := failedDescription(name, code.InvalidRequest)
				d.IsInternal = false
				a.Topics = append(a.Topics, d)
			}
			return a
		}
		names = slices.DeleteFunc(names, func(n string) bool { return n < q.Cursor.TopicName })
		if len(names) > 0 && names[0] == q.Cursor.TopicName {
			first = q.Cursor.PartitionIndex
		}
	}
	for _, name := range names {
		if room == 0 {
			a.NextCursor = &wire.DescribeTopicPartitionsResponseCursor{TopicName: name}
			return a
		}
		t := image.Topic(name)
		if !b.allowed(c, auth.Describe, auth.Topic, name) {
			if !all {
				a.Topics = append(a.Topics, failedDescription(name, code.TopicAuthorizationFailed))
			}
			first = 0
			continue
		}
		if t == nil {
			if !all {
				d := failedDescription(name, code.UnknownTopicOrPartition)
				if controller.ValidateTopicName(name) != nil {
					d.ErrorCode = int16(code.InvalidTopicException)
				}
				d.TopicAuthorizedOperations = b.operations(true, c, auth.Topic, name)
				a.Topics = append(a.Topics, d)
			}
			first = 0
			continue
		}
		n := max(0, min(len(t.Partitions)-int(first), room))
		a.Topics = append(a.Topics, b.describePage(image, c, t, int(first), n))
		room -= n
		if int(first)+n < len(t.Partitions) {
			a.NextCursor = &wire.DescribeTopicPartitionsResponseCursor{TopicName: name, PartitionIndex: first + int32(n)}
			return a
		}
		first = 0
	}
	return a
}

func failedDescription(name string, e code.Error) wire.DescribeTopicPartitionsResponseDescribeTopicPartitionsResponseTopic {
	d := wire.DescribeTopicPartitionsResponseDescribeTopicPartitionsResponseTopic{}
	d.Default()
	d.Name, d.ErrorCode, d.IsInternal = &name, int16(e), isInternal(name)
	return d
}

func (b *Broker) describePage(image *metadata.Image, c *rpc.Call, t *metadata.Topic, first, n int) wire.DescribeTopicPartitionsResponseDescribeTopicPartitionsResponseTopic {
	d := wire.DescribeTopicPartitionsResponseDescribeTopicPartitionsResponseTopic{
		Name: &t.Name, TopicId: t.ID, IsInternal: isInternal(t.Name), TopicAuthorizedOperations: b.operations(true, c, auth.Topic, t.Name),
	}
	for i := first; i < first+n; i++ {
		p := &t.Partitions[i]
		r := wire.DescribeTopicPartitionsResponseDescribeTopicPartitionsResponsePartition{
			PartitionIndex: int32(i), LeaderId: p.Leader, LeaderEpoch: p.LeaderEpoch, ReplicaNodes: p.Replicas, IsrNodes: p.ISR,
			EligibleLeaderReplicas: orEmpty(p.ELR), LastKnownElr: orEmpty(p.LastKnownELR), OfflineReplicas: offline(image, p),
		}
		if leader := image.Broker(p.Leader); leader == nil || !leader.Active() {
			r.ErrorCode, r.LeaderId = int16(code.LeaderNotAvailable), -1
		}
		d.Partitions = append(d.Partitions, r)
	}
	return d
}

// orEmpty is list, but never null.
func orEmpty(list []int32) []int32 {
	if list == nil {
		return []int32{}
	}
	return list
}

// brokerName is a broker's name as a configuration resource.
func brokerName(id int32) string { return strconv.Itoa(int(id)) }

// configKeysOfTopics are the keys that the topic APIs obey.
func configKeysOfTopics() []config.Key {
	return []config.Key{
		{Name: "auto.create.topics.enable", Scope: config.Broker, Kind: config.Boolean, Default: "true",
			Doc: "Whether a topic that a client asks metadata for is created when it does not exist and the client allows it."},
		{Name: "max.request.partition.size.limit", Scope: config.Broker, Kind: config.Int, Default: "2000", Check: config.AtLeast(1),
			Doc: "The most partitions that one page of DescribeTopicPartitions names."},
	}
}
