package controller

import (
	"bytes"
	"slices"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// The types of ElectLeaders.
const (
	electPreferred = 0
	electUnclean   = 1
)

// ElectLeaders decides on an ElectLeaders request (KIP-460); the response is a
// *wire.ElectLeadersResponse. With no partitions named all are looked at, and those
// where nothing is to be done are left out.
func ElectLeaders(req *wire.ElectLeadersRequest) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		var recs []metadata.Record
		resp := &wire.ElectLeadersResponse{ReplicaElectionResults: []wire.ElectLeadersResponseReplicaElectionResult{}}
		one := func(topic string, n int32) wire.ElectLeadersResponsePartitionResult {
			r, err := electOne(img, env, topic, n, req.ElectionType)
			if r != nil {
				recs = append(recs, r)
			}
			return wire.ElectLeadersResponsePartitionResult{PartitionId: n, ErrorCode: int16(code.Of(err)), ErrorMessage: code.Message(err)}
		}
		if req.ElectionType != electPreferred && req.ElectionType != electUnclean {
			resp.ErrorCode = int16(code.InvalidRequest)
		}
		if req.TopicPartitions == nil {
			for t := range img.Topics() {
				result := wire.ElectLeadersResponseReplicaElectionResult{Topic: t.Name, PartitionResult: []wire.ElectLeadersResponsePartitionResult{}}
				for n := range t.Partitions {
					if p := one(t.Name, int32(n)); p.ErrorCode != int16(code.ElectionNotNeeded) {
						result.PartitionResult = append(result.PartitionResult, p)
					}
				}
				if len(result.PartitionResult) > 0 {
					resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, result)
				}
			}
			return recs, resp, nil
		}
		type partition struct {
			topic string
			n     int32
		}
		seen := map[partition]bool{}
		for _, t := range req.TopicPartitions {
			result := wire.ElectLeadersResponseReplicaElectionResult{Topic: t.Topic, PartitionResult: []wire.ElectLeadersResponsePartitionResult{}}
			for _, n := range t.Partitions {
				if !seen[partition{t.Topic, n}] {
					seen[partition{t.Topic, n}] = true
					result.PartitionResult = append(result.PartitionResult, one(t.Topic, n))
				}
			}
			resp.ReplicaElectionResults = append(resp.ReplicaElectionResults, result)
		}
		return recs, resp, nil
	}
}

func electOne(img *metadata.Image, env *Env, name string, n int32, kind int8) (*wire.PartitionChangeRecord, error) {
	if kind != electPreferred && kind != electUnclean {
		return nil, code.Errorf(code.InvalidRequest, "Unknown election type %d; preferred is 0, unclean is 1.", kind)
	}
	t := img.Topic(name)
	if t == nil {
		return nil, code.Errorf(code.UnknownTopicOrPartition, "Topic '%s' does not exist.", name)
	}
	if n < 0 || int(n) >= len(t.Partitions) {
		return nil, code.Errorf(code.UnknownTopicOrPartition, "Topic '%s' has no partition %d.", name, n)
	}
	p := t.Partitions[n]
	if kind == electPreferred && p.Leader == p.Replicas[0] || kind == electUnclean && p.Leader != metadata.NoLeader {
		return nil, code.Errorf(code.ElectionNotNeeded, "Leader election not needed: partition %s-%d is led by broker %d.", name, n, p.Leader)
	}
	c := newChange(t.ID, n, p, env.minISR(img, name), func(id int32) bool { return active(img, id) })
	c.election = preferred
	if kind == electUnclean {
		c.election = unclean
	}
	r := c.record()
	if kind == electPreferred && c.leader != p.Replicas[0] {
		return r, code.Errorf(code.PreferredLeaderNotAvailable, "Broker %d, the preferred leader of %s-%d, is not alive or not in sync.", p.Replicas[0], name, n)
	}
	if c.leader == metadata.NoLeader {
		return r, code.Errorf(code.EligibleLeadersNotAvailable, "No replica of %s-%d is alive.", name, n)
	}
	return r, nil
}

