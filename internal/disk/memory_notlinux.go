//go:build !linux

package disk

// unknownMemory is what a machine is taken to have that is not asked: so much that nothing is refused for its sake.
const unknownMemory = 1 << 40

// memory returns a large number: how much the machine has left is asked on Linux alone.
func memory() (total, free int64, err error) { return unknownMemory, unknownMemory, nil }
