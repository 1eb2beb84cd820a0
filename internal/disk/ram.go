package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"syscall"
	"time"
)

// chunk is how many bytes of a memory file lie in one piece, the first one aside.
const chunk = 128 << 10

// RAM is a file system in memory for what need not outlive the process: one copy
// of every byte, nothing that crashes, and syncs that cost nothing. The space that
// it says is free is the memory that the machine has left. It is safe for
// concurrent use; handles stay usable after their file is removed.
type RAM struct {
	mu    sync.RWMutex // guards the tree and locks, not the files' bytes
	root  *ramNode
	locks map[string]bool
}

// ramNode is a file or a directory. A directory has entries, guarded by the disk's lock.
type ramNode struct {
	entries map[string]*ramNode // nil for a file

	mu       sync.RWMutex // guards what follows
	size     int64
	chunks   [][]byte // of chunk bytes each; nil is zeros; the first may be shorter than a chunk
	modified time.Time
}

// NewRAM returns an empty file system.
func NewRAM() *RAM {
	return &RAM{root: newRAMDir(), locks: map[string]bool{}}
}

// newRAMDir returns an empty directory.
func newRAMDir() *ramNode {
	return &ramNode{entries: map[string]*ramNode{}, modified: time.Now()}
}

// find returns what a path names; the disk's lock is held.
func (r *RAM) find(p string) (*ramNode, error) {
	n := r.root
	for _, part := range memClean(p) {
		if n = n.entries[part]; n == nil {
			return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
		}
	}
	return n, nil
}

// parent returns the directory of p and p's last name; the disk's lock is held.
func (r *RAM) parent(p string) (*ramNode, string, error) {
	dir, err := r.find(path.Dir(path.Clean("/" + p)))
	if err != nil {
		return nil, "", err
	}
	if dir.entries == nil {
		return nil, "", &fs.PathError{Op: "open", Path: p, Err: syscall.ENOTDIR}
	}
	return dir, path.Base(p), nil
}

// Create is [FS].
func (r *RAM) Create(p string) (File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir, name, err := r.parent(p)
	if err != nil {
		return nil, err
	}
	if dir.entries[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: p, Err: fs.ErrExist}
	}
	n := &ramNode{modified: time.Now()}
	dir.entries[name] = n
	return &ramFile{n: n, name: p}, nil
}

// Open is [FS].
func (r *RAM) Open(p string) (File, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n, err := r.find(p)
	if err != nil {
		return nil, err
	}
	if n.entries != nil {
		return nil, &fs.PathError{Op: "open", Path: p, Err: syscall.EISDIR}
	}
	return &ramFile{n: n, name: p}, nil
}

// Remove is [FS].
func (r *RAM) Remove(p string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	dir, name, err := r.parent(p)
	if err != nil {
		return err
	}
	switch n := dir.entries[name]; {
	case n == nil:
		return &fs.PathError{Op: "remove", Path: p, Err: fs.ErrNotExist}
	case len(n.entries) > 0:
		return &fs.PathError{Op: "remove", Path: p, Err: syscall.ENOTEMPTY}
	}
	delete(dir.entries, name)
	return nil
}

// Rename is [FS].
func (r *RAM) Rename(oldpath, newpath string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	from, oldname, err := r.parent(oldpath)
	if err != nil {
		return err
	}
	to, newname, err := r.parent(newpath)
	if err != nil {
		return err
	}
	n := from.entries[oldname]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: oldpath, Err: fs.ErrNotExist}
	}
	if old := to.entries[newname]; old != nil && len(old.entries) > 0 {
		return &fs.PathError{Op: "rename", Path: newpath, Err: syscall.ENOTEMPTY}
	}
	delete(from.entries, oldname)
	to.entries[newname] = n
	return nil
}

// MkdirAll is [FS].
func (r *RAM) MkdirAll(p string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.root
	for _, part := range memClean(p) {
		next := n.entries[part]
		if next == nil {
			next = newRAMDir()
			n.entries[part] = next
		}
		if next.entries == nil {
			return &fs.PathError{Op: "mkdir", Path: p, Err: syscall.ENOTDIR}
		}
		n = next
	}
	return nil
}

// List is [FS].
func (r *RAM) List(p string) ([]fs.DirEntry, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n, err := r.find(p)
	if err != nil {
		return nil, err
	}
	return listed(n.entries), nil
}

// Stat is [FS].
func (r *RAM) Stat(p string) (fs.FileInfo, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	n, err := r.find(p)
	if err != nil {
		return nil, err
	}
	return n.info(path.Base(p)), nil
}

// SyncDir is [FS]: there is nothing that could be lost and kept.
func (r *RAM) SyncDir(p string) error {
	_, err := r.Stat(p)
	return err
}

// SyncAll is [FS].
func (r *RAM) SyncAll(p string) error { return r.SyncDir(p) }

// Free is [FS]: the machine's memory, and what of it a process can still have.
func (r *RAM) Free(string) (total, free int64, err error) { return memory() }

