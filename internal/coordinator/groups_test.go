package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// bubble runs f beside a coordinator that leads all its partitions, in virtual time.
func bubble(t *testing.T, partitions int, f func(t *testing.T, c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, partitions)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.g.Run(ctx) }()
		c.elect(self, 1)
		synctest.Wait()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		f(t, c)
	})
}

func TestPartitionIsJavasHashOverUTF16(t *testing.T) {
	c := newCluster(t, 1)
	for id, want := range map[string]int32{
		"": 0, "g": 103, "group-1": 293427299, "console-consumer-12345": 158455506, "größe": 98762257,
		"😀emoji": -1233692477, "漢字": 905333, "polygenelubricants": -2147483648,
	} {
		if got := javaHash(id); got != want {
			t.Errorf("hash of %q is %d, want %d", id, got, want)
		}
		if got := c.g.PartitionFor(id); got != (want&0x7fffffff)%50 {
			t.Errorf("%q is in partition %d", id, got)
		}
	}
}

func TestGroupRebalancesAndSurvivesAReload(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		a := c.call("g", join("g", "")).(*wire.JoinGroupResponse)
		sync := group.Sync(&wire.SyncGroupRequest{GroupId: "g", GenerationId: a.GenerationId, MemberId: a.MemberId,
			Assignments: []wire.SyncGroupRequestSyncGroupRequestAssignment{{MemberId: a.MemberId, Assignment: []byte("A")}}})
		if s := c.call("g", sync).(*wire.SyncGroupResponse); s.ErrorCode != 0 || string(s.Assignment) != "A" {
			t.Fatalf("%+v", s)
		}
		if n := c.metric("kafka_coordinator_group_groupmetadatamanager_numgroupsstable"); n != 1 {
			t.Errorf("%v groups are stable", n)
		}
		c.elect(self, 2)
		synctest.Wait()
		beat := group.Heartbeat(&wire.HeartbeatRequest{GroupId: "g", GenerationId: a.GenerationId, MemberId: a.MemberId})
		for range 5 {
			time.Sleep(8 * time.Second)
			if h := c.call("g", beat).(*wire.HeartbeatResponse); h.ErrorCode != 0 {
				t.Fatal(code.Error(h.ErrorCode))
			}
		}
		time.Sleep(11 * time.Second)
		d := c.call("g", group.Describe("g", 5)).(*wire.DescribeGroupsResponseDescribedGroup)
		if d.GroupState != "Empty" {
			t.Errorf("a silent member's group is %s", d.GroupState)
		}
		if n := c.metric("kafka_coordinator_group_groupmetadatamanager_numgroups"); n != 1 {
			t.Errorf("%v groups", n)
		}
	})
}

func TestAnswersWaitForTheWatermark(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		p := c.parts[0]
		p.hold()
		w, r := NewPending(), NewPending()
		c.g.Do("g", commit("g", "t", 0, 5), w)
		synctest.Wait()
		c.g.Do("g", fetch("g", "t", 0), r) // a read waits for what it saw
		synctest.Wait()
		if w.Take() != nil || r.Take() != nil {
			t.Fatal("answered before the record is replicated")
		}
		p.release()
		<-w.Ready()
		<-r.Ready()
		if got := r.Take().(*wire.OffsetFetchResponseOffsetFetchResponseGroup).Topics[0].Partitions[0].CommittedOffset; got != 5 {
			t.Errorf("read %d", got)
		}
		p.hold()
		begun := time.Now()
		_, err := c.g.Call(t.Context(), "g", commit("g", "t", 0, 6))
		if code.Of(err) != code.CoordinatorNotAvailable || time.Since(begun) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		p.release()
		if got := c.committed("g", "t", 0); got != 6 {
			t.Errorf("read %d: what is written stays, though nobody waited", got)
		}
	})
}

