package quorum

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/wire"
)

// Description is what DescribeQuorum tells of the metadata log.
type Description struct {
	Leader        int32 // node id, -1 when none is known
	Epoch         int32
	HighWatermark int64
	Voters        []Replica // sorted by id
}

// Replica is how far a voter is, as its leader knows it.
type Replica struct {
	ID        int32
	Directory wire.UUID
	LogEnd    int64     // offset behind its last record, -1 when not known
	LastFetch time.Time // when it was heard of last; zero when not known
	CaughtUp  time.Time // when it had everything; zero when not known
	Endpoints []string  // "listener://host:port"
}

// Describe returns the state of the quorum. Only the leader knows how far the others are.
func (q *Quorum) Describe(ctx context.Context) (Description, error) {
	done := make(chan Description, 1)
	q.mu.Lock()
	if q.stopped {
		q.mu.Unlock()
		return Description{}, errStopped
	}
	q.calls = append(q.calls, func() { done <- q.describe() })
	q.mu.Unlock()
	q.poke()
	select {
	case d := <-done:
		return d, nil
	case <-ctx.Done():
		return Description{}, ctx.Err()
	}
}

func (q *Quorum) describe() Description {
	s := q.status.Load()
	d := Description{Leader: s.leader, Epoch: s.epoch, HighWatermark: int64(q.commit) + 1}
	progress := q.rn.Status().Progress
	now := time.Now()
	for id, v := range q.voters {
		r := Replica{ID: v.ID, Directory: v.Directory, LogEnd: -1}
		for _, e := range v.Endpoints {
			r.Endpoints = append(r.Endpoints, fmt.Sprintf("%s://%s:%d", e.Listener, e.Host, e.Port))
		}
		if p, ok := progress[id]; ok && q.leading {
			r.LogEnd, r.LastFetch = int64(p.Match)+1, q.seen[id]
			if p.Match >= q.raft.last {
				r.CaughtUp = r.LastFetch
			}
		}
		if id == q.self {
			r.LogEnd, r.LastFetch, r.CaughtUp = int64(q.raft.last)+1, now, now
		}
		d.Voters = append(d.Voters, r)
	}
	slices.SortFunc(d.Voters, func(a, b Replica) int { return int(a.ID) - int(b.ID) })
	return d
}

// metrics count what the quorum does.
type metrics struct {
	proposed, snapshots prometheus.Counter
	applied             prometheus.Gauge
	append              prometheus.Histogram
}

// newMetrics registers under the names that Strimzi's boards have for Kafka's own, as far as there are any.
func newMetrics(q *Quorum, r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		proposed:  prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_server_raftmetrics_proposed_records_total", Help: "Metadata records that this node proposed."}),
		snapshots: prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_server_snapshotemitter_snapshots_total", Help: "Snapshots of the metadata that this node wrote."}),
		applied:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "kafka_server_brokermetadatametrics_last_applied_record_offset", Help: "Offset of the last metadata record that was applied."}),
		append: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "kafka_server_raftmetrics_append_seconds", Help: "Time to make an append to the metadata log durable.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9)}),
	}
	if r == nil {
		return m, nil
	}
	all := []prometheus.Collector{m.proposed, m.snapshots, m.applied, m.append, newRaftCollector(q, m)}
	gauge := func(name, help string, value func() int) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
	}
	gauge("kafka_controller_kafkacontroller_activecontrollercount", "1 on the active controller, 0 elsewhere.", func() int {
		if q.Leading() {
			return 1
		}
		return 0
	})
	gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics in the cluster.", func() int { return q.Image().NumTopics() })
	gauge("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions in the cluster.", func() int { return q.Image().NumPartitions() })
	gauge("kafka_controller_kafkacontroller_activebrokercount", "Brokers that are registered and not fenced.", func() int { return q.Image().NumActive() })
	gauge("kafka_controller_kafkacontroller_fencedbrokercount", "Brokers that are registered and fenced.", func() int {
		i := q.Image()
		return len(i.Brokers()) - i.NumActive()
	})
	gauge("kafka_controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader.", func() (n int) {
		for t := range q.Image().Topics() {
			for i := range t.Partitions {
				if t.Partitions[i].Leader < 0 {
					n++
				}
			}
		}
		return n
	})
	for i, c := range all {
		if err := r.Register(c); err != nil {
			for _, done := range all[:i] {
				r.Unregister(done)
			}
			return nil, fmt.Errorf("quorum: register metrics: %w", err)
		}
	}
	return m, nil
}

// raftLogger gives raft's own messages to slog; what it calls info is its everyday talk.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) Debug(v ...any)                 {}
func (l raftLogger) Debugf(format string, v ...any) {}
func (l raftLogger) Info(v ...any)                  { l.log.Debug("raft", "message", fmt.Sprint(v...)) }
func (l raftLogger) Infof(format string, v ...any)  { l.debugf(format, v...) }
func (l raftLogger) Warning(v ...any) {
	l.log.Warn("raft", "event", "raft", "message", fmt.Sprint(v...))
}
func (l raftLogger) Warningf(format string, v ...any) {
	l.log.Warn("raft", "event", "raft", "message", fmt.Sprintf(format, v...))
}
func (l raftLogger) Error(v ...any) {
	l.log.Error("raft", "event", "raft", "message", fmt.Sprint(v...))
}
func (l raftLogger) Errorf(format string, v ...any) {
	l.log.Error("raft", "event", "raft", "message", fmt.Sprintf(format, v...))
}
func (l raftLogger) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (l raftLogger) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

func (l raftLogger) debugf(format string, v ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("raft", "message", fmt.Sprintf(format, v...))
	}
}
