package replica

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/wire"
)

// TopicStats counts what clients did with the partitions of one topic on this
// broker since it started. Adding is one atomic instruction; nothing is ever taken
// away. The names are those of Kafka's BrokerTopicMetrics.
type TopicStats struct {
	// ProduceRequests counts the partitions that Produce requests brought records for,
	// and FailedProduceRequests those that were answered with an error.
	ProduceRequests, FailedProduceRequests atomic.Int64
	// MessagesIn and BytesIn count the records and the bytes of batches that the log took.
	MessagesIn, BytesIn atomic.Int64
	// BytesRejected counts the bytes that were refused because they were too large.
	BytesRejected atomic.Int64
	// FetchRequests counts reads of partitions for Fetch requests, and FailedFetchRequests
	// those that failed.
	FetchRequests, FailedFetchRequests atomic.Int64
	// BytesOut counts the bytes of batches that were given to consumers.
	BytesOut atomic.Int64
}

// TopicTotals are the values of TopicStats at one moment.
type TopicTotals struct {
	ProduceRequests, FailedProduceRequests int64
	MessagesIn, BytesIn, BytesRejected     int64
	FetchRequests, FailedFetchRequests     int64
	BytesOut                               int64
}

// Totals returns the counts so far.
func (t *TopicStats) Totals() TopicTotals {
	return TopicTotals{
		ProduceRequests: t.ProduceRequests.Load(), FailedProduceRequests: t.FailedProduceRequests.Load(),
		MessagesIn: t.MessagesIn.Load(), BytesIn: t.BytesIn.Load(), BytesRejected: t.BytesRejected.Load(),
		FetchRequests: t.FetchRequests.Load(), FailedFetchRequests: t.FailedFetchRequests.Load(),
		BytesOut: t.BytesOut.Load(),
	}
}

// add adds what o counts.
func (t *TopicTotals) add(o TopicTotals) {
	t.ProduceRequests += o.ProduceRequests
	t.FailedProduceRequests += o.FailedProduceRequests
	t.MessagesIn += o.MessagesIn
	t.BytesIn += o.BytesIn
	t.BytesRejected += o.BytesRejected
	t.FetchRequests += o.FetchRequests
	t.FailedFetchRequests += o.FailedFetchRequests
	t.BytesOut += o.BytesOut
}

// Stats returns the counters of the partition's topic, which its partitions share.
func (p *Partition) Stats() *TopicStats { return p.stats }

// Topics calls visit with the totals of each topic of which this broker holds a
// partition, in any order. visit must not wait, nor call the set.
func (s *Set) Topics(visit func(name string, id wire.UUID, totals TopicTotals)) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range s.byID {
		visit(t.name, t.id, t.stats.Totals())
	}
}

// Totals returns the totals of all topics of this broker, those counted that were deleted since it started.
func (s *Set) Totals() TopicTotals {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sum := s.retired
	for _, t := range s.byID {
		sum.add(t.stats.Totals())
	}
	return sum
}

// Len returns how many partitions this broker holds.
func (s *Set) Len() (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range s.byID {
		for _, p := range t.partitions {
			if p != nil {
				n++
			}
		}
	}
	return n
}

// Replication is how a led partition stands.
type Replication struct {
	// Replicas and ISR are how many replicas it has, and how many of them are in sync.
	Replicas, ISR int
	// MinISR is min.insync.replicas, at most Replicas.
	MinISR int
}

// Replication tells how the partition stands; ok is false where this broker does not lead it.
func (p *Partition) Replication() (r Replication, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.state.Leading() {
		return Replication{}, false
	}
	return Replication{Replicas: p.state.Replicas(), ISR: len(p.state.ISR()), MinISR: p.state.EffectiveMinISR()}, true
}

// collector exposes the set under the names that boards for Apache Kafka query. One pass over the
// partitions serves all its gauges.
type collector struct {
	s *Set

	partitions, leaders, under, underMin, atMin, offline, shrinks, expands *prometheus.Desc
	messagesIn, bytesIn, bytesOut, rejected                                *prometheus.Desc
	produces, failedProduces, fetches, failedFetches                       *prometheus.Desc
}

