package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
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
	return &admin{listener: l, mux: mux, server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}, nil
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

// run serves until ctx ends.
func (a *admin) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = a.server.Close() })
	defer stop()
	if err := a.server.Serve(a.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
