package group

import (
	"fmt"
	"strconv"
	"time"

	"github.com/klamm/klamm/internal/config"
)

// Options are what a shard obeys. OptionsFrom fills them from a broker's configuration.
type Options struct {
	MinSessionTimeout time.Duration // group.min.session.timeout.ms
	MaxSessionTimeout time.Duration // group.max.session.timeout.ms
	InitialDelay      time.Duration // group.initial.rebalance.delay.ms
	MaxSize           int           // group.max.size
	MaxMetadata       int           // offset.metadata.max.bytes, in UTF-16 characters as in Kafka
	Retention         time.Duration // offsets.retention.minutes
	CheckInterval     time.Duration // offsets.retention.check.interval.ms
	// MaxRecordBytes bounds the record of a group, so that it fits in a batch of its topic.
	MaxRecordBytes int
}

// batchOverhead is room for a batch's header and a record's own fields around a value.
const batchOverhead = 512

// OptionsFrom returns the options by the effective values of broker keys, which
// get returns in their plain form.
func OptionsFrom(get func(name string) string) (Options, error) {
	var failed error
	number := func(name string) int64 {
		n, err := strconv.ParseInt(get(name), 10, 64)
		if err != nil && failed == nil {
			failed = fmt.Errorf("group: %s=%q is not a number", name, get(name))
		}
		return n
	}
	ms := func(name string) time.Duration { return time.Duration(number(name)) * time.Millisecond }
	o := Options{
		MinSessionTimeout: ms("group.min.session.timeout.ms"),
		MaxSessionTimeout: ms("group.max.session.timeout.ms"),
		InitialDelay:      ms("group.initial.rebalance.delay.ms"),
		MaxSize:           int(number("group.max.size")),
		MaxMetadata:       int(number("offset.metadata.max.bytes")),
		Retention:         time.Duration(number("offsets.retention.minutes")) * time.Minute,
		CheckInterval:     ms("offsets.retention.check.interval.ms"),
		// The coordinator's own batches are not refused for their size: a low limit for
		// clients must not end all groups.
		MaxRecordBytes: max(int(number("message.max.bytes")), 1<<20) - batchOverhead,
	}
	return o, failed
}

// ConfigKeys are the keys that say how groups and their offsets behave: those
// that this machine obeys, and those of the newer group protocols.
func ConfigKeys() []config.Key {
	keys := []config.Key{
		{Name: "group.min.session.timeout.ms", Scope: config.Broker, Kind: config.Int, Default: "6000",
			Doc: "The shortest session timeout in milliseconds that a member of a classic group may ask for; a short one finds a dead consumer sooner and takes more heartbeats."},
		{Name: "group.max.session.timeout.ms", Scope: config.Broker, Kind: config.Int, Default: "1800000",
			Doc: "The longest session timeout in milliseconds that a member of a classic group may ask for; a long one leaves more time between polls and finds a dead consumer later."},
		{Name: "group.initial.rebalance.delay.ms", Scope: config.Broker, Kind: config.Int, Default: "3000",
			Doc: "How long in milliseconds an empty classic group waits for more members before its first rebalance; each one that comes extends it, up to the rebalance timeout."},
		{Name: "group.max.size", Scope: config.Broker, Kind: config.Int, Default: "2147483647", Check: config.Positive(),
			Doc: "The most members that one classic group may have; who comes later is refused."},
		{Name: "offset.metadata.max.bytes", Scope: config.Broker, Kind: config.Int, Default: "4096",
			Doc: "The longest text that may be committed with an offset, in characters."},
		{Name: "offsets.retention.minutes", Scope: config.Broker, Kind: config.Int, Default: "10080", Check: config.Positive(),
			Doc: "How many minutes committed offsets are kept once their group has no members, or nobody in it reads their topic, or, without a group, since they were committed."},
		{Name: "offsets.retention.check.interval.ms", Scope: config.Broker, Kind: config.Long, Default: "600000", Check: config.Positive(),
			Doc: "How often in milliseconds committed offsets and empty groups are checked for expiry."},
	}
	return append(keys, newerProtocolKeys()...)
}

const (
	noConsumer = "groups of the consumer protocol (KIP-848) are not served yet"
	noShare    = "share groups (KIP-932) are not served yet"
	noStreams  = "streams groups (KIP-1071) are not served yet"
)

