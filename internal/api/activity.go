package api

import "github.com/klamm/klamm/internal/rpc"

// produced notes what a run of Produce requests brought, for those who look at the connection.
func (s *scratch) produced(conn *rpc.Conn) {
	for i := range s.slots {
		l := &s.slots[i]
		if e := &l.produced.Entry; l.took() {
			conn.Did.Produced(l.partition.Topic(), e.LastOffset-e.BaseOffset+1, int64(len(l.produced.Records)))
		}
	}
}

// took says that the log took the slot's records: they are valid, and were not there already.
func (l *slot) took() bool {
	e := &l.produced.Entry
	return l.err == nil && !e.Duplicate && e.BaseOffset >= 0
}

// fetches notes a partition that a request names.
func (p *fetchPart) fetches(conn *rpc.Conn) {
	if p.partition != nil && p.denied == nil {
		conn.Did.Fetches(p.partition.Topic())
	}
}

// fetched notes what an answer gives of a partition.
func (p *fetchPart) fetched(conn *rpc.Conn) {
	d := &p.result.Data
	conn.Did.Fetched(max(0, d.NextOffset()-max(p.offset, d.FirstOffset())), int64(p.size))
}
