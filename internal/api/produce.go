package api

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// scratch is the memory that a connection's Produce requests are worked on in. It grows
// to what the client sends at once and is given up when a run was unusually large.
type scratch struct {
	reader wire.ProduceReader
	writer wire.ProduceResponseWriter
	answer wire.ProduceResponsePartitionProduceResponse
	heads  []produceHead
	slots  []slot
	pieces []*replica.Produced
	groups map[*replica.Partition]int32
}

// produceHead is what stands before the topics of one request of a run.
type produceHead struct {
	acks    int16
	topics  int
	timeout time.Duration
}

// slot is one partition of one request of a run.
type slot struct {
	call      int32
	next      int32 // the next slot of the same partition, -1 at the end
	last      int32 // in the first slot of a partition: the last one
	index     int32
	first     bool // of its topic
	count     int  // partitions of its topic
	topic     string
	id        wire.UUID
	partition *replica.Partition
	produced  replica.Produced
	err       error
}

// keepSlots bounds the scratch that a connection keeps between its requests.
const keepSlots = 256

// produce answers a run of Produce requests: everything that arrived together for
// a partition is one append, and so one write.
func (b *Broker) produce(_ context.Context, calls []rpc.Call, replies []*rpc.Reply) {
	s, _ := calls[0].Conn.Scratch.(*scratch)
	if s == nil {
		s = &scratch{groups: make(map[*replica.Partition]int32)}
		calls[0].Conn.Scratch = s
	}
	s.slots, s.heads = s.slots[:0], s.heads[:0]
	for i := range calls {
		b.readProduce(s, int32(i), &calls[i], replies[i])
	}
	b.appendAll(s, calls[0].Arrived)
	s.produced(calls[0].Conn)
	next := 0
	for i := range calls {
		end := next
		for end < len(s.slots) && s.slots[end].call == int32(i) {
			end++
		}
		if !replies[i].Close {
			b.answerProduce(s, &s.heads[i], s.slots[next:end], &calls[i], replies[i])
		}
		next = end
	}
	s.release()
}

// release forgets the frames that the scratch refers to.
func (s *scratch) release() {
	clear(s.slots)
	clear(s.pieces)
	s.pieces = s.pieces[:0]
	if cap(s.slots) > keepSlots {
		s.slots, s.pieces = nil, nil
	}
	s.reader, s.writer = wire.ProduceReader{}, wire.ProduceResponseWriter{}
}

// readProduce makes slots of one request's partitions.
func (b *Broker) readProduce(s *scratch, i int32, c *rpc.Call, r *rpc.Reply) {
	err := s.reader.Open(c.Body, c.Header.Version)
	s.heads = append(s.heads, produceHead{s.reader.Acks, s.reader.Topics(), time.Duration(s.reader.TimeoutMs) * time.Millisecond})
	if err != nil {
		refuse(r, err)
		return
	}
	var all error // what is wrong with the request as a whole
	switch acks := s.reader.Acks; {
	case acks != 0 && acks != 1 && acks != -1:
		all = code.Errorf(code.InvalidRequiredAcks, "acks=%d: 0, 1 and -1 (all) are the acks that there are", acks)
	}
	for {
		topic, id, index, records, ok := s.reader.Next()
		if !ok {
			return
		}
		s.slots = append(s.slots, slot{call: i, next: -1, index: index, first: s.reader.First(), count: s.reader.TopicPartitions(), topic: topic, id: id, err: all})
		l := &s.slots[len(s.slots)-1]
		l.produced.Records, l.produced.Multi = records, c.Header.Version < 3
		if l.err == nil {
			l.err = b.admit(c, l)
		}
	}
}

// admit finds the partition of a slot and checks what does not need its log.
func (b *Broker) admit(c *rpc.Call, l *slot) (err error) {
	if c.Header.Version >= 13 {
		l.partition, err = b.Replicas.PartitionByID(l.id, l.index)
	} else {
		l.partition, err = b.Replicas.Partition(l.topic, l.index)
	}
	name := l.topic
	if l.partition != nil {
		name = l.partition.Topic()
	}
	if !b.allowed(c, auth.Write, auth.Topic, name) {
		return code.TopicAuthorizationFailed
	}
	if err != nil {
		return err
	}
	if isInternal(name) && c.Header.ClientID != "__admin_client" {
		return code.Errorf(code.InvalidTopicException, "topic %s is the broker's own; producers write to others", name)
	}
	return zstdAllowed(c.Header.Version, l.produced.Records)
}

