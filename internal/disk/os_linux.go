package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// maxPieces is the kernel's bound of one vector call (IOV_MAX).
const maxPieces = 1024

func writeVec(f *osFile, pieces [][]byte, off int64) (int, error) {
	done := 0
	for len(pieces) > 0 {
		batch := pieces[:min(len(pieces), maxPieces)]
		want := 0
		for _, p := range batch {
			want += len(p)
		}
		n, err := unix.Pwritev(int(f.fd), batch, off+int64(done))
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil {
			return done, &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		}
		done += n
		if n < want {
			// A short count without an error: the rest tells why, byte by byte.
			for _, p := range batch {
				if n >= len(p) {
					n -= len(p)
					continue
				}
				m, err := f.f.WriteAt(p[n:], off+int64(done))
				n, done = 0, done+m
				if err != nil {
					return done, err
				}
			}
		}
		pieces = pieces[len(batch):]
	}
	return done, nil
}

func allocate(f *osFile, off, n int64, keepSize bool) error {
	mode := uint32(0)
	if keepSize {
		mode = unix.FALLOC_FL_KEEP_SIZE
	}
	for {
		err := unix.Fallocate(int(f.fd), mode, off, n)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
			continue
		case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS):
			return fmt.Errorf("fallocate %s: %w", f.Name(), errors.ErrUnsupported)
		}
		return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
}

func syncFile(f *osFile) error {
	for {
		err := unix.Fdatasync(int(f.fd))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

func syncAll(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: path, Err: err}
	}
	return nil
}
