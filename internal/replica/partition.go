// Package replica is the partitions that this broker holds: their leadership,
// their high watermark, appends to them and reads from them. It hosts the machine
// of internal/isr on the log of internal/commitlog.
package replica

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/isr"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// Partition is one replica on this broker. All methods are safe for many goroutines.
type Partition struct {
	watchers
	topic  string
	id     wire.UUID
	index  int32
	codecs *record.Codecs
	log    *commitlog.Log
	dir    wire.UUID

	hw     atomic.Int64
	leader atomic.Int64 // leader epoch << 32 | leader id: one load says who leads and since when

	mu    sync.Mutex // guards state; taken before the log's own lock, never held across a wait
	state *isr.State
}

// Topic returns the name of the partition's topic.
func (p *Partition) Topic() string { return p.topic }

// TopicID returns the id of the partition's topic.
func (p *Partition) TopicID() wire.UUID { return p.id }

// Index returns the partition's number within its topic.
func (p *Partition) Index() int32 { return p.index }

// Directory returns the id of the log directory that holds the partition.
func (p *Partition) Directory() wire.UUID { return p.dir }

// Log returns the partition's log, for what needs no leadership: sizes, epochs, the coordinator's snapshots.
func (p *Partition) Log() *commitlog.Log { return p.log }

// Leader returns who leads, -1 for nobody, and in which epoch.
func (p *Partition) Leader() (id, epoch int32) {
	v := p.leader.Load()
	return int32(v), int32(v >> 32)
}

func (p *Partition) setLeader(id, epoch int32) {
	p.leader.Store(int64(epoch)<<32 | int64(uint32(id)))
}

// Leading says whether this broker leads the partition, and in which epoch.
func (p *Partition) Leading() (epoch int32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.LeaderEpoch(), p.state.Leading()
}

// HighWatermark returns the offset below which every in-sync replica has the log.
func (p *Partition) HighWatermark() int64 { return p.hw.Load() }

// LastStable returns the offset below which no transaction is open, at most the high watermark.
func (p *Partition) LastStable() int64 {
	hw := p.hw.Load()
	if u := p.log.Bounds().FirstUnstable; u >= 0 && u < hw {
		return u
	}
	return hw
}

// ISR returns the in-sync replicas; the caller does not change them.
func (p *Partition) ISR() []int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.ISR()
}

// CheckEpoch compares the leader epoch that a client believes in with the
// partition's: code.FencedLeaderEpoch when the client is behind,
// code.UnknownLeaderEpoch when it is ahead, nil when equal or unknown to it (-1) (KIP-320).
func (p *Partition) CheckEpoch(client int32) error {
	if client < 0 {
		return nil
	}
	switch _, epoch := p.Leader(); {
	case client < epoch:
		return code.FencedLeaderEpoch
	case client > epoch:
		return code.UnknownLeaderEpoch
	}
	return nil
}

// become takes over what the controller decided; it is called by the Set in the order of the metadata log.
func (p *Partition) become(self int32, d isr.Partition, now time.Time) error {
	p.mu.Lock()
	if p.state.Become(d, p.log.Bounds().End, now) {
		if err := p.log.StartEpoch(d.LeaderEpoch); err != nil {
			p.mu.Unlock()
			return fmt.Errorf("note leader epoch %d of %s-%d: %w", d.LeaderEpoch, p.topic, p.index, err)
		}
	}
	p.setLeader(d.Leader, d.LeaderEpoch)
	p.advance()
	p.mu.Unlock()
	p.wakeAll(false)
	return nil
}

// advance moves the high watermark as far as the log and the ISR allow; mu is held.
func (p *Partition) advance() bool {
	b := p.log.Bounds()
	own := b.End
	if p.log.FlushBeforeAck() {
		own = b.Flushed
	}
	if !p.state.Advance(own) {
		return false
	}
	hw := p.state.Watermark()
	p.hw.Store(hw)
	p.log.SetHighWatermark(hw)
	return true
}

// flushed is told by the log that its flushed end moved.
func (p *Partition) flushed(int64) {
	p.mu.Lock()
	moved := p.advance()
	p.mu.Unlock()
	if moved {
		p.wake(OnFlush | OnWatermark)
	} else {
		p.wake(OnFlush)
	}
}

// DeleteRecords moves the log's start to offset, or to the high watermark when
// offset is -1, and returns the new start (KIP-107). It fails with
// code.OffsetOutOfRange beyond the high watermark.
func (p *Partition) DeleteRecords(offset int64) (start int64, err error) {
	if _, ok := p.Leading(); !ok {
		return -1, code.NotLeaderOrFollower
	}
	hw := p.hw.Load()
	if offset == -1 {
		offset = hw
	}
	if offset < 0 || offset > hw {
		return -1, code.OffsetOutOfRange
	}
	if !p.log.Options().Delete && p.log.Options().Compact {
		return -1, code.Errorf(code.PolicyViolation, "records of %s-%d cannot be deleted by offset: its cleanup.policy is compact; add delete to it", p.topic, p.index)
	}
	if err := p.log.AdvanceStart(offset); err != nil {
		return -1, err
	}
	p.wake(OnWatermark)
	return p.log.Bounds().Start, nil
}

// close ends the partition's life on this broker: whoever waits on it is woken.
func (p *Partition) close() {
	p.mu.Lock()
	p.setLeader(-1, p.state.LeaderEpoch())
	p.state = isr.New(-2, p.state.Watermark(), 0) // leads nothing any more
	p.mu.Unlock()
	p.wakeAll(true)
}
