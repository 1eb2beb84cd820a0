package controller

import (
	"slices"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/wire"
)

// election says how far a new leader may be looked for.
type election int8

const (
	// online elects when the leader is not fit to lead, from the ISR, then from
	// the ELR, then the last known leader.
	online election = iota
	// preferred wants the first replica to lead, if it is in sync.
	preferred
	// unclean elects as online, and in the end any replica that is alive.
	unclean
)

// change works out what becomes of one partition, by the rules of KIP-966: who
// leaves the ISR while it is below min.insync.replicas still holds all that was
// committed, and may lead when the ISR is empty.
type change struct {
	topic     wire.UUID
	partition int32
	old       metadata.Partition
	minISR    int
	alive     func(broker int32) bool // fit to lead
	election  election

	isr     []int32
	elr     []int32
	last    []int32
	lost    int32 // broker that lost its log's tail and may not stay in the ELR; -1 for none
	leader  int32
	recover int8 // -1 unchanged
	anew    bool // the leadership ends, even when the same broker leads again
}

func newChange(topic wire.UUID, n int32, p metadata.Partition, minISR int, alive func(int32) bool) *change {
	return &change{topic: topic, partition: n, old: p, minISR: minISR, alive: alive, isr: p.ISR, elr: p.ELR, last: p.LastKnownELR, lost: -1, leader: p.Leader, recover: -1}
}

// without takes a broker out of the ISR, and out of the ELR too when it may have lost data.
func (c *change) without(broker int32, lost bool) *change {
	c.isr = remove(c.isr, broker)
	c.anew = c.old.Leader == broker
	if lost {
		c.lost = broker
	}
	return c
}

// record returns the change, or nil when there is none.
func (c *change) record() *wire.PartitionChangeRecord {
	c.settleELR()
	c.elect()
	r := wire.NewPartitionChangeRecord()
	r.TopicId, r.PartitionId = c.topic, c.partition
	changed := false
	list := func(to *[]int32, was, is []int32) {
		if !slices.Equal(was, is) {
			*to, changed = append([]int32{}, is...), true
		}
	}
	list(&r.Isr, c.old.ISR, c.isr)
	list(&r.EligibleLeaderReplicas, c.old.ELR, c.elr)
	list(&r.LastKnownElr, c.old.LastKnownELR, c.last)
	if c.leader != c.old.Leader || c.anew && c.leader >= 0 {
		r.Leader, changed = c.leader, true
	}
	if c.recover >= 0 && c.recover != c.old.RecoveryState {
		r.LeaderRecoveryState, changed = c.recover, true
	}
	if !changed {
		return nil
	}
	return r
}

// effectiveMinISR is min.insync.replicas, but never more than there are replicas.
func (c *change) effectiveMinISR() int { return min(c.minISR, max(1, len(c.old.Replicas))) }

// settleELR decides who is in the ELR: nobody while the ISR has its minimum, else
// also those who leave the ISR now.
func (c *change) settleELR() {
	if len(c.isr) >= c.effectiveMinISR() {
		c.elr, c.last = nil, nil
		return
	}
	var elr []int32
	for _, id := range append(slices.Clone(c.old.ISR), c.old.ELR...) {
		if id != c.lost && !slices.Contains(c.isr, id) && !slices.Contains(elr, id) {
			elr = append(elr, id)
		}
	}
	// The order of the ELR carries no meaning; keep the one that is.
	if len(elr) == len(c.old.ELR) && !slices.ContainsFunc(elr, func(id int32) bool { return !slices.Contains(c.old.ELR, id) }) {
		elr = c.old.ELR
	}
	c.elr = elr
}

func (c *change) fit(id int32) bool {
	return c.alive(id) && (slices.Contains(c.isr, id) || len(c.isr) == 0 && slices.Contains(c.elr, id))
}

func (c *change) elect() {
	if c.election == preferred && len(c.old.Replicas) > 0 && c.fit(c.old.Replicas[0]) {
		c.lead(c.old.Replicas[0])
		return
	}
	if c.leader >= 0 && c.fit(c.leader) {
		c.lead(c.leader)
		return
	}
	for _, id := range c.old.Replicas {
		if c.fit(id) {
			c.lead(id)
			return
		}
	}
	if len(c.isr) == 0 && c.old.Leader >= 0 {
		c.last = []int32{c.old.Leader}
	}
	if !c.electUnclean() {
		c.leader = metadata.NoLeader
	}
}

// lead makes a fit replica the leader; one of the ELR begins the ISR anew.
func (c *change) lead(id int32) {
	c.leader = id
	if len(c.isr) == 0 {
		c.isr = []int32{id}
		c.elr = remove(c.elr, id)
		if len(c.isr) >= c.effectiveMinISR() {
			c.elr, c.last = nil, nil
		}
	}
}

// electUnclean elects a replica that may lack records: the last known leader when
// nobody else is known to have them, or with an unclean election the first that is alive.
func (c *change) electUnclean() bool {
	id := int32(-1)
	if len(c.isr)+len(c.elr) == 0 && len(c.last) == 1 && c.alive(c.last[0]) && slices.Contains(c.old.Replicas, c.last[0]) {
		id = c.last[0]
	} else if c.election == unclean {
		if i := slices.IndexFunc(c.old.Replicas, c.alive); i >= 0 {
			id = c.old.Replicas[i]
		}
	}
	if id < 0 {
		return false
	}
	c.leader, c.isr, c.elr, c.last = id, []int32{id}, nil, nil
	c.recover, c.anew = metadata.Recovering, true
	return true
}

func remove(list []int32, id int32) []int32 {
	if !slices.Contains(list, id) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(x int32) bool { return x == id })
}
