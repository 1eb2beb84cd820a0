package api

import (
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

// onePartition is partition 0 of a topic, in memory.
func onePartition(t *testing.T) *replica.Partition {
	t.Helper()
	fs := disk.NewMem(1)
	if err := fs.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	if err := commitlog.InitDir(fs, "/data", commitlog.Meta{ClusterID: "c", NodeID: 1, DirectoryID: commitlog.NewDirectoryID()}); err != nil {
		t.Fatal(err)
	}
	d, err := commitlog.OpenDir(fs, "/data", commitlog.DirOptions{MinFree: -1, BallastBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	s := replica.New(replica.Config{NodeID: 1, Dirs: []*commitlog.Dir{d}, Codecs: record.NewCodecs(1), MaxLag: time.Minute,
		TopicOptions: func(*metadata.Image, string) (commitlog.Options, error) { return commitlog.DefaultOptions(), nil }})
	replicas := []int32{1}
	image, delta, err := metadata.New("c").Apply([]metadata.Record{
		&wire.TopicRecord{Name: "t", TopicId: wire.UUID{1}},
		&wire.PartitionRecord{TopicId: wire.UUID{1}, Replicas: replicas, Isr: replicas, Leader: 1, Directories: make([]wire.UUID, 1)},
	}, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Observe(delta, image)
	p, err := s.Partition("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestATopicCountsWhatClientsDoWithIt(t *testing.T) {
	p := onePartition(t)
	m := newMetrics(prometheus.NewRegistry())
	taken := slot{partition: p, produced: replica.Produced{Records: make([]byte, 100), Entry: commitlog.Entry{BaseOffset: 5, LastOffset: 7}}}
	again := taken
	again.produced.Entry.Duplicate = true
	large := slot{partition: p, produced: replica.Produced{Records: make([]byte, 1000)}, err: code.MessageTooLarge}
	for _, l := range []*slot{&taken, &again, &large} {
		m.appended(l)
	}
	read := fetchPart{partition: p, size: 40}
	failed := fetchPart{partition: p, err: code.OffsetOutOfRange}
	for _, f := range []*fetchPart{&read, &failed, {}} {
		f.looked()
	}
	read.sent(false)
	read.sent(true) // to a replica
	want := replica.TopicTotals{ProduceRequests: 3, FailedProduceRequests: 1, MessagesIn: 3, BytesIn: 100, BytesRejected: 1000, FetchRequests: 2, FailedFetchRequests: 1, BytesOut: 40}
	if got := p.Stats().Totals(); got != want {
		t.Errorf("counted are %+v, want %+v", got, want)
	}
	n := testing.AllocsPerRun(100, func() {
		m.appended(&taken)
		read.looked()
		read.sent(false)
	})
	if n != 0 {
		t.Errorf("counting allocates %v times", n)
	}
}
