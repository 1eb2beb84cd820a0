package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

const (
	// apiVersions is the key of ApiVersions, which is answered whatever its version (KIP-511).
	apiVersions = 18
	// maxReply is the most bytes that a frame's size can say.
	maxReply = math.MaxInt32
	// mostCalls is how many calls are handled together.
	mostCalls = 256
	// mostGathered is how many bytes of replies are made before they are sent.
	mostGathered = 256 << 10
	// youngWakes is how many times a young connection changes to a fresh goroutine before it waits:
	// the stack that its first calls have grown would otherwise stay with a connection that then idles.
	youngWakes = 2
)

// conn is a connection. One goroutine reads, handles and writes; while replies are parked a second one,
// the completer, owns the writing side. The reader hands the writing side over by setting comp, and
// the completer gives it back by clearing it, both under mu, so that nobody writes under a lock.
type conn struct {
	rpc.Conn // what the APIs see
	s        *Server
	l        *listener
	nc       net.Conn
	raw      syscall.RawConn // nil when the connection is no socket
	ip       netip.Addr      // invalid when the peer has none
	since    time.Time       // when it was accepted

	// The reader's own.
	readFn     func(fd uintptr) bool // tryRead, made once
	readErr    error
	in         *buffer // what was read and not yet handled; nil while idle
	r, w       int     // in.b[r:w] has bytes
	work       *work   // nil while idle
	want       int     // how much the next read shall take
	trust      int     // size of the last large frame
	now        time.Time
	clock      int64     // when bytes came or the last calls were handled, by the server's clock
	arrived    int64     // when the bytes came that are being handled
	parking    bool      // comp was set and may still be
	privileged bool      // may go over the budget until its frame is complete
	fresh      bool      // nothing was handled on this goroutine's stack
	broken     bool      // a handler panicked
	wakes      uint8     // up to youngWakes
	outdated   bool      // it was seen to use a version that is outdated
	defects    []*defect // of its library, as long as nothing shows that they matter

	active  atomic.Int64             // when bytes last came or went, Unix nanoseconds
	mute    atomic.Int64             // not to be read before, Unix nanoseconds (KIP-219)
	state   atomic.Int32             // for the sweep
	sending atomic.Bool              // for the sweep
	who     atomic.Pointer[identity] // who sent the last request; set by the reader
	cause   atomic.Pointer[closing]  // why somebody but the reader closed the connection; the first counts

	mu     sync.Mutex // guards what follows
	comp   *completer // owns the writing side; nil when the reader does
	ending bool       // the reader waits for comp to end
}

// What a connection is doing, for the sweep.
const (
	stateBusy    int32 = iota // handling, or waiting for its replies
	stateIdle                 // waiting for the first byte of a frame on a stack that has worked
	stateFresh                // the same on a stack that has not
	statePartial              // waiting for the rest of a frame
	stateStarved              // waiting for memory
)

// work is what a connection needs while it has something to do, and gives back when it waits.
type work struct {
	calls   []rpc.Call
	run     []*rpc.Reply // replies of the calls that are being handled
	out     []outgoing   // handled, not yet sent or queued
	free    []*rpc.Reply
	sender  sender
	scratch any // rpc.Conn's
}

var (
	errKicked = errors.New("kicked")
	errBudget = errors.New("no memory left in the budget for what is read ahead")
)

// closing is why Klamm ends a connection.
type closing struct {
	reason string
	attrs  []any
	quiet  bool               // not worth a warning
	count  prometheus.Counter // counts it; nil for none
}

func (e *closing) Error() string { return e.reason }

