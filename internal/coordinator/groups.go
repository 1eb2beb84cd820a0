// Package coordinator runs shards: machines of internal/group on the partitions
// of __consumer_offsets that this broker leads. A shard decides, appends the
// records of its decisions, and lets the answers go once the records are
// replicated. It comes with leadership, by replaying its partition's log, and goes
// with it, or with a failed append.
package coordinator

import (
	"context"
	crypto "crypto/rand"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
)

// OffsetsTopic is the topic that holds groups and their offsets.
const OffsetsTopic = "__consumer_offsets"

// OffsetsTopicConfig returns the configuration that OffsetsTopic is created with,
// names and values; segmentBytes is offsets.topic.segment.bytes.
func OffsetsTopicConfig(segmentBytes int) [][2]string {
	return [][2]string{
		{"cleanup.policy", "compact"},
		{"compression.type", "producer"},
		{"segment.bytes", strconv.Itoa(segmentBytes)},
	}
}

// Config is what Groups needs.
type Config struct {
	NodeID int32
	// Options are what the groups obey.
	Options group.Options
	// Partitions is offsets.topic.num.partitions, which counts until the topic exists.
	Partitions int32
	// CommitTimeout is how long an answer may wait for replication
	// (offsets.commit.timeout.ms); 0 means 5 s.
	CommitTimeout time.Duration
	// LoadBytes is how much of the log is read at a time while a shard loads
	// (offsets.load.buffer.size); 0 means 1 MiB.
	LoadBytes int
	// BatchBytes bounds one batch of records (message.max.bytes); 0 means 1,048,588.
	BatchBytes int
	// Source finds the partitions of OffsetsTopic.
	Source Source
	// Codecs read compressed batches that Apache Kafka left.
	Codecs     *record.Codecs
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Groups is all shards of groups on this broker. Its methods are safe for many
// goroutines. Shards at rest have no goroutine.
type Groups struct {
	cfg        Config
	log        *slog.Logger
	metrics    metrics
	loading    chan struct{} // a place for each shard that may load at a time
	partitions atomic.Int32  // of the topic; 0 while it does not exist

	mu      sync.Mutex // guards the rest; a shard's mu is taken before it
	ctx     context.Context
	stopped bool
	workers sync.WaitGroup
	shards  map[int32]*shard // led here
}

// NewGroups returns a coordinator that leads nothing yet.
func NewGroups(cfg Config) *Groups {
	if cfg.CommitTimeout == 0 {
		cfg.CommitTimeout = 5 * time.Second
	}
	if cfg.LoadBytes == 0 {
		cfg.LoadBytes = 1 << 20
	}
	if cfg.BatchBytes == 0 {
		cfg.BatchBytes = 1048588
	}
	g := &Groups{
		cfg: cfg, log: cfg.Logger, shards: make(map[int32]*shard),
		loading: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	g.metrics.register(cfg.Registerer)
	return g
}

// Run runs the shards until ctx ends, and returns when all have ended. Calls that
// wait then are answered NOT_COORDINATOR, so that clients look for their next one.
func (g *Groups) Run(ctx context.Context) error {
	g.mu.Lock()
	g.ctx = ctx
	all := make([]*shard, 0, len(g.shards))
	for _, s := range g.shards {
		all = append(all, s)
	}
	g.mu.Unlock()
	for _, s := range all {
		s.kick()
	}
	<-ctx.Done()
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.workers.Wait()
	g.mu.Lock()
	all = all[:0]
	for _, s := range g.shards {
		all = append(all, s)
	}
	g.shards = make(map[int32]*shard)
	g.mu.Unlock()
	for _, s := range all {
		s.resign()
		s.drop(code.NotCoordinator)
	}
	return nil
}

// spawn runs f until ctx ends, when Run is there to wait for it; before Run it
// returns false, and Run kicks who asked.
func (g *Groups) spawn(f func(ctx context.Context)) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx == nil || g.stopped {
		return false
	}
	ctx := g.ctx
	g.workers.Go(func() { f(ctx) })
	return true
}

// Observe takes and leaves shards as the leadership of the topic's partitions
// moves, and drops the offsets of topics that are deleted. It is an observer of the
// metadata log, and comes after the replicas'. It never waits.
func (g *Groups) Observe(delta *metadata.Delta, image *metadata.Image) {
	var gone []group.DeletedTopic
	for _, t := range delta.Deleted {
		if t.Name == OffsetsTopic {
			g.leaveAll()
			g.partitions.Store(0)
			continue
		}
		gone = append(gone, group.DeletedTopic{Name: t.Name, ID: t.ID})
	}
	for _, t := range delta.Created {
		if t.Name == OffsetsTopic {
			g.take(t)
		}
	}
	for _, c := range delta.Changed {
		if c.After.Name == OffsetsTopic {
			g.take(c.After)
		}
	}
	if len(gone) == 0 {
		return
	}
	d := group.TopicsDeleted(gone)
	for _, s := range g.all() {
		s.do(d, caller{})
	}
}

// take follows the leadership of the topic's partitions.
func (g *Groups) take(t *metadata.Topic) {
	g.partitions.Store(int32(len(t.Partitions)))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		if p.Leader == g.cfg.NodeID {
			g.lead(int32(i), p.LeaderEpoch)
		} else {
			g.leave(int32(i))
		}
	}
}

