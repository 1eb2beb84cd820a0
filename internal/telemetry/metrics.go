package telemetry

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
)

// metrics counts what became of pushes.
type metrics struct {
	pushes, throttled, skipped prometheus.Counter
	failed                     *prometheus.CounterVec // by error
}

// newMetrics registers the room's metrics; reg may be nil.
func newMetrics(reg prometheus.Registerer, of *Manager) *metrics {
	m := &metrics{
		pushes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_telemetry_pushes_total", Help: "Pushes of clients' metrics that were taken."}),
		throttled: prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_telemetry_throttled_total", Help: "Requests for subscriptions and pushes that came before the push interval was over."}),
		skipped:   prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_telemetry_skipped_points_total", Help: "Points of pushes that were not kept: histograms, those without a number, and what is over the limits."}),
		failed:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "klamm_telemetry_refused_total", Help: "Pushes that were refused, by Kafka's name of the error."}, []string{"error"}),
	}
	if reg == nil {
		return m
	}
	instances := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "klamm_telemetry_instances", Help: "Client instances that are known."}, func() float64 {
		of.mu.Lock()
		defer of.mu.Unlock()
		return float64(len(of.instances))
	})
	kept := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "klamm_telemetry_series", Help: "Series of clients' metrics that are kept."}, func() float64 {
		_, series := of.pushed.Size()
		return float64(series)
	})
	reg.MustRegister(m.pushes, m.throttled, m.skipped, m.failed, instances, kept)
	return m
}

// refused counts a push by its error, of which there are few.
func (m *metrics) refused(e code.Error) { m.failed.WithLabelValues(strings.ToLower(e.Error())).Inc() }
