package replica

import "github.com/prometheus/client_golang/prometheus"

// register exposes the set under the names that boards for Apache Kafka query.
func (s *Set) register(r prometheus.Registerer) {
	gauge := func(name, help string, count func(p *Partition) bool) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			n := 0
			for _, p := range s.All() {
				if count(p) {
					n++
				}
			}
			return float64(n)
		}))
	}
	leading := func(p *Partition) bool { _, ok := p.Leading(); return ok }
	gauge("kafka_server_replicamanager_partitioncount", "Partitions that this broker holds.", func(*Partition) bool { return true })
	gauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads.", leading)
	gauge("kafka_server_replicamanager_underreplicatedpartitions", "Led partitions with fewer in-sync replicas than replicas.",
		func(p *Partition) bool { n, isr := p.replication(); return isr < n })
	gauge("kafka_server_replicamanager_underminisrpartitioncount", "Led partitions with fewer in-sync replicas than min.insync.replicas.",
		func(p *Partition) bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.state.Leading() && p.state.UnderMinISR()
		})
	gauge("kafka_server_replicamanager_offlinereplicacount", "Partitions whose log failed.",
		func(p *Partition) bool { return p.log.Failed() != nil })
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
