package node

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/wire"
)

// The node tells of itself on two pages of the admin listener.
//
//	/metrics         what its Registerer gathers: a few hundred series, and those of partitions and
//	                 groups while there are few of them (seriesOnMetrics)
//	/metrics/detail  what Node.detail gathers, and series whose number grows with partitions and groups
//
// A room that has numbers to show is given a prometheus.Registerer by build: n.reg for series whose
// number does not depend on what clients do, n.detail for one by client. What costs
// anything is computed by a Collector when it is asked for, not counted where clients wait. A value of a
// label that clients choose goes through label first: one that is no UTF-8 fails its whole page.
// docs/metrics.md lists every name, and a test compares it with what a node exposes.
//
// The series of partitions and groups are made by a table, family by family. On /metrics a collector
// hands them to the client library. On /metrics/detail there may be hundreds of thousands, and they are
// written as they are made: the library would hold them all, some 400 bytes each, and sort them.

// seriesOnMetrics is how many partitions, and how many committed offsets, have their own series on
// /metrics. With one more of them all series of that kind are on /metrics/detail alone.
const seriesOnMetrics = 2000

// expose registers the collectors of what is not counted anywhere: it is looked up when a page is asked for.
func (n *Node) expose() {
	lag := newGroupLag(n)
	partitions, groups := &partitionTable{n: n}, &groupTable{lag: lag}
	n.reg.MustRegister(newNodeCollector(n, lag), fewSeries{partitions}, fewSeries{groups})
	n.many = []table{partitions, groups}
}

// label is a text of clients as the value of a label.
func label(s string) string { return strings.ToValidUTF8(s, "�") }

// table makes series whose number grows with what clients do.
type table interface {
	// few says that its series belong on /metrics.
	few() bool
	// series gives all of them to s, those of a family together.
	series(s sink)
}

// sink takes series.
type sink interface {
	// add takes one, of the family f.
	add(f *family, l *labels, value float64)
}

// family is the name of metrics that differ in their labels alone.
type family struct {
	name, help string
	desc       *prometheus.Desc
	counter    bool
}

// gaugeFamily and counterFamily make families. The labels are only those of which a sample has a value.
func gaugeFamily(name, help string) *family {
	return &family{name: name, help: help, desc: prometheus.NewDesc(name, help, nil, nil)}
}

func counterFamily(name, help string) *family {
	f := gaugeFamily(name, help)
	f.counter = true
	return f
}

// labels are those of a partition or a part of it; "" and noPartition are left out.
type labels struct {
	group, topic string
	partition    int32
	pairs        []*dto.LabelPair // made when they are needed
}

const noPartition int32 = -1

// list returns the labels as the client library has them, sorted by name.
func (l *labels) list() []*dto.LabelPair {
	if l.pairs != nil {
		return l.pairs
	}
	if l.group != "" {
		l.pairs = append(l.pairs, pair("consumergroup", l.group))
	}
	if l.partition != noPartition {
		l.pairs = append(l.pairs, pair("partition", strconv.Itoa(int(l.partition))))
	}
	if l.topic != "" {
		l.pairs = append(l.pairs, pair("topic", l.topic))
	}
	return l.pairs
}

// pair is a label; pairs are given sorted by name.
func pair(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// fewSeries is a table as a collector of /metrics.
type fewSeries struct{ t table }

// Describe implements prometheus.Collector. It tells nothing: a page may have none of it, and the names
// of topics with and without a topic are alike, which the client library allows to such collectors alone.
func (fewSeries) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c fewSeries) Collect(to chan<- prometheus.Metric) {
	if c.t.few() {
		c.t.series(samples(to))
	}
}

// samples hands series to the client library.
type samples chan<- prometheus.Metric

func (to samples) add(f *family, l *labels, value float64) {
	to <- &sample{family: f, labels: l.list(), value: value}
}

// emit sends one sample.
func emit(to chan<- prometheus.Metric, f *family, value float64, labels ...*dto.LabelPair) {
	to <- &sample{family: f, value: value, labels: labels}
}

// sample is one metric of a family. It is lighter than a constant metric of the client library: the
// labels of a partition are made once for all its samples.
type sample struct {
	family *family
	labels []*dto.LabelPair // sorted by name
	value  float64
}

// Desc implements prometheus.Metric.
func (s *sample) Desc() *prometheus.Desc { return s.family.desc }

