package node_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/disk"
)

// place is where a record lies.
type place struct {
	partition int32
	offset    int64
}

// promises are what a broker has told clients.
type promises struct {
	mu        sync.Mutex
	kept      map[place]string // acknowledged, or shown to a consumer
	committed int64            // of the group "readers" for partition 0
}

func (p *promises) keep(r *kgo.Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[place{r.Partition, r.Offset}] = string(r.Value)
}

func (p *promises) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.kept)
}

// client is a client without patience.
func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }),
		kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// A node whose machine loses power at a random write comes back with everything that it acknowledged, that it
// showed to a consumer, and that it committed.
func TestACrashLosesNothingThatWasPromised(t *testing.T) {
	var acked, unclean atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d records were promised, over %d losses of power", acked.Load(), unclean.Load())
		if unclean.Load() < 40 {
			t.Errorf("only %d of 80 rounds lost power in the middle", unclean.Load())
		}
	})
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel() // a node without a disk takes its time to stop
			mem := disk.NewMem(seed)
			p := plan{dir: "data", disk: mem}
			kept := &promises{kept: map[place]string{}, committed: -1}
			n := boot(t, p)
			dialRaw(t, n.addr).createTopic("crash", 3)
			for round := range uint64(4) {
				useUntilThePowerGoes(t, n, mem, kept, round, rand.New(rand.NewPCG(seed, round)))
				if err := n.end(); err != nil {
					unclean.Add(1)
				}
				mem.Crash()
				n = boot(t, p)
				verify(t, n, kept)
			}
			acked.Add(int64(kept.len()))
			n.stop(t)
		})
	}
}

// useUntilThePowerGoes lets clients work until the disk of their node has lost power.
func useUntilThePowerGoes(t *testing.T, n *running, mem *disk.Mem, kept *promises, round uint64, rng *rand.Rand) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	producer := client(t, n.addr, kgo.ProducerLinger(0))
	consumer := client(t, n.addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"crash": {
		0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart(), 2: kgo.NewOffset().AtStart()}}))
	adm := kadm.NewClient(producer)

	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for i := 0; ctx.Err() == nil; i++ {
			for partition := range int32(3) {
				producer.Produce(ctx, &kgo.Record{Topic: "crash", Partition: partition, Value: fmt.Appendf(nil, "%d-%d-%d", round, partition, i)}, func(r *kgo.Record, err error) {
					if err == nil {
						kept.keep(r)
					} else {
						cancel()
					}
				})
			}
			if i%4 == 3 && producer.Flush(ctx) != nil {
				return
			}
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			consumer.PollFetches(ctx).EachRecord(kept.keep)
		}
	})
	wg.Go(func() {
		for at := max(0, kept.committed+1); ctx.Err() == nil; at++ {
			var o kadm.Offsets
			o.Add(kadm.Offset{Topic: "crash", Partition: 0, At: at, LeaderEpoch: -1})
			if err := adm.CommitAllOffsets(ctx, "readers", o); err == nil {
				kept.committed = at
			}
		}
	})
	mem.PowerOffAfter(100 + rng.Int64N(400))
	off := make(chan struct{})
	go func() { // the node ends of itself when its disk is gone
		defer close(off)
		for !n.said.has("has failed") && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}()
	<-off
	cancel()
	wg.Wait()
	producer.Close()
	consumer.Close()
}

// verify reads everything that a node has and compares it with what was promised.
func verify(t *testing.T, n *running, kept *promises) {
	t.Helper()
	c := dialRaw(t, n.addr)
	have := map[place]string{}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl := client(t, n.addr)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, "crash")
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	from := map[int32]kgo.Offset{}
	for partition := range int32(3) {
		end, _ := ends.Lookup("crash", partition)
		left += end.Offset
		from[partition] = kgo.NewOffset().AtStart()
	}
	reader := client(t, n.addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"crash": from}))
	defer reader.Close()
	seen := map[string]bool{}
	for left > 0 {
		f := reader.PollFetches(ctx)
		if err := f.Err0(); err != nil {
			t.Fatal(err)
		}
		f.EachRecord(func(r *kgo.Record) {
			left--
			have[place{r.Partition, r.Offset}] = string(r.Value)
			if seen[string(r.Value)] {
				t.Errorf("%s is there twice", r.Value)
			}
			seen[string(r.Value)] = true
		})
	}
	for at, value := range kept.kept {
		if have[at] != value {
			t.Errorf("partition %d offset %d holds %q, and was acknowledged or shown with %q", at.partition, at.offset, have[at], value)
		}
	}
	if at := c.committed("readers", "crash"); at < kept.committed {
		t.Errorf("committed %d, and %d was acknowledged", at, kept.committed)
	}
}
