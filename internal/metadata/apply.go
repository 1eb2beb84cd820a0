package metadata

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/wire"
)

// Apply returns the image after recs, of which the last stands at offset in the
// given epoch, and what they changed. The image that it is called on stays as it
// was. Neither result shares memory with recs.
//
// A transaction (KIP-868) must begin and end within recs: its records apply when
// its end is reached, or never when it is aborted. A record that does not fit the
// image, and one of an unknown type, is a CORRUPT_MESSAGE error.
func (i *Image) Apply(recs []Record, offset int64, epoch int32) (*Image, *Delta, error) {
	b := newBuilder(i)
	begin := -1
	for n := 0; n < len(recs); n++ {
		switch recs[n].(type) {
		case *wire.BeginTransactionRecord:
			if begin >= 0 {
				return nil, nil, corrupt("metadata transaction begins inside another one, at record %d before offset %d", n, offset)
			}
			begin = n
			if n = endOfTransaction(recs, n); n < 0 {
				return nil, nil, corrupt("metadata transaction does not end before offset %d", offset)
			}
			if _, ok := recs[n].(*wire.EndTransactionRecord); ok {
				n = begin // apply what is inside
			} else {
				begin = -1 // aborted
			}
			continue
		case *wire.EndTransactionRecord, *wire.AbortTransactionRecord:
			if begin < 0 {
				return nil, nil, corrupt("metadata transaction ends without a beginning, at record %d before offset %d", n, offset)
			}
			begin = -1
			continue
		}
		if err := b.apply(recs[n]); err != nil {
			return nil, nil, err
		}
	}
	image, delta := b.finish(offset, epoch)
	return image, delta, nil
}

// endOfTransaction returns where the transaction that begins at recs[n] ends, or -1.
func endOfTransaction(recs []Record, n int) int {
	for n++; n < len(recs); n++ {
		switch recs[n].(type) {
		case *wire.EndTransactionRecord, *wire.AbortTransactionRecord:
			return n
		}
	}
	return -1
}

// builder makes the next image out of one that stays as it is.
type builder struct {
	*edit
	base *Image
	next Image

	topics  map[wire.UUID]*topicEdit
	last    *topicEdit            // of the last record: records of a topic come together
	shared  map[string]*Placement // by its encoded lists
	scratch []byte
	configs map[ConfigResource]bool // resources whose values are a copy already
	brokers map[int32]bool
	quotas  map[string]bool
	delta   Delta
}

// topicEdit is a topic that this change made, changed or removed.
type topicEdit struct {
	before  *Topic // nil when this change made it
	after   *Topic // a copy that may be changed; nil when removed
	changed []int32
}

func newBuilder(base *Image) *builder {
	return &builder{edit: new(edit), base: base, next: *base, topics: map[wire.UUID]*topicEdit{}, shared: map[string]*Placement{},
		configs: map[ConfigResource]bool{}, brokers: map[int32]bool{}, quotas: map[string]bool{}}
}

func (b *builder) finish(offset int64, epoch int32) (*Image, *Delta) {
	next := b.next
	next.offset, next.epoch = offset, epoch
	d := &b.delta
	for _, t := range b.topics {
		switch {
		case t.before == nil && t.after != nil:
			d.Created = append(d.Created, t.after)
		case t.before != nil && t.after == nil:
			d.Deleted = append(d.Deleted, t.before)
		case t.before != nil && len(t.changed) > 0:
			slices.Sort(t.changed)
			t.changed = slices.Compact(t.changed)
			d.Changed = append(d.Changed, TopicChange{t.before, t.after, t.changed})
		}
	}
	for id := range b.brokers {
		d.Brokers = append(d.Brokers, id)
	}
	for r := range b.configs {
		d.Configs = append(d.Configs, r)
	}
	d.sort()
	return &next, d
}

