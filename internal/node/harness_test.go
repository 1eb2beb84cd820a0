package node_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// plan is how a test wants its node.
type plan struct {
	dir       string
	disk      disk.FS // nil for the system's
	listen    string  // host:port of klamm dev; 127.0.0.1:0 when empty
	overrides []string
	between   node.Interceptor       // nil for nobody
	others    []prometheus.Collector // on /metrics beside the node's own
	drain     time.Duration          // Config.DrainTimeout
}

// running is a node in the test's process.
type running struct {
	*node.Node
	addr string
	said *book
	end  func() error // stops it and returns what Run returned
}

// prepare builds the node of a plan and starts nothing.
func prepare(p plan) (*node.Node, *book, error) {
	if p.listen == "" {
		p.listen = "127.0.0.1:0"
	}
	cfg, err := node.Dev(p.dir, p.listen, append([]string{"admin.listener="}, p.overrides...))
	if err != nil {
		return nil, nil, err
	}
	cfg.DrainTimeout = p.drain
	host := node.OSHost()
	if p.disk != nil {
		host.Disk = p.disk
	}
	host.Interceptor = p.between
	said, reg := &book{}, prometheus.NewRegistry()
	reg.MustRegister(p.others...)
	n, err := node.New(cfg, host, slog.New(said), reg)
	return n, said, err
}

// try starts a node and returns it when it is ready, or the error that it ended with.
func try(t testing.TB, p plan) (*running, error) {
	t.Helper()
	n, said, err := prepare(p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	end := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = end() })
	select {
	case <-n.Ready():
		return &running{n, n.Info().Addr, said, end}, nil
	case err := <-ended:
		ended <- err
		return nil, err
	case <-time.After(patience):
		t.Fatalf("the node is not ready after %s; it said:\n%s", patience, said)
		return nil, nil
	}
}

// boot starts a node that has to start, and that has to stop well at the end unless the test ends it.
func boot(t testing.TB, p plan) *running {
	t.Helper()
	r, err := try(t, p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stop ends the node cleanly.
func (r *running) stop(t *testing.T) {
	t.Helper()
	if err := r.end(); err != nil {
		t.Fatalf("the node ended with %v; it said:\n%s", err, r.said)
	}
}

// book keeps what a node logs.
type book struct {
	mu    sync.Mutex
	lines []string
}

func (b *book) Enabled(context.Context, slog.Level) bool { return true }
func (b *book) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *book) WithGroup(string) slog.Handler            { return b }

func (b *book) Handle(_ context.Context, r slog.Record) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&s, " %s", a)
		return true
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, s.String())
	return nil
}

// has reports whether a line holds text.
func (b *book) has(text string) bool { return strings.Contains(b.String(), text) }

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "\n")
}

// raw is a connection that says exactly what a test wants.
type raw struct {
	t  *testing.T
	c  net.Conn
	id int32
}

func dialRaw(t *testing.T, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &raw{t: t, c: c}
}

