//go:build !linux

package klamm_test

import "testing"

// sockets is not counted here.
func sockets(*testing.T) int { return 0 }
