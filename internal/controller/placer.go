package controller

import (
	"math/rand/v2"
	"slices"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
)

// placer puts replicas of new partitions on brokers as Kafka's striped placer
// does: leaders go round the racks and round the unfenced brokers of each, a
// partition's other replicas go to the racks that follow, and fenced brokers take
// replicas only where too few others are left.
type placer struct {
	racks    []rack
	brokers  int
	unfenced int
	next     int // rack of the next leader
}

// rack holds the brokers of one rack. Brokers without one share a rack.
type rack struct {
	unfenced, fenced ring
}

// ring hands brokers out one after another, each round in the same order.
type ring struct {
	ids  []int32
	next int
}

func newPlacer(img *metadata.Image, r *rand.Rand) *placer {
	p := new(placer)
	byName := map[string]int{}
	for _, b := range img.Brokers() {
		if len(b.Directories) > 0 && len(b.Cordoned) >= len(b.Directories) {
			continue
		}
		name := ""
		if b.Rack != nil {
			name = "r" + *b.Rack
		}
		n, ok := byName[name]
		if !ok {
			n = len(p.racks)
			byName[name] = n
			p.racks = append(p.racks, rack{})
		}
		p.brokers++
		if b.Active() {
			p.unfenced++
			p.racks[n].unfenced.ids = append(p.racks[n].unfenced.ids, b.ID)
		} else {
			p.racks[n].fenced.ids = append(p.racks[n].fenced.ids, b.ID)
		}
	}
	shuffle := func(ids []int32) { r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] }) }
	for i := range p.racks {
		shuffle(p.racks[i].unfenced.ids)
		shuffle(p.racks[i].fenced.ids)
	}
	r.Shuffle(len(p.racks), func(i, j int) { p.racks[i], p.racks[j] = p.racks[j], p.racks[i] })
	return p
}

// check says whether a partition can have that many replicas.
func (p *placer) check(factor int16) error {
	switch {
	case factor <= 0:
		return code.Errorf(code.InvalidReplicationFactor, "Replication factor %d is not positive; give at least 1, or -1 for the default.", factor)
	case p.unfenced == 0:
		return code.Errorf(code.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): all brokers are fenced or shutting down; start one first.", factor)
	case int(factor) > p.brokers:
		return code.Errorf(code.InvalidReplicationFactor,
			"Unable to replicate the partition %d time(s): only %d broker(s) are registered that take new replicas; lower the replication factor or add brokers.", factor, p.brokers)
	}
	return nil
}

// place appends the replicas of one partition, the preferred leader first. check must have passed.
func (p *placer) place(to []int32, factor int16) []int32 {
	from := len(to)
	at := p.next
	for len(p.racks[at].unfenced.ids) == 0 {
		at = (at + 1) % len(p.racks)
	}
	p.next = (at + 1) % len(p.racks)
	to = append(to, p.racks[at].unfenced.take(nil))
	for n := 1; len(to)-from < int(factor); n++ {
		k := &p.racks[(at+n)%len(p.racks)]
		id := k.unfenced.take(to[from:])
		if id < 0 {
			id = k.fenced.take(to[from:])
		}
		if id >= 0 {
			to = append(to, id)
		}
	}
	return to
}

// take returns the next broker that is not among taken, or -1.
func (r *ring) take(taken []int32) int32 {
	for range r.ids {
		id := r.ids[r.next]
		r.next = (r.next + 1) % len(r.ids)
		if !slices.Contains(taken, id) {
			return id
		}
	}
	return -1
}
