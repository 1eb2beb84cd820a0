package commitlog

import (
	"math"
	"sort"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/record"
)

// rememberedBatches is how many batches of a producer are known for telling
// duplicates (KIP-98): as many as a producer may have in flight.
const rememberedBatches = 5

// ProducerState is what a log knows of one idempotent or transactional producer
// (KIP-360, KIP-664).
type ProducerState struct {
	// ID and Epoch are the producer's; Epoch is the greatest seen.
	ID    int64
	Epoch int16
	// LastSequence is the last sequence number in the log, or -1 when there is none of
	// the epoch.
	LastSequence int32
	// LastOffset is the last offset of that batch, or -1.
	LastOffset int64
	// LastTimestamp is the time of the last batch or marker in milliseconds.
	LastTimestamp int64
	// CoordinatorEpoch is the epoch of the transaction coordinator that wrote the last
	// marker, or -1.
	CoordinatorEpoch int32
	// TxnStart is the first offset of the open transaction, or -1.
	TxnStart int64
}

// sent is one batch of a producer.
type sent struct {
	offset int64 // of the last record
	delta  int32 // last minus first
	seq    int32 // of the last record
}

func (s sent) firstSeq() int32 { return int32((int64(s.seq) - int64(s.delta)) & math.MaxInt32) }

// producer is a producer's state. It is copied whole for undoing, so it holds no
// pointers.
type producer struct {
	id          int64
	first       int64 // offset of the first batch ever seen, for truncation
	lastTime    int64
	appended    int64 // wall clock of the last append in ms, for expiry
	txnStart    int64
	lastMarker  int64 // offset of the last marker, or -1
	coordinator int32
	epoch       int16
	n           uint8
	batches     [rememberedBatches]sent // oldest first
}

// producers is the producer state of one log. The zero value is empty. It is
// guarded by the log's append lock.
type producers struct {
	m map[int64]*producer
	// open counts transactions without an end. ended holds those that got their end in
	// this append; publishing it moves them to the log, where they hold back the last
	// stable offset until the high watermark has passed the marker.
	open  int
	ended []endedTxn
}

type endedTxn struct{ start, marker int64 }

// undo remembers a producer as it was before an append.
type undo struct {
	p       *producer
	was     producer
	created bool
	open    int
	ended   int
}

// check says whether a client's batch continues its producer's sequence. dup is
// the batch that it repeats, if it does. Rules of Kafka 4.4's ProducerAppendInfo.
func (s *producers) check(b record.Batch) (dup *sent, err error) {
	p := s.m[b.ProducerID()]
	if p == nil {
		return nil, nil // a producer that is not known may begin anywhere
	}
	epoch, first, last := b.ProducerEpoch(), b.BaseSequence(), b.LastSequence()
	if epoch == p.epoch {
		for i := range p.batches[:p.n] {
			if s := &p.batches[i]; s.seq == last && s.firstSeq() == first {
				return s, nil
			}
		}
	}
	switch {
	case epoch < p.epoch:
		return nil, code.Errorf(code.InvalidProducerEpoch, "producer %d sent epoch %d and the log has seen %d; a newer instance has taken over", p.id, epoch, p.epoch)
	case epoch > p.epoch:
		if first != 0 {
			return nil, code.Errorf(code.OutOfOrderSequenceNumber, "producer %d begins its new epoch %d at sequence %d; it has to begin at 0", p.id, epoch, first)
		}
	case p.n > 0:
		if want := record.AddSequence(p.batches[p.n-1].seq, 1); first != want {
			return nil, code.Errorf(code.OutOfOrderSequenceNumber, "producer %d epoch %d sent sequence %d and %d comes next", p.id, epoch, first, want)
		}
	}
	return nil, nil
}

