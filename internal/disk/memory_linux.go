package disk

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// memory returns the machine's memory and what a process can still have of it, by
// /proc/meminfo and, in a container, by the bound of its control group.
func memory() (total, free int64, err error) {
	const file = "/proc/meminfo"
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(b) {
		var to *int64
		switch name, _, _ := bytes.Cut(line, []byte{':'}); string(name) {
		case "MemTotal":
			to = &total
		case "MemAvailable":
			to = &free
		default:
			continue
		}
		if f := bytes.Fields(line); len(f) >= 2 {
			n, err := strconv.ParseInt(string(f[1]), 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %w", file, err)
			}
			*to = n << 10
		}
	}
	if bound, ok := number("/sys/fs/cgroup/memory.max"); ok && bound < total {
		if used, ok := number("/sys/fs/cgroup/memory.current"); ok {
			total, free = bound, min(free, max(0, bound-used))
		}
	}
	return total, free, nil
}

// number reads a file that holds a number; false when there is none, or it holds a word.
func number(file string) (int64, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n, err == nil
}
