package commitlog

import (
	"sync"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/disk"
)

// TestDeletingWhileFlushingStopsNothing deletes logs in the middle of their
// flushes and checkpoints: a file that is gone because its log was deleted is no
// failure of the directory.
func TestDeletingWhileFlushingStopsNothing(t *testing.T) {
	dir := t.TempDir()
	initDir(t, disk.OS(), dir)
	d := openTestDir(t, disk.OS(), dir, DirOptions{CheckpointBytes: 1})
	stop := run(t, d)
	o := DefaultOptions()
	o.FlushBeforeAck, o.FileDeleteDelayMs = true, 0
	var wg sync.WaitGroup
	for p := range int32(8) {
		wg.Go(func() {
			id := ID{Topic: "t", Partition: p}
			for range 40 {
				l, err := d.Open(id, o, nil)
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					if err := l.Append([]*Entry{{Records: batch(t, plain(), 1, 1, 100)}}, 0, time.Now()); err != nil {
						t.Error(err)
						return
					}
				}
				if err := d.Delete(id); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := d.Err(); err != nil {
		t.Errorf("the directory failed: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("the directory ended with %v", err)
	}
}
