package debug

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/disk"
)

// The bounds of measuring a disk.
const (
	diskWithin = time.Second // for writing, and again for syncing
	diskMost   = 16 << 20
)

// diskSpeed is what a disk was measured to do.
type diskSpeed struct {
	bytes  int64
	took   time.Duration // with the sync at the end
	syncs  int
	median time.Duration // of a write of 4 KiB with its sync
	most   time.Duration
}

// existing is dir, or the nearest directory above it that is there.
func existing(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	for {
		if st, err := os.Stat(abs); err == nil && st.IsDir() {
			return abs
		}
		up := filepath.Dir(abs)
		if up == abs {
			return abs
		}
		abs = up
	}
}

// measureDisk writes in a directory of its own below dir, which it removes again.
func measureDisk(dir string) (s diskSpeed, err error) {
	own, err := os.MkdirTemp(dir, ".klamm-doctor-*")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(own)) }()
	f, err := os.OpenFile(filepath.Join(own, "write"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return s, err
	}
	defer f.Close()
	// What cannot be compressed, as disks and file systems may do that.
	chunk := make([]byte, 1<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(chunk)
	began := time.Now()
	for s.bytes < diskMost && time.Since(began) < diskWithin {
		n, err := f.Write(chunk)
		s.bytes += int64(n)
		if err != nil {
			return s, err
		}
	}
	if err := f.Sync(); err != nil {
		return s, err
	}
	s.took = time.Since(began)
	if err := f.Truncate(0); err != nil {
		return s, err
	}
	var each []time.Duration
	for began = time.Now(); len(each) < 100 && time.Since(began) < diskWithin; {
		at := time.Now()
		if _, err := f.WriteAt(chunk[:4096], int64(len(each))*4096); err != nil {
			return s, err
		}
		if err := f.Sync(); err != nil {
			return s, err
		}
		each = append(each, time.Since(at))
	}
	slices.Sort(each)
	s.syncs, s.median, s.most = len(each), each[len(each)/2], each[len(each)-1]
	return s, nil
}

// checkDisk measures the disk that dir is on, or will be.
func checkDisk(dir string) []check {
	at := existing(dir)
	s, err := measureDisk(at)
	if err != nil {
		return []check{{"disk_write", bad, fmt.Sprintf("%s cannot be written: %v", at, err), "--data-dir ANOTHER, or make it writable"}}
	}
	rate := float64(s.bytes) / max(s.took.Seconds(), 1e-6)
	write := check{"disk_write", ok, fmt.Sprintf("%s/s, %s in %s", app.BytesText(int64(rate)), app.BytesText(s.bytes), at), ""}
	if rate < 20e6 {
		write.Status, write.Try = warn, "a faster disk; what is produced cannot be kept faster than that"
	}
	sync := check{"disk_fsync", ok, fmt.Sprintf("median %s, slowest %s of %d", shortText(s.median), shortText(s.most), s.syncs), ""}
	if s.median > 20*time.Millisecond {
		sync.Status, sync.Try = warn, "a disk of its own, or one with a write cache that survives a power cut; acknowledgements wait for it"
	}
	return []check{write, sync}
}

// shortText is a duration with three digits.
func shortText(d time.Duration) string {
	switch {
	case d < 10*time.Microsecond:
		return d.String()
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d.Microseconds())/1000)
	}
	return app.DurationText(d)
}

// checkSpace looks at how much is free where dir is.
func checkSpace(dir string) check {
	at := existing(dir)
	total, free, err := disk.OS().Free(at)
	if err != nil || total <= 0 {
		return check{"disk_space", warn, fmt.Sprintf("it cannot be known how much is free in %s: %v", at, err), ""}
	}
	c := check{"disk_space", ok, fmt.Sprintf("%s free of %s in %s", app.BytesText(free), app.BytesText(total), at), ""}
	switch {
	case free < 1<<30:
		c.Status = bad
	case free < 10<<30 && free < total/10, free < total/20:
		c.Status = warn
	}
	if c.Status != ok {
		c.Try = "make room, --data-dir on another disk, or a shorter retention: klamm topic alter NAME --set retention.ms=..."
	}
	return c
}

// checkFiles looks at the limit of open files.
func checkFiles() check {
	n, known := openFiles()
	c := check{"open_files", ok, fmt.Sprintf("a process may open %d", n), ""}
	switch {
	case !known:
		c.Detail = "no limit is known of " + runtime.GOOS
		return c
	case n > 1<<40:
		c.Detail = "a process may open as many as it likes"
	case n < 1024:
		c.Status = bad
	case n < 10000:
		c.Status = warn
	}
	if c.Status != ok {
		c.Try = "LimitNOFILE=1048576 in the systemd unit, or ulimit -Hn 1048576; each connection and each segment takes one"
	}
	return c
}

// checkPort looks at whether a port of the loopback is free. answers says that the broker that was asked is there.
func checkPort(port int, answers bool) check {
	c := check{fmt.Sprintf("port_%d", port), ok, "free", ""}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		_ = l.Close()
		return c
	}
	holder := cmp.Or(app.PortHolder(port), "another process")
	if answers {
		c.Detail = fmt.Sprintf("taken by %s, the broker that was asked", holder)
		return c
	}
	c.Status, c.Detail = warn, "taken by "+holder
	c.Try = "klamm dev --listen localhost:19092, if a broker is to run beside it"
	if port == adminPort {
		c.Try = "admin.listener=127.0.0.1:19644, if a node is to run beside it"
	}
	return c
}

// The ports that a node takes unless it is told others.
const (
	clientPort = 9092
	adminPort  = 9644
)