func (b *builder) apply(rec Record) error {
	n := &b.next
	switch r := rec.(type) {
	case *wire.TopicRecord:
		return b.createTopic(r)
	case *wire.PartitionRecord:
		return b.partition(r)
	case *wire.PartitionChangeRecord:
		return b.changePartition(r)
	case *wire.RemoveTopicRecord:
		return b.removeTopic(r)
	case *wire.ClearElrRecord:
		return b.clearELR(r)
	case *wire.ConfigRecord:
		b.config(r)
	case *wire.RegisterBrokerRecord:
		b.registerBroker(r)
	case *wire.UnregisterBrokerRecord:
		n.brokers.remove(b.edit, r.BrokerId)
		b.brokers[r.BrokerId] = true
	case *wire.FenceBrokerRecord:
		return b.changeBroker(r.Id, r.Epoch, func(k *Broker) { k.Fenced = true })
	case *wire.UnfenceBrokerRecord:
		return b.changeBroker(r.Id, r.Epoch, func(k *Broker) { k.Fenced = false })
	case *wire.BrokerRegistrationChangeRecord:
		return b.changeBroker(r.BrokerId, r.BrokerEpoch, func(k *Broker) {
			if r.Fenced != 0 {
				k.Fenced = r.Fenced > 0
			}
			if r.InControlledShutdown != 0 {
				k.InControlledShutdown = r.InControlledShutdown > 0
			}
			if len(r.LogDirs) > 0 {
				k.Directories = slices.Clone(r.LogDirs)
			}
			if r.CordonedLogDirs != nil {
				k.Cordoned = slices.Clone(r.CordonedLogDirs)
			}
		})
	case *wire.FeatureLevelRecord:
		b.delta.Features = true
		if r.FeatureLevel == 0 {
			n.features.remove(b.edit, r.Name)
			break
		}
		name := strings.Clone(r.Name)
		n.features.put(b.edit, name, feature{name, r.FeatureLevel})
	case *wire.ProducerIdsRecord:
		n.producerIDs = CloneRecord(r).(*wire.ProducerIdsRecord)
		n.nextProducerID = r.NextProducerId
		b.delta.ProducerIDs = true
	case *wire.RegisterControllerRecord:
		n.controllers.put(b.edit, r.ControllerId, controllerItem{CloneRecord(r).(*wire.RegisterControllerRecord)})
		b.delta.Controllers = true
	case *wire.UnregisterControllerRecord:
		n.controllers.remove(b.edit, r.ControllerId)
		b.delta.Controllers = true
	case *wire.AccessControlEntryRecord:
		n.acls.put(b.edit, r.Id, aclItem{CloneRecord(r).(*wire.AccessControlEntryRecord)})
		b.delta.ACLs = true
	case *wire.RemoveAccessControlEntryRecord:
		n.acls.remove(b.edit, r.Id)
		b.delta.ACLs = true
	case *wire.ClientQuotaRecord:
		b.quota(r)
	case *wire.UserScramCredentialRecord:
		c := CloneRecord(r).(*wire.UserScramCredentialRecord)
		n.scrams.put(b.edit, scramKey{c.Name, c.Mechanism}, scramItem{c})
		b.delta.SCRAM = true
	case *wire.RemoveUserScramCredentialRecord:
		n.scrams.remove(b.edit, scramKey{r.Name, r.Mechanism})
		b.delta.SCRAM = true
	case *wire.DelegationTokenRecord:
		c := CloneRecord(r).(*wire.DelegationTokenRecord)
		n.tokens.put(b.edit, c.TokenId, tokenItem{c})
		b.delta.Tokens = true
	case *wire.RemoveDelegationTokenRecord:
		n.tokens.remove(b.edit, r.TokenId)
		b.delta.Tokens = true
	case *wire.ZkMigrationStateRecord:
		n.zkMigration = CloneRecord(r).(*wire.ZkMigrationStateRecord)
	case *wire.NoOpRecord:
	default:
		return corrupt("metadata record %T of type %d cannot be applied by this build; a newer release wrote it", rec, rec.Key())
	}
	return nil
}