// Write implements prometheus.Metric.
func (s *sample) Write(m *dto.Metric) error {
	m.Label = s.labels
	if s.family.counter {
		m.Counter = &dto.Counter{Value: &s.value}
	} else {
		m.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

// text writes series in Prometheus's text format.
type text struct {
	w    *bufio.Writer
	last *family
	buf  []byte
}

func (t *text) add(f *family, l *labels, value float64) {
	b := t.buf[:0]
	if f != t.last {
		t.last = f
		kind := " gauge\n"
		if f.counter {
			kind = " counter\n"
		}
		b = append(b, "# HELP "...)
		b = append(b, f.name...)
		b = append(b, ' ')
		b = append(b, f.help...)
		b = append(b, "\n# TYPE "...)
		b = append(b, f.name...)
		b = append(b, kind...)
	}
	b = append(b, f.name...)
	b = append(b, '{')
	from := len(b)
	if l.group != "" {
		b = appendLabel(b, from, "consumergroup", l.group)
	}
	if l.partition != noPartition {
		b = append(appendName(b, from, "partition"), '"')
		b = append(strconv.AppendInt(b, int64(l.partition), 10), '"')
	}
	if l.topic != "" {
		b = appendLabel(b, from, "topic", l.topic)
	}
	b = append(b, "} "...)
	if whole := int64(value); float64(whole) == value {
		b = strconv.AppendInt(b, whole, 10)
	} else {
		b = strconv.AppendFloat(b, value, 'g', -1, 64)
	}
	t.buf = append(b, '\n')
	_, _ = t.w.Write(t.buf) // the writer remembers its error, and Flush tells
}

// appendName appends the name of a label; the labels begin at from.
func appendName(b []byte, from int, name string) []byte {
	if len(b) > from {
		b = append(b, ',')
	}
	return append(append(b, name...), '=')
}

// appendLabel appends a label with its value in quotes.
func appendLabel(b []byte, from int, name, value string) []byte {
	b = append(appendName(b, from, name), '"')
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// detailPages is how many requests for /metrics/detail are served at a time, and detailTime how long one may take.
const (
	detailPages = 2
	detailTime  = time.Minute
)

// detailPage serves /metrics/detail, always in the text format.
func (n *Node) detailPage() http.Handler {
	gathered := promhttp.HandlerFor(n.detail, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, DisableCompression: true})
	turns := make(chan struct{}, detailPages)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		default:
			http.Error(w, "others are reading this page; ask again", http.StatusServiceUnavailable)
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(detailTime)) // every listener of ours can
		var to io.Writer = w
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is one that there is
			defer z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			to = z
		}
		plain := r.Clone(r.Context())
		plain.Header = http.Header{"Accept": {"text/plain;version=0.0.4"}}
		gathered.ServeHTTP(through{w, to}, plain)
		t := &text{w: bufio.NewWriterSize(to, 64<<10)}
		for _, m := range n.many {
			if !m.few() {
				m.series(t)
			}
		}
		_ = t.w.Flush() // who asked has gone
	})
}

// through is a response whose body goes another way.
type through struct {
	http.ResponseWriter
	to io.Writer
}

// Write implements io.Writer.
func (t through) Write(b []byte) (int, error) { return t.to.Write(b) }

// truth is 1 for true.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// partitionTable has the series of topics and partitions.
// What replicas hold is told by who holds them, what a partition is by its leader, and what a topic is by
// the active controller, so that a sum over all brokers of a cluster counts everything once.
type partitionTable struct{ n *Node }

// partitionRow is what is told of one partition.
type partitionRow struct {
	labels   labels
	held     bool // by this broker: figures are its log's
	figures  commitlog.Figures
	led      bool // by this broker: replicas are as its leader knows them
	replicas replica.Replication
	stable   int64               // last stable offset
	told     *metadata.Partition // when it is this broker that tells of it, else nil
}

// partitionFamily is a family with a value for each partition.
type partitionFamily struct {
	*family
	of func(r *partitionRow) float64
}