func TestFailedAppendDropsTheShardWhichReloads(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		c.call("g", commit("g", "t", 0, 5))
		parked := NewPending()
		c.call("j", join("j", ""))
		c.g.Do("j", join("j", ""), parked) // the first member does not rejoin
		synctest.Wait()
		for _, e := range []struct{ log, client code.Error }{
			{code.KafkaStorageError, code.NotCoordinator},
			{code.NotEnoughReplicas, code.CoordinatorNotAvailable},
			{code.MessageTooLarge, code.UnknownServerError},
		} {
			c.parts[0].mu.Lock()
			c.parts[0].fails = e.log
			c.parts[0].mu.Unlock()
			if _, err := c.g.Call(t.Context(), "g", commit("g", "t", 0, 6)); code.Of(err) != e.client {
				t.Errorf("%v becomes %v, want %v", e.log, err, e.client)
			}
			if _, err := c.g.Call(t.Context(), "g", fetch("g", "t", 0)); code.Of(err) != code.CoordinatorLoadInProgress {
				t.Errorf("meanwhile: %v", err)
			}
			if _, err := c.g.Each(t.Context(), group.List(&wire.ListGroupsRequest{})); code.Of(err) != code.CoordinatorLoadInProgress {
				t.Errorf("list: %v", err)
			}
			time.Sleep(time.Second)
			if got := c.committed("g", "t", 0); got != 5 {
				t.Errorf("%d is committed: the failed commit is not to be seen", got)
			}
		}
		<-parked.Ready()
		if err, ok := parked.Take().(error); !ok || code.Of(err) != code.NotCoordinator {
			t.Errorf("a parked call: %v", err)
		}
	})
}

func TestWhoWaitsForALogThatFailedIsAnsweredAtOnce(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		p, w := c.parts[0], NewPending()
		p.hold()
		c.g.Do("g", commit("g", "t", 0, 5), w)
		synctest.Wait()
		begun := time.Now()
		p.mu.Lock()
		p.failure = code.KafkaStorageError
		p.wake()
		p.mu.Unlock()
		<-w.Ready()
		if err, ok := w.Take().(error); !ok || code.Of(err) != code.NotCoordinator || time.Since(begun) != 0 {
			t.Errorf("%v after %v, want NOT_COORDINATOR at once", err, time.Since(begun))
		}
	})
}

func TestOwnDecisionsOutliveAFailedAppend(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		c.call("g", commit("g", "t", 0, 5))
		c.observe(&wire.TopicRecord{Name: "t", TopicId: wire.UUID{9}})
		c.parts[0].mu.Lock()
		c.parts[0].fails = code.KafkaStorageError
		c.parts[0].mu.Unlock()
		c.observe(&wire.RemoveTopicRecord{TopicId: wire.UUID{9}})
		time.Sleep(time.Second)
		if got := c.committed("g", "t", 0); got != -1 {
			t.Errorf("%d is committed for a deleted topic", got)
		}
	})
}

func TestShardBacksOffWhileItsLogIsNotItsOwn(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		c.call("g", commit("g", "t", 0, 5))
		p := c.parts[0]
		p.lead(2, true) // the metadata log has not told yet
		synctest.Wait()
		p.mu.Lock()
		p.asked = 0
		p.mu.Unlock()
		time.Sleep(time.Minute)
		p.mu.Lock()
		asked := p.asked
		p.mu.Unlock()
		if asked == 0 || asked > 30 {
			t.Errorf("it looked %d times in a minute", asked)
		}
		c.elect(self, 2)
		synctest.Wait()
		if got := c.committed("g", "t", 0); got != 5 {
			t.Error(got)
		}
	})
}

func TestPanicInADecisionCostsTheShardAReload(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		c.call("g", commit("g", "t", 0, 5))
		if _, err := c.g.Call(t.Context(), "g", func(*group.Machine, machine.Env) machine.Output { panic("x") }); code.Of(err) != code.NotCoordinator {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if got := c.committed("g", "t", 0); got != 5 {
			t.Error(got)
		}
	})
}