func (b *builder) createTopic(r *wire.TopicRecord) error {
	if old := b.next.TopicByID(r.TopicId); old != nil {
		return corrupt("topic %q is created with the id %s, which topic %q has", r.Name, r.TopicId, old.Name)
	}
	if old := b.next.Topic(r.Name); old != nil {
		return corrupt("topic %q is created with the id %s while it exists with the id %s", r.Name, r.TopicId, old.ID)
	}
	t := &Topic{Name: strings.Clone(r.Name), ID: r.TopicId}
	b.last = &topicEdit{after: t}
	if removed := b.topics[t.ID]; removed != nil {
		return corrupt("topic id %s is used again after its topic %q was deleted", t.ID, removed.before.Name)
	}
	b.topics[t.ID] = b.last
	b.next.topics.put(b.edit, t.Name, byName{t})
	b.next.ids.put(b.edit, t.ID, byID{t})
	return nil
}

// topic returns the topic of that id as a copy that may be changed.
func (b *builder) topic(id wire.UUID, rec Record) (*topicEdit, error) {
	if b.last != nil && b.last.after != nil && b.last.after.ID == id {
		return b.last, nil
	}
	t := b.topics[id]
	if t == nil {
		if before := b.next.TopicByID(id); before != nil {
			after := *before
			after.Partitions = slices.Clone(before.Partitions)
			t = &topicEdit{before: before, after: &after}
			b.topics[id] = t
			b.next.topics.put(b.edit, after.Name, byName{&after})
			b.next.ids.put(b.edit, id, byID{&after})
		}
	}
	if t == nil || t.after == nil {
		return nil, corrupt("%T names the topic id %s, which no topic has", rec, id)
	}
	b.last = t
	return t, nil
}

func (b *builder) partition(r *wire.PartitionRecord) error {
	t, err := b.topic(r.TopicId, r)
	if err != nil {
		return err
	}
	have := len(t.after.Partitions)
	if r.PartitionId < 0 || int(r.PartitionId) > have {
		return corrupt("partition %d of topic %q is created while it has %d partitions; the next one is %d", r.PartitionId, t.after.Name, have, have)
	}
	p := Partition{Leader: r.Leader, LeaderEpoch: r.LeaderEpoch, PartitionEpoch: r.PartitionEpoch, RecoveryState: r.LeaderRecoveryState,
		Placement: b.share(&Placement{Replicas: r.Replicas, Directories: r.Directories, ISR: r.Isr, ELR: r.EligibleLeaderReplicas,
			LastKnownELR: r.LastKnownElr, Adding: r.AddingReplicas, Removing: r.RemovingReplicas})}
	if int(r.PartitionId) == have {
		t.after.Partitions = append(t.after.Partitions, p)
		b.next.partitions++
	} else {
		t.after.Partitions[r.PartitionId] = p
	}
	if t.before != nil {
		t.changed = append(t.changed, r.PartitionId)
	}
	return nil
}

func (b *builder) changePartition(r *wire.PartitionChangeRecord) error {
	t, err := b.topic(r.TopicId, r)
	if err != nil {
		return err
	}
	if r.PartitionId < 0 || int(r.PartitionId) >= len(t.after.Partitions) {
		return corrupt("partition %d of topic %q is changed while it has %d partitions", r.PartitionId, t.after.Name, len(t.after.Partitions))
	}
	p := &t.after.Partitions[r.PartitionId]
	*p = p.Merge(r)
	p.Placement = b.share(p.Placement)
	if t.before != nil {
		t.changed = append(t.changed, r.PartitionId)
	}
	return nil
}

