package records

import (
	"bufio"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// Sink prints records to standard output, many in one write. It is for one goroutine.
type Sink struct {
	// Records and Bytes are what was printed: how many, and the keys and values in them.
	Records, Bytes int64

	w      *bufio.Writer
	form   *Form
	prefix func([]byte, *kgo.Record) []byte
	line   []byte
}

// NewSink prints to a's standard output in a form. It is to be flushed in the end.
func NewSink(a *app.App, form *Form) *Sink {
	a.HearClosedPipe()
	return &Sink{w: bufio.NewWriterSize(a.Out, 256<<10), form: form}
}

// Print prints one record, now or later.
func (s *Sink) Print(r *kgo.Record) error {
	s.line = s.line[:0]
	if s.prefix != nil {
		s.line = s.prefix(s.line, r)
	}
	s.line = s.form.Append(s.line, r)
	if _, err := s.w.Write(s.line); err != nil {
		return err
	}
	s.Records++
	s.Bytes += int64(len(r.Key) + len(r.Value))
	return nil
}

// Flush prints what waits.
func (s *Sink) Flush() error { return s.w.Flush() }
