package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// broker is a Set on disks in memory with the metadata that it observes.
type broker struct {
	t    *testing.T
	disk *slowDisk
	set  *Set
	img  *metadata.Image
	next int64
	log  *lockedBuffer
	stop func() error
}

// slowDisk is a disk in memory whose fsyncs wait for whoever holds stall, and nothing else does.
type slowDisk struct {
	*disk.Mem
	stall sync.Mutex
}

type slowFile struct {
	disk.File
	d *slowDisk
}

func (d *slowDisk) wait() {
	d.stall.Lock()
	defer d.stall.Unlock()
}

func (d *slowDisk) Create(path string) (disk.File, error) { return d.slow(d.Mem.Create(path)) }

func (d *slowDisk) Open(path string) (disk.File, error) { return d.slow(d.Mem.Open(path)) }

func (d *slowDisk) slow(f disk.File, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return &slowFile{f, d}, nil
}

func (f *slowFile) Sync() error {
	f.d.wait()
	return f.File.Sync()
}

func (d *slowDisk) SyncAll(path string) error {
	d.wait()
	return d.Mem.SyncAll(path)
}

// lockedBuffer takes what is logged.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const self = 1

func startBroker(t *testing.T) *broker { return startBrokerOn(t, &slowDisk{Mem: disk.NewMem(1)}, 1) }

// startBrokerOn starts a broker on so many directories of a disk; they run until
// the test ends or stop is called.
func startBrokerOn(t *testing.T, d *slowDisk, dirs int) *broker {
	b := &broker{t: t, disk: d, img: metadata.New("cluster"), log: &lockedBuffer{}}
	logger := slog.New(slog.NewTextHandler(b.log, nil))
	cfg := Config{NodeID: self, Codecs: record.NewCodecs(2), MaxLag: 30 * time.Second, TopicOptions: topicOptions, Logger: logger}
	cache := commitlog.NewTailCache(16 << 20)
	for i := range dirs {
		path := fmt.Sprintf("/data%d", i)
		if _, err := commitlog.ReadMeta(d, path); err != nil {
			must(t, commitlog.InitDir(d, path, commitlog.Meta{ClusterID: "cluster", NodeID: self, DirectoryID: commitlog.NewDirectoryID()}))
		}
		dir, err := commitlog.OpenDir(d, path, commitlog.DirOptions{Logger: logger, TailCache: cache, MinFree: -1, BallastBytes: -1})
		must(t, err)
		cfg.Dirs = append(cfg.Dirs, dir)
	}
	b.set = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.set.Run(ctx) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { b.stop() })
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// topicOptions understands the few keys that the tests set. Logs are of the page-cache class unless they say otherwise.
func topicOptions(image *metadata.Image, topic string) (commitlog.Options, error) {
	o := commitlog.DefaultOptions()
	o.FlushBeforeAck, o.FileDeleteDelayMs = false, 0
	values := map[string]string{}
	for k, v := range image.Config(metadata.BrokerResource, "") {
		values[k] = v
	}
	for k, v := range image.Config(metadata.TopicResource, topic) {
		values[k] = v
	}
	for k, v := range values {
		switch k {
		case "flush.before.ack":
			o.FlushBeforeAck = v == "true"
		case "flush.messages":
			o.FlushMessages, _ = strconv.ParseInt(v, 10, 64)
		case "min.insync.replicas":
			n, _ := strconv.Atoi(v)
			o.MinInsyncReplicas = int32(n)
		case "cleanup.policy":
			o.Delete, o.Compact = strings.Contains(v, "delete"), strings.Contains(v, "compact")
		case "message.timestamp.type":
			if v == "LogAppendTime" {
				o.TimestampType = record.LogAppendTime
			}
		case "compression.type":
			o.CompressionType = v
		case "max.message.bytes":
			o.MaxMessageBytes, _ = strconv.Atoi(v)
		case "message.timestamp.before.max.ms":
			o.TimestampBeforeMaxMs, _ = strconv.ParseInt(v, 10, 64)
		case "segment.bytes":
			o.SegmentBytes, _ = strconv.ParseInt(v, 10, 64)
		default:
			return o, fmt.Errorf("no such key %s", k)
		}
	}
	return o, nil
}

// apply adds records to the metadata log and lets the set observe them.
func (b *broker) apply(recs ...metadata.Record) {
	b.t.Helper()
	img, delta, err := b.img.Apply(recs, b.next, 1)
	must(b.t, err)
	b.next += int64(len(recs))
	b.img = img
	b.set.Observe(delta, img)
}

func id(n byte) wire.UUID { return wire.UUID{0: n, 15: n} }

