package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/rpc"
)

// The toy APIs, under real keys so that headers are real.
const (
	toyRun    = 0  // echoes, in runs
	toyRanges = 1  // answers with ranges of toys.file and of memory
	toyEcho   = 3  // echoes, one by one
	toyPark   = 11 // parks under the name in its body
	toyBlock  = 19 // blocks until toys.unblock
	toyPanic  = 20
	toySilent = 22 // says nothing; body "close" ends the connection
	toyMute   = 12 // mutes for 200 ms
	toyPoll   = 14 // parks as toyPark does, because the client asked for it
)

// toys is a table of APIs and what tests ask of them.
type toys struct {
	table    map[int16]*rpc.API
	unblock  chan struct{}
	file     disk.File
	memory   []byte
	released atomic.Int64
	runs     atomic.Int64
	longest  atomic.Int64

	mu     sync.Mutex
	parked map[string]*toyParked
	drops  atomic.Int64
	closes atomic.Int64
}

func (t *toys) Lookup(_ string, key int16) *rpc.API { return t.table[key] }

func (t *toys) Release() { t.released.Add(1) }

// park parks a reply under the name in the body, which ends in a deadline when it begins with late.
func (t *toys) park(_ context.Context, c *rpc.Call, r *rpc.Reply) {
	p := &toyParked{t: t, name: string(c.Body), ready: make(chan struct{}, 1)}
	if rest, ok := strings.CutPrefix(p.name, "late"); ok {
		d, _ := time.ParseDuration(strings.Trim(rest, "-"))
		p.deadline = time.Now().Add(d)
	}
	t.mu.Lock()
	t.parked[p.name] = p
	t.mu.Unlock()
	if c.Header.Key == toyPoll {
		r.Park(toyLong{p})
		return
	}
	r.Park(p)
}

func newToys() *toys {
	t := &toys{unblock: make(chan struct{}), parked: map[string]*toyParked{}}
	echo := func(_ context.Context, c *rpc.Call, r *rpc.Reply) { r.Buf = append(r.Buf, c.Body...) }
	t.table = map[int16]*rpc.API{
		toyRun: {Key: toyRun, Name: "Produce", Min: 0, Max: 3, Run: func(_ context.Context, calls []rpc.Call, replies []*rpc.Reply) {
			t.runs.Add(1)
			t.longest.Store(max(t.longest.Load(), int64(len(calls))))
			for i := range calls {
				echo(nil, &calls[i], replies[i])
			}
		}},
		toyEcho: {Key: toyEcho, Name: "Metadata", Min: 0, Max: 3, Handle: echo},
		toyRanges: {Key: toyRanges, Name: "Fetch", Min: 0, Max: 4, Handle: func(_ context.Context, c *rpc.Call, r *rpc.Reply) {
			// Body: n times (kind, offset, length), big endian; every range stands between two marks.
			for b := c.Body; len(b) >= 9; b = b[9:] {
				off, n := int(binary.BigEndian.Uint32(b[1:])), int(binary.BigEndian.Uint32(b[5:]))
				r.Buf = append(r.Buf, '<')
				g := rpc.Range{At: len(r.Buf), Hold: t}
				if b[0] == 'f' {
					g.File, g.Offset, g.Len = t.file, int64(off), n
				} else {
					g.Bytes = t.memory[off : off+n]
				}
				r.Ranges = append(r.Ranges, g)
				r.Buf = append(r.Buf, '>')
			}
		}},
		toyPark: {Key: toyPark, Name: "JoinGroup", Min: 0, Max: 5, Handle: t.park},
		toyPoll: {Key: toyPoll, Name: "SyncGroup", Min: 0, Max: 5, LongPoll: true, Handle: t.park},
		toyBlock: {Key: toyBlock, Name: "CreateTopics", Min: 0, Max: 4, Blocks: true, Handle: func(ctx context.Context, c *rpc.Call, r *rpc.Reply) {
			select {
			case <-t.unblock:
			case <-ctx.Done():
			}
			echo(ctx, c, r)
		}},
		toyPanic: {Key: toyPanic, Name: "DeleteTopics", Min: 0, Max: 3, Handle: func(context.Context, *rpc.Call, *rpc.Reply) { panic("toy") }},
		toySilent: {Key: toySilent, Name: "InitProducerId", Min: 0, Max: 1, Handle: func(_ context.Context, c *rpc.Call, r *rpc.Reply) {
			r.Silent = true
			if string(c.Body) == "close" {
				r.Close, r.Reason = true, "told to"
			}
		}},
		toyMute: {Key: toyMute, Name: "Heartbeat", Min: 0, Max: 3, Handle: func(ctx context.Context, c *rpc.Call, r *rpc.Reply) {
			r.Throttle = 200 * time.Millisecond
			echo(ctx, c, r)
		}},
		apiVersions: {Key: apiVersions, Name: "ApiVersions", Min: 0, Max: 4, Handle: func(_ context.Context, c *rpc.Call, r *rpc.Reply) {
			if c.Conn.Attach == nil {
				c.Conn.Attach = toyAttach{t}
			}
			var code uint16
			if c.Header.Version < 0 || c.Header.Version > 4 {
				code = 35
			}
			r.Buf = binary.BigEndian.AppendUint16(r.Buf, code)
		}},
	}
	return t
}

