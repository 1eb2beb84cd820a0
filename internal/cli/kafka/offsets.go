package kafka

import (
	"context"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The times that stand for a place in a partition and not for a time.
const (
	latest   int64 = -1
	earliest int64 = -2
)

// getOffsetsTool prints offsets of partitions.
func getOffsetsTool() tool {
	return tool{
		name: "kafka-get-offsets", short: "Offsets of partitions, as kafka-get-offsets.sh tells them",
		about: "An interactive shell for getting topic-partition offsets.",
		example: `  klamm kafka-get-offsets --bootstrap-server localhost:9092 --topic orders
  klamm kafka-get-offsets --bootstrap-server localhost:9092 --topic orders --time earliest
  klamm kafka-get-offsets --bootstrap-server localhost:9092 --topic-partitions 'orders:0-3,payments'`,
		prefix: "Error occurred: ",
		options: []option{
			bootstrap(),
			formerly("broker-list", bootstrap()),
			text("topic-partitions", "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3", "The partitions, by rules with commas between them: a regular expression for topics, and behind a colon a number, from-, -to or from-to without the last. Nothing is all."),
			text("topic", "topic", "The topics, as a regular expression; all when it is not given. Not beside --topic-partitions."),
			text("partitions", "partition ids", "The partitions, with commas between them; all when it is not given. Not beside --topic-partitions."),
			{name: "time", takes: takesOne, kind: "String", of: "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload", def: "latest", help: "The offset of the first record of this time or a later one."},
			text("command-config", "config file", "A file of properties for the client."),
			flag("exclude-internal-topics", "Leave the cluster's own topics out."),
		},
		run: runGetOffsets,
	}
}

// runGetOffsets is kafka-get-offsets.
func runGetOffsets(r *run) error {
	if err := first(r.need("bootstrap-server"), checkBrokers(r.text("bootstrap-server"))); err != nil {
		return err
	}
	if r.has("topic-partitions") && r.hasAny("topic", "partitions") {
		return saysf("--topic-partitions cannot be used with --topic or --partitions")
	}
	at, err := parseOffsetTime(r.text("time"))
	if err != nil {
		return err
	}
	wanted, err := r.partitionRules()
	if err != nil {
		return err
	}
	cl, _, err := r.admin()
	if err != nil {
		return err
	}
	defer cl.Close()
	topics, _, _, err := metadata(r.ctx, cl, nil)
	if err != nil {
		return err
	}
	ask := map[place]int64{}
	var order []place
	for _, t := range topics {
		if r.has("exclude-internal-topics") && (t.internal || internalTopic(t.name)) {
			continue
		}
		for _, p := range t.partitions {
			if slices.ContainsFunc(wanted, func(rule partitionRule) bool { return rule.allows(t.name, p.id) }) {
				ask[place{t.name, p.id}] = at
				order = append(order, place{t.name, p.id})
			}
		}
	}
	if len(order) == 0 {
		return saysf("Could not match any topic-partitions with the specified filters")
	}
	slices.SortFunc(order, func(a, b place) int { return strings.Compare(a.String(), b.String()) })
	found, err := listOffsets(r.ctx, cl, ask)
	if err != nil {
		return err
	}
	for _, p := range order {
		o := found[p]
		switch {
		case o.err != nil:
			fmt.Fprintf(r.err, "Skip getting offsets for topic-partition %s due to error: %s\n", p, wrapped(o.err))
		case o.offset >= 0:
			r.printf("%s:%d:%d\n", p.topic, p.partition, o.offset)
		}
	}
	return nil
}

// checkBrokers refuses brokers without a port, as Java's tools do.
func checkBrokers(s string) error {
	if strings.TrimSpace(s) == "" {
		return usagef("Error while validating the bootstrap address\n")
	}
	for hp := range strings.SplitSeq(s, ",") {
		if _, port, err := net.SplitHostPort(strings.TrimSpace(hp)); err != nil || port == "" {
			return usagef("Please provide valid host:port like host1:9091,host2:9092\n")
		}
	}
	return nil
}

// parseOffsetTime reads --time.
func parseOffsetTime(s string) (int64, error) {
	switch s {
	case "latest":
		return latest, nil
	case "earliest":
		return earliest, nil
	case "max-timestamp":
		return -3, nil
	case "earliest-local":
		return -4, nil
	case "latest-tiered":
		return -5, nil
	case "earliest-pending-upload":
		return -6, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, saysf("Malformed time argument %s. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp", s)
	}
	return n, nil
}

// partitionRule is one rule of which partitions are meant.
type partitionRule struct {
	topics include
	only   []int32 // empty for the range
	from   int32
	to     int32 // exclusive
}

// allows says that a partition is meant.
func (p partitionRule) allows(topic string, id int32) bool {
	if len(p.only) > 0 {
		return slices.Contains(p.only, id) && p.topics.allows(topic)
	}
	return id >= p.from && id < p.to && p.topics.allows(topic)
}

// partitionRules reads --topic-partitions, or --topic and --partitions.
func (r *run) partitionRules() ([]partitionRule, error) {
	if !r.has("topic-partitions") {
		rule := partitionRule{to: math.MaxInt32}
		pattern := ".*"
		if r.has("topic") {
			pattern = r.text("topic")
		}
		var err error
		if rule.topics, err = newInclude(pattern); err != nil {
			return nil, err
		}
		if s := r.text("partitions"); s != "" {
			for f := range strings.SplitSeq(s, ",") {
				n, err := strconv.ParseInt(f, 10, 32)
				if err != nil {
					return nil, saysf("--partitions expects a comma separated list of numeric partition ids, but received: %s", s)
				}
				rule.only = append(rule.only, int32(n))
			}
		}
		return []partitionRule{rule}, nil
	}
	form := regexp.MustCompile(`^([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?$`)
	var rules []partitionRule
	for spec := range strings.SplitSeq(r.text("topic-partitions"), ",") {
		m := form.FindStringSubmatch(spec)
		if m == nil {
			return nil, saysf("Invalid rule specification: %s", spec)
		}
		rule := partitionRule{to: math.MaxInt32}
		pattern := m[1]
		if pattern == "" {
			pattern = ".*"
		}
		var err error
		if rule.topics, err = newInclude(pattern); err != nil {
			return nil, err
		}
		for i, set := range []func(int32){func(n int32) { rule.only = []int32{n} }, func(n int32) { rule.from = n }, func(n int32) { rule.to = n }} {
			if m[2+i] == "" {
				continue
			}
			n, err := strconv.ParseInt(m[2+i], 10, 32)
			if err != nil {
				return nil, saysf("For input string: %q", m[2+i])
			}
			set(int32(n))
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// found is the offset that a partition has for a time, -1 for none.
type found struct {
	offset int64
	err    error
}

// listOffsets asks the leaders of partitions for their offsets of times. Every partition that was asked for is
// in the answer.
func listOffsets(ctx context.Context, cl *kgo.Client, ask map[place]int64) (map[place]found, error) {
	all := make(map[place]found, len(ask))
	if len(ask) == 0 {
		return all, nil
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	at := map[string]int{}
	for p, ts := range ask {
		i, ok := at[p.topic]
		if !ok {
			i = len(req.Topics)
			at[p.topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = p.topic
			req.Topics = append(req.Topics, t)
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p.partition, ts
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	var fail error
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			fail = shard.Err
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				all[place{t.Topic, p.Partition}] = found{p.Offset, refused(p.ErrorCode, nil)}
			}
		}
	}
	if len(all) == 0 && fail != nil {
		return nil, fail
	}
	for p := range ask {
		if _, ok := all[p]; !ok {
			if fail == nil {
				fail = refused(3, nil)
			}
			all[p] = found{-1, fail}
		}
	}
	return all, nil
}
