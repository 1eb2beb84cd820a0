package node_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/wire"
	"github.com/klamm/klamm/internal/wire/hostile"
)

// healthy produces and fetches on one connection until its context ends, and fails
// the test when an answer is late or wrong.
type healthy struct {
	rounds atomic.Int64
	worst  atomic.Int64 // ns
	failed atomic.Pointer[error]
	done   chan struct{}
}

// live starts a healthy client.
func live(ctx context.Context, t *testing.T, addr, topic string) *healthy {
	t.Helper()
	h := &healthy{done: make(chan struct{})}
	c := dialRaw(t, addr)
	records := plain(t, "still here")
	next := c.listOffset(topic, -1)
	go func() {
		defer close(h.done)
		for ctx.Err() == nil {
			began := time.Now()
			if err := c.round(topic, records, next); err != nil {
				err = fmt.Errorf("round %d of the healthy client: %w", h.rounds.Load(), err)
				h.failed.Store(&err)
				return
			}
			next++
			h.rounds.Add(1)
			h.worst.Store(max(h.worst.Load(), int64(time.Since(began))))
		}
	}()
	return h
}

// round produces one record and reads it back.
func (r *raw) round(topic string, records []byte, want int64) error {
	r.id++
	if _, err := r.c.Write(frame(produceRequest(topic, 0, -1, records), 9, r.id)); err != nil {
		return err
	}
	m, err := r.read(0, 9, 10*time.Second)
	if err != nil {
		return err
	}
	if p := m.(*wire.ProduceResponse).Responses[0].PartitionResponses[0]; p.ErrorCode != 0 || p.BaseOffset != want {
		return fmt.Errorf("produce answers %d at offset %d, want %d", p.ErrorCode, p.BaseOffset, want)
	}
	r.id++
	if _, err := r.c.Write(frame(fetchRequest(topic, want, 1, 1000), 12, r.id)); err != nil {
		return err
	}
	if m, err = r.read(1, 12, 10*time.Second); err != nil {
		return err
	}
	if p := m.(*wire.FetchResponse).Responses[0].Partitions[0]; p.ErrorCode != 0 || len(p.Records) == 0 {
		return fmt.Errorf("fetch answers %d with %d bytes", p.ErrorCode, len(p.Records))
	}
	return nil
}

// passes waits until the healthy client has had n more answers.
func (h *healthy) passes(t *testing.T, n int64) {
	t.Helper()
	from := h.rounds.Load()
	until(t, "the healthy client's progress", func() bool {
		if err := h.failed.Load(); err != nil {
			t.Fatal(*err)
		}
		return h.rounds.Load() >= from+n
	})
}

// outcome is how a broker took a frame.
type outcome int8

const (
	answered outcome = iota
	closedUp
	mute // neither within the deadline
)

// throw sends one frame and waits for an answer or a close. A frame whose size promises more than it
// holds is ended by closing our side of the connection.
func throw(addr string, f *hostile.Frame) (outcome, []byte, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return mute, nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return mute, nil, err
	}
	sent := f.Bytes
	if f.Cost && f.Key == 0 {
		// It may be a good request with acks=0, which has no answer: this one has.
		sent = append(bytes.Clone(sent), frame(&wire.ApiVersionsRequest{}, 0, 2)...)
	}
	_, _ = c.Write(sent) // the broker may close before it has read all
	if size := binary.BigEndian.Uint32(f.Bytes); int64(size) > int64(len(f.Bytes)-4) {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	var head [8]byte
	n, err := io.ReadFull(c, head[:])
	switch timeout := net.Error(nil); {
	case err == nil:
		rest := make([]byte, min(64, max(0, int(binary.BigEndian.Uint32(head[:])))-4))
		n, _ := io.ReadFull(c, rest)
		return answered, rest[:n], nil
	case errors.As(err, &timeout) && timeout.Timeout():
		return mute, nil, fmt.Errorf("neither an answer nor a close: %d bytes", n)
	default:
		return closedUp, nil, nil
	}
}

// costOfElement is what an answer may cost in memory for each element of a good request.
const costOfElement = 1 << 10

// sample is every nth hostile frame and all that are special: those whose size or header is the attack, those
// that cost, and the large ones.
func sample(nth int) (list []hostile.Frame) {
	for i, f := range hostile.Frames() {
		if i%nth == 0 || f.Body == nil || f.Cost || len(f.Bytes) > 32<<10 || strings.Contains(f.Name, "null") {
			list = append(list, f)
		}
	}
	return list
}

