package api

import (
	"context"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// metadata tells a client who is there and who leads what. Topics that are asked for and do not exist are
// created where that is allowed: by versions before 4 always, later when the request says so.
func (b *Broker) metadata(ctx context.Context, c *rpc.Call, q *wire.MetadataRequest, _ *rpc.Reply) wire.Message {
	if c.Header.Version < 12 && slices.ContainsFunc(q.Topics, func(t wire.MetadataRequestMetadataRequestTopic) bool {
		return t.Name == nil || t.TopicId != wire.UUID{}
	}) {
		return refuseTopicIDs(q)
	}
	q.Topics = askedTopics(q.Topics)
	b.autoCreate(ctx, c, q)
	image := b.image()
	a := &wire.MetadataResponse{}
	a.Default()
	a.ClusterId = &b.ClusterID
	b.reachable(image, c.Conn, false, func(broker *metadata.Broker, host string, port int32) {
		a.Brokers = append(a.Brokers, wire.MetadataResponseMetadataResponseBroker{NodeId: broker.ID, Host: host, Port: port, Rack: broker.Rack})
	})
	if len(a.Brokers) > 0 { // any broker takes what is the controller's, and forwards it
		a.ControllerId = a.Brokers[0].NodeId
		if id, _, ok := b.Quorum.Leader(); ok && slices.ContainsFunc(a.Brokers, func(x wire.MetadataResponseMetadataResponseBroker) bool { return x.NodeId == id }) {
			a.ControllerId = id
		}
	}
	a.ClusterAuthorizedOperations = b.operations(q.IncludeClusterAuthorizedOperations, c, auth.Cluster, auth.ClusterName)
	if q.Topics == nil || c.Header.Version == 0 && len(q.Topics) == 0 {
		for t := range image.Topics() {
			if b.allowed(c, auth.Describe, auth.Topic, t.Name) {
				a.Topics = append(a.Topics, b.describeTopic(image, c, q, t))
			}
		}
		return a
	}
	for i := range q.Topics {
		a.Topics = append(a.Topics, b.metadataOf(image, c, q, &q.Topics[i]))
	}
	return a
}

// refuseTopicIDs answers versions that have the field of topic ids and not yet their use: nothing but errors.
func refuseTopicIDs(q *wire.MetadataRequest) *wire.MetadataResponse {
	a := &wire.MetadataResponse{}
	a.Default()
	for i := range q.Topics {
		t := wire.MetadataResponseMetadataResponseTopic{}
		t.Default()
		t.ErrorCode, t.TopicId = int16(code.InvalidRequest), q.Topics[i].TopicId
		if t.Name = q.Topics[i].Name; t.Name == nil {
			t.Name = new(string)
		}
		a.Topics = append(a.Topics, t)
	}
	return a
}

// askedTopics are the topics of a request, each once. Where one comes by its id, names alone do not count.
func askedTopics(topics []wire.MetadataRequestMetadataRequestTopic) []wire.MetadataRequestMetadataRequestTopic {
	byID := slices.ContainsFunc(topics, func(t wire.MetadataRequestMetadataRequestTopic) bool { return t.TopicId != wire.UUID{} })
	if len(topics) < 2 && !byID {
		return topics
	}
	type key struct {
		id   wire.UUID
		name string
	}
	seen := make(map[key]bool, len(topics))
	list := make([]wire.MetadataRequestMetadataRequestTopic, 0, len(topics))
	for _, t := range topics {
		k := key{id: t.TopicId}
		switch {
		case byID && t.TopicId == wire.UUID{}:
			continue
		case byID:
			t.Name = nil
		case t.Name != nil:
			k.name = *t.Name
		}
		if !seen[k] {
			seen[k] = true
			list = append(list, t)
		}
	}
	return list
}

// metadataOf answers for one topic that was asked for, by name or by id.
func (b *Broker) metadataOf(image *metadata.Image, c *rpc.Call, q *wire.MetadataRequest, asked *wire.MetadataRequestMetadataRequestTopic) wire.MetadataResponseMetadataResponseTopic {
	fail := func(e code.Error) wire.MetadataResponseMetadataResponseTopic {
		t := wire.MetadataResponseMetadataResponseTopic{}
		t.Default()
		t.ErrorCode, t.Name, t.TopicId = int16(e), asked.Name, asked.TopicId
		if asked.Name != nil {
			t.IsInternal = isInternal(*asked.Name)
		}
		return t
	}
	if asked.Name == nil {
		switch t := image.TopicByID(asked.TopicId); {
		case asked.TopicId == wire.UUID{}:
			return fail(code.InvalidRequest)
		case t == nil || !b.allowed(c, auth.Describe, auth.Topic, t.Name):
			return fail(code.UnknownTopicId)
		default:
			return b.describeTopic(image, c, q, t)
		}
	}
	name := *asked.Name
	switch t := image.Topic(name); {
	case !b.allowed(c, auth.Describe, auth.Topic, name):
		return fail(code.TopicAuthorizationFailed)
	case t != nil:
		return b.describeTopic(image, c, q, t)
	case controller.ValidateTopicName(name) != nil:
		return fail(code.InvalidTopicException)
	default:
		return fail(code.UnknownTopicOrPartition)
	}
}

func (b *Broker) describeTopic(image *metadata.Image, c *rpc.Call, q *wire.MetadataRequest, t *metadata.Topic) wire.MetadataResponseMetadataResponseTopic {
	a := wire.MetadataResponseMetadataResponseTopic{
		Name: &t.Name, TopicId: t.ID, IsInternal: isInternal(t.Name),
		TopicAuthorizedOperations: b.operations(q.IncludeTopicAuthorizedOperations, c, auth.Topic, t.Name),
		Partitions:                make([]wire.MetadataResponseMetadataResponsePartition, len(t.Partitions)),
	}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		d := &a.Partitions[i]
		d.PartitionIndex, d.LeaderId, d.LeaderEpoch = int32(i), p.Leader, p.LeaderEpoch
		d.ReplicaNodes, d.IsrNodes, d.OfflineReplicas = p.Replicas, p.ISR, offline(image, p)
		if leader := image.Broker(p.Leader); leader == nil || !leader.Active() {
			d.ErrorCode, d.LeaderId = int16(code.LeaderNotAvailable), -1
		}
	}
	return a
}

