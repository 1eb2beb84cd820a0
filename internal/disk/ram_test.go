package disk

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// ramWith is a fresh disk with a file.
func ramWith(t *testing.T, name string) (*RAM, File) {
	t.Helper()
	r := NewRAM()
	f, err := r.Create(name)
	must(t, err)
	return r, f
}

func TestAMemoryFileIsWhatASliceWouldBe(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		_, f := ramWith(t, "f")
		var want []byte
		grow := func(size int) {
			if size > len(want) {
				want = append(want, make([]byte, size-len(want))...)
			}
		}
		for step := range 300 {
			off := rng.IntN(3 * chunk)
			switch rng.IntN(4) {
			case 0:
				must(t, f.Truncate(int64(off)))
				grow(off)
				want = want[:off]
			case 1:
				p := bytes.Repeat([]byte{byte(step)}, rng.IntN(2*chunk))
				if n, err := f.WriteAt(p, int64(off)); n != len(p) || err != nil {
					t.Fatal(n, err)
				}
				if len(p) > 0 {
					grow(off + len(p))
					copy(want[off:], p)
				}
			case 2:
				pieces := [][]byte{{byte(step)}, nil, bytes.Repeat([]byte{byte(step + 1)}, rng.IntN(1000))}
				all := bytes.Join(pieces, nil)
				if n, err := f.WriteVecAt(pieces, int64(off)); n != len(all) || err != nil {
					t.Fatal(n, err)
				}
				grow(off + len(all))
				copy(want[off:], all)
			case 3:
				p := make([]byte, rng.IntN(2*chunk))
				n, err := f.ReadAt(p, int64(off))
				expect := want[min(off, len(want)):]
				expect = expect[:min(len(p), len(expect))]
				if !bytes.Equal(p[:n], expect) || (err == nil) != (n == len(p)) {
					t.Fatalf("seed %d step %d: read %d at %d of %d: %v", seed, step, n, off, len(want), err)
				}
			}
			if size, err := f.Size(); size != int64(len(want)) || err != nil {
				t.Fatalf("seed %d step %d: %d bytes, want %d: %v", seed, step, size, len(want), err)
			}
		}
	}
}

func TestReadersAndWritersOfAMemoryFileDoNotDisturbEachOther(t *testing.T) {
	_, f := ramWith(t, "f")
	var wg sync.WaitGroup
	const lanes, width, rounds = 4, 50_000, 50
	for lane := range lanes {
		wg.Go(func() {
			p, q := make([]byte, width), make([]byte, width)
			for round := range rounds {
				for i := range p {
					p[i] = byte(lane*rounds + round)
				}
				if _, err := f.WriteAt(p, int64(lane*width)); err != nil {
					t.Error(err)
				}
				if _, err := f.ReadAt(q, int64(lane*width)); err != nil || !bytes.Equal(p, q) {
					t.Errorf("lane %d reads what it did not write: %v", lane, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAMemoryFileTakesTheMemoryOfWhatWasWritten(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	r := NewRAM()
	var files []File
	for i := range 1000 {
		f, err := r.Create(string(rune('a' + i)))
		must(t, err)
		_, err = f.WriteAt([]byte("small"), 0)
		must(t, err)
		files = append(files, f)
	}
	if took := heap() - before; took > 2<<20 {
		t.Errorf("1000 small files take %d bytes", took)
	}
	before = heap()
	must(t, files[0].Truncate(1<<40)) // a hole
	for off := int64(0); off < 32<<20; off += 1000 {
		_, err := files[1].WriteAt(make([]byte, 1000), off)
		must(t, err)
	}
	if took := heap() - before; took > 40<<20 {
		t.Errorf("a file of 32 MiB and a hole take %d bytes", took)
	}
	must(t, files[1].Truncate(0))
	if left := heap() - before; left > 4<<20 {
		t.Errorf("%d bytes are left of a file that was cut", left)
	}
	runtime.KeepAlive(files)
}

func TestAHandleOutlivesItsFileAndNotItsClose(t *testing.T) {
	r, f := ramWith(t, "f")
	_, err := f.WriteAt([]byte("x"), 0)
	must(t, err, r.Remove("f"))
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, 0); err != nil || p[0] != 'x' {
		t.Fatal(p, err)
	}
	must(t, f.Close())
	_, read := f.ReadAt(p, 0)
	_, write := f.WriteAt(p, 0)
	_, size := f.Size()
	for what, err := range map[string]error{"read": read, "write": write, "size": size, "sync": f.Sync(), "truncate": f.Truncate(0), "close": f.Close()} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAMemoryDiskRefusesWhatAFileSystemRefuses(t *testing.T) {
	r := NewRAM()
	must(t, r.MkdirAll("/a/b"))
	f, err := r.Create("/a/b/f")
	must(t, err, f.Close())
	for what, c := range map[string]struct{ got, want error }{
		"open of nothing":       {second(r.Open("/a/g")), fs.ErrNotExist},
		"create twice":          {second(r.Create("/a/b/f")), fs.ErrExist},
		"create below nothing":  {second(r.Create("/x/f")), fs.ErrNotExist},
		"remove of nothing":     {r.Remove("/a/g"), fs.ErrNotExist},
		"rename of nothing":     {r.Rename("/a/g", "/a/h"), fs.ErrNotExist},
		"stat of nothing":       {second(r.Stat("/a/g")), fs.ErrNotExist},
		"list of nothing":       {second(r.List("/g")), fs.ErrNotExist},
		"sync of nothing":       {r.SyncDir("/g"), fs.ErrNotExist},
		"reservation of memory": {f.Allocate(0, 1, false), errors.ErrUnsupported},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", what, c.got, c.want)
		}
	}
	for what, err := range map[string]error{"open of a directory": second(r.Open("/a")), "create below a file": second(r.Create("/a/b/f/g")), "directory below a file": r.MkdirAll("/a/b/f/g"), "remove of a full directory": r.Remove("/a/b")} {
		if err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	must(t, r.Rename("/a/b/f", "/a/f"), r.Remove("/a/b"), r.SyncAll("/a"))
}

func second[T any](_ T, err error) error { return err }
