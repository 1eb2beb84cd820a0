package coordinator

import (
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/wire"
)

// fake is a partition in memory. Its watermark follows its end unless it is held.
type fake struct {
	mu       sync.Mutex
	log      []record.Batch
	segments []int64 // first offsets; the log rolls every segment batches
	segment  int
	start    int64
	end      int64
	hw       int64
	held     bool
	epoch    int32
	leading  bool
	fails    error // of the next append
	appends  int
	asked    int           // how often Leading was
	reading  chan struct{} // reads wait for it, when set
	waiters  map[*handle]*replica.Waiter
	onRoll   func()
	failure  error // of the log
}

func (f *fake) Failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}

func (f *fake) Leading() (int32, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	return f.epoch, f.leading
}

func (f *fake) HighWatermark() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hw
}

func (f *fake) Bounds() (int64, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.start, f.end
}

func (f *fake) Append(batches []byte, epoch int32, now time.Time) (int64, error) {
	f.mu.Lock()
	rolled := false
	err := f.fails
	f.fails = nil
	switch {
	case err != nil:
	case !f.leading || epoch != f.epoch:
		err = code.NotLeaderOrFollower
	}
	if err != nil {
		f.mu.Unlock()
		return 0, err
	}
	f.appends++
	for rest := slices.Clone(batches); len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		if f.segment > 0 && len(f.log) > 0 && (len(f.segments) == 0 || f.end-f.segments[len(f.segments)-1] >= int64(f.segment)) {
			f.segments = append(f.segments, f.end)
			rolled = true
		}
		b.SetBaseOffset(f.end)
		b.SetLeaderEpoch(epoch)
		f.log = append(f.log, b)
		f.end = b.NextOffset()
	}
	if !f.held {
		f.hw = f.end
	}
	end, call := f.end, f.onRoll
	f.mu.Unlock()
	if rolled && call != nil {
		call()
	}
	return end, nil
}

func (f *fake) Read(offset int64, max int, fn func([]byte) error) error {
	f.mu.Lock()
	wait := f.reading
	f.mu.Unlock()
	if wait != nil {
		<-wait
	}
	f.mu.Lock()
	if offset < f.start || offset > f.end {
		f.mu.Unlock()
		return code.OffsetOutOfRange
	}
	var out []byte
	for _, b := range f.log {
		if b.NextOffset() > offset && (len(out) == 0 || len(out)+len(b) <= max) {
			out = append(out, b...)
		}
	}
	f.mu.Unlock()
	return fn(out)
}

// handle is one shard's use of a fake.
type handle struct{ *fake }

func (h *handle) Watch(w *replica.Waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiters == nil {
		h.waiters = make(map[*handle]*replica.Waiter)
	}
	if delete(h.waiters, h); w != nil {
		h.waiters[h] = w
	}
}

func (f *fake) wake() {
	for _, w := range f.waiters {
		w.Wake()
	}
}

func (f *fake) OnRoll(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onRoll = fn
}

func (f *fake) AdvanceStart(offset int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset > f.hw {
		return code.OffsetOutOfRange
	}
	f.start = offset
	f.log = slices.DeleteFunc(f.log, func(b record.Batch) bool { return b.NextOffset() <= offset })
	return nil
}

// hold stops the watermark; release lets it go to the end.
func (f *fake) hold() {
	f.mu.Lock()
	f.held = true
	f.mu.Unlock()
}

func (f *fake) release() {
	f.mu.Lock()
	f.held, f.hw = false, f.end
	f.wake()
	f.mu.Unlock()
}

func (f *fake) lead(epoch int32, leading bool) {
	f.mu.Lock()
	f.epoch, f.leading = epoch, leading
	f.wake()
	f.mu.Unlock()
}

// cluster is a coordinator on fake partitions.
type cluster struct {
	t     testing.TB
	g     *Groups
	parts []*fake
	image *metadata.Image
	reg   *prometheus.Registry
}

const self = 1

var topicID = wire.UUID{7}

func options() group.Options {
	return group.Options{
		MinSessionTimeout: 6 * time.Second, MaxSessionTimeout: 30 * time.Minute, MaxSize: 1 << 30, MaxMetadata: 4096,
		Retention: 7 * 24 * time.Hour, CheckInterval: 10 * time.Minute, MaxRecordBytes: 1 << 20,
	}
}

