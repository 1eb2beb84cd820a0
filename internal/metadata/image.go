package metadata

import (
	"bytes"
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/wire"
)

// Image is the cluster after some record of the metadata log. It never changes:
// Apply returns another one that shares what stayed the same. What its methods
// return belongs to the image and must not be changed.
type Image struct {
	clusterID  string
	offset     int64
	epoch      int32
	partitions int

	topics         index[string, byName]
	ids            index[wire.UUID, byID]
	brokers        index[int32, brokerItem]
	controllers    index[int32, controllerItem]
	features       index[string, feature]
	configs        index[ConfigResource, configItem]
	acls           index[wire.UUID, aclItem]
	quotas         index[string, quotaItem]
	scrams         index[scramKey, scramItem]
	tokens         index[string, tokenItem]
	producerIDs    *wire.ProducerIdsRecord
	zkMigration    *wire.ZkMigrationStateRecord
	nextProducerID int64
}

// New returns the image of a cluster without any record; its offset and epoch are -1.
func New(clusterID string) *Image { return &Image{clusterID: clusterID, offset: -1, epoch: -1} }

// ClusterID returns the id that New was given; no record holds it.
func (i *Image) ClusterID() string { return i.clusterID }

// Offset returns the offset and the epoch of the last record that was applied, -1 before any.
func (i *Image) Offset() (offset int64, epoch int32) { return i.offset, i.epoch }

// Topic is a topic with all its partitions.
type Topic struct {
	Name       string
	ID         wire.UUID
	Partitions []Partition // the index is the partition's number
}

// Partition is the state of a partition that the controller decides on.
type Partition struct {
	*Placement
	Leader         int32 // broker id, NoLeader when there is none
	LeaderEpoch    int32 // one more at each election
	PartitionEpoch int32 // one more at each change
	RecoveryState  int8  // Recovered, or Recovering after an unclean election
}

// Placement says where the replicas of a partition are and which of them are in
// sync. Partitions with the same lists share one Placement.
type Placement struct {
	Replicas     []int32     // broker ids; the first is the preferred leader
	Directories  []wire.UUID // the log directory of each replica, in the order of Replicas
	ISR          []int32     // in-sync replicas
	ELR          []int32     // eligible leader replicas: left the ISR while it was below min.insync.replicas (KIP-966)
	LastKnownELR []int32     // the last leader when the ISR became empty (KIP-966)
	Adding       []int32     // replicas that a reassignment adds; part of Replicas
	Removing     []int32     // replicas that a reassignment removes; still part of Replicas
}

// NoLeader is the leader of a partition that has none.
const NoLeader int32 = -1

// The values of Partition.RecoveryState.
const (
	Recovered  int8 = 0
	Recovering int8 = 1
)

// Well-known log directories in Placement.Directories (KIP-858).
var (
	UnassignedDirectory = wire.UUID{}        // the broker has not said which directory
	LostDirectory       = wire.UUID{15: 1}   // the directory is offline
	MigratingDirectory  = wire.UUID{15: 2}   // kept from before directories had ids
	reservedDirectories = wire.UUID{15: 100} // ids up to this one name no real directory
)

// IsRealDirectory reports whether id names a log directory and is no reserved id.
func IsRealDirectory(id wire.UUID) bool {
	return bytes.Compare(id[:], reservedDirectories[:]) > 0
}

// Broker is a registered broker.
type Broker struct {
	ID                   int32
	Epoch                int64     // offset of its registration record (KIP-631)
	Incarnation          wire.UUID // one for each start of the process
	Endpoints            []Endpoint
	Features             []FeatureRange // what it supports, sorted by name
	Rack                 *string        // nil is none
	Fenced               bool           // not fit to lead or to be in an ISR
	InControlledShutdown bool
	Directories          []wire.UUID // its log directories that are online
	Cordoned             []wire.UUID // those that take no new replicas (KIP-1066)
}

// Endpoint is where a broker listens.
type Endpoint struct {
	Listener         string // name of the listener
	Host             string
	Port             uint16
	SecurityProtocol int16 // as in Kafka: PLAINTEXT 0, SSL 1, SASL_PLAINTEXT 2, SASL_SSL 3
}

