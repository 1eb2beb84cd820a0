//go:build !linux

package app

// PortHolder cannot be known here.
func PortHolder(int) string { return "" }
