package api

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// holder is a bench whose topics come and go when a test says so, also while one is asked for.
type holder struct {
	*bench
	asked func(topic string) bool // what the authorizer answers; nil for yes
}

// newHolder makes a holder.
func newHolder(t *testing.T) *holder {
	t.Helper()
	h := new(holder)
	h.bench = newBench(t, h)
	return h
}

// Allowed implements auth.Authorizer.
func (h *holder) Allowed(_ auth.Principal, _ net.Addr, _ auth.Operation, _ auth.ResourceType, name string) bool {
	return h.asked == nil || h.asked(name)
}

// Enabled implements auth.Authorizer.
func (h *holder) Enabled() bool { return true }

// remove deletes a topic.
func (h *holder) remove(id byte) {
	h.t.Helper()
	h.apply(&wire.RemoveTopicRecord{TopicId: wire.UUID{id}})
}

// put appends a record to a topic.
func (h *holder) put(topic string) {
	h.t.Helper()
	p, err := h.Replicas.Partition(topic, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	piece := &replica.Produced{Records: h.batch()}
	if err := p.Append([]*replica.Produced{piece}, replica.AppendOptions{Acks: 1, Epoch: -1, Now: time.Now()}); err != nil || piece.Entry.Err != nil {
		h.t.Fatal(err, piece.Entry.Err)
	}
}

// batch is a batch of one record.
func (h *holder) batch() []byte {
	h.t.Helper()
	b := record.NewBuilder(h.Codecs, record.BuilderOptions{LeaderEpoch: record.NoLeaderEpoch})
	b.Append(time.Now().UnixMilli(), nil, []byte("value"))
	data, err := b.Finish()
	if err != nil {
		h.t.Fatal(err)
	}
	return slices.Clone(data)
}

// source is a topic that a test fetches from, from its start.
type source struct {
	name string
	id   byte // of the topic's id
}

// gone is the topic that the tests make and delete.
var gone = source{"gone", 5}

// fetchOf is a Fetch of the sources that waits an hour for a byte, without a session.
func fetchOf(sources ...source) *wire.FetchRequest {
	q := wire.NewFetchRequest()
	q.MinBytes, q.MaxBytes, q.MaxWaitMs, q.SessionEpoch = 1, 1<<20, 3_600_000, finalFetchEpoch
	for _, s := range sources {
		var p wire.FetchRequestFetchPartition
		p.Default()
		p.PartitionMaxBytes = 1 << 20
		q.Topics = append(q.Topics, wire.FetchRequestFetchTopic{Topic: s.name, TopicId: wire.UUID{s.id}, Partitions: []wire.FetchRequestFetchPartition{p}})
	}
	return q
}

// The versions that name topics, and that give their ids.
const (
	byName = 12
	byID   = 13
)

// ask hands a Fetch to the broker.
func (h *holder) ask(q *wire.FetchRequest, version int16) *rpc.Reply {
	r := new(rpc.Reply)
	h.fetch(context.Background(), &rpc.Call{Conn: &rpc.Conn{}, Header: wire.Header{Key: keyFetch, Version: version}, Body: q.Append(nil, version), Arrived: time.Now()}, r)
	return r
}

// waits says that a reply is parked and has nothing to say when it is asked as its connection's oldest.
func (h *holder) waits(r *rpc.Reply) {
	h.t.Helper()
	if p := r.Parked(); p == nil {
		h.t.Fatal("the request is answered and does not wait")
	} else if p.Finish(r, time.Now()) {
		h.t.Fatal("the request waits for nothing")
	}
}

// woken says that a reply that waits was woken, and completes it.
func (h *holder) woken(r *rpc.Reply) {
	h.t.Helper()
	select {
	case <-r.Parked().Ready():
	default:
		h.t.Fatal("nothing wakes the request before its hour is over")
	}
	if !r.Parked().Finish(r, time.Now()) {
		h.t.Fatal("the request was woken and goes on waiting")
	}
}

// answered decodes a reply that is complete.
func (h *holder) answered(r *rpc.Reply, version int16) *wire.FetchResponse {
	h.t.Helper()
	a := wire.NewFetchResponse()
	d := wire.NewDecoder(r.Buf)
	if a.Decode(&d, version); d.Done() != nil {
		h.t.Fatal(d.Done())
	}
	return a
}

// errorOf is what a response says of a topic.
func errorOf(a *wire.FetchResponse, s source, version int16) code.Error {
	for _, t := range a.Responses {
		if version < byID && t.Topic == s.name || version >= byID && t.TopicId == (wire.UUID{s.id}) {
			return code.Error(t.Partitions[0].ErrorCode)
		}
	}
	return code.None
}

// Whenever a topic goes while it is asked for, the one who asks is told at once.
func TestAFetchAndADeletionMeetInEveryOrder(t *testing.T) {
	s := gone
	park := func(h *holder, q *wire.FetchRequest, v int16) *rpc.Reply {
		r := h.ask(q, v)
		if r.Parked() == nil {
			h.t.Fatal("a fetch of nothing new is answered at once")
		}
		return r
	}
	orders := map[string]func(*holder, *wire.FetchRequest, int16) *rpc.Reply{
		"gone before the request": func(h *holder, q *wire.FetchRequest, v int16) *rpc.Reply {
			h.remove(s.id)
			return h.ask(q, v)
		},
		"found, gone, read": func(h *holder, q *wire.FetchRequest, v int16) *rpc.Reply {
			h.asked = func(string) bool { h.asked = nil; h.remove(s.id); return true }
			return h.ask(q, v)
		},
		"parked, gone, looked at": func(h *holder, q *wire.FetchRequest, v int16) *rpc.Reply {
			r := park(h, q, v)
			h.remove(s.id)
			if !r.Parked().Finish(r, time.Now()) {
				h.t.Error("it is not seen that the topic went before the reply was looked at")
			}
			return r
		},
		"parked, looked at, gone": func(h *holder, q *wire.FetchRequest, v int16) *rpc.Reply {
			r := park(h, q, v)
			h.waits(r)
			h.remove(s.id)
			h.woken(r)
			return r
		},
		"gone while the session rests": func(h *holder, q *wire.FetchRequest, v int16) *rpc.Reply {
			q.MaxWaitMs = 0
			a := h.answered(h.ask(q, v), v)
			h.remove(s.id)
			if q.SessionEpoch != finalFetchEpoch {
				q.SessionId, q.SessionEpoch, q.Topics = a.SessionId, 1, nil
			}
			q.MaxWaitMs = 3_600_000
			return h.ask(q, v)
		},
	}
	for name, order := range orders {
		for _, version := range []int16{byName, byID} {
			for _, epoch := range []int32{finalFetchEpoch, initialFetchEpoch} {
				t.Run(name, func(t *testing.T) {
					h := newHolder(t)
					h.apply(topicRecords(s.name, s.id, 1)...)
					q := fetchOf(s)
					q.SessionEpoch = epoch
					r := order(h, q, version)
					if len(r.Buf) == 0 {
						t.Fatalf("v%d, epoch %d: it waits for a topic that is gone", version, epoch)
					}
					want := code.UnknownTopicOrPartition
					if version >= byID {
						want = code.UnknownTopicId
					}
					if e := errorOf(h.answered(r, version), s, version); e != want {
						t.Errorf("v%d, epoch %d: answered %v, want %v", version, epoch, e, want)
					}
				})
			}
		}
	}
}

// A producer that waits for other replicas is told as soon as the topic goes, whether its reply was looked at before or not.
func TestAProduceThatWaitsIsToldThatItsTopicIsGone(t *testing.T) {
	for _, looked := range []bool{false, true} {
		h := newHolder(t)
		id, replicas := wire.UUID{gone.id}, []int32{1, 2}
		h.apply(&wire.TopicRecord{Name: gone.name, TopicId: id},
			&wire.PartitionRecord{TopicId: id, Replicas: replicas, Isr: replicas, Leader: 1, Directories: make([]wire.UUID, 2)})
		q := wire.NewProduceRequest()
		q.Acks, q.TimeoutMs = -1, 3_600_000
		q.TopicData = []wire.ProduceRequestTopicProduceData{{Name: gone.name, PartitionData: []wire.ProduceRequestPartitionProduceData{{Records: h.batch()}}}}
		r := new(rpc.Reply)
		h.produce(context.Background(), []rpc.Call{{Conn: &rpc.Conn{}, Header: wire.Header{Key: keyProduce, Version: 9}, Body: q.Append(nil, 9), Arrived: time.Now()}}, []*rpc.Reply{r})
		if r.Parked() == nil {
			t.Fatal("it does not wait for the other replica")
		}
		if looked {
			h.waits(r)
		}
		h.remove(gone.id)
		if looked {
			h.woken(r)
		} else if !r.Parked().Finish(r, time.Now()) {
			t.Fatal("it waits for a topic that is gone")
		}
		a, d := wire.NewProduceResponse(), wire.NewDecoder(r.Buf)
		if a.Decode(&d, 9); d.Done() != nil {
			t.Fatal(d.Done())
		}
		if e := code.Error(a.Responses[0].PartitionResponses[0].ErrorCode); e != code.NotLeaderOrFollower {
			t.Errorf("looked at before %v: answered %v", looked, e)
		}
	}
}

// A fetch by name whose topic is made anew while it waits goes on to wait for the new one's records.
func TestAFetchThatFindsItsTopicMadeAnewIsWokenByIt(t *testing.T) {
	for _, epoch := range []int32{finalFetchEpoch, initialFetchEpoch} {
		h := newHolder(t)
		s := gone
		h.apply(topicRecords(s.name, s.id, 1)...)
		q := fetchOf(s)
		q.SessionEpoch = epoch
		r := h.ask(q, byName)
		h.waits(r)
		h.apply(append([]metadata.Record{&wire.RemoveTopicRecord{TopicId: wire.UUID{s.id}}}, topicRecords(s.name, s.id+1, 1)...)...)
		<-r.Parked().Ready()
		h.waits(r)
		h.put(s.name)
		h.woken(r)
		if a := h.answered(r, byName); len(a.Responses) != 1 || len(a.Responses[0].Partitions[0].Records) == 0 {
			t.Errorf("epoch %d: answered %+v", epoch, a.Responses)
		}
	}
}

// A fetch that asks for more than an answer may hold gets a full answer at once.
func TestAFetchWaitsForNoMoreThanAnAnswerHolds(t *testing.T) {
	h := newHolder(t)
	s := gone
	h.apply(topicRecords(s.name, s.id, 1)...)
	h.put(s.name)
	q := fetchOf(s)
	q.MinBytes, q.MaxBytes = 1<<30, 10
	if r := h.ask(q, byID); r.Parked() != nil {
		t.Error("it waits for more bytes than it takes")
	}
}

// Who may not read a topic is not told whether it is there.
func TestATopicThatIsNotThereIsRefusedAsOneThatIs(t *testing.T) {
	h := newHolder(t)
	h.asked = func(topic string) bool { return topic != gone.name }
	for _, there := range []bool{false, true} {
		if there {
			h.apply(topicRecords(gone.name, gone.id, 1)...)
		}
		if e := errorOf(h.answered(h.ask(fetchOf(gone), byName), byName), gone, byName); e != code.TopicAuthorizationFailed {
			t.Errorf("there %v: answered %v", there, e)
		}
	}
}

// A broker that stops answers a fetch that waits as at its deadline.
func TestAFetchIsEndedWithWhatThereIs(t *testing.T) {
	for _, epoch := range []int32{finalFetchEpoch, initialFetchEpoch} {
		h := newHolder(t)
		s := gone
		h.apply(topicRecords(s.name, s.id, 1)...)
		q := fetchOf(s)
		q.SessionEpoch = epoch
		r := h.ask(q, byID)
		h.waits(r)
		if !r.Parked().(rpc.Ending).End(r) {
			t.Fatal("it goes on waiting")
		}
		if e := errorOf(h.answered(r, byID), s, byID); e != code.None {
			t.Errorf("epoch %d: answered %v", epoch, e)
		}
	}
}
