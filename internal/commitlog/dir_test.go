package commitlog

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/disk"
)

func TestForeignDirectoriesAreRefusedAndLeftAlone(t *testing.T) {
	put := func(m *disk.Mem, name, text string) {
		f, err := m.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		prepare func(m *disk.Mem)
		o       DirOptions
		want    string
	}{
		"Kafka's meta.properties": {func(m *disk.Mem) {
			put(m, "data/meta.properties", "#\nversion=1\ncluster.id=x\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAA\n")
		}, DirOptions{}, "Apache Kafka"},
		"Kafka's checkpoints": {func(m *disk.Mem) { put(m, "data/replication-offset-checkpoint", "0\n0\n") }, DirOptions{}, "Apache Kafka"},
		"a newer format":      {func(m *disk.Mem) { put(m, "data/meta.properties", "klamm.format=2\ncluster.id=x\n") }, DirOptions{}, "format 2"},
		"a partition's directory": {func(m *disk.Mem) {
			if err := m.MkdirAll("data/t-0"); err != nil {
				t.Fatal(err)
			}
		}, DirOptions{}, "t-0"},
		"another cluster": {func(m *disk.Mem) { initDir(t, m, "data") }, DirOptions{ClusterID: "other"}, "cluster test"},
		"another node":    {func(m *disk.Mem) { initDir(t, m, "data") }, DirOptions{ClusterID: "test", NodeID: 2}, "node 1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := disk.NewMem(1)
			if err := m.MkdirAll("data"); err != nil {
				t.Fatal(err)
			}
			c.prepare(m)
			before := m.Ops()
			_, err := OpenDir(m, "data", c.o)
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), c.want) {
				t.Fatal(err)
			}
			if m.Ops() != before {
				t.Fatal("something was touched")
			}
			if !strings.HasPrefix(name, "another") {
				if err := InitDir(m, "data", Meta{ClusterID: "c"}); !errors.Is(err, ErrForeign) || m.Ops() != before {
					t.Fatal(err)
				}
			}
		})
	}
	if _, err := ReadMeta(disk.NewMem(1), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestASecondProcessIsToldThePid(t *testing.T) {
	dir := t.TempDir()
	initDir(t, disk.OS(), dir)
	d := openTestDir(t, disk.OS(), dir, DirOptions{})
	_, err := OpenDir(disk.OS(), dir, DirOptions{Logger: quiet})
	if err == nil || !strings.Contains(err.Error(), "process with id "+itoa(os.Getpid())) {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openTestDir(t, disk.OS(), dir, DirOptions{}).Close(); err != nil {
		t.Fatal(err)
	}
}

func itoa(n int) string {
	b := []byte{}
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

func TestRetention(t *testing.T) {
	o := DefaultOptions()
	o.SegmentBytes, o.FileDeleteDelayMs = 4000, 60_000
	now := time.Now()
	fill := func(t *testing.T, o Options, at func(i int) int64) (*disk.Mem, *Dir, *Log) {
		m, d, l := memLog(t, o)
		for i := range 40 {
			appendOne(t, l, batch(t, plain(), at(i), 1, 900), true)
		}
		return m, d, l
	}
	fresh := func(int) int64 { return now.UnixMilli() }
	t.Run("by size, not beyond the high watermark", func(t *testing.T) {
		o := o
		o.RetentionBytes, o.RetentionMs = 9000, -1
		m, d, l := fill(t, o, fresh)
		d.Retain(context.Background(), now)
		if b := l.Bounds(); b.Start != 0 {
			t.Fatalf("%+v", b)
		}
		l.SetHighWatermark(10)
		d.Retain(context.Background(), now)
		if b := l.Bounds(); b.Start != 8 {
			t.Fatalf("%+v", b)
		}
		l.SetHighWatermark(40)
		d.Retain(context.Background(), now)
		if b := l.Bounds(); l.Size() < 9000 || l.Size() > 13000 || b.Start < 20 {
			t.Fatalf("%+v %d", b, l.Size())
		}
		deleted := func() (n int) {
			list, _ := m.List("data/t-0")
			for _, e := range list {
				if strings.HasSuffix(e.Name(), ".deleted") {
					n++
				}
			}
			return n
		}
		if deleted() == 0 {
			t.Fatal("nothing is kept for file.delete.delay.ms")
		}
		d.takeOut(now.Add(2 * time.Minute))
		if deleted() != 0 {
			t.Fatal("still there")
		}
	})
	t.Run("by time", func(t *testing.T) {
		o := o
		o.RetentionMs = 1000
		_, d, l := fill(t, o, func(i int) int64 { return now.UnixMilli() - 5000 + int64(i)*200 })
		l.SetHighWatermark(40)
		d.Retain(context.Background(), now)
		if b := l.Bounds(); b.Start != 20 {
			t.Fatalf("%+v", b)
		}
		d.Retain(context.Background(), now.Add(time.Minute)) // the active one too
		if b := l.Bounds(); b.Start != 40 || b.End != 40 {
			t.Fatalf("%+v", b)
		}
		if e := appendOne(t, l, batch(t, plain(), 1, 1, 900), true); e.BaseOffset != 40 {
			t.Fatal(e)
		}
	})
	t.Run("clients' clocks are no reason to keep or drop", func(t *testing.T) {
		o := o
		o.RetentionMs = 1000
		_, d, l := fill(t, o, func(int) int64 { return now.UnixMicro() }) // microseconds taken for milliseconds
		l.SetHighWatermark(40)
		d.Retain(context.Background(), now.Add(time.Minute))
		if b := l.Bounds(); b.Start != 40 {
			t.Fatalf("%+v", b)
		}
		appendOne(t, l, batch(t, plain(), 1, 1, 900), true) // 1970
		l.SetHighWatermark(41)
		d.Retain(context.Background(), now)
		if b := l.Bounds(); b.Start != 40 {
			t.Fatalf("the active segment went by the client's clock: %+v", b)
		}
	})
	t.Run("an empty policy keeps", func(t *testing.T) {
		o := o
		o.Delete, o.RetentionMs, o.RetentionBytes = false, 1, 1
		_, d, l := fill(t, o, fresh)
		l.SetHighWatermark(40)
		d.Retain(context.Background(), now.Add(time.Hour))
		if b := l.Bounds(); b.Start != 0 {
			t.Fatalf("%+v", b)
		}
	})
}

func TestAFullDiskRefusesAppendsUntilThereIsRoom(t *testing.T) {
	m, d, l := memLog(t, DefaultOptions())
	appendOne(t, l, batch(t, plain(), 1, 1, 900), true)
	m.SetCapacity(5 << 20) // the ballast takes 4 MiB
	var err error
	n := 1
	for range 5000 {
		e := &Entry{Records: batch(t, plain(), 1, 1, 900)}
		if err = l.Append([]*Entry{e}, 0, time.Now()); err != nil {
			if !errors.Is(e.Err, code.KafkaStorageError) {
				t.Fatal(e.Err)
			}
			break
		}
		n++
	}
	if !errors.Is(err, code.KafkaStorageError) || l.Failed() != nil {
		t.Fatal(err, l.Failed())
	}
	if err := l.Append([]*Entry{{Records: batch(t, plain(), 1, 1, 900)}}, 0, time.Now()); !errors.Is(err, code.KafkaStorageError) {
		t.Fatal(err)
	}
	readAll(t, l)
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := d.checkpointNow([]*Log{l}); err != nil {
		t.Fatal(err)
	}
	m.SetCapacity(0)
	d.lookAtSpace()
	if e := appendOne(t, l, batch(t, plain(), 1, 1, 900), true); e.BaseOffset != int64(n) {
		t.Fatal(e)
	}
	readAll(t, l)
}

func TestAFailedFsyncStopsTheDirectory(t *testing.T) {
	m, d, l := memLog(t, DefaultOptions())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	m.Fail(func(op disk.Op, _ string) error {
		if op == disk.OpSync {
			return disk.ErrIO
		}
		return nil
	})
	appendOne(t, l, batch(t, plain(), 1, 1, 900), true)
	if err := <-done; !errors.Is(err, disk.ErrIO) {
		t.Fatal(err)
	}
	if err := l.Append([]*Entry{{Records: batch(t, plain(), 1, 1, 900)}}, 0, time.Now()); !errors.Is(err, code.KafkaStorageError) {
		t.Fatal(err)
	}
	var s Slice
	if err := l.Read(&s, 0, 1, 1000, true, ReadBytes); !errors.Is(err, code.KafkaStorageError) {
		t.Fatal(err)
	}
}

func TestDeleteAndTopicIDs(t *testing.T) {
	m, d, l := memLog(t, DefaultOptions())
	appendOne(t, l, batch(t, plain(), 1, 1, 900), true)
	if err := d.checkpointNow([]*Log{l}); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(ID{Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	if d.Has(ID{Topic: "t"}) || d.Len() != 0 {
		t.Fatal("still known")
	}
	if err := l.Append([]*Entry{{Records: batch(t, plain(), 1, 1, 900)}}, 0, time.Now()); !errors.Is(err, code.KafkaStorageError) {
		t.Fatal(err)
	}
	a, b := ID{Topic: "t", TopicID: [16]byte{1}}, ID{Topic: "t", TopicID: [16]byte{2}}
	l, err := d.Open(a, DefaultOptions(), nil)
	if err != nil || l.Bounds().End != 0 {
		t.Fatal(err)
	}
	appendOne(t, l, batch(t, plain(), 1, 1, 900), true)
	if err := run(t, d)(); err != nil {
		t.Fatal(err)
	}
	d = openTestDir(t, m, "data", DirOptions{})
	if found := d.Found(); len(found) != 1 || found[0] != a {
		t.Fatal(found)
	}
	if l, err = d.Open(b, DefaultOptions(), nil); err != nil || l.Bounds().End != 0 {
		t.Fatal(err)
	}
	list, _ := m.List("data")
	stray := 0
	for _, e := range list {
		if strings.HasSuffix(e.Name(), "-stray") {
			stray++
		}
		if strings.HasSuffix(e.Name(), "-delete") {
			t.Fatal(e.Name())
		}
	}
	if stray != 1 {
		t.Fatal(list)
	}
}

func TestDamageAboveTheRecoveryPointIsKeptAside(t *testing.T) {
	m, d, l := memLog(t, DefaultOptions())
	for i := range 10 {
		appendOne(t, l, batch(t, plain(), int64(i), 1, 900), true)
		if i == 3 {
			if err := d.checkpointNow([]*Log{l}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	size := l.Size() / 10
	flip := func(at int64) {
		f, err := m.Open("data/t-0/00000000000000000000.log")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xff}, at); err != nil {
			t.Fatal(err)
		}
		_ = f.Sync()
	}
	flip(6*size + 200)
	_ = d.Close()
	d = openTestDir(t, m, "data", DirOptions{})
	l, err := d.Open(ID{Topic: "t"}, DefaultOptions(), nil)
	if err != nil || l.Bounds().End != 6 || l.Bounds().Flushed != 4 {
		t.Fatal(err, l.Bounds())
	}
	aside := false
	list, _ := m.List("data/t-0")
	for _, e := range list {
		info, _ := e.Info()
		aside = aside || strings.HasPrefix(e.Name(), "00000000000000000000.log.cut-"+itoa(int(6*size))+"-") && info.Size() == 4*size
	}
	if !aside {
		t.Fatal(list)
	}
	_ = d.Close()
	// Below the recovery point nothing is cut: the file is shorter than what was durable.
	f, _ := m.Open("data/t-0/00000000000000000000.log")
	if err := f.Truncate(2 * size); err != nil {
		t.Fatal(err)
	}
	d = openTestDir(t, m, "data", DirOptions{})
	if _, err := d.Open(ID{Topic: "t"}, DefaultOptions(), nil); !errors.Is(err, code.KafkaStorageError) {
		t.Fatal(err)
	}
	if n, _ := f.Size(); n != 2*size {
		t.Fatal("it was changed")
	}
}
