//go:build !linux

package node

import "time"

// diskBytes is not known here.
func diskBytes() (read, written int64, ok bool) { return 0, 0, false }

// processorTime is not known here.
func processorTime() (used time.Duration, ok bool) { return 0, false }
