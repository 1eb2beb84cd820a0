package replica

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
	"github.com/prometheus/client_golang/prometheus"
)

func TestPartitionsAreFoundByNameAndID(t *testing.T) {
	b := startBroker(t)
	b.topic("here", 1, 2, sole)
	b.topic("there", 2, 1, []int32{7})
	find := func(name string, topic byte, index int32, want, wantID error) {
		t.Helper()
		if _, err := b.set.Partition(name, index); code.Of(err) != code.Of(want) {
			t.Errorf("%s-%d: %v", name, index, err)
		}
		if _, err := b.set.PartitionByID(id(topic), index); code.Of(err) != code.Of(wantID) {
			t.Errorf("id %d-%d: %v", topic, index, err)
		}
	}
	find("here", 1, 0, nil, nil)
	find("here", 1, 1, nil, nil)
	find("here", 1, 2, code.UnknownTopicOrPartition, code.UnknownTopicOrPartition)
	find("here", 1, -1, code.UnknownTopicOrPartition, code.UnknownTopicOrPartition)
	find("there", 2, 0, code.NotLeaderOrFollower, code.NotLeaderOrFollower)
	find("there", 2, 5, code.UnknownTopicOrPartition, code.UnknownTopicOrPartition)
	find("nowhere", 9, 0, code.UnknownTopicOrPartition, code.UnknownTopicId)
	var names []string
	b.topic("a", 3, 1, sole)
	for _, p := range b.set.All() {
		names = append(names, fmt.Sprint(p.Topic(), "-", p.Index()))
	}
	same(t, names, []string{"a-0", "here-0", "here-1"})
}

func TestTopicsGrow(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	p := b.get("t", 0)
	mustAppend(t, p, "a")
	b.apply(b.partition(1, 1, sole), b.partition(1, 2, []int32{7}))
	if b.get("t", 0) != p {
		t.Fatal("growing a topic replaced its partition")
	}
	mustAppend(t, b.get("t", 1), "b")
	_, err := b.set.Partition("t", 2)
	holds(t, err, code.NotLeaderOrFollower)
}

// TestANameThatComesBackIsAnotherTopic is KAFKA-12257, also when deletion and creation come at once.
func TestANameThatComesBackIsAnotherTopic(t *testing.T) {
	d := &slowDisk{Mem: disk.NewMem(1)}
	b := startBrokerOn(t, d, 1)
	b.topic("t", 1, 1, sole)
	old := b.get("t", 0)
	for range 3 {
		b.lead(1, self, nil)
	}
	mustAppend(t, old, "a", "b")
	b.apply(&wire.RemoveTopicRecord{TopicId: id(1)}, &wire.TopicRecord{Name: "t", TopicId: id(2)}, b.partition(2, 0, sole))
	p := b.get("t", 0)
	equal(t, p.TopicID(), id(2))
	_, epoch := p.Leader()
	same(t, []int64{int64(epoch), p.HighWatermark(), p.Log().Bounds().End, int64(p.Log().LastEpoch())}, []int64{0, 0, 0, 0})
	_, err := b.set.PartitionByID(id(1), 0)
	holds(t, err, code.UnknownTopicId)
	_, err = appendTo(old, plain(), batch(record.BuilderOptions{}, "x"))
	holds(t, err, code.NotLeaderOrFollower)
	holds(t, old.Read(&ReadQuery{MaxBytes: 1, LeaderEpoch: -1, FetchedEpoch: -1}, new(ReadResult)), code.NotLeaderOrFollower)
	_, err = old.DeleteRecords(-1)
	holds(t, err, code.NotLeaderOrFollower)
	mustAppend(t, p, "c")
	same(t, values(t, p, ReadQuery{}), []string{"c"})

	// Deleted and made again while the broker was down.
	must(t, b.stop())
	b = startBrokerOn(t, d, 1)
	b.topic("t", 3, 1, sole)
	p = b.get("t", 0)
	equal(t, p.Log().Bounds().End, 0)
	same(t, values(t, p, ReadQuery{}), []string{})

	b.apply(&wire.RemoveTopicRecord{TopicId: id(3)})
	_, err = b.set.Partition("t", 0)
	holds(t, err, code.UnknownTopicOrPartition)
	equal(t, len(b.set.All()), 0)
}

