package replica

import (
	"errors"

	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/record"
)

// nearEnough is how far apart in ms the timestamps of a batch may be before TimestampAt looks into it.
const nearEnough = 1000

// errFound ends a walk through a batch.
var errFound = errors.New("found")

// TimestampAt returns the timestamp in ms of the first committed record at or behind
// offset, or -1 when there is none or it has no timestamp. It reads one batch. Within
// a batch whose timestamps are at most a second apart it takes the first one's. The
// error is that of a log that failed or is damaged.
func (p *Partition) TimestampAt(offset int64) (ms int64, err error) {
	b := p.log.Bounds()
	if offset = max(offset, b.Start); offset >= b.HighWatermark {
		return -1, nil
	}
	var s commitlog.Slice
	defer s.Release()
	if err := p.log.Read(&s, offset, b.HighWatermark, record.HeaderSize, true, commitlog.ReadBytes); err != nil || s.Len() == 0 {
		return -1, err
	}
	batch, _, err := record.Next(s.Bytes())
	if err != nil {
		return -1, err
	}
	first, last := batch.BaseTimestamp(), batch.MaxTimestamp()
	switch {
	case batch.TimestampType() == record.LogAppendTime:
		return last, nil
	case batch.HasDeleteHorizon(), batch.BaseOffset() < offset && last-first > nearEnough:
		ms = last // where records that were compacted away were the last ones
		err = batch.Each(p.codecs, record.OutputLimit(p.log.Options().MaxMessageBytes), func(r record.Record) error {
			if r.Offset < offset {
				return nil
			}
			ms = r.Timestamp
			return errFound
		})
		if err != nil && !errors.Is(err, errFound) {
			return -1, err
		}
		return ms, nil
	}
	return first, nil
}
