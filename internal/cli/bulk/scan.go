package bulk

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/records"
)

// scan is one reading of a range, with progress.
type scan struct {
	app        *app.App
	topics     []string
	partitions []int32
	span       records.Range
	isolation  string
	label      string
	prints     bool // records to standard output, while it reads

	read, bytes int64 // when run is done
}

// run reads the range whole: a range without an end has that of now.
func (s *scan) run(c *cobra.Command, o records.ReadOptions, each func(*kgo.Record) error) error {
	ctx := c.Context()
	cl, err := s.app.Client(ctx, c)
	if err != nil {
		return err
	}
	defer cl.Close()
	return s.with(ctx, c, cl, o, each)
}

// with is run by a client that is there.
func (s *scan) with(ctx context.Context, c *cobra.Command, cl *kgo.Client, o records.ReadOptions, each func(*kgo.Record) error) error {
	spans, err := s.resolve(ctx, c, cl, &o)
	if err != nil {
		return err
	}
	return s.spans(ctx, cl, spans, o, each)
}

// resolve asks what the range is, and reads the isolation.
func (s *scan) resolve(ctx context.Context, c *cobra.Command, cl *kgo.Client, o *records.ReadOptions) ([]records.Span, error) {
	var err error
	if s.isolation != "" {
		if o.Committed, err = records.Committed(c, s.isolation); err != nil {
			return nil, err
		}
	}
	if s.span.To == nil {
		s.span.To = records.Whole().To
	}
	return records.Resolve(ctx, s.app, cl, s.topics, s.partitions, s.span, o.Committed)
}

// spans reads spans. An interruption is a failure, as what was found is not all there is.
func (s *scan) spans(ctx context.Context, cl *kgo.Client, spans []records.Span, o records.ReadOptions, each func(*kgo.Record) error) error {
	bar := s.app.Progress(s.label, records.Total(spans))
	if s.prints && s.app.Pretty() {
		bar.Hide()
	}
	o.Progress, o.Note = bar, s.app.Say
	err := records.Read(ctx, s.app, cl, spans, o, each)
	s.read, s.bytes, _ = bar.Done()
	var f *app.Failure
	if err == nil || errors.As(err, &f) || app.ClosedPipe(err) {
		return err
	}
	return app.Failed(err, "%s", s.stopped())
}

// stopped says how far it came.
func (s *scan) stopped() string {
	return "stopped after " + app.CountText(s.read, "record")
}