// Merge returns the partition after a change record; null lists and defaults in
// the record leave what is. The lists of the result may alias the record's.
func (p Partition) Merge(r *wire.PartitionChangeRecord) Partition {
	q := *p.Placement
	if r.Isr != nil {
		q.ISR = r.Isr
	}
	if r.Replicas != nil {
		q.Replicas = r.Replicas
	}
	if r.Directories != nil {
		q.Directories = r.Directories
	}
	if r.RemovingReplicas != nil {
		q.Removing = r.RemovingReplicas
	}
	if r.AddingReplicas != nil {
		q.Adding = r.AddingReplicas
	}
	if r.EligibleLeaderReplicas != nil {
		q.ELR = r.EligibleLeaderReplicas
	}
	if r.LastKnownElr != nil {
		q.LastKnownELR = r.LastKnownElr
	}
	p.Placement = &q
	if r.Leader != LeaderUnchanged {
		p.Leader = r.Leader
		p.LeaderEpoch++
	}
	if r.LeaderRecoveryState >= 0 {
		p.RecoveryState = r.LeaderRecoveryState
	}
	p.PartitionEpoch++
	return p
}

// LeaderUnchanged in a PartitionChangeRecord's Leader leaves the leader and its epoch.
const LeaderUnchanged int32 = -2

// share returns the placement with the same lists that this change has made
// already, or a copy of p that is in one piece.
func (b *builder) share(p *Placement) *Placement {
	k := b.scratch[:0]
	ids := [...][]int32{p.Replicas, p.ISR, p.ELR, p.LastKnownELR, p.Adding, p.Removing}
	n := 0
	for _, list := range ids {
		k = binary.AppendUvarint(k, uint64(len(list)))
		for _, id := range list {
			k = binary.BigEndian.AppendUint32(k, uint32(id))
		}
		n += len(list)
	}
	for _, d := range p.Directories {
		k = append(k, d[:]...)
	}
	b.scratch = k
	if s := b.shared[string(k)]; s != nil {
		return s
	}
	all := make([]int32, 0, n)
	part := func(list []int32) []int32 {
		if len(list) == 0 {
			return nil
		}
		from := len(all)
		all = append(all, list...)
		return all[from:len(all):len(all)]
	}
	s := &Placement{Replicas: part(p.Replicas), ISR: part(p.ISR), ELR: part(p.ELR), LastKnownELR: part(p.LastKnownELR),
		Adding: part(p.Adding), Removing: part(p.Removing)}
	if len(p.Directories) > 0 {
		s.Directories = slices.Clone(p.Directories)
	}
	b.shared[string(k)] = s
	return s
}

func (b *builder) removeTopic(r *wire.RemoveTopicRecord) error {
	t := b.next.TopicByID(r.TopicId)
	if t == nil {
		return corrupt("RemoveTopicRecord names the topic id %s, which no topic has", r.TopicId)
	}
	e := b.topics[t.ID]
	if e == nil {
		e = &topicEdit{before: t}
		b.topics[t.ID] = e
	}
	e.after, e.changed, b.last = nil, nil, nil
	if e.before == nil {
		delete(b.topics, t.ID)
	}
	b.next.topics.remove(b.edit, t.Name)
	b.next.ids.remove(b.edit, t.ID)
	b.next.partitions -= len(t.Partitions)
	resource := ConfigResource{TopicResource, t.Name}
	if b.next.configs.remove(b.edit, resource) {
		b.configs[resource] = true
	}
	return nil
}

