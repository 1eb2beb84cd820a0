//go:build !linux

package cli

// portHolder cannot be known here.
func portHolder(int) string { return "" }
