// Package metadata holds the state of the cluster as an immutable value: an
// [Image] of topics, partitions, brokers, configs and features, made by applying
// the records of the metadata log, and the [Delta] between two images. The
// records are Apache Kafka's own, at the level of its release 4.4; what nobody
// here reads yet (ACLs, quotas, credentials) is kept so that a snapshot gives it back.
//
// The package has no goroutine, clock or I/O. docs/format/metadata-log.md draws
// how the records lie on disk.
package metadata

import (
	"encoding/binary"
	"fmt"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

// Record is one record of the metadata log.
type Record = wire.Message

// VersionFeature is the name of the feature whose level says which records and
// fields the metadata log may hold (KIP-584, KIP-778).
const VersionFeature = "metadata.version"

// The levels of metadata.version.
const (
	// MinVersion is the lowest level that can be finalized, Kafka's 3.3-IV3.
	MinVersion int16 = 7
	// MaxVersion is the level of Kafka 4.4 (4.4-IV2), at which a new cluster is finalized.
	MaxVersion int16 = 33
)

// MaxRecordBytes is the most bytes that one encoded record may take.
const MaxRecordBytes = 8 << 20

// frameVersion is the version of the frame around a record's type and version.
const frameVersion = 1

// AppendRecord appends rec to b as the value of a log record: frame version, type
// and version as unsigned varints, then the message in its newest version.
func AppendRecord(b []byte, rec Record) []byte {
	_, version := rec.Versions()
	b = append(b, frameVersion)
	b = binary.AppendUvarint(b, uint64(uint16(rec.Key())))
	b = binary.AppendUvarint(b, uint64(uint16(version)))
	return rec.Append(b, version)
}

// ParseRecord reads what AppendRecord wrote, in any version that this build knows.
// Strings and bytes of the record alias b. An unknown frame, type or version and
// bytes that are left over are CORRUPT_MESSAGE errors: to pass over a record would
// let two nodes hold different images.
func ParseRecord(b []byte) (Record, error) {
	if len(b) > MaxRecordBytes {
		return nil, code.Errorf(code.CorruptMessage, "metadata record of %d bytes; at most %d are allowed", len(b), MaxRecordBytes)
	}
	d := wire.NewDecoder(b)
	frame, key, version := d.Uvarint(), d.Uvarint(), d.Uvarint()
	if err := d.Err(); err != nil {
		return nil, corrupt("metadata record of %d bytes has no whole frame: %v", len(b), err)
	}
	if frame != frameVersion {
		return nil, corrupt("metadata record with frame version %d; this build reads %d", frame, frameVersion)
	}
	var rec Record
	if key <= 1<<15-1 {
		rec = wire.NewMetadataRecord(int16(key))
	}
	if rec == nil {
		return nil, corrupt("metadata record of type %d, which this build does not know; a newer release wrote it", key)
	}
	if lo, hi := rec.Versions(); int64(version) < int64(lo) || int64(version) > int64(hi) {
		return nil, corrupt("metadata record %T in version %d; this build reads %d to %d", rec, version, lo, hi)
	}
	body := wire.NewDecoder(d.Rest())
	rec.Decode(&body, int16(version))
	if err := body.Done(); err != nil {
		return nil, corrupt("metadata record %T version %d: %v", rec, version, err)
	}
	if _, newest := rec.Versions(); int16(version) < newest && hasTags(rec) {
		return nil, corrupt("metadata record %T version %d carries tagged fields that this version does not have", rec, version)
	}
	return rec, nil
}

// hasTags reports whether a record of a type with several versions holds unknown
// tagged fields: in its newest version their ids may mean something else.
func hasTags(rec Record) bool {
	var tags *wire.Tags
	switch r := rec.(type) {
	case *wire.RegisterBrokerRecord:
		tags = r.Tags
	case *wire.BrokerRegistrationChangeRecord:
		tags = r.Tags
	case *wire.PartitionRecord:
		tags = r.Tags
	case *wire.PartitionChangeRecord:
		tags = r.Tags
	}
	return tags != nil && len(tags.Fields) > 0
}

// CloneRecord returns a copy of rec that shares no memory with it.
func CloneRecord(rec Record) Record {
	c, err := ParseRecord(AppendRecord(nil, rec))
	if err != nil {
		panic(fmt.Sprintf("metadata: a %T that was encoded does not decode: %v", rec, err))
	}
	return c
}

func corrupt(format string, args ...any) error {
	return code.Errorf(code.CorruptMessage, format, args...)
}
