package controller

import (
	"maps"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// MaxTopicName is the longest name of a topic, in bytes.
const MaxTopicName = 249

// ClusterMetadataTopic is the name of the metadata log, which no topic may have.
const ClusterMetadataTopic = "__cluster_metadata"

// ValidateTopicName returns an INVALID_TOPIC_EXCEPTION error that says what is wrong
// with a topic's name, or nil. It does not look for collisions.
func ValidateTopicName(name string) error {
	switch {
	case name == "":
		return code.Errorf(code.InvalidTopicException, "Topic name is invalid: it is empty; give 1 to %d characters.", MaxTopicName)
	case name == "." || name == "..":
		return code.Errorf(code.InvalidTopicException, "Topic name is invalid: '%s' names a directory; choose another.", name)
	case len(name) > MaxTopicName:
		return code.Errorf(code.InvalidTopicException, "Topic name is invalid: it has %d characters; at most %d are allowed: '%s'", len(name), MaxTopicName, name)
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return code.Errorf(code.InvalidTopicException, "Topic name is invalid: '%s' contains %q; allowed are ASCII letters and digits, '.', '_' and '-'.", name, c)
		}
	}
	return nil
}

// CreateTopics decides on a CreateTopics request; the response is a
// *wire.CreateTopicsResponse with one result a name. Each topic is created or
// refused on its own; all that are created are so in one step.
func CreateTopics(req *wire.CreateTopicsRequest) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		c := &creation{img: img, env: env, left: env.Defaults.MaxPartitionsPerRequest, folded: map[string]string{}}
		resp := &wire.CreateTopicsResponse{}
		asked := map[string]int{}
		for i := range req.Topics {
			asked[req.Topics[i].Name]++
		}
		for i := range req.Topics {
			t := &req.Topics[i]
			n := asked[t.Name]
			if n == 0 {
				continue // a duplicate that is answered already
			}
			result := wire.CreateTopicsResponseCreatableTopicResult{Name: t.Name, NumPartitions: -1, ReplicationFactor: -1, Configs: []wire.CreateTopicsResponseCreatableTopicConfigs{}}
			var err error
			switch {
			case n > 1:
				asked[t.Name] = 0
				err = code.Errorf(code.InvalidRequest, "Duplicate topic name: '%s' comes %d times in the request; name each topic once.", t.Name, n)
			case t.Name == ClusterMetadataTopic:
				err = code.Errorf(code.InvalidRequest, "Creation of internal topic %s is prohibited; choose another name.", t.Name)
			default:
				err = c.create(t, &result)
			}
			if err != nil {
				result.ErrorCode, result.ErrorMessage = int16(code.Of(err)), code.Message(err)
			}
			resp.Topics = append(resp.Topics, result)
		}
		if req.ValidateOnly {
			c.recs = nil
		}
		return c.recs, resp, nil
	}
}

// creation is the state of one CreateTopics decision.
type creation struct {
	img    *metadata.Image
	env    *Env
	recs   []metadata.Record
	left   int // partitions that may still be created
	placer *placer
	// folded are the names of topics that have '.' or '_', by their names with '.' in place of '_'.
	folded map[string]string
	listed bool // folded holds the topics of the image
}

