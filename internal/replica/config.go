package replica

import "github.com/klamm/klamm/internal/config"

// Why keys change nothing yet.
const (
	oneNode = "this version runs one node, so nothing is replicated"
	noJava  = "Java classes cannot be loaded"
	journal = "the log directory's journal keeps high watermarks, together with what they belong to"
	noTiers = "there is no tiered storage yet"
)

// ConfigKeys returns the broker keys of replication.
func ConfigKeys() []config.Key {
	return []config.Key{
		{Name: "replica.lag.time.max.ms", Scope: config.Broker, Kind: config.Long, Default: "30000",
			Doc: "How long a follower may be without all that its leader has before it leaves the in-sync replicas, in milliseconds.", NoEffect: oneNode},
		{Name: "num.replica.fetchers", Scope: config.Broker, Kind: config.Int, Default: "1", Update: config.ClusterWide,
			Doc: "How many connections a broker follows each other broker by.", NoEffect: oneNode},
		{Name: "replica.fetch.max.bytes", Scope: config.Broker, Kind: config.Int, Default: "1048576", Check: config.AtLeast(0),
			Doc: "How many bytes of one partition a follower asks for at a time; a larger batch is given whole.", NoEffect: oneNode},
		{Name: "replica.fetch.response.max.bytes", Scope: config.Broker, Kind: config.Int, Default: "10485760", Check: config.AtLeast(0),
			Doc: "How many bytes a follower asks for in one request; a larger batch is given whole.", NoEffect: oneNode},
		{Name: "replica.fetch.min.bytes", Scope: config.Broker, Kind: config.Int, Default: "1",
			Doc: "How many bytes a leader waits for before it answers a follower, for as long as replica.fetch.wait.max.ms.", NoEffect: oneNode},
		{Name: "replica.fetch.wait.max.ms", Scope: config.Broker, Kind: config.Int, Default: "500",
			Doc: "How long a leader keeps a follower's request that finds nothing new, in milliseconds.", NoEffect: oneNode},
		{Name: "replica.fetch.backoff.ms", Scope: config.Broker, Kind: config.Int, Default: "1000", Check: config.AtLeast(0),
			Doc: "How long a follower rests from a partition that could not be fetched, in milliseconds.", NoEffect: oneNode},
		{Name: "replica.socket.timeout.ms", Scope: config.Broker, Kind: config.Int, Default: "30000",
			Doc: "How long a follower waits for its leader's answer, in milliseconds.", NoEffect: oneNode},
		{Name: "replica.socket.receive.buffer.bytes", Scope: config.Broker, Kind: config.Int, Default: "65536",
			Doc: "The size of the receive buffer of a follower's connection.", NoEffect: oneNode},
		{Name: "replica.high.watermark.checkpoint.interval.ms", Scope: config.Broker, Kind: config.Long, Default: "5000",
			Doc: "How often high watermarks are written to disk, in milliseconds.", NoEffect: journal},
		{Name: "replica.selector.class", Scope: config.Broker, Kind: config.String, Null: true,
			Doc: "The Java class that says which replica a consumer is to read from.", NoEffect: noJava},
		{Name: "follower.fetch.last.tiered.offset.enable", Scope: config.Broker, Kind: config.Boolean, Default: "false", Update: config.ClusterWide,
			Doc: "Whether an empty follower begins behind what lies in tiered storage.", NoEffect: noTiers},
		{Name: "replication.quota.window.num", Scope: config.Broker, Kind: config.Int, Default: "11", Check: config.Positive(),
			Doc: "How many samples the quota of replication keeps.", NoEffect: oneNode},
		{Name: "replication.quota.window.size.seconds", Scope: config.Broker, Kind: config.Int, Default: "1", Check: config.Positive(),
			Doc: "How long one sample of the quota of replication is, in seconds.", NoEffect: oneNode},
	}
}
