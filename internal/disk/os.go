package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// OS returns the operating system's file system. On Linux Sync is fdatasync,
// Allocate is fallocate, SyncAll is syncfs and WriteVecAt is pwritev; other
// systems have the nearest they offer. Files are made with mode 0600, directories
// with 0700: what a log holds is nobody else's business.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, mark(err)
	}
	return newOSFile(f), nil
}

func (osFS) Open(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return newOSFile(f), nil
}

func (osFS) Remove(path string) error { return os.Remove(path) }

func (osFS) Rename(oldpath, newpath string) error { return mark(os.Rename(oldpath, newpath)) }

func (osFS) MkdirAll(path string) error { return mark(os.MkdirAll(path, 0o700)) }

func (osFS) List(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

func (osFS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

func (osFS) SyncDir(path string) error { return mark(syncDir(path)) }

func (osFS) SyncAll(path string) error { return mark(syncAll(path)) }

func (osFS) Free(path string) (total, free int64, err error) { return freeSpace(path) }

// Lock makes the lock file, locks it and writes this process's id into it. The
// file stays when the lock is given back: removing it would let two processes lock
// two files of one name.
func (osFS) Lock(path string) (Unlocker, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, mark(err)
	}
	if err := lockFile(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		var pid [32]byte
		n, _ := f.ReadAt(pid[:], 0)
		holder := strings.TrimSpace(string(pid[:n]))
		if holder == "" {
			holder = "unknown"
		}
		return nil, fmt.Errorf("%s is in use by the process with id %s; stop it, or give this one another log directory", filepath.Dir(path), holder)
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt(pid, 0)
		if err != nil && !errors.Is(mark(err), ErrFull) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
	return osLock{f}, nil
}

type osLock struct{ f *os.File }

// Unlock gives the lock back; closing the descriptor does it.
func (l osLock) Unlock() error { return l.f.Close() }

// osFile is a file of the operating system.
type osFile struct {
	f  *os.File
	fd uintptr
}

func newOSFile(f *os.File) *osFile { return &osFile{f: f, fd: f.Fd()} }

func (f *osFile) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	return n, mark(err)
}

func (f *osFile) WriteVecAt(pieces [][]byte, off int64) (int, error) {
	n, err := writeVec(f, pieces, off)
	return n, mark(err)
}

func (f *osFile) Truncate(size int64) error { return mark(f.f.Truncate(size)) }

func (f *osFile) Allocate(off, n int64, keepSize bool) error {
	return mark(allocate(f, off, n, keepSize))
}

func (f *osFile) Sync() error { return mark(syncFile(f)) }

func (f *osFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Name() string { return f.f.Name() }

func (f *osFile) Fd() (uintptr, bool) { return f.fd, hasFd }

func (f *osFile) Close() error { return f.f.Close() }

// mark makes errors of a full disk wrap ErrFull beside what the system said.
func mark(err error) error {
	if err != nil && isFull(err) {
		return fmt.Errorf("%w (%w)", err, ErrFull)
	}
	return err
}
