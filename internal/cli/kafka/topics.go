package kafka

import (
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configsNote is the hint at the tool that alters configurations.
const configsNote = " (To alter topic configurations, the kafka-configs tool can be used.)"

// topicsTool makes, lists, describes, alters and deletes topics.
func topicsTool() tool {
	return tool{
		name: "kafka-topics", short: "Topics, as kafka-topics.sh does it",
		about: "Create, delete, describe, or change a topic.",
		example: `  klamm kafka-topics --bootstrap-server localhost:9092 --list
  klamm kafka-topics --bootstrap-server localhost:9092 --create --topic orders --partitions 6
  klamm kafka-topics --bootstrap-server localhost:9092 --describe --topic orders
  klamm kafka-topics --bootstrap-server localhost:9092 --delete --topic orders`,
		prefix: "Error while executing topic command : ", stdout: true,
		options: []option{
			bootstrap(),
			text("command-config", "command config property file", "A file of properties for the client."),
			flag("list", "List the topics."),
			flag("create", "Create a topic."),
			flag("delete", "Delete topics."),
			flag("alter", "Alter the number of partitions."+configsNote),
			flag("describe", "Describe topics."),
			text("topic", "topic", "The topic; a regular expression for several, but for --create."),
			text("topic-id", "topic-id", "The id of the topic to describe."),
			texts("config", "name=value", "A configuration of the topic that is created."+configsNote),
			texts("delete-config", "name", "Does nothing since 4.0."),
			whole("partitions", "# of partitions", "", "How many partitions the topic is created with or altered to; the cluster's default for a new one. Keys go to other partitions when there are more."),
			whole("replication-factor", "replication factor", "", "How many replicas each partition of a new topic has; the cluster's default."),
			text("replica-assignment", "broker:broker,broker:broker, ...", "The brokers of the replicas of each partition, the leader first."),
			flag("under-replicated-partitions", "Describe only partitions that lack replicas in sync."),
			flag("unavailable-partitions", "Describe only partitions without a leader."),
			flag("under-min-isr-partitions", "Describe only partitions with fewer replicas in sync than min.insync.replicas."),
			flag("at-min-isr-partitions", "Describe only partitions with as many replicas in sync as min.insync.replicas."),
			flag("topics-with-overrides", "Describe only topics that have configurations of their own."),
			flag("if-exists", "It is no error when the topic is not there."),
			flag("if-not-exists", "It is no error when the topic to create is there."),
			flag("exclude-internal", "Leave the cluster's own topics out."),
			whole("partition-size-limit-per-response", "maximum number of partitions per response", "", "How many partitions the broker may describe in one answer."),
		},
		run: runTopics,
	}
}

// runTopics is kafka-topics.
func runTopics(r *run) error {
	if err := r.checkTopics(); err != nil {
		return err
	}
	assignment, err := parseAssignment(r.text("replica-assignment"))
	if err != nil {
		return err
	}
	cl, _, err := r.admin()
	if err != nil {
		return err
	}
	defer cl.Close()
	switch {
	case r.has("create"):
		return r.createTopic(cl, assignment)
	case r.has("alter"):
		return r.alterTopics(cl, assignment)
	case r.has("list"):
		topics, err := r.matchingTopics(cl)
		if err == nil {
			r.println(strings.Join(topics, "\n"))
		}
		return err
	case r.has("describe"):
		return r.describeTopics(cl)
	}
	return r.deleteTopics(cl)
}

// checkTopics refuses command lines as Java's tool does.
func (r *run) checkTopics() error {
	actions := []string{"alter", "create", "describe", "list", "delete"}
	n := 0
	for _, a := range actions {
		if r.has(a) {
			n++
		}
	}
	if n != 1 {
		return usagef("Command must include exactly one action: --list, --describe, --create, --alter or --delete")
	}
	if r.has("delete-config") {
		fmt.Fprintln(r.err, "delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed in future releases.")
	}
	if !r.has("bootstrap-server") {
		return plainf("--bootstrap-server must be specified")
	}
	if r.has("describe") && r.has("if-exists") {
		if !r.hasAny("topic", "topic-id") {
			return usagef("--topic or --topic-id is required to describe a topic")
		}
		if r.has("topic") && r.has("topic-id") {
			r.println("Only topic id will be used when both --topic and --topic-id are specified and topicId is not Uuid.ZERO_UUID")
		}
	}
	if !r.hasAny("list", "describe") {
		if err := r.need("topic"); err != nil {
			return err
		}
	}
	if r.has("alter") {
		if r.has("config") {
			return usagef("Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\"%s", configsNote)
		}
		if err := r.need("partitions"); err != nil {
			return err
		}
	}
	but := func(more []string, allowed ...string) []string {
		return append(slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return slices.Contains(allowed, a) }), more...)
	}
	overrides := []string{"topics-with-overrides"}
	reports := []string{"under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions", "unavailable-partitions"}
	errs := []error{
		r.not("config", but(nil, "alter", "create")...),
		r.not("partitions", but(nil, "alter", "create")...),
		r.not("replication-factor", but(nil, "create")...),
		r.not("replica-assignment", but(nil, "alter", "create")...),
	}
	if r.has("create") {
		errs = append(errs, r.not("replica-assignment", "partitions", "replication-factor"))
	}
	for _, report := range reports {
		errs = append(errs, r.not(report, but(overrides, "describe")...))
	}
	return first(append(errs,
		r.not("topics-with-overrides", but(reports, "describe")...),
		r.not("if-exists", but(nil, "alter", "delete", "describe")...),
		r.not("if-not-exists", but(nil, "create")...),
		r.not("exclude-internal", but(nil, "list", "describe")...))...)
}

