package group

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/wire"
)

// The types of records in __consumer_offsets that this machine knows. A key
// begins with its type, a value with its version, both two bytes.
const (
	keyOffsetLegacy  = 0 // offsets, as Kafka before 0.9 wrote them
	keyOffset        = 1
	keyGroupMetadata = 2
	keyLastKnown     = 25 // of Kafka 4.4; types up to here begin with the group's id
)

// The versions of values that Kafka 4.4 writes.
const (
	offsetValueVersion  = 4 // with a topic id when it is known
	expiringValue       = 1 // the only one with a time of expiry
	groupValueVersion   = 3
	maxOffsetValue      = 4
	maxGroupValue       = 4
	versionPrefixLength = 2
)

// offset is a committed offset.
type offset struct {
	offset      int64
	committed   int64 // when, in ms since 1970
	expires     int64 // ms since 1970, or -1 to follow offsets.retention.minutes
	leaderEpoch int32 // -1 when unknown
	topicID     wire.UUID
	metadata    string
}

func keyType(key []byte) (int16, bool) {
	if len(key) < versionPrefixLength {
		return 0, false
	}
	return int16(binary.BigEndian.Uint16(key)), true
}

func appendKey(kind uint16, m wire.Message) []byte {
	return m.Append(binary.BigEndian.AppendUint16(nil, kind), 0)
}

func offsetKey(group, topic string, partition int32) []byte {
	return appendKey(keyOffset, &wire.OffsetCommitKey{Group: group, Topic: topic, Partition: partition})
}

func groupKey(group string) []byte {
	return appendKey(keyGroupMetadata, &wire.GroupMetadataKey{Group: group})
}

func (o *offset) value() []byte {
	v := wire.OffsetCommitValue{
		Offset: o.offset, LeaderEpoch: o.leaderEpoch, Metadata: o.metadata,
		CommitTimestamp: o.committed, ExpireTimestamp: o.expires, TopicId: o.topicID,
	}
	version := int16(offsetValueVersion)
	if o.expires >= 0 {
		version = expiringValue
	}
	return v.Append(binary.BigEndian.AppendUint16(nil, uint16(version)), version)
}

func parseOffsetValue(b []byte) (o offset, err error) {
	v := wire.NewOffsetCommitValue()
	if err := parseValue(b, v, maxOffsetValue); err != nil {
		return o, err
	}
	return offset{
		offset: v.Offset, committed: v.CommitTimestamp, expires: v.ExpireTimestamp,
		leaderEpoch: v.LeaderEpoch, topicID: v.TopicId, metadata: v.Metadata,
	}, nil
}

// parseValue decodes b into v, whose strings and bytes alias b.
func parseValue(b []byte, v wire.Message, newest int16) error {
	if len(b) < versionPrefixLength {
		return fmt.Errorf("a value of %d bytes is shorter than its version", len(b))
	}
	version := int16(binary.BigEndian.Uint16(b))
	if version < 0 || version > newest {
		return fmt.Errorf("value version %d is not known; the newest is %d: was the log written by a newer release", version, newest)
	}
	d := wire.NewDecoder(b[versionPrefixLength:])
	v.Decode(&d, version)
	return d.Err()
}

// groupOf returns the group that the key of a later record type belongs to; its
// first field is the group's id in all of them.
func groupOf(key []byte) (string, bool) {
	kind, ok := keyType(key)
	if !ok || kind < 0 || kind > keyLastKnown || len(key) < 4 {
		return "", false
	}
	n := int(int16(binary.BigEndian.Uint16(key[2:])))
	if n < 0 || 4+n > len(key) {
		return "", false
	}
	return string(key[4 : 4+n]), true
}

