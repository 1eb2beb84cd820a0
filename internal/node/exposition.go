package node

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/wire"
)

// The node tells of itself on two pages of the admin listener.
//
//	/metrics         what its Registerer gathers: a few hundred series, and those of partitions and
//	                 groups while there are few of them (seriesOnMetrics)
//	/metrics/detail  what Node.detail gathers: series whose number grows with partitions, groups and clients
//
// A room that has numbers to show is given a prometheus.Registerer by build: n.reg for series whose
// number does not depend on what clients do, n.detail for one by client, partition or group. What costs
// anything is computed by a Collector when it is asked for, not counted where clients wait. A value of a
// label that clients choose goes through label first: one that is no UTF-8 fails its whole page.
// docs/metrics.md lists every name, and a test compares it with what a node exposes.

// seriesOnMetrics is how many partitions, and how many committed offsets, have their own series on
// /metrics. With one more of them all series of that kind are on /metrics/detail alone.
const seriesOnMetrics = 2000

// expose registers the collectors of what is not counted anywhere: it is looked up when a page is asked for.
func (n *Node) expose() {
	lag := newGroupLag(n)
	n.reg.MustRegister(newNodeCollector(n, lag), &partitionCollector{n: n}, &groupCollector{n: n, lag: lag})
	n.detail.MustRegister(&partitionCollector{n: n, detail: true}, &groupCollector{n: n, lag: lag, detail: true})
}

// label is a text of clients as the value of a label.
func label(s string) string { return strings.ToValidUTF8(s, "�") }

// family is the name of metrics that differ in their labels alone.
type family struct {
	desc    *prometheus.Desc
	counter bool
}

// gaugeFamily and counterFamily make families. The labels are only those of which a sample has a value.
func gaugeFamily(name, help string) *family {
	return &family{desc: prometheus.NewDesc(name, help, nil, nil)}
}

func counterFamily(name, help string) *family {
	return &family{desc: prometheus.NewDesc(name, help, nil, nil), counter: true}
}

// sample is one metric of a family. It is lighter than a constant metric of the client library: the
// labels of a partition are made once for all its samples.
type sample struct {
	family  *family
	labels  []*dto.LabelPair // sorted by name
	value   float64
	gauge   dto.Gauge
	counter dto.Counter
}

// Desc implements prometheus.Metric.
func (s *sample) Desc() *prometheus.Desc { return s.family.desc }

// Write implements prometheus.Metric.
func (s *sample) Write(m *dto.Metric) error {
	m.Label = s.labels
	if s.family.counter {
		s.counter.Value = &s.value
		m.Counter = &s.counter
		return nil
	}
	s.gauge.Value = &s.value
	m.Gauge = &s.gauge
	return nil
}

// emit sends one sample.
func emit(to chan<- prometheus.Metric, f *family, value float64, labels ...*dto.LabelPair) {
	to <- &sample{family: f, value: value, labels: labels}
}