func (c *creation) create(t *wire.CreateTopicsRequestCreatableTopic, result *wire.CreateTopicsResponseCreatableTopicResult) error {
	if c.img.Topic(t.Name) != nil {
		return code.Errorf(code.TopicAlreadyExists, "Topic '%s' already exists.", t.Name)
	}
	if err := ValidateTopicName(t.Name); err != nil {
		return err
	}
	if other := c.collides(t.Name); other != "" {
		return code.Errorf(code.InvalidTopicException, "Topic '%s' collides with existing topic '%s': names that differ in '.' and '_' alone give the same metric names; choose another.", t.Name, other)
	}
	values := map[string]string{}
	for _, k := range t.Configs {
		if k.Value == nil {
			return code.Errorf(code.InvalidConfig, "Null value not supported for topic configs: %s; leave it out for the default.", k.Name)
		}
		if err := c.env.Keys.Validate(config.Topic, k.Name, *k.Value); err != nil {
			return err
		}
		values[k.Name] = *k.Value
	}
	if err := validateTogether(values); err != nil {
		return err
	}
	id := c.env.newID()
	for c.img.TopicByID(id) != nil {
		id = c.env.newID()
	}
	var recs []metadata.Record
	recs = append(recs, &wire.TopicRecord{Name: t.Name, TopicId: id})
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		recs = append(recs, &wire.ConfigRecord{ResourceType: metadata.TopicResource, ResourceName: t.Name, Name: name, Value: &value})
	}
	parts, err := c.partitions(t, id)
	if err != nil {
		return err
	}
	for i := range parts {
		recs = append(recs, &parts[i])
	}
	c.left -= len(parts)
	c.recs = append(c.recs, recs...)
	if folded, has := fold(t.Name); has {
		c.folded[folded] = t.Name
	}
	result.TopicId = id
	result.NumPartitions, result.ReplicationFactor = int32(len(parts)), int16(len(parts[0].Replicas))
	result.Configs = c.effective(values)
	return nil
}

func (c *creation) partitions(t *wire.CreateTopicsRequestCreatableTopic, id wire.UUID) ([]wire.PartitionRecord, error) {
	if len(t.Assignments) > 0 {
		return c.assigned(t, id)
	}
	n, factor := t.NumPartitions, t.ReplicationFactor
	switch {
	case factor < -1 || factor == 0:
		return nil, code.Errorf(code.InvalidReplicationFactor, "Replication factor %d of topic '%s' is not possible; give at least 1, or -1 for the default.", factor, t.Name)
	case n < -1 || n == 0:
		return nil, code.Errorf(code.InvalidPartitions, "Number of partitions %d of topic '%s' is not possible; give at least 1, or -1 for the default.", n, t.Name)
	}
	if n == -1 {
		n = c.env.Defaults.NumPartitions
	}
	if factor == -1 {
		factor = c.env.Defaults.ReplicationFactor
	}
	if int(n) > c.left {
		return nil, tooMany(t.Name, c.env)
	}
	if c.placer == nil {
		c.placer = newPlacer(c.img, c.env.Rand)
	}
	return place(c.img, c.placer, id, 0, int(n), factor)
}

func tooMany(topic string, env *Env) error {
	return code.Errorf(code.PolicyViolation, "Topic '%s' would bring the request beyond %d new partitions; split it into several requests.", topic, env.Defaults.MaxPartitionsPerRequest)
}

// place makes n partitions from first on whose replicas the placer chooses.
func place(img *metadata.Image, p *placer, topic wire.UUID, first, n int, factor int16) ([]wire.PartitionRecord, error) {
	if err := p.check(factor); err != nil {
		return nil, err
	}
	parts := make([]wire.PartitionRecord, n)
	arena := make([]int32, 0, n*int(factor))
	var shared []wire.UUID // the directories of the partition before
	var before []int32
	for i := range parts {
		from := len(arena)
		arena = p.place(arena, factor)
		replicas := arena[from:len(arena):len(arena)]
		if !slices.Equal(before, replicas) {
			before, shared = replicas, directories(img, replicas)
		}
		parts[i] = newPartition(img, topic, int32(first+i), replicas, shared)
	}
	return parts, nil
}

// newPartition makes the record of a partition whose first fit replica leads; its ISR is
// empty when no replica is fit.
func newPartition(img *metadata.Image, topic wire.UUID, n int32, replicas []int32, dirs []wire.UUID) wire.PartitionRecord {
	r := wire.PartitionRecord{TopicId: topic, PartitionId: n, Replicas: replicas, Directories: dirs, Leader: metadata.NoLeader}
	r.Isr = replicas
	if slices.ContainsFunc(replicas, func(id int32) bool { return !active(img, id) }) {
		r.Isr = slices.DeleteFunc(slices.Clone(replicas), func(id int32) bool { return !active(img, id) })
	}
	if len(r.Isr) > 0 {
		r.Leader = r.Isr[0]
	}
	return r
}

