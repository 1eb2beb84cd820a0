package disk

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// memory returns the machine's memory and what a process can still have of it, by
// /proc/meminfo and, in a container, by the bound of its control group.
func memory() (total, free int64, err error) { return memoryOf(os.DirFS("/")) }

// memoryOf is memory of the machine with that root.
func memoryOf(root fs.FS) (total, free int64, err error) {
	const file = "proc/meminfo"
	err = figures(root, file, map[string]*int64{"MemTotal:": &total, "MemAvailable:": &free})
	if err != nil {
		return 0, 0, err
	}
	total, free = total<<10, free<<10 // which are in kB
	if bound, ok := number(root, "sys/fs/cgroup/memory.max"); ok && bound < total {
		if used, ok := number(root, "sys/fs/cgroup/memory.current"); ok {
			var active, inactive int64
			_ = figures(root, "sys/fs/cgroup/memory.stat", map[string]*int64{"active_file": &active, "inactive_file": &inactive})
			// Files that are cached give way.
			total, free = bound, min(free, max(0, bound-max(0, used-active-inactive)))
		}
	}
	return total, free, nil
}

// figures reads numbers of a file that has a name and a number in each line; those that it lacks stay.
func figures(root fs.FS, file string, to map[string]*int64) error {
	b, err := fs.ReadFile(root, file)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) < 2 || to[string(f[0])] == nil {
			continue
		}
		n, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		*to[string(f[0])] = n
	}
	return nil
}

// number reads a file that holds a number; false when there is none, or it holds a word.
func number(root fs.FS, file string) (int64, bool) {
	b, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n, err == nil
}