// AlterPartition decides on a leader's wish to change the ISR (KIP-497, KIP-841,
// KIP-903); the response is a *wire.AlterPartitionResponse. Version 3 names
// replicas with their epochs, earlier ones without; versions before 2 name topics.
func AlterPartition(req *wire.AlterPartitionRequest, version int16) Decision {
	return func(img *metadata.Image, env *Env) ([]metadata.Record, any, error) {
		resp := &wire.AlterPartitionResponse{Topics: []wire.AlterPartitionResponseTopicData{}}
		if err := checkEpoch(img, req.BrokerId, req.BrokerEpoch); err != nil {
			resp.ErrorCode = int16(code.Of(err))
			return nil, resp, nil
		}
		var recs []metadata.Record
		type partition struct {
			topic wire.UUID
			n     int32
		}
		seen := map[partition]bool{}
		for _, rt := range req.Topics {
			t := img.TopicByID(rt.TopicId)
			missing := code.UnknownTopicId
			if version < 2 {
				t = img.Topic(rt.TopicName)
				missing = code.UnknownTopicOrPartition
			}
			result := wire.AlterPartitionResponseTopicData{TopicId: rt.TopicId, TopicName: rt.TopicName, Partitions: []wire.AlterPartitionResponsePartitionData{}}
			for i := range rt.Partitions {
				rp := &rt.Partitions[i]
				out := wire.AlterPartitionResponsePartitionData{PartitionIndex: rp.PartitionIndex, Isr: []int32{}}
				switch {
				case t == nil:
					out.ErrorCode = int16(missing)
				case rp.PartitionIndex < 0 || int(rp.PartitionIndex) >= len(t.Partitions):
					out.ErrorCode = int16(code.UnknownTopicOrPartition)
				case seen[partition{t.ID, rp.PartitionIndex}]:
					out.ErrorCode = int16(code.InvalidRequest)
				default:
					seen[partition{t.ID, rp.PartitionIndex}] = true
					r, err := alterOne(img, env, t, req.BrokerId, rp, version)
					if r != nil {
						recs = append(recs, r)
					}
					out.ErrorCode = int16(code.Of(err))
					if err == nil {
						p := after(t.Partitions[rp.PartitionIndex], r)
						out.LeaderId, out.LeaderEpoch, out.PartitionEpoch = p.Leader, p.LeaderEpoch, p.PartitionEpoch
						out.Isr, out.LeaderRecoveryState = p.ISR, p.RecoveryState
					}
				}
				result.Partitions = append(result.Partitions, out)
			}
			resp.Topics = append(resp.Topics, result)
		}
		return recs, resp, nil
	}
}

func after(p metadata.Partition, r *wire.PartitionChangeRecord) metadata.Partition {
	if r == nil {
		return p
	}
	return p.Merge(r)
}

func alterOne(img *metadata.Image, env *Env, t *metadata.Topic, broker int32, rp *wire.AlterPartitionRequestPartitionData, version int16) (*wire.PartitionChangeRecord, error) {
	p := t.Partitions[rp.PartitionIndex]
	isr := rp.NewIsr
	if version >= 3 {
		isr = make([]int32, len(rp.NewIsrWithEpochs))
		for i, b := range rp.NewIsrWithEpochs {
			isr[i] = b.BrokerId
		}
	}
	recovering := rp.LeaderRecoveryState == metadata.Recovering
	switch {
	case rp.LeaderEpoch > p.LeaderEpoch || rp.PartitionEpoch > p.PartitionEpoch:
		return nil, code.NotController // the caller knows more than this image: another controller decides by now
	case rp.LeaderEpoch < p.LeaderEpoch:
		return nil, code.FencedLeaderEpoch
	case broker != p.Leader:
		return nil, code.InvalidRequest
	case rp.PartitionEpoch < p.PartitionEpoch:
		return nil, code.InvalidUpdateVersion
	case !distinctReplicas(isr, p.Replicas) || !slices.Contains(isr, p.Leader):
		return nil, code.InvalidRequest
	case rp.LeaderRecoveryState < 0 || rp.LeaderRecoveryState > metadata.Recovering,
		recovering && len(isr) > 1, recovering && p.RecoveryState == metadata.Recovered:
		return nil, code.InvalidRequest
	}
	for i, id := range isr {
		b := img.Broker(id)
		// Whoever names no epoch is let in on its being alive alone, as of old; a member that
		// stays need not prove what it proved when it joined, but it must be alive.
		stale := version >= 3 && b != nil && rp.NewIsrWithEpochs[i].BrokerEpoch != -1 && rp.NewIsrWithEpochs[i].BrokerEpoch != b.Epoch
		if b == nil || !b.Active() || stale {
			if version > 1 {
				return nil, code.IneligibleReplica
			}
			return nil, code.OperationNotAttempted
		}
	}
	c := newChange(t.ID, rp.PartitionIndex, p, env.minISR(img, t.Name), func(id int32) bool { return active(img, id) })
	c.isr = isr
	c.recover = rp.LeaderRecoveryState
	return c.record(), nil
}