// apply takes a batch that is in the log, or about to be, into the state. u, when
// not nil, remembers what was. now is the wall clock in ms.
func (s *producers) apply(b record.Batch, now int64, u *[]undo) {
	id := b.ProducerID()
	if id < 0 {
		return
	}
	p := s.m[id]
	created := p == nil
	if created {
		if b.IsControl() && !b.IsTransactional() {
			return
		}
		p = &producer{id: id, first: b.BaseOffset(), txnStart: -1, lastMarker: -1, coordinator: -1, epoch: b.ProducerEpoch()}
		if s.m == nil {
			s.m = map[int64]*producer{}
		}
		s.m[id] = p
	}
	if u != nil {
		*u = append(*u, undo{p, *p, created, s.open, len(s.ended)})
	}
	if e := b.ProducerEpoch(); e > p.epoch {
		p.epoch, p.n = e, 0
	}
	p.lastTime, p.appended = max(b.MaxTimestamp(), p.lastTime), now
	if b.IsControl() {
		s.end(p, b)
		return
	}
	if b.BaseSequence() >= 0 {
		if p.n == rememberedBatches {
			copy(p.batches[:], p.batches[1:])
			p.n--
		}
		p.batches[p.n] = sent{b.LastOffset(), b.LastOffsetDelta(), b.LastSequence()}
		p.n++
	}
	if b.IsTransactional() && p.txnStart < 0 {
		p.txnStart = b.BaseOffset()
		s.open++
	}
}

// end applies an end-of-transaction marker.
func (s *producers) end(p *producer, b record.Batch) {
	p.lastMarker = b.BaseOffset()
	if e, ok := markerEpoch(b); ok {
		p.coordinator = e
	}
	if p.txnStart < 0 {
		return
	}
	s.ended = append(s.ended, endedTxn{p.txnStart, b.BaseOffset()})
	p.txnStart = -1
	s.open--
}

// markerEpoch reads the coordinator's epoch out of a control batch.
func markerEpoch(b record.Batch) (int32, bool) {
	it := b.Iter(nil, 0)
	defer it.Close()
	var r record.Record
	if !it.Next(&r) {
		return 0, false
	}
	if t, err := record.ParseControl(r.Key); err != nil || t > record.ControlCommit {
		return 0, false
	}
	e, err := record.ParseEndTxn(r.Value)
	return e, err == nil
}

// revert takes back what apply did, newest first.
func (s *producers) revert(u []undo) {
	for i := len(u) - 1; i >= 0; i-- {
		s.open, s.ended = u[i].open, s.ended[:u[i].ended]
		if u[i].created {
			delete(s.m, u[i].p.id)
		} else {
			*u[i].p = u[i].was
		}
	}
}

// firstOpen is the first offset of the transactions without an end, or -1.
func (s *producers) firstOpen() int64 {
	least := int64(-1)
	if s.open > 0 {
		for _, p := range s.m {
			if p.txnStart >= 0 && (least < 0 || p.txnStart < least) {
				least = p.txnStart
			}
		}
	}
	return least
}

// cut forgets what lies at to or behind it. It returns false when the state before
// to cannot be told from what is remembered; then it is rebuilt from the log.
func (s *producers) cut(to int64) bool {
	exact := true
	s.ended = nil
	s.open = 0
	for id, p := range s.m {
		if p.first >= to {
			delete(s.m, id)
			continue
		}
		changed := false
		for p.n > 0 && p.batches[p.n-1].offset >= to {
			p.n--
			changed = true
		}
		if changed && p.n == 0 || p.lastMarker >= to {
			exact = false
		}
		if p.txnStart >= to {
			p.txnStart = -1
		}
		if p.txnStart >= 0 {
			s.open++
		}
	}
	return exact
}

// expire forgets producers without an open transaction whose last append is older
// than ms.
func (s *producers) expire(now, ms int64) {
	if ms <= 0 {
		return
	}
	for id, p := range s.m {
		if p.txnStart < 0 && now-p.appended > ms {
			delete(s.m, id)
		}
	}
	if len(s.m) == 0 {
		s.m = nil
	}
}

// list returns the states in the order of their ids.
func (s *producers) list() []ProducerState {
	out := make([]ProducerState, 0, len(s.m))
	for _, p := range s.m {
		ps := ProducerState{ID: p.id, Epoch: p.epoch, LastSequence: -1, LastOffset: -1,
			LastTimestamp: p.lastTime, CoordinatorEpoch: p.coordinator, TxnStart: p.txnStart}
		if p.n > 0 {
			ps.LastSequence, ps.LastOffset = p.batches[p.n-1].seq, p.batches[p.n-1].offset
		}
		out = append(out, ps)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}