// topic makes a topic whose partitions lie on replicas, led by the first of them. configs are key=value.
func (b *broker) topic(name string, n byte, partitions int, replicas []int32, configs ...string) {
	b.t.Helper()
	recs := []metadata.Record{&wire.TopicRecord{Name: name, TopicId: id(n)}}
	for i := range partitions {
		recs = append(recs, b.partition(n, i, replicas))
	}
	b.apply(append(recs, b.configs(name, configs...)...)...)
}

func (b *broker) partition(topic byte, index int, replicas []int32) *wire.PartitionRecord {
	return &wire.PartitionRecord{TopicId: id(topic), PartitionId: int32(index), Replicas: replicas, Isr: replicas,
		Leader: replicas[0], Directories: make([]wire.UUID, len(replicas))}
}

func (b *broker) configs(topic string, configs ...string) (recs []metadata.Record) {
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		recs = append(recs, &wire.ConfigRecord{ResourceType: metadata.TopicResource, ResourceName: topic, Name: key, Value: &value})
	}
	return recs
}

// lead makes leader the leader of the topic's partition 0 in a new epoch; isr may be nil for no change.
func (b *broker) lead(topic byte, leader int32, isr []int32) {
	b.t.Helper()
	r := wire.NewPartitionChangeRecord()
	r.TopicId, r.PartitionId, r.Leader, r.Isr = id(topic), 0, leader, isr
	b.apply(r)
}

// sole is the replicas of a partition that only this broker has.
var sole = []int32{self}

func (b *broker) get(name string, index int32) *Partition {
	b.t.Helper()
	p, err := b.set.Partition(name, index)
	must(b.t, err)
	return p
}

var now = time.UnixMilli(1_700_000_000_000)

// batch is a v2 batch with the given values; a value "key:value" has a key.
func batch(o record.BuilderOptions, values ...string) []byte {
	w := record.NewBuilder(record.NewCodecs(1), o)
	for i, v := range values {
		key, value, keyed := strings.Cut(v, ":")
		if !keyed {
			w.Append(now.UnixMilli()+int64(i), nil, []byte(v))
			continue
		}
		w.Append(now.UnixMilli()+int64(i), []byte(key), []byte(value))
	}
	b, err := w.Finish()
	if err != nil {
		panic(err)
	}
	return bytes.Clone(b)
}

// append appends batches as acks=1 does, one an entry, and returns the entries.
func appendTo(p *Partition, o AppendOptions, batches ...[]byte) ([]*Produced, error) {
	var entries []*Produced
	for _, b := range batches {
		entries = append(entries, &Produced{Records: b})
	}
	return entries, p.Append(entries, o)
}

func plain() AppendOptions { return AppendOptions{Acks: 1, Epoch: -1, Now: now} }

// mustAppend appends values in one batch and returns the last offset.
func mustAppend(t testing.TB, p *Partition, values ...string) int64 {
	t.Helper()
	e, err := appendTo(p, plain(), batch(record.BuilderOptions{}, values...))
	must(t, err)
	must(t, e[0].Entry.Err)
	return e[0].Entry.LastOffset
}

// values reads a partition from offset to its end and returns the values, and the query's result.
func values(t testing.TB, p *Partition, q ReadQuery) []string {
	t.Helper()
	out := []string{}
	var r ReadResult
	defer r.Data.Release()
	q.MinOne, q.LeaderEpoch, q.FetchedEpoch = true, -1, -1
	if q.MaxBytes == 0 {
		q.MaxBytes = 1 << 20
	}
	for {
		must(t, p.Read(&q, &r))
		if r.Data.Len() == 0 {
			return out
		}
		for rest := r.Data.Bytes(); len(rest) > 0; {
			b, after, err := record.Next(rest)
			must(t, err)
			must(t, b.Each(p.codecs, 1<<20, func(rec record.Record) error {
				if rec.Offset >= q.Offset {
					out = append(out, string(rec.Value))
				}
				return nil
			}))
			q.Offset, rest = b.NextOffset(), after
		}
		r.Data.Release()
	}
}

// until waits for a watched condition; the waiter tells when to look again.
func until(t testing.TB, p *Partition, events Events, what string, ok func() bool) {
	t.Helper()
	w := NewWaiter()
	var h Watch
	h.Start(p, w, 0, events)
	defer h.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-w.Ready():
			w.Moved(nil, func(int32) *Watch { return &h })
		case <-deadline:
			t.Fatalf("%s: never; bounds %+v, watermark %d", what, p.log.Bounds(), p.HighWatermark())
		}
	}
}

// holds says that err is the code c.
func holds(t testing.TB, err error, c code.Error) {
	t.Helper()
	if !errors.Is(err, c) {
		t.Fatalf("got %v, want %v", err, c)
	}
}

func equal[T comparable](t testing.TB, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func same(t testing.TB, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Fatalf("got %s, want %s", g, w)
	}
}

// topicOf is a topic as the metadata has it, without its partitions.
func topicOf(name string) *metadata.Topic { return &metadata.Topic{Name: name, ID: id(1)} }