func TestLeadershipComesAndGoes(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		p := c.parts[0]
		c.call("g", commit("g", "t", 0, 5))
		first := c.call("g", join("g", "")).(*wire.JoinGroupResponse)
		parked := NewPending()
		c.g.Do("g", join("g", ""), parked)
		synctest.Wait()
		if parked.Take() != nil {
			t.Fatal("the second member is answered before the first rejoined")
		}
		c.elect(2, 2)
		<-parked.Ready()
		if err, _ := parked.Take().(error); code.Of(err) != code.NotCoordinator {
			t.Error(err)
		}
		if _, err := c.g.Call(t.Context(), "g", fetch("g", "t", 0)); code.Of(err) != code.NotCoordinator {
			t.Error(err)
		}
		if bodies, err := c.g.Each(t.Context(), group.List(&wire.ListGroupsRequest{})); err != nil || len(bodies) != 0 {
			t.Error(bodies, err)
		}
		if n := c.metric("kafka_coordinator_group_groupmetadatamanager_numgroups"); n != 0 {
			t.Errorf("%v groups without leadership", n)
		}
		p.mu.Lock()
		p.reading = make(chan struct{})
		p.mu.Unlock()
		c.elect(self, 3)
		synctest.Wait()
		if _, err := c.g.Call(t.Context(), "g", fetch("g", "t", 0)); code.Of(err) != code.CoordinatorLoadInProgress {
			t.Error(err)
		}
		// A topic that is deleted while the shard loads loses its offsets afterwards.
		c.observe(&wire.TopicRecord{Name: "t", TopicId: wire.UUID{9}})
		c.observe(&wire.RemoveTopicRecord{TopicId: wire.UUID{9}})
		close(p.reading)
		synctest.Wait()
		if got := c.committed("g", "t", 0); got != -1 {
			t.Errorf("%d is committed for a deleted topic", got)
		}
		if h := c.call("g", group.Heartbeat(&wire.HeartbeatRequest{GroupId: "g", MemberId: first.MemberId, GenerationId: 1})).(*wire.HeartbeatResponse); code.Error(h.ErrorCode) != code.UnknownMemberId {
			t.Error("a member that was never assigned anything is not stored", code.Error(h.ErrorCode))
		}
		// The log is fenced before the metadata log says so.
		p.lead(4, true)
		if _, err := c.g.Call(t.Context(), "g", commit("g", "t", 0, 7)); code.Of(err) != code.NotCoordinator {
			t.Error(err)
		}
	})
}

func TestSnapshotAtRollDropsOldSegments(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		p := c.parts[0]
		p.segment = 200
		for i := range int64(5000) {
			c.call("g", commit(fmt.Sprint("g", i%7), "t", int32(i%11), i))
		}
		if p.start < 4500 || len(p.log) > 700 {
			t.Errorf("the log begins at %d and holds %d batches", p.start, len(p.log))
		}
		before := c.replayed(p)
		if len(before) != 77 {
			t.Errorf("%d records of live state", len(before))
		}
		c.elect(self, 2)
		synctest.Wait()
		for i := int64(4923); i < 5000; i++ {
			if got := c.committed(fmt.Sprint("g", i%7), "t", int32(i%11)); got != i {
				t.Fatalf("offset %d, want %d", got, i)
			}
		}
		// Nothing is dropped before the snapshot is replicated.
		p.hold()
		start := p.start
		w := NewPending()
		for range 1000 {
			c.g.Do("g0", commit("g0", "t", 0, 1), w)
			synctest.Wait()
		}
		if p.start != start {
			t.Error("segments went before their snapshot was replicated")
		}
		p.release()
		synctest.Wait()
		if p.start == start {
			t.Error("segments stay after their snapshot was replicated")
		}
	})
}

func TestSnapshotLargerThanASegmentDoesNotWriteForEver(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		p := c.parts[0]
		p.segment = 10
		for i := range int64(3000) {
			c.call("g", commit("g", "t", int32(i%500), i))
		}
		written := p.end
		if written > 3000*4 {
			t.Errorf("%d records were written for 3000 commits", written)
		}
		if len(c.replayed(p)) != 500 {
			t.Errorf("%d offsets", len(c.replayed(p)))
		}
	})
}

func TestDecisionsOfOneMomentShareOneWrite(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		c.call("g", commit("g", "t", 0, 1))
		s := c.g.all()[0]
		before := c.parts[0].appends
		var ws []*Pending
		s.mu.Lock() // so that they queue
		for i := range 100 {
			w := NewPending()
			s.queue = append(s.queue, task{commit("g", "t", int32(i), 1), caller{w, w.begin()}})
			ws = append(ws, w)
		}
		s.kickLocked()
		s.mu.Unlock()
		for _, w := range ws {
			<-w.Ready()
		}
		if n := c.parts[0].appends - before; n != 1 {
			t.Errorf("%d writes for 100 commits", n)
		}
	})
}

