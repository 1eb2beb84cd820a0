package node_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

func TestAnErrorUnderAcks0ClosesTheConnection(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir()})
	c := dialRaw(t, n.addr)
	c.createTopic("quiet", 1)
	c.send(produceRequest("quiet", 0, 0, plain(t, "unanswered")), 9)
	until(t, "the record of acks=0", func() bool { return c.listOffset("quiet", -1) == 1 })
	spoilt := plain(t, "spoilt")
	spoilt[len(spoilt)-1] ^= 1
	c.send(produceRequest("quiet", 0, 0, spoilt), 9)
	if got := c.closed(); len(got) != 0 {
		t.Errorf("acks=0 is answered with %x", got)
	}
	c = dialRaw(t, n.addr)
	c.send(produceRequest("nowhere", 0, 0, plain(t, "lost")), 9)
	if got := c.closed(); len(got) != 0 {
		t.Errorf("acks=0 is answered with %x", got)
	}
	if end := dialRaw(t, n.addr).listOffset("quiet", -1); end != 1 {
		t.Errorf("the log ends at %d, want 1", end)
	}
}

// Fetchers before version 4 get message sets: magic 0 up to version 1, magic 1 up to version 3.
func TestOldFetchersGetOldFormats(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir()})
	c := dialRaw(t, n.addr)
	for _, codec := range []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		topic := "old-" + codec.String()
		c.createTopic(topic, 1)
		var want []string
		for i := range 3 {
			v := []string{fmt.Sprint("a", i), fmt.Sprint("b", i), strings.Repeat("c", 1000)}
			want = append(want, v...)
			c.put(topic, -1, batch(t, record.BuilderOptions{Codec: codec}, v...))
		}
		for v := int16(0); v <= 12; v++ {
			p := ask[*wire.FetchResponse](c, fetchRequest(topic, 0, 1, 0), v).Responses[0].Partitions[0]
			if codec == record.Zstd && v < 10 {
				if e := code.Error(p.ErrorCode); e != code.UnsupportedCompressionType {
					t.Errorf("Fetch v%d of zstd answers %v", v, e)
				}
				continue
			}
			if p.ErrorCode != 0 || p.HighWatermark != 9 {
				t.Errorf("Fetch v%d of %s: %v, high watermark %d", v, topic, code.Error(p.ErrorCode), p.HighWatermark)
				continue
			}
			magic := []int8{0, 0, 1, 1}[min(v, 3)]
			if v >= 4 {
				if got := values(t, p.Records, 0); !slices.Equal(got, want) {
					t.Errorf("Fetch v%d of %s: %d records", v, topic, len(got))
				}
				continue
			}
			it := record.Messages(p.Records, record.NewCodecs(1), 1<<20)
			var r record.Record
			var got []string
			for it.Next(&r) {
				if int(r.Offset) != len(got) {
					t.Errorf("Fetch v%d of %s: record %d has offset %d", v, topic, len(got), r.Offset)
				}
				got = append(got, string(r.Value))
			}
			if it.Err() != nil || it.Magic() != magic || !slices.Equal(got, want) {
				t.Errorf("Fetch v%d of %s: magic %d, %d records, %v; want magic %d and %d records", v, topic, it.Magic(), len(got), it.Err(), magic, len(want))
			}
			it.Close()
		}
	}
}

func TestFetchSessions(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir(), overrides: []string{"max.incremental.fetch.session.cache.slots=1"}})
	c := dialRaw(t, n.addr)
	c.createTopic("session", 1)
	c.put("session", -1, plain(t, "one"))
	fetch := func(id, epoch int32, partitions bool, offset int64) *wire.FetchResponse {
		req := fetchRequest("session", offset, 0, 0)
		if !partitions {
			req.Topics = nil
		}
		req.SessionId, req.SessionEpoch = id, epoch
		return ask[*wire.FetchResponse](c, req, 12)
	}
	first := fetch(0, 0, true, 0)
	if first.SessionId == 0 || len(first.Responses) != 1 {
		t.Fatalf("no session: %+v", first)
	}
	if second := fetch(0, 0, true, 0); second.SessionId != 0 || second.ErrorCode != 0 || len(second.Responses) != 1 {
		t.Errorf("without a free slot: session %d, %d topics, %v", second.SessionId, len(second.Responses), code.Error(second.ErrorCode))
	}
	if next := fetch(first.SessionId, 1, true, 1); next.SessionId != first.SessionId || next.ErrorCode != 0 {
		t.Errorf("the session's second fetch: %v", code.Error(next.ErrorCode))
	}
	if quiet := fetch(first.SessionId, 2, false, 0); quiet.ErrorCode != 0 || len(quiet.Responses) != 0 {
		t.Errorf("nothing is new and %d topics are answered, %v", len(quiet.Responses), code.Error(quiet.ErrorCode))
	}
	c.put("session", -1, plain(t, "two"))
	fresh := fetch(first.SessionId, 3, false, 0)
	if len(fresh.Responses) != 1 || fmt.Sprint(values(t, fresh.Responses[0].Partitions[0].Records, 1)) != "[two]" {
		t.Errorf("a new record is not answered in the session: %+v", fresh)
	}
	if wrong := fetch(first.SessionId, 9, false, 0); code.Error(wrong.ErrorCode) != code.InvalidFetchSessionEpoch {
		t.Errorf("a wrong epoch answers %v", code.Error(wrong.ErrorCode))
	}
	if unknown := fetch(first.SessionId^1, 4, false, 0); code.Error(unknown.ErrorCode) != code.FetchSessionIdNotFound {
		t.Errorf("an unknown session answers %v", code.Error(unknown.ErrorCode))
	}
	if last := fetch(first.SessionId, -1, true, 0); last.SessionId != 0 || last.ErrorCode != 0 {
		t.Errorf("the end of a session answers %d, %v", last.SessionId, code.Error(last.ErrorCode))
	}
	if again := fetch(0, 0, true, 0); again.SessionId == 0 {
		t.Error("the slot of a session that ended is not free")
	}
}

