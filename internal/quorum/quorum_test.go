package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

func keys(t testing.TB) *config.Set {
	t.Helper()
	set, err := config.NewSet(controller.ConfigKeys(), ConfigKeys(), []config.Key{
		{Name: "min.insync.replicas", Scope: config.Topic, Kind: config.Int, Default: "1", Doc: "d", Synonyms: []string{"min.insync.replicas"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// node is a voter in a directory, which can be stopped, crashed and started again.
type node struct {
	t      testing.TB
	fs     disk.FS
	dir    string
	id     int32
	voters []Voter
	tweak  func(*Options)
	wrap   func(Log) Log

	q      *Quorum
	d      *commitlog.Dir
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of the quorum's Run
}

func directory(id int32) wire.UUID { return wire.UUID{0: byte(id), 5: 77, 15: 200} }

func newNode(t testing.TB, fs disk.FS, dir string, id int32) *node {
	t.Helper()
	if err := fs.MkdirAll(path.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	if err := commitlog.InitDir(fs, dir, commitlog.Meta{ClusterID: "cluster", NodeID: id, DirectoryID: directory(id)}); err != nil {
		t.Fatal(err)
	}
	return &node{t: t, fs: fs, dir: dir, id: id}
}

func (n *node) open() error {
	d, err := commitlog.OpenDir(n.fs, n.dir, commitlog.DirOptions{Logger: slog.New(slog.DiscardHandler), MinFree: -1, BallastBytes: -1, ReserveBytes: -1})
	if err != nil {
		return err
	}
	l, err := d.Open(LogID(), LogOptions(0), nil)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	o := Options{NodeID: n.id, Directory: directory(n.id), ClusterID: "cluster", Voters: n.voters, FS: n.fs, Path: path.Join(n.dir, "__cluster_metadata-0"),
		Log: OverCommitLog(l), Keys: keys(n.t)}
	if n.wrap != nil {
		o.Log = n.wrap(o.Log)
	}
	if n.tweak != nil {
		n.tweak(&o)
	}
	q, err := New(o)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	n.q, n.d = q, d
	return nil
}

func (n *node) start() error {
	if err := n.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel, n.ended, n.err = cancel, make(chan struct{}), nil
	inner, stop := context.WithCancel(context.Background())
	q, d, ended := n.q, n.d, n.ended
	go func() {
		defer close(ended)
		var wg sync.WaitGroup
		wg.Go(func() { _ = d.Run(inner) })
		n.err = q.Run(ctx)
		stop()
		wg.Wait()
	}()
	return nil
}

func (n *node) mustStart() {
	n.t.Helper()
	if err := n.start(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) stop() {
	if n.ended != nil {
		n.cancel()
		<-n.ended
	}
}

func (n *node) wait() {
	n.t.Helper()
	select {
	case <-n.q.Ready():
	case <-n.ended:
		n.t.Fatalf("ended before it was ready: %v", n.err)
	case <-time.After(10 * time.Second):
		n.t.Fatal("not ready in 10 s")
	}
}

func (n *node) propose(d controller.Decision) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return n.q.Propose(ctx, d)
}

func register(id int32) controller.Decision {
	return controller.RegisterBroker(controller.Registration{Serving: true, Request: &wire.BrokerRegistrationRequest{
		BrokerId: id, ClusterId: "cluster", IncarnationId: wire.UUID{0: byte(id), 1: 9}, LogDirs: []wire.UUID{directory(id)}, PreviousBrokerEpoch: -1,
		Listeners: []wire.BrokerRegistrationRequestListener{{Name: "PLAINTEXT", Host: "localhost", Port: 9092}},
		Features:  []wire.BrokerRegistrationRequestFeature{{Name: metadata.VersionFeature, MinSupportedVersion: metadata.MinVersion, MaxSupportedVersion: metadata.MaxVersion}},
	}})
}

func create(name string, partitions int32) controller.Decision {
	return controller.CreateTopics(&wire.CreateTopicsRequest{Topics: []wire.CreateTopicsRequestCreatableTopic{{Name: name, NumPartitions: partitions, ReplicationFactor: 1}}})
}

func controllerDelete(name string) controller.Decision {
	return controller.DeleteTopics(&wire.DeleteTopicsRequest{TopicNames: []string{name}}, 5)
}

func created(t testing.TB, resp any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resp.(*wire.CreateTopicsResponse).Topics {
		if r.ErrorCode != 0 {
			t.Fatalf("%s: %v %s", r.Name, code.Error(r.ErrorCode), *r.ErrorMessage)
		}
	}
}

// recorder is an observer that checks that deltas add up to the images.
type recorder struct {
	t     testing.TB
	mu    sync.Mutex
	image *metadata.Image
	calls int
}

func (r *recorder) Observe(d *metadata.Delta, image *metadata.Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	before := r.image
	if before == nil {
		before = metadata.New("cluster")
	}
	want := metadata.Diff(before, image)
	if len(want.Created) != len(d.Created) || len(want.Deleted) != len(d.Deleted) || len(want.Changed) != len(d.Changed) {
		r.t.Errorf("delta %+v, want %+v", d, want)
	}
	r.image = image
}

func TestProposalsAreThereAfterACleanRestart(t *testing.T) {
	n := newNode(t, disk.NewMem(1), "data", 1)
	rec := &recorder{t: t}
	n.tweak = func(o *Options) { o.Observers = []Observer{rec}; o.StopSnapshotBytes = 1 }
	n.mustStart()
	n.wait()
	if id, epoch, ok := n.q.Leader(); !ok || id != 1 || epoch < 1 {
		t.Fatalf("leader %d epoch %d ok %v", id, epoch, ok)
	}
	resp, err := n.propose(register(1))
	if err != nil || resp.(*wire.BrokerRegistrationResponse).ErrorCode != 0 {
		t.Fatalf("%+v %v", resp, err)
	}
	if b := n.q.Image().Broker(1); b == nil || b.Epoch != resp.(*wire.BrokerRegistrationResponse).BrokerEpoch {
		t.Fatalf("broker %+v", b)
	}
	resp, err = n.propose(create("t", 5))
	created(t, resp, err)
	if rec.image != n.q.Image() || len(rec.image.Topic("t").Partitions) != 5 {
		t.Fatal("the observer did not see the topic before the answer")
	}
	before := n.q.Image()
	for round := range 3 {
		n.stop()
		if n.err != nil {
			t.Fatal(n.err)
		}
		rec.image = nil
		n.mustStart()
		n.wait()
		after := n.q.Image()
		if d := metadata.Diff(before, after); !d.Empty() {
			t.Fatalf("round %d: %+v", round, d)
		}
	}
	n.stop()
	if len(n.q.snaps.list) != 2 {
		t.Fatalf("%d snapshots are kept", len(n.q.snaps.list))
	}
}

func TestAnsweredProposalsSurviveCrashes(t *testing.T) {
	rounds := uint64(60)
	if testing.Short() {
		rounds = 10
	}
	for seed := range rounds {
		t.Logf("seed=%d", seed)
		rng := rand.New(rand.NewPCG(seed, 1))
		mem := disk.NewMem(seed)
		n := newNode(t, mem, "data", 1)
		n.tweak = func(o *Options) {
			o.Seed = rng.Uint64()
			o.SnapshotBytes = 3000
			o.ElectionTimeout = 20 * time.Millisecond
		}
		answered := map[string]int{}
		for life := range 4 {
			mem.PowerOffAfter(int64(1 + rng.IntN(150)))
			if err := n.start(); err == nil {
				var mu sync.Mutex
				var wg sync.WaitGroup
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				if _, err := n.q.Propose(ctx, register(1)); err == nil {
					for g := range 3 {
						wg.Go(func() {
							for i := 0; ; i++ {
								name := fmt.Sprintf("t-%d-%d-%d", life, g, i)
								resp, err := n.q.Propose(ctx, create(name, int32(1+i%4)))
								if err != nil || resp.(*wire.CreateTopicsResponse).Topics[0].ErrorCode != 0 {
									return
								}
								mu.Lock()
								answered[name] = 1 + i%4
								mu.Unlock()
							}
						})
					}
				}
				wg.Wait()
				cancel()
				n.stop()
			}
			mem.Crash()
		}
		n.mustStart()
		n.wait()
		img := n.q.Image()
		for name, parts := range answered {
			if topic := img.Topic(name); topic == nil || len(topic.Partitions) != parts {
				t.Fatalf("seed %d: topic %s was answered and is %+v", seed, name, topic)
			}
		}
		for topic := range img.Topics() {
			if len(topic.Partitions) == 0 {
				t.Fatalf("seed %d: topic %s is half made", seed, topic.Name)
			}
		}
		if _, err := n.propose(register(1)); err != nil {
			t.Fatal(err)
		}
		resp, err := n.propose(create("last", 1))
		created(t, resp, err)
		n.stop()
		if n.err != nil {
			t.Fatal(n.err)
		}
	}
}

// counting counts syncs and holds them up while held is locked.
type counting struct {
	Log
	syncs   atomic.Int64
	appends atomic.Int64
	hold    chan struct{}
}

func (c *counting) Append(b []byte) error { c.appends.Add(1); return c.Log.Append(b) }

func (c *counting) Sync() error {
	c.syncs.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	return c.Log.Sync()
}

func TestConcurrentProposalsShareAnFsync(t *testing.T) {
	n := newNode(t, disk.NewMem(1), "data", 1)
	var c *counting
	n.wrap = func(l Log) Log { c = &counting{Log: l}; return c }
	n.mustStart()
	n.wait()
	if _, err := n.propose(register(1)); err != nil {
		t.Fatal(err)
	}
	before := c.syncs.Load()
	resp, err := n.propose(create("one", 100))
	created(t, resp, err)
	if got := c.syncs.Load() - before; got != 1 {
		t.Errorf("one decision took %d fsyncs", got)
	}
	before = c.syncs.Load()
	written := c.appends.Load()
	c.hold = make(chan struct{}) // seen by the loop through the proposals' mutex
	var wg sync.WaitGroup
	const many = 50
	for i := range many {
		wg.Go(func() { _, _ = n.propose(create(fmt.Sprintf("c%d", i), 1)) })
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		n.q.mu.Lock()
		waiting := len(n.q.queue)
		n.q.mu.Unlock()
		if c.syncs.Load()-before == 1 && int(c.appends.Load()-written)+waiting == many {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d proposals wait after 5 s", waiting)
		}
		time.Sleep(time.Millisecond)
	}
	close(c.hold)
	wg.Wait()
	if got := c.syncs.Load() - before; got > 3 {
		t.Errorf("%d concurrent decisions took %d fsyncs", many, got)
	}
	n.stop()
}

func TestSnapshotsDropTheLogAndBadOnesAreErrors(t *testing.T) {
	mem := disk.NewMem(1)
	n := newNode(t, mem, "data", 1)
	n.tweak = func(o *Options) { o.SnapshotBytes = 2000; o.ElectionTimeout = 10 * time.Millisecond }
	n.mustStart()
	n.wait()
	if _, err := n.propose(register(1)); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		resp, err := n.propose(create(fmt.Sprintf("t%d", i), 3))
		created(t, resp, err)
		if i%10 == 9 {
			deadline := time.Now().Add(5 * time.Second)
			for {
				done := make(chan int, 1)
				n.q.mu.Lock()
				n.q.calls = append(n.q.calls, func() { done <- int(n.q.sinceBytes) })
				n.q.mu.Unlock()
				n.q.poke()
				if <-done < 2000 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("no snapshot in 5 s")
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	n.stop()
	if n.err != nil {
		t.Fatal(n.err)
	}
	if got := len(n.q.snaps.list); got != 2 {
		t.Fatalf("%d snapshots", got)
	}
	if n.q.raft.first < 100 {
		t.Errorf("the log still begins at %d", n.q.raft.first)
	}
	name := path.Join(n.q.opt.Path, n.q.snaps.newest().name())
	whole, err := n.q.snaps.bytes(n.q.snaps.newest())
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 20, 70, len(whole) / 2, len(whole) - 1} {
		f, err := mem.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{whole[at] ^ 0x10}, int64(at)); err != nil {
			t.Fatal(err)
		}
		if err := n.open(); err == nil {
			t.Errorf("a snapshot with byte %d flipped was loaded", at)
		} else if !strings.Contains(err.Error(), ".checkpoint") {
			t.Errorf("the error does not name the snapshot: %v", err)
		}
		if _, err := f.WriteAt(whole[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
		if at == len(whole)-1 {
			if err := f.Truncate(int64(at)); err != nil {
				t.Fatal(err)
			}
			if err := n.open(); err == nil {
				t.Error("a snapshot that is cut was loaded")
			}
			if _, err := f.WriteAt(whole[at:], int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	n.mustStart()
	n.wait()
	if got := n.q.Image().NumTopics(); got != 50 {
		t.Errorf("%d topics", got)
	}
	n.stop()
}

func TestAFullDiskRefusesOneDecision(t *testing.T) {
	mem := disk.NewMem(1)
	n := newNode(t, mem, "data", 1)
	full := &fullLog{}
	n.wrap = func(l Log) Log { full.Log = l; return full }
	n.mustStart()
	n.wait()
	if _, err := n.propose(register(1)); err != nil {
		t.Fatal(err)
	}
	full.full.Store(true)
	if _, err := n.propose(create("t", 1)); !errors.Is(err, code.KafkaStorageError) {
		t.Fatalf("on a full disk: %v", err)
	}
	if resp, err := n.propose(controller.DeleteTopics(&wire.DeleteTopicsRequest{TopicNames: []string{"t"}}, 5)); err != nil || resp.(*wire.DeleteTopicsResponse).Responses[0].ErrorCode != int16(code.UnknownTopicOrPartition) {
		t.Fatalf("%+v %v", resp, err)
	}
	full.full.Store(false)
	resp, err := n.propose(create("t", 1))
	created(t, resp, err)
	n.stop()
	if n.err != nil {
		t.Fatal(n.err)
	}
}

type fullLog struct {
	Log
	full atomic.Bool
}

func (l *fullLog) Append(b []byte) error {
	if l.full.Load() {
		return fmt.Errorf("append: %w", disk.ErrFull)
	}
	return l.Log.Append(b)
}

func TestAStorageErrorEndsRun(t *testing.T) {
	mem := disk.NewMem(1)
	n := newNode(t, mem, "data", 1)
	n.mustStart()
	n.wait()
	mem.Fail(func(op disk.Op, path string) error {
		if op == disk.OpSync {
			return disk.ErrIO
		}
		return nil
	})
	if _, err := n.propose(register(1)); !errors.Is(err, code.NotController) {
		t.Errorf("%v", err)
	}
	<-n.ended
	if n.err == nil {
		t.Error("Run returned nil after a failed fsync")
	}
}

func TestALogThatEndsInsideADecisionIsAborted(t *testing.T) {
	mem := disk.NewMem(1)
	n := newNode(t, mem, "data", 1)
	n.mustStart()
	n.wait()
	if _, err := n.propose(register(1)); err != nil {
		t.Fatal(err)
	}
	resp, err := n.propose(create("whole", 2))
	created(t, resp, err)
	resp, err = n.propose(create("torn", 20))
	created(t, resp, err)
	n.stop()
	d, err := commitlog.OpenDir(mem, "data", commitlog.DirOptions{MinFree: -1, BallastBytes: -1, ReserveBytes: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := d.Open(LogID(), LogOptions(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Truncate(l.Bounds().End - 7); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Sync(), d.Close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n.mustStart()
		n.wait()
		if n.q.Image().Topic("torn") != nil || n.q.Image().Topic("whole") == nil {
			t.Fatal("a decision that does not end took effect")
		}
		if _, err := n.propose(create("after", 2)); err != nil {
			t.Fatal(err)
		}
		n.stop()
		if n.err != nil {
			t.Fatal(n.err)
		}
	}
}

func TestASilentBrokerIsFencedByItself(t *testing.T) {
	n := newNode(t, disk.NewMem(1), "data", 1)
	n.tweak = func(o *Options) {
		o.ElectionTimeout = 10 * time.Millisecond
		o.Defaults = controller.DefaultDefaults()
		o.Defaults.SessionTimeout = 200 * time.Millisecond
	}
	n.mustStart()
	n.wait()
	if _, err := n.propose(register(1)); err != nil {
		t.Fatal(err)
	}
	if n.q.Image().Broker(1).Fenced {
		t.Fatal("a broker that serves is fenced")
	}
	deadline := time.Now().Add(10 * time.Second)
	for !n.q.Image().Broker(1).Fenced {
		if time.Now().After(deadline) {
			t.Fatal("not fenced in 10 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
	n.stop()
}

// net carries messages between the voters of a test.
type net struct {
	mu    sync.Mutex
	nodes map[int32]*node
	cut   map[int32]bool
}

type link struct {
	net  *net
	from int32
}

func (l link) Send(to Voter, m *raftpb.Message) {
	l.net.mu.Lock()
	n := l.net.nodes[to.ID]
	cut := l.net.cut[to.ID] || l.net.cut[l.from]
	l.net.mu.Unlock()
	if n != nil && !cut {
		n.q.Step(m)
	}
}

func TestThreeVotersKeepWhatWasAnswered(t *testing.T) {
	mem := disk.NewMem(1)
	w := &net{nodes: map[int32]*node{}, cut: map[int32]bool{}}
	voters := []Voter{{ID: 1, Directory: directory(1)}, {ID: 2, Directory: directory(2)}, {ID: 3, Directory: directory(3)}}
	var nodes []*node
	for _, v := range voters {
		n := newNode(t, mem, fmt.Sprintf("data%d", v.ID), v.ID)
		n.voters = voters
		n.tweak = func(o *Options) {
			o.Transport = link{w, v.ID}
			o.ElectionTimeout = 100 * time.Millisecond
			o.SnapshotBytes = 4000
		}
		nodes = append(nodes, n)
	}
	up := func(n *node) {
		if err := n.open(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		n.cancel, n.ended = cancel, make(chan struct{})
		inner, stop := context.WithCancel(context.Background())
		w.mu.Lock()
		w.nodes[n.id] = n
		w.mu.Unlock()
		go func() {
			defer close(n.ended)
			var wg sync.WaitGroup
			wg.Go(func() { _ = n.d.Run(inner) })
			n.err = n.q.Run(ctx)
			stop()
			wg.Wait()
		}()
	}
	down := func(n *node) {
		w.mu.Lock()
		delete(w.nodes, n.id)
		w.mu.Unlock()
		n.stop()
		if n.err != nil {
			t.Fatal(n.err)
		}
	}
	leader := func() *node {
		deadline := time.Now().Add(10 * time.Second)
		for time.Now().Before(deadline) {
			w.mu.Lock()
			for id, n := range w.nodes {
				if n.q.Leading() && !w.cut[id] {
					w.mu.Unlock()
					return n
				}
			}
			w.mu.Unlock()
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatal("no leader in 10 s")
		return nil
	}
	do := func(d controller.Decision) {
		deadline := time.Now().Add(10 * time.Second)
		for {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			resp, err := leader().q.Propose(ctx, d)
			cancel()
			if err == nil {
				if r, ok := resp.(*wire.CreateTopicsResponse); ok && r.Topics[0].ErrorCode != 0 && code.Error(r.Topics[0].ErrorCode) != code.TopicAlreadyExists {
					t.Fatalf("%+v", r)
				}
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	for _, n := range nodes {
		up(n)
	}
	do(register(1))
	count := 0
	more := func(k int) {
		for range k {
			do(create(fmt.Sprintf("t%d", count), 3))
			count++
		}
	}
	more(10)
	for round := range 4 {
		old := leader()
		switch round % 2 {
		case 0: // cut off: it must resign by itself, and its successor serve
			w.mu.Lock()
			w.cut[old.id] = true
			w.mu.Unlock()
			more(15)
			deadline := time.Now().Add(5 * time.Second)
			for old.q.Leading() {
				if time.Now().After(deadline) {
					t.Fatal("a leader without a majority did not resign")
				}
				time.Sleep(5 * time.Millisecond)
			}
			w.mu.Lock()
			w.cut[old.id] = false
			w.mu.Unlock()
		case 1: // stopped while much happens: it comes back through a snapshot
			down(old)
			more(60)
			up(old)
		}
		more(5)
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, n := range nodes {
		for n.q.Image().NumTopics() != count {
			if time.Now().After(deadline) {
				t.Fatalf("node %d has %d topics of %d", n.id, n.q.Image().NumTopics(), count)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	d, err := leader().q.Describe(context.Background())
	if err != nil || len(d.Voters) != 3 || d.Voters[0].LogEnd < 100 || d.HighWatermark < 100 {
		t.Errorf("%+v %v", d, err)
	}
	first := nodes[0].q.Image()
	for _, n := range nodes {
		if diff := metadata.Diff(first, n.q.Image()); !diff.Empty() {
			t.Errorf("node %d differs: %+v", n.id, diff)
		}
	}
	for _, n := range nodes {
		down(n)
	}
	logs := map[int64]string{}
	for _, n := range nodes {
		d, err := commitlog.OpenDir(mem, n.dir, commitlog.DirOptions{MinFree: -1, BallastBytes: -1, ReserveBytes: -1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := d.Open(LogID(), LogOptions(0), nil)
		if err != nil {
			t.Fatal(err)
		}
		log := OverCommitLog(l)
		start, end := log.Bounds()
		for at := start; at < min(end, int64(n.q.commit)+1); at++ {
			b, err := log.Read(nil, at, at+1, 1)
			if err != nil {
				t.Fatal(err)
			}
			if have, ok := logs[at]; ok && have != string(b) {
				t.Fatalf("logs differ at %d", at)
			}
			logs[at] = string(b)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