func TestAPartitionThatMovesAwayIsDeletedHere(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 2, []int32{self, 2})
	p := b.get("t", 0)
	mustAppend(t, p, "a")
	w := NewWaiter()
	var h Watch
	h.Start(p, w, 0, OnEnd)
	defer h.Stop()
	r := wire.NewPartitionChangeRecord()
	r.TopicId, r.PartitionId, r.Replicas, r.Isr, r.Leader = id(1), 0, []int32{2, 3}, []int32{2}, 2
	b.apply(r)
	<-w.Ready()
	_, err := b.set.Partition("t", 0)
	holds(t, err, code.NotLeaderOrFollower)
	equal(t, len(b.set.All()), 1)
	// And back again, empty.
	r = wire.NewPartitionChangeRecord()
	r.TopicId, r.PartitionId, r.Replicas = id(1), 0, []int32{2, self}
	b.apply(r)
	equal(t, b.get("t", 0).Log().Bounds().End, 0)
}

func TestAPartitionThatCannotBeOpenedIsOfflineAlone(t *testing.T) {
	b := startBroker(t)
	_, err := b.set.cfg.Dirs[0].Open(commitlog.ID{Topic: "bad", TopicID: id(1)}, commitlog.Options{}, nil) // somebody has it open
	must(t, err)
	b.apply(&wire.TopicRecord{Name: "bad", TopicId: id(1)}, b.partition(1, 0, sole), &wire.TopicRecord{Name: "good", TopicId: id(2)}, b.partition(2, 0, sole))
	_, err = b.set.Partition("bad", 0)
	holds(t, err, code.KafkaStorageError)
	equal(t, b.set.offline(), 1)
	mustAppend(t, b.get("good", 0), "a")
	if n := strings.Count(b.log.String(), "cannot be opened"); n != 1 {
		t.Errorf("it was told %d times:\n%s", n, b.log)
	}
	b.apply(&wire.RemoveTopicRecord{TopicId: id(1)})
	equal(t, b.set.offline(), 0)
}

func TestBrokerDefaultsReachEveryTopicAndBadOnesNone(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	b.topic("own", 2, 1, sole, "compression.type=gzip")
	value := "lz4"
	b.apply(&wire.ConfigRecord{ResourceType: metadata.BrokerResource, ResourceName: "", Name: "compression.type", Value: &value})
	equal(t, b.get("t", 0).Log().Options().CompressionType, "lz4")
	equal(t, b.get("own", 0).Log().Options().CompressionType, "gzip")
	b.apply(b.configs("own", "no.such=1")...)
	equal(t, b.get("own", 0).Log().Options().CompressionType, "gzip")
	b.topic("new", 3, 1, sole, "no.such=1")
	equal(t, b.get("new", 0).Log().Options().FlushBeforeAck, true)
}

func TestDirectoriesAreFilledEvenlyAndFoundAgain(t *testing.T) {
	d := &slowDisk{Mem: disk.NewMem(1)}
	b := startBrokerOn(t, d, 3)
	b.topic("t", 1, 7, sole)
	count := map[wire.UUID]int{}
	home := map[int32]wire.UUID{}
	for _, p := range b.set.All() {
		count[p.Directory()]++
		home[p.Index()] = p.Directory()
		mustAppend(t, p, fmt.Sprint(p.Index()))
	}
	for _, n := range count {
		if n < 2 || n > 3 {
			t.Errorf("partitions lie unevenly: %v", count)
		}
	}
	must(t, b.stop())
	b = startBrokerOn(t, d, 3)
	b.topic("t", 1, 7, sole)
	for _, p := range b.set.All() {
		if p.Directory() != home[p.Index()] {
			t.Errorf("partition %d lay elsewhere", p.Index())
		}
		same(t, values(t, p, ReadQuery{}), []string{fmt.Sprint(p.Index())})
	}
	// The metadata may say where.
	r := b.partition(2, 0, sole)
	r.Directories = []wire.UUID{b.set.cfg.Dirs[2].Meta().DirectoryID}
	b.apply(&wire.TopicRecord{Name: "said", TopicId: id(2)}, r)
	equal(t, b.get("said", 0).Directory(), b.set.cfg.Dirs[2].Meta().DirectoryID)
}