func (g *Groups) lead(index, epoch int32) {
	g.mu.Lock()
	old := g.shards[index]
	if old != nil && old.epoch == epoch {
		g.mu.Unlock()
		return
	}
	g.mu.Unlock()
	if old != nil {
		g.leave(index)
	}
	p, err := g.cfg.Source(index)
	if err != nil {
		g.log.Error("a partition of groups and offsets is led here and cannot be used", "event", "groups_unusable", "topic", OffsetsTopic, "partition", index, "error", err)
		return
	}
	s := newShard(g, index, epoch, p)
	g.mu.Lock()
	stopped := g.stopped
	if !stopped {
		g.shards[index] = s
	}
	g.mu.Unlock()
	if !stopped {
		s.begin()
	}
}

func (g *Groups) leave(index int32) {
	g.mu.Lock()
	s := g.shards[index]
	delete(g.shards, index)
	g.mu.Unlock()
	if s != nil {
		s.resign()
	}
}

func (g *Groups) leaveAll() {
	for _, s := range g.all() {
		g.leave(s.index)
	}
}

func (g *Groups) all() []*shard {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*shard, 0, len(g.shards))
	for _, s := range g.shards {
		all = append(all, s)
	}
	return all
}

// PartitionFor returns the number of the partition that keeps the group: Java's
// hash of its id (over UTF-16) modulo the number of partitions.
func (g *Groups) PartitionFor(groupID string) int32 {
	n := g.partitions.Load()
	if n == 0 {
		n = g.cfg.Partitions
	}
	return (javaHash(groupID) & 0x7fffffff) % n
}

// javaHash is String.hashCode of the text in UTF-16.
func javaHash(s string) int32 {
	var h uint32
	for _, c := range s {
		if c >= 0x10000 {
			c -= 0x10000
			h = h*31 + uint32(0xd800+c>>10)
			c = 0xdc00 + c&0x3ff
		}
		h = h*31 + uint32(c)
	}
	return int32(h)
}

func (g *Groups) shard(groupID string) (*shard, error) {
	index := g.PartitionFor(groupID)
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.shards[index]; s != nil {
		return s, nil
	}
	if g.stopped {
		return nil, code.CoordinatorNotAvailable
	}
	return nil, code.NotCoordinator
}

// Do hands d to the group's shard and returns at once; w is told the answer, or
// an error:
//
//	code.NotCoordinator             another broker leads the shard, or it could not be loaded
//	code.CoordinatorLoadInProgress  it is being read from its log
//	code.CoordinatorNotAvailable    the broker stops, or replication took too long
func (g *Groups) Do(groupID string, d group.Decision, w *Pending) {
	c := caller{w, w.begin()}
	s, err := g.shard(groupID)
	if err != nil {
		c.answer(err)
		return
	}
	s.do(d, c)
}

// Call hands d to the group's shard and waits for the answer. Errors are those of
// Do, and ctx's.
func (g *Groups) Call(ctx context.Context, groupID string, d group.Decision) (any, error) {
	w := NewPending()
	g.Do(groupID, d, w)
	return wait(ctx, w)
}

func wait(ctx context.Context, w *Pending) (any, error) {
	select {
	case <-w.Ready():
		body := w.Take()
		if err, ok := body.(error); ok {
			return nil, err
		}
		return body, nil
	case <-ctx.Done():
		w.Cancel()
		return nil, ctx.Err()
	}
}

// Each hands d to every shard that this broker leads and returns their answers.
// A shard that went meanwhile is left out; one that is being loaded makes it fail
// with code.CoordinatorLoadInProgress.
func (g *Groups) Each(ctx context.Context, d group.Decision) ([]any, error) {
	var waits []*Pending
	for _, s := range g.all() {
		w := NewPending()
		s.do(d, caller{w, w.begin()})
		waits = append(waits, w)
	}
	var bodies []any
	for i, w := range waits {
		body, err := wait(ctx, w)
		switch {
		case err == nil:
			bodies = append(bodies, body)
		case code.Of(err) == code.NotCoordinator:
		default:
			for _, later := range waits[i+1:] {
				later.Cancel()
			}
			return nil, err
		}
	}
	return bodies, nil
}

func newRand() *rand.Rand {
	var seed [32]byte
	if _, err := crypto.Read(seed[:]); err != nil {
		panic(err) // never fails (crypto/rand)
	}
	return rand.New(rand.NewChaCha8(seed))
}
