//go:build unix

package debug

import "syscall"

// openFiles is how many files a process may open once it asks for as many as it may, as programs in Go do.
func openFiles() (uint64, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return uint64(l.Max), true
}
