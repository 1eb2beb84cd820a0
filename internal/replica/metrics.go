package replica

import "github.com/prometheus/client_golang/prometheus"

// register exposes the set under the names that boards for Apache Kafka query.
func (s *Set) register(r prometheus.Registerer) {
	gauge := func(name, help string, count func(p *Partition) bool) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			n := 0
			for _, p := range s.every() {
				if count(p) {
					n++
				}
			}
			return float64(n)
		}))
	}
	gauge("kafka_server_replicamanager_partitioncount", "Partitions that this broker holds.", func(*Partition) bool { return true })
	gauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads.", (*Partition).leads)
	gauge("kafka_server_replicamanager_underreplicatedpartitions", "Led partitions with fewer in-sync replicas than replicas.",
		func(p *Partition) bool { n, isr := p.replication(); return isr < n })
	gauge("kafka_server_replicamanager_underminisrpartitioncount", "Led partitions with fewer in-sync replicas than min.insync.replicas.",
		func(p *Partition) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.state.Leading() && p.state.UnderMinISR()
		})
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kafka_server_replicamanager_offlinereplicacount",
		Help: "Partitions that could not be opened or whose log failed."}, func() float64 { return float64(s.offline()) }))
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

// replication returns how many replicas a led partition has and how many of them are in sync; zeros when it is not led here.
func (p *Partition) replication() (replicas, isr int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.state.Leading() {
		return 0, 0
	}
	return p.state.Replicas(), len(p.state.ISR())
}