// offline are the replicas that lie on brokers that are not there.
func offline(image *metadata.Image, p *metadata.Partition) []int32 {
	var list []int32
	for _, id := range p.Replicas {
		if broker := image.Broker(id); broker == nil || !broker.Active() {
			list = append(list, id)
		}
	}
	return list
}

// autoCreate creates the topics that the request names and that do not exist. What fails is told by the answer that follows.
func (b *Broker) autoCreate(ctx context.Context, c *rpc.Call, q *wire.MetadataRequest) {
	if !q.AllowAutoTopicCreation || len(q.Topics) == 0 {
		return
	}
	image := b.image()
	var names []string
	seen := make(map[string]bool)
	for i := range q.Topics {
		if n := q.Topics[i].Name; n != nil && image.Topic(*n) == nil && !seen[*n] {
			seen[*n] = true
			names = append(names, strings.Clone(*n))
		}
	}
	if len(names) == 0 || !b.Keys.Bool(config.Broker, "auto.create.topics.enable", b.layers(image)) {
		return
	}
	create := &wire.CreateTopicsRequest{}
	create.Default()
	for _, name := range names {
		if controller.ValidateTopicName(name) != nil || !b.allowed(c, auth.Create, auth.Cluster, auth.ClusterName) && !b.allowed(c, auth.Create, auth.Topic, name) {
			continue
		}
		create.Topics = append(create.Topics, b.newTopic(name))
	}
	if len(create.Topics) == 0 {
		return
	}
	response, err := b.decide(ctx, controller.CreateTopics(create))
	if err != nil {
		b.Logger.Warn("topics could not be created for a client that asked for them", "event", "auto_create_failed", "topics", names, "error", err)
		return
	}
	for _, t := range response.(*wire.CreateTopicsResponse).Topics {
		if e := code.Error(t.ErrorCode); e != code.None && e != code.TopicAlreadyExists {
			reason := ""
			if t.ErrorMessage != nil {
				reason = *t.ErrorMessage
			}
			b.Logger.Warn("a topic could not be created for a client that asked for it", "event", "auto_create_failed", "topic", t.Name, "error", e, "reason", reason)
		}
	}
}
