package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"testing"
)

// each runs a test on the operating system's file system and on a memory disk.
func each(t *testing.T, f func(t *testing.T, d FS, dir string)) {
	t.Run("os", func(t *testing.T) { f(t, OS(), filepath.ToSlash(t.TempDir())) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem(1)
		if err := m.MkdirAll("a"); err != nil {
			t.Fatal(err)
		}
		f(t, m, "a")
	})
	t.Run("ram", func(t *testing.T) {
		m := NewRAM()
		if err := m.MkdirAll("a"); err != nil {
			t.Fatal(err)
		}
		f(t, m, "a")
	})
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesBehaveAlike(t *testing.T) {
	each(t, func(t *testing.T, d FS, dir string) {
		f, err := d.Create(dir + "/f")
		must(t, err)
		if _, err := d.Create(dir + "/f"); !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		if _, err := d.Open(dir + "/g"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		pieces := [][]byte{[]byte("one"), {}, []byte("two"), bytes.Repeat([]byte("x"), 5000)}
		for range 1100 { // more than one vector call takes
			pieces = append(pieces, []byte("y"))
		}
		n, err := f.WriteVecAt(pieces, 10)
		if want := 6 + 5000 + 1100; n != want || err != nil {
			t.Fatal(n, err)
		}
		b := make([]byte, 10+6+5000+1100+5)
		if n, err := f.ReadAt(b, 0); n != len(b)-5 || !errors.Is(err, io.EOF) {
			t.Fatal(n, err)
		}
		if string(b[8:18]) != "\x00\x00onetwoxx" || b[n+9] != 'y' {
			t.Fatalf("%q", b[:20])
		}
		must(t, f.Truncate(13), f.Sync())
		if size, err := f.Size(); size != 13 || err != nil {
			t.Fatal(size, err)
		}
		if err := f.Allocate(0, 4096, true); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		if size, _ := f.Size(); size != 13 {
			t.Fatal(size)
		}
		if err := f.Allocate(0, 4096, false); err == nil {
			if size, _ := f.Size(); size != 4096 {
				t.Fatal(size)
			}
		} else if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		must(t, d.Rename(dir+"/f", dir+"/h"), d.SyncDir(dir), d.MkdirAll(dir+"/sub"))
		list, err := d.List(dir)
		if err != nil || len(list) != 2 || list[0].Name() != "h" || !list[1].IsDir() {
			t.Fatal(list, err)
		}
		if err := d.SyncAll(dir); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		if total, free, err := d.Free(dir); err != nil || total <= 0 || free <= 0 {
			t.Fatal(total, free, err)
		}
		info, err := d.Stat(dir + "/h")
		if err != nil || info.IsDir() || info.Name() != "h" {
			t.Fatal(info, err)
		}
		must(t, f.Close(), d.Remove(dir+"/h"), d.Remove(dir+"/sub"))
		l, err := d.Lock(dir + "/lock")
		must(t, err)
		if _, err := d.Lock(dir + "/lock"); err == nil {
			t.Fatal("locked twice")
		}
		must(t, l.Unlock())
		l, err = d.Lock(dir + "/lock")
		must(t, err, l.Unlock())
	})
}

func TestACrashKeepsWhatWasSyncedAndSomeOfTheRest(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(300) {
		m := NewMem(seed)
		f, err := m.Create("f")
		must(t, err, m.SyncDir("."))
		old, fresh := bytes.Repeat([]byte{1}, 4*sector), bytes.Repeat([]byte{2}, 4*sector)
		_, err = f.WriteAt(old, 0)
		must(t, err, f.Sync())
		_, err = f.WriteAt(fresh, 2*sector) // two sectors over the old, two behind
		must(t, err)
		_, err = m.Create("g")
		must(t, err)
		m.Crash()
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrPowerOff) {
			t.Fatal(err)
		}
		f, err = m.Open("f")
		must(t, err)
		size, _ := f.Size()
		b := make([]byte, size)
		_, err = f.ReadAt(b, 0)
		must(t, err)
		if size < 4*sector || !bytes.Equal(b[:2*sector], old[:2*sector]) {
			t.Fatal("what was synced is gone")
		}
		for i, c := range b[2*sector:] {
			if c != 2 && (c != 1 || i >= 2*sector) && (c != 0 || i < 2*sector) {
				t.Fatalf("byte %d is %d", 2*sector+i, c)
			}
		}
		switch tail := b[2*sector : 3*sector]; {
		case bytes.Equal(tail, fresh[:sector]):
			seen["kept"] = true
		case bytes.Equal(tail, old[:sector]):
			seen["lost"] = true
		default:
			seen["torn"] = true
		}
		_, err = m.Stat("g")
		seen["file "+map[bool]string{true: "kept", false: "lost"}[err == nil]] = true
	}
	if len(seen) != 5 {
		t.Fatal(seen)
	}
}

func TestInjectedFaults(t *testing.T) {
	m := NewMem(1)
	f, err := m.Create("f")
	must(t, err, m.SyncDir("."))
	m.SetCapacity(10)
	if n, err := f.WriteAt(make([]byte, 15), 0); n != 10 || !errors.Is(err, ErrFull) {
		t.Fatal(n, err)
	}
	m.SetCapacity(0)
	m.Fail(func(op Op, _ string) error {
		if op == OpSync {
			return ErrIO
		}
		return nil
	})
	if _, err := f.WriteAt([]byte("lost"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); !errors.Is(err, ErrIO) {
		t.Fatal(err)
	}
	m.Fail(nil)
	must(t, f.Sync()) // the second one says yes, and the pages are gone
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "lost" {
		t.Fatal(err, b)
	}
	m.Crash()
	f, err = m.Open("f")
	must(t, err)
	if _, err := f.ReadAt(b, 0); string(b) == "lost" {
		t.Fatal(err, "the bytes came back")
	}
	m.PowerOffAfter(2)
	_, err = f.WriteAt([]byte("a"), 0)
	must(t, err)
	if _, err := f.WriteAt([]byte("b"), 0); !errors.Is(err, ErrPowerOff) {
		t.Fatal(err)
	}
	if _, err := m.Open("f"); !errors.Is(err, ErrPowerOff) {
		t.Fatal(err)
	}
}
