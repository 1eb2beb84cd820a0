package coordinator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/group"
)

// metrics are sums over all shards, under the names that boards for Apache Kafka query.
type metrics struct {
	groups, offsets prometheus.Gauge
	byState         [group.Stable + 1]prometheus.Gauge
	commits         prometheus.Counter
	deletions       prometheus.Counter
	expirations     prometheus.Counter
	rebalances      prometheus.Counter
	unknown         prometheus.Counter
	loads           prometheus.Histogram
}

func (m *metrics) register(r prometheus.Registerer) {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		r.MustRegister(g)
		return g
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	const manager = "kafka_coordinator_group_groupmetadatamanager_"
	m.groups = gauge(manager+"numgroups", "Groups that this broker coordinates.")
	m.offsets = gauge(manager+"numoffsets", "Committed offsets that this broker keeps.")
	for state, name := range [...]string{group.Dead: "dead", group.Empty: "empty", group.PreparingRebalance: "preparingrebalance",
		group.CompletingRebalance: "completingrebalance", group.Stable: "stable"} {
		m.byState[state] = gauge(manager+"numgroups"+name, "Groups in state "+group.State(state).String()+".")
	}
	const coordinator = "kafka_server_group_coordinator_metrics_"
	m.commits = counter(coordinator+"offset_commit_total", "Offsets committed.")
	m.deletions = counter(coordinator+"offset_deletion_total", "Offsets deleted by request or with their topic.")
	m.expirations = counter(coordinator+"offset_expiration_total", "Offsets that expired.")
	m.rebalances = counter(coordinator+"group_completed_rebalance_total", "Rebalances that ended with an assignment.")
	m.unknown = counter("klamm_coordinator_unknown_records_total", "Records of an unknown type read from the log of groups.")
	m.loads = prometheus.NewHistogram(prometheus.HistogramOpts{Name: coordinator + "partition_load_seconds",
		Help: "How long a shard took to load.", Buckets: prometheus.ExponentialBuckets(.001, 4, 9)})
	r.MustRegister(m.loads)
}

// add tells what changed in one shard since last, which becomes now.
func (m *metrics) add(last *group.Stats, now group.Stats) {
	if *last == now {
		return
	}
	total := 0
	for state := range now.Groups {
		if d := now.Groups[state] - last.Groups[state]; d != 0 {
			m.byState[state].Add(float64(d))
			total += d
		}
	}
	m.groups.Add(float64(total))
	m.offsets.Add(float64(now.Offsets - last.Offsets))
	m.commits.Add(float64(now.OffsetCommits - last.OffsetCommits))
	m.deletions.Add(float64(now.OffsetDeletes - last.OffsetDeletes))
	m.expirations.Add(float64(now.OffsetsExpired - last.OffsetsExpired))
	m.rebalances.Add(float64(now.Rebalances - last.Rebalances))
	m.unknown.Add(float64(now.UnknownRecords - last.UnknownRecords))
	*last = now
}

// forget takes a shard that is dropped out of the gauges.
func (m *metrics) forget(last *group.Stats) {
	none := *last
	none.Groups, none.Offsets = [group.Stable + 1]int{}, 0
	m.add(last, none)
	*last = group.Stats{}
}

func (m *metrics) loaded(took time.Duration) { m.loads.Observe(took.Seconds()) }
