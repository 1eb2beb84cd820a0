package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrPowerOff is what every call returns once the power of a memory disk is off,
// and what handles from before a crash return for ever.
var ErrPowerOff = errors.New("the memory disk has lost power")

// ErrIO is the input/output error that a memory disk injects.
var ErrIO error = syscall.EIO

// sector is what a disk writes whole or not at all, except when it tears.
const sector = 512

// Op names a kind of call for [Mem.Fail].
type Op string

// The calls into which a fault can be injected.
const (
	OpRead  Op = "read"
	OpWrite Op = "write"
	OpSync  Op = "sync"
)

// Mem is a disk in memory that can lose power. What was written and not synced
// lies in dirty sectors of 512 bytes; Crash lets each survive by chance. What was
// created, renamed and removed in a directory and not synced survives as a prefix
// of its order. It is safe for concurrent use.
type Mem struct {
	mu       sync.Mutex
	rng      *rand.Rand
	root     *memNode
	epoch    int // of the power: handles of an older epoch are dead
	off      bool
	ops      int64 // calls that change something
	offAfter int64 // power goes off at this call; 0 = never
	capacity int64 // bytes of files; 0 = no bound
	used     int64
	locks    map[string]bool
	fail     func(op Op, path string) error
	watch    func(clone func(seed uint64) *Mem)
	now      int64
}

// memNode is a file or a directory.
type memNode struct {
	dir bool
	// Directories: what is seen, what is durable, and what was done in between.
	entries map[string]*memNode
	durable map[string]*memNode
	pending []memOp
	// Files: what is seen, what is durable, which sectors differ.
	data     []byte
	disk     []byte
	dirty    map[int64]struct{}
	resized  bool // the size changed since the last sync
	modified int64
}

// memOp is one change of a directory: from is taken away, to is put.
type memOp struct {
	from, to string
	node     *memNode
}

// NewMem returns an empty disk. Every chance is drawn from seed.
func NewMem(seed uint64) *Mem {
	return &Mem{
		rng:   rand.New(rand.NewPCG(seed, 0x6b6c616d6d)),
		root:  newMemDir(),
		locks: map[string]bool{},
	}
}