// run serves the connection until it ends or changes to a fresh goroutine.
func (c *conn) run() {
	var err error
	defer func() {
		if p := recover(); p != nil {
			c.broken = true
			c.finish(c.panicked(p))
			return
		}
		if err != errKicked {
			c.finish(err)
		}
	}()
	for {
		err = c.fill()
		if err == errKicked || err == nil && c.wakes < youngWakes {
			if err == nil {
				if err = c.serve(); err != nil {
					return
				}
				c.wakes++
				err = errKicked
			}
			c.rest()
			c.fresh = true
			go c.run()
			return
		}
		if err == nil {
			err = c.serve()
		}
		if err != nil {
			return
		}
	}
}

// fill waits for bytes and reads some.
func (c *conn) fill() error {
	if until := c.mute.Load(); until > 0 {
		c.rest()
		if err := c.sleep(time.Until(time.Unix(0, until))); err != nil {
			return err
		}
		c.mute.Store(0)
	}
	for {
		err := c.read()
		switch {
		case err == nil:
			c.state.Store(stateBusy)
			c.now = time.Now()
			c.active.Store(c.now.UnixNano())
			c.arrived = int64(c.now.Sub(c.s.began))
			c.clock = c.arrived
			return nil
		case err == errBudget:
			if err := c.awaitBudget(); err != nil && err != errBudget {
				return err
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			if c.s.stopping.Load() {
				return errStopped
			}
			c.nc.SetReadDeadline(time.Time{})
			if c.s.stopping.Load() {
				return errStopped
			}
			c.want = c.least()
			return errKicked
		default:
			return err
		}
	}
}

func (c *conn) read() error {
	c.readErr = nil
	if c.raw != nil {
		if err := c.raw.Read(c.readFn); err != nil {
			return err
		}
		return c.readErr
	}
	c.rest()
	p, err := c.space()
	if err != nil {
		return err
	}
	n, err := c.nc.Read(p)
	if n > 0 {
		c.filled(n, len(p))
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// space returns where the next bytes are to be read, at least one.
func (c *conn) space() ([]byte, error) {
	have, need, end := c.w-c.r, c.want, math.MaxInt
	if have >= 4 {
		// serve has refused sizes beyond the limit.
		frame := 4 + int(binary.BigEndian.Uint32(c.in.b[c.r:]))
		if frame >= large {
			end = frame + extra
			need = min(end, max(normal, 2*have, min(c.trust, mostTrusted)+extra))
		} else {
			need = max(need, min(frame, max(normal, 2*have)))
		}
	}
	pool := c.s.buffers
	if have == 0 {
		c.r, c.w = 0, 0
	}
	switch {
	case c.in == nil:
		if c.in = pool.get(need, nil); c.in == nil {
			c.in = pool.get(tiny, nil)
		}
	case len(c.in.b)-c.r >= need:
	case len(c.in.b) >= need:
		c.compact()
	default:
		if b := pool.get(need, c.in); b != nil {
			c.move(b)
		} else if c.privileged {
			c.move(pool.force(need))
		} else if c.compact(); have == len(c.in.b) {
			return nil, errBudget
		}
	}
	stop := len(c.in.b)
	if end < stop-c.r {
		stop = c.r + end
	}
	return c.in.b[c.w:stop], nil
}

// compact moves what is there to the front of the buffer.
func (c *conn) compact() {
	if c.r > 0 {
		c.r, c.w = 0, copy(c.in.b, c.in.b[c.r:c.w])
	}
}

// move changes to another buffer.
func (c *conn) move(to *buffer) {
	c.r, c.w = 0, copy(to.b, c.in.b[c.r:c.w])
	c.s.buffers.put(c.in)
	c.in = to
}

// filled notes that n of the bytes that space offered were read.
func (c *conn) filled(n, offered int) {
	c.w += n
	c.Did.Received(n)
	switch {
	case n == offered && offered >= c.want:
		c.want = max(c.want, min(2*c.want, c.s.readAhead))
	case n < c.want/4 && c.want > c.least():
		c.want /= 2
	}
}

// least is how much a connection reads at first. Without a way to try, the wait itself needs a
// buffer, so it is a tiny one.
func (c *conn) least() int {
	if c.raw == nil {
		return tiny
	}
	return normal
}

// rest gives back what the connection does not need while it waits.
func (c *conn) rest() {
	have := c.w - c.r
	state := statePartial
	switch {
	case have == 0:
		if state = stateIdle; c.fresh {
			state = stateFresh
		}
		if c.in != nil {
			c.s.buffers.put(c.in)
			c.in, c.r, c.w = nil, 0, 0
		}
	case have <= tiny && len(c.in.b) > tiny:
		c.move(c.s.buffers.get(tiny, c.in))
	case have <= small && len(c.in.b) > small:
		if b := c.s.buffers.get(small, c.in); b != nil {
			c.move(b)
		}
	}
	if w := c.work; w != nil {
		w.scratch, c.Scratch = c.Scratch, nil
		c.work = nil
		c.s.works.Put(w)
	}
	c.state.Store(state)
}

// awaitBudget waits until the process has memory again.
func (c *conn) awaitBudget() error {
	b := c.s.buffers
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	freed := b.await()
	if b.used.Load() < b.limit {
		return nil
	}
	// Whoever stalls is closed before those who wait.
	t := time.NewTimer(3 * c.s.budgetPatience)
	defer t.Stop()
	c.state.Store(stateStarved)
	select {
	case <-freed:
		return nil
	case b.privilege <- struct{}{}:
		c.privileged = true
		return nil
	case <-t.C:
		return &closing{
			reason: "no memory for a request within the budget for what is read ahead; raise queued.max.request.bytes or send smaller requests",
			attrs:  []any{"budget_bytes", b.limit}, count: c.s.metrics.refused.budget,
		}
	case <-c.s.stopped:
		return errStopped
	}
}

// resign lets another connection go over the budget.
func (c *conn) resign() {
	if c.privileged {
		c.privileged = false
		<-c.s.buffers.privilege
	}
}

// sleep lets d pass.
func (c *conn) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.s.stopped:
		return errStopped
	}
}

// serve handles every complete frame that has been read.
func (c *conn) serve() error {
	if c.work == nil {
		c.work = c.s.works.Get().(*work)
		c.Scratch = c.work.scratch
	}
	w := c.work
	for {
		api, err := c.collect()
		if len(w.calls) == 0 {
			if c.w-c.r < normal {
				c.resign()
			}
			if e := c.flush(); e != nil {
				return e
			}
			return err
		}
		if err := c.handle(api); err != nil {
			return err
		}
	}
}

// collect fills work.calls with the next consecutive calls of one API. An error stands for the frame
// behind them, and is reported again when it is the first.
func (c *conn) collect() (*servedAPI, error) {
	w := c.work
	w.calls = w.calls[:0]
	var first *servedAPI
	for len(w.calls) < mostCalls && c.w-c.r >= 4 {
		if err := c.checkSize(); err != nil {
			return first, err
		}
		size := int(binary.BigEndian.Uint32(c.in.b[c.r:]))
		if c.w-c.r-4 < size {
			break
		}
		frame := c.in.b[c.r+4 : c.r+4+size : c.r+4+size]
		h, body, err := wire.ReadHeader(frame)
		api := c.l.api(h.Key)
		switch {
		case api == nil:
			err = c.unsupported(h, "")
		case h.Version < api.Min || h.Version > api.Max:
			if h.Key == apiVersions {
				if err != nil {
					body, err = nil, nil
				}
			} else {
				err = c.unsupported(h, api.Name)
			}
		case err != nil:
			err = &closing{
				reason: "request header cannot be read",
				attrs:  []any{"api", api.Name, "version", h.Version, "error", err}, count: c.s.metrics.refused.header,
			}
		}
		if err != nil {
			return first, err
		}
		if first == nil {
			first = api
		} else if first != api {
			break
		}
		w.calls = append(w.calls, rpc.Call{Conn: &c.Conn, Header: h, Body: body, Arrived: c.now})
		c.r += 4 + size
		if size >= large {
			c.trust = size + 4
		}
	}
	return first, nil
}

// checkSize refuses a frame whose size no request can have, before memory is spent on it.
func (c *conn) checkSize() error {
	if c.w-c.r < 4 {
		return nil
	}
	b := c.in.b[c.r:c.w]
	size := int32(binary.BigEndian.Uint32(b))
	if size >= 8 && int64(size) <= int64(c.s.maxRequest) {
		return nil
	}
	reason := "frame size is not one of a request"
	switch {
	case b[0] == 0x16 && b[1] == 3:
		reason = "this listener speaks no TLS and the peer does; set security.protocol=PLAINTEXT in the client"
	case string(b[:4]) == "GET " || string(b[:4]) == "POST" || string(b[:4]) == "HEAD" || string(b[:4]) == "PUT ":
		reason = "this listener speaks Kafka's protocol and the peer HTTP; use the address of an HTTP service"
	case size > 0:
		reason = "frame is larger than socket.request.max.bytes"
	}
	return &closing{reason: reason, attrs: []any{"size", size, "limit", c.s.maxRequest}, count: c.s.metrics.refused.size}
}

func (c *conn) unsupported(h wire.Header, name string) error {
	reason := "API version is not supported"
	if name == "" {
		reason = "API is not served on this listener"
		if a, ok := wire.APIOf(h.Key); ok {
			name = a.Name
		}
	}
	return &closing{
		reason: reason,
		attrs:  []any{"api_key", h.Key, "api", name, "version", h.Version, "client_id", strings.Clone(h.ClientID)},
		count:  c.s.metrics.refused.api,
	}
}

// handle answers work.calls, all of one API.
func (c *conn) handle(api *servedAPI) error {
	w := c.work
	c.fresh = false
	for i := range w.calls {
		h := &w.calls[i].Header
		r := w.reply(c.s)
		r.Buf = wire.AppendResponseHeader(append(r.Buf, 0, 0, 0, 0), h.Key, h.Version, h.CorrelationID)
		w.run = append(w.run, r)
	}
	ends := false // a reply ends the connection
	c.Did.Called(api.Key, w.calls[len(w.calls)-1].Header.Version, len(w.calls), c.now)
	t := c.timing(api)
	if api.Run != nil {
		if api.Blocks {
			if err := c.flush(); err != nil {
				return err
			}
			t.began = c.clock
		}
		api.Run(c.s.ctx, w.calls, w.run)
		t.handled = c.tick()
		for i, r := range w.run {
			ends = ends || r.Close
			t.version = w.calls[i].Header.Version
			w.out = append(w.out, outgoing{r, t.until(r)})
		}
	} else {
		size := 0
		for i := 0; i < len(w.run) && !ends; i++ {
			if api.Blocks || size >= mostGathered {
				if err := c.flush(); err != nil {
					return err
				}
				size = 0
			}
			r := w.run[i]
			t.began = c.clock
			api.Handle(c.s.ctx, &w.calls[i], r)
			t.handled, t.version = c.tick(), w.calls[i].Header.Version
			w.out = append(w.out, outgoing{r, t.until(r)})
			w.run[i] = nil
			size += r.Size()
			ends = r.Close
		}
	}
	// Calls behind one that ends the connection are not handled.
	clear(w.run)
	w.run = w.run[:0]
	clear(w.calls)
	w.calls = w.calls[:0]
	if api.Blocks {
		c.active.Store(time.Now().UnixNano())
	}
	if api.Key == apiVersions {
		c.identify(t.who.client)
	}
	if ends || len(w.out) >= mostCalls {
		return c.flush()
	}
	return nil
}

// flush sends what is in work.out, or leaves it to the completer when replies before it are parked or
// it is parked itself.
func (c *conn) flush() error {
	w := c.work
	if len(w.out) == 0 {
		return nil
	}
	if c.parking {
		c.mu.Lock()
		k := c.comp
		if k != nil {
			k.add(w.out)
			k.awaited = k.full()
			full := k.awaited
			c.mu.Unlock()
			clear(w.out)
			w.out = w.out[:0]
			if full {
				return c.awaitRoom(k)
			}
			return nil
		}
		c.mu.Unlock()
		c.parking = false
	}
	done := 0
	for done < len(w.out) && w.out[done].Parked() == nil {
		done++
	}
	if done > 0 {
		ready := w.out[:done]
		c.lighten(ready)
		// What was handled last was handled just now.
		ended, err := c.send(&w.sender, ready, c.clock)
		c.clock = ended
		for i := range ready {
			r := ready[i].Reply
			r.Release()
			w.keep(c.s, r)
		}
		n := copy(w.out, w.out[done:])
		clear(w.out[n:])
		w.out = w.out[:n]
		if err != nil {
			return err
		}
	}
	if len(w.out) == 0 {
		return nil
	}
	k := c.s.completers.Get().(*completer)
	k.c = c
	k.add(w.out)
	clear(w.out)
	w.out = w.out[:0]
	c.mu.Lock()
	c.comp = k
	c.mu.Unlock()
	c.parking = true
	go k.loop()
	return nil
}

// lighten gives the read buffer back before replies are sent that the peer may be slow to take.
func (c *conn) lighten(replies []outgoing) {
	if c.r < c.w || c.in == nil || len(c.work.calls) > 0 {
		return
	}
	size := 0
	for i := range replies {
		size += replies[i].Size()
	}
	if size > gathered {
		c.s.buffers.put(c.in)
		c.in, c.r, c.w = nil, 0, 0
	}
}

// awaitRoom waits until the completer has fewer replies outstanding.
func (c *conn) awaitRoom(k *completer) error {
	for {
		c.mu.Lock()
		own := c.comp == k
		failed := own && k.failed
		full := own && k.full()
		k.awaited = full && !failed
		c.mu.Unlock()
		if failed {
			return net.ErrClosed
		}
		if !full {
			return nil
		}
		select {
		case <-k.room:
		case <-c.s.stopped:
			return errStopped
		}
	}
}

// send writes complete replies in one go, and ends the connection where one of them demands it. It began
// when the caller says, and returns when it ended.
func (c *conn) send(o *sender, replies []outgoing, began int64) (ended int64, err error) {
	c.sending.Store(true)
	defer c.sending.Store(false)
	o.begin(c.nc, c.raw, &c.s.gathers)
	var last error
	var throttle time.Duration
	for i := range replies {
		r := replies[i].Reply
		if !r.Silent {
			if err := o.reply(r); err != nil {
				o.end()
				return c.s.clock(), err
			}
		}
		throttle = max(throttle, r.Throttle)
		if r.Close {
			last = &closing{reason: "a reply ended the connection", attrs: []any{"why", r.Reason}}
			break
		}
	}
	err = o.flush()
	ended = c.s.clock()
	if o.sent > 0 {
		c.l.sent.Add(float64(o.sent))
		c.Did.Sent(o.sent)
		if o.sent > gathered {
			c.active.Store(time.Now().UnixNano())
		}
	}
	o.end()
	if throttle > 0 {
		c.mute.Store(time.Now().Add(throttle).UnixNano())
	}
	if err != nil {
		return ended, err
	}
	c.s.metrics.requests.record(replies, began, ended)
	c.tellSlow(replies, began, ended)
	return ended, last
}

// reply returns an empty reply.
func (w *work) reply(s *Server) *rpc.Reply {
	if n := len(w.free); n > 0 {
		r := w.free[n-1]
		w.free = w.free[:n-1]
		return r
	}
	return s.replies.Get().(*rpc.Reply)
}

// keep keeps a reply for reuse whose ranges are released.
func (w *work) keep(s *Server, r *rpc.Reply) {
	if cap(r.Buf) <= mostKept && len(w.free) < mostFree {
		r.Reset()
		w.free = append(w.free, r)
		return
	}
	s.recycle(r)
}

// mostKept is the capacity of the largest reply that is kept for reuse, and mostFree how many work keeps.
const (
	mostKept = 16 << 10
	mostFree = 64
)

// finish ends the connection for the reason err.
func (c *conn) finish(err error) {
	c.mu.Lock()
	k := c.comp
	c.ending = true
	c.mu.Unlock()
	if k != nil && err == errStopped {
		// What was accepted is answered, as long as the stop may take.
		select {
		case <-k.done:
			k = c.dropQueue(k)
		case <-c.s.killed:
		}
	}
	c.nc.Close()
	if k != nil {
		close(k.gone)
		<-k.done
		c.dropQueue(k)
	}
	if w := c.work; w != nil {
		for _, r := range w.run {
			if r != nil {
				drop(r)
			}
		}
		dropAll(w.out)
		clear(w.out)
		w.run, w.calls, w.out = w.run[:0], w.calls[:0], w.out[:0]
	}
	c.resign()
	c.r, c.w = 0, 0
	if c.broken {
		// The handler may have left its memory half done, and what refers to the buffer: both are
		// not used again.
		c.work, c.Scratch = nil, nil
		if c.in != nil {
			c.s.buffers.forget(c.in)
			c.in = nil
		}
	}
	c.rest()
	if a, ok := c.Attach.(io.Closer); ok {
		a.Close()
	}
	c.report(err)
	c.s.leave(c)
}

// dropQueue ends what the completer has left and returns nil.
func (c *conn) dropQueue(k *completer) *completer {
	c.mu.Lock()
	rest := k.queue[k.head:]
	k.queue, k.head = nil, 0
	c.mu.Unlock()
	dropAll(rest)
	return nil
}

// dropAll ends replies that will not be sent.
func dropAll(replies []outgoing) {
	for i := range replies {
		drop(replies[i].Reply)
	}
}

// drop ends a reply that will not be sent.
func drop(r *rpc.Reply) {
	if p := r.Parked(); p != nil {
		p.Drop()
	}
	r.Release()
}

// panicked notes that a handler panicked.
func (c *conn) panicked(p any) error {
	c.s.metrics.panics.Inc()
	c.s.log.Error("handler panicked, closing its connection", append(c.about(), "event", "handler_panicked", "panic", p, "stack", string(debug.Stack()))...)
	return &closing{reason: "handler panicked", quiet: true}
}

// report says why the connection ended.
func (c *conn) report(err error) {
	e := c.cause.Load()
	if e == nil {
		if !errors.As(err, &e) {
			e = &closing{reason: "peer closed", quiet: true}
			if err != nil && err != io.EOF {
				e.reason = err.Error()
			}
		}
	}
	if e.count != nil {
		e.count.Inc()
	}
	// What the client did is its own affair; what was done to it may be somebody's to repair.
	level, event := slog.LevelWarn, "connection_closed"
	if e.quiet {
		level, event = slog.LevelDebug, "disconnect"
	} else if !c.s.warnings.allow(time.Now()) {
		level = slog.LevelDebug
	}
	if ctx := context.Background(); c.s.log.Enabled(ctx, level) {
		c.s.log.Log(ctx, level, "connection closed", slices.Concat([]any{"event", event}, c.about(), []any{"open_ms", time.Since(c.since).Milliseconds(), "reason", e.reason}, e.attrs)...)
	}
}

// about names the connection in a log line.
func (c *conn) about() []any {
	who := c.who.Load()
	if who == nil {
		who = &identity{}
	}
	return []any{"listener", c.Listener, "remote", fmt.Sprint(c.Remote), "connection", c.ID, "client_id", who.client, "software", who.software.Name, "software_version", who.software.Version}
}

func putSize(b []byte, n int) { binary.BigEndian.PutUint32(b, uint32(n)) }