// register hands the set's metrics to r.
func (s *Set) register(r prometheus.Registerer) {
	manager := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kafka_server_replicamanager_"+name, help, nil, nil)
	}
	topic := func(name string) *prometheus.Desc {
		return prometheus.NewDesc(TopicMetric(name), TopicHelp(name), nil, nil)
	}
	r.MustRegister(&collector{
		s:              s,
		partitions:     manager("partitioncount", "Partitions that this broker holds."),
		leaders:        manager("leadercount", "Partitions that this broker leads."),
		under:          manager("underreplicatedpartitions", "Led partitions with fewer in-sync replicas than replicas."),
		underMin:       manager("underminisrpartitioncount", "Led partitions with fewer in-sync replicas than min.insync.replicas."),
		atMin:          manager("atminisrpartitioncount", "Led partitions with just as many in-sync replicas as min.insync.replicas."),
		offline:        manager("offlinereplicacount", "Partitions that could not be opened or whose log failed."),
		shrinks:        manager("isrshrinks_total", "How often a led partition lost an in-sync replica."),
		expands:        manager("isrexpands_total", "How often a led partition got an in-sync replica back."),
		messagesIn:     topic("messagesin"),
		bytesIn:        topic("bytesin"),
		bytesOut:       topic("bytesout"),
		rejected:       topic("bytesrejected"),
		produces:       topic("totalproducerequests"),
		failedProduces: topic("failedproducerequests"),
		fetches:        topic("totalfetchrequests"),
		failedFetches:  topic("failedfetchrequests"),
	})
}

// TopicMetric returns the full name of one of Kafka's BrokerTopicMetrics: "messagesin", "bytesin",
// "bytesout", "bytesrejected", "totalproducerequests", "failedproducerequests", "totalfetchrequests"
// or "failedfetchrequests". The set exposes each for the whole broker; those by topic are the node's.
func TopicMetric(name string) string { return "kafka_server_brokertopicmetrics_" + name + "_total" }

// TopicHelp returns what TopicMetric counts, for series with and without a topic alike.
func TopicHelp(name string) string {
	switch name {
	case "messagesin":
		return "Records that producers sent and the log took."
	case "bytesin":
		return "Bytes of record batches that producers sent and the log took."
	case "bytesout":
		return "Bytes of record batches given to consumers."
	case "bytesrejected":
		return "Bytes of record batches refused because they were too large."
	case "totalproducerequests":
		return "Partitions of Produce requests."
	case "failedproducerequests":
		return "Partitions of Produce requests that were answered with an error."
	case "totalfetchrequests":
		return "Reads of partitions for Fetch requests."
	case "failedfetchrequests":
		return "Reads of partitions for Fetch requests that failed."
	}
	return ""
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	var partitions, leaders, under, underMin, atMin int
	for _, p := range c.s.every() {
		partitions++
		r, leads := p.Replication()
		if !leads {
			continue
		}
		leaders++
		if r.ISR < r.Replicas {
			under++
		}
		switch {
		case r.ISR < r.MinISR:
			underMin++
		case r.ISR == r.MinISR:
			atMin++
		}
	}
	gauge := func(d *prometheus.Desc, n int) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))
	}
	gauge(c.partitions, partitions)
	gauge(c.leaders, leaders)
	gauge(c.under, under)
	gauge(c.underMin, underMin)
	gauge(c.atMin, atMin)
	gauge(c.offline, c.s.offline())
	counter := func(d *prometheus.Desc, n int64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	counter(c.shrinks, c.s.shrinks.Load())
	counter(c.expands, c.s.expands.Load())
	t := c.s.Totals()
	counter(c.messagesIn, t.MessagesIn)
	counter(c.bytesIn, t.BytesIn)
	counter(c.bytesOut, t.BytesOut)
	counter(c.rejected, t.BytesRejected)
	counter(c.produces, t.ProduceRequests)
	counter(c.failedProduces, t.FailedProduceRequests)
	counter(c.fetches, t.FetchRequests)
	counter(c.failedFetches, t.FailedFetchRequests)
}

// offline returns how many partitions of this broker cannot be used.
func (s *Set) offline() (n int) {
	for _, p := range s.every() {
		if p.log.Failed() != nil {
			n++
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range s.byID {
		for _, off := range t.offline {
			if off {
				n++
			}
		}
	}
	return n
}