func newMemDir() *memNode {
	return &memNode{dir: true, entries: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// SetCapacity bounds the bytes that files may take; 0 takes the bound away. Beyond
// it writes are short and fail with ErrFull.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Fail installs a function that is asked before each read, write and sync, and
// whose error is returned; nil takes it away. A sync that fails marks the pages
// clean, as Linux does: they can be read until the crash and never become durable.
func (m *Mem) Fail(f func(op Op, path string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

// OnChange installs a function that is called before each changing call, while the
// disk stands still: it may take clones by the function that it is given, and must
// not use the disk itself. nil takes it away.
func (m *Mem) OnChange(f func(clone func(seed uint64) *Mem)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watch = f
}

// Ops returns how many calls have changed something so far.
func (m *Mem) Ops() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// PowerOffAfter takes the power away at the n-th changing call from now on: the
// call itself and all behind it return ErrPowerOff; a write in it may yet have
// reached the disk in part. 0 takes the order back.
func (m *Mem) PowerOffAfter(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offAfter = 0
	if n > 0 {
		m.offAfter = m.ops + n
	}
}

// Crash loses power and gives it back: what was not durable survives by chance,
// open handles and locks are gone, injected faults too.
func (m *Mem) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	m.off, m.offAfter, m.fail = false, 0, nil
	m.locks = map[string]bool{}
	chance := []float64{0, .5, 1}[m.rng.IntN(3)]
	m.used = 0
	m.crash(m.root, chance, map[*memNode]bool{})
}

// Clone returns a disk with the same files, dirty sectors and pending operations,
// for trying several crashes from one point. Handles belong to the original.
func (m *Mem) Clone(seed uint64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clone(seed)
}

func (m *Mem) clone(seed uint64) *Mem {
	c := NewMem(seed)
	c.capacity, c.used, c.now = m.capacity, m.used, m.now
	c.root = m.root.clone(map[*memNode]*memNode{})
	return c
}

func (n *memNode) clone(seen map[*memNode]*memNode) *memNode {
	if n == nil {
		return nil
	}
	if c := seen[n]; c != nil {
		return c
	}
	c := &memNode{dir: n.dir, resized: n.resized, modified: n.modified}
	seen[n] = c
	if n.dir {
		c.entries = make(map[string]*memNode, len(n.entries))
		c.durable = make(map[string]*memNode, len(n.durable))
		for k, v := range n.entries {
			c.entries[k] = v.clone(seen)
		}
		for k, v := range n.durable {
			c.durable[k] = v.clone(seen)
		}
		for _, op := range n.pending {
			c.pending = append(c.pending, memOp{op.from, op.to, op.node.clone(seen)})
		}
		return c
	}
	c.data = append([]byte(nil), n.data...)
	c.disk = append([]byte(nil), n.disk...)
	if len(n.dirty) > 0 {
		c.dirty = make(map[int64]struct{}, len(n.dirty))
		for k := range n.dirty {
			c.dirty[k] = struct{}{}
		}
	}
	return c
}

func (m *Mem) crash(n *memNode, chance float64, seen map[*memNode]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	if !n.dir {
		m.crashFile(n, chance)
		m.used += int64(len(n.data))
		return
	}
	keep := len(n.pending)
	switch chance {
	case 0:
		keep = 0
	case .5:
		keep = m.rng.IntN(len(n.pending) + 1)
	}
	for _, op := range n.pending[:keep] {
		op.apply(n.durable)
	}
	n.pending = nil
	n.entries = make(map[string]*memNode, len(n.durable))
	names := make([]string, 0, len(n.durable))
	for name := range n.durable {
		names = append(names, name)
	}
	sort.Strings(names) // so that a seed always draws the same chances
	for _, name := range names {
		n.entries[name] = n.durable[name]
		m.crash(n.durable[name], chance, seen)
	}
}

func (m *Mem) crashFile(n *memNode, chance float64) {
	out := append([]byte(nil), n.disk...)
	size := int64(len(n.disk))
	if n.resized && (chance == 1 || chance == .5 && m.rng.IntN(2) == 0) {
		size = int64(len(n.data))
	}
	if size > int64(len(out)) {
		out = append(out, make([]byte, size-int64(len(out)))...)
	}
	sectors := make([]int64, 0, len(n.dirty))
	for s := range n.dirty {
		sectors = append(sectors, s)
	}
	sort.Slice(sectors, func(i, j int) bool { return sectors[i] < sectors[j] })
	for _, s := range sectors {
		if chance == 0 || chance == .5 && m.rng.IntN(2) == 0 {
			continue
		}
		from := s * sector
		to := min(from+sector, int64(len(n.data)))
		if chance != 1 && m.rng.IntN(4) == 0 { // torn
			to = min(to, from+m.rng.Int64N(sector))
		}
		if to <= from {
			continue
		}
		if to > int64(len(out)) {
			out = append(out, make([]byte, to-int64(len(out)))...)
		}
		copy(out[from:to], n.data[from:to])
		size = max(size, to)
	}
	n.disk = out[:size]
	n.data = append([]byte(nil), n.disk...)
	n.dirty, n.resized = nil, false
}

func (op memOp) apply(entries map[string]*memNode) {
	if op.from != "" {
		delete(entries, op.from)
	}
	if op.to != "" {
		entries[op.to] = op.node
	}
}

// change counts a changing call and says whether the power is still on.
func (m *Mem) change() error {
	if m.off {
		return ErrPowerOff
	}
	if m.watch != nil {
		m.watch(m.clone)
	}
	m.ops++
	m.now++
	if m.offAfter != 0 && m.ops >= m.offAfter {
		m.off = true
		return ErrPowerOff
	}
	return nil
}

func (m *Mem) fault(op Op, name string) error {
	if m.fail == nil {
		return nil
	}
	if err := m.fail(op, name); err != nil {
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

func memClean(p string) []string {
	p = strings.Trim(path.Clean("/"+p), "/")
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

func (m *Mem) find(p string) (*memNode, error) {
	n := m.root
	for _, part := range memClean(p) {
		if !n.dir || n.entries[part] == nil {
			return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
		}
		n = n.entries[part]
	}
	return n, nil
}

// parent returns the directory of p and p's last name.
func (m *Mem) parent(p string) (*memNode, string, error) {
	dir, err := m.find(path.Dir(p))
	if err != nil {
		return nil, "", err
	}
	if !dir.dir {
		return nil, "", &fs.PathError{Op: "open", Path: p, Err: syscall.ENOTDIR}
	}
	return dir, path.Base(p), nil
}

func (n *memNode) do(op memOp) {
	op.apply(n.entries)
	n.pending = append(n.pending, op)
}

// Create is [FS].
func (m *Mem) Create(p string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return nil, err
	}
	dir, name, err := m.parent(p)
	if err != nil {
		return nil, err
	}
	if dir.entries[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: p, Err: fs.ErrExist}
	}
	n := &memNode{modified: m.now}
	dir.do(memOp{to: name, node: n})
	return &memFile{m: m, n: n, name: p, epoch: m.epoch}, nil
}

// Open is [FS].
func (m *Mem) Open(p string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return nil, ErrPowerOff
	}
	n, err := m.find(p)
	if err != nil {
		return nil, err
	}
	if n.dir {
		return nil, &fs.PathError{Op: "open", Path: p, Err: syscall.EISDIR}
	}
	return &memFile{m: m, n: n, name: p, epoch: m.epoch}, nil
}

// Remove is [FS].
func (m *Mem) Remove(p string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return err
	}
	dir, name, err := m.parent(p)
	if err != nil {
		return err
	}
	n := dir.entries[name]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: p, Err: fs.ErrNotExist}
	}
	if n.dir && len(n.entries) > 0 {
		return &fs.PathError{Op: "remove", Path: p, Err: syscall.ENOTEMPTY}
	}
	dir.do(memOp{from: name})
	m.used -= int64(len(n.data))
	return nil
}

