package records

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// WriterOptions are the client's options that a Writer needs. The client's own limit on how long a record may wait
// counts from the record's timestamp, and old ones would be too late at once; a Writer has its own.
func WriterOptions() []kgo.Opt {
	return []kgo.Opt{kgo.MaxBufferedRecords(100_000), kgo.MaxBufferedBytes(64 << 20)}
}

// Writer hands records to a producing client, counts what the brokers have, and gives up when they take nothing for
// --timeout. Records with a Partition below zero go where the client's partitioner says, when it is that of
// FixedPartitioner. Write and Flush are for one goroutine.
type Writer struct {
	app    *app.App
	cl     *kgo.Client
	ctx    context.Context
	cancel context.CancelFunc
	bar    *app.Progress
	read   int64

	mu      sync.Mutex // guards what follows
	done    int64
	bytes   int64
	last    time.Time // when something was written last, or when there was nothing to write
	failed  int64     // number of the first record that was not written, from 1 on
	failure error     // why
	ended   chan struct{}
	watch   sync.WaitGroup
}

// NewWriter writes by cl, and tells bar, when there is one, of what is written. Close it. What is handed over is written also when ctx
// ends.
func NewWriter(ctx context.Context, a *app.App, cl *kgo.Client, bar *app.Progress) *Writer {
	w := &Writer{app: a, cl: cl, bar: bar, last: time.Now(), ended: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	w.watch.Go(w.watchStall)
	return w
}

// watchStall gives up when records wait and none is written for --timeout.
func (w *Writer) watchStall() {
	t := time.NewTicker(min(w.app.Timeout()/4+1, time.Second))
	defer t.Stop()
	for {
		select {
		case <-w.ended:
			return
		case <-t.C:
		}
		w.mu.Lock()
		if w.cl.BufferedProduceRecords() == 0 {
			w.last = time.Now()
		}
		if time.Since(w.last) > w.app.Timeout() {
			if w.failure == nil {
				w.failure, w.failed = fmt.Errorf("%w: the broker took nothing for %s", context.DeadlineExceeded, app.DurationText(w.app.Timeout())), w.done+1
			}
			w.mu.Unlock()
			w.cancel()
			return
		}
		w.mu.Unlock()
	}
}

// Write hands one record over. When written is not nil it is called once the brokers have the record, from another
// goroutine, in the order of each partition's records.
func (w *Writer) Write(r *kgo.Record, written func(*kgo.Record)) {
	w.read++
	n, size := w.read, int64(len(r.Key)+len(r.Value))
	w.cl.Produce(w.ctx, r, func(r *kgo.Record, err error) {
		if err == nil {
			if w.bar != nil {
				w.bar.Add(1, size)
			}
			if written != nil {
				written(r)
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case err == nil:
			w.done++
			w.bytes += size
			w.last = time.Now()
		case w.failure == nil || n < w.failed && w.ctx.Err() == nil:
			w.failure, w.failed = err, n
		}
	})
}

// Flush waits until all that was handed over is written or is not.
func (w *Writer) Flush() {
	_ = w.cl.Flush(w.ctx)
}

// Close ends the Writer; it does not close the client.
func (w *Writer) Close() {
	close(w.ended)
	w.watch.Wait()
	w.cancel()
}

// Err is why the first record that was not written was not.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure
}

// Written is how many records the brokers have, and the bytes of their keys and values.
func (w *Writer) Written() (records, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done, w.bytes
}

// Failure is Err as a command ends with it; nil when all is well. to is where records were to go.
func (w *Writer) Failure(to string) *app.Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure == nil {
		return nil
	}
	f := app.Failed(w.failure, "record %d was not written to %s; %s before it were", w.failed, to, app.CountText(w.done, "record"))
	if f.Code == app.CodeNotFound && w.failure == kerr.UnknownTopicOrPartition {
		f.Try = fmt.Sprintf("klamm topic create %s   # or: klamm topic list", to)
	}
	return f
}
