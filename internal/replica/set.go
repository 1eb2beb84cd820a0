package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/isr"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// Config is what a Set needs.
type Config struct {
	NodeID int32
	// Dirs are the log directories, at least one.
	Dirs   []*commitlog.Dir
	Codecs *record.Codecs
	// MaxLag is replica.lag.time.max.ms.
	MaxLag time.Duration
	// TopicOptions resolves a topic's effective configuration from its own overrides and the broker's values.
	TopicOptions func(image *metadata.Image, topic string) (commitlog.Options, error)
	Logger       *slog.Logger
	Registerer   prometheus.Registerer
}

// Set is all partitions that this broker holds. It observes the metadata log:
// partitions come, change leaders and go by its records alone.
type Set struct {
	cfg Config
	log *slog.Logger

	mu     sync.RWMutex // guards the maps; never held across disk work
	byName map[string]*topic
	byID   map[wire.UUID]*topic
	image  *metadata.Image // the last one observed
}

// topic is the partitions of one topic, indexed by number; nil where this broker holds no replica.
type topic struct {
	name       string
	id         wire.UUID
	partitions []*Partition
}

// New returns an empty set.
func New(cfg Config) *Set {
	s := &Set{cfg: cfg, log: cfg.Logger, byName: make(map[string]*topic), byID: make(map[wire.UUID]*topic)}
	s.register(cfg.Registerer)
	return s
}

// Partition finds a partition by its topic's name. Errors: code.UnknownTopicOrPartition
// when no such partition exists, code.NotLeaderOrFollower when another broker holds it.
func (s *Set) Partition(name string, index int32) (*Partition, error) {
	s.mu.RLock()
	t := s.byName[name]
	image := s.image
	s.mu.RUnlock()
	if t == nil {
		if image != nil {
			if m := image.Topic(name); m != nil && index >= 0 && int(index) < len(m.Partitions) {
				return nil, code.NotLeaderOrFollower
			}
		}
		return nil, code.UnknownTopicOrPartition
	}
	return t.partition(index)
}

// PartitionByID finds a partition by its topic's id. Errors as Partition's, with code.UnknownTopicID.
func (s *Set) PartitionByID(id wire.UUID, index int32) (*Partition, error) {
	s.mu.RLock()
	t := s.byID[id]
	image := s.image
	s.mu.RUnlock()
	if t == nil {
		if image != nil {
			if m := image.TopicByID(id); m != nil && index >= 0 && int(index) < len(m.Partitions) {
				return nil, code.NotLeaderOrFollower
			}
		}
		return nil, code.UnknownTopicId
	}
	return t.partition(index)
}

func (t *topic) partition(index int32) (*Partition, error) {
	if index < 0 || int(index) >= len(t.partitions) {
		return nil, code.UnknownTopicOrPartition
	}
	if p := t.partitions[index]; p != nil {
		return p, nil
	}
	return nil, code.NotLeaderOrFollower
}

// All returns every partition that this broker holds, sorted by topic and number.
func (s *Set) All() []*Partition {
	var all []*Partition
	s.mu.RLock()
	for _, t := range s.byName {
		for _, p := range t.partitions {
			if p != nil {
				all = append(all, p)
			}
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Partition) int {
		if a.topic != b.topic {
			if a.topic < b.topic {
				return -1
			}
			return 1
		}
		return int(a.index - b.index)
	})
	return all
}

// Observe applies a change of the metadata to the partitions: it opens and
// closes logs, takes and leaves leadership, and gives new options to logs. A
// partition that cannot be opened is offline, and says so once in the log; the others go on.
func (s *Set) Observe(delta *metadata.Delta, image *metadata.Image) {
	for _, t := range delta.Deleted {
		s.drop(t)
	}
	for _, t := range delta.Created {
		s.take(t, nil, image)
	}
	for _, c := range delta.Changed {
		s.take(c.After, c.Partitions, image)
	}
	if len(delta.Configs) > 0 {
		s.configure(delta.Configs, image)
	}
	s.mu.Lock()
	s.image = image
	s.mu.Unlock()
}

// drop ends the partitions of a deleted topic.
func (s *Set) drop(deleted *metadata.Topic) {
	s.mu.Lock()
	t := s.byID[deleted.ID]
	delete(s.byID, deleted.ID)
	if t != nil && s.byName[t.name] == t {
		delete(s.byName, t.name)
	}
	s.mu.Unlock()
	if t == nil {
		return
	}
	for _, p := range t.partitions {
		if p == nil {
			continue
		}
		p.close()
		if err := s.dirOf(p).Delete(p.logID()); err != nil {
			s.log.Error("deleting a partition failed; its files stay", "topic", p.topic, "partition", p.index, "error", err)
		}
	}
}

func (s *Set) dirOf(p *Partition) *commitlog.Dir {
	for _, d := range s.cfg.Dirs {
		if wire.UUID(d.Meta().DirectoryID) == p.dir {
			return d
		}
	}
	panic(fmt.Sprintf("replica: %s-%d lies in no log directory", p.topic, p.index))
}

func (p *Partition) logID() commitlog.ID {
	return commitlog.ID{Topic: p.topic, TopicID: p.id, Partition: p.index}
}