type toyAttach struct{ t *toys }

func (a toyAttach) Close() error { a.t.closes.Add(1); return nil }

// toyParked waits until it is told to finish.
type toyParked struct {
	t        *toys
	name     string
	ready    chan struct{}
	deadline time.Time
	may      atomic.Bool
	ended    atomic.Int32
	told     atomic.Int32 // that the server stops
	panics   bool
}

func (p *toyParked) Ready() <-chan struct{} { return p.ready }
func (p *toyParked) Deadline() time.Time    { return p.deadline }
func (p *toyParked) Finish(r *rpc.Reply, now time.Time) bool {
	if !p.may.Load() && (p.deadline.IsZero() || now.Before(p.deadline)) {
		return false
	}
	if p.panics {
		panic("toy parked")
	}
	if p.ended.Add(1) != 1 {
		panic("parked reply ended twice: " + p.name)
	}
	r.Buf = append(r.Buf, p.name...)
	return true
}

// toyLong is a toyParked that its client asked for. It ends with the server, but for one that is owed.
type toyLong struct{ *toyParked }

func (p toyLong) End(r *rpc.Reply) bool {
	if p.told.Add(1) != 1 {
		panic("told twice that the server stops: " + p.name)
	}
	if strings.HasSuffix(p.name, "owed") {
		return false
	}
	p.may.Store(true)
	return p.Finish(r, time.Now())
}

func (p *toyParked) Drop() {
	if p.ended.Add(1) != 1 {
		panic("parked reply ended twice: " + p.name)
	}
	p.t.drops.Add(1)
}

// finish lets the parked reply of a name finish, and waits until it is there.
func (t *toys) finish(tb testing.TB, name string) {
	tb.Helper()
	var p *toyParked
	eventually(tb, "parked "+name, func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		p = t.parked[name]
		return p != nil
	})
	p.may.Store(true)
	p.ready <- struct{}{}
}

