package app

import (
	"io"
	"os"
	"sync"
)

// written is a writer that remembers the first write that failed, so that data which did not arrive is never
// taken for data that did.
type written struct {
	io.Writer

	mu  sync.Mutex
	err error
}

// Write writes b.
func (w *written) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil {
			w.err = err
		}
	}
	return n, err
}

// KeepWatch lets a remember whether standard output took all that was written. done ends that, and returns the
// failure of a command that ended with err: err itself, or that its output was lost. A pipe that nobody reads any
// more is no failure.
func (a *App) KeepWatch() (done func(err error) error) {
	before := a.Out
	w := &written{Writer: before}
	a.Out = w
	return func(err error) error {
		a.Out = before
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil || ClosedPipe(w.err) || err != nil && Explain(err).What == "" {
			return err
		}
		if err == nil || Explain(err).Code == CodeInput {
			return &Failure{Exit: ExitFailed, Code: CodeInput, What: "the output could not be written", Why: w.err.Error(), Try: "write it elsewhere; what there is of it is not whole"}
		}
		return err
	}
}

// file is the file that is read or written, if it is one.
func file(f any) (*os.File, bool) {
	for {
		w, ok := f.(*written)
		if !ok {
			file, ok := f.(*os.File)
			return file, ok
		}
		f = w.Writer
	}
}