func TestBatchesAreBounded(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		for i := range int32(100) {
			c.call("g", commit("g", "t", i, 1))
		}
		c.g.cfg.BatchBytes = 1000
		p := c.parts[0]
		batches, writes := len(p.log), p.appends
		c.call("g", group.TopicsDeleted([]group.DeletedTopic{{Name: "t"}}))
		if n := len(p.log) - batches; n < 2 || p.appends != writes+1 {
			t.Errorf("%d batches in %d writes", n, p.appends-writes)
		}
		for _, b := range p.log[batches:] {
			if len(b) > 1000 {
				t.Errorf("a batch of %d bytes", len(b))
			}
		}
		if rs := c.replayed(p); len(rs) != 0 {
			t.Errorf("%d records are left", len(rs))
		}
	})
}

func TestShardsAtRestCostNextToNothing(t *testing.T) {
	const n = 1000
	c := newCluster(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go c.g.Run(ctx)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	c.elect(self, 1)
	if _, err := c.g.Each(ctx, group.List(&wire.ListGroupsRequest{})); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > goroutines+1 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d goroutines more, %d bytes a shard (with the image and the fake's part)", runtime.NumGoroutine()-goroutines, each)
	if runtime.NumGoroutine() > goroutines+1 || each > 4096 {
		t.Error("shards at rest cost too much")
	}
}

func TestLogsOfApacheKafkaWithTransactionsLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		p := c.parts[0]
		p.lead(1, true)
		put := func(o record.BuilderOptions, records ...machine.Record) {
			b := record.NewBuilder(record.NewCodecs(0), o)
			for _, r := range records {
				b.Append(1, r.Key, r.Value)
			}
			batch, err := b.Finish()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Append(batch, 1, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		end := func(id int64, kind record.ControlType) {
			b := record.NewBuilder(nil, record.BuilderOptions{Control: true, Transactional: true, Producer: &record.Producer{ID: id, Sequence: -1}})
			b.AppendEndTxn(1, kind, 1)
			batch, _ := b.Finish()
			if _, err := p.Append(batch, 1, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		offset := func(group string, at int64) machine.Record {
			var out machine.Record
			m := newMachine(t)
			for _, r := range commit(group, "t", 0, at)(m, machine.Env{Now: time.Now(), Ticket: 1}).Records {
				out = r
			}
			return out
		}
		txn := func(id int64) record.BuilderOptions {
			return record.BuilderOptions{Transactional: true, Producer: &record.Producer{ID: id}}
		}
		put(record.BuilderOptions{Codec: record.Zstd}, offset("plain", 1))
		put(txn(10), offset("done", 2))
		put(txn(11), offset("undone", 3))
		put(txn(12), offset("open", 4))
		end(10, record.ControlCommit)
		end(11, record.ControlAbort)
		ctx, cancel := context.WithCancel(t.Context())
		go c.g.Run(ctx)
		c.elect(self, 1)
		synctest.Wait()
		p.mu.Lock()
		p.segment = 1
		p.mu.Unlock()
		for group, want := range map[string]int64{"plain": 1, "done": 2, "undone": -1, "open": -1} {
			if got := c.committed(group, "t", 0); got != want {
				t.Errorf("%s: %d, want %d", group, got, want)
			}
		}
		for i := range int64(20) {
			c.call("g", commit("g", "t", 0, i))
		}
		if p.start != 0 {
			t.Error("a log with an open transaction was shortened")
		}
		cancel()
		synctest.Wait()
	})
}

func newMachine(t *testing.T) *group.Machine {
	m := group.New(options())
	if _, err := m.Loaded(machine.Env{Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDamagedLogLeavesTheShardWithoutCoordinator(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		c.call("g", commit("g", "t", 0, 5))
		p := c.parts[0]
		p.mu.Lock()
		b := record.NewBuilder(nil, record.BuilderOptions{BaseOffset: p.end})
		b.Append(1, []byte{0, 2, 0, 1, 'g'}, []byte{0, 99})
		batch, _ := b.Finish()
		p.log, p.end = append(p.log, bytes.Clone(batch)), p.end+1
		p.hw = p.end
		p.mu.Unlock()
		c.elect(self, 2)
		synctest.Wait()
		if _, err := c.g.Call(t.Context(), "g", fetch("g", "t", 0)); code.Of(err) != code.NotCoordinator {
			t.Error(err)
		}
	})
}

func TestPendingIsReusedAndCancelled(t *testing.T) {
	bubble(t, 1, func(t *testing.T, c *cluster) {
		w := NewPending()
		c.parts[0].hold()
		c.g.Do("g", commit("g", "t", 0, 1), w)
		synctest.Wait()
		w.Cancel()
		c.g.Do("g", fetch("g", "t", 0), w)
		c.parts[0].release()
		<-w.Ready()
		if _, ok := w.Take().(*wire.OffsetFetchResponseOffsetFetchResponseGroup); !ok || w.Take() != nil {
			t.Error("the answer of the call before, or one twice")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c.parts[0].hold()
		if _, err := c.g.Call(ctx, "g", commit("g", "t", 0, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestStopAnswersWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.elect(self, 1) // before Run: nothing runs yet, and nothing is lost
		w := NewPending()
		c.g.Do("g", commit("g", "t", 0, 1), w)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.g.Run(ctx) }()
		<-w.Ready()
		if _, ok := w.Take().(*wire.OffsetCommitResponse); !ok {
			t.Error("a call from before Run")
		}
		c.call("g", join("g", ""))
		c.g.Do("g", join("g", ""), w)
		synctest.Wait()
		cancel()
		<-done
		<-w.Ready()
		if err, _ := w.Take().(error); code.Of(err) != code.NotCoordinator {
			t.Error(err)
		}
		if _, err := c.g.Call(t.Context(), "g", fetch("g", "t", 0)); code.Of(err) != code.CoordinatorNotAvailable {
			t.Error(err)
		}
	})
}

// TestRandomFaults commits from many clients while appends fail and leadership
// moves: every call is answered, and what was acknowledged last is what is there.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, 3, func(t *testing.T, c *cluster) {
				for _, p := range c.parts {
					p.segment = 20
				}
				var clients sync.WaitGroup
				stop := make(chan struct{})
				r := rand.New(rand.NewPCG(seed, 1))
				acked := make([]int64, 8)
				for i := range acked {
					r := rand.New(rand.NewPCG(seed, uint64(i)))
					clients.Go(func() {
						id := fmt.Sprint("g", i)
						for n := int64(1); ; n++ {
							select {
							case <-stop:
								return
							default:
							}
							if _, err := c.g.Call(t.Context(), id, commit(id, "t", 0, n)); err == nil {
								acked[i] = n
							}
							time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
						}
					})
				}
				epoch := int32(1)
				for range 60 {
					time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
					p := c.parts[r.IntN(3)]
					switch r.IntN(5) {
					case 0:
						epoch++
						c.elect(self+epoch%2, epoch)
					case 1:
						p.mu.Lock()
						p.fails = code.KafkaStorageError
						p.mu.Unlock()
					case 2:
						p.hold()
					default:
						p.release()
					}
				}
				close(stop)
				for _, p := range c.parts {
					p.release()
				}
				clients.Wait()
				c.elect(2, epoch+1)
				c.elect(self, epoch+2)
				for _, p := range c.parts {
					p.mu.Lock()
					p.fails = nil
					p.mu.Unlock()
				}
				time.Sleep(10 * time.Second)
				for i, want := range acked {
					id := fmt.Sprint("g", i)
					if got := c.committed(id, "t", 0); got < want {
						t.Errorf("%s: %d is committed, and %d was acknowledged", id, got, want)
					}
				}
			})
		})
	}
}

func TestConfigKeysHaveDocumentation(t *testing.T) {
	if _, err := config.NewSet(ConfigKeys(), group.ConfigKeys()); err != nil {
		t.Fatal(err)
	}
	for _, k := range ConfigKeys() {
		if k.Doc == "" || k.Check != nil && k.Check(k.Default) != nil {
			t.Errorf("%s: no documentation, or its default %q is refused", k.Name, k.Default)
		}
	}
}

func TestDeletedOffsetsTopicEndsAllShards(t *testing.T) {
	bubble(t, 2, func(t *testing.T, c *cluster) {
		c.call("g", commit("g", "t", 0, 1))
		c.observe(&wire.RemoveTopicRecord{TopicId: topicID})
		if _, err := c.g.Call(t.Context(), "g", fetch("g", "t", 0)); code.Of(err) != code.NotCoordinator {
			t.Error(err)
		}
	})
}