// zstdAllowed refuses zstd to producers that are older than it (KIP-110).
func zstdAllowed(version int16, records []byte) error {
	if version >= 7 || record.Magic(records) != 2 || len(records) < record.HeaderSize {
		return nil
	}
	if record.Batch(records).Codec() == record.Zstd {
		return code.Errorf(code.UnsupportedCompressionType, "Produce version %d is older than zstd; version 7 and later may use it", version)
	}
	return nil
}

// appendAll groups the slots by partition, in their order, and appends each group at once.
func (b *Broker) appendAll(s *scratch, now time.Time) {
	if len(s.slots) == 1 {
		if s.slots[0].err == nil {
			b.appendGroup(s, 0, now, true)
		}
		return
	}
	clear(s.groups)
	for i := range s.slots {
		l := &s.slots[i]
		if l.err != nil {
			continue
		}
		head, seen := s.groups[l.partition]
		if !seen {
			s.groups[l.partition] = int32(i)
			l.last = int32(i)
			continue
		}
		s.slots[s.slots[head].last].next = int32(i)
		s.slots[head].last = int32(i)
	}
	for i := range s.slots {
		if l := &s.slots[i]; l.err == nil && s.groups[l.partition] == int32(i) {
			b.appendGroup(s, int32(i), now, len(s.groups) == 1)
		}
	}
}

// appendGroup appends what the slots linked from head hold to their one partition. Where acks change
// from one request to the next, a new append begins: only acks=all asks for enough in-sync replicas.
// alone says that it is the only group of the run.
func (b *Broker) appendGroup(s *scratch, head int32, now time.Time, alone bool) {
	for i := head; i >= 0; {
		acks := s.heads[s.slots[i].call].acks
		s.pieces = s.pieces[:0]
		from := i
		for ; i >= 0 && s.heads[s.slots[i].call].acks == acks; i = s.slots[i].next {
			s.pieces = append(s.pieces, &s.slots[i].produced)
		}
		err := s.slots[from].partition.Append(s.pieces, replica.AppendOptions{Acks: acks, Epoch: -1, Now: now, FlushAlone: alone && i < 0})
		for k := from; k != i; k = s.slots[k].next {
			l := &s.slots[k]
			if l.err = err; err == nil {
				l.err = l.produced.Entry.Err
			}
			b.metrics.appended(l)
		}
	}
}

// answerProduce writes one request's response, and parks it when the records are not committed yet.
func (b *Broker) answerProduce(s *scratch, h *produceHead, slots []slot, c *rpc.Call, r *rpc.Reply) {
	if h.acks == 0 {
		r.Silent = true
		for i := range slots {
			if err := slots[i].err; err != nil && code.Of(err) != code.DuplicateSequenceNumber {
				r.Close, r.Reason = true, "a Produce with acks=0 failed: "+err.Error()
				return
			}
		}
		return
	}
	var park *parkedProduce
	var endpoints []wire.ProduceResponseNodeEndpoint
	w, a := &s.writer, &s.answer
	w.Begin(r.Buf, c.Header.Version, h.topics)
	for i := range slots {
		l := &slots[i]
		if l.first {
			w.Topic(l.topic, l.id, l.count)
		}
		a.Default()
		a.Index = l.index
		e := &l.produced.Entry
		if l.err == nil {
			a.BaseOffset, a.LogAppendTimeMs, a.LogStartOffset = e.BaseOffset, e.AppendTime, l.partition.Log().Bounds().Start
			if !l.partition.Committed(h.acks, e.LastOffset) {
				if park == nil {
					park = b.produces.Get().(*parkedProduce)
				}
				park.add(l.partition, e.LastOffset, w.Len()+4)
			}
		} else {
			endpoints = b.failProduce(a, l, c, endpoints)
		}
		w.Partition(a)
		a.RecordErrors, a.ErrorMessage = nil, nil
	}
	r.Buf = w.End(0, endpoints)
	if park != nil {
		park.acks, park.version = h.acks, c.Header.Version
		park.deadline = c.Arrived.Add(h.timeout)
		r.Park(park)
	}
}

