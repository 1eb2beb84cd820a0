package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin serves what operators look at: health, metrics, profiles. It is on
// loopback by default and has no other protection.
type admin struct {
	listener net.Listener
	server   *http.Server
	mux      *http.ServeMux // its pages

	mu      sync.Mutex // guards stopped, and what is added to asked
	stopped bool
	asked   sync.WaitGroup // requests that are being answered
}

// newAdmin binds the admin listener. The gatherer is that of /metrics, and detail serves /metrics/detail;
// ready says whether clients are served.
func newAdmin(listen func(network, addr string) (net.Listener, error), addr string, gatherer prometheus.Gatherer, detail http.Handler, ready func() bool) (*admin, error) {
	l, err := listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", page(gatherer, 4))
	mux.Handle("GET /metrics/detail", detail)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	a := &admin{listener: l, mux: mux}
	a.server = &http.Server{Handler: http.HandlerFunc(a.answer), ReadHeaderTimeout: 10 * time.Second}
	return a, nil
}

// answer answers a request, unless the listener has stopped: nobody looks at a node that has ended.
func (a *admin) answer(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	stopped := a.stopped
	if !stopped {
		a.asked.Add(1)
	}
	a.mu.Unlock()
	if stopped {
		http.Error(w, "the node stops", http.StatusServiceUnavailable)
		return
	}
	defer a.asked.Done()
	// A page before this one may have set a deadline on the connection.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // every listener of ours can
	a.mux.ServeHTTP(w, r)
}

// AdminAddr returns the address of the admin listener, host:port with the port that was bound; "" when
// there is none. Call it after Ready.
func (n *Node) AdminAddr() string {
	if n.admin == nil {
		return ""
	}
	return n.admin.listener.Addr().String()
}

// page serves metrics, to so many at a time. What cannot be told does not take the rest with it.
func page(g prometheus.Gatherer, most int) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{MaxRequestsInFlight: most, ErrorHandling: promhttp.ContinueOnError})
}

// run serves until ctx ends and every request is answered or given up. Those that are under way lose their
// connections, and with these their contexts.
func (a *admin) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = a.server.Close() })
	defer stop()
	err := a.server.Serve(a.listener)
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.asked.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
