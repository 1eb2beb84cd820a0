package quorum

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// rateWindow is over how long rates and averages are taken at least.
const rateWindow = 30 * time.Second

// raftCollector tells of raft under the names that Strimzi's KRaft board queries.
type raftCollector struct {
	q *Quorum
	m *metrics

	leader, vote, epoch, watermark, end    *prometheus.Desc
	appendRate, fetchRate, commit          *prometheus.Desc
	incoming, outgoing, request, responses *prometheus.Desc

	mu     sync.Mutex // guards the windows
	append window     // records that were proposed
	writes window     // appends that were made durable
	took   window     // seconds that these took
}

func newRaftCollector(q *Quorum, m *metrics) *raftCollector {
	raft := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kafka_server_raftmetrics_"+name, help, nil, nil)
	}
	channel := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kafka_server_raftchannelmetrics_"+name, help+"; none, while one voter is all there is.", nil, nil)
	}
	return &raftCollector{
		q:          q,
		m:          m,
		leader:     raft("current_leader", "Id of the leader of the metadata log, -1 when none is known."),
		vote:       raft("current_vote", "Id of the voter that this one voted for, where it is known: itself while it leads, else -1."),
		epoch:      raft("current_epoch", "Epoch of the metadata log's leader."),
		watermark:  raft("high_watermark", "Offset behind the last metadata record that is committed and applied."),
		end:        raft("log_end_offset", "Offset behind the last record of the metadata log."),
		appendRate: raft("append_records_rate", "Metadata records a second that this node proposed, over the last 30 s or more."),
		fetchRate:  raft("fetch_records_rate", "Metadata records a second that this node got from another leader."),
		commit:     raft("commit_latency_avg", "Milliseconds that it took to make an append to the metadata log durable, on average over the last 30 s or more."),
		incoming:   channel("incoming_byte_total", "Bytes from other voters"),
		outgoing:   channel("outgoing_byte_total", "Bytes to other voters"),
		request:    channel("request_total", "Requests to other voters"),
		responses:  channel("response_total", "Responses from other voters"),
	}
}

// Describe implements prometheus.Collector.
func (c *raftCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.leader, c.vote, c.epoch, c.watermark, c.end, c.appendRate, c.fetchRate, c.commit,
		c.incoming, c.outgoing, c.request, c.responses} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *raftCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	leader, epoch, known := c.q.Leader()
	if !known {
		leader = -1
	}
	vote := int32(-1)
	if c.q.Leading() {
		vote = c.q.opt.NodeID
	}
	applied, _ := c.q.Image().Offset()
	_, end := c.q.opt.Log.Bounds()
	gauge(c.leader, float64(leader))
	gauge(c.vote, float64(vote))
	gauge(c.epoch, float64(epoch))
	gauge(c.watermark, float64(applied+1))
	gauge(c.end, float64(end))
	gauge(c.fetchRate, 0)
	for _, d := range []*prometheus.Desc{c.incoming, c.outgoing, c.request, c.responses} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, 0)
	}
	var proposed, appends dto.Metric
	if c.m.proposed.Write(&proposed) != nil || c.m.append.Write(&appends) != nil {
		return // never so
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	records, took := c.append.since(now, proposed.GetCounter().GetValue())
	writes, _ := c.writes.since(now, float64(appends.GetHistogram().GetSampleCount()))
	seconds, _ := c.took.since(now, appends.GetHistogram().GetSampleSum())
	gauge(c.appendRate, records/took.Seconds())
	gauge(c.commit, 1000*seconds/max(1, writes))
}

// window tells by how much a counter grew of late.
type window struct {
	at, newer         time.Time
	value, newerValue float64
}

// since returns by how much the counter grew, and in what time: at least rateWindow once the window is as old.
func (w *window) since(now time.Time, value float64) (growth float64, took time.Duration) {
	switch {
	case w.at.IsZero():
		w.at, w.newer = now.Add(-rateWindow), now // it begins when the process does, as good as
		w.newerValue = value
	case now.Sub(w.newer) >= rateWindow:
		w.at, w.value = w.newer, w.newerValue
		w.newer, w.newerValue = now, value
	}
	return value - w.value, max(now.Sub(w.at), time.Millisecond)
}
