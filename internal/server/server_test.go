package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/rpc"
)

func TestRepliesLeaveInOrderOfPipelinedCallsParkedOrNot(t *testing.T) {
	r := start(t, nil)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		c := r.dial()
		var all []byte
		var want [][]byte
		var parked []string
		prefix := fmt.Sprint(rng.Uint64())
		for i := range 100 {
			body := fmt.Appendf(nil, "%s-%d", prefix, i)
			key := []int16{toyRun, toyRun, toyEcho, toyPark}[rng.IntN(4)]
			if key == toyPark {
				parked = append(parked, string(body))
			}
			all = append(all, frame(key, 3, int32(i), body)...)
			want = append(want, body)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			for len(parked) > 0 {
				i := rng.IntN(len(parked))
				r.toys.finish(t, parked[i])
				parked = append(parked[:i], parked[i+1:]...)
			}
		})
		for len(all) > 0 {
			n := min(len(all), 1+rng.IntN(2000))
			c.send(all[:n])
			all = all[n:]
		}
		for i, body := range want {
			c.expect(int32(i), body)
		}
		wg.Wait()
		c.Close()
	}
	if r.toys.drops.Load() != 0 {
		t.Errorf("%d parked replies were dropped", r.toys.drops.Load())
	}
}

func TestRunsHoldAllThatHasArrived(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	var all []byte
	for i := range 100 {
		all = append(all, frame(toyRun, 3, int32(i), name(i))...)
	}
	c.send(all)
	for i := range 100 {
		c.expect(int32(i), name(i))
	}
	if got := r.toys.longest.Load(); got < 50 {
		t.Errorf("the longest run had %d calls", got)
	}
}

func TestFramesMayBeSplitAnywhere(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	c.Conn.(*net.TCPConn).SetNoDelay(true)
	two := append(frame(toyEcho, 3, 1, []byte("first")), frame(toyRun, 3, 2, []byte("second"))...)
	for at := 1; at < len(two); at++ {
		c.send(two[:at])
		if at >= len(two)/2 {
			c.expect(1, []byte("first")) // the first part is handled before the rest is sent
		} else {
			time.Sleep(200 * time.Microsecond)
		}
		c.send(two[at:])
		if at < len(two)/2 {
			c.expect(1, []byte("first"))
		}
		c.expect(2, []byte("second"))
	}
}

func TestFramesOfAllSizes(t *testing.T) {
	for _, mem := range []bool{false, true} {
		t.Run(fmt.Sprintf("memory=%v", mem), func(t *testing.T) {
			r := start(t, nil)
			c := r.dial()
			if mem {
				c = r.dialMemory()
			}
			sizes := []int{0, 1, 100, 4 << 10, 60 << 10, 64<<10 - 15, 64 << 10, 65 << 10, 200 << 10, 256<<10 - 11, 256 << 10, 300 << 10, 1 << 20, 1030 << 10, 3 << 20, 1030 << 10, 10 << 20, 7, 1 << 20, 1 << 20, 5}
			noise := make([]byte, 10<<20)
			rand.NewChaCha8([32]byte{}).Read(noise)
			go func() {
				for range 2 {
					for i, n := range sizes {
						c.Write(frame(toyRun, 3, int32(i), noise[:n]))
					}
				}
			}()
			for range 2 {
				for i, n := range sizes {
					c.expect(int32(i), noise[:n])
				}
			}
		})
	}
}

