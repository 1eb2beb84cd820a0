package node

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/memnet"
)

func TestTheAdminListenerHasEndedWhenItsPagesHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen("admin:1")
		a, err := newAdmin(func(_, _ string) (net.Listener, error) { return l, nil }, "", prometheus.NewRegistry(), http.NotFoundHandler(), nil)
		if err != nil {
			t.Fatal(err)
		}
		left := false
		a.mux.HandleFunc("GET /slow", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			<-time.After(time.Second) // it still looks at the node
			left = true
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.run(ctx) }()
		c, err := l.Dial(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: admin\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !left {
			t.Error("it has ended, and a page is still being made")
		}
		time.Sleep(2 * time.Second) // so that the page can end whatever run does
	})
}

func TestTheDeadlineOfOnePageIsNotThatOfTheNext(t *testing.T) {
	a, err := newAdmin(net.Listen, "127.0.0.1:0", prometheus.NewRegistry(), http.NotFoundHandler(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.listener.Close()
	a.mux.HandleFunc("GET /late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "late")
		_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0))
	})
	a.mux.HandleFunc("GET /next", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "next") })
	w := &deadlined{header: http.Header{}}
	for _, page := range []string{"/late", "/next"} {
		r, err := http.NewRequest(http.MethodGet, page, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.server.Handler.ServeHTTP(w, r)
	}
	if !w.until.IsZero() {
		t.Errorf("the page after one with a deadline is to be written until %s", w.until)
	}
}

// deadlined is a response on a connection that keeps its deadline.
type deadlined struct {
	header http.Header
	until  time.Time
}

func (d *deadlined) Header() http.Header                { return d.header }
func (d *deadlined) Write(p []byte) (int, error)        { return len(p), nil }
func (d *deadlined) WriteHeader(int)                    {}
func (d *deadlined) Flush()                             {}
func (d *deadlined) SetWriteDeadline(t time.Time) error { d.until = t; return nil }
