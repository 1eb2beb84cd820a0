package api

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"runtime/debug"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// bench is a broker's Produce and Fetch over partitions on real files, and one connection.
type bench struct {
	*Broker
	t     *testing.T
	conn  *rpc.Conn
	image *metadata.Image
}

// newBench makes the topic t, of whose partitions 0 is led here and 1 by broker 2.
func newBench(t *testing.T, authorizer auth.Authorizer) *bench {
	t.Helper()
	dir := t.TempDir()
	if err := commitlog.InitDir(disk.OS(), dir, commitlog.Meta{ClusterID: "c", NodeID: 1, DirectoryID: commitlog.NewDirectoryID()}); err != nil {
		t.Fatal(err)
	}
	d, err := commitlog.OpenDir(disk.OS(), dir, commitlog.DirOptions{MinFree: -1, BallastBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	keys, err := config.NewSet(ConfigKeys())
	if err != nil {
		t.Fatal(err)
	}
	codecs := record.NewCodecs(1)
	replicas := replica.New(replica.Config{NodeID: 1, Dirs: []*commitlog.Dir{d}, Codecs: codecs, MaxLag: time.Minute, TopicOptions: func(*metadata.Image, string) (commitlog.Options, error) {
		o := commitlog.DefaultOptions()
		o.FlushBeforeAck = false // so that answers need not wait
		return o, nil
	}})
	b := &bench{t: t, image: metadata.New("c"), conn: &rpc.Conn{}, Broker: New(Deps{NodeID: 1, ClusterID: "c", Authorizer: authorizer, Replicas: replicas, Codecs: codecs, Keys: keys,
		Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})}
	b.apply(topicRecords("t", 1, 1, 2)...)
	return b
}

// topicRecords are a topic of the id {id} with a partition for each of the leaders.
func topicRecords(name string, id byte, leaders ...int32) []metadata.Record {
	list := []metadata.Record{&wire.TopicRecord{Name: name, TopicId: wire.UUID{id}}}
	for i, leader := range leaders {
		list = append(list, &wire.PartitionRecord{PartitionId: int32(i), TopicId: wire.UUID{id}, Replicas: []int32{leader}, Isr: []int32{leader}, Leader: leader, Directories: make([]wire.UUID, 1)})
	}
	return list
}

// apply has the broker learn of changes.
func (b *bench) apply(records ...metadata.Record) {
	b.t.Helper()
	at, epoch := b.image.Offset()
	image, delta, err := b.image.Apply(records, at+int64(len(records)), max(epoch, 1))
	if err != nil {
		b.t.Fatal(err)
	}
	b.image = image
	b.Replicas.Observe(delta, image)
}

// part is a partition to fetch from offset 0.
type part struct {
	topic byte // of the topic's id
	index int32
}

// fetchCall is a Fetch of version 17 that may wait for a minute.
func fetchCall(session, epoch int32, parts ...part) []byte {
	q := wire.NewFetchRequest()
	q.MaxWaitMs, q.MinBytes, q.SessionId, q.SessionEpoch = 60_000, 1, session, epoch
	for _, p := range parts {
		q.Topics = append(q.Topics, wire.FetchRequestFetchTopic{TopicId: wire.UUID{p.topic}, Partitions: []wire.FetchRequestFetchPartition{{
			Partition: p.index, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, PartitionMaxBytes: 1 << 20}}})
	}
	return q.Append(nil, 17)
}

// fetched asks and returns the answer and its errors by partition; nil when it waits.
func (b *bench) fetched(body []byte) (a *wire.FetchResponse, errors map[part]code.Error) {
	b.t.Helper()
	c, r := rpc.Call{Conn: b.conn, Header: wire.Header{Key: keyFetch, Version: 17}, Body: body, Arrived: time.Now()}, &rpc.Reply{}
	b.apis[keyFetch].Handle(context.Background(), &c, r)
	defer r.Release()
	if p := r.Parked(); p != nil {
		p.Drop()
		return nil, nil
	}
	for i := range r.Ranges { // what was read is not looked at
		r.Buf = append(r.Buf[:r.Ranges[i].At:r.Ranges[i].At], append(bytes.Clone(r.Ranges[i].Bytes), r.Buf[r.Ranges[i].At:]...)...)
	}
	a = wire.NewFetchResponse()
	d := wire.NewDecoder(r.Buf)
	if a.Decode(&d, 17); d.Done() != nil {
		b.t.Fatal(d.Done())
	}
	errors = map[part]code.Error{}
	for _, t := range a.Responses {
		for _, p := range t.Partitions {
			errors[part{t.TopicId[0], p.PartitionIndex}] = code.Error(p.ErrorCode)
		}
	}
	return a, errors
}

func TestAFetchWaitsForWhatMayCome(t *testing.T) {
	here, elsewhere, unknown := part{1, 0}, part{1, 1}, part{9, 0}
	for _, c := range []struct {
		name  string
		parts []part
		want  map[part]code.Error // nil when it waits
	}{
		{"an empty partition", []part{here}, nil},
		{"an empty one and one that nobody knows", []part{here, unknown}, nil},
		{"what nobody knows", []part{unknown}, map[part]code.Error{unknown: code.UnknownTopicId}},
		{"an empty one and one of another broker", []part{here, elsewhere}, map[part]code.Error{here: code.None, elsewhere: code.NotLeaderOrFollower}},
		{"nothing at all", nil, map[part]code.Error{}},
	} {
		for _, epoch := range []int32{finalFetchEpoch, initialFetchEpoch} {
			b := newBench(t, nil)
			a, got := b.fetched(fetchCall(0, epoch, c.parts...))
			if (a == nil) != (c.want == nil) || len(got) != len(c.want) {
				t.Errorf("%s, epoch %d: answered with %v, want %v", c.name, epoch, got, c.want)
			}
			for p, want := range c.want {
				if got[p] != want {
					t.Errorf("%s, epoch %d: %v has %v, want %v", c.name, epoch, p, got[p], want)
				}
			}
		}
	}
}

// except allows everything but one topic.
type except struct {
	auth.Open
	topic string
}

func (e except) Allowed(_ auth.Principal, _ net.Addr, _ auth.Operation, resource auth.ResourceType, name string) bool {
	return resource != auth.Topic || name != e.topic
}

func TestATopicThatAppearsWithinASessionIsNotReadByWhoMayNot(t *testing.T) {
	b := newBench(t, except{topic: "secret"})
	secret := part{2, 0}
	a, got := b.fetched(fetchCall(0, initialFetchEpoch, secret))
	if a == nil || got[secret] != code.UnknownTopicId {
		t.Fatalf("before there is such a topic the answer is %v", got)
	}
	b.apply(topicRecords("secret", 2, 1)...)
	a, got = b.fetched(fetchCall(a.SessionId, 1))
	if a == nil || got[secret] != code.TopicAuthorizationFailed {
		t.Errorf("the session is answered with %v", got)
	}
}

// produceCall is a Produce of version 13 with one record to partition 0 of t.
func (b *bench) produceCall(o record.BuilderOptions) []byte {
	b.t.Helper()
	o.LeaderEpoch = record.NoLeaderEpoch
	batch := record.NewBuilder(b.Codecs, o)
	batch.Append(time.Now().UnixMilli(), nil, []byte("a value of some length"))
	records, err := batch.Finish()
	if err != nil {
		b.t.Fatal(err)
	}
	q := wire.NewProduceRequest()
	q.Acks, q.TimeoutMs = 1, 1000
	q.TopicData = []wire.ProduceRequestTopicProduceData{{TopicId: wire.UUID{1}, PartitionData: []wire.ProduceRequestPartitionProduceData{{Index: 0, Records: records}}}}
	return q.Append(nil, 13)
}

func TestAConnectionHasProducedWhatTheLogTook(t *testing.T) {
	b := newBench(t, nil)
	once := b.produceCall(record.BuilderOptions{Producer: &record.Producer{ID: 7}})
	for range 2 { // the second time it is there already
		calls := []rpc.Call{{Conn: b.conn, Header: wire.Header{Key: keyProduce, Version: 13}, Body: bytes.Clone(once), Arrived: time.Now()}}
		b.apis[keyProduce].Run(context.Background(), calls, []*rpc.Reply{{}})
	}
	topic := b.Replicas.Totals()
	if got := b.conn.Did.Totals(); got.ProducedRecords != 1 || topic.MessagesIn != 1 || got.ProducedBytes != topic.BytesIn || topic.ProduceRequests != 2 {
		t.Errorf("it produced %+v, its topic has %+v", got, topic)
	}
}

func TestProduceAndFetchAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pools
	b := newBench(t, nil)
	request := b.produceCall(record.BuilderOptions{})
	body := bytes.Clone(request)
	now := time.Now()
	calls := []rpc.Call{{Conn: b.conn, Header: wire.Header{Key: keyProduce, Version: 13}, Body: body, Arrived: now}}
	replies := []*rpc.Reply{{Buf: make([]byte, 0, 4096)}}
	ctx := context.Background()
	produce := func() {
		copy(body, request) // the log writes offsets into it
		replies[0].Buf = replies[0].Buf[:0]
		b.apis[keyProduce].Run(ctx, calls, replies)
		if replies[0].Parked() != nil || replies[0].Close || len(replies[0].Buf) == 0 {
			t.Fatal("a Produce is not answered")
		}
	}
	whole, empty := fetchCall(0, finalFetchEpoch, part{1, 0}), fetchCall(0, finalFetchEpoch, part{3, 0})
	b.apply(topicRecords("empty", 3, 1)...)
	reply := &rpc.Reply{Buf: make([]byte, 0, 1<<16)}
	c := rpc.Call{Conn: b.conn, Header: wire.Header{Key: keyFetch, Version: 17}, Arrived: now}
	fetch := func(body []byte, parks bool) {
		reply.Buf, c.Body = reply.Buf[:0], body
		b.apis[keyFetch].Handle(ctx, &c, reply)
		if p := reply.Parked(); (p != nil) != parks {
			t.Fatalf("a Fetch waits: %t", p != nil)
		} else if parks {
			p.Finish(reply, p.Deadline())
		}
		reply.Release()
		reply.Reset()
	}
	for range 100 {
		produce()
		fetch(whole, false)
	}
	for range 100 {
		fetch(empty, true)
	}
	for name, f := range map[string]func(){"Produce": produce, "Fetch": func() { fetch(whole, false) }, "a Fetch that waits": func() { fetch(empty, true) }} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
