package coordinator

import (
	"context"

	"github.com/klamm/klamm/internal/group"
)

// Summaries returns all groups of the shards that this broker leads, with their
// offsets, in no order. Each shard copies its own between two decisions. Shards that
// hold nothing are not woken; those that are being loaded, or have not answered when
// ctx ends, are left out, and whole is false then.
func (g *Groups) Summaries(ctx context.Context) (list []group.Summary, whole bool) {
	var waits []*Pending
	for _, s := range g.all() {
		if s.empty() {
			continue
		}
		w := NewPending()
		s.do(group.Summarize(), caller{w, w.begin()})
		waits = append(waits, w)
	}
	whole = true
	for _, w := range waits {
		body, err := wait(ctx, w)
		if err != nil {
			whole = false
			continue
		}
		list = append(list, body.([]group.Summary)...)
	}
	return list, whole
}

// empty says that the shard is at rest and holds no group.
func (s *shard) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == active && !s.running && s.m == nil
}