// The families of partitionTable: of partitions that are held, of those that are led, and of those that are told of.
var (
	heldFamilies = []partitionFamily{
		{gaugeFamily("kafka_log_log_size", "Bytes of the partition's log on this broker."), func(r *partitionRow) float64 { return float64(r.figures.Size) }},
		{gaugeFamily("kafka_log_log_logstartoffset", "First offset of the partition's log on this broker."), func(r *partitionRow) float64 { return float64(r.figures.Start) }},
		{gaugeFamily("kafka_log_log_logendoffset", "Offset behind the last record of the partition's log on this broker."), func(r *partitionRow) float64 { return float64(r.figures.End) }},
		{gaugeFamily("kafka_log_log_numlogsegments", "Segments of the partition's log on this broker."), func(r *partitionRow) float64 { return float64(r.figures.Segments) }},
	}
	ledFamilies = []partitionFamily{
		{gaugeFamily("kafka_cluster_partition_replicascount", "Replicas of a partition that this broker leads."), func(r *partitionRow) float64 { return float64(r.replicas.Replicas) }},
		{gaugeFamily("kafka_cluster_partition_insyncreplicascount", "In-sync replicas of a partition that this broker leads."), func(r *partitionRow) float64 { return float64(r.replicas.ISR) }},
		{gaugeFamily("kafka_cluster_partition_underreplicated", "1 when a partition that this broker leads has fewer in-sync replicas than replicas."), func(r *partitionRow) float64 { return truth(r.replicas.ISR < r.replicas.Replicas) }},
		{gaugeFamily("kafka_cluster_partition_underminisr", "1 when a partition that this broker leads has fewer in-sync replicas than min.insync.replicas."), func(r *partitionRow) float64 { return truth(r.replicas.ISR < r.replicas.MinISR) }},
		{gaugeFamily("kafka_cluster_partition_atminisr", "1 when a partition that this broker leads has just as many in-sync replicas as min.insync.replicas."), func(r *partitionRow) float64 { return truth(r.replicas.ISR == r.replicas.MinISR) }},
		{gaugeFamily("kafka_cluster_partition_laststableoffsetlag", "Records between the last stable offset and the high watermark of a partition that this broker leads."), func(r *partitionRow) float64 { return float64(r.figures.HighWatermark - r.stable) }},
		{gaugeFamily("kafka_topic_partition_current_offset", "High watermark of the partition; told by its leader."), func(r *partitionRow) float64 { return float64(r.figures.HighWatermark) }},
		{gaugeFamily("kafka_topic_partition_oldest_offset", "First offset of the partition; told by its leader."), func(r *partitionRow) float64 { return float64(r.figures.Start) }},
	}
	toldFamilies = []partitionFamily{
		{gaugeFamily("kafka_topic_partition_in_sync_replica", "In-sync replicas of the partition; told by its leader."), func(r *partitionRow) float64 { return float64(len(r.told.ISR)) }},
		{gaugeFamily("kafka_topic_partition_leader", "Id of the broker that leads the partition, -1 for none; told by itself, or by the active controller when there is none."), func(r *partitionRow) float64 { return float64(r.told.Leader) }},
		{gaugeFamily("kafka_topic_partition_leader_is_preferred", "1 when the first of the partition's replicas leads it."), func(r *partitionRow) float64 {
			return truth(len(r.told.Replicas) > 0 && r.told.Replicas[0] == r.told.Leader)
		}},
		{gaugeFamily("kafka_topic_partition_replicas", "Replicas of the partition; told by its leader."), func(r *partitionRow) float64 { return float64(len(r.told.Replicas)) }},
		{gaugeFamily("kafka_topic_partition_under_replicated_partition", "1 when the partition has fewer in-sync replicas than replicas; told by its leader."), func(r *partitionRow) float64 { return truth(len(r.told.ISR) < len(r.told.Replicas)) }},
	}
	topicPartitions = gaugeFamily("kafka_topic_partitions", "Partitions of the topic; told by the active controller.")
	topicFamilies   = []struct {
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

// topicTotals are the counters of one topic.
type topicTotals struct {
	labels labels
	replica.TopicTotals
}

func (p *partitionTable) few() bool { return p.n.replicas.Len() <= seriesOnMetrics }

func (p *partitionTable) series(s sink) {
	var used []topicTotals
	p.n.replicas.Topics(func(name string, _ wire.UUID, totals replica.TopicTotals) {
		if totals != (replica.TopicTotals{}) { // as with Kafka, a topic shows once a client used it
			used = append(used, topicTotals{labels{topic: name, partition: noPartition}, totals})
		}
	})
	for _, f := range topicFamilies {
		for i := range used {
			s.add(f.family, &used[i].labels, float64(f.of(&used[i].TopicTotals)))
		}
	}
	image := p.n.quorum.Image()
	if p.n.quorum.Leading() {
		for t := range image.Topics() {
			s.add(topicPartitions, &labels{topic: t.Name, partition: noPartition}, float64(len(t.Partitions)))
		}
	}
	rows := p.rows(image)
	for _, f := range heldFamilies {
		for i := range rows {
			if r := &rows[i]; r.held {
				s.add(f.family, &r.labels, f.of(r))
			}
		}
	}
	for _, f := range ledFamilies {
		for i := range rows {
			if r := &rows[i]; r.led {
				s.add(f.family, &r.labels, f.of(r))
			}
		}
	}
	for _, f := range toldFamilies {
		for i := range rows {
			if r := &rows[i]; r.told != nil {
				s.add(f.family, &r.labels, f.of(r))
			}
		}
	}
}

// rows looks at every partition that this broker holds, and as the active controller at those without a leader.
func (p *partitionTable) rows(image *metadata.Image) []partitionRow {
	rows := make([]partitionRow, 0, p.n.replicas.Len())
	controls := p.n.quorum.Leading()
	for t := range image.Topics() {
		for i := range t.Partitions {
			m := &t.Partitions[i]
			r := partitionRow{labels: labels{topic: t.Name, partition: int32(i)}}
			if at, err := p.n.replicas.PartitionByID(t.ID, int32(i)); err == nil {
				r.held, r.figures = true, at.Log().Figures()
				r.replicas, r.led = at.Replication()
				r.stable = at.LastStable()
			}
			if r.led || controls && m.Leader == metadata.NoLeader {
				r.told = m
			}
			if r.held || r.told != nil {
				rows = append(rows, r)
			}
		}
	}
	return rows
}

// groupTable has the series of consumer groups that this broker coordinates.
type groupTable struct{ lag *groupLag }

// The families of groupTable.
var (
	groupOffset     = gaugeFamily("kafka_consumergroup_current_offset", "Offset that the group committed for the partition.")
	groupOffsetSum  = gaugeFamily("kafka_consumergroup_current_offset_sum", "Sum of the offsets that the group committed for the topic's partitions.")
	groupRecords    = gaugeFamily("kafka_consumergroup_lag", "Records between the group's committed offset and the partition's high watermark.")
	groupRecordsSum = gaugeFamily("kafka_consumergroup_lag_sum", "Records that the group has not committed yet, over the topic's partitions.")
	groupMembers    = gaugeFamily("kafka_consumergroup_members", "Members of the group.")
	groupSeconds    = gaugeFamily("klamm_consumergroup_lag_seconds", "Age of the oldest record of the partition that the group has not committed; 0 when it has them all.")
)

func (g *groupTable) few() bool { return g.lag.survey().offsets <= seriesOnMetrics }

func (g *groupTable) series(s sink) {
	survey := g.lag.survey()
	for i := range survey.groups {
		f := &survey.groups[i]
		s.add(groupMembers, &labels{group: f.id, partition: noPartition}, float64(f.members))
	}
	topics := func(f *family, of func(t *groupTopic) int64) {
		for i := range survey.groups {
			group := &survey.groups[i]
			for j := range group.topics {
				t := &group.topics[j]
				s.add(f, &labels{group: group.id, topic: t.name, partition: noPartition}, float64(of(t)))
			}
		}
	}
	topics(groupOffsetSum, (*groupTopic).offsets)
	topics(groupRecordsSum, (*groupTopic).records)
	partitions := func(f *family, of func(o *groupOffsets) (float64, bool)) {
		for i := range survey.groups {
			group := &survey.groups[i]
			for j := range group.topics {
				t := &group.topics[j]
				for k := range t.partitions {
					if value, ok := of(&t.partitions[k]); ok {
						s.add(f, &labels{group: group.id, topic: t.name, partition: t.partitions[k].index}, value)
					}
				}
			}
		}
	}
	partitions(groupOffset, func(o *groupOffsets) (float64, bool) { return float64(o.offset), true })
	partitions(groupRecords, func(o *groupOffsets) (float64, bool) { return float64(o.records), o.known })
	partitions(groupSeconds, func(o *groupOffsets) (float64, bool) {
		if o.records == 0 {
			return 0, o.known
		}
		return max(0, survey.at.Sub(time.UnixMilli(o.oldest)).Seconds()), o.timed
	})
}
