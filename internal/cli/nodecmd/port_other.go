//go:build !linux

package nodecmd

// portHolder cannot be known here.
func portHolder(int) string { return "" }
