//go:build !linux

package disk

import (
	"errors"
	"fmt"
	"os"
)

func writeVec(f *osFile, pieces [][]byte, off int64) (int, error) {
	return writeEach(f.f, pieces, off)
}

func allocate(f *osFile, off, n int64, keepSize bool) error {
	return fmt.Errorf("allocate %s: %w", f.Name(), errors.ErrUnsupported)
}

func syncAll(path string) error {
	return fmt.Errorf("sync all of %s: %w", path, errors.ErrUnsupported)
}

// syncFile is the whole fsync, which on darwin is F_FULLFSYNC.
func syncFile(f *osFile) error { return f.f.Sync() }

// writeEach writes the pieces one by one.
func writeEach(f *os.File, pieces [][]byte, off int64) (int, error) {
	done := 0
	for _, p := range pieces {
		n, err := f.WriteAt(p, off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