func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			buf := make([]byte, 1<<16)
			tb.Fatalf("not within 10 s: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// rig is a running server with a client side.
type rig struct {
	tb   testing.TB
	s    *Server
	toys *toys
	log  *syncBuffer
	stop func()
	addr string
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs a server on loopback until the test ends, and fails the test when goroutines stay behind.
func start(tb testing.TB, change func(*Config)) *rig {
	tb.Helper()
	before := runtime.NumGoroutine()
	r := &rig{tb: tb, toys: newToys(), log: new(syncBuffer)}
	cfg := Config{Listeners: []Listener{{Name: "PLAINTEXT", Addrs: []string{"127.0.0.1:0"}}}, DrainTimeout: 300 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if _, ok := tb.(*testing.B); ok {
		log = slog.New(slog.DiscardHandler)
	}
	r.s = New(cfg, r.toys, log, prometheus.NewRegistry())
	if err := r.s.Listen(); err != nil {
		tb.Fatal(err)
	}
	r.addr = r.s.Addr("PLAINTEXT").String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.s.Run(ctx); err != nil {
			tb.Error(err)
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			buf := make([]byte, 1<<18)
			panic("server does not stop\n" + string(buf[:runtime.Stack(buf, true)]))
		}
	})
	tb.Cleanup(func() {
		r.stop()
		eventually(tb, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
		if used := r.s.buffers.used.Load(); used != 0 {
			tb.Errorf("%d bytes of the budget are still taken", used)
		}
	})
	return r
}

// client is a connection to a rig.
type client struct {
	net.Conn
	tb testing.TB
}

func (r *rig) dial() *client {
	r.tb.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{nc, r.tb}
}

// frame is a request; versions are such that the header is version 1 or, for ApiVersions v3 on, 2.
func frame(key, version int16, id int32, body []byte) []byte {
	b := make([]byte, 4, 64+len(body))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = append(b, 0, 1, 'c')
	if key == apiVersions && version >= 3 {
		b = append(b, 0)
	}
	b = append(b, body...)
	putSize(b, len(b)-4)
	return b
}

func (c *client) send(b []byte) {
	c.tb.Helper()
	if _, err := c.Write(b); err != nil {
		c.tb.Fatal(err)
	}
}

// reply reads one response.
func (c *client) reply() (id int32, body []byte) {
	c.tb.Helper()
	head := make([]byte, 8)
	if _, err := io.ReadFull(c, head); err != nil {
		c.tb.Fatalf("reading a reply: %v", err)
	}
	body = make([]byte, binary.BigEndian.Uint32(head)-4)
	if _, err := io.ReadFull(c, body); err != nil {
		c.tb.Fatalf("reading a reply's body: %v", err)
	}
	return int32(binary.BigEndian.Uint32(head[4:])), body
}

func (c *client) expect(id int32, body []byte) {
	c.tb.Helper()
	gotID, got := c.reply()
	if gotID != id || !bytes.Equal(got, body) {
		c.tb.Fatalf("reply %d %.80q (%d bytes), want %d %.80q (%d bytes)", gotID, got, len(got), id, body, len(body))
	}
}

// closed expects that the server closes the connection.
func (c *client) closed() {
	c.tb.Helper()
	if n, err := io.Copy(io.Discard, c); n > 0 || os.IsTimeout(err) {
		c.tb.Fatalf("connection is open: %d bytes, %v", n, err)
	}
}

// osFile is a file of the system as a disk.File.
type osFile struct{ *os.File }

func (f osFile) WriteVecAt([][]byte, int64) (int, error) { panic("unused") }
func (f osFile) Allocate(int64, int64, bool) error       { panic("unused") }
func (f osFile) Size() (int64, error)                    { panic("unused") }
func (f osFile) Fd() (uintptr, bool)                     { return f.File.Fd(), true }

// memFile is a file without a descriptor.
type memFile struct{ osFile }

func (f memFile) Fd() (uintptr, bool) { return 0, false }

// fill gives the toys n bytes of noise in memory and in a file.
func (t *toys) fill(tb testing.TB, n int) {
	tb.Helper()
	t.memory = make([]byte, n)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(t.memory)
	f, err := os.Create(tb.TempDir() + "/segment")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	if _, err := f.Write(t.memory); err != nil {
		tb.Fatal(err)
	}
	t.file = osFile{f}
}

func name(i int) []byte { return fmt.Appendf(nil, "n%d", i) }
