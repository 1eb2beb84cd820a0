// Package replica is the partitions that this broker holds: their leadership,
// their high watermark, appends to them and reads from them. It hosts the machine
// of internal/isr on the log of internal/commitlog.
package replica

import (
	"fmt"
	"math"
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
	self   int32 // this broker
	codecs *record.Codecs
	log    *commitlog.Log
	home   *commitlog.Dir
	stats  *TopicStats

	hw atomic.Int64
	// flushEvery is flush.messages, math.MaxInt64 for never. The log is not told of
	// it: it would wait for the disk within Append, under mu. Here the answers wait.
	flushEvery atomic.Int64
	leader     atomic.Int64 // leader epoch << 32 | leader id: one load says who leads and since when

	mu    sync.Mutex // guards state; taken before the log's own locks, never held across a wait
	state *isr.State // nil until the log is open
}

// Topic returns the name of the partition's topic.
func (p *Partition) Topic() string { return p.topic }

// TopicID returns the id of the partition's topic.
func (p *Partition) TopicID() wire.UUID { return p.id }

// Index returns the partition's number within its topic.
func (p *Partition) Index() int32 { return p.index }

// Directory returns the id of the log directory that holds the partition.
func (p *Partition) Directory() wire.UUID { return p.home.Meta().DirectoryID }

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
	id, epoch := p.Leader()
	return epoch, id == p.self && epoch >= 0
}

func (p *Partition) leads() bool {
	_, ok := p.Leading()
	return ok
}

// HighWatermark returns the offset below which every in-sync replica has the log.
func (p *Partition) HighWatermark() int64 { return p.hw.Load() }

// LastStable returns the offset below which no transaction is open, at most the high watermark.
func (p *Partition) LastStable() int64 { return lastStable(p.log.Bounds()) }

func lastStable(b commitlog.Bounds) int64 {
	if b.FirstUnstable >= 0 {
		return min(b.FirstUnstable, b.HighWatermark)
	}
	return b.HighWatermark
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
	if client == -1 {
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

// become takes over what the controller decided; it is called by the Set in the
// order of the metadata log. A log that has failed is led all the same, and answers
// so: the error is for the broker's log.
func (p *Partition) become(d isr.Partition, now time.Time) (err error) {
	p.mu.Lock()
	if p.state.Become(d, p.log.Bounds().End, now) {
		if err = p.log.StartEpoch(d.LeaderEpoch); err != nil {
			err = fmt.Errorf("note leader epoch %d: %w", d.LeaderEpoch, err)
		}
	}
	p.setLeader(d.Leader, d.LeaderEpoch)
	p.advance()
	p.mu.Unlock()
	p.wakeAll(false)
	return err
}

// configure hands new options to the log. What they change about who waits for the
// disk counts at once: the watermark moves on, or waits from here on.
func (p *Partition) configure(o commitlog.Options) {
	p.log.SetOptions(p.options(o))
	if o.FlushBeforeAck || o.FlushMessages > 0 {
		p.log.RequestFlush()
	}
	p.mu.Lock()
	p.state.SetMinISR(int(o.MinInsyncReplicas))
	p.advance()
	p.mu.Unlock()
	p.wakeAll(false)
}

// options takes flush.messages out of o for the log, and keeps it.
func (p *Partition) options(o commitlog.Options) commitlog.Options {
	every := o.FlushMessages
	if every <= 0 {
		every = math.MaxInt64
	}
	p.flushEvery.Store(every)
	o.FlushMessages = 0
	o.FlushBeforeAck = o.FlushBeforeAck || every == 1 // nothing is answered before fsync: the durable class, and more
	o.FlushByCaller = true                            // Append may flush itself
	return o
}

// advance moves the high watermark as far as the log and the ISR allow; mu is held.
func (p *Partition) advance() bool {
	o, b := p.log.Options(), p.log.Bounds()
	own := b.End
	if o.FlushBeforeAck || p.flushEvery.Load() == 1 {
		own = b.Flushed
	}
	if !p.state.Advance(own) {
		return false
	}
	p.setHighWatermark()
	return true
}

// setHighWatermark tells readers and the log where the state's watermark is; mu is
// held. The log first: what waited for hw reads by the log's.
func (p *Partition) setHighWatermark() {
	hw := p.state.Watermark()
	p.log.SetHighWatermark(hw)
	p.hw.Store(hw)
}

// flushed is told by the log that its flushed end moved. It may be told so before
// Open has given the log back: become looks at the flushed end then.
func (p *Partition) flushed(int64) {
	p.mu.Lock()
	moved := p.state != nil && p.advance()
	p.mu.Unlock()
	if moved {
		p.wake(OnFlush | OnWatermark)
	} else {
		p.wake(OnFlush)
	}
}

// DeleteRecords moves the log's start to offset, or to the high watermark when
// offset is -1, and returns the new start (KIP-107). An offset before the start
// changes nothing.
//
//	code.NotLeaderOrFollower  somebody else leads
//	code.PolicyViolation      cleanup.policy is compact alone
//	code.OffsetOutOfRange     beyond the high watermark
//	code.KafkaStorageError    the log directory failed
func (p *Partition) DeleteRecords(offset int64) (start int64, err error) {
	if !p.leads() {
		return -1, code.NotLeaderOrFollower
	}
	if o := p.log.Options(); o.Compact && !o.Delete {
		return -1, code.Errorf(code.PolicyViolation, "records of %s-%d cannot be deleted by offset: its cleanup.policy is compact; add delete to it", p.topic, p.index)
	}
	hw := p.hw.Load()
	if offset == -1 {
		offset = hw
	}
	if offset < 0 || offset > hw {
		return -1, code.Errorf(code.OffsetOutOfRange, "records of %s-%d cannot be deleted up to %d: its high watermark is %d; use an offset up to it, or -1 for it", p.topic, p.index, offset, hw)
	}
	if err := p.log.AdvanceStart(offset); err != nil {
		return -1, p.unlessGone(err)
	}
	p.wake(OnWatermark)
	return p.log.Bounds().Start, nil
}

// unlessGone is an error of the log, but where the partition was deleted or moved away meanwhile: its log fails
// then, and no disk did.
func (p *Partition) unlessGone(err error) error {
	if id, _ := p.Leader(); id < 0 {
		return code.NotLeaderOrFollower
	}
	return err
}

// close ends the partition's life on this broker: no append comes after it, and
// whoever waits is woken.
func (p *Partition) close() {
	p.mu.Lock()
	p.setLeader(-1, p.state.LeaderEpoch())
	p.state = isr.New(-2, p.state.Watermark(), 0) // leads nothing any more
	p.mu.Unlock()
	p.wakeAll(true)
}
