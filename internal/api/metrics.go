package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
)

// metrics counts why records were refused. What clients did with a topic is counted by its
// partitions, replica.TopicStats.
type metrics struct {
	tooLarge   prometheus.Counter
	invalid    prometheus.Counter
	outOfOrder prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	return &metrics{
		tooLarge:   counter("klamm_produce_too_large_total", "Batches refused because they were over max.message.bytes."),
		invalid:    counter("klamm_produce_invalid_total", "Batches refused because they or their records were not valid."),
		outOfOrder: counter("klamm_produce_out_of_order_total", "Batches refused because a producer's sequence had a gap."),
	}
}

// appended counts one partition of one Produce request. It allocates nothing and takes no lock.
func (m *metrics) appended(l *slot) {
	t, e := l.partition.Stats(), &l.produced.Entry
	t.ProduceRequests.Add(1)
	if l.err == nil {
		if l.took() {
			t.MessagesIn.Add(e.LastOffset - e.BaseOffset + 1)
			t.BytesIn.Add(int64(len(l.produced.Records)))
		}
		return
	}
	t.FailedProduceRequests.Add(1)
	switch code.Of(l.err) {
	case code.MessageTooLarge, code.RecordListTooLarge:
		m.tooLarge.Inc()
		t.BytesRejected.Add(int64(len(l.produced.Records)))
	case code.InvalidRecord, code.CorruptMessage, code.InvalidTimestamp:
		m.invalid.Inc()
	case code.OutOfOrderSequenceNumber:
		m.outOfOrder.Inc()
	}
}

// looked counts one read of a partition for a Fetch request.
func (p *fetchPart) looked() {
	if p.partition == nil {
		return
	}
	t := p.partition.Stats()
	t.FetchRequests.Add(1)
	if p.err != nil {
		t.FailedFetchRequests.Add(1)
	}
}

// sent counts what a response gives of a partition, which has something, to a consumer.
func (p *fetchPart) sent(follower bool) {
	if !follower && p.partition != nil {
		p.partition.Stats().BytesOut.Add(int64(p.size))
	}
}