func newCluster(t testing.TB, partitions int) *cluster {
	c := &cluster{t: t, image: metadata.New("c"), reg: prometheus.NewRegistry()}
	for range partitions {
		c.parts = append(c.parts, &fake{})
	}
	c.g = NewGroups(Config{
		NodeID: self, Options: options(), Partitions: 50, Registerer: c.reg,
		Source: func(i int32) (Partition, error) { return &handle{c.parts[i]}, nil },
		Codecs: record.NewCodecs(0), Logger: slog.New(slog.DiscardHandler),
	})
	return c
}

// elect makes leader lead every partition in epoch, and tells everybody.
func (c *cluster) elect(leader, epoch int32) {
	for _, p := range c.parts {
		p.lead(epoch, leader == self)
	}
	recs := []metadata.Record{}
	if c.image.Topic(OffsetsTopic) == nil {
		recs = append(recs, &wire.TopicRecord{Name: OffsetsTopic, TopicId: topicID})
		for i := range c.parts {
			recs = append(recs, &wire.PartitionRecord{PartitionId: int32(i), TopicId: topicID, Replicas: []int32{1, 2}, Isr: []int32{1, 2}, Leader: leader, LeaderEpoch: epoch})
		}
	} else {
		for i := range c.parts {
			r := wire.NewMetadataRecord((&wire.PartitionChangeRecord{}).Key()).(*wire.PartitionChangeRecord)
			r.PartitionId, r.TopicId, r.Leader = int32(i), topicID, leader
			recs = append(recs, r)
		}
	}
	c.observe(recs...)
}

func (c *cluster) observe(recs ...metadata.Record) {
	offset, _ := c.image.Offset()
	image, delta, err := c.image.Apply(recs, offset+1, 1)
	if err != nil {
		c.t.Fatal(err)
	}
	c.image = image
	c.g.Observe(delta, image)
}

func commit(groupID, topic string, partition int32, at int64) group.Decision {
	return group.CommitOffsets(&wire.OffsetCommitRequest{
		GroupId: groupID, GenerationIdOrMemberEpoch: -1, RetentionTimeMs: -1,
		Topics: []wire.OffsetCommitRequestOffsetCommitRequestTopic{{Name: topic, Partitions: []wire.OffsetCommitRequestOffsetCommitRequestPartition{
			{PartitionIndex: partition, CommittedOffset: at, CommitTimestamp: -1, CommittedLeaderEpoch: -1},
		}}},
	}, 8)
}

func fetch(groupID, topic string, partition int32) group.Decision {
	return group.FetchOffsets(&wire.OffsetFetchRequestOffsetFetchRequestGroup{
		GroupId: groupID, Topics: []wire.OffsetFetchRequestOffsetFetchRequestTopics{{Name: topic, PartitionIndexes: []int32{partition}}},
	})
}

func join(groupID, memberID string) group.Decision {
	return group.Join(&wire.JoinGroupRequest{
		GroupId: groupID, MemberId: memberID, SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 60_000, ProtocolType: "consumer",
		Protocols: []wire.JoinGroupRequestJoinGroupRequestProtocol{{Name: "range"}},
	}, 3, group.Client{ID: "c", Host: "/h"})
}

// call makes a call that must be answered.
func (c *cluster) call(groupID string, d group.Decision) any {
	c.t.Helper()
	body, err := c.g.Call(c.t.Context(), groupID, d)
	if err != nil {
		c.t.Fatal(err)
	}
	return body
}

func (c *cluster) committed(groupID, topic string, partition int32) int64 {
	c.t.Helper()
	return c.call(groupID, fetch(groupID, topic, partition)).(*wire.OffsetFetchResponseOffsetFetchResponseGroup).Topics[0].Partitions[0].CommittedOffset
}

func (c *cluster) metric(name string) float64 {
	families, err := c.reg.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	c.t.Fatalf("there is no metric %s", name)
	return 0
}

// replayed is the durable state that a partition's log gives.
func (c *cluster) replayed(f *fake) []machine.Record {
	m := group.New(options())
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.log {
		err := b.Each(nil, 0, func(r record.Record) error {
			if r.Offset < f.start {
				return nil
			}
			return m.Apply(machine.Record{Key: r.Key, Value: r.Value})
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	var rs []machine.Record
	m.Snapshot(func(r machine.Record) { rs = append(rs, r) })
	return rs
}