// distinctReplicas reports whether isr is not empty, has nobody twice and only replicas.
func distinctReplicas(isr, replicas []int32) bool {
	for i, id := range isr {
		if slices.Contains(isr[:i], id) || !slices.Contains(replicas, id) {
			return false
		}
	}
	return len(isr) > 0
}

// withoutBroker returns the changes of all partitions that have the broker in their
// ISR, or when lost also in their ELR: it leaves both as said, and somebody else leads.
// img holds the broker's state before; it counts as not alive.
func withoutBroker(img *metadata.Image, env *Env, broker int32, lost bool) []metadata.Record {
	alive := func(id int32) bool { return id != broker && active(img, id) }
	return everyPartition(img, env, func(p metadata.Partition) bool {
		return p.Leader == broker || slices.Contains(p.ISR, broker) || lost && slices.Contains(p.ELR, broker)
	}, alive, func(c *change) { c.without(broker, lost) })
}

// withBroker returns the elections that are possible now that the broker is alive.
func withBroker(img *metadata.Image, env *Env, broker int32) []metadata.Record {
	alive := func(id int32) bool { return id == broker || active(img, id) }
	return everyPartition(img, env, func(p metadata.Partition) bool {
		return p.Leader == metadata.NoLeader && slices.Contains(p.Replicas, broker)
	}, alive, nil)
}

// everyPartition changes the partitions that match, topic by topic in the order of names.
func everyPartition(img *metadata.Image, env *Env, match func(metadata.Partition) bool, alive func(int32) bool, edit func(*change)) (recs []metadata.Record) {
	for t := range img.Topics() {
		recs = append(recs, changeTopic(img, env, t, match, alive, edit)...)
	}
	return recs
}

// changeTopic changes the partitions of a topic that match: edit says how, and may
// be nil; ELR and leader follow.
func changeTopic(img *metadata.Image, env *Env, t *metadata.Topic, match func(metadata.Partition) bool, alive func(int32) bool, edit func(*change)) (recs []metadata.Record) {
	minISR := 0 // not looked up yet
	how := online
	for n, p := range t.Partitions {
		if !match(p) {
			continue
		}
		if minISR == 0 {
			minISR = env.minISR(img, t.Name)
			if env.unclean(img, t.Name) {
				how = unclean
			}
		}
		c := newChange(t.ID, int32(n), p, minISR, alive)
		c.election = how
		if edit != nil {
			edit(c)
		}
		if r := c.record(); r != nil {
			recs = append(recs, r)
		}
	}
	return recs
}

// leads reports whether the broker leads any partition.
func leads(img *metadata.Image, broker int32) bool {
	for t := range img.Topics() {
		for i := range t.Partitions {
			if t.Partitions[i].Leader == broker {
				return true
			}
		}
	}
	return false
}

func sameDirectory(a, b []wire.UUID) bool {
	return slices.ContainsFunc(a, func(x wire.UUID) bool {
		return metadata.IsRealDirectory(x) && slices.ContainsFunc(b, func(y wire.UUID) bool { return bytes.Equal(x[:], y[:]) })
	})
}
