package commitlog

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of one log directory, labelled by its path.
type metrics struct {
	appends, bytes, fsyncs, checkpoints, recovered, deleted prometheus.Counter
	latency                                                 prometheus.Histogram
	full                                                    prometheus.Gauge

	registerer prometheus.Registerer
	registered []prometheus.Collector
}

func newMetrics(dir string) *metrics {
	labels := prometheus.Labels{"directory": dir}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "klamm", Subsystem: "log", Name: name, Help: help, ConstLabels: labels})
	}
	return &metrics{
		appends:     counter("appends_total", "Appends that wrote something."),
		bytes:       counter("append_bytes_total", "Bytes appended to logs."),
		fsyncs:      counter("fsyncs_total", "Calls that made logs durable."),
		checkpoints: counter("checkpoints_total", "Units written to the journal."),
		recovered:   counter("recovered_bytes_total", "Bytes read to recover logs after a crash."),
		deleted:     counter("deleted_segments_total", "Segments deleted by retention or log start."),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "klamm", Subsystem: "log", Name: "fsync_seconds",
			Help: "How long a call took that made logs durable.", ConstLabels: labels,
			Buckets: []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}}),
		full: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "klamm", Subsystem: "log", Name: "directory_full", Help: "1 while appends are refused because the file system is full.", ConstLabels: labels}),
	}
}

// register hands the metrics to r, which may be nil.
func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.appends, m.bytes, m.fsyncs, m.checkpoints, m.recovered, m.deleted, m.latency, m.full} {
		if err := r.Register(c); err != nil {
			m.unregister()
			return err
		}
		m.registered = append(m.registered, c)
		m.registerer = r
	}
	return nil
}

// unregister takes them back, so that the directory can be opened again.
func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
	m.registered = nil
}

func (m *metrics) flushed(d time.Duration) {
	m.fsyncs.Inc()
	m.latency.Observe(d.Seconds())
}

// Figures are what is told of a log, all of one moment.
type Figures struct {
	Bounds
	// Size is in bytes, of all segments.
	Size int64
	// Segments is how many there are.
	Segments int
}

// Figures returns the log's figures. It allocates nothing.
func (l *Log) Figures() Figures {
	l.st.Lock()
	defer l.st.Unlock()
	return Figures{Bounds{l.start, l.hw, l.flushed, l.end, l.firstUnstable()}, l.size(), len(l.segs)}
}
