package kafka

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partition is one partition of a topic as Java's admin client tells it.
type partition struct {
	id       int32
	leader   int32 // -1 for none
	replicas []int32
	isr      []int32
	elr      []int32 // eligible leader replicas (KIP-966)
	lastELR  []int32
}

// described is a topic with its partitions in order.
type described struct {
	name       string
	id         [16]byte
	internal   bool
	elr        bool // the cluster told of eligible leader replicas
	partitions []partition
}

// brokerNode is a broker of the cluster.
type brokerNode struct {
	id   int32
	host string
	port int32
	rack *string
}

// metadata asks for some topics, or for all when names is nil. A topic that has an error is returned with it.
func metadata(ctx context.Context, cl *kgo.Client, names []string) (topics []described, errs map[string]error, nodes []brokerNode, err error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	if names != nil {
		req.Topics = []kmsg.MetadataRequestTopic{}
	}
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	res, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, nil, nil, err
	}
	errs = map[string]error{}
	for _, t := range res.Topics {
		if t.Topic == nil {
			continue
		}
		if t.ErrorCode != 0 {
			errs[*t.Topic] = refused(t.ErrorCode, nil)
			continue
		}
		d := described{name: *t.Topic, id: t.TopicID, internal: t.IsInternal}
		for _, p := range t.Partitions {
			d.partitions = append(d.partitions, partition{id: p.Partition, leader: p.Leader, replicas: p.Replicas, isr: p.ISR})
		}
		slices.SortFunc(d.partitions, func(a, b partition) int { return int(a.id - b.id) })
		topics = append(topics, d)
	}
	slices.SortFunc(topics, func(a, b described) int { return strings.Compare(a.name, b.name) })
	for _, b := range res.Brokers {
		nodes = append(nodes, brokerNode{b.NodeID, b.Host, b.Port, b.Rack})
	}
	slices.SortFunc(nodes, func(a, b brokerNode) int { return int(a.id - b.id) })
	return topics, errs, nodes, nil
}

// describeTopics asks for topics with their eligible leaders where the cluster knows them (KIP-966), and by
// metadata elsewhere. limit is how many partitions may be in an answer.
func describeTopics(ctx context.Context, cl *kgo.Client, names []string, limit int32) ([]described, error) {
	if _, ok := supports(ctx, cl, int16(kmsg.DescribeTopicPartitions)); !ok {
		topics, errs, _, err := metadata(ctx, cl, names)
		for _, n := range names {
			if err == nil {
				err = errs[n]
			}
		}
		return topics, err
	}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = limit
	slices.Sort(names)
	for _, n := range names {
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = n
		req.Topics = append(req.Topics, t)
	}
	var all []described
	for {
		res, err := req.RequestWith(ctx, cl)
		if err != nil {
			return nil, err
		}
		for _, t := range res.Topics {
			if t.ErrorCode != 0 {
				return nil, refused(t.ErrorCode, nil)
			}
			if len(all) == 0 || all[len(all)-1].name != *t.Topic {
				all = append(all, described{name: *t.Topic, id: t.TopicID, internal: t.IsInternal, elr: true})
			}
			d := &all[len(all)-1]
			for _, p := range t.Partitions {
				d.partitions = append(d.partitions, partition{p.Partition, p.LeaderID, p.Replicas, p.ISR, p.EligibleLeaderReplicas, p.LastKnownELR})
			}
		}
		if res.NextCursor == nil {
			break
		}
		next := kmsg.NewDescribeTopicPartitionsRequestCursor()
		next.Topic, next.Partition = res.NextCursor.Topic, res.NextCursor.Partition
		req.Cursor = &next
		req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.DescribeTopicPartitionsRequestTopic) bool { return t.Topic < next.Topic })
	}
	for _, d := range all {
		slices.SortFunc(d.partitions, func(a, b partition) int { return int(a.id - b.id) })
	}
	return all, nil
}

// describeConfigs asks for the configuration of resources, in the order of their names' entries. Brokers and
// their loggers are asked themselves.
func describeConfigs(ctx context.Context, cl *kgo.Client, kind kmsg.ConfigResourceType, names []string, synonyms bool) (map[string][]kmsg.DescribeConfigsResponseResourceConfig, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = synonyms
	for _, n := range names {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, n
		req.Resources = append(req.Resources, r)
	}
	all := map[string][]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		for _, r := range shard.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			if err := refused(r.ErrorCode, r.ErrorMessage); err != nil {
				return nil, err
			}
			sort.Slice(r.Configs, func(i, j int) bool { return r.Configs[i].Name < r.Configs[j].Name })
			all[r.ResourceName] = r.Configs
		}
	}
	return all, nil
}

// include is Java's filter of topics: a regular expression for the whole name, in which a comma means or.
type include struct{ re *regexp.Regexp }

// newInclude makes an include of what stands on the command line.
func newInclude(raw string) (include, error) {
	s := strings.Trim(strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(raw), ",", "|"), " ", ""), `"'`)
	re, err := regexp.Compile("^(?:" + s + ")$")
	if err != nil {
		return include{}, saysf("%s is an invalid regex.", s)
	}
	return include{re}, nil
}

// allows says that a topic is meant.
func (i include) allows(topic string) bool { return i.re.MatchString(topic) }

// internalTopic says that a topic is one of the cluster's own.
func internalTopic(name string) bool {
	switch name {
	case "__consumer_offsets", "__transaction_state", "__share_group_state":
		return true
	}
	return false
}

// ids joins numbers as Java's tools do.
func ids(all []int32) string {
	var b strings.Builder
	for i, id := range all {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprint(&b, id)
	}
	return b.String()
}
