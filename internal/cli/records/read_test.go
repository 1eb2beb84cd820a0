package records

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
)

// cluster is a broker with a client and an App that is connected to it.
type cluster struct {
	*app.App
	addr string
	cl   *kgo.Client
	adm  *kadm.Client
	said *bytes.Buffer
}

// newCluster runs a broker until the test ends, or takes the one that KLAMM_TEST_BROKER names (kafka=HOST:PORT).
func newCluster(t *testing.T) *cluster {
	t.Helper()
	_, addr, other := strings.Cut(os.Getenv("KLAMM_TEST_BROKER"), "=")
	if !other {
		addr = apptest.Broker(t)
	}
	c := &cluster{addr: addr, said: &bytes.Buffer{}}
	c.App = &app.App{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: c.said, Env: func(k string) string {
		if k == "KLAMM_BROKERS" {
			return addr
		}
		return ""
	}}
	cl, err := c.Client(context.Background(), &cobra.Command{Use: "test"}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	c.cl, c.adm = cl, kadm.NewClient(cl)
	return c
}

// topic makes a topic with n records in each of its partitions, "partition-number".
func (c *cluster) topic(t *testing.T, name string, partitions int32, n int) {
	t.Helper()
	if _, err := c.adm.CreateTopic(context.Background(), partitions, 1, nil, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.adm.DeleteTopic(context.Background(), name) })
	var recs []*kgo.Record
	for p := range partitions {
		for i := range n {
			recs = append(recs, &kgo.Record{Topic: name, Partition: p, Value: fmt.Appendf(nil, "%d-%d", p, i)})
		}
	}
	if err := c.cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// read reads a range of topics whole.
func (c *cluster) read(t *testing.T, text string, o ReadOptions, topics ...string) (got []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := ParseRange(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	spans, err := Resolve(ctx, c.App, c.cl, topics, nil, r, o.Committed)
	if err != nil {
		t.Fatal(err)
	}
	if err := Read(ctx, c.App, c.cl, spans, o, func(r *kgo.Record) error { got = append(got, r); return nil }); err != nil {
		t.Fatalf("%s of %v: %v after %d records", text, topics, err, len(got))
	}
	return got
}

func TestEveryRecordOfARangeIsReadOnceAndInItsOrder(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 7, 1000)
	c.topic(t, "b", 1, 10)
	c.topic(t, "none", 3, 0)
	got := c.read(t, "start:end", ReadOptions{}, "a", "b", "none")
	next := map[partition]int64{}
	for _, r := range got {
		at := partition{r.Topic, r.Partition}
		if r.Offset != next[at] || string(r.Value) != fmt.Sprintf("%d-%d", r.Partition, r.Offset) {
			t.Fatalf("%s partition %d: offset %d (%s) follows %d", r.Topic, r.Partition, r.Offset, r.Value, next[at]-1)
		}
		next[at]++
	}
	if len(got) != 7010 {
		t.Errorf("%d records were read", len(got))
	}
	if got := c.read(t, "200:+5", ReadOptions{}, "a"); len(got) != 7*5 {
		t.Errorf("200:+5 is %d records of 7 partitions", len(got))
	}
	if got := c.read(t, "start", ReadOptions{Limit: 42}, "a", "b"); len(got) != 42 {
		t.Errorf("the limit of 42 gave %d", len(got))
	}
	var asked atomic.Int64
	if got := c.read(t, "start:end", ReadOptions{Filter: func(r *kgo.Record) bool { asked.Add(1); return bytes.HasSuffix(r.Value, []byte("-777")) }}, "a"); len(got) != 7 || asked.Load() != 7000 {
		t.Errorf("the filter was asked %d times and left %d", asked.Load(), len(got))
	}
}

func TestARangeThatEndsInControlRecordsOrAbortedOnesEnds(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 1, 3)
	tx, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	ctx := context.Background()
	write := func(end kgo.TransactionEndTry, values ...string) {
		t.Helper()
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if err := tx.ProduceSync(ctx, kgo.StringRecord(v)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.EndTransaction(ctx, end); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := tx.ProducerID(ctx); errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		t.Skip("this broker has no transactions")
	}
	write(kgo.TryCommit, "yes")
	write(kgo.TryAbort, "no", "nor this")
	if got := c.read(t, "start:end", ReadOptions{}, "a"); len(got) != 6 {
		t.Errorf("uncommitted: %d records", len(got))
	}
	if got := c.read(t, "start:end", ReadOptions{Committed: true}, "a"); len(got) != 4 || string(got[3].Value) != "yes" {
		t.Errorf("committed: %d records", len(got))
	}
	if got := c.read(t, "-1:end", ReadOptions{}, "a"); len(got) != 0 {
		t.Errorf("the last offset is a control record, and %d were read", len(got))
	}
	// An open transaction: who reads what is committed reads up to it.
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(ctx, kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.topic(t, "more", 1, 1)
	if got := c.read(t, "start:end", ReadOptions{Committed: true}, "a", "more"); len(got) != 5 {
		t.Errorf("committed, with one open: %d records", len(got))
	}
	_ = tx.EndTransaction(ctx, kgo.TryAbort)
}

func TestAnEndThatWasCompactedAwayEnds(t *testing.T) {
	r := &reading{through: make(chan struct{}), open: 1}
	l := &lane{r: r}
	c := &cursor{topic: "a", position: 5, end: 10}
	answer := kmsg.NewFetchResponseTopicPartition()
	answer.HighWatermark = 12
	if l.part(context.Background(), c, &answer, false) {
		t.Fatal("another partition took the whole answer, and this one ended")
	}
	if !l.part(context.Background(), c, &answer, true) || r.open != 0 {
		t.Error("nothing is there any more, and it goes on")
	}
	r = &reading{through: make(chan struct{}), open: 1}
	answer.HighWatermark = 7
	if (&lane{r: r}).part(context.Background(), &cursor{topic: "a", position: 7, end: 10}, &answer, true) {
		t.Error("it ended before what it was to read was there")
	}
}

func TestATopicThatIsDeletedWhileItIsReadIsAFailure(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 2, 10)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	spans, err := Resolve(ctx, c.App, c.cl, []string{"a"}, nil, Range{}, false)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = Read(ctx, c.App, c.cl, spans, ReadOptions{}, func(*kgo.Record) error {
		if n++; n == 20 {
			if _, err := c.adm.DeleteTopics(ctx, "a"); err != nil {
				return err
			}
		}
		return nil
	})
	var f *app.Failure
	if !errors.As(err, &f) || f.Exit != app.ExitNotFound || !strings.Contains(f.What, "deleted while it was read") {
		t.Errorf("%v", err)
	}
}

func TestWhoFollowsReadsPartitionsThatCome(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 1, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	o := consuming{app: c.App}
	match := func(s string) bool { return strings.HasPrefix(s, "a") }
	o.regex = true
	spans, err := Resolve(ctx, c.App, c.cl, []string{"a"}, nil, Range{}, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = Read(ctx, c.App, c.cl, spans, ReadOptions{Grow: func(ctx context.Context) ([]Span, error) { return o.grown(ctx, c.cl, nil, match) }}, func(r *kgo.Record) error {
		got = append(got, r.Topic)
		if len(got) == 1 {
			c.topic(t, "ab", 1, 1)
			return nil
		}
		return ErrStop
	})
	if err != nil || strings.Join(got, ",") != "a,ab" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	c := newCluster(t)
	c.topic(t, "a", 3, 5)
	ctx, cancel := context.WithCancel(context.Background())
	spans, err := Resolve(ctx, c.App, c.cl, []string{"a"}, nil, Range{}, false)
	if err != nil {
		t.Fatal(err)
	}
	n, idle := 0, 0
	err = Read(ctx, c.App, c.cl, spans, ReadOptions{Idle: func() error {
		idle++
		if n == 15 {
			cancel()
		}
		return nil
	}}, func(*kgo.Record) error { n++; return nil })
	if !errors.Is(err, context.Canceled) || n != 15 || idle == 0 {
		t.Errorf("%v after %d records, idle %d times", err, n, idle)
	}
}

func TestControlRecordsAreNotHandedOverAndAreReadPast(t *testing.T) {
	b := kmsg.NewRecordBatch()
	b.FirstOffset, b.LastOffsetDelta, b.Magic, b.NumRecords, b.Attributes = 5, 0, 2, 1, 0x30
	rec := kmsg.NewRecord()
	rec.Key, rec.Value = []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 0}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1)
	b.Records = rec.AppendTo(nil)
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	r := &reading{through: make(chan struct{}), open: 1, chunks: make(chan *chunk, 1), work: make(chan *chunk, 1)}
	answer := kmsg.NewFetchResponseTopicPartition()
	answer.HighWatermark, answer.RecordBatches = 6, raw
	if !(&lane{r: r}).part(t.Context(), &cursor{topic: "a", position: 5, end: 6}, &answer, false) {
		t.Error("the span goes on behind its end")
	}
	r.group.Go(func() { r.decode(t.Context()) })
	if ch := <-r.chunks; ch.err != nil {
		t.Error(ch.err)
	} else if <-ch.ready; len(ch.records) != 0 || ch.err != nil {
		t.Errorf("%d records, %v", len(ch.records), ch.err)
	}
}

func FuzzTheOffsetBehindBatchesIsFoundInAnyBytes(f *testing.F) {
	b := kmsg.NewRecordBatch()
	b.FirstOffset, b.LastOffsetDelta, b.Magic = 5, 3, 2
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	f.Add(raw)
	f.Add(append(raw, raw[:30]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if next := afterBatches(b); next > 0 && len(b) < 17 {
			t.Errorf("%d of %d bytes", next, len(b))
		}
		for _, enough := range []int{1, 100, 1 << 20} {
			if n := wholeBatches(b, enough); n > len(b) || n <= 0 && len(b) > 0 {
				t.Errorf("%d of %d bytes", n, len(b))
			}
		}
	})
}