// TestHostileFramesCostNobodyElse attacks a node while a client works on it.
func TestHostileFramesCostNobodyElse(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"auto.create.topics.enable=false"}})
	dialRaw(t, n.addr).createTopic("healthy", 1, "flush.before.ack", "false")
	frames := sample(11)
	if testing.Short() {
		frames = sample(101)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := live(ctx, t, n.addr, "healthy")
	h.passes(t, 10)

	took := [3]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	work := make(chan *hostile.Frame)
	for range 8 {
		wg.Go(func() {
			for f := range work {
				o, body, err := throw(n.addr, f)
				mu.Lock()
				took[o]++
				mu.Unlock()
				if err != nil {
					t.Errorf("%s: %v", f.Name, err)
				}
				if o == answered && f.Body != nil && !f.Cost && allZero(body) {
					t.Errorf("%s: answered without an error: %x", f.Name, body)
				}
			}
		})
	}
	for i := range frames {
		work <- &frames[i]
	}
	close(work)
	wg.Wait()
	h.passes(t, 10)
	cancel()
	<-h.done
	if err := h.failed.Load(); err != nil {
		t.Error(*err)
	}
	t.Logf("%d hostile frames: %d answered, %d closed; meanwhile the healthy client had %d answers, the slowest after %s",
		len(frames), took[answered], took[closedUp], 2*h.rounds.Load(), time.Duration(h.worst.Load()))
	if len(frames) < 300 {
		t.Errorf("only %d frames", len(frames))
	}
	if n.said.has("panic") {
		t.Errorf("something panicked:\n%s", n.said)
	}
	c := dialRaw(t, n.addr)
	c.createTopic("afterwards", 1)
	c.put("afterwards", -1, plain(t, "fine"))
	if got := values(t, c.fetch("afterwards", 0, 1, 0).Records, 0); len(got) != 1 {
		t.Errorf("after the attack the node gives %q", got)
	}
}

// allZero reports whether nothing in b can be an error code.
func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// TestHostileFramesCostLittleMemory measures what the process allocates for a frame that is refused: at most
// 8 x body + 64 KiB, beside what a connection costs that sends nothing bad, measured in the same way with the same
// number of connections. A frame that is a good request of thousands of elements is answered, and the answer
// may cost something for each of them.
func TestHostileFramesCostLittleMemory(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"auto.create.topics.enable=false"}})
	good := hostile.Frame{Bytes: frame(&wire.ApiVersionsRequest{ClientSoftwareName: "a", ClientSoftwareVersion: "1"}, 3, 1)}
	const batch = 16
	cost := func(f *hostile.Frame) int64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range batch {
			if _, _, err := throw(n.addr, f); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
		}
		runtime.ReadMemStats(&after)
		return int64(after.TotalAlloc-before.TotalAlloc) / batch
	}
	cost(&good)
	connection := max(cost(&good), cost(&good))
	nth := 41
	if testing.Short() {
		nth = 401
	}
	worst, name, measured := 0.0, "", 0
	for i, f := range hostile.Frames() {
		if i%nth != 0 && !f.Cost && len(f.Bytes) <= 32<<10 && f.Key != 0 || i%nth != 0 && f.Key == 0 && i%5 != 0 {
			continue
		}
		measured++
		limit := int64(8*len(f.Body) + 64<<10)
		if f.Cost { // a good request is answered, element by element
			limit += hostile.Elements * costOfElement
		}
		spent := cost(&f) - connection
		if spent > limit {
			t.Errorf("%s: %d bytes for a body of %d, at most %d are allowed", f.Name, spent, len(f.Body), limit)
		}
		if f.Cost {
			continue
		}
		if part := float64(spent) / float64(limit); part > worst {
			worst, name = part, f.Name
		}
	}
	t.Logf("%d frames, %d times each; a connection costs %d bytes; the dearest that is refused took %.0f %% of its limit: %s", measured, batch, connection, 100*worst, name)
}

// Connections that send a byte now and then, and hundreds that send nothing, leave a client its answers.
func TestSlowAndManyConnectionsCostNobodyElse(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"max.connections.per.ip=300", "connections.max.idle.ms=1500"}})
	dialRaw(t, n.addr).createTopic("healthy", 1, "flush.before.ack", "false")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := live(ctx, t, n.addr, "healthy")
	h.passes(t, 1)

	// A hundred that announce a large Produce and then send it by the byte.
	large := frame(produceRequest("healthy", 0, -1, bytes.Repeat([]byte{0}, 1<<20)), 9, 1)
	var slow []net.Conn
	for range 100 {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(large[:100]); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 20 {
		for _, c := range slow {
			if _, err := c.Write(large[100+i : 101+i]); err != nil {
				t.Fatalf("a slow connection was closed early: %v", err)
			}
		}
		h.passes(t, 1)
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapInuse) - int64(before.HeapInuse); held > 100*64<<10 {
		t.Errorf("100 slow connections hold %d bytes for 12 KiB that they have sent", held)
	}

	// As many as an address may have, and then more: those are closed at once.
	var many []net.Conn
	refused := 0
	for range 400 {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		many = append(many, c)
	}
	for _, c := range many {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, errTimeout(err)) {
			refused++
		}
	}
	h.passes(t, 10)
	if refused < 150 || refused > 250 {
		t.Errorf("%d of 400 connections were refused, about 200 are above the limit", refused)
	}

	// What sends nothing is closed after its time, and the one that works is not.
	for _, c := range slow {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); errTimeout(err) != nil {
			t.Fatal("a connection that stopped in the middle of a frame is still open")
		}
	}
	h.passes(t, 10)
	cancel()
	<-h.done
	t.Logf("%d refused; the healthy client had %d answers, the slowest after %s", refused, 2*h.rounds.Load(), time.Duration(h.worst.Load()))
}

// errTimeout returns err when it is a timeout, and nil otherwise.
func errTimeout(err error) error {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return err
	}
	return nil
}