// parseAssignment reads --replica-assignment: the brokers of a partition behind each other with colons, the
// partitions with commas.
func parseAssignment(s string) ([][]int32, error) {
	if s == "" {
		return nil, nil
	}
	var all [][]int32
	for i, part := range strings.Split(s, ",") {
		var brokers []int32
		for b := range strings.SplitSeq(part, ":") {
			id, err := strconv.ParseInt(strings.TrimSpace(b), 10, 32)
			if err != nil {
				return nil, saysf("For input string: %q", strings.TrimSpace(b))
			}
			if slices.Contains(brokers, int32(id)) {
				return nil, saysf("Partition replica lists may not contain duplicate entries: %d", id)
			}
			brokers = append(brokers, int32(id))
		}
		if i > 0 && len(brokers) != len(all[0]) {
			return nil, saysf("Partition %d has different replication factor: [%s]", i, strings.ReplaceAll(ids(brokers), ",", ", "))
		}
		all = append(all, brokers)
	}
	return all, nil
}

// createTopic is --create.
func (r *run) createTopic(cl *kgo.Client, assignment [][]int32) error {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic = r.text("topic")
	split := regexp.MustCompile(`\s*=\s*`)
	for _, c := range r.all("config") {
		kv := split.Split(c, -1)
		for len(kv) > 0 && kv[len(kv)-1] == "" { // as Java's split leaves empty ends out
			kv = kv[:len(kv)-1]
		}
		if len(kv) != 2 {
			return saysf(`requirement failed: Invalid topic config: all configs to be added must be in the format "key=val".`)
		}
		conf := kmsg.NewCreateTopicsRequestTopicConfig()
		conf.Name, conf.Value = strings.TrimSpace(kv[0]), kmsg.StringPtr(strings.TrimSpace(kv[1]))
		t.Configs = append(t.Configs, conf)
	}
	if strings.ContainsAny(t.Topic, "._") {
		r.println("WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.")
	}
	t.NumPartitions, t.ReplicationFactor = -1, -1
	if r.has("replication-factor") {
		n := r.number("replication-factor")
		if n < 1 || n > math.MaxInt16 {
			return saysf("The replication factor must be between 1 and %d inclusive", math.MaxInt16)
		}
		t.ReplicationFactor = int16(n)
	}
	if r.has("partitions") {
		n := r.number("partitions")
		if n < 1 {
			return saysf("The partitions must be greater than 0")
		}
		t.NumPartitions = int32(n)
	}
	for i, brokers := range assignment {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(i), brokers
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.Topics = 30000, append(req.Topics, t)
	res, err := req.RequestWith(r.ctx, cl)
	if err != nil {
		return err
	}
	for _, t := range res.Topics {
		if t.ErrorCode == 36 && r.has("if-not-exists") {
			return nil
		}
		if err := refused(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	r.println("Created topic " + t.Topic + ".")
	return nil
}

// matchingTopics are the names of the topics that --topic means, or of all, in order.
func (r *run) matchingTopics(cl *kgo.Client) ([]string, error) {
	topics, _, _, err := metadata(r.ctx, cl, nil)
	if err != nil {
		return nil, err
	}
	in := include{}
	if r.has("topic") {
		if in, err = newInclude(r.text("topic")); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, t := range topics {
		if r.has("exclude-internal") && (t.internal || internalTopic(t.name)) || in.re != nil && !in.allows(t.name) {
			continue
		}
		names = append(names, t.name)
	}
	return names, nil
}

// existingTopics is matchingTopics, which must be some when a topic is named, unless --if-exists.
func (r *run) existingTopics(cl *kgo.Client) ([]string, error) {
	names, err := r.matchingTopics(cl)
	if err == nil && len(names) == 0 && r.text("topic") != "" && !r.has("if-exists") {
		err = saysf("Topic '%s' does not exist as expected", r.text("topic"))
	}
	return names, err
}

// alterTopics is --alter: more partitions.
func (r *run) alterTopics(cl *kgo.Client, assignment [][]int32) error {
	names, err := r.existingTopics(cl)
	if err != nil || len(names) == 0 {
		return err
	}
	topics, _, _, err := metadata(r.ctx, cl, names)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 30000
	for _, d := range topics {
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = d.name, int32(r.number("partitions"))
		for _, brokers := range assignment[min(len(d.partitions), len(assignment)):] {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = brokers
			t.Assignment = append(t.Assignment, a)
		}
		req.Topics = append(req.Topics, t)
	}
	res, err := req.RequestWith(r.ctx, cl)
	if err != nil {
		return err
	}
	for _, t := range res.Topics {
		if err := refused(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

// deleteTopics is --delete.
func (r *run) deleteTopics(cl *kgo.Client) error {
	names, err := r.existingTopics(cl)
	if err != nil || len(names) == 0 {
		return err
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.TopicNames = 30000, names
	for _, n := range names {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	res, err := req.RequestWith(r.ctx, cl)
	if err != nil {
		return err
	}
	for _, t := range res.Topics {
		if err := refused(t.ErrorCode, t.ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

// describeTopics is --describe.
func (r *run) describeTopics(cl *kgo.Client) error {
	names, err := r.topicsToDescribe(cl)
	if err != nil || len(names) == 0 {
		return err
	}
	limit := int32(2000)
	if r.has("partition-size-limit-per-response") {
		limit = int32(r.number("partition-size-limit-per-response"))
	}
	topics, err := describeTopics(r.ctx, cl, names, limit)
	if err != nil {
		return err
	}
	configs, err := describeConfigs(r.ctx, cl, kmsg.ConfigResourceTypeTopic, names, false)
	if err != nil {
		return err
	}
	_, _, nodes, err := metadata(r.ctx, cl, []string{})
	if err != nil {
		return err
	}
	moving := reassignments(r, cl)
	for _, t := range topics {
		r.describeTopic(t, configs[t.name], nodes, moving)
	}
	return nil
}

// topicsToDescribe are the topics of --topic-id or of --topic.
func (r *run) topicsToDescribe(cl *kgo.Client) ([]string, error) {
	var id [16]byte
	if r.has("topic-id") {
		b, err := base64.RawURLEncoding.DecodeString(r.text("topic-id"))
		if err != nil || len(b) != len(id) {
			return nil, saysf("Input string `%s` decoded as %d bytes, which is not equal to the expected 16 bytes of a base64-encoded UUID", r.text("topic-id"), len(b))
		}
		copy(id[:], b)
	}
	if id == [16]byte{} {
		return r.existingTopics(cl)
	}
	topics, _, _, err := metadata(r.ctx, cl, nil)
	if err != nil {
		return nil, err
	}
	for _, t := range topics {
		if t.id == id && !(r.has("exclude-internal") && t.internal) {
			return []string{t.name}, nil
		}
	}
	if r.has("if-exists") {
		return nil, nil
	}
	return nil, saysf("TopicId '%s' does not exist as expected", r.text("topic-id"))
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// String is Java's way to write a partition.
func (p place) String() string { return fmt.Sprintf("%s-%d", p.topic, p.partition) }

// move is a reassignment that is under way.
type move struct{ adding, removing, replicas []int32 }

// reassignments are the moves under way; none when the cluster does not tell.
func reassignments(r *run, cl *kgo.Client) map[place]move {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	req.TimeoutMillis = 30000
	all := map[place]move{}
	res, err := req.RequestWith(r.ctx, cl)
	if err != nil || res.ErrorCode != 0 {
		return all
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			all[place{t.Topic, p.Partition}] = move{p.AddingReplicas, p.RemovingReplicas, p.Replicas}
		}
	}
	return all
}

// describeTopic prints a topic and those of its partitions that are asked for.
func (r *run) describeTopic(t described, configs []kmsg.DescribeConfigsResponseResourceConfig, nodes []brokerNode, moving map[place]move) {
	reports := r.hasAny("unavailable-partitions", "under-replicated-partitions", "under-min-isr-partitions", "at-min-isr-partitions")
	var own []string
	minISR := 1
	for _, c := range configs {
		value := "null"
		if c.Value != nil {
			value = *c.Value
		}
		if c.Name == "min.insync.replicas" {
			if n, err := strconv.Atoi(value); err == nil {
				minISR = n
			}
		}
		if c.Source != kmsg.ConfigSourceDefaultConfig {
			own = append(own, c.Name+"="+value)
		}
	}
	factor := func(p partition) int {
		m, ok := moving[place{t.name, p.id}]
		if ok && slices.ContainsFunc(p.replicas, func(id int32) bool { return slices.Contains(m.adding, id) || slices.Contains(m.removing, id) }) {
			return len(m.replicas) - len(m.adding)
		}
		return len(p.replicas)
	}
	if !reports && (!r.has("topics-with-overrides") || len(own) > 0) && len(t.partitions) > 0 {
		r.printf("Topic: %s", t.name)
		if t.id != [16]byte{} {
			r.printf("\tTopicId: %s", base64.RawURLEncoding.EncodeToString(t.id[:]))
		}
		r.printf("\tPartitionCount: %d\tReplicationFactor: %d\tConfigs: %s\n", len(t.partitions), factor(t.partitions[0]), strings.Join(own, ","))
	}
	if r.has("topics-with-overrides") {
		return
	}
	alive := func(id int32) bool {
		return slices.ContainsFunc(nodes, func(n brokerNode) bool { return n.id == id })
	}
	for _, p := range t.partitions {
		shown := !reports ||
			r.has("under-replicated-partitions") && factor(p) > len(p.isr) ||
			r.has("unavailable-partitions") && !alive(p.leader) ||
			r.has("under-min-isr-partitions") && (p.leader < 0 || len(p.isr) < minISR) ||
			r.has("at-min-isr-partitions") && len(p.isr) == minISR
		if !shown {
			continue
		}
		leader := "none"
		if p.leader >= 0 {
			leader = fmt.Sprint(p.leader)
		}
		r.printf("\tTopic: %s\tPartition: %d\tLeader: %s\tReplicas: %s\tIsr: %s", t.name, p.id, leader, ids(p.replicas), ids(p.isr))
		if m, ok := moving[place{t.name, p.id}]; ok {
			r.printf("\tAdding Replicas: %s\tRemoving Replicas: %s", ids(m.adding), ids(m.removing))
		}
		if t.elr {
			r.printf("\tElr: %s\tLastKnownElr: %s\n", ids(p.elr), ids(p.lastELR))
		} else {
			r.printf("\tElr: N/A\tLastKnownElr: N/A\n")
		}
	}
}
