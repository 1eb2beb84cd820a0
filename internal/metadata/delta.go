package metadata

import (
	"bytes"
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/wire"
)

// Delta says what lies between two images. Topics are told apart by their ids: a
// topic that was deleted and created again under its name is in both lists. What
// it points to belongs to the images and must not be changed.
type Delta struct {
	Created []*Topic      // sorted by name
	Deleted []*Topic      // as they were last, sorted by name
	Changed []TopicChange // sorted by name

	Configs     []ConfigResource // whose values changed or went; sorted
	Brokers     []int32          // registered, changed or unregistered; sorted
	Features    bool
	Controllers bool
	ProducerIDs bool
	ACLs        bool
	Quotas      bool
	SCRAM       bool
	Tokens      bool
}

// TopicChange is a topic whose partitions changed or became more.
type TopicChange struct {
	Before, After *Topic
	Partitions    []int32 // changed and new ones, ascending; new are those from len(Before.Partitions) on
}

// Empty reports whether nothing changed that the delta could tell.
func (d *Delta) Empty() bool {
	return len(d.Created)+len(d.Deleted)+len(d.Changed)+len(d.Configs)+len(d.Brokers) == 0 &&
		!(d.Features || d.Controllers || d.ProducerIDs || d.ACLs || d.Quotas || d.SCRAM || d.Tokens)
}

// Whole returns the delta from nothing to the image: what an observer is told first.
func (i *Image) Whole() *Delta { return Diff(New(i.clusterID), i) }

// Diff returns the delta between any two images of a cluster. What both share costs nothing
// but its look-up, so it takes time with the number of topics.
func Diff(before, after *Image) *Delta {
	d := new(Delta)
	for t := range before.Topics() {
		if after.TopicByID(t.ID) == nil {
			d.Deleted = append(d.Deleted, t)
		}
	}
	for t := range after.Topics() {
		old := before.TopicByID(t.ID)
		switch {
		case old == nil:
			d.Created = append(d.Created, t)
		case old != t:
			c := TopicChange{Before: old, After: t}
			for n, p := range t.Partitions {
				if n >= len(old.Partitions) || !p.Equal(old.Partitions[n]) {
					c.Partitions = append(c.Partitions, int32(n))
				}
			}
			if len(c.Partitions) > 0 {
				d.Changed = append(d.Changed, c)
			}
		}
	}
	for r, values := range after.ConfigResources() {
		if !maps.Equal(values, before.Config(r.Type, r.Name)) {
			d.Configs = append(d.Configs, r)
		}
	}
	for r := range before.ConfigResources() {
		if after.Config(r.Type, r.Name) == nil {
			d.Configs = append(d.Configs, r)
		}
	}
	for b := range after.brokers.all() {
		if !reflect.DeepEqual(b.Broker, before.Broker(b.ID)) {
			d.Brokers = append(d.Brokers, b.ID)
		}
	}
	for b := range before.brokers.all() {
		if after.Broker(b.ID) == nil {
			d.Brokers = append(d.Brokers, b.ID)
		}
	}
	d.Features = !same(&before.features, &after.features)
	d.Controllers = !same(&before.controllers, &after.controllers)
	d.ProducerIDs = before.nextProducerID != after.nextProducerID
	d.ACLs = !same(&before.acls, &after.acls)
	d.Quotas = !same(&before.quotas, &after.quotas)
	d.SCRAM = !same(&before.scrams, &after.scrams)
	d.Tokens = !same(&before.tokens, &after.tokens)
	d.sort()
	return d
}

func (d *Delta) sort() {
	byTopic := func(a, b *Topic) int { return cmp.Or(strings.Compare(a.Name, b.Name), bytes.Compare(a.ID[:], b.ID[:])) }
	slices.SortFunc(d.Created, byTopic)
	slices.SortFunc(d.Deleted, byTopic)
	slices.SortFunc(d.Changed, func(a, b TopicChange) int { return byTopic(a.After, b.After) })
	slices.SortFunc(d.Configs, ConfigResource.compare)
	slices.Sort(d.Brokers)
}

// same reports whether two indexes hold equal items.
func same[K any, V item[K]](a, b *index[K, V]) bool {
	if a.size != b.size {
		return false
	}
	var left, right []V
	for v := range a.all() {
		left = append(left, v)
	}
	for v := range b.all() {
		right = append(right, v)
	}
	return reflect.DeepEqual(left, right)
}