// Apply takes over one record: it is the only change of durable state. It keeps
// nothing of r. Records of later protocols and of types that nobody knows are kept
// as they are, so that Snapshot loses nothing. A record of a known type that cannot
// be read is an error.
func (m *Machine) Apply(r machine.Record) error {
	kind, ok := keyType(r.Key)
	if !ok {
		return fmt.Errorf("group: a record's key of %d bytes is shorter than its type", len(r.Key))
	}
	var err error
	switch kind {
	case keyOffsetLegacy, keyOffset:
		err = m.applyOffset(r)
	case keyGroupMetadata:
		err = m.applyGroup(r)
	default:
		m.applyForeign(r)
	}
	if err != nil {
		return fmt.Errorf("group: a record of type %d: %w", kind, err)
	}
	return nil
}

func (m *Machine) applyOffset(r machine.Record) error {
	var k wire.OffsetCommitKey
	d := wire.NewDecoder(r.Key[versionPrefixLength:])
	k.Decode(&d, 0)
	if err := d.Err(); err != nil {
		return err
	}
	if r.Value == nil {
		if g := m.groups[k.Group]; g != nil {
			m.dropOffset(g, k.Topic, k.Partition)
		}
		return nil
	}
	o, err := parseOffsetValue(r.Value)
	if err != nil {
		return err
	}
	o.metadata = strings.Clone(o.metadata)
	g := m.groups[k.Group]
	if g == nil {
		g = m.create(strings.Clone(k.Group))
	}
	parts := g.offsets[k.Topic]
	if parts == nil {
		parts = make(map[int32]offset, 1)
		if g.offsets == nil {
			g.offsets = make(map[string]map[int32]offset, 1)
		}
		g.offsets[strings.Clone(k.Topic)] = parts
	}
	before := len(parts)
	parts[k.Partition] = o
	m.stats.Offsets += len(parts) - before
	return nil
}

func (m *Machine) dropOffset(g *classic, topic string, partition int32) {
	parts := g.offsets[topic]
	if _, ok := parts[partition]; !ok {
		return
	}
	m.stats.Offsets--
	if delete(parts, partition); len(parts) == 0 {
		delete(g.offsets, topic)
	}
}

func (m *Machine) applyGroup(r machine.Record) error {
	var k wire.GroupMetadataKey
	d := wire.NewDecoder(r.Key[versionPrefixLength:])
	k.Decode(&d, 0)
	if err := d.Err(); err != nil {
		return err
	}
	g := m.groups[k.Group]
	if r.Value == nil {
		if g != nil {
			g.stored = nil
			m.forget(g)
		}
		return nil
	}
	v := wire.NewGroupMetadataValue()
	if err := parseValue(r.Value, v, maxGroupValue); err != nil {
		return err
	}
	if g == nil {
		g = m.create(strings.Clone(k.Group))
	}
	g.stored = bytes.Clone(r.Value)
	return nil
}

func (m *Machine) applyForeign(r machine.Record) {
	key := string(r.Key)
	_, had := m.foreign[key]
	group, known := groupOf(r.Key)
	if !known && r.Value != nil {
		m.stats.UnknownRecords++
	}
	switch {
	case r.Value != nil:
		m.foreign[key] = bytes.Clone(r.Value)
		if known && !had {
			m.foreignGroups[group]++
		}
	case had:
		delete(m.foreign, key)
		if known {
			if m.foreignGroups[group]--; m.foreignGroups[group] == 0 {
				delete(m.foreignGroups, group)
			}
		}
	}
}

// Snapshot calls emit for the records of the durable state: groups with their
// offsets in the order of their ids, then what is kept for other protocols. What is
// under way (a rebalance, a member that has not joined yet) is in none of them.
func (m *Machine) Snapshot(emit func(machine.Record)) {
	for _, id := range sortedKeys(m.groups) {
		g := m.groups[id]
		if g.stored != nil {
			emit(machine.Record{Key: groupKey(id), Value: g.stored})
		}
		for _, topic := range sortedKeys(g.offsets) {
			parts := g.offsets[topic]
			for _, p := range sortedKeys(parts) {
				o := parts[p]
				emit(machine.Record{Key: offsetKey(id, topic, p), Value: o.value()})
			}
		}
	}
	for _, key := range sortedKeys(m.foreign) {
		emit(machine.Record{Key: []byte(key), Value: m.foreign[key]})
	}
}