func active(img *metadata.Image, broker int32) bool {
	b := img.Broker(broker)
	return b != nil && b.Active()
}

// directories returns the log directory of each replica: the broker's when it has one, else unassigned.
func directories(img *metadata.Image, replicas []int32) []wire.UUID {
	dirs := make([]wire.UUID, len(replicas))
	for i, id := range replicas {
		dirs[i] = metadata.UnassignedDirectory
		if b := img.Broker(id); b != nil {
			switch len(b.Directories) {
			case 0:
				dirs[i] = metadata.MigratingDirectory
			case 1:
				dirs[i] = b.Directories[0]
			}
		}
	}
	return dirs
}

func (c *creation) assigned(t *wire.CreateTopicsRequestCreatableTopic, id wire.UUID) ([]wire.PartitionRecord, error) {
	switch {
	case t.ReplicationFactor != -1:
		return nil, code.Errorf(code.InvalidRequest, "Topic '%s' has a manual partition assignment, so its replication factor must be -1 and not %d.", t.Name, t.ReplicationFactor)
	case t.NumPartitions != -1:
		return nil, code.Errorf(code.InvalidRequest, "Topic '%s' has a manual partition assignment, so its number of partitions must be -1 and not %d.", t.Name, t.NumPartitions)
	case len(t.Assignments) > c.left:
		return nil, tooMany(t.Name, c.env)
	}
	sorted := slices.Clone(t.Assignments)
	slices.SortStableFunc(sorted, func(a, b wire.CreateTopicsRequestCreatableReplicaAssignment) int {
		return int(a.PartitionIndex) - int(b.PartitionIndex)
	})
	for i := 1; i < len(sorted); i++ {
		if sorted[i].PartitionIndex == sorted[i-1].PartitionIndex {
			return nil, code.Errorf(code.InvalidReplicaAssignment, "Partition %d of topic '%s' has more than one manual assignment; give one.", sorted[i].PartitionIndex, t.Name)
		}
	}
	parts := make([]wire.PartitionRecord, len(sorted))
	for i, a := range sorted {
		p, err := manual(c.img, id, a.PartitionIndex, a.BrokerIds, len(sorted[0].BrokerIds))
		if err != nil {
			return nil, err
		}
		parts[i] = p
	}
	for i, a := range sorted {
		if int(a.PartitionIndex) != i {
			return nil, code.Errorf(code.InvalidReplicaAssignment, "Manual assignments of topic '%s' name partition %d where %d is due; number them from 0 without a gap.", t.Name, a.PartitionIndex, i)
		}
	}
	return parts, nil
}

// manual makes a partition on the brokers that the caller named, which must be as many as factor.
func manual(img *metadata.Image, topic wire.UUID, n int32, brokers []int32, factor int) (wire.PartitionRecord, error) {
	var none wire.PartitionRecord
	if len(brokers) == 0 {
		return none, code.Errorf(code.InvalidReplicaAssignment, "The manual assignment of partition %d names no broker; name at least one.", n)
	}
	for i, id := range brokers {
		if img.Broker(id) == nil {
			return none, code.Errorf(code.InvalidReplicaAssignment, "The manual assignment of partition %d includes broker %d, but no such broker is registered.", n, id)
		}
		if slices.Contains(brokers[:i], id) {
			return none, code.Errorf(code.InvalidReplicaAssignment, "The manual assignment of partition %d includes broker %d more than once.", n, id)
		}
	}
	if len(brokers) != factor {
		return none, code.Errorf(code.InvalidReplicaAssignment, "The manual assignment of partition %d has %d replica(s) while other partitions have %d; give each the same number.", n, len(brokers), factor)
	}
	p := newPartition(img, topic, n, slices.Clone(brokers), directories(img, brokers))
	if len(p.Isr) == 0 {
		return none, code.Errorf(code.InvalidReplicaAssignment, "All brokers of the manual assignment of partition %d are fenced or in controlled shutdown; name one that is alive.", n)
	}
	return p, nil
}

