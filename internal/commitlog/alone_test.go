package commitlog

import (
	"testing"
	"time"

	"github.com/klamm/klamm/internal/disk"
)

func TestALoneWriterFlushesItselfAndACrowdTogether(t *testing.T) {
	dir := t.TempDir()
	initDir(t, disk.OS(), dir)
	d := openTestDir(t, disk.OS(), dir, DirOptions{})
	o := DefaultOptions()
	o.FlushByCaller = true
	l, err := d.Open(ID{Topic: "t"}, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func() {
		if err := l.Append([]*Entry{{Records: batch(t, plain(), 1, 1, 100)}}, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if b := l.Bounds(); b.Flushed != 0 {
		t.Fatalf("flushed to %d before anybody asked", b.Flushed)
	}
	if !l.FlushAlone() {
		t.Error("nobody else flushes, and the caller did not")
	}
	if b := l.Bounds(); b.Flushed != b.End {
		t.Errorf("flushed to %d of %d", b.Flushed, b.End)
	}
	d.flushes.crowded = time.Now()
	write()
	if l.FlushAlone() {
		t.Error("others were flushing just now, and the caller did not leave it to the group")
	}
	stop := run(t, d) // the flushers take what is queued
	deadline := time.After(10 * time.Second)
	for l.Bounds().Flushed != l.Bounds().End {
		select {
		case <-deadline:
			t.Fatal("the group commit did not come")
		default:
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