// Rename is [FS]; both paths lie in one directory.
func (m *Mem) Rename(oldpath, newpath string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return err
	}
	from, oldname, err := m.parent(oldpath)
	if err != nil {
		return err
	}
	to, newname, err := m.parent(newpath)
	if err != nil {
		return err
	}
	if from != to {
		return &fs.PathError{Op: "rename", Path: oldpath, Err: fmt.Errorf("the memory disk renames within one directory only: %w", errors.ErrUnsupported)}
	}
	n := from.entries[oldname]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: oldpath, Err: fs.ErrNotExist}
	}
	if old := to.entries[newname]; old != nil && old != n {
		m.used -= int64(len(old.data))
	}
	from.do(memOp{from: oldname, to: newname, node: n})
	return nil
}

// MkdirAll is [FS].
func (m *Mem) MkdirAll(p string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return err
	}
	n := m.root
	for _, part := range memClean(p) {
		next := n.entries[part]
		if next == nil {
			next = newMemDir()
			n.do(memOp{to: part, node: next})
		}
		if !next.dir {
			return &fs.PathError{Op: "mkdir", Path: p, Err: syscall.ENOTDIR}
		}
		n = next
	}
	return nil
}

// List is [FS].
func (m *Mem) List(p string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return nil, ErrPowerOff
	}
	n, err := m.find(p)
	if err != nil {
		return nil, err
	}
	return listed(n.entries), nil
}

// listed is what a directory in memory holds, by name.
func listed[N interface{ info(name string) fs.FileInfo }](entries map[string]N) []fs.DirEntry {
	list := make([]fs.DirEntry, 0, len(entries))
	for name, e := range entries {
		list = append(list, fs.FileInfoToDirEntry(e.info(name)))
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name() < list[j].Name() })
	return list
}

// Stat is [FS].
func (m *Mem) Stat(p string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return nil, ErrPowerOff
	}
	n, err := m.find(p)
	if err != nil {
		return nil, err
	}
	return n.info(path.Base(p)), nil
}

// SyncDir is [FS].
func (m *Mem) SyncDir(p string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return err
	}
	n, err := m.find(p)
	if err != nil {
		return err
	}
	if err := m.fault(OpSync, p); err != nil {
		return err
	}
	n.syncDir()
	return nil
}

func (n *memNode) syncDir() {
	for _, op := range n.pending {
		op.apply(n.durable)
	}
	n.pending = nil
}

// SyncAll is [FS].
func (m *Mem) SyncAll(p string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change(); err != nil {
		return err
	}
	if err := m.fault(OpSync, p); err != nil {
		return err
	}
	var all func(n *memNode)
	all = func(n *memNode) {
		if !n.dir {
			n.sync()
			return
		}
		n.syncDir()
		for _, e := range n.entries {
			all(e)
		}
	}
	all(m.root)
	return nil
}

// Free is [FS]; without a capacity it says 1 TiB.
func (m *Mem) Free(string) (total, free int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return 0, 0, ErrPowerOff
	}
	if m.capacity == 0 {
		return 1 << 40, 1 << 40, nil
	}
	return m.capacity, max(0, m.capacity-m.used), nil
}

// Lock is [FS]; a crash gives all locks back.
func (m *Mem) Lock(p string) (Unlocker, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.off {
		return nil, ErrPowerOff
	}
	if m.locks[p] {
		return nil, fmt.Errorf("%s is in use by the process with id 1; stop it, or give this one another log directory", path.Dir(p))
	}
	m.locks[p] = true
	return &memLock{m, p, m.epoch}, nil
}

type memLock struct {
	m     *Mem
	p     string
	epoch int
}

// Unlock gives the lock back unless a crash has.
func (l *memLock) Unlock() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.epoch == l.m.epoch {
		delete(l.m.locks, l.p)
	}
	return nil
}

func (n *memNode) info(name string) fs.FileInfo {
	return memInfo{name, int64(len(n.data)), n.dir, n.modified}
}

type memInfo struct {
	name     string
	size     int64
	dir      bool
	modified int64
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) ModTime() time.Time { return time.Unix(i.modified, 0) }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

