package disk

import (
	"testing"
	"testing/fstest"
)

func TestTheMemoryOfAContainerIsItsBoundWithoutCachedFiles(t *testing.T) {
	const kB, meminfo, max, current, stat = 1 << 10, "proc/meminfo", "sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat"
	machine := "MemTotal:       1000 kB\nMemFree:        100 kB\nMemAvailable:   800 kB\n"
	for _, c := range []struct {
		name        string
		files       map[string]string
		total, free int64
	}{
		{"a machine", map[string]string{meminfo: machine}, 1000 * kB, 800 * kB},
		{"a container without a bound", map[string]string{meminfo: machine, max: "max\n", current: "900000\n"}, 1000 * kB, 800 * kB},
		{"a container", map[string]string{meminfo: machine, max: "102400\n", current: "40960\n"}, 100 * kB, 60 * kB},
		{"a container that has read many files", map[string]string{meminfo: machine, max: "102400\n", current: "102400\n", stat: "anon 20480\nactive_file 40960\ninactive_file 30720\n"}, 100 * kB, 70 * kB},
		{"a full container", map[string]string{meminfo: machine, max: "102400\n", current: "112400\n", stat: "anon 102400\nactive_file 0\ninactive_file 0\n"}, 100 * kB, 0},
		{"a container on a machine that is full", map[string]string{meminfo: "MemTotal: 1000 kB\nMemAvailable: 5 kB\n", max: "102400\n", current: "0\n"}, 100 * kB, 5 * kB},
	} {
		root := fstest.MapFS{}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if total, free, err := memoryOf(root); err != nil || total != c.total || free != c.free {
			t.Errorf("%s: %d total, %d free, %v; want %d and %d", c.name, total, free, err, c.total, c.free)
		}
	}
	if _, _, err := memoryOf(fstest.MapFS{}); err == nil {
		t.Error("no error where there is no /proc/meminfo")
	}
	if total, free, err := memory(); err != nil || free <= 0 || total < free {
		t.Errorf("here: %d total, %d free, %v", total, free, err)
	}
}
