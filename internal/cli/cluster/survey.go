package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// patience bounds what is asked of every broker, so that one that does not answer holds nobody up.
const patience = 5 * time.Second

// member is a broker of the cluster.
type member struct {
	ID     int32
	Host   string
	Port   int32
	Rack   string
	Fenced bool // it is registered, and serves nobody
}

// addr is where clients reach a broker.
func (m member) addr() string {
	if m.Host == "" {
		return "-"
	}
	return fmt.Sprintf("%s:%d", m.Host, m.Port)
}

// survey is a cluster as its brokers describe it.
type survey struct {
	id         string
	controller int32 // -1 when there is none
	members    []member
	topics     kadm.TopicDetails
}

// look asks who is there, and with topics true what topics there are.
func look(ctx context.Context, cl *kgo.Client, adm *kadm.Client, topics bool) (*survey, error) {
	ask := adm.BrokerMetadata
	if topics {
		ask = func(ctx context.Context) (kadm.Metadata, error) { return adm.Metadata(ctx) }
	}
	meta, err := ask(ctx)
	if err != nil {
		return nil, app.Failed(err, "the cluster could not be described")
	}
	s := &survey{id: meta.Cluster, controller: meta.Controller, topics: meta.Topics}
	for _, b := range meta.Brokers {
		m := member{ID: b.NodeID, Host: b.Host, Port: b.Port}
		if b.Rack != nil {
			m.Rack = *b.Rack
		}
		s.members = append(s.members, m)
	}
	s.addFenced(ctx, cl)
	s.findController(ctx, cl)
	return s, nil
}

// addFenced adds the brokers that are registered and serve nobody, which metadata leaves out; brokers before
// Kafka 4.0 do not tell of them.
func (s *survey) addFenced(ctx context.Context, cl *kgo.Client) {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = true
	resp, err := req.RequestWith(ctx, cl)
	if err != nil || resp.ErrorCode != 0 {
		return
	}
	for _, b := range resp.Brokers {
		if i := slices.IndexFunc(s.members, func(m member) bool { return m.ID == b.NodeID }); i >= 0 {
			s.members[i].Fenced = b.IsFenced
			continue
		}
		m := member{ID: b.NodeID, Host: b.Host, Port: b.Port, Fenced: b.IsFenced}
		if b.Rack != nil {
			m.Rack = *b.Rack
		}
		s.members = append(s.members, m)
	}
	app.Sort(s.members, func(x, y member) int { return int(x.ID) - int(y.ID) })
}

// findController asks the quorum for its leader: metadata names any broker as controller there. Who may not ask,
// or asks a cluster without a quorum, keeps what metadata said.
func (s *survey) findController(ctx context.Context, cl *kgo.Client) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil || resp.ErrorCode != 0 {
		return
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 {
				s.controller = p.LeaderID
			}
		}
	}
}

// active are the ids of the brokers that serve.
func (s *survey) active() (ids []int32) {
	for _, m := range s.members {
		if !m.Fenced {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// names are ids as configuration names brokers.
func names(ids []int32) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = strconv.Itoa(int(id))
	}
	return list
}

// logDirs asks the brokers for their log directories. A broker that does not answer is left out.
func logDirs(ctx context.Context, adm *kadm.Client) kadm.DescribedAllLogDirs {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dirs, _ := adm.DescribeAllLogDirs(ctx, nil)
	return dirs
}

// version is what a broker says of itself.
type version struct {
	software string // Klamm, Kafka 4.4; empty when it did not answer
	metadata string // as in 4.4-IV2; empty when it is not told
	err      error  // why it did not answer
}

// klammKey is a key of brokers' configuration that only Klamm has.
const klammKey = "log.flush.before.ack"

// versions asks every broker what it is.
func versions(ctx context.Context, cl *kgo.Client, adm *kadm.Client, ids []int32) map[int32]version {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answers, err := adm.ApiVersions(ctx)
	configs := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeBroker, Names: names(ids), Keys: []string{klammKey}})
	got := make(map[int32]version, len(ids))
	for _, id := range ids {
		v := version{err: err}
		answer, ok := answers[id]
		switch {
		case err != nil:
		case !ok:
			v.err = errors.New("it is not among the brokers that clients are told of")
		case answer.Err != nil:
			v.err = answer.Err
		default:
			if guess := answer.VersionGuess(); guess != "" {
				v.software = "Kafka " + strings.ReplaceAll(guess, "v", "")
			}
			if _, klamm := configs[strconv.Itoa(int(id))].Row(klammKey); klamm {
				v.software = "Klamm"
			}
			v.metadata = metadataVersion(answer.Raw())
		}
		got[id] = v
	}
	return got
}

// metadataVersion is the feature level that the cluster's metadata is written in.
func metadataVersion(raw *kmsg.ApiVersionsResponse) string {
	for _, f := range raw.FinalizedFeatures {
		if f.Name != "metadata.version" {
			continue
		}
		if name, _, ok := strings.Cut(kversion.FeatureLevelDescription(f.Name, f.MaxVersionLevel), ":"); ok {
			return name
		}
		return "level " + strconv.Itoa(int(f.MaxVersionLevel))
	}
	return ""
}

// partitionName names a partition for people.
func partitionName(p kadm.PartitionDetail) string { return fmt.Sprintf("%s/%d", p.Topic, p.Partition) }

// some lists a few partitions by name.
func some(list []kadm.PartitionDetail) string {
	const most = 3
	var words []string
	for _, p := range list[:min(len(list), most)] {
		words = append(words, partitionName(p))
	}
	text := strings.Join(words, ", ")
	if more := len(list) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// partitions are all partitions in order. A topic whose metadata cannot be read has none.
func (s *survey) partitions() (list []kadm.PartitionDetail) {
	for _, t := range s.topics.Sorted() {
		list = append(list, t.Partitions.Sorted()...)
	}
	return list
}

// errorText is an error for a line of its own.
func errorText(err error) string {
	var k *kerr.Error
	if errors.As(err, &k) {
		return k.Message
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in " + app.DurationText(patience)
	}
	if f := app.Explain(err); f.Why != "" {
		return f.Why
	}
	return err.Error()
}
