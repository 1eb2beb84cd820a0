package memnet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// written is a Write's outcome.
type written struct {
	n   int
	err error
}

func TestWhatIsWrittenIsReadInOrderWhateverTheSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		rng := rand.New(rand.NewPCG(1, 2))
		sent := make([]byte, 3<<20)
		for i := range sent {
			sent[i] = byte(rng.Uint32())
		}
		go func() {
			for rest := sent; len(rest) > 0; {
				k := min(len(rest), 1+rand.IntN(2*mostBetween))
				if n, err := a.Write(rest[:k]); n != k || err != nil {
					t.Errorf("wrote %d of %d: %v", n, k, err)
				}
				rest = rest[k:]
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}()
		var got []byte
		for {
			p := make([]byte, 1+rng.IntN(100_000))
			n, err := b.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("read %d bytes that differ from the %d that were written", len(got), len(sent))
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestBothSidesMayWriteFirst(t *testing.T) {
	a, b := Pipe()
	for _, c := range []*Conn{a, b} {
		if n, err := c.Write(make([]byte, mostBetween)); n != mostBetween || err != nil {
			t.Fatal(n, err)
		}
	}
	for _, c := range []*Conn{a, b} {
		if _, err := io.ReadFull(c, make([]byte, mostBetween)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOneWriteStaysTogetherAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		const writers, each, size = 8, 20, 50_000
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				p := bytes.Repeat([]byte{byte(w)}, size)
				binary.BigEndian.PutUint32(p, size)
				for range each {
					if _, err := a.Write(p); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() { wg.Wait(); a.CloseWrite() }()
		frames := 0
		p := make([]byte, size)
		for ; ; frames++ {
			if _, err := io.ReadFull(b, p); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if rest := p[4:]; binary.BigEndian.Uint32(p) != size || bytes.Count(rest, rest[:1]) != len(rest) {
				t.Fatalf("frame %d is mixed", frames)
			}
		}
		if frames != writers*each {
			t.Fatalf("%d frames", frames)
		}
	})
}

func TestAWriteWaitsWhileTooMuchLiesBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		ended := make(chan written, 1)
		go func() {
			n, err := a.Write(make([]byte, mostBetween+1))
			ended <- written{n, err}
		}()
		synctest.Wait()
		select {
		case w := <-ended:
			t.Fatal("the write did not wait", w)
		default:
		}
		if _, err := b.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if w := <-ended; w.n != mostBetween+1 || w.err != nil {
			t.Fatal(w)
		}
	})
}

func TestADeadlineEndsWhatWaitsAndANewOneLetsItGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		late := func(err error) {
			t.Helper()
			var n net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &n) || !n.Timeout() {
				t.Fatalf("%v is no timeout", err)
			}
		}
		began := time.Now()
		a.SetReadDeadline(began.Add(time.Minute))
		_, err := a.Read(make([]byte, 1))
		if late(err); time.Since(began) != time.Minute {
			t.Fatalf("after %s", time.Since(began))
		}
		if _, err := a.Read(make([]byte, 1)); err == nil {
			t.Fatal("a deadline that has passed holds no longer")
		}
		a.SetWriteDeadline(time.Now().Add(time.Minute))
		n, err := a.Write(make([]byte, mostBetween+10))
		if late(err); n != mostBetween {
			t.Fatalf("wrote %d", n)
		}
		// The past is at once, for what waits too.
		ended := make(chan error, 1)
		a.SetReadDeadline(time.Time{})
		go func() { _, err := a.Read(make([]byte, 1)); ended <- err }()
		synctest.Wait()
		a.SetDeadline(time.Unix(1, 0))
		late(<-ended)
		// A deadline that is moved does not strike at its old time.
		a.SetDeadline(time.Now().Add(time.Second))
		a.SetDeadline(time.Now().Add(time.Hour))
		go func() { time.Sleep(time.Minute); b.Write([]byte("x")) }()
		if n, err := a.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		a.Close()
		b.Close()
	})
}

func TestAClosedPeerIsTheEndAfterWhatItWrote(t *testing.T) {
	a, b := Pipe()
	if _, err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); string(got) != "last words" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"close": a.Close(), "read": second(a.Read(nil)), "write": second(a.Write([]byte("x")))} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after close: %v", what, err)
		}
	}
}

func second(_ int, err error) error { return err }

func TestHalfAConnectionCanBeClosed(t *testing.T) {
	a, b := Pipe()
	a.Write([]byte("question"))
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	b.Write([]byte("answer"))
	b.Close()
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	c, d := Pipe()
	if err := c.CloseRead(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	c.Write([]byte("y"))
	if n, err := d.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

func TestCloseWakesWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		errs := make(chan error, 3)
		go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := a.Write(make([]byte, 2*mostBetween)); errs <- err }()
		go func() { _, err := a.Write(make([]byte, 2*mostBetween)); errs <- err }()
		synctest.Wait()
		a.Close()
		for range 3 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		b.Close()
	})
}

func TestMemoryIsGivenBackWhenItIsRead(t *testing.T) {
	a, b := Pipe()
	a.Write(make([]byte, mostBetween))
	io.ReadFull(b, make([]byte, mostBetween))
	if cap(a.out.buf) > mostKept {
		t.Fatalf("%d bytes are kept", cap(a.out.buf))
	}
}

func TestAListenerAcceptsWhatIsDialed(t *testing.T) {
	l := Listen("memory:1")
	a, err := l.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("hello")); err != nil { // before it is accepted
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 5)
	if _, err := io.ReadFull(b, p); string(p) != "hello" || err != nil {
		t.Fatal(p, err)
	}
	if got := b.LocalAddr(); got.String() != "memory:1" || got.Network() != "memory" || got != l.Addr() || a.RemoteAddr() != got || a.LocalAddr() != b.RemoteAddr() {
		t.Fatal(a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
	}
}

func TestAListenerThatIsClosedRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen("memory:1")
		accepted := make(chan error, 1)
		a, err := l.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		b, _ := l.Accept()
		go func() { _, err := l.Accept(); accepted <- err }()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		if _, err := l.Dial(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		go a.Write([]byte("x"))
		if n, err := b.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Fatal("a connection that was accepted did not stay:", err)
		}
	})
}

func TestADialWaitsForRoomAndLeavesWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen("memory:1")
		var last net.Conn
		for range backlog {
			var err error
			if last, err = l.Dial(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := l.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		dialed := make(chan error, 1)
		go func() { _, err := l.Dial(context.Background()); dialed <- err }()
		synctest.Wait()
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		if err := <-dialed; err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, err := last.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal("a connection that nobody accepted is not closed:", err)
		}
	})
}

func TestAConnectionAtWorkAllocatesNothing(t *testing.T) {
	a, b := Pipe()
	p := make([]byte, 4096)
	if n := testing.AllocsPerRun(100, func() {
		a.Write(p)
		b.Read(p)
	}); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkPipe(b *testing.B) {
	x, y := Pipe()
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	go func() {
		q := make([]byte, 64<<10)
		for {
			if _, err := y.Read(q); err != nil {
				return
			}
		}
	}()
	for b.Loop() {
		if _, err := x.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	x.Close()
}
