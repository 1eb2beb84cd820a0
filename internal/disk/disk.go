// Package disk is the seam between Klamm and files: the operating system's, and
// a memory disk that can crash, tear writes and run full.
package disk

import (
	"errors"
	"io/fs"
)

// FS is a file system. Paths are slash-separated and relative to the process or absolute.
// Errors satisfy errors.Is with fs.ErrNotExist and fs.ErrExist where these apply.
type FS interface {
	// Create makes a file for reading and writing; it fails with fs.ErrExist when it is there.
	Create(path string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(path string) (File, error)
	// Remove deletes a file or an empty directory.
	Remove(path string) error
	// Rename replaces newpath by oldpath at once.
	Rename(oldpath, newpath string) error
	// MkdirAll makes a directory and its parents, mode 0700.
	MkdirAll(path string) error
	// List returns what lies in a directory, sorted by name.
	List(path string) ([]fs.DirEntry, error)
	// Stat returns size and times of a path.
	Stat(path string) (fs.FileInfo, error)
	// SyncDir makes creations, renames and removals in a directory durable.
	SyncDir(path string) error
	// SyncAll makes everything written to the file system of path durable (syncfs).
	// It returns errors.ErrUnsupported where there is no such call.
	SyncAll(path string) error
	// Free returns the total bytes of path's file system and how many of them are free for us.
	Free(path string) (total, free int64, err error)
	// Lock takes an exclusive lock file and writes the pid into it; an error names the holder's pid.
	Lock(path string) (Unlocker, error)
}

// Unlocker gives a lock back.
type Unlocker interface{ Unlock() error }

// File is an open file. Reads and writes at different places may run at the same time.
type File interface {
	// ReadAt is io.ReaderAt.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt is io.WriterAt: a short write returns how much was written and the error (ErrFull when the disk is).
	WriteAt(p []byte, off int64) (int, error)
	// WriteVecAt writes the pieces one behind another from off on, in one system call where there is one.
	WriteVecAt(pieces [][]byte, off int64) (int, error)
	// Truncate sets the size.
	Truncate(size int64) error
	// Allocate reserves space for [off, off+n) and makes the file that long unless keepSize;
	// errors.ErrUnsupported where the system cannot.
	Allocate(off, n int64, keepSize bool) error
	// Sync makes the file's bytes durable (fdatasync). After an error nothing is known of what was written, and it is never called again.
	Sync() error
	// Size returns the length.
	Size() (int64, error)
	// Name returns the path it was opened by.
	Name() string
	// Fd returns the descriptor for sendfile; ok is false for a file that has none.
	Fd() (fd uintptr, ok bool)
	// Close closes the handle.
	Close() error
}

// ErrFull is wrapped by errors of a full disk (ENOSPC, EDQUOT).
var ErrFull = errors.New("no space left on the file system")