// failProduce fills in the answer of a slot that failed.
func (b *Broker) failProduce(a *wire.ProduceResponsePartitionProduceResponse, l *slot, c *rpc.Call, endpoints []wire.ProduceResponseNodeEndpoint) []wire.ProduceResponseNodeEndpoint {
	a.ErrorCode, a.ErrorMessage = b.failure(l.err)
	a.ErrorCode = olderStorageError(a.ErrorCode, c.Header.Version, 4)
	b.errors.count(keyProduce, a.ErrorCode)
	a.BaseOffset = -1
	switch code.Error(a.ErrorCode) { // what the log itself refused comes with its start
	case code.OutOfOrderSequenceNumber, code.InvalidProducerEpoch, code.InvalidTimestamp:
		a.LogStartOffset = l.partition.Log().Bounds().Start
	}
	for _, e := range l.produced.RecordErrors {
		m := strings.Clone(e.Message)
		a.RecordErrors = append(a.RecordErrors, wire.ProduceResponseBatchIndexAndErrorMessage{BatchIndex: e.Index, BatchIndexErrorMessage: &m})
	}
	if c.Header.Version >= 10 && l.partition != nil && a.ErrorCode == int16(code.NotLeaderOrFollower) {
		a.CurrentLeader.LeaderId, a.CurrentLeader.LeaderEpoch = l.partition.Leader()
		if e, ok := b.leaderEndpoint(a.CurrentLeader.LeaderId, c.Conn); ok {
			endpoints = append(endpoints, wire.ProduceResponseNodeEndpoint{NodeId: a.CurrentLeader.LeaderId, Host: e.host, Port: e.port, Rack: e.rack})
		}
	}
	return endpoints
}

// olderStorageError is what a client older than KAFKA_STORAGE_ERROR (KIP-112) is told instead of it.
func olderStorageError(c int16, version, since int16) int16 {
	if c == int16(code.KafkaStorageError) && version < since {
		return int16(code.NotLeaderOrFollower)
	}
	return c
}

// parkedProduce is a Produce response that is written and waits for its records
// to be committed. It registers with partitions only when it is the next reply
// to leave: by then those behind it have mostly been committed too.
type parkedProduce struct {
	b          *Broker
	waiter     *replica.Waiter
	waits      []produceWait
	registered bool
	moved      []int32
	acks       int16
	version    int16
	deadline   time.Time
}

// produceWait is one partition of a parked response.
type produceWait struct {
	partition *replica.Partition
	last      int64
	code      int // where in the reply's buffer the error code stands
	watch     replica.Watch
}

func newParkedProduce(b *Broker) *parkedProduce {
	return &parkedProduce{b: b, waiter: replica.NewWaiter()}
}

func (p *parkedProduce) add(partition *replica.Partition, last int64, code int) {
	p.waits = append(p.waits, produceWait{partition: partition, last: last, code: code})
}

// Ready implements rpc.Parked.
func (p *parkedProduce) Ready() <-chan struct{} { return p.waiter.Ready() }

// Deadline implements rpc.Parked.
func (p *parkedProduce) Deadline() time.Time { return p.deadline }

// Finish implements rpc.Parked.
func (p *parkedProduce) Finish(r *rpc.Reply, now time.Time) bool {
	if p.settle(r, now) {
		p.Drop()
		return true
	}
	if p.registered { // what moves from here on wakes again, and is looked at below
		p.moved = p.waiter.Moved(p.moved[:0], p.watch)
	} else {
		p.registered = true
		for i := range p.waits {
			w := &p.waits[i]
			w.watch.Start(w.partition, p.waiter, int32(i), replica.OnWatermark|replica.OnFlush)
		}
	}
	if p.settle(r, now) {
		p.Drop()
		return true
	}
	return false
}

func (p *parkedProduce) watch(slot int32) *replica.Watch { return &p.waits[slot].watch }

// settle reports whether every partition has come to its end; one that never will gets its error written into the response.
func (p *parkedProduce) settle(r *rpc.Reply, now time.Time) bool {
	late := !now.Before(p.deadline)
	open := 0
	for i := range p.waits {
		w := &p.waits[i]
		if w.code < 0 || w.partition.Committed(p.acks, w.last) {
			continue
		}
		var err code.Error
		switch _, leading := w.partition.Leading(); {
		case !leading: // asked first, as the log of a topic that was deleted fails too
			err = code.NotLeaderOrFollower
		case w.partition.Log().Failed() != nil:
			err = code.Error(olderStorageError(int16(code.KafkaStorageError), p.version, 4))
		case late:
			err = code.RequestTimedOut
		default:
			open++
			continue
		}
		p.b.errors.count(keyProduce, int16(err))
		binary.BigEndian.PutUint16(r.Buf[w.code:], uint16(err))
		w.code = -1
	}
	return open == 0
}

// Drop implements rpc.Parked.
func (p *parkedProduce) Drop() {
	for i := range p.waits {
		p.waits[i].watch.Stop()
	}
	clear(p.waits)
	p.waits, p.registered = p.waits[:0], false
	p.waiter.Reset()
	p.b.produces.Put(p)
}