// FeatureRange is the range of levels that a broker supports of a feature.
type FeatureRange struct {
	Name     string
	Min, Max int16
}

// Endpoint returns where the broker serves the named listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// Active reports whether the broker may lead and be in an ISR: it is neither fenced nor shutting down.
func (b *Broker) Active() bool { return !b.Fenced && !b.InControlledShutdown }

// ConfigResource names what has configs of its own: a topic, a broker, a group.
type ConfigResource struct {
	Type int8   // as in Kafka's ConfigResource
	Name string // "" of BrokerResource is the default of all brokers
}

// The types of a ConfigResource.
const (
	TopicResource         int8 = 2
	BrokerResource        int8 = 4
	BrokerLoggerResource  int8 = 8
	ClientMetricsResource int8 = 16
	GroupResource         int8 = 32
)

// Topic returns the topic of that name, or nil.
func (i *Image) Topic(name string) *Topic {
	t, _ := i.topics.get(name)
	return t.Topic
}

// TopicByID returns the topic of that id, or nil.
func (i *Image) TopicByID(id wire.UUID) *Topic {
	t, _ := i.ids.get(id)
	return t.Topic
}

// Topics yields all topics, sorted by name.
func (i *Image) Topics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for t := range i.topics.all() {
			if !yield(t.Topic) {
				return
			}
		}
	}
}

// TopicsFrom yields the topics whose names are not before name, sorted by name.
func (i *Image) TopicsFrom(name string) iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		c, n, _ := i.topics.find(name)
		for ; c < len(i.topics.chunks); c++ {
			for items := i.topics.chunks[c].items; n < len(items); n++ {
				if !yield(items[n].Topic) {
					return
				}
			}
			n = 0
		}
	}
}

// NumTopics returns how many topics there are.
func (i *Image) NumTopics() int { return i.topics.size }

// NumPartitions returns how many partitions all topics have together.
func (i *Image) NumPartitions() int { return i.partitions }

// Broker returns the registered broker of that id, or nil.
func (i *Image) Broker(id int32) *Broker {
	b, _ := i.brokers.get(id)
	return b.Broker
}

// Brokers returns all registered brokers, sorted by id. The slice is the caller's.
func (i *Image) Brokers() []*Broker {
	list := make([]*Broker, 0, i.brokers.size)
	for b := range i.brokers.all() {
		list = append(list, b.Broker)
	}
	return list
}

// NumActive returns how many brokers are registered and not fenced.
func (i *Image) NumActive() (n int) {
	for b := range i.brokers.all() {
		if !b.Fenced {
			n++
		}
	}
	return n
}

// Controllers returns the registrations of the controllers, sorted by id (KIP-919). The slice is the caller's.
func (i *Image) Controllers() []*wire.RegisterControllerRecord {
	list := make([]*wire.RegisterControllerRecord, 0, i.controllers.size)
	for c := range i.controllers.all() {
		list = append(list, c.RegisterControllerRecord)
	}
	return list
}

// Feature returns the finalized level of a feature, 0 when it is not finalized.
func (i *Image) Feature(name string) int16 {
	f, _ := i.features.get(name)
	return f.level
}

// Features yields the finalized features with their levels, sorted by name.
func (i *Image) Features() iter.Seq2[string, int16] {
	return func(yield func(string, int16) bool) {
		for f := range i.features.all() {
			if !yield(f.name, f.level) {
				return
			}
		}
	}
}

// Config returns the dynamic configs of a resource; nil when it has none. Do not change it.
func (i *Image) Config(resourceType int8, name string) map[string]string {
	c, _ := i.configs.get(ConfigResource{resourceType, name})
	return c.values
}

// ConfigResources yields the resources that have dynamic configs with these, sorted by type and name.
func (i *Image) ConfigResources() iter.Seq2[ConfigResource, map[string]string] {
	return func(yield func(ConfigResource, map[string]string) bool) {
		for c := range i.configs.all() {
			if !yield(c.resource, c.values) {
				return
			}
		}
	}
}

