package replica

import (
	"bytes"
	"fmt"
	"runtime/debug"
	"testing"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/isr"
	"github.com/klamm/klamm/internal/record"
)

// hotPartition is one partition on real files, whose tail is being read.
func hotPartition(t testing.TB, o commitlog.Options) *Partition {
	dir := t.TempDir()
	must(t, commitlog.InitDir(disk.OS(), dir, commitlog.Meta{ClusterID: "c", NodeID: self, DirectoryID: commitlog.NewDirectoryID()}))
	d, err := commitlog.OpenDir(disk.OS(), dir, commitlog.DirOptions{MinFree: -1, BallastBytes: -1})
	must(t, err)
	t.Cleanup(func() { d.Close() })
	s := &Set{cfg: Config{NodeID: self, Codecs: record.NewCodecs(1), Dirs: []*commitlog.Dir{d}}}
	p, err := s.open(topicOf("t"), 0, d, o, new(TopicStats))
	must(t, err)
	must(t, p.become(isr.Partition{Replicas: sole, ISR: sole, Leader: self}, now))
	return p
}

func pageCache() commitlog.Options {
	o := commitlog.DefaultOptions()
	o.FlushBeforeAck = false
	return o
}

func TestAppendAndReadAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	stamped, compacted := pageCache(), pageCache()
	stamped.TimestampType = record.LogAppendTime
	compacted.Compact = true
	for name, o := range map[string]commitlog.Options{"plain": pageCache(), "durable": commitlog.DefaultOptions(), "LogAppendTime": stamped, "compacted": compacted} {
		t.Run(name, func(t *testing.T) {
			p := hotPartition(t, o)
			w := NewWaiter()
			var h Watch
			h.Start(p, w, 0, OnWatermark|OnEnd)
			defer h.Stop()
			watch := func(int32) *Watch { return &h }
			sent := batch(record.BuilderOptions{}, "k:a value of some length", "k:another one")
			records := bytes.Clone(sent)
			e := &Produced{Records: records}
			entries := []*Produced{e}
			moved := make([]int32, 0, 4)
			var r ReadResult
			q := ReadQuery{MaxBytes: 1 << 20, MinOne: true, LeaderEpoch: 0, FetchedEpoch: -1, Follower: o.FlushBeforeAck, FollowerID: 2}
			once := func() {
				copy(records, sent)
				if err := p.Append(entries, plain()); err != nil || e.Entry.Err != nil {
					t.Fatal(err, e.Entry.Err)
				}
				p.Committed(-1, e.Entry.LastOffset)
				moved = w.Moved(moved[:0], watch)
				q.Offset = e.Entry.BaseOffset
				if err := p.Read(&q, &r); err != nil || r.Data.Len() != len(records) {
					t.Fatal(err, r.Data.Len())
				}
				r.Data.Release()
			}
			for range 1000 {
				once()
			}
			if n := testing.AllocsPerRun(5000, once); n != 0 {
				t.Errorf("an append and a read allocate %v times", n)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := pageCache()
			o.SegmentBytes, o.RetentionBytes = 16<<20, 16<<20
			p := hotPartition(b, o)
			records := make([][]byte, n)
			entries := make([]*Produced, n)
			for i := range entries {
				records[i] = batch(record.BuilderOptions{}, string(make([]byte, 900)))
				entries[i] = &Produced{Records: records[i]}
			}
			b.ReportAllocs()
			b.SetBytes(int64(n * len(records[0])))
			for b.Loop() {
				for _, r := range records {
					record.Batch(r).SetBaseOffset(0)
				}
				must(b, p.Append(entries, plain()))
			}
		})
	}
}

func BenchmarkReadTail(b *testing.B) {
	p := hotPartition(b, pageCache())
	var r ReadResult
	q := ReadQuery{MaxBytes: 1 << 20, MinOne: true, LeaderEpoch: 0, FetchedEpoch: -1}
	mustAppend(b, p, "warm")
	must(b, p.Read(&q, &r))
	r.Data.Release()
	for range 100 {
		q.Offset = mustAppend(b, p, string(make([]byte, 900)))
	}
	b.ReportAllocs()
	for b.Loop() {
		must(b, p.Read(&q, &r))
		r.Data.Release()
	}
}
