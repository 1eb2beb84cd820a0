package server

import "github.com/prometheus/client_golang/prometheus"

// metrics are named as Strimzi's boards name Kafka's, where Kafka has them.
type metrics struct {
	connections          *prometheus.GaugeVec   // by listener
	opened, closed, sent *prometheus.CounterVec // by listener
	requests             *requests
	panics, acceptErrors prometheus.Counter
	expired              prometheus.Counter
	refused              struct{ size, header, api, perIP, budget prometheus.Counter }
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		connections:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kafka_server_socket_server_metrics_connection_count", Help: "Connections that are open."}, []string{"listener"}),
		opened:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_server_socket_server_metrics_connection_creation_total", Help: "Connections accepted."}, []string{"listener"}),
		closed:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_server_socket_server_metrics_connection_close_total", Help: "Connections ended."}, []string{"listener"}),
		sent:         prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kafka_server_socket_server_metrics_outgoing_byte_total", Help: "Bytes sent."}, []string{"listener"}),
		requests:     newRequests(),
		panics:       prometheus.NewCounter(prometheus.CounterOpts{Name: "klamm_server_panics_total", Help: "Handlers that panicked; each has cost its connection."}),
		acceptErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_network_acceptor_acceptorerrors_total", Help: "Connections that could not be accepted."}),
		expired:      prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_server_socket_server_metrics_expired_connections_killed_count", Help: "Connections closed because they were idle."}),
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "klamm_server_refused_total", Help: "Requests and connections refused, by reason."}, []string{"reason"})
	m.refused.size = refused.WithLabelValues("size")
	m.refused.header = refused.WithLabelValues("header")
	m.refused.api = refused.WithLabelValues("api")
	m.refused.perIP = refused.WithLabelValues("per_ip")
	m.refused.budget = refused.WithLabelValues("budget")
	reg.MustRegister(m.connections, m.opened, m.closed, m.sent, m.requests, m.panics, m.acceptErrors, m.expired, refused)
	return m
}