// NextProducerID returns the first producer id that no block has taken.
func (i *Image) NextProducerID() int64 { return i.nextProducerID }

// ACLs yields the access control entries, sorted by id.
func (i *Image) ACLs() iter.Seq[*wire.AccessControlEntryRecord] {
	return func(yield func(*wire.AccessControlEntryRecord) bool) {
		for a := range i.acls.all() {
			if !yield(a.AccessControlEntryRecord) {
				return
			}
		}
	}
}

// Quotas yields each entity that has client quotas with their values.
func (i *Image) Quotas() iter.Seq2[[]wire.ClientQuotaRecordEntityData, map[string]float64] {
	return func(yield func([]wire.ClientQuotaRecordEntityData, map[string]float64) bool) {
		for q := range i.quotas.all() {
			if !yield(q.entity, q.values) {
				return
			}
		}
	}
}

// SCRAM yields the SCRAM credentials, sorted by user and mechanism.
func (i *Image) SCRAM() iter.Seq[*wire.UserScramCredentialRecord] {
	return func(yield func(*wire.UserScramCredentialRecord) bool) {
		for s := range i.scrams.all() {
			if !yield(s.UserScramCredentialRecord) {
				return
			}
		}
	}
}

// The items of the indexes.
type (
	byName         struct{ *Topic }
	byID           struct{ *Topic }
	brokerItem     struct{ *Broker }
	controllerItem struct {
		*wire.RegisterControllerRecord
	}
	feature struct {
		name  string
		level int16
	}
	configItem struct {
		resource ConfigResource
		values   map[string]string
	}
	aclItem struct {
		*wire.AccessControlEntryRecord
	}
	quotaItem struct {
		key    string
		entity []wire.ClientQuotaRecordEntityData
		values map[string]float64
	}
	scramKey struct {
		name      string
		mechanism int8
	}
	scramItem struct {
		*wire.UserScramCredentialRecord
	}
	tokenItem struct{ *wire.DelegationTokenRecord }
)

func (t byName) compare(name string) int          { return strings.Compare(t.Name, name) }
func (t byID) compare(id wire.UUID) int           { return bytes.Compare(t.ID[:], id[:]) }
func (b brokerItem) compare(id int32) int         { return cmp.Compare(b.ID, id) }
func (c controllerItem) compare(id int32) int     { return cmp.Compare(c.ControllerId, id) }
func (f feature) compare(name string) int         { return strings.Compare(f.name, name) }
func (a aclItem) compare(id wire.UUID) int        { return bytes.Compare(a.Id[:], id[:]) }
func (q quotaItem) compare(key string) int        { return strings.Compare(q.key, key) }
func (t tokenItem) compare(id string) int         { return strings.Compare(t.TokenId, id) }
func (c configItem) compare(k ConfigResource) int { return c.resource.compare(k) }
func (s scramItem) compare(k scramKey) int {
	return cmp.Or(strings.Compare(s.Name, k.name), cmp.Compare(s.Mechanism, k.mechanism))
}

func (r ConfigResource) compare(o ConfigResource) int {
	return cmp.Or(cmp.Compare(r.Type, o.Type), strings.Compare(r.Name, o.Name))
}

// Equal reports whether two placements hold the same lists.
func (p *Placement) Equal(q *Placement) bool {
	return p == q || slices.Equal(p.Replicas, q.Replicas) && slices.Equal(p.Directories, q.Directories) &&
		slices.Equal(p.ISR, q.ISR) && slices.Equal(p.ELR, q.ELR) && slices.Equal(p.LastKnownELR, q.LastKnownELR) &&
		slices.Equal(p.Adding, q.Adding) && slices.Equal(p.Removing, q.Removing)
}

// Equal reports whether two partitions are in the same state.
func (p Partition) Equal(q Partition) bool {
	return p.Leader == q.Leader && p.LeaderEpoch == q.LeaderEpoch && p.PartitionEpoch == q.PartitionEpoch &&
		p.RecoveryState == q.RecoveryState && p.Placement.Equal(q.Placement)
}
