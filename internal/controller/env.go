// Package controller decides about the cluster: which topics, partitions, leaders,
// brokers and configs there are. Every decision is a pure function of an image of
// the metadata and of an Env; it gives records for the metadata log and the
// response for whoever asked. It has no goroutine, clock or I/O; internal/quorum hosts it.
package controller

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// Decision looks at the image and returns the records that change it as one, or
// none, and the response for the caller. Errors that belong into the response
// are there; err is for what has no place in it, and then there are no records.
type Decision func(img *metadata.Image, env *Env) (recs []metadata.Record, response any, err error)

// Env is all that a decision may know beside the image.
type Env struct {
	// Now is the time of the decision.
	Now time.Time
	// Rand is the source of ids and of the order in which brokers are chosen.
	Rand *rand.Rand
	// Keys are the known config keys; they validate what is set.
	Keys *config.Set
	// Static is the broker's file, the layer under the dynamic configs.
	Static map[string]string
	// Defaults are the values of ConfigKeys that decisions obey.
	Defaults Defaults
	// NextOffset is where the decision's first record will stand in the metadata
	// log when it is the only one; several stand behind a begin record.
	NextOffset int64
	// Sessions are the brokers that were heard of. A heartbeat writes into it.
	Sessions *Sessions
}

// Defaults are the controller's own configs. DefaultDefaults gives Kafka's.
type Defaults struct {
	NumPartitions           int32         // num.partitions
	ReplicationFactor       int16         // default.replication.factor
	DeleteTopicEnable       bool          // delete.topic.enable
	SessionTimeout          time.Duration // broker.session.timeout.ms
	MaxPartitionsPerRequest int           // ours: how many partitions one request may create
}

// DefaultDefaults returns the values of a controller that nobody configured.
func DefaultDefaults() Defaults {
	return Defaults{NumPartitions: 1, ReplicationFactor: 1, DeleteTopicEnable: true, SessionTimeout: 9 * time.Second, MaxPartitionsPerRequest: 200_000}
}

// DefaultsFrom reads Defaults from effective config values; get returns the value of one of ConfigKeys.
func DefaultsFrom(get func(name string) string) Defaults {
	d := DefaultDefaults()
	number := func(name string, or int64) int64 {
		if n, err := strconv.ParseInt(get(name), 10, 64); err == nil {
			return n
		}
		return or
	}
	d.NumPartitions = int32(number("num.partitions", int64(d.NumPartitions)))
	d.ReplicationFactor = int16(number("default.replication.factor", int64(d.ReplicationFactor)))
	d.DeleteTopicEnable = get("delete.topic.enable") != "false"
	d.SessionTimeout = time.Duration(number("broker.session.timeout.ms", d.SessionTimeout.Milliseconds())) * time.Millisecond
	return d
}

// InternalReplicationFactor is the replication factor of an internal topic:
// what was configured, or when that is not positive as many replicas as there
// are brokers that are not fenced, at least 1 and at most 3.
func InternalReplicationFactor(img *metadata.Image, configured int16) int16 {
	if configured > 0 {
		return configured
	}
	return int16(max(1, min(3, img.NumActive())))
}

// newID returns a random id (version 4) that is none of the reserved ones.
func (e *Env) newID() wire.UUID {
	for {
		var u wire.UUID
		for i := 0; i < 16; i += 8 {
			n := e.Rand.Uint64()
			for j := range 8 {
				u[i+j] = byte(n >> (8 * j))
			}
		}
		u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
		// An id whose text begins with a dash is taken for a flag on a command line.
		if s := u.String(); s[0] != '-' {
			return u
		}
	}
}

// layers are what gives a topic's effective configs on the controller.
func (e *Env) layers(img *metadata.Image, resource map[string]string) config.Layers {
	return config.Layers{Resource: resource, ClusterDefault: img.Config(metadata.BrokerResource, ""), Static: e.Static}
}

// minISR is a topic's min.insync.replicas.
func (e *Env) minISR(img *metadata.Image, topic string) int {
	return max(1, int(e.Keys.Int64(config.Topic, minInsyncReplicas, e.layers(img, img.Config(metadata.TopicResource, topic)))))
}

// unclean says whether a topic lets a replica lead that was not in sync.
func (e *Env) unclean(img *metadata.Image, topic string) bool {
	return e.Keys.Bool(config.Topic, uncleanLeaderElection, e.layers(img, img.Config(metadata.TopicResource, topic)))
}
