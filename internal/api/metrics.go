package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
)

// metrics counts what producers bring, under the names that boards for Apache Kafka query.
type metrics struct {
	bytesIn, failed prometheus.Counter
	tooLarge        prometheus.Counter
	invalid         prometheus.Counter
	outOfOrder      prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	return &metrics{
		bytesIn:    counter("kafka_server_brokertopicmetrics_bytesin_total", "Bytes of record batches that producers sent and the log took."),
		failed:     counter("kafka_server_brokertopicmetrics_failedproducerequests_total", "Partitions of Produce requests that were answered with an error."),
		tooLarge:   counter("klamm_produce_too_large_total", "Batches refused because they were over max.message.bytes."),
		invalid:    counter("klamm_produce_invalid_total", "Batches refused because they or their records were not valid."),
		outOfOrder: counter("klamm_produce_out_of_order_total", "Batches refused because a producer's sequence had a gap."),
	}
}

// appended counts one partition of one Produce request.
func (m *metrics) appended(bytes int, err error) {
	if err == nil {
		m.bytesIn.Add(float64(bytes))
		return
	}
	m.failed.Inc()
	switch code.Of(err) {
	case code.MessageTooLarge, code.RecordListTooLarge:
		m.tooLarge.Inc()
	case code.InvalidRecord, code.CorruptMessage, code.InvalidTimestamp:
		m.invalid.Inc()
	case code.OutOfOrderSequenceNumber:
		m.outOfOrder.Inc()
	}
}
