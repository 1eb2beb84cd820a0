package run

import (
	"os"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// gcPercent is how much the heap of a node may grow between two collections, in percent of what is live.
// A node's live heap is small and its buffers are pooled, so it can be Go's own without costing memory.
const gcPercent = 100

// tuneRuntime sets the collector for a process that is a node. GOGC and GOMEMLIMIT in the environment win.
func tuneRuntime() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// newRegistry is where a node's metrics go, beside those of the process.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