// collides returns the topic whose name differs from name in '.' and '_' alone, or "".
func (c *creation) collides(name string) string {
	folded, has := fold(name)
	if !has {
		return ""
	}
	if !c.listed {
		c.listed = true
		for t := range c.img.Topics() {
			if f, has := fold(t.Name); has {
				c.folded[f] = t.Name
			}
		}
	}
	return c.folded[folded]
}

// fold returns name with '.' in place of '_', and whether it has either.
func fold(name string) (string, bool) {
	if !strings.ContainsAny(name, "._") {
		return name, false
	}
	return strings.ReplaceAll(name, "_", "."), true
}

// effective lists all configs of a topic with where their values come from.
func (c *creation) effective(values map[string]string) []wire.CreateTopicsResponseCreatableTopicConfigs {
	layers := c.env.layers(c.img, values)
	keys := c.env.Keys.Keys(config.Topic)
	list := make([]wire.CreateTopicsResponseCreatableTopicConfigs, 0, len(keys))
	for _, k := range keys {
		value, null, source := c.env.Keys.Value(config.Topic, k.Name, layers)
		entry := wire.CreateTopicsResponseCreatableTopicConfigs{Name: k.Name, ConfigSource: int8(source), IsSensitive: k.Secret()}
		if !null && !k.Secret() {
			entry.Value = &value
		}
		list = append(list, entry)
	}
	return list
}

// DeleteTopics decides on a DeleteTopics request of the given version; the
// response is a *wire.DeleteTopicsResponse. Before version 6 topics are in TopicNames.
func DeleteTopics(req *wire.DeleteTopicsRequest, version int16) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		topics := req.Topics
		if version < 6 {
			topics = nil
			for i := range req.TopicNames {
				topics = append(topics, wire.DeleteTopicsRequestDeleteTopicState{Name: &req.TopicNames[i]})
			}
		}
		names, ids := map[string]int{}, map[wire.UUID]int{}
		for _, t := range topics {
			if t.Name != nil {
				names[*t.Name]++
			} else if !t.TopicId.IsZero() {
				ids[t.TopicId]++
			}
		}
		both := map[wire.UUID]bool{} // named by name and by id: true until answered
		for name := range names {
			if topic := img.Topic(name); topic != nil && ids[topic.ID] > 0 {
				both[topic.ID] = true
			}
		}
		var recs []metadata.Record
		resp := &wire.DeleteTopicsResponse{Responses: []wire.DeleteTopicsResponseDeletableTopicResult{}}
		for _, t := range topics {
			result := wire.DeleteTopicsResponseDeletableTopicResult{Name: t.Name, TopicId: t.TopicId}
			var topic *metadata.Topic
			var err error
			switch {
			case !env.Defaults.DeleteTopicEnable && version < 3:
				err = code.Errorf(code.InvalidRequest, "Topic deletion is disabled; set delete.topic.enable=true on the controllers.")
			case !env.Defaults.DeleteTopicEnable:
				err = code.Errorf(code.TopicDeletionDisabled, "Topic deletion is disabled; set delete.topic.enable=true on the controllers.")
			case t.Name != nil && !t.TopicId.IsZero():
				err = code.Errorf(code.InvalidRequest, "Both the name '%s' and the id %s of a topic are given; give one of them.", *t.Name, t.TopicId)
			case t.Name == nil && t.TopicId.IsZero():
				err = code.Errorf(code.InvalidRequest, "Neither name nor id of a topic is given; give one of them.")
			case t.Name != nil && names[*t.Name] == 0, t.Name == nil && ids[t.TopicId] == 0:
				continue // a duplicate that is answered already
			case t.Name != nil && names[*t.Name] > 1:
				names[*t.Name] = 0
				err = code.Errorf(code.InvalidRequest, "Duplicate topic name '%s'; name each topic once.", *t.Name)
			case t.Name == nil && ids[t.TopicId] > 1:
				ids[t.TopicId] = 0
				err = code.Errorf(code.InvalidRequest, "Duplicate topic id %s; name each topic once.", t.TopicId)
			case t.Name != nil:
				if topic = img.Topic(*t.Name); topic == nil {
					err = code.Errorf(code.UnknownTopicOrPartition, "Topic '%s' does not exist.", *t.Name)
				}
			default:
				if topic = img.TopicByID(t.TopicId); topic == nil {
					err = code.Errorf(code.UnknownTopicId, "No topic has the id %s.", t.TopicId)
				}
			}
			if topic != nil {
				if unanswered, twice := both[topic.ID]; twice && !unanswered {
					continue
				} else if twice {
					both[topic.ID] = false
					result.Name, result.TopicId = &topic.Name, topic.ID
					err = code.Errorf(code.InvalidRequest, "Topic '%s' is given by its name and by its id %s; name each topic once.", topic.Name, topic.ID)
				}
			}
			if err != nil {
				result.ErrorCode, result.ErrorMessage = int16(code.Of(err)), code.Message(err)
			} else {
				result.Name, result.TopicId = &topic.Name, topic.ID
				recs = append(recs, &wire.RemoveTopicRecord{TopicId: topic.ID})
			}
			resp.Responses = append(resp.Responses, result)
		}
		return recs, resp, nil
	}
}

