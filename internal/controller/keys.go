package controller

import (
	"math"

	"github.com/klamm/klamm/internal/config"
)

// Names of keys that decisions look at.
const (
	minInsyncReplicas     = "min.insync.replicas"
	uncleanLeaderElection = "unclean.leader.election.enable"
)

// ConfigKeys returns the broker keys that the controller obeys. The topic keys
// min.insync.replicas and unclean.leader.election.enable, which fall back to
// theirs, come with the other topic keys.
func ConfigKeys() []config.Key {
	return []config.Key{
		{Name: "num.partitions", Scope: config.Broker, Kind: config.Int, Default: "1", Check: config.Range(1, math.MaxInt32),
			Doc: "How many partitions a topic gets whose creator does not say."},
		{Name: "default.replication.factor", Scope: config.Broker, Kind: config.Int, Default: "1", Check: config.Range(1, math.MaxInt16),
			Doc: "How many replicas a topic's partitions get when its creator does not say."},
		{Name: "delete.topic.enable", Scope: config.Broker, Kind: config.Boolean, Default: "true",
			Doc: "Whether topics can be deleted."},
		{Name: minInsyncReplicas, Scope: config.Broker, Kind: config.Int, Default: "1", Check: config.Range(1, math.MaxInt32), Update: config.ClusterWide,
			Doc: "How many replicas, the leader counted, must hold a record before it counts as written."},
		{Name: uncleanLeaderElection, Scope: config.Broker, Kind: config.Boolean, Default: "false", Update: config.ClusterWide,
			Doc: "Whether a replica that was not in sync may lead when no other is alive, at the price of lost records."},
		{Name: "broker.session.timeout.ms", Scope: config.Broker, Kind: config.Int, Default: "9000", Check: config.Range(1, math.MaxInt32),
			Doc: "How long a broker may be silent before it is fenced, in milliseconds."},
		{Name: "broker.heartbeat.interval.ms", Scope: config.Broker, Kind: config.Int, Default: "2000", Check: config.Range(1, math.MaxInt32),
			Doc: "How often a broker tells the controller that it is alive, in milliseconds."},
	}
}