// Lock is [FS]. Nobody outside this process can hold a lock here.
func (r *RAM) Lock(p string) (Unlocker, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.locks[p] {
		return nil, fmt.Errorf("%s is in use by another broker of this process; stop it, or give this one a memory of its own", path.Dir(p))
	}
	r.locks[p] = true
	return &ramLock{r, p}, nil
}

// ramLock is a lock that is held.
type ramLock struct {
	r *RAM
	p string
}

// Unlock gives the lock back.
func (l *ramLock) Unlock() error {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	delete(l.r.locks, l.p)
	return nil
}

// info describes a file or directory.
func (n *ramNode) info(name string) fs.FileInfo {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return ramInfo{memInfo{name: name, size: n.size, dir: n.entries != nil}, n.modified}
}

// ramInfo is memInfo by the true clock.
type ramInfo struct {
	memInfo
	modified time.Time
}

func (i ramInfo) ModTime() time.Time { return i.modified }

// room makes size bytes addressable from off on; the file's lock is held. Only what is written is allocated.
func (n *ramNode) room(off, size int64) {
	end := off + size
	for int64(len(n.chunks))*chunk < end {
		n.chunks = append(n.chunks, nil)
	}
	for c := off / chunk; c*chunk < end; c++ {
		have := len(n.chunks[c])
		if have == chunk {
			continue
		}
		want := int64(chunk)
		if c == 0 { // most files stay small
			if want = min(end, chunk); int64(have) >= want {
				continue
			}
			want = min(max(want, int64(2*have), 512), chunk)
		}
		grown := make([]byte, want)
		copy(grown, n.chunks[c])
		n.chunks[c] = grown
	}
}

// write copies p to off, which has room; the file's lock is held.
func (n *ramNode) write(p []byte, off int64) {
	for len(p) > 0 {
		k := copy(n.chunks[off/chunk][off%chunk:], p)
		p, off = p[k:], off+int64(k)
	}
	n.size = max(n.size, off)
}

// truncate cuts or lengthens the file; the file's lock is held. What is cut off reads as zeros when the file grows again.
func (n *ramNode) truncate(size int64) {
	if size < n.size {
		keep := int((size + chunk - 1) / chunk)
		if keep < len(n.chunks) {
			clear(n.chunks[keep:])
			n.chunks = n.chunks[:keep]
		}
		if at := size % chunk; at != 0 && keep <= len(n.chunks) {
			if last := n.chunks[keep-1]; at < int64(len(last)) {
				clear(last[at:])
			}
		}
	}
	n.size = size
}

// ramFile is a handle on a memory file.
type ramFile struct {
	n    *ramNode
	name string
	mu   sync.RWMutex // held shared by every call, so that Close waits for them
	shut bool
}

// enter begins a call on the handle; leave ends it.
func (f *ramFile) enter() error {
	f.mu.RLock()
	if f.shut {
		f.mu.RUnlock()
		return &fs.PathError{Op: "use", Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}

// leave ends a call on the handle.
func (f *ramFile) leave() { f.mu.RUnlock() }

func (f *ramFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	if off < 0 {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: errors.New("the offset is negative")}
	}
	n := f.n
	n.mu.RLock()
	defer n.mu.RUnlock()
	done := 0
	for done < len(p) && off < n.size {
		want := min(int64(len(p)-done), n.size-off, chunk-off%chunk)
		to := p[done : done+int(want)]
		var have int
		if c := off / chunk; c < int64(len(n.chunks)) && off%chunk < int64(len(n.chunks[c])) {
			have = copy(to, n.chunks[c][off%chunk:])
		}
		clear(to[have:])
		done, off = done+int(want), off+want
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

func (f *ramFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	n := f.n
	n.mu.Lock()
	defer n.mu.Unlock()
	n.room(off, int64(len(p)))
	n.write(p, off)
	n.modified = time.Now()
	return len(p), nil
}

func (f *ramFile) WriteVecAt(pieces [][]byte, off int64) (int, error) {
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	all := 0
	for _, p := range pieces {
		all += len(p)
	}
	n := f.n
	n.mu.Lock()
	defer n.mu.Unlock()
	n.room(off, int64(all))
	for _, p := range pieces {
		n.write(p, off)
		off += int64(len(p))
	}
	n.modified = time.Now()
	return all, nil
}

func (f *ramFile) Truncate(size int64) error {
	if err := f.enter(); err != nil {
		return err
	}
	defer f.leave()
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	f.n.truncate(size)
	f.n.modified = time.Now()
	return nil
}

// Allocate reserves nothing: memory that nobody has written to cannot be kept from others.
func (f *ramFile) Allocate(int64, int64, bool) error {
	return fmt.Errorf("reserve space of %s in memory: %w", f.name, errors.ErrUnsupported)
}

func (f *ramFile) Sync() error {
	if err := f.enter(); err != nil {
		return err
	}
	f.leave()
	return nil
}

func (f *ramFile) Size() (int64, error) {
	if err := f.enter(); err != nil {
		return 0, err
	}
	defer f.leave()
	f.n.mu.RLock()
	defer f.n.mu.RUnlock()
	return f.n.size, nil
}

func (f *ramFile) Name() string { return f.name }

func (f *ramFile) Fd() (uintptr, bool) { return 0, false }

func (f *ramFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shut {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.shut = true
	return nil
}
