package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/wire"
)

// onDisk runs f beside a coordinator whose one partition lies in a log directory of d.
func onDisk(t *testing.T, d *disk.Mem, f func(c *cluster, p *replica.Partition)) {
	logger := slog.New(slog.DiscardHandler)
	const path = "/data"
	if _, err := commitlog.ReadMeta(d, path); err != nil {
		if err := commitlog.InitDir(d, path, commitlog.Meta{ClusterID: "c", NodeID: self, DirectoryID: commitlog.NewDirectoryID()}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := commitlog.OpenDir(d, path, commitlog.DirOptions{Logger: logger, MinFree: -1, BallastBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	set := replica.New(replica.Config{
		NodeID: self, Dirs: []*commitlog.Dir{dir}, Codecs: record.NewCodecs(1), MaxLag: time.Minute, Logger: logger, Registerer: prometheus.NewRegistry(),
		TopicOptions: func(*metadata.Image, string) (commitlog.Options, error) {
			return commitlog.Options{SegmentBytes: 32 << 10, Compact: true, FlushBeforeAck: true, IndexIntervalBytes: 4096}, nil
		},
	})
	c := &cluster{t: t, image: metadata.New("c"), reg: prometheus.NewRegistry()}
	c.g = NewGroups(Config{
		NodeID: self, Options: options(), Partitions: 50, Registerer: c.reg, Source: Replicas(set, OffsetsTopic),
		Codecs: record.NewCodecs(1), Logger: logger,
	})
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 2)
	go func() { stopped <- dir.Run(ctx) }()
	go func() { stopped <- c.g.Run(ctx) }()
	image, delta, err := c.image.Apply([]metadata.Record{
		&wire.TopicRecord{Name: OffsetsTopic, TopicId: topicID},
		&wire.PartitionRecord{PartitionId: 0, TopicId: topicID, Replicas: []int32{self}, Isr: []int32{self}, Leader: self, LeaderEpoch: 1},
	}, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	set.Observe(delta, image)
	c.g.Observe(delta, image)
	p, err := set.Partition(OffsetsTopic, 0)
	if err != nil {
		t.Fatal(err)
	}
	f(c, p)
	cancel()
	<-stopped
	<-stopped
}

// eventually calls d until the shard is loaded.
func (c *cluster) eventually(groupID, topic string, partition int32) int64 {
	for deadline := time.Now().Add(10 * time.Second); ; {
		body, err := c.g.Call(c.t.Context(), groupID, fetch(groupID, topic, partition))
		if err == nil {
			return body.(*wire.OffsetFetchResponseOffsetFetchResponseGroup).Topics[0].Partitions[0].CommittedOffset
		}
		if code.Of(err) != code.CoordinatorLoadInProgress || time.Now().After(deadline) {
			c.t.Fatal(err)
		}
	}
}

func TestAcknowledgedOffsetsSurviveAPowerFailure(t *testing.T) {
	d := disk.NewMem(1)
	states := []*disk.Mem{d}
	acked := map[string]int64{}
	onDisk(t, d, func(c *cluster, p *replica.Partition) {
		for i := range int64(4000) {
			id := fmt.Sprint("g", i%13)
			c.call(id, commit(id, "t", int32(i%5), i))
			acked[fmt.Sprint(id, " ", i%5)] = i
		}
		// Rolls have written snapshots, and old segments are gone.
		if b := p.Log().Bounds(); b.Start < b.End/2 || p.Log().Size() > 128<<10 {
			t.Errorf("the log goes from %d to %d in %d bytes", b.Start, b.End, p.Log().Size())
		}
		for seed := range uint64(6) {
			crashed := d.Clone(seed)
			crashed.Crash()
			states = append(states, crashed)
		}
	})
	for _, state := range states {
		onDisk(t, state, func(c *cluster, _ *replica.Partition) {
			for key, want := range acked {
				var id string
				var partition int32
				fmt.Sscan(key, &id, &partition)
				if got := c.eventually(id, "t", partition); got != want {
					t.Errorf("%s: %d is committed, %d was acknowledged", key, got, want)
				}
			}
		})
	}
}
