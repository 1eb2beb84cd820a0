package replica

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	// Dirs are the log directories, at least one. Run runs them.
	Dirs []*commitlog.Dir
	// Codecs decompress and compress what producers send.
	Codecs *record.Codecs
	// MaxLag is replica.lag.time.max.ms.
	MaxLag time.Duration
	// TopicOptions resolves a topic's effective configuration from its own overrides and the broker's values.
	TopicOptions func(image *metadata.Image, topic string) (commitlog.Options, error)
	// Logger hears of partitions that cannot be opened and directories that fail; nil means slog.Default.
	Logger *slog.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Set is all partitions that this broker holds. It observes the metadata log:
// partitions come, change leaders and go by its records alone.
type Set struct {
	cfg Config
	log *slog.Logger

	lies map[commitlog.ID]*commitlog.Dir // where logs lay at the start, by name; nil with one directory

	mu     sync.RWMutex // guards the maps; never held across disk work
	byName map[string]*topic
	byID   map[wire.UUID]*topic
	image  *metadata.Image // the last one observed

	retired          TopicTotals // of topics that are deleted
	shrinks, expands atomic.Int64
}

// topic is the partitions of one topic, indexed by number. It does not change once
// it is in the maps; another one takes its place.
type topic struct {
	name       string
	id         wire.UUID
	partitions []*Partition // nil where this broker holds no replica, or could not open it
	offline    []bool       // could not be opened
	stats      *TopicStats  // of the topic for as long as it lives
}

// New returns an empty set.
func New(cfg Config) *Set {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Set{cfg: cfg, log: cfg.Logger, byName: make(map[string]*topic), byID: make(map[wire.UUID]*topic)}
	if len(cfg.Dirs) > 1 {
		s.lies = make(map[commitlog.ID]*commitlog.Dir)
		for _, d := range cfg.Dirs {
			for _, id := range d.Found() {
				s.lies[commitlog.ID{Topic: id.Topic, Partition: id.Partition}] = d
			}
		}
	}
	if cfg.Registerer != nil {
		s.register(cfg.Registerer)
	}
	return s
}

// Partition finds a partition by its topic's name.
//
//	code.UnknownTopicOrPartition  no such partition exists
//	code.NotLeaderOrFollower      another broker holds it
//	code.KafkaStorageError        it could not be opened here
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

// PartitionByID finds a partition by its topic's id. Errors are Partition's, and
// code.UnknownTopicId when no topic has the id.
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
	if t.offline[index] {
		return nil, code.KafkaStorageError
	}
	return nil, code.NotLeaderOrFollower
}

// All returns every partition that this broker holds, sorted by topic and number.
func (s *Set) All() []*Partition {
	all := s.every()
	slices.SortFunc(all, func(a, b *Partition) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.index, b.index))
	})
	return all
}

// every is All in any order.
func (s *Set) every() (all []*Partition) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range s.byID {
		for _, p := range t.partitions {
			if p != nil {
				all = append(all, p)
			}
		}
	}
	return all
}

// Observe applies a change of the metadata to the partitions: it opens and
// closes logs, takes and leaves leadership, and gives new options to logs. A
// partition that cannot be opened is offline, and says so once in the log; the
// others go on. Calls do not overlap. The first image must not be older than this
// broker's registration: an older one may name it the leader of an epoch that ended.
func (s *Set) Observe(delta *metadata.Delta, image *metadata.Image) {
	// The image goes first, so that whoever is woken by what follows is told by it.
	s.mu.Lock()
	s.image = image
	s.mu.Unlock()
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
}

// drop ends the partitions of a deleted topic.
func (s *Set) drop(deleted *metadata.Topic) {
	s.mu.Lock()
	t := s.byID[deleted.ID]
	delete(s.byID, deleted.ID)
	if t != nil {
		s.retired.add(t.stats.Totals())
		if s.byName[t.name] == t {
			delete(s.byName, t.name)
		}
	}
	s.mu.Unlock()
	if t == nil {
		return
	}
	for i, p := range t.partitions {
		if p != nil {
			s.remove(p)
		} else if t.offline[i] {
			id := commitlog.ID{Topic: t.name, TopicID: t.id, Partition: int32(i)}
			if d := s.place(deleted, int32(i)); d != nil {
				s.delete(d, id)
				continue
			}
			for _, d := range s.cfg.Dirs { // it was new, and may have come as far as any
				s.delete(d, id)
			}
		}
	}
}

// remove ends a partition on this broker and deletes its log.
func (s *Set) remove(p *Partition) {
	p.close()
	s.delete(p.home, p.logID())
}