// frame is a request as it goes to the socket.
func frame(req wire.Message, version int16, id int32) []byte {
	h := wire.NewRequestHeader()
	client := "raw"
	h.RequestApiKey, h.RequestApiVersion, h.CorrelationId, h.ClientId = req.Key(), version, id, &client
	b := h.Append(make([]byte, 4), wire.RequestHeaderVersion(req.Key(), version))
	b = req.Append(b, version)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func (r *raw) send(req wire.Message, version int16) {
	r.t.Helper()
	r.id++
	if err := r.c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.c.Write(frame(req, version, r.id)); err != nil {
		r.t.Fatalf("send %T v%d: %v", req, version, err)
	}
}

// receive reads the answer to the request that was sent last.
func (r *raw) receive(key, version int16) wire.Message {
	r.t.Helper()
	m, err := r.read(key, version, patience)
	if err != nil {
		r.t.Fatalf("answer of API %d v%d: %v", key, version, err)
	}
	return m
}

func (r *raw) read(key, version int16, within time.Duration) (wire.Message, error) {
	if err := r.c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(r.c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r.c, b); err != nil {
		return nil, err
	}
	d := wire.NewDecoder(b)
	h := wire.NewResponseHeader()
	h.Decode(&d, wire.ResponseHeaderVersion(key, version))
	if h.CorrelationId != r.id {
		return nil, fmt.Errorf("correlation id %d, want %d", h.CorrelationId, r.id)
	}
	rest := d.Rest()
	m := wire.NewResponse(key)
	d = wire.NewDecoder(rest)
	m.Decode(&d, version)
	return m, d.Done()
}

// closed waits for the broker to close the connection and reports what came before that.
func (r *raw) closed() []byte {
	r.t.Helper()
	if err := r.c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	b, err := io.ReadAll(r.c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		r.t.Fatal("the connection is still open")
	}
	return b
}

// ask sends a request and returns its answer.
func ask[T wire.Message](r *raw, req wire.Message, version int16) T {
	r.t.Helper()
	r.send(req, version)
	m, ok := r.receive(req.Key(), version).(T)
	if !ok {
		r.t.Fatalf("the answer to %T is no %T", req, m)
	}
	return m
}

// createTopic makes a topic with the given configs, key by key with its value.
func (r *raw) createTopic(name string, partitions int32, configs ...string) wire.UUID {
	r.t.Helper()
	req := wire.NewCreateTopicsRequest()
	topic := wire.CreateTopicsRequestCreatableTopic{Name: name, NumPartitions: partitions, ReplicationFactor: 1}
	for i := 0; i < len(configs); i += 2 {
		topic.Configs = append(topic.Configs, wire.CreateTopicsRequestCreatableTopicConfig{Name: configs[i], Value: &configs[i+1]})
	}
	req.Topics, req.TimeoutMs = append(req.Topics, topic), 10_000
	resp := ask[*wire.CreateTopicsResponse](r, req, 7)
	if e := code.Error(resp.Topics[0].ErrorCode); e != 0 {
		r.t.Fatalf("create topic %s: %v %s", name, e, text(resp.Topics[0].ErrorMessage))
	}
	return resp.Topics[0].TopicId
}

// deleteTopic removes a topic.
func (r *raw) deleteTopic(name string) {
	r.t.Helper()
	req := wire.NewDeleteTopicsRequest()
	req.Topics, req.TimeoutMs = []wire.DeleteTopicsRequestDeleteTopicState{{Name: &name}}, 10_000
	resp := ask[*wire.DeleteTopicsResponse](r, req, 6)
	if e := code.Error(resp.Responses[0].ErrorCode); e != 0 {
		r.t.Fatalf("delete topic %s: %v", name, e)
	}
}

func produceRequest(topic string, partition int32, acks int16, records []byte) *wire.ProduceRequest {
	req := wire.NewProduceRequest()
	req.Acks, req.TimeoutMs = acks, 10_000
	req.TopicData = []wire.ProduceRequestTopicProduceData{{Name: topic, PartitionData: []wire.ProduceRequestPartitionProduceData{{Index: partition, Records: records}}}}
	return req
}

// produce sends records and returns the partition's answer.
func (r *raw) produce(topic string, acks int16, version int16, records []byte) wire.ProduceResponsePartitionProduceResponse {
	r.t.Helper()
	resp := ask[*wire.ProduceResponse](r, produceRequest(topic, 0, acks, records), version)
	return resp.Responses[0].PartitionResponses[0]
}

// put produces records that have to be taken, and returns the first offset.
func (r *raw) put(topic string, acks int16, records []byte) int64 {
	r.t.Helper()
	p := r.produce(topic, acks, 9, records)
	if p.ErrorCode != 0 {
		r.t.Fatalf("produce to %s: %v %s", topic, code.Error(p.ErrorCode), text(p.ErrorMessage))
	}
	return p.BaseOffset
}

func fetchRequest(topic string, offset int64, minBytes, waitMs int32) *wire.FetchRequest {
	req := wire.NewFetchRequest()
	req.MinBytes, req.MaxWaitMs, req.MaxBytes = minBytes, waitMs, 1<<20
	p := wire.FetchRequestFetchPartition{FetchOffset: offset}
	p.Default()
	p.FetchOffset, p.PartitionMaxBytes = offset, 1<<20
	req.Topics = []wire.FetchRequestFetchTopic{{Topic: topic, Partitions: []wire.FetchRequestFetchPartition{p}}}
	return req
}

// fetch reads partition 0 of a topic from an offset on, without a session.
func (r *raw) fetch(topic string, offset int64, minBytes, waitMs int32) wire.FetchResponsePartitionData {
	r.t.Helper()
	return ask[*wire.FetchResponse](r, fetchRequest(topic, offset, minBytes, waitMs), 12).Responses[0].Partitions[0]
}

// values are the values of the records of version 2 batches from an offset on.
func values(t *testing.T, data []byte, from int64) (list []string) {
	t.Helper()
	codecs := record.NewCodecs(1)
	for len(data) > 0 {
		b, rest, err := record.Next(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		err = b.Each(codecs, 64<<20, func(r record.Record) error {
			if r.Offset >= from {
				list = append(list, string(r.Value))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		data = rest
	}
	return list
}

// listOffset asks for an offset by a timestamp, -1 the end and -2 the start.
func (r *raw) listOffset(topic string, timestamp int64) int64 {
	r.t.Helper()
	req := wire.NewListOffsetsRequest()
	req.ReplicaId = -1
	p := wire.ListOffsetsRequestListOffsetsPartition{Timestamp: timestamp, CurrentLeaderEpoch: -1}
	req.Topics = []wire.ListOffsetsRequestListOffsetsTopic{{Name: topic, Partitions: []wire.ListOffsetsRequestListOffsetsPartition{p}}}
	resp := ask[*wire.ListOffsetsResponse](r, req, 7)
	got := resp.Topics[0].Partitions[0]
	if got.ErrorCode != 0 {
		r.t.Fatalf("offset of %s at %d: %v", topic, timestamp, code.Error(got.ErrorCode))
	}
	return got.Offset
}

// alter sets one config of a topic, or of broker 1 for a resource of type 4.
func (r *raw) alter(resource int8, name, key, value string) {
	r.t.Helper()
	req := wire.NewIncrementalAlterConfigsRequest()
	req.Resources = []wire.IncrementalAlterConfigsRequestAlterConfigsResource{{ResourceType: resource, ResourceName: name,
		Configs: []wire.IncrementalAlterConfigsRequestAlterableConfig{{Name: key, Value: &value}}}}
	resp := ask[*wire.IncrementalAlterConfigsResponse](r, req, 1)
	if e := code.Error(resp.Responses[0].ErrorCode); e != 0 {
		r.t.Fatalf("%s=%s of %s: %v %s", key, value, name, e, text(resp.Responses[0].ErrorMessage))
	}
}

// batch is a batch of version 2 of the given values.
func batch(t *testing.T, o record.BuilderOptions, values ...string) []byte {
	t.Helper()
	o.LeaderEpoch = record.NoLeaderEpoch
	b := record.NewBuilder(record.NewCodecs(1), o)
	for _, v := range values {
		b.Append(time.Now().UnixMilli(), nil, []byte(v))
	}
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(out)
}

// plain is a batch of version 2 without compression or a producer's id.
func plain(t *testing.T, values ...string) []byte {
	return batch(t, record.BuilderOptions{}, values...)
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s is still not so after %s", what, patience)
		}
	}
}

// text is a string that may be null.
func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}