func TestRangesArriveByteForByte(t *testing.T) {
	r := start(t, nil)
	r.toys.fill(t, 8<<20)
	files := map[string]func(){
		"descriptor": func() {},
		"none":       func() { r.toys.file = memFile{r.toys.file.(osFile)} },
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed=%d", seed)
	for _, kind := range []string{"descriptor", "none"} {
		files[kind]()
		for _, c := range []*client{r.dial(), r.dialMemory()} {
			rng := rand.New(rand.NewPCG(seed, 0))
			held := int64(0)
			r.toys.released.Store(0)
			for round := range 30 {
				var all []byte
				var want [][]byte
				for i := range 1 + rng.IntN(4) {
					var body, answer []byte
					for range rng.IntN(8) {
						n := []int{0, 1, 100, 5000, 31 << 10, 33 << 10, 300 << 10, 2 << 20}[rng.IntN(8)]
						off := rng.IntN(8<<20 - n)
						body = append(body, "fm"[rng.IntN(2)])
						body = binary.BigEndian.AppendUint32(body, uint32(off))
						body = binary.BigEndian.AppendUint32(body, uint32(n))
						answer = append(answer, '<')
						answer = append(answer, r.toys.memory[off:off+n]...)
						answer = append(answer, '>')
						held++
					}
					all = append(all, frame(toyRanges, 3, int32(round*10+i), body)...)
					want = append(want, answer)
				}
				go c.Write(all)
				for i, answer := range want {
					c.expect(int32(round*10+i), answer)
				}
			}
			eventually(t, "ranges are released", func() bool { return r.toys.released.Load() == held })
		}
	}
}

func TestManyPiecesInOneReply(t *testing.T) {
	r := start(t, nil)
	r.toys.fill(t, 1<<20)
	c := r.dial()
	var body, answer []byte
	for i := range 3000 {
		n := 4090 + i%20
		body = append(body, 'm')
		body = binary.BigEndian.AppendUint32(body, uint32(i))
		body = binary.BigEndian.AppendUint32(body, uint32(n))
		answer = append(append(append(answer, '<'), r.toys.memory[i:i+n]...), '>')
	}
	c.send(frame(toyRanges, 3, 1, body))
	c.expect(1, answer)
}

func TestFileThatEndsTooEarlyClosesTheConnection(t *testing.T) {
	r := start(t, nil)
	r.toys.fill(t, 1<<20)
	c := r.dial()
	body := []byte{'f', 0, 0x0f, 0, 0, 0, 0x08, 0, 0}
	c.send(frame(toyRanges, 3, 1, body))
	io.Copy(io.Discard, c)
	eventually(t, "log line", func() bool { return strings.Contains(r.log.String(), "ends") })
	eventually(t, "release", func() bool { return r.toys.released.Load() == 1 })
}

func TestSlowReaderIsServedByTheByte(t *testing.T) {
	r := start(t, nil)
	r.toys.fill(t, 8<<20)
	c := r.dial()
	c.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	body := []byte{'f', 0, 0, 0, 1, 0, 0x40, 0, 0, 'm', 0, 0, 0, 1, 0, 0x40, 0, 0}
	for i := range 4 {
		c.send(frame(toyRanges, 3, int32(i), body))
	}
	part := r.toys.memory[1 : 1+4<<20]
	want := append(append(append([]byte{'<'}, part...), '>', '<'), append(part[:len(part):len(part)], '>')...)
	other := r.dial()
	for i := range 4 {
		// Another connection is answered in the meantime.
		other.send(frame(toyEcho, 3, 9, []byte("x")))
		other.expect(9, []byte("x"))
		c.expect(int32(i), want)
	}
}

func TestDroppedOnceWhenThePeerGoesWhileRepliesAreParked(t *testing.T) {
	r := start(t, nil)
	for i := range 50 {
		c := r.dial()
		c.send(frame(apiVersions, 0, 0, nil))
		c.expect(0, []byte{0, 0})
		for j := range 5 {
			c.send(frame(toyPark, 3, int32(j), fmt.Appendf(nil, "%d-%d", i, j)))
			c.send(frame(toyEcho, 3, int32(j), nil))
		}
		eventually(t, "parked", func() bool {
			r.toys.mu.Lock()
			defer r.toys.mu.Unlock()
			return r.toys.parked[fmt.Sprintf("%d-4", i)] != nil
		})
		if i%2 == 0 {
			c.Conn.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
	}
	eventually(t, "drops", func() bool { return r.toys.drops.Load() == 250 })
	eventually(t, "Attach is closed", func() bool { return r.toys.closes.Load() == 50 })
}

func TestParkedReplyFinishesAtItsDeadline(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	began := time.Now()
	c.send(append(frame(toyPark, 3, 1, []byte("late50ms")), frame(toyPark, 3, 2, []byte("late80ms-"))...))
	c.expect(1, []byte("late50ms"))
	c.expect(2, []byte("late80ms-"))
	if d := time.Since(began); d < 80*time.Millisecond || d > 5*time.Second {
		t.Errorf("answered after %s", d)
	}
}

func TestOutstandingRepliesAreBounded(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	c.send(frame(toyPark, 3, 0, []byte("first")))
	const n = 20000
	var sent sync.WaitGroup
	body := make([]byte, 2000)
	sent.Go(func() {
		for i := range n {
			c.Write(frame(toyEcho, 3, int32(i+1), body))
		}
	})
	var k *conn
	eventually(t, "reader waits", func() bool {
		r.s.each(func(c *conn) { k = c })
		if k == nil {
			return false
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.comp != nil && k.comp.awaited
	})
	k.mu.Lock()
	outstanding := len(k.comp.queue) - k.comp.head
	k.mu.Unlock()
	if outstanding > mostOutstanding+2*mostCalls {
		t.Errorf("%d replies are outstanding", outstanding)
	}
	r.toys.finish(t, "first")
	c.expect(0, []byte("first"))
	for i := range n {
		c.expect(int32(i+1), body)
	}
	sent.Wait()
}

func TestBlockingHandlerLetsEarlierRepliesGo(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	c.send(append(frame(toyEcho, 3, 1, []byte("a")), frame(toyBlock, 3, 2, []byte("b"))...))
	c.expect(1, []byte("a"))
	close(r.toys.unblock)
	c.expect(2, []byte("b"))
}

func TestSilentCloseAndThrottle(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	c.send(append(frame(toySilent, 1, 1, nil), frame(toyEcho, 3, 2, []byte("a"))...))
	c.expect(2, []byte("a"))
	began := time.Now()
	c.send(frame(toyMute, 3, 3, []byte("m")))
	c.expect(3, []byte("m"))
	c.send(frame(toyEcho, 3, 4, []byte("n")))
	c.expect(4, []byte("n"))
	if d := time.Since(began); d < 200*time.Millisecond {
		t.Errorf("muted for %s only", d)
	}
	var all []byte
	all = append(all, frame(toyEcho, 3, 5, []byte("b"))...)
	all = append(all, frame(toySilent, 1, 6, []byte("close"))...)
	all = append(all, frame(toyEcho, 3, 7, []byte("never"))...)
	c.send(all)
	c.expect(5, []byte("b"))
	c.closed()
	eventually(t, "log line", func() bool { return strings.Contains(r.log.String(), "told to") })

	// The same behind a parked reply.
	c = r.dial()
	c.send(append(frame(toyPark, 3, 1, []byte("p")), all...))
	r.toys.finish(t, "p")
	c.expect(1, []byte("p"))
	c.expect(5, []byte("b"))
	c.closed()
}

func TestHostileFramesCostOneConnectionAndLittleMemory(t *testing.T) {
	r := start(t, func(c *Config) { c.SocketRequestMaxBytes = 1 << 20 })
	good := r.dial()
	long := frame(toyEcho, 3, 1, nil)
	binary.BigEndian.PutUint16(long[12:], 0x7fff)
	for _, h := range []struct {
		name, says string
		frame      []byte
	}{
		{"size 0", "frame size", []byte{0, 0, 0, 0}},
		{"size 7", "frame size", []byte{0, 0, 0, 7}},
		{"size -1", "frame size", []byte{0xff, 0xff, 0xff, 0xff}},
		{"size min", "frame size", []byte{0x80, 0, 0, 0}},
		{"length bomb", "socket.request.max.bytes", []byte{0x7f, 0xff, 0xff, 0xff}},
		{"limit + 1", "socket.request.max.bytes", []byte{0, 0x10, 0, 1}},
		{"http", "HTTP", []byte("GET / HTTP/1.1\r\n\r\n")},
		{"tls", "TLS", []byte{0x16, 3, 1, 2, 0, 1, 0, 1}},
		{"unknown api", "API is not served", frame(999, 0, 1, nil)},
		{"negative api", "API is not served", frame(-1, 0, 1, nil)},
		{"unserved api", "FindCoordinator", frame(10, 0, 1, nil)},
		{"version", "API version is not supported", frame(toyEcho, 99, 1, nil)},
		{"negative version", "API version is not supported", frame(toyEcho, -1, 1, nil)},
		{"client id", "request header", long},
		{"panic", "handler panicked", frame(toyPanic, 3, 1, nil)},
	} {
		t.Run(h.name, func(t *testing.T) {
			c := r.dial()
			c.send(append(frame(toyEcho, 3, 1, []byte("before")), h.frame...))
			io.CopyN(io.Discard, c, 14) // a panic loses the answer before it
			c.closed()
			eventually(t, "log line", func() bool { return strings.Contains(r.log.String(), h.says) })
			good.send(frame(toyEcho, 3, 1, []byte("ok")))
			good.expect(1, []byte("ok"))
		})
	}
}

func TestParkedReplyThatPanicsClosesItsConnection(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	c.send(append(frame(toyPark, 3, 1, []byte("bad")), frame(toyPark, 3, 2, []byte("next"))...))
	eventually(t, "parked", func() bool {
		r.toys.mu.Lock()
		defer r.toys.mu.Unlock()
		return r.toys.parked["next"] != nil
	})
	p := r.toys.parked["bad"]
	p.panics = true
	p.may.Store(true)
	p.ready <- struct{}{}
	c.closed()
	eventually(t, "drops", func() bool { return r.toys.drops.Load() == 2 })
}

func TestApiVersionsIsHandledWhateverItsVersion(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	c.send(frame(apiVersions, 4, 1, nil))
	c.expect(1, []byte{0, 0})
	c.send(frame(apiVersions, 99, 2, []byte{1, 2, 3}))
	c.expect(2, []byte{0, 35})
	b := frame(apiVersions, 99, 3, nil)
	b[len(b)-1] = 0xff // tags that cannot be read
	c.send(b)
	c.expect(3, []byte{0, 35})
	c.send(frame(apiVersions, 0, 4, nil))
	c.expect(4, []byte{0, 0})
}

func TestBudgetHoldsBackAndLetsGoOn(t *testing.T) {
	r := start(t, func(c *Config) {
		c.QueuedMaxRequestBytes = 1 << 20
		c.BudgetPatience = 300 * time.Millisecond
	})
	big := frame(toyRun, 3, 1, make([]byte, 3<<20))
	hogs := []*client{r.dial(), r.dial()}
	for _, c := range hogs {
		go c.Write(big[:len(big)-1])
	}
	eventually(t, "budget is used up", func() bool { return r.s.buffers.used.Load() >= 1<<20 })
	// Small requests go on beside it.
	small := r.dial()
	small.send(frame(toyEcho, 3, 1, []byte("ok")))
	small.expect(1, []byte("ok"))
	// A large one waits; whoever stalls makes room.
	c := r.dial()
	go c.Write(big)
	c.expect(1, big[15:])
}

func TestSilentConnectionsHoldNoBuffers(t *testing.T) {
	r := start(t, nil)
	for i := range 20 {
		c := r.dial()
		c.send(frame(toyRun, 3, 1, make([]byte, 100<<10)))
		c.reply()
		if i%2 == 0 {
			c.send([]byte{0, 0, 0})
		}
	}
	eventually(t, "nothing is held", func() bool { return r.s.buffers.used.Load() == 0 })
}

func TestIdleConnectionsAreClosedAndBusyOnesStay(t *testing.T) {
	r := start(t, func(c *Config) { c.ConnectionsMaxIdle = 100 * time.Millisecond })
	idle, busy := r.dial(), r.dial()
	busy.send(frame(toyPark, 3, 1, []byte("p")))
	idle.closed()
	r.toys.finish(t, "p")
	busy.expect(1, []byte("p"))
	busy.closed()
	eventually(t, "log line", func() bool { return strings.Contains(r.log.String(), "connections.max.idle.ms") })
}

func TestSettledConnectionsChangeToAFreshGoroutineOnce(t *testing.T) {
	r := start(t, nil)
	for _, dial := range []func() *client{r.dial, r.dialMemory} {
		c := dial()
		for i := range int32(5) {
			c.send(frame(toyEcho, 3, i, name(1)))
			c.expect(i, name(1))
		}
		var k *conn // the youngest
		r.s.each(func(c *conn) {
			if k == nil || c.ID > k.ID {
				k = c
			}
		})
		eventually(t, "idle", func() bool { return k.state.Load() == stateIdle })
		r.s.sweep(time.Now())
		if k.state.Load() != stateIdle {
			t.Fatal("swept too early")
		}
		r.s.sweep(time.Now().Add(settled + time.Second))
		eventually(t, "fresh", func() bool { return k.state.Load() == stateFresh })
		c.send(frame(toyEcho, 3, 6, name(2)))
		c.expect(6, name(2))
		eventually(t, "idle again", func() bool { return k.state.Load() == stateIdle })
	}
}

func TestScratchWandersAndIsNotHeldByIdleConnections(t *testing.T) {
	r := start(t, nil)
	var made atomic.Int32
	r.toys.table[toyEcho].Handle = func(_ context.Context, c *rpc.Call, r *rpc.Reply) {
		if c.Conn.Scratch == nil {
			c.Conn.Scratch = new(int)
			made.Add(1)
		}
		*c.Conn.Scratch.(*int)++
	}
	for range 50 {
		c := r.dial()
		c.send(frame(toyEcho, 3, 1, nil))
		c.reply()
	}
	if n := made.Load(); n > 10 && !raceEnabled {
		t.Errorf("%d scratches for 50 connections one after another", n)
	}
	eventually(t, "nobody holds one", func() bool {
		held := false
		r.s.each(func(c *conn) { held = held || c.state.Load() == stateBusy })
		return !held
	})
}

func TestLimitOfConnectionsPerIP(t *testing.T) {
	r := start(t, func(c *Config) { c.Limits.MaxConnectionsPerIP = 2 })
	a, b := r.dial(), r.dial()
	a.send(frame(toyEcho, 3, 1, nil))
	a.reply()
	b.send(frame(toyEcho, 3, 1, nil))
	b.reply()
	r.dial().closed()
	r.s.SetLimits(Limits{MaxConnectionsPerIP: 2, MaxConnectionsPerIPOverrides: IPOverrides{netip.MustParseAddr("127.0.0.1"): 3}})
	d := r.dial()
	d.send(frame(toyEcho, 3, 1, nil))
	d.reply()
	r.dial().closed()
}

func TestAtMaxConnectionsNewOnesWaitAndBrokersMakeRoom(t *testing.T) {
	r := start(t, func(c *Config) {
		c.Limits.MaxConnections = 2
		c.Listeners = append(c.Listeners, Listener{Name: "INTERNAL", Addrs: []string{"127.0.0.1:0"}, Internal: true})
	})
	a, b := r.dial(), r.dial()
	for _, c := range []*client{a, b, a} {
		c.send(frame(toyEcho, 3, 1, nil))
		c.reply()
	}
	r.addr = r.s.Addr("INTERNAL").String()
	broker := r.dial()
	broker.send(frame(toyEcho, 3, 1, nil))
	broker.reply()
	b.closed() // it was silent for longest
	r.addr = r.s.Addr("PLAINTEXT").String()
	waits := r.dial()
	waits.send(frame(toyEcho, 3, 1, nil))
	eventually(t, "log line", func() bool { return strings.Contains(r.log.String(), "connections wait") })
	a.Close()
	waits.reply()
}

func TestConnectionCreationRate(t *testing.T) {
	now := time.Unix(1, 0)
	a := newAdmission(Limits{ConnectionCreationRate: 10})
	for range 10 {
		if wait, v := a.enter(netip.Addr{}, false, now); v != admitted {
			t.Fatal(wait, v)
		}
	}
	wait, v := a.enter(netip.Addr{}, false, now)
	if v != tooFast || wait < 100*time.Millisecond || wait > 110*time.Millisecond {
		t.Fatal(wait, v)
	}
	if _, v := a.enter(netip.Addr{}, true, now); v != admitted {
		t.Fatal("a broker is held up")
	}
	if _, v := a.enter(netip.Addr{}, false, now.Add(wait)); v != admitted {
		t.Fatal(v)
	}
}

func TestStopAnswersWhatIsOwed(t *testing.T) {
	r := start(t, func(c *Config) { c.DrainTimeout = 10 * time.Second })
	c, idle := r.dial(), r.dial()
	c.send(frame(toyPark, 3, 1, []byte("p")))
	idle.send(frame(toyEcho, 3, 1, nil))
	idle.reply()
	eventually(t, "parked", func() bool { r.toys.mu.Lock(); defer r.toys.mu.Unlock(); return r.toys.parked["p"] != nil })
	done := make(chan struct{})
	go func() { defer close(done); r.stop() }()
	idle.closed()
	r.toys.finish(t, "p")
	c.expect(1, []byte("p"))
	c.closed()
	<-done
}

func TestStopEndsLongPollsAndWaitsForWhatIsOwed(t *testing.T) {
	r := start(t, func(c *Config) { c.DrainTimeout = time.Hour })
	poll, owed := r.dial(), r.dial()
	poll.send(frame(toyPoll, 3, 1, []byte("late-30m")))
	owed.send(frame(toyPark, 3, 1, []byte("late-29m")))
	eventually(t, "parked", func() bool { r.toys.mu.Lock(); defer r.toys.mu.Unlock(); return len(r.toys.parked) == 2 })
	done := make(chan struct{})
	go func() { defer close(done); r.stop() }()
	poll.expect(1, []byte("late-30m")) // its time is over, half an hour early
	poll.closed()
	select {
	case <-done:
		t.Error("the server did not wait for the answer that it owes")
	default:
	}
	r.toys.finish(t, "late-29m")
	owed.expect(1, []byte("late-29m"))
	<-done
}

// Also those without a deadline, in the order of their calls, and but for one that owes its client something.
func TestStopEndsLongPollsInTheirOrder(t *testing.T) {
	r := start(t, func(c *Config) { c.DrainTimeout = time.Hour })
	one, several, owed := r.dial(), r.dial(), r.dial()
	one.send(frame(toyPoll, 3, 1, []byte("long")))
	several.send(slices.Concat(frame(toyPoll, 3, 1, []byte("long-a")), frame(toyPark, 3, 2, []byte("b")), frame(toyPoll, 3, 3, []byte("long-c")), frame(toyEcho, 3, 4, []byte("d"))))
	owed.send(frame(toyPoll, 3, 1, []byte("long-owed")))
	parked := func(name string) *toyParked {
		r.toys.mu.Lock()
		defer r.toys.mu.Unlock()
		return r.toys.parked[name]
	}
	for _, name := range []string{"long", "long-c", "long-owed"} {
		eventually(t, "parked", func() bool { return parked(name) != nil })
	}
	done := make(chan struct{})
	go func() { defer close(done); r.stop() }()
	one.expect(1, []byte("long"))
	one.closed()
	several.expect(1, []byte("long-a"))
	eventually(t, "told", func() bool { return parked("long-owed").told.Load() == 1 })
	select {
	case <-done:
		t.Error("the server did not wait for what it owes")
	default:
	}
	r.toys.finish(t, "b")
	several.expect(2, []byte("b"))
	several.expect(3, []byte("long-c"))
	several.expect(4, []byte("d"))
	several.closed()
	r.toys.finish(t, "long-owed")
	owed.expect(1, []byte("long-owed"))
	owed.closed()
	<-done
	if n := r.toys.drops.Load(); n != 0 {
		t.Errorf("%d replies were dropped", n)
	}
}

func TestStopDoesNotWaitForever(t *testing.T) {
	r := start(t, nil)
	c := r.dial()
	c.send(frame(toyPark, 3, 1, []byte("p")))
	b := r.dial()
	b.send(frame(toyBlock, 3, 1, []byte("b")))
	eventually(t, "parked", func() bool { r.toys.mu.Lock(); defer r.toys.mu.Unlock(); return r.toys.parked["p"] != nil })
	r.stop()
	if r.toys.drops.Load() != 1 {
		t.Errorf("%d parked replies were dropped", r.toys.drops.Load())
	}
}

func TestTakenPortNamesItsHolder(t *testing.T) {
	r := start(t, nil)
	s := New(Config{Listeners: []Listener{{Name: "OTHER", Addrs: []string{r.addr}}}}, r.toys, r.s.log, noRegistry{})
	err := s.Listen()
	if err == nil {
		t.Fatal("no error")
	}
	_, port, _ := net.SplitHostPort(r.addr)
	if !strings.Contains(err.Error(), "port "+port+" is taken by process ") || !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
}

func TestListenerWithSeveralAddressesHasOnePort(t *testing.T) {
	r := start(t, func(c *Config) { c.Listeners[0].Addrs = []string{"127.0.0.1:0", "[::1]:0"} })
	_, port, _ := net.SplitHostPort(r.addr)
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		nc, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			if host == "::1" {
				t.Logf("no IPv6 here: %v", err)
				continue
			}
			t.Fatal(err)
		}
		c := &client{nc, t}
		c.send(frame(toyEcho, 3, 1, []byte(host)))
		c.expect(1, []byte(host))
		nc.Close()
	}
}

func TestParseIPOverrides(t *testing.T) {
	o, err := ParseIPOverrides("10.0.0.1:5, [::1]:6,::ffff:10.0.0.2:7,localhost:8", func(string) ([]string, error) { return []string{"127.0.0.1"}, nil })
	if err != nil {
		t.Fatal(err)
	}
	for ip, n := range map[string]int{"10.0.0.1": 5, "::1": 6, "10.0.0.2": 7, "127.0.0.1": 8} {
		if got, ok := o[netip.MustParseAddr(ip)]; !ok || got != n {
			t.Errorf("%s: %d %v, want %d", ip, got, ok, n)
		}
	}
	for _, bad := range []string{"10.0.0.1", "10.0.0.1:x", "10.0.0.1:-1", "host:1", ":1"} {
		if _, err := ParseIPOverrides(bad, nil); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(frame(toyEcho, 3, 1, []byte("x")), uint16(3))
	f.Add(append(frame(apiVersions, 9, 1, nil), frame(toyRun, 1, 2, nil)...), uint16(20))
	f.Add([]byte{0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0}, uint16(1))
	toys := newToys()
	delete(toys.table, toyPanic)
	delete(toys.table, toyBlock)
	delete(toys.table, toyMute)
	delete(toys.table, toyRanges)
	s := New(Config{SocketRequestMaxBytes: 1 << 16, Listeners: []Listener{{Name: "X"}}}, toys, slog.New(slog.DiscardHandler), noRegistry{})
	f.Fuzz(func(t *testing.T, b []byte, split uint16) {
		at := int(split) % (len(b) + 1)
		c := &scripted{chunks: [][]byte{b[:at], b[at:]}, ended: make(chan struct{})}
		s.listeners[0].admit(c)
		<-c.ended
		s.wg.Wait()
		for rest := c.written.Bytes(); len(rest) > 0; {
			if len(rest) < 8 || len(rest) < 4+int(binary.BigEndian.Uint32(rest)) {
				t.Fatalf("half a reply: %q", rest)
			}
			rest = rest[4+int(binary.BigEndian.Uint32(rest)):]
		}
		if used := s.buffers.used.Load(); used != 0 {
			t.Fatalf("%d bytes of the budget are still taken", used)
		}
	})
}