// clearELR empties the ELR of one topic, or of all when it names none (KIP-966).
func (b *builder) clearELR(r *wire.ClearElrRecord) error {
	var ids []wire.UUID
	if r.TopicName != "" {
		t := b.next.Topic(r.TopicName)
		if t == nil {
			return corrupt("ClearElrRecord names the topic %q, which does not exist", r.TopicName)
		}
		ids = []wire.UUID{t.ID}
	} else {
		for t := range b.next.Topics() {
			ids = append(ids, t.ID)
		}
	}
	for _, id := range ids {
		for n, p := range b.next.TopicByID(id).Partitions {
			if len(p.ELR)+len(p.LastKnownELR) == 0 {
				continue
			}
			change := wire.NewPartitionChangeRecord()
			change.TopicId, change.PartitionId = id, int32(n)
			change.EligibleLeaderReplicas, change.LastKnownElr = []int32{}, []int32{}
			if err := b.changePartition(change); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) config(r *wire.ConfigRecord) {
	resource := ConfigResource{r.ResourceType, r.ResourceName}
	old, _ := b.next.configs.get(resource)
	item := configItem{ConfigResource{r.ResourceType, strings.Clone(r.ResourceName)}, old.values}
	if !b.configs[resource] || item.values == nil {
		item.values = maps.Clone(old.values)
		if item.values == nil {
			item.values = map[string]string{}
		}
	}
	b.configs[item.resource] = true
	if r.Value == nil {
		delete(item.values, r.Name)
	} else {
		item.values[strings.Clone(r.Name)] = strings.Clone(*r.Value)
	}
	if len(item.values) == 0 {
		b.next.configs.remove(b.edit, resource)
		return
	}
	b.next.configs.put(b.edit, item.resource, item)
}

func (b *builder) registerBroker(r *wire.RegisterBrokerRecord) {
	r = CloneRecord(r).(*wire.RegisterBrokerRecord)
	k := &Broker{ID: r.BrokerId, Epoch: r.BrokerEpoch, Incarnation: r.IncarnationId, Rack: r.Rack, Fenced: r.Fenced,
		InControlledShutdown: r.InControlledShutdown, Directories: r.LogDirs, Cordoned: r.CordonedLogDirs}
	for _, e := range r.EndPoints {
		k.Endpoints = append(k.Endpoints, Endpoint{Listener: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol})
	}
	for _, f := range r.Features {
		k.Features = append(k.Features, FeatureRange{Name: f.Name, Min: f.MinSupportedVersion, Max: f.MaxSupportedVersion})
	}
	slices.SortFunc(k.Features, func(a, b FeatureRange) int { return strings.Compare(a.Name, b.Name) })
	b.next.brokers.put(b.edit, k.ID, brokerItem{k})
	b.brokers[k.ID] = true
}

func (b *builder) changeBroker(id int32, epoch int64, change func(*Broker)) error {
	old := b.next.Broker(id)
	if old == nil {
		return corrupt("broker %d is changed and not registered", id)
	}
	if old.Epoch != epoch {
		return corrupt("broker %d is changed in epoch %d and registered in epoch %d", id, epoch, old.Epoch)
	}
	k := *old
	change(&k)
	b.next.brokers.put(b.edit, id, brokerItem{&k})
	b.brokers[id] = true
	return nil
}

func (b *builder) quota(r *wire.ClientQuotaRecord) {
	r = CloneRecord(r).(*wire.ClientQuotaRecord)
	slices.SortFunc(r.Entity, func(a, b wire.ClientQuotaRecordEntityData) int { return strings.Compare(a.EntityType, b.EntityType) })
	var k []byte
	for _, e := range r.Entity {
		k = append(append(k, e.EntityType...), 0)
		if e.EntityName != nil {
			k = append(append(k, '='), *e.EntityName...)
		}
		k = append(k, 0)
	}
	key := string(k)
	item, _ := b.next.quotas.get(key)
	if !b.quotas[key] || item.values == nil {
		item = quotaItem{key, r.Entity, maps.Clone(item.values)}
		if item.values == nil {
			item.values = map[string]float64{}
		}
	}
	b.quotas[key] = true
	b.delta.Quotas = true
	if r.Remove {
		delete(item.values, r.KeyField)
	} else {
		item.values[r.KeyField] = r.Value
	}
	if len(item.values) == 0 {
		b.next.quotas.remove(b.edit, key)
		return
	}
	b.next.quotas.put(b.edit, key, item)
}
