package record

import (
	"encoding/binary"

	"github.com/klamm/klamm/internal/code"
)

// ControlType is what a control record says; it stands in the record's key behind
// a version.
type ControlType int16

// The control records of Kafka 4.4.
const (
	ControlAbort          ControlType = 0
	ControlCommit         ControlType = 1
	ControlLeaderChange   ControlType = 2
	ControlSnapshotHeader ControlType = 3
	ControlSnapshotFooter ControlType = 4
	ControlKRaftVersion   ControlType = 5
	ControlKRaftVoters    ControlType = 6
)

// String returns Kafka's name of the type.
func (t ControlType) String() string {
	names := [...]string{"ABORT", "COMMIT", "LEADER_CHANGE", "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION", "KRAFT_VOTERS"}
	if t < 0 || int(t) >= len(names) {
		return "UNKNOWN"
	}
	return names[t]
}

// AppendControl adds a control record: key version 0 and type t, and value, which
// its owner has encoded with the version in front. The builder's options must have
// Control set.
func (b *Builder) AppendControl(timestamp int64, t ControlType, value []byte) {
	if !b.o.Control {
		panic("record: control record appended to a batch without the control bit")
	}
	var key [4]byte
	binary.BigEndian.PutUint16(key[2:], uint16(t))
	b.Append(timestamp, key[:], value)
}

// AppendEndTxn adds the marker that ends a producer's transaction, t being
// ControlCommit or ControlAbort (KIP-98).
func (b *Builder) AppendEndTxn(timestamp int64, t ControlType, coordinatorEpoch int32) {
	var value [6]byte
	binary.BigEndian.PutUint32(value[2:], uint32(coordinatorEpoch))
	b.AppendControl(timestamp, t, value[:])
}

// ParseControl returns the type that a control record's key holds. Types of later
// versions are returned as they are. A key shorter than 4 bytes is an
// INVALID_RECORD error.
func ParseControl(key []byte) (ControlType, error) {
	if len(key) < 4 {
		return 0, code.Errorf(code.InvalidRecord, "control record with a key of %d bytes; it has a version and a type, 4 bytes", len(key))
	}
	return ControlType(binary.BigEndian.Uint16(key[2:])), nil
}

// ParseEndTxn returns the coordinator's epoch in an end-of-transaction marker's
// value. A value shorter than 6 bytes is an INVALID_RECORD error.
func ParseEndTxn(value []byte) (coordinatorEpoch int32, err error) {
	if len(value) < 6 {
		return 0, code.Errorf(code.InvalidRecord, "end of transaction marker with a value of %d bytes; it has a version and an epoch, 6 bytes", len(value))
	}
	return int32(binary.BigEndian.Uint32(value[2:])), nil
}
