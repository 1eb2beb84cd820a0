package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

func testKeys(t testing.TB) *config.Set {
	t.Helper()
	positive := config.Range(1, 1<<31-1)
	set, err := config.NewSet(ConfigKeys(), []config.Key{
		{Name: minInsyncReplicas, Scope: config.Topic, Kind: config.Int, Default: "1", Doc: "d", Check: positive, Synonyms: []string{minInsyncReplicas}},
		{Name: uncleanLeaderElection, Scope: config.Topic, Kind: config.Boolean, Default: "false", Doc: "d", Synonyms: []string{uncleanLeaderElection}},
		{Name: "retention.ms", Scope: config.Topic, Kind: config.Long, Default: "604800000", Doc: "d", Check: config.Range(-1, 1<<62)},
		{Name: "min.compaction.lag.ms", Scope: config.Topic, Kind: config.Long, Default: "0", Doc: "d"},
		{Name: "max.compaction.lag.ms", Scope: config.Topic, Kind: config.Long, Default: "9223372036854775807", Doc: "d"},
		{Name: "cleanup.policy", Scope: config.Topic, Kind: config.List, Default: "delete", Doc: "d", Check: config.ListOf("compact", "delete"), Synonyms: []string{"log.cleanup.policy"}},
		{Name: "log.cleanup.policy", Scope: config.Broker, Kind: config.List, Default: "delete", Doc: "d", Check: config.ListOf("compact", "delete"), Update: config.ClusterWide},
		{Name: "log.retention.ms", Scope: config.Broker, Kind: config.Long, Null: true, Doc: "d", Update: config.ClusterWide},
		{Name: "listeners", Scope: config.Broker, Kind: config.List, Default: "PLAINTEXT://:9092", Doc: "d", Update: config.PerBroker},
		{Name: "interval.ms", Scope: config.ClientMetrics, Kind: config.Int, Default: "300000", Doc: "d", Check: config.Range(100, 3600000)},
		{Name: "consumer.session.timeout.ms", Scope: config.Group, Kind: config.Int, Default: "45000", Doc: "d", Check: positive},
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// cluster runs decisions one after another on an image.
type cluster struct {
	t   testing.TB
	img *metadata.Image
	env *Env
}

func newCluster(t testing.TB, seed uint64) *cluster {
	c := &cluster{t: t, img: metadata.New("cluster"), env: &Env{Now: time.Unix(1000, 0), Rand: rand.New(rand.NewPCG(seed, 3)), Keys: testKeys(t),
		Defaults: DefaultDefaults(), Sessions: new(Sessions)}}
	c.run(Bootstrap())
	return c
}

// run applies a decision and returns its response.
func (c *cluster) run(d Decision) any {
	c.t.Helper()
	offset, _ := c.img.Offset()
	c.env.NextOffset = offset + 1
	recs, resp, err := d(c.img, c.env)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(recs) == 0 {
		return resp
	}
	n := int64(len(recs))
	if n > 1 {
		n += 2
	}
	img, _, err := c.img.Apply(recs, offset+n, 1)
	if err != nil {
		c.t.Fatal(err)
	}
	c.img = img
	return resp
}

func (c *cluster) register(id int32, incarnation byte, previous int64, serving bool, rack string) *wire.BrokerRegistrationResponse {
	c.t.Helper()
	req := &wire.BrokerRegistrationRequest{BrokerId: id, ClusterId: "cluster", IncarnationId: wire.UUID{0: byte(id), 1: incarnation}, LogDirs: []wire.UUID{{0: byte(id), 15: 200}},
		PreviousBrokerEpoch: previous, Features: []wire.BrokerRegistrationRequestFeature{{Name: metadata.VersionFeature, MinSupportedVersion: 7, MaxSupportedVersion: metadata.MaxVersion}},
		Listeners: []wire.BrokerRegistrationRequestListener{{Name: "PLAINTEXT", Host: "h", Port: 9092}}}
	if rack != "" {
		req.Rack = &rack
	}
	return c.run(RegisterBroker(Registration{req, serving})).(*wire.BrokerRegistrationResponse)
}

func (c *cluster) heartbeat(id int32, wantFence, wantShutDown bool) *wire.BrokerHeartbeatResponse {
	c.t.Helper()
	offset, _ := c.img.Offset()
	return c.run(BrokerHeartbeat(&wire.BrokerHeartbeatRequest{BrokerId: id, BrokerEpoch: c.img.Broker(id).Epoch, CurrentMetadataOffset: offset, WantFence: wantFence, WantShutDown: wantShutDown})).(*wire.BrokerHeartbeatResponse)
}

// model knows for each partition which replicas hold everything that was committed:
// the naive truth that elections are checked against.
type model struct {
	holders map[wire.UUID][][]int32
}

func (c *cluster) check(m *model, before *metadata.Image, lost int32) {
	c.t.Helper()
	fail := func(t *metadata.Topic, n int, format string, args ...any) {
		p := t.Partitions[n]
		c.t.Fatalf("%s-%d (minISR %d) %s: %+v %+v", t.Name, n, c.env.minISR(c.img, t.Name), fmt.Sprintf(format, args...), p, *p.Placement)
	}
	for t := range c.img.Topics() {
		old := before.TopicByID(t.ID)
		for n, p := range t.Partitions {
			minISR := min(c.env.minISR(c.img, t.Name), len(p.Replicas))
			for i, id := range p.ISR {
				switch {
				case !slices.Contains(p.Replicas, id) || slices.Contains(p.ISR[:i], id):
					fail(t, n, "its ISR has a stranger or somebody twice")
				case slices.Contains(p.ELR, id):
					fail(t, n, "%d is in ISR and ELR", id)
				case !active(c.img, id):
					fail(t, n, "%d is in the ISR and not alive", id)
				}
			}
			for _, id := range p.ELR {
				if !slices.Contains(p.Replicas, id) {
					fail(t, n, "its ELR has a stranger")
				}
			}
			switch {
			case p.Leader >= 0 && !slices.Contains(p.ISR, p.Leader):
				fail(t, n, "its leader is not in the ISR")
			case p.Leader < 0 && len(p.ISR) > 0:
				fail(t, n, "nobody of its ISR leads")
			case len(p.ISR) >= minISR && len(p.ELR)+len(p.LastKnownELR) > 0:
				fail(t, n, "it has its minimum and an ELR")
			case p.Leader < 0 && slices.ContainsFunc(p.ELR, func(id int32) bool { return active(c.img, id) }):
				fail(t, n, "somebody of its ELR is alive and does not lead")
			}
			for len(m.holders[t.ID]) <= n {
				m.holders[t.ID] = append(m.holders[t.ID], slices.Clone(p.ISR))
			}
			h := &m.holders[t.ID][n]
			if lost >= 0 && len(p.Replicas) > 1 {
				*h = remove(*h, lost)
			}
			if old != nil && n < len(old.Partitions) {
				o := old.Partitions[n]
				switch {
				case p.LeaderEpoch < o.LeaderEpoch || p.PartitionEpoch < o.PartitionEpoch:
					fail(t, n, "an epoch went back")
				case p.Leader != o.Leader && p.LeaderEpoch == o.LeaderEpoch:
					fail(t, n, "a new leader in an old epoch")
				case !p.Equal(o) && p.PartitionEpoch == o.PartitionEpoch:
					fail(t, n, "a change in an old partition epoch")
				}
				for _, id := range p.ISR {
					if !slices.Contains(o.ISR, id) && p.Leader == o.Leader {
						*h = append(*h, id) // it caught up with the leader
					}
				}
				switch {
				case p.Leader < 0 || p.LeaderEpoch == o.LeaderEpoch:
				case p.RecoveryState == metadata.Recovering:
					*h = []int32{p.Leader}
				case !slices.Contains(*h, p.Leader):
					fail(t, n, "its leader lacks committed records, which %v have", *h)
				}
			}
			if p.Leader >= 0 && len(p.ISR) >= minISR {
				*h = slices.Clone(p.ISR) // the watermark goes on
			}
		}
	}
}

func TestRandomClusterKeepsItsInvariants(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		t.Logf("seed=%d", seed)
		rng := rand.New(rand.NewPCG(seed, 4))
		c := newCluster(t, seed)
		m := &model{holders: map[wire.UUID][][]int32{}}
		brokers := int32(1 + rng.IntN(5))
		for id := range brokers {
			c.register(id, 1, -1, rng.IntN(2) == 0, []string{"", "a", "b"}[rng.IntN(3)])
		}
		for step := range 240 {
			c.env.Now = c.env.Now.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
			before, lost := c.img, int32(-1)
			id := int32(rng.IntN(int(brokers)))
			b := c.img.Broker(id)
			var topic *metadata.Topic
			if c.img.NumTopics() > 0 {
				k := rng.IntN(c.img.NumTopics())
				for x := range c.img.Topics() {
					if k == 0 {
						topic = x
					}
					k--
				}
			}
			switch rng.IntN(14) {
			case 0:
				name, minISR := fmt.Sprintf("t%d", rng.IntN(6)), strconv.Itoa(1+rng.IntN(3))
				c.run(CreateTopics(&wire.CreateTopicsRequest{Topics: []wire.CreateTopicsRequestCreatableTopic{{Name: name, NumPartitions: int32(1 + rng.IntN(3)), ReplicationFactor: int16(1 + rng.IntN(int(brokers))),
					Configs: []wire.CreateTopicsRequestCreatableTopicConfig{{Name: minInsyncReplicas, Value: &minISR}}}}}))
			case 1:
				if topic != nil && rng.IntN(4) == 0 {
					c.run(DeleteTopics(&wire.DeleteTopicsRequest{TopicNames: []string{topic.Name}}, 5))
				}
			case 2:
				if topic != nil {
					c.run(CreatePartitions(&wire.CreatePartitionsRequest{Topics: []wire.CreatePartitionsRequestCreatePartitionsTopic{{Name: topic.Name, Count: int32(len(topic.Partitions) + 1)}}}))
				}
			case 3:
				if topic != nil {
					v := strconv.Itoa(1 + rng.IntN(3))
					r := wire.IncrementalAlterConfigsRequestAlterConfigsResource{ResourceType: metadata.TopicResource, ResourceName: topic.Name,
						Configs: []wire.IncrementalAlterConfigsRequestAlterableConfig{{Name: minInsyncReplicas, ConfigOperation: int8(rng.IntN(2)), Value: &v}}}
					if rng.IntN(3) == 0 {
						r.ResourceType, r.ResourceName = metadata.BrokerResource, ""
					}
					if flag := strconv.FormatBool(rng.IntN(8) == 0); rng.IntN(2) == 0 {
						r.Configs = append(r.Configs, wire.IncrementalAlterConfigsRequestAlterableConfig{Name: uncleanLeaderElection, Value: &flag})
					}
					c.run(IncrementalAlterConfigs(&wire.IncrementalAlterConfigsRequest{Resources: []wire.IncrementalAlterConfigsRequestAlterConfigsResource{r}}, AnyReceiver))
				}
			case 4: // crash and restart
				if b != nil {
					c.env.Sessions.end(id)
					if r := c.register(id, byte(step+2), -1, rng.IntN(2) == 0, ""); r.ErrorCode != 0 {
						t.Fatal(code.Error(r.ErrorCode))
					}
					lost = id
				}
			case 5: // clean restart
				if b != nil {
					c.register(id, byte(step+2), b.Epoch, rng.IntN(2) == 0, "")
				}
			case 6:
				c.run(Expire())
			case 7:
				if b != nil {
					c.heartbeat(id, false, true)
				}
			case 8:
				if b != nil {
					c.heartbeat(id, true, false)
				}
			case 9, 10, 11:
				for _, b := range c.img.Brokers() {
					if rng.IntN(3) > 0 {
						c.heartbeat(b.ID, false, false)
						c.check(m, before, -1)
						before = c.img
					}
				}
			case 12:
				if topic != nil && len(topic.Partitions) > 0 {
					n := rng.IntN(len(topic.Partitions))
					p := topic.Partitions[n]
					if p.Leader < 0 {
						break
					}
					data := wire.AlterPartitionRequestPartitionData{PartitionIndex: int32(n), LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
					for _, r := range p.Replicas {
						if k := c.img.Broker(r); k != nil && (r == p.Leader || rng.IntN(3) > 0) {
							data.NewIsrWithEpochs = append(data.NewIsrWithEpochs, wire.AlterPartitionRequestBrokerState{BrokerId: r, BrokerEpoch: k.Epoch - int64(rng.IntN(8)/7)})
						}
					}
					c.run(AlterPartition(&wire.AlterPartitionRequest{BrokerId: p.Leader, BrokerEpoch: c.img.Broker(p.Leader).Epoch,
						Topics: []wire.AlterPartitionRequestTopicData{{TopicId: topic.ID, Partitions: []wire.AlterPartitionRequestPartitionData{data}}}}, 3))
				}
			case 13:
				c.run(ElectLeaders(&wire.ElectLeadersRequest{ElectionType: int8(rng.IntN(8) / 7)}))
			}
			c.check(m, before, lost)
		}
	}
}

func TestPlacementIsStriped(t *testing.T) {
	for seed := range uint64(50) {
		c := newCluster(t, seed)
		for id := range int32(6) {
			c.register(id, 1, -1, true, string(rune('a'+id%3)))
		}
		resp := c.run(CreateTopics(&wire.CreateTopicsRequest{Topics: []wire.CreateTopicsRequestCreatableTopic{{Name: "t", NumPartitions: 60, ReplicationFactor: 3}}})).(*wire.CreateTopicsResponse)
		if resp.Topics[0].ErrorCode != 0 {
			t.Fatal(code.Error(resp.Topics[0].ErrorCode))
		}
		leaders, replicas := map[int32]int{}, map[int32]int{}
		for _, p := range c.img.Topic("t").Partitions {
			leaders[p.Leader]++
			racks := map[string]bool{}
			for _, id := range p.Replicas {
				replicas[id]++
				racks[*c.img.Broker(id).Rack] = true
			}
			if len(racks) != 3 {
				t.Fatalf("seed %d: replicas %v are in %d racks", seed, p.Replicas, len(racks))
			}
		}
		for id := range int32(6) {
			if leaders[id] != 10 || replicas[id] != 30 {
				t.Fatalf("seed %d: leaders %v replicas %v", seed, leaders, replicas)
			}
		}
	}
}

func BenchmarkCreate9900Partitions(b *testing.B) {
	c := newCluster(b, 1)
	c.register(1, 1, -1, true, "")
	b.ReportAllocs()
	for b.Loop() {
		recs, _, err := CreateTopics(&wire.CreateTopicsRequest{Topics: []wire.CreateTopicsRequestCreatableTopic{{Name: "t", NumPartitions: 9900, ReplicationFactor: 1}}})(c.img, c.env)
		if err != nil || len(recs) != 9901 {
			b.Fatal(len(recs), err)
		}
	}
}
