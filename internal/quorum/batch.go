package quorum

import (
	"fmt"

	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/wire"
)

// encoder makes the data of raft entries: batches of one record, at offset and
// epoch 0, which their CRC does not cover.
type encoder struct {
	builder record.Builder
	value   []byte
}

// entry appends the batch of rec to b.
func (e *encoder) entry(b []byte, rec metadata.Record, timestamp int64) []byte {
	e.value = metadata.AppendRecord(e.value[:0], rec)
	e.builder.Reset(nil, record.BuilderOptions{})
	e.builder.Append(timestamp, nil, e.value)
	batch, err := e.builder.Finish()
	if err != nil {
		panic(fmt.Sprintf("quorum: a batch without compression failed: %v", err))
	}
	return append(b, batch...)
}

// empty is the data that stands on disk for raft's empty entries. It must be the
// same on every voter, so it has no time.
func (e *encoder) empty() []byte { return e.entry(nil, wire.NewNoOpRecord(), 0) }

// place sets where a batch stands in the log.
func place(b record.Batch, index, term uint64) {
	b.SetBaseOffset(int64(index))
	b.SetLeaderEpoch(int32(term))
}

// decode reads the one record of an entry's data. What it returns aliases b.
func decode(b []byte) (metadata.Record, error) {
	batch, rest, err := record.Next(b)
	if err != nil {
		return nil, fmt.Errorf("quorum: entry: %w", err)
	}
	if err := batch.Check(); err != nil {
		return nil, fmt.Errorf("quorum: entry: %w", err)
	}
	if len(rest) > 0 || batch.Count() != 1 || batch.Codec() != record.None {
		return nil, fmt.Errorf("quorum: entry holds %d records in codec %v and %d more bytes; it has one record, as it is", batch.Count(), batch.Codec(), len(rest))
	}
	if batch.IsControl() {
		return wire.NewNoOpRecord(), nil
	}
	it := batch.Iter(nil, 0)
	defer it.Close()
	var r record.Record
	if !it.Next(&r) {
		return nil, fmt.Errorf("quorum: entry: %w", it.Err())
	}
	return metadata.ParseRecord(r.Value)
}