// Equal reports whether two images hold the same cluster at the same offset and epoch.
func (i *Image) Equal(o *Image) bool {
	if i.offset != o.offset || i.epoch != o.epoch || i.nextProducerID != o.nextProducerID || i.partitions != o.partitions ||
		!reflect.DeepEqual(i.producerIDs, o.producerIDs) || !reflect.DeepEqual(i.zkMigration, o.zkMigration) || i.topics.size != o.topics.size {
		return false
	}
	return Diff(i, o).Empty()
}

// Snapshot emits records that make this image when they are applied to an empty
// one: features first, then brokers, controllers, topics, configs and the rest, each
// sorted. Equal images give equal records. Each record is the receiver's.
func (i *Image) Snapshot(emit func(Record)) {
	i.snapshotFeatures(emit)
	for b := range i.brokers.all() {
		emit(b.record())
	}
	for c := range i.controllers.all() {
		emit(CloneRecord(c.RegisterControllerRecord))
	}
	for t := range i.Topics() {
		emit(&wire.TopicRecord{Name: t.Name, TopicId: t.ID})
		for n := range t.Partitions {
			emit(t.Partitions[n].record(t.ID, int32(n)))
		}
	}
	for r, values := range i.ConfigResources() {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			value := values[name]
			emit(&wire.ConfigRecord{ResourceType: r.Type, ResourceName: r.Name, Name: name, Value: &value})
		}
	}
	for q := range i.quotas.all() {
		for _, name := range slices.Sorted(maps.Keys(q.values)) {
			emit(&wire.ClientQuotaRecord{Entity: slices.Clone(q.entity), KeyField: name, Value: q.values[name]})
		}
	}
	if i.producerIDs != nil {
		emit(CloneRecord(i.producerIDs))
	}
	for a := range i.ACLs() {
		emit(CloneRecord(a))
	}
	for s := range i.SCRAM() {
		emit(CloneRecord(s))
	}
	for t := range i.tokens.all() {
		emit(CloneRecord(t.DelegationTokenRecord))
	}
	if i.zkMigration != nil {
		emit(CloneRecord(i.zkMigration))
	}
}

// snapshotFeatures emits metadata.version before all others, as Kafka demands of a snapshot.
func (i *Image) snapshotFeatures(emit func(Record)) {
	if level := i.Feature(VersionFeature); level != 0 {
		emit(&wire.FeatureLevelRecord{Name: VersionFeature, FeatureLevel: level})
	}
	for name, level := range i.Features() {
		if name != VersionFeature {
			emit(&wire.FeatureLevelRecord{Name: name, FeatureLevel: level})
		}
	}
}

func (b *Broker) record() *wire.RegisterBrokerRecord {
	r := wire.NewRegisterBrokerRecord()
	r.BrokerId, r.BrokerEpoch, r.IncarnationId, r.Rack = b.ID, b.Epoch, b.Incarnation, b.Rack
	r.Fenced, r.InControlledShutdown = b.Fenced, b.InControlledShutdown
	r.LogDirs, r.CordonedLogDirs = b.Directories, b.Cordoned
	for _, e := range b.Endpoints {
		r.EndPoints = append(r.EndPoints, wire.RegisterBrokerRecordBrokerEndpoint{Name: e.Listener, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol})
	}
	for _, f := range b.Features {
		r.Features = append(r.Features, wire.RegisterBrokerRecordBrokerFeature{Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max})
	}
	return CloneRecord(r).(*wire.RegisterBrokerRecord)
}

func (p *Partition) record(topic wire.UUID, n int32) *wire.PartitionRecord {
	r := &wire.PartitionRecord{PartitionId: n, TopicId: topic, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
		LeaderRecoveryState: p.RecoveryState, Replicas: slices.Clone(p.Replicas), Isr: slices.Clone(p.ISR),
		RemovingReplicas: slices.Clone(p.Removing), AddingReplicas: slices.Clone(p.Adding), Directories: slices.Clone(p.Directories)}
	if len(p.ELR) > 0 {
		r.EligibleLeaderReplicas = slices.Clone(p.ELR)
	}
	if len(p.LastKnownELR) > 0 {
		r.LastKnownElr = slices.Clone(p.LastKnownELR)
	}
	return r
}