// memFile is a handle on a memory file.
type memFile struct {
	m     *Mem
	n     *memNode
	name  string
	epoch int
	shut  bool
}

// alive says whether the handle may be used; the disk's lock is held.
func (f *memFile) alive() error {
	if f.shut {
		return fs.ErrClosed
	}
	if f.m.off || f.epoch != f.m.epoch {
		return ErrPowerOff
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.alive(); err != nil {
		return 0, err
	}
	if err := f.m.fault(OpRead, f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.write(p, off)
}

func (f *memFile) write(p []byte, off int64) (int, error) {
	if err := f.alive(); err != nil {
		return 0, err
	}
	dead := f.m.change()
	if dead == nil {
		if err := f.m.fault(OpWrite, f.name); err != nil {
			return 0, err
		}
	}
	short := false
	if end := off + int64(len(p)); end > int64(len(f.n.data)) {
		grow := end - int64(len(f.n.data))
		if c := f.m.capacity; c != 0 && f.m.used+grow > c {
			room := max(0, c-f.m.used)
			keep := max(0, int64(len(f.n.data))+room-off)
			p, short = p[:min(int64(len(p)), keep)], true
		}
	}
	if len(p) > 0 {
		f.resize(max(int64(len(f.n.data)), off+int64(len(p))))
		copy(f.n.data[off:], p)
		f.n.touch(off, off+int64(len(p)))
		f.n.modified = f.m.now
	}
	if dead != nil {
		return 0, dead
	}
	if short {
		return len(p), &fs.PathError{Op: "write", Path: f.name, Err: fmt.Errorf("%w (%w)", syscall.ENOSPC, ErrFull)}
	}
	return len(p), nil
}

func (f *memFile) WriteVecAt(pieces [][]byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	var all []byte
	for _, p := range pieces {
		all = append(all, p...)
	}
	return f.write(all, off)
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.alive(); err != nil {
		return err
	}
	if err := f.m.change(); err != nil {
		return err
	}
	if grow := size - int64(len(f.n.data)); grow > 0 && f.m.capacity != 0 && f.m.used+grow > f.m.capacity {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: fmt.Errorf("%w (%w)", syscall.ENOSPC, ErrFull)}
	}
	f.resize(size)
	return nil
}

func (f *memFile) Allocate(off, n int64, keepSize bool) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.alive(); err != nil {
		return err
	}
	if err := f.m.change(); err != nil {
		return err
	}
	grow := max(0, off+n-int64(len(f.n.data)))
	if f.m.capacity != 0 && f.m.used+grow > f.m.capacity {
		return &fs.PathError{Op: "fallocate", Path: f.name, Err: fmt.Errorf("%w (%w)", syscall.ENOSPC, ErrFull)}
	}
	if !keepSize && grow > 0 {
		f.resize(off + n)
	}
	return nil
}

// resize sets the seen size; sectors that were cut away count as written with zeros.
func (f *memFile) resize(size int64) {
	n := f.n
	old := int64(len(n.data))
	if size == old {
		return
	}
	f.m.used += size - old
	n.resized = true
	if size < old {
		clear(n.data[size:])
		n.data = n.data[:size]
		n.touch(size, old)
		return
	}
	if size <= int64(cap(n.data)) {
		n.data = n.data[:size]
		clear(n.data[old:])
		return
	}
	grown := make([]byte, size, size+size/2)
	copy(grown, n.data)
	n.data = grown
}

func (n *memNode) touch(from, to int64) {
	if n.dirty == nil {
		n.dirty = map[int64]struct{}{}
	}
	for s := from / sector; s*sector < to; s++ {
		n.dirty[s] = struct{}{}
	}
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.alive(); err != nil {
		return err
	}
	if err := f.m.change(); err != nil {
		return err
	}
	if err := f.m.fault(OpSync, f.name); err != nil {
		f.n.dirty = nil // the pages are clean now, and not on the disk
		return err
	}
	f.n.sync()
	return nil
}

func (n *memNode) sync() {
	if n.resized {
		if len(n.data) < len(n.disk) {
			n.disk = n.disk[:len(n.data)]
		} else if grow := len(n.data) - len(n.disk); grow > 0 {
			n.disk = append(n.disk, make([]byte, grow)...)
		}
	}
	for s := range n.dirty {
		from := s * sector
		if to := min(from+sector, int64(len(n.data))); to > from {
			copy(n.disk[from:to], n.data[from:to])
		}
	}
	n.dirty, n.resized = nil, false
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.alive(); err != nil {
		return 0, err
	}
	return int64(len(f.n.data)), nil
}

func (f *memFile) Name() string { return f.name }

func (f *memFile) Fd() (uintptr, bool) { return 0, false }

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.shut {
		return fs.ErrClosed
	}
	f.shut = true
	return nil
}