func TestManyPartitionsAtOnce(t *testing.T) {
	b := startBroker(t)
	const partitions, appends = 200, 20
	b.topic("t", 1, partitions, sole, "flush.before.ack=true")
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range appends {
				for i := w; i < partitions; i += 8 {
					p, err := b.set.PartitionByID(id(1), int32(i))
					if err != nil {
						t.Error(err)
						return
					}
					if last := mustAppend(t, p, "x"); last != int64(n) {
						t.Errorf("partition %d: offset %d at append %d", i, last, n)
					}
				}
			}
		})
	}
	wg.Go(func() { // meanwhile topics come, change and go
		for n := range 20 {
			b.topic(fmt.Sprint("other", n), 7, 3, sole)
			b.apply(b.configs("t", fmt.Sprintf("segment.bytes=%d", 1<<20+n))...)
			b.set.All()
			b.apply(&wire.RemoveTopicRecord{TopicId: id(7)})
		}
	})
	wg.Wait()
	for _, p := range b.set.All() {
		until(t, p, OnWatermark, "committed", func() bool { return p.Committed(-1, appends-1) })
		equal(t, len(values(t, p, ReadQuery{})), appends)
	}
}

func TestMetricsCount(t *testing.T) {
	d := &slowDisk{Mem: disk.NewMem(1)}
	b := startBrokerOn(t, d, 1)
	b.topic("t", 1, 2, sole)
	b.topic("r", 2, 1, []int32{self, 2}, "min.insync.replicas=2")
	b.topic("f", 3, 1, []int32{2, self})
	b.lead(2, self, []int32{self})
	reg := prometheus.NewRegistry()
	b.set.register(reg)
	families, err := reg.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		if name, ok := strings.CutPrefix(f.GetName(), "kafka_server_replicamanager_"); ok {
			got[name] = f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	same(t, got, map[string]float64{"partitioncount": 4, "leadercount": 3, "underreplicatedpartitions": 1, "underminisrpartitioncount": 1, "atminisrpartitioncount": 2,
		"offlinereplicacount": 0, "isrshrinks_total": 1, "isrexpands_total": 0})
}

func TestTheTotalsOfADeletedTopicStayInTheBrokers(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole)
	p, err := b.set.Partition("t", 0)
	must(t, err)
	p.Stats().BytesIn.Add(7)
	b.apply(&wire.RemoveTopicRecord{TopicId: id(1)})
	equal(t, b.set.Totals().BytesIn, int64(7))
	b.set.Topics(func(name string, _ wire.UUID, _ TopicTotals) { t.Errorf("topic %s is there still", name) })
}

func TestALeaderCountsReplicasThatLeaveAndComeBack(t *testing.T) {
	b := startBroker(t)
	both := []int32{self, 2}
	b.topic("t", 1, 1, both)
	b.lead(1, self, both)
	b.lead(1, self, sole)
	equal(t, b.set.shrinks.Load(), int64(1))
	b.lead(1, self, both)
	equal(t, b.set.expands.Load(), int64(1))
	equal(t, b.set.shrinks.Load(), int64(1))
}

func TestUnusedLogsStay(t *testing.T) {
	d := &slowDisk{Mem: disk.NewMem(1)}
	b := startBrokerOn(t, d, 1)
	b.topic("t", 1, 1, sole)
	mustAppend(t, b.get("t", 0), "a")
	must(t, b.stop())
	// No metadata: no reason to delete anything (failure case 19).
	b = startBrokerOn(t, d, 1)
	b.apply(&wire.TopicRecord{Name: "other", TopicId: id(2)})
	same(t, b.set.cfg.Dirs[0].Found(), []commitlog.ID{{Topic: "t", TopicID: id(1)}})
	b.topic("t", 1, 1, sole)
	same(t, values(t, b.get("t", 0), ReadQuery{}), []string{"a"})
}

// Whoever reads a partition while its topic is deleted is told that it is not here, and not that a disk failed.
func TestAReadDuringADeletionIsNoFailureOfTheDisk(t *testing.T) {
	b := startBroker(t)
	const partitions = 200
	b.topic("t", 1, partitions, sole)
	var list []*Partition
	for i := range partitions {
		list = append(list, b.get("t", int32(i)))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var out ReadResult
			for _, p := range list {
				var err error
				for err == nil {
					err = p.Read(&ReadQuery{MaxBytes: 1, LeaderEpoch: -1, FetchedEpoch: -1}, &out)
				}
				if code.Of(err) != code.NotLeaderOrFollower {
					t.Errorf("partition %d: %v", p.Index(), err)
				}
			}
		})
	}
	b.apply(&wire.RemoveTopicRecord{TopicId: id(1)})
	wg.Wait()
}