func (s *Set) delete(d *commitlog.Dir, id commitlog.ID) {
	if err := d.Delete(id); err != nil {
		s.log.Error("deleting a partition failed; its files stay", "event", "partition_not_deleted", "topic", id.Topic, "partition", id.Partition, "error", err)
	}
	delete(s.lies, commitlog.ID{Topic: id.Topic, Partition: id.Partition})
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
	t := &topic{name: m.Name, id: m.ID, partitions: make([]*Partition, len(m.Partitions)), offline: make([]bool, len(m.Partitions))}
	if old != nil {
		t.stats = old.stats
		copy(t.partitions, old.partitions)
		copy(t.offline, old.offline)
	} else {
		t.stats = new(TopicStats)
	}
	opts, err := s.cfg.TopicOptions(image, m.Name)
	if err != nil {
		s.log.Error("a topic's configuration cannot be used; Kafka's defaults are until it is set right", "event", "topic_config_unusable", "topic", m.Name, "error", err)
		opts = commitlog.DefaultOptions()
	}
	now := time.Now()
	dirs := s.placeAll(t, m, changed)
	gone := make([]*Partition, len(m.Partitions))
	one := func(i int) {
		d := &m.Partitions[i]
		p := t.partitions[i]
		if !slices.Contains(d.Replicas, s.cfg.NodeID) {
			t.partitions[i], t.offline[i], gone[i] = nil, false, p
			return
		}
		if p == nil {
			var err error
			p, err = s.open(m, int32(i), dirs(i), opts, t.stats)
			if t.offline[i] = err != nil; err != nil {
				s.log.Error("a partition cannot be opened and is offline", "event", "partition_offline", "topic", m.Name, "partition", i, "error", err)
				return
			}
			t.partitions[i] = p
		}
		before, led := p.Replication()
		if err := p.become(isr.Partition{Replicas: d.Replicas, ISR: d.ISR, Leader: d.Leader, LeaderEpoch: d.LeaderEpoch, PartitionEpoch: d.PartitionEpoch}, now); err != nil {
			s.log.Error("a partition's log takes no leadership", "event", "leadership_failed", "topic", m.Name, "partition", i, "error", err)
		}
		if after, leads := p.Replication(); led && leads && after.ISR < before.ISR {
			s.shrinks.Add(1)
		} else if led && leads && after.ISR > before.ISR {
			s.expands.Add(1)
		}
	}
	if changed != nil {
		each(len(changed), func(i int) { one(int(changed[i])) })
	} else {
		each(len(m.Partitions), one)
	}
	s.mu.Lock()
	s.byID[t.id], s.byName[t.name] = t, t
	s.mu.Unlock()
	for _, p := range gone {
		if p != nil {
			s.remove(p)
		}
	}
}

// each runs one for 0 to n-1, on all processors: opening a log after a crash reads its tail.
func each(n int, one func(i int)) {
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

func (s *Set) open(m *metadata.Topic, index int32, home *commitlog.Dir, opts commitlog.Options, stats *TopicStats) (*Partition, error) {
	p := &Partition{topic: m.Name, id: m.ID, index: index, self: s.cfg.NodeID, codecs: s.cfg.Codecs, home: home, stats: stats}
	p.setLeader(-1, -1)
	l, err := home.Open(p.logID(), p.options(opts), p.flushed)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := l.Bounds()
	p.log = l
	p.state = isr.New(s.cfg.NodeID, min(b.HighWatermark, b.End), s.cfg.MaxLag)
	p.state.Raise(b.Start) // a watermark that was not remembered is the start at least
	p.state.SetMinISR(int(opts.MinInsyncReplicas))
	p.setHighWatermark()
	return p, nil
}

// placeAll returns the directory of each partition of a topic that is to be opened:
// where it lies already, where the metadata says, else the one with the fewest
// partitions, those that this topic has just been given counted.
func (s *Set) placeAll(t *topic, m *metadata.Topic, changed []int32) func(i int) *commitlog.Dir {
	if len(s.cfg.Dirs) == 1 {
		return func(int) *commitlog.Dir { return s.cfg.Dirs[0] }
	}
	held := make(map[*commitlog.Dir]int)
	for _, p := range s.every() {
		held[p.home]++
	}
	dirs := make([]*commitlog.Dir, len(m.Partitions))
	for i := range m.Partitions {
		if t.partitions[i] != nil || changed != nil && !slices.Contains(changed, int32(i)) || !slices.Contains(m.Partitions[i].Replicas, s.cfg.NodeID) {
			continue
		}
		if dirs[i] = s.place(m, int32(i)); dirs[i] == nil {
			for _, d := range s.cfg.Dirs {
				if d.Err() == nil && (dirs[i] == nil || held[d] < held[dirs[i]]) {
					dirs[i] = d
				}
			}
		}
		if dirs[i] == nil { // all have failed; the first tells why
			dirs[i] = s.cfg.Dirs[0]
		}
		held[dirs[i]]++
	}
	return func(i int) *commitlog.Dir { return dirs[i] }
}

// place returns the directory where a partition lies or has to lie; nil when nothing says.
func (s *Set) place(m *metadata.Topic, index int32) *commitlog.Dir {
	if len(s.cfg.Dirs) == 1 {
		return s.cfg.Dirs[0]
	}
	if d := s.lies[commitlog.ID{Topic: m.Name, Partition: index}]; d != nil {
		return d
	}
	p := &m.Partitions[index]
	if i := slices.Index(p.Replicas, s.cfg.NodeID); i >= 0 && i < len(p.Directories) {
		for _, d := range s.cfg.Dirs {
			if d.Meta().DirectoryID == p.Directories[i] {
				return d
			}
		}
	}
	return nil
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
			s.log.Error("a topic's configuration cannot be used and stays as it was", "event", "topic_config_unusable", "topic", t.name, "error", err)
			continue
		}
		for _, p := range t.partitions {
			if p != nil {
				p.configure(opts)
			}
		}
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
			s.log.Error("a log directory failed; its partitions are offline", "event", "log_dir_offline", "directory", d.Path(), "error", errs[i])
			for _, p := range s.every() {
				if p.home == d {
					p.wakeAll(false) // what waits for it would wait in vain
				}
			}
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
