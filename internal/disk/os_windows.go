package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

const hasFd = false

var errLocked error = windows.ERROR_LOCK_VIOLATION

// lockFile locks a byte far behind the process id, so that others can read that.
func lockFile(f *os.File) error {
	at := windows.Overlapped{OffsetHigh: 1 << 20}
	return windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
}

func isFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// syncDir does nothing: NTFS journals its directories and gives no handle to flush one.
func syncDir(string) error { return nil }

func freeSpace(path string) (total, free int64, err error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, 0, err
	}
	var avail, all, unused uint64
	if err := windows.GetDiskFreeSpaceEx(p, &avail, &all, &unused); err != nil {
		return 0, 0, &os.PathError{Op: "GetDiskFreeSpaceEx", Path: path, Err: err}
	}
	return int64(all), int64(avail), nil
}
