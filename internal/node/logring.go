package node

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// ringHalf is half of the memory that the last log lines may take.
const ringHalf = 128 << 10

// logRing keeps the last log lines: at least the last 128 KiB of them, and at most 256 KiB. It takes memory
// as they come.
type logRing struct {
	mu          sync.Mutex // guards what follows
	older, last []byte     // whole lines
}

// Write implements io.Writer; p is one line. One that is longer than all that is kept leaves a line that says so.
func (r *logRing) Write(p []byte) (int, error) {
	n := len(p)
	if n > ringHalf {
		p = fmt.Appendf(nil, `{"level":"WARN","msg":"a line of the log was too long to be kept","event":"log_line_left_out","bytes":%d}`+"\n", n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.last)+len(p) > ringHalf {
		r.older, r.last = r.last, r.older[:0]
	}
	r.last = append(r.last, p...)
	return n, nil
}

// lines returns what is kept, the oldest line first.
func (r *logRing) lines() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append(make([]byte, 0, len(r.older)+len(r.last)), r.older...), r.last...)
}

// ServeHTTP answers with the last lines as JSON, one an object and a line.
func (r *logRing) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl; charset=utf-8")
	_, _ = io.WriteString(w, "") // the status, where there are no lines
	_, _ = w.Write(r.lines())
}