// newerProtocolKeys are known and shown, and change nothing until their protocol is served.
func newerProtocolKeys() []config.Key {
	var keys []config.Key
	broker := func(reason, name string, kind config.Kind, value string, update config.Update, doc string) {
		k := config.Key{Name: name, Scope: config.Broker, Kind: kind, Default: value, Update: update, Doc: doc, NoEffect: reason}
		switch {
		case kind == config.Int:
			k.Check = config.NotNegative()
		case kind == config.Class:
			k.Null = value == ""
		}
		keys = append(keys, k)
	}
	group := func(reason, name string, kind config.Kind, value, synonym, doc string) {
		k := config.Key{Name: name, Scope: config.Group, Kind: kind, Default: value, Doc: doc, NoEffect: reason}
		if synonym != "" {
			k.Synonyms = []string{synonym}
		}
		if kind == config.Int {
			k.Check = config.NotNegative()
		}
		keys = append(keys, k)
	}
	const ro, all = config.ReadOnly, config.ClusterWide
	for _, p := range []struct {
		prefix, reason, what string
		max                  string
	}{
		{"group.consumer.", noConsumer, "consumer group", "2147483647"},
		{"group.share.", noShare, "share group", "200"},
		{"group.streams.", noStreams, "streams group", "2147483647"},
	} {
		broker(p.reason, p.prefix+"session.timeout.ms", config.Int, "45000", ro, "After how many milliseconds of silence a member of a "+p.what+" is removed.")
		broker(p.reason, p.prefix+"min.session.timeout.ms", config.Int, "45000", ro, "The shortest session timeout in milliseconds that a "+p.what+" may be given.")
		broker(p.reason, p.prefix+"max.session.timeout.ms", config.Int, "60000", ro, "The longest session timeout in milliseconds that a "+p.what+" may be given.")
		broker(p.reason, p.prefix+"heartbeat.interval.ms", config.Int, "5000", ro, "How many milliseconds members of a "+p.what+" are told to leave between heartbeats.")
		broker(p.reason, p.prefix+"min.heartbeat.interval.ms", config.Int, "5000", ro, "The shortest heartbeat interval in milliseconds that a "+p.what+" may be given.")
		broker(p.reason, p.prefix+"max.heartbeat.interval.ms", config.Int, "15000", ro, "The longest heartbeat interval in milliseconds that a "+p.what+" may be given.")
		broker(p.reason, p.prefix+"assignment.interval.ms", config.Int, "1000", all, "The least time in milliseconds between two assignments of one "+p.what+".")
		broker(p.reason, p.prefix+"min.assignment.interval.ms", config.Int, "0", ro, "The shortest assignment interval in milliseconds that a "+p.what+" may be given.")
		broker(p.reason, p.prefix+"max.assignment.interval.ms", config.Int, "15000", ro, "The longest assignment interval in milliseconds that a "+p.what+" may be given.")
		broker(p.reason, p.prefix+"max.size", config.Int, p.max, ro, "The most members that one "+p.what+" may have.")
	}
	broker(noConsumer, "group.consumer.assignors", config.List, "uniform,range", ro, "The assignors that the broker offers to consumer groups, its default first.")
	keys = append(keys, config.Key{Name: "group.consumer.migration.policy", Scope: config.Broker, Kind: config.String, Default: "bidirectional",
		Check: config.OneOf("disabled", "downgrade", "upgrade", "bidirectional"), NoEffect: noConsumer,
		Doc: "In which directions a group with members may change between the classic and the consumer protocol."})
	broker(noShare, "group.share.assignors", config.List, "simple", ro, "The assignors that the broker offers to share groups.")
	broker(noShare, "group.share.delivery.count.limit", config.Int, "5", ro, "How often a record is delivered to a share group before it is given up.")
	broker(noShare, "group.share.min.delivery.count.limit", config.Int, "2", ro, "The lowest delivery limit that a share group may be given.")
	broker(noShare, "group.share.max.delivery.count.limit", config.Int, "10", ro, "The highest delivery limit that a share group may be given.")
	broker(noShare, "group.share.record.lock.duration.ms", config.Int, "30000", ro, "How many milliseconds a member of a share group holds a record before another may have it.")
	broker(noShare, "group.share.min.record.lock.duration.ms", config.Int, "15000", ro, "The shortest lock in milliseconds that a share group may be given.")
	broker(noShare, "group.share.max.record.lock.duration.ms", config.Int, "60000", ro, "The longest lock in milliseconds that a share group may be given.")
	broker(noShare, "group.share.partition.max.record.locks", config.Int, "2000", ro, "How many records of one partition a share group may hold at once.")
	broker(noShare, "group.share.min.partition.max.record.locks", config.Int, "100", ro, "The lowest number of record locks a partition that a share group may be given.")
	broker(noShare, "group.share.max.partition.max.record.locks", config.Int, "4000", ro, "The highest number of record locks a partition that a share group may be given.")
	broker(noShare, "group.share.max.share.sessions", config.Int, "2000", ro, "How many share sessions a broker keeps.")
	broker(noStreams, "group.streams.assignors", config.List, "sticky", ro, "The assignors that the broker offers to streams groups.")
	broker(noStreams, "group.streams.initial.rebalance.delay.ms", config.Int, "3000", ro, "How many milliseconds an empty streams group waits for more members before its first assignment.")
	broker(noStreams, "group.streams.num.standby.replicas", config.Int, "0", ro, "How many standby copies of its state a streams group keeps.")
	broker(noStreams, "group.streams.max.standby.replicas", config.Int, "2", ro, "The highest number of standby copies that a streams group may be given.")
	broker(noStreams, "group.streams.rack.aware.assignment.tags", config.List, "", ro, "The client tags by which standby copies are spread.")
	broker(noStreams, "group.streams.topology.description.plugin.class", config.Class, "", ro, "A Java class that keeps descriptions of topologies.")

	group(noConsumer, "consumer.session.timeout.ms", config.Int, "45000", "group.consumer.session.timeout.ms", "After how many milliseconds of silence a member of this consumer group is removed.")
	group(noConsumer, "consumer.heartbeat.interval.ms", config.Int, "5000", "group.consumer.heartbeat.interval.ms", "How many milliseconds members of this consumer group are told to leave between heartbeats.")
	group(noConsumer, "consumer.assignment.interval.ms", config.Int, "1000", "group.consumer.assignment.interval.ms", "The least time in milliseconds between two assignments of this consumer group.")
	group(noShare, "errors.deadletterqueue.copy.record.enable", config.Boolean, "false", "", "Whether a record that this share group gives up is copied to the dead-letter topic whole, and not as a reference (KIP-1191).")
	group(noShare, "errors.deadletterqueue.topic.name", config.String, "", "", "The topic that takes the records that this share group gives up; empty for none (KIP-1191).")
	group(noShare, "share.session.timeout.ms", config.Int, "45000", "group.share.session.timeout.ms", "After how many milliseconds of silence a member of this share group is removed.")
	group(noShare, "share.heartbeat.interval.ms", config.Int, "5000", "group.share.heartbeat.interval.ms", "How many milliseconds members of this share group are told to leave between heartbeats.")
	group(noShare, "share.assignment.interval.ms", config.Int, "1000", "group.share.assignment.interval.ms", "The least time in milliseconds between two assignments of this share group.")
	group(noShare, "share.delivery.count.limit", config.Int, "5", "group.share.delivery.count.limit", "How often a record is delivered to this share group before it is given up.")
	group(noShare, "share.partition.max.record.locks", config.Int, "2000", "group.share.partition.max.record.locks", "How many records of one partition this share group may hold at once.")
	group(noShare, "share.record.lock.duration.ms", config.Int, "30000", "group.share.record.lock.duration.ms", "How many milliseconds a member of this share group holds a record before another may have it.")
	group(noShare, "share.renew.acknowledge.enable", config.Boolean, "true", "", "Whether members of this share group may ask for more time with a record.")
	group(noShare, "share.auto.offset.reset", config.String, "latest", "", "Where this share group begins in a partition that it has not read: latest, earliest, or by_duration: and an ISO 8601 duration.")
	group(noShare, "share.isolation.level", config.String, "read_uncommitted", "", "Whether this share group sees records of open and aborted transactions: read_uncommitted or read_committed.")
	group(noStreams, "streams.session.timeout.ms", config.Int, "45000", "group.streams.session.timeout.ms", "After how many milliseconds of silence a member of this streams group is removed.")
	group(noStreams, "streams.heartbeat.interval.ms", config.Int, "5000", "group.streams.heartbeat.interval.ms", "How many milliseconds members of this streams group are told to leave between heartbeats.")
	group(noStreams, "streams.assignment.interval.ms", config.Int, "1000", "group.streams.assignment.interval.ms", "The least time in milliseconds between two assignments of this streams group.")
	group(noStreams, "streams.assignor.name", config.String, "sticky", "group.streams.assignors", "The assignor of this streams group.")
	group(noStreams, "streams.initial.rebalance.delay.ms", config.Int, "3000", "group.streams.initial.rebalance.delay.ms", "How many milliseconds this streams group, when empty, waits for more members before its first assignment.")
	group(noStreams, "streams.num.standby.replicas", config.Int, "0", "group.streams.num.standby.replicas", "How many standby copies of its state this streams group keeps.")
	group(noStreams, "streams.rack.aware.assignment.tags", config.List, "", "group.streams.rack.aware.assignment.tags", "The client tags by which this streams group's standby copies are spread.")
	return keys
}