// pair is a label; pairs are given sorted by name.
func pair(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// truth is 1 for true.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// partitionCollector has the series of topics and partitions, on the page that they belong to.
// What replicas hold is told by who holds them, what a partition is by its leader, and what a topic is by
// the active controller, so that a sum over all brokers of a cluster counts everything once.
type partitionCollector struct {
	n      *Node
	detail bool // it serves /metrics/detail
}

// The families of partitionCollector.
var (
	logSize     = gaugeFamily("kafka_log_log_size", "Bytes of the partition's log on this broker.")
	logStart    = gaugeFamily("kafka_log_log_logstartoffset", "First offset of the partition's log on this broker.")
	logEnd      = gaugeFamily("kafka_log_log_logendoffset", "Offset behind the last record of the partition's log on this broker.")
	logSegments = gaugeFamily("kafka_log_log_numlogsegments", "Segments of the partition's log on this broker.")

	clusterReplicas = gaugeFamily("kafka_cluster_partition_replicascount", "Replicas of a partition that this broker leads.")
	clusterISR      = gaugeFamily("kafka_cluster_partition_insyncreplicascount", "In-sync replicas of a partition that this broker leads.")
	clusterUnder    = gaugeFamily("kafka_cluster_partition_underreplicated", "1 when a partition that this broker leads has fewer in-sync replicas than replicas.")
	clusterUnderMin = gaugeFamily("kafka_cluster_partition_underminisr", "1 when a partition that this broker leads has fewer in-sync replicas than min.insync.replicas.")
	clusterAtMin    = gaugeFamily("kafka_cluster_partition_atminisr", "1 when a partition that this broker leads has just as many in-sync replicas as min.insync.replicas.")
	clusterUnstable = gaugeFamily("kafka_cluster_partition_laststableoffsetlag", "Records between the last stable offset and the high watermark of a partition that this broker leads.")

	topicPartitions = gaugeFamily("kafka_topic_partitions", "Partitions of the topic; told by the active controller.")
	topicCurrent    = gaugeFamily("kafka_topic_partition_current_offset", "High watermark of the partition; told by its leader.")
	topicOldest     = gaugeFamily("kafka_topic_partition_oldest_offset", "First offset of the partition; told by its leader.")
	topicISR        = gaugeFamily("kafka_topic_partition_in_sync_replica", "In-sync replicas of the partition; told by its leader.")
	topicLeader     = gaugeFamily("kafka_topic_partition_leader", "Id of the broker that leads the partition, -1 for none; told by itself, or by the active controller when there is none.")
	topicPreferred  = gaugeFamily("kafka_topic_partition_leader_is_preferred", "1 when the first of the partition's replicas leads it.")
	topicReplicas   = gaugeFamily("kafka_topic_partition_replicas", "Replicas of the partition; told by its leader.")
	topicUnder      = gaugeFamily("kafka_topic_partition_under_replicated_partition", "1 when the partition has fewer in-sync replicas than replicas; told by its leader.")

	topicFamilies = []struct {
		*family
		of func(t *replica.TopicTotals) int64
	}{
		{topicFamily("messagesin"), func(t *replica.TopicTotals) int64 { return t.MessagesIn }},
		{topicFamily("bytesin"), func(t *replica.TopicTotals) int64 { return t.BytesIn }},
		{topicFamily("bytesout"), func(t *replica.TopicTotals) int64 { return t.BytesOut }},
		{topicFamily("bytesrejected"), func(t *replica.TopicTotals) int64 { return t.BytesRejected }},
		{topicFamily("totalproducerequests"), func(t *replica.TopicTotals) int64 { return t.ProduceRequests }},
		{topicFamily("failedproducerequests"), func(t *replica.TopicTotals) int64 { return t.FailedProduceRequests }},
		{topicFamily("totalfetchrequests"), func(t *replica.TopicTotals) int64 { return t.FetchRequests }},
		{topicFamily("failedfetchrequests"), func(t *replica.TopicTotals) int64 { return t.FailedFetchRequests }},
	}
)

// topicFamily is one of Kafka's BrokerTopicMetrics by topic.
func topicFamily(name string) *family {
	return counterFamily(replica.TopicMetric(name), replica.TopicHelp(name))
}

// Describe implements prometheus.Collector. It tells nothing: the names with and without topic are alike,
// which the client library allows to collectors that do not say beforehand what they have.
func (c *partitionCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *partitionCollector) Collect(to chan<- prometheus.Metric) {
	if c.detail != (c.n.replicas.Len() > seriesOnMetrics) {
		return
	}
	image := c.n.quorum.Image()
	controls := c.n.quorum.Leading()
	s := series{to: to}
	c.n.replicas.Topics(func(name string, _ wire.UUID, totals replica.TopicTotals) {
		s.topics = append(s.topics, topicTotals{name, totals})
	})
	for i := range s.topics {
		t := &s.topics[i]
		if t.totals == (replica.TopicTotals{}) {
			continue // as with Kafka, a topic shows once a client used it
		}
		labels := []*dto.LabelPair{pair("topic", t.name)}
		for _, f := range topicFamilies {
			s.add(f.family, labels, float64(f.of(&t.totals)))
		}
	}
	for t := range image.Topics() {
		topic := pair("topic", t.Name)
		if controls {
			s.add(topicPartitions, []*dto.LabelPair{topic}, float64(len(t.Partitions)))
		}
		for i := range t.Partitions {
			m := &t.Partitions[i]
			p, err := c.n.replicas.PartitionByID(t.ID, int32(i))
			if err != nil && (!controls || m.Leader != metadata.NoLeader) {
				continue
			}
			labels := []*dto.LabelPair{s.number(i), topic}
			if err == nil {
				s.held(p, labels)
			}
			switch {
			case err == nil && m.Leader == c.n.cfg.NodeID:
				s.led(p, m, labels)
			case controls && m.Leader == metadata.NoLeader:
				s.described(m, labels)
			}
		}
	}
}

// topicTotals are the counters of one topic.
type topicTotals struct {
	name   string
	totals replica.TopicTotals
}

// series makes the samples of one scrape.
type series struct {
	to      chan<- prometheus.Metric
	topics  []topicTotals
	numbers []*dto.LabelPair // by number of a partition
	slab    []sample
}

// number is the label of a partition's number, which all topics share.
func (s *series) number(i int) *dto.LabelPair {
	for len(s.numbers) <= i {
		s.numbers = append(s.numbers, pair("partition", strconv.Itoa(len(s.numbers))))
	}
	return s.numbers[i]
}

// add sends one sample. They are allocated by the hundred.
func (s *series) add(f *family, labels []*dto.LabelPair, value float64) {
	if len(s.slab) == 0 {
		s.slab = make([]sample, 512)
	}
	m := &s.slab[0]
	s.slab = s.slab[1:]
	m.family, m.labels, m.value = f, labels, value
	s.to <- m
}

// held sends what a replica on this broker has.
func (s *series) held(p *replica.Partition, labels []*dto.LabelPair) {
	f := p.Log().Figures()
	s.add(logSize, labels, float64(f.Size))
	s.add(logStart, labels, float64(f.Start))
	s.add(logEnd, labels, float64(f.End))
	s.add(logSegments, labels, float64(f.Segments))
}

// led sends what a leader knows of its partition.
func (s *series) led(p *replica.Partition, m *metadata.Partition, labels []*dto.LabelPair) {
	r, ok := p.Replication()
	if !ok {
		return
	}
	b := p.Log().Bounds()
	s.add(clusterReplicas, labels, float64(r.Replicas))
	s.add(clusterISR, labels, float64(r.ISR))
	s.add(clusterUnder, labels, truth(r.ISR < r.Replicas))
	s.add(clusterUnderMin, labels, truth(r.ISR < r.MinISR))
	s.add(clusterAtMin, labels, truth(r.ISR == r.MinISR))
	s.add(clusterUnstable, labels, float64(b.HighWatermark-p.LastStable()))
	s.add(topicCurrent, labels, float64(b.HighWatermark))
	s.add(topicOldest, labels, float64(b.Start))
	s.described(m, labels)
}

// described sends what the metadata says of a partition.
func (s *series) described(m *metadata.Partition, labels []*dto.LabelPair) {
	s.add(topicISR, labels, float64(len(m.ISR)))
	s.add(topicLeader, labels, float64(m.Leader))
	s.add(topicPreferred, labels, truth(len(m.Replicas) > 0 && m.Replicas[0] == m.Leader))
	s.add(topicReplicas, labels, float64(len(m.Replicas)))
	s.add(topicUnder, labels, truth(len(m.ISR) < len(m.Replicas)))
}

// groupCollector has the series of consumer groups that this broker coordinates.
type groupCollector struct {
	n      *Node
	lag    *groupLag
	detail bool // it serves /metrics/detail
}

// The families of groupCollector.
var (
	groupOffset     = gaugeFamily("kafka_consumergroup_current_offset", "Offset that the group committed for the partition.")
	groupOffsetSum  = gaugeFamily("kafka_consumergroup_current_offset_sum", "Sum of the offsets that the group committed for the topic's partitions.")
	groupRecords    = gaugeFamily("kafka_consumergroup_lag", "Records between the group's committed offset and the partition's high watermark.")
	groupRecordsSum = gaugeFamily("kafka_consumergroup_lag_sum", "Records that the group has not committed yet, over the topic's partitions.")
	groupMembers    = gaugeFamily("kafka_consumergroup_members", "Members of the group.")
	groupSeconds    = gaugeFamily("klamm_consumergroup_lag_seconds", "Age of the oldest record of the partition that the group has not committed; 0 when it has them all.")
)

// Describe implements prometheus.Collector; it tells nothing, as a page may have none of it.
func (c *groupCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *groupCollector) Collect(to chan<- prometheus.Metric) {
	survey := c.lag.survey()
	if c.detail != (survey.offsets > seriesOnMetrics) {
		return
	}
	s := series{to: to}
	for i := range survey.groups {
		g := &survey.groups[i]
		group := pair("consumergroup", label(g.id))
		s.add(groupMembers, []*dto.LabelPair{group}, float64(g.members))
		for j := range g.topics {
			t := &g.topics[j]
			topic := pair("topic", label(t.name))
			var offsets, records int64
			for k := range t.partitions {
				p := &t.partitions[k]
				labels := []*dto.LabelPair{group, s.number(int(p.index)), topic}
				offsets += p.offset
				s.add(groupOffset, labels, float64(p.offset))
				if !p.known {
					continue
				}
				records += p.records
				s.add(groupRecords, labels, float64(p.records))
				if p.timed {
					s.add(groupSeconds, labels, max(0, survey.at.Sub(time.UnixMilli(p.oldest)).Seconds())*truth(p.records > 0))
				}
			}
			s.add(groupOffsetSum, []*dto.LabelPair{group, topic}, float64(offsets))
			s.add(groupRecordsSum, []*dto.LabelPair{group, topic}, float64(records))
		}
	}
}
