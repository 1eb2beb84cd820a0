package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
)

// TestNoWakeUpIsLost lets many readers wait for partitions that many writers append
// to, in both classes. A reader looks only at what its waiter says moved, and never
// twice in vain: a wake-up that is lost leaves it waiting for ever.
func TestNoWakeUpIsLost(t *testing.T) {
	const partitions, writers, readers, appends = 6, 4, 12, 150
	b := startBroker(t)
	b.topic("cached", 1, partitions/2, sole)
	b.topic("durable", 2, partitions/2, sole, "flush.before.ack=true")
	var all []*Partition
	for i := range int32(partitions / 2) {
		all = append(all, b.get("cached", i), b.get("durable", i))
	}
	const total = writers * appends // a partition's end, when all is done
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			records := batch(record.BuilderOptions{}, "x")
			for range appends {
				for _, p := range all {
					record.Batch(records).SetBaseOffset(0)
					e := Produced{Records: records}
					if err := errors.Join(p.Append([]*Produced{&e}, plain()), e.Entry.Err); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for r := range readers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(r)))
			w := NewWaiter()
			watches := make([]Watch, partitions)
			events := []Events{OnWatermark, OnWatermark | OnEnd, OnWatermark | OnFlush}[r%3]
			offsets := make([]int64, partitions)
			read := func(i int32) {
				var res ReadResult
				q := ReadQuery{Offset: offsets[i], MaxBytes: 1 << 20, MinOne: true, LeaderEpoch: -1, FetchedEpoch: -1}
				for {
					if err := all[i].Read(&q, &res); err != nil {
						t.Errorf("read: %v", err)
						return
					}
					if res.Data.Len() == 0 {
						break
					}
					q.Offset = res.Data.NextOffset()
					res.Data.Release()
				}
				offsets[i] = q.Offset
			}
			done := func() bool {
				for _, o := range offsets {
					if o < total {
						return false
					}
				}
				return true
			}
			var moved []int32
			for i := range watches {
				watches[i].Start(all[i], w, int32(i), events)
				read(int32(i))
			}
			for !done() {
				select {
				case <-w.Ready():
				case <-ctx.Done():
					t.Errorf("reader %d waits for ever at %v", r, offsets)
					return
				}
				moved = w.Moved(moved[:0], func(slot int32) *Watch { return &watches[slot] })
				for _, i := range moved {
					read(i)
				}
				if rng.IntN(8) == 0 { // it goes away and comes back, as one request after another does
					i := rng.IntN(partitions)
					watches[i].Stop()
					watches[i].Start(all[i], w, int32(i), events)
					read(int32(i))
				}
			}
			for i := range watches {
				watches[i].Stop()
			}
		})
	}
	wg.Wait()
	for _, p := range all {
		if p.watched.Load() || len(p.watches) != 0 {
			t.Errorf("%s-%d still has %d watches", p.topic, p.index, len(p.watches))
		}
	}
}

func TestMovedNamesEachSlotOnce(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 3, sole)
	w := NewWaiter()
	watches := make([]Watch, 3)
	for i := range watches {
		watches[i].Start(b.get("t", int32(i)), w, int32(10+i), OnWatermark)
	}
	watch := func(slot int32) *Watch { return &watches[slot-10] }
	mustAppend(t, b.get("t", 2), "a")
	mustAppend(t, b.get("t", 0), "a")
	mustAppend(t, b.get("t", 2), "b")
	<-w.Ready()
	same(t, w.Moved(nil, watch), []int32{12, 10})
	same(t, w.Moved(nil, watch), []int32{})
	mustAppend(t, b.get("t", 2), "c")
	same(t, w.Moved(nil, watch), []int32{12})
	watches[2].Stop()
	watches[2].Stop()
	equal(t, watches[2].Active(), false)
	mustAppend(t, b.get("t", 2), "d")
	same(t, w.Moved(nil, watch), []int32{})
	// Started twice it is registered once, and with the later one.
	watches[0].Start(b.get("t", 1), w, 10, OnEnd)
	equal(t, len(b.get("t", 0).watches), 0)
	equal(t, watches[0].Partition(), b.get("t", 1))
	mustAppend(t, b.get("t", 0), "e")
	same(t, w.Moved(nil, watch), []int32{})
	mustAppend(t, b.get("t", 1), "f")
	same(t, w.Moved(nil, watch), []int32{11, 10})
}

func TestWatchesAreWokenByWhatTheyWaitFor(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, []int32{self, 2}, "flush.before.ack=true")
	p := b.get("t", 0)
	b.disk.stall.Lock()
	unlock := sync.OnceFunc(b.disk.stall.Unlock)
	defer unlock()
	var watches [3]Watch
	var waiters [3]*Waiter
	for i, e := range []Events{OnWatermark, OnEnd, OnFlush} {
		waiters[i] = NewWaiter()
		watches[i].Start(p, waiters[i], 0, e)
		defer watches[i].Stop()
	}
	woken := func() string {
		s := ""
		for i, name := range []string{"watermark ", "end ", "flush "} {
			select {
			case <-waiters[i].Ready():
				s += name
				waiters[i].Moved(nil, func(int32) *Watch { return &watches[i] })
			default:
			}
		}
		return s
	}
	mustAppend(t, p, "a")
	equal(t, woken(), "end ")
	must(t, p.Followed(&ReadQuery{FollowerID: 2, LeaderEpoch: 0, Offset: 1}, now))
	equal(t, woken(), "") // not flushed
	unlock()
	<-waiters[2].Ready() // the last one that is told
	waiters[2].Wake()
	equal(t, woken(), "watermark flush ")
	_, err := p.DeleteRecords(-1)
	must(t, err)
	equal(t, woken(), "watermark ")
	for what, f := range map[string]func(){
		"leadership": func() { b.lead(1, 2, nil) },
		"deletion":   func() { b.set.remove(p) },
	} {
		f()
		if got := woken(); got != "watermark end flush " {
			t.Errorf("%s wakes %q", what, got)
		}
	}
	// Nothing will ever move: who comes now is told at once.
	w := NewWaiter()
	var h Watch
	h.Start(p, w, 0, OnEnd)
	defer h.Stop()
	<-w.Ready()
	_, err = appendTo(p, plain(), batch(record.BuilderOptions{}, "b"))
	holds(t, err, code.NotLeaderOrFollower)
}

func TestAFailedDirectoryWakesWhoWaits(t *testing.T) {
	b := startBroker(t)
	b.topic("t", 1, 1, sole, "flush.before.ack=true")
	p := b.get("t", 0)
	b.disk.Fail(func(op disk.Op, _ string) error {
		if op == disk.OpSync {
			return fmt.Errorf("the disk is broken")
		}
		return nil
	})
	last := mustAppend(t, p, "a")
	until(t, p, OnWatermark, "failed", func() bool { return p.Log().Failed() != nil })
	equal(t, p.Committed(-1, last), false)
	holds(t, p.Read(&ReadQuery{MaxBytes: 1, LeaderEpoch: -1, FetchedEpoch: -1}, new(ReadResult)), code.KafkaStorageError)
	_, err := appendTo(p, plain(), batch(record.BuilderOptions{}, "b"))
	holds(t, err, code.KafkaStorageError)
	if err := b.stop(); err == nil {
		t.Fatal("Run says nothing of the directory that failed")
	}
	equal(t, b.set.offline(), 1)
}
