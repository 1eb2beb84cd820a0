package node

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/wire"
)

// Topic is a topic to create.
type Topic struct {
	// Name is the topic's name.
	Name string
	// Partitions is how many it gets; 0 for the broker's num.partitions.
	Partitions int32
	// Configs are its own values of Kafka's keys of topics.
	Configs map[string]string
}

// CreateTopics creates topics on a node that is ready, and returns when they can be produced to. A topic
// that is there already stays as it is. The error names the first topic that cannot be.
func (n *Node) CreateTopics(ctx context.Context, topics []Topic) error {
	req := wire.NewCreateTopicsRequest()
	for _, t := range topics {
		if t.Partitions < 0 {
			return fmt.Errorf("topic %q: %d partitions cannot be; 0 is the broker's num.partitions", t.Name, t.Partitions)
		}
		c := wire.CreateTopicsRequestCreatableTopic{Name: t.Name, NumPartitions: cmp.Or(t.Partitions, -1), ReplicationFactor: -1}
		for _, k := range slices.Sorted(maps.Keys(t.Configs)) {
			v := t.Configs[k]
			c.Configs = append(c.Configs, wire.CreateTopicsRequestCreatableTopicConfig{Name: k, Value: &v})
		}
		req.Topics = append(req.Topics, c)
	}
	if len(req.Topics) == 0 {
		return nil
	}
	response, err := n.quorum.Propose(ctx, controller.CreateTopics(req))
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	for _, t := range response.(*wire.CreateTopicsResponse).Topics {
		e := code.Error(t.ErrorCode)
		if e == code.None || e == code.TopicAlreadyExists {
			continue
		}
		if t.ErrorMessage != nil {
			return fmt.Errorf("topic %q: %w", t.Name, code.Errorf(e, "%s", *t.ErrorMessage))
		}
		return fmt.Errorf("topic %q: %w", t.Name, e)
	}
	return nil
}

// topicName is the name of a topic by its id; "" when there is none.
func (n *Node) topicName(id wire.UUID) string {
	if t := n.quorum.Image().TopicByID(id); t != nil {
		return t.Name
	}
	return ""
}