// CreatePartitions decides on a CreatePartitions request; the response is a *wire.CreatePartitionsResponse.
func CreatePartitions(req *wire.CreatePartitionsRequest) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		var recs []metadata.Record
		resp := &wire.CreatePartitionsResponse{Results: []wire.CreatePartitionsResponseCreatePartitionsTopicResult{}}
		asked := map[string]int{}
		for i := range req.Topics {
			asked[req.Topics[i].Name]++
		}
		left := env.Defaults.MaxPartitionsPerRequest
		placer := newPlacer(img, env.Rand)
		for i := range req.Topics {
			t := &req.Topics[i]
			n := asked[t.Name]
			if n == 0 {
				continue // a duplicate that is answered already
			}
			var parts []wire.PartitionRecord
			var err error
			if n > 1 {
				asked[t.Name] = 0
				err = code.Errorf(code.InvalidRequest, "Duplicate topic name '%s'; name each topic once.", t.Name)
			} else {
				parts, err = morePartitions(img, env, placer, t, left)
			}
			left -= len(parts)
			for i := range parts {
				recs = append(recs, &parts[i])
			}
			resp.Results = append(resp.Results, wire.CreatePartitionsResponseCreatePartitionsTopicResult{Name: t.Name, ErrorCode: int16(code.Of(err)), ErrorMessage: code.Message(err)})
		}
		if req.ValidateOnly {
			recs = nil
		}
		return recs, resp, nil
	}
}

func morePartitions(img *metadata.Image, env *Env, p *placer, t *wire.CreatePartitionsRequestCreatePartitionsTopic, left int) ([]wire.PartitionRecord, error) {
	topic := img.Topic(t.Name)
	if topic == nil {
		return nil, code.Errorf(code.UnknownTopicOrPartition, "Topic '%s' does not exist.", t.Name)
	}
	have, want := len(topic.Partitions), int(t.Count)
	switch {
	case want == have:
		return nil, code.Errorf(code.InvalidPartitions, "Topic '%s' already has %d partition(s).", t.Name, have)
	case want < have:
		return nil, code.Errorf(code.InvalidPartitions, "Topic '%s' has %d partition(s), so %d would not be an increase; partitions cannot be taken away.", t.Name, have, want)
	case t.Assignments != nil && len(t.Assignments) != want-have:
		return nil, code.Errorf(code.InvalidReplicaAssignment, "Topic '%s' would get %d more partition(s) and %d assignment(s) are given; give one for each new partition.", t.Name, want-have, len(t.Assignments))
	case want-have > left:
		return nil, tooMany(t.Name, env)
	}
	factor := len(topic.Partitions[0].Replicas)
	if t.Assignments == nil {
		return place(img, p, topic.ID, have, want-have, int16(factor))
	}
	parts := make([]wire.PartitionRecord, len(t.Assignments))
	for i, a := range t.Assignments {
		var err error
		if parts[i], err = manual(img, topic.ID, int32(have+i), a.BrokerIds, factor); err != nil {
			return nil, err
		}
	}
	return parts, nil
}