// take opens what is new of a topic and hands every changed partition its
// leadership; changed is nil for a topic that is new as a whole.
func (s *Set) take(m *metadata.Topic, changed []int32, image *metadata.Image) {
	s.mu.RLock()
	old := s.byID[m.ID]
	s.mu.RUnlock()
	t := &topic{name: m.Name, id: m.ID, partitions: make([]*Partition, len(m.Partitions))}
	if old != nil {
		copy(t.partitions, old.partitions)
	}
	opts, err := s.cfg.TopicOptions(image, m.Name)
	if err != nil {
		s.log.Error("a topic's configuration cannot be used; its defaults are", "topic", m.Name, "error", err)
	}
	now := time.Now()
	one := func(i int) {
		d := &m.Partitions[i]
		p := t.partitions[i]
		if !slices.Contains(d.Replicas, s.cfg.NodeID) {
			return
		}
		if p == nil {
			var err error
			if p, err = s.open(m, int32(i), opts); err != nil {
				s.log.Error("a partition cannot be opened and is offline", "topic", m.Name, "partition", i, "error", err)
				return
			}
			t.partitions[i] = p
		}
		p.setMinISR(int(opts.MinInsyncReplicas))
		if err := p.become(s.cfg.NodeID, isr.Partition{Replicas: d.Replicas, ISR: d.ISR, Leader: d.Leader, LeaderEpoch: d.LeaderEpoch, PartitionEpoch: d.PartitionEpoch}, now); err != nil {
			s.log.Error("a partition cannot change its leadership", "topic", m.Name, "partition", i, "error", err)
		}
	}
	if changed != nil {
		s.each(len(changed), func(i int) { one(int(changed[i])) })
	} else {
		s.each(len(m.Partitions), one)
	}
	s.mu.Lock()
	s.byID[t.id], s.byName[t.name] = t, t
	s.mu.Unlock()
}

// each runs one for 0 to n-1, on all processors: opening a log after a crash reads its tail.
func (s *Set) each(n int, one func(i int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			one(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				one(i)
			}
		})
	}
	wg.Wait()
}

func (s *Set) open(m *metadata.Topic, index int32, opts commitlog.Options) (*Partition, error) {
	p := &Partition{topic: m.Name, id: m.ID, index: index, codecs: s.cfg.Codecs}
	p.setLeader(-1, -1)
	dir := s.place(m, index)
	// A log with an unflushed tail may be flushed, and say so, before Open has
	// returned: the lock makes flushed wait until there is a state to tell.
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := dir.Open(p.logID(), opts, p.flushed)
	if err != nil {
		return nil, err
	}
	p.log, p.dir = l, dir.Meta().DirectoryID
	hw := l.HighWatermark()
	p.hw.Store(hw)
	p.state = isr.New(s.cfg.NodeID, hw, s.cfg.MaxLag)
	return p, nil
}

// place chooses the log directory of a partition: where it lies already, where
// the metadata says, else the one with the fewest partitions.
func (s *Set) place(m *metadata.Topic, index int32) *commitlog.Dir {
	if len(s.cfg.Dirs) == 1 {
		return s.cfg.Dirs[0]
	}
	id := commitlog.ID{Topic: m.Name, TopicID: m.ID, Partition: index}
	for _, d := range s.cfg.Dirs {
		if d.Has(id) {
			return d
		}
	}
	d := &m.Partitions[index]
	if i := slices.Index(d.Replicas, s.cfg.NodeID); i >= 0 && i < len(d.Directories) {
		for _, dir := range s.cfg.Dirs {
			if dir.Meta().DirectoryID == d.Directories[i] && dir.Err() == nil {
				return dir
			}
		}
	}
	best := s.cfg.Dirs[0]
	for _, dir := range s.cfg.Dirs[1:] {
		if dir.Err() == nil && (best.Err() != nil || dir.Len() < best.Len()) {
			best = dir
		}
	}
	return best
}

// configure gives logs the options that a change of configuration means: those of
// one topic, or of all when it is the broker's values that they fall back to.
func (s *Set) configure(changed []metadata.ConfigResource, image *metadata.Image) {
	all := slices.ContainsFunc(changed, func(r metadata.ConfigResource) bool { return r.Type == metadata.BrokerResource })
	s.mu.RLock()
	topics := make([]*topic, 0, len(s.byName))
	for _, t := range s.byName {
		if all || slices.Contains(changed, metadata.ConfigResource{Type: metadata.TopicResource, Name: t.name}) {
			topics = append(topics, t)
		}
	}
	s.mu.RUnlock()
	for _, t := range topics {
		opts, err := s.cfg.TopicOptions(image, t.name)
		if err != nil {
			s.log.Error("a topic's configuration cannot be used and stays as it was", "topic", t.name, "error", err)
			continue
		}
		for _, p := range t.partitions {
			if p != nil {
				p.log.SetOptions(opts)
				p.setMinISR(int(opts.MinInsyncReplicas))
			}
		}
	}
}

func (p *Partition) setMinISR(n int) {
	p.mu.Lock()
	p.state.SetMinISR(n)
	moved := p.advance()
	p.mu.Unlock()
	if moved {
		p.wake(OnWatermark)
	}
}

// Run keeps the log directories going until ctx ends, then flushes them and
// marks them clean. It returns the error of a directory that failed: with the
// last one gone, or when the first holds the metadata log, the node has to stop.
func (s *Set) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(s.cfg.Dirs))
	var wg sync.WaitGroup
	for i, d := range s.cfg.Dirs {
		wg.Go(func() {
			if errs[i] = d.Run(ctx); errs[i] == nil {
				return
			}
			s.log.Error("a log directory failed; its partitions are offline", "directory", d.Path(), "error", errs[i])
			if i == 0 || s.failed() == len(s.cfg.Dirs) {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Set) failed() (n int) {
	for _, d := range s.cfg.Dirs {
		if d.Err() != nil {
			n++
		}
	}
	return n
}
