package api

// WaitsFor implements rpc.Waiting: acknowledged by all replicas, or where there is one alone, on its disk.
func (p *parkedProduce) WaitsFor() string {
	for i := range p.waits {
		if len(p.waits[i].partition.ISR()) > 1 {
			return "other replicas"
		}
	}
	return "the disk"
}

// WaitsFor implements rpc.Waiting.
func (p *parkedGroup) WaitsFor() string { return "the group's other members or the disk" }
