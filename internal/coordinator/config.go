package coordinator

import "github.com/klamm/klamm/internal/config"

// ConfigKeys are the keys that say how shards are kept and run. Those of groups
// themselves are group.ConfigKeys.
func ConfigKeys() []config.Key {
	const own = "shards schedule themselves: one goroutine each while there is work, one write for all that is queued"
	broker := func(name string, kind config.Kind, value, doc string) config.Key {
		return config.Key{Name: name, Scope: config.Broker, Kind: kind, Default: value, Doc: doc}
	}
	inert := func(k config.Key, reason string) config.Key {
		k.NoEffect = reason
		return k
	}
	check := func(k config.Key, f func(string) error) config.Key {
		k.Check = f
		return k
	}
	buffer := inert(check(broker("group.coordinator.cached.buffer.max.bytes", config.Int, "1048588",
		"The largest buffer in bytes that a coordinator keeps between writes."), config.Positive()), own)
	buffer.Update = config.ClusterWide
	return []config.Key{
		check(broker("offsets.commit.timeout.ms", config.Int, "5000",
			"How long in milliseconds a change of a group or its offsets may wait for replication before the client is told to try again."), config.Positive()),
		check(broker("offsets.load.buffer.size", config.Int, "5242880",
			"How many bytes of the log are read at a time while groups and offsets are loaded."), config.Positive()),
		check(broker("offsets.topic.num.partitions", config.Int, "50",
			"How many partitions the topic of groups and offsets is created with; more spread them over more brokers."), config.Positive()),
		check(broker("offsets.topic.replication.factor", config.Short, "3",
			"How many replicas the topic of groups and offsets is created with; when it is not set, 3 or as many as there are brokers."), config.Positive()),
		check(broker("offsets.topic.segment.bytes", config.Int, "104857600",
			"The size in bytes of the segments of the topic of groups and offsets; a shard writes its state anew and drops the old segments when one is full."), config.Positive()),
		inert(broker("offsets.topic.compression.codec", config.Int, "0",
			"The number of the codec that batches of the topic of groups and offsets are compressed with."), "its batches are small and are not compressed; compressed ones are read"),
		inert(check(broker("group.coordinator.threads", config.Int, "4",
			"How many threads run the coordinators of groups."), config.Positive()), own),
		inert(check(broker("group.coordinator.background.threads", config.Int, "2",
			"How many threads do the long work of coordinators of groups."), config.Positive()), own),
		inert(check(broker("group.coordinator.append.linger.ms", config.Int, "-1",
			"How long in milliseconds changes of groups are gathered before they are written; -1 lets the coordinator choose."), config.AtLeast(-1)), own),
		inert(check(broker("group.coordinator.rebalance.protocols", config.List, "classic,consumer,streams",
			"The group protocols that are served."), config.ListOf("classic", "consumer", "share", "streams")), "the classic protocol is served, and the others are not yet"),
		buffer,
	}
}