// gate is a disk on which fsyncs of some files wait until they may go on.
type gate struct {
	disk.FS
	name string
	mu   sync.RWMutex // held for writing while the gate is shut
}

type gateFile struct {
	disk.File
	g *gate
}

func (g *gate) Create(path string) (disk.File, error) { return g.file(g.FS.Create(path)) }
func (g *gate) Open(path string) (disk.File, error)   { return g.file(g.FS.Open(path)) }

func (g *gate) file(f disk.File, err error) (disk.File, error) {
	if err != nil || !strings.Contains(f.Name(), g.name) {
		return f, err
	}
	return &gateFile{f, g}, nil
}

func (f *gateFile) Sync() error {
	f.g.mu.RLock()
	defer f.g.mu.RUnlock()
	return f.File.Sync()
}

// A topic of the durable class shows nothing and acknowledges nothing that is not on the disk; one of the
// page-cache class does both at once.
func TestWhoSeesWhatBeforeTheFlush(t *testing.T) {
	g := &gate{FS: disk.NewMem(1), name: "class-"}
	n := boot(t, plan{dir: "data", disk: g})
	c := dialRaw(t, n.addr)
	c.createTopic("class-durable", 1)
	c.createTopic("class-cache", 1, "flush.before.ack", "false")
	for _, topic := range []string{"class-durable", "class-cache"} {
		c.put(topic, -1, plain(t, "before"))
	}
	g.mu.Lock()
	c.put("class-cache", -1, plain(t, "at once"))
	if got := values(t, c.fetch("class-cache", 1, 1, 0).Records, 1); !slices.Equal(got, []string{"at once"}) {
		t.Errorf("before the flush the page-cache class shows %q", got)
	}
	c.put("class-durable", 1, plain(t, "leader only")) // acks=1 does not wait for the disk
	waiting := dialRaw(t, n.addr)
	waiting.send(produceRequest("class-durable", 0, -1, plain(t, "held back")), 9)
	if _, err := waiting.read(0, 9, 100*time.Millisecond); errTimeout(err) == nil {
		t.Errorf("acks=all is answered before the flush: %v", err)
	}
	if end := c.listOffset("class-durable", -1); end != 1 {
		t.Errorf("before the flush the durable class ends at %d for a client, want 1", end)
	}
	if p := c.fetch("class-durable", 1, 1, 0); p.ErrorCode != 0 || len(p.Records) != 0 || p.HighWatermark != 1 {
		t.Errorf("before the flush the durable class shows %d bytes, high watermark %d, %v", len(p.Records), p.HighWatermark, code.Error(p.ErrorCode))
	}
	g.mu.Unlock()
	if p := waiting.receive(0, 9).(*wire.ProduceResponse).Responses[0].PartitionResponses[0]; p.ErrorCode != 0 || p.BaseOffset != 2 {
		t.Errorf("after the flush acks=all answers offset %d, %v", p.BaseOffset, code.Error(p.ErrorCode))
	}
	if got := values(t, c.fetch("class-durable", 1, 1, 0).Records, 1); !slices.Equal(got, []string{"leader only", "held back"}) {
		t.Errorf("after the flush the durable class shows %q", got)
	}
}

// On a full disk produces are refused, reading and deleting go on, and room brings all back.
func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	mem := disk.NewMem(1)
	mem.SetCapacity(48 << 20)
	p := plan{dir: "data", disk: mem}
	n := boot(t, p)
	c := dialRaw(t, n.addr)
	c.createTopic("filler", 1, "flush.before.ack", "false", "file.delete.delay.ms", "0", "segment.bytes", "4194304")
	c.createTopic("kept", 1)
	c.put("kept", -1, plain(t, "precious"))
	big := plain(t, strings.Repeat("x", 1<<19))
	taken, e := 0, code.None
	for ; e == code.None && taken < 200; taken++ {
		e = code.Error(c.produce("filler", -1, 9, big).ErrorCode)
	}
	if e != code.KafkaStorageError {
		t.Fatalf("after %d batches of 512 KiB on a disk of 48 MiB: %v", taken, e)
	}
	for _, topic := range []string{"filler", "kept"} {
		if got := values(t, c.fetch(topic, 0, 1, 0).Records, 0); len(got) == 0 {
			t.Errorf("nothing of %s can be read on a full disk", topic)
		}
	}
	c.alter(2, "kept", "retention.ms", "86400000") // a decision of the cluster
	c.deleteTopic("filler")
	until(t, "room", func() bool { return code.Error(c.produce("kept", -1, 9, plain(t, "again")).ErrorCode) == code.None })
	if n.said.has("has failed") {
		t.Errorf("a full disk stopped the directory:\n%s", n.said)
	}
	n.stop(t)
	n = boot(t, p)
	if got := values(t, dialRaw(t, n.addr).fetch("kept", 0, 1, 0).Records, 0); !slices.Contains(got, "precious") || !slices.Contains(got, "again") {
		t.Errorf("after it the log holds %q", got)
	}
	t.Logf("refused after %d batches of 512 KiB", taken)
}
