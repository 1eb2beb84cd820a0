package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/machine"
	"github.com/klamm/klamm/internal/record"
)

// slowLoad is from when on a load is worth a line: clients have waited for it.
const slowLoad = time.Second

// load replays the log into a fresh machine. Only when it is complete does the
// shard decide again; a log that cannot be read leaves it broken.
func (s *shard) load(ctx context.Context) {
	select {
	case s.g.loading <- struct{}{}:
		defer func() { <-s.g.loading }()
	case <-ctx.Done():
		return
	}
	begun := time.Now()
	l := loader{s: s, m: group.New(s.g.cfg.Options)}
	s.rolled.Store(false)
	s.p.OnRoll(s.onRoll)
	err := l.run(ctx)
	var out machine.Output
	if err == nil {
		s.rand = newRand()
		out, err = l.m.Loaded(machine.Env{Now: time.Now(), Rand: s.rand})
	}
	if err != nil {
		s.notLoaded(ctx, err)
		return
	}
	s.m, s.end, s.written = l.m, l.offset, l.bytes
	s.snapshot.barred = len(l.open) > 0
	if s.snapshot.barred {
		s.logger().Warn("the log of groups has open transactions of another coordinator; it is not shortened", "event", "group_log_transactions", "producers", len(l.open))
	}
	if err := s.apply(out, time.Now()); err != nil {
		s.notLoaded(ctx, err)
		return
	}
	s.mu.Lock()
	if s.phase == waiting {
		s.phase = active
	}
	s.mu.Unlock()
	s.retry = firstRetry
	took := time.Since(begun)
	s.g.metrics.loaded(took)
	level := slog.LevelDebug
	if took >= slowLoad {
		level = slog.LevelInfo
	}
	s.logger().Log(ctx, level, "loaded a shard of groups", "event", "groups_loaded", "groups", s.m.Len(), "records", l.records, "end_offset", l.offset, "took", took)
}

// notLoaded decides what becomes of a shard whose log could not be read: what may
// pass is tried again.
func (s *shard) notLoaded(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase != waiting {
		return
	}
	if errors.Is(err, code.NotLeaderOrFollower) || errors.Is(err, code.OffsetOutOfRange) {
		s.retryAt = time.Now().Add(s.retry)
		s.retry = min(2*s.retry, lastRetry)
		return
	}
	s.phase = broken
	s.logger().Error("a shard of groups cannot be loaded; its groups have no coordinator until another replica leads or the log is repaired", "event", "groups_load_failed", "error", err)
}

// loader is one replay.
type loader struct {
	s       *shard
	m       *group.Machine
	offset  int64
	records int
	bytes   int64
	// open are the records of transactions without an end so far, by producer id;
	// Apache Kafka may have left some.
	open map[int64][]machine.Record
}

func (l *loader) run(ctx context.Context) error {
	if epoch, ok := l.s.p.Leading(); !ok || epoch != l.s.epoch {
		return code.NotLeaderOrFollower
	}
	start, end := l.s.p.Bounds()
	for l.offset = start; l.offset < end; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.s.mu.Lock()
		gone := l.s.phase == ended
		l.s.mu.Unlock()
		if gone {
			return code.NotLeaderOrFollower
		}
		before := l.offset
		err := l.s.p.Read(l.offset, l.s.g.cfg.LoadBytes, l.take)
		if errors.Is(err, code.OffsetOutOfRange) && l.records == 0 {
			if now, _ := l.s.p.Bounds(); now > before { // it was shortened meanwhile
				l.offset = now
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("read at offset %d: %w", before, err)
		}
		if l.offset == before {
			return code.Errorf(code.KafkaStorageError, "the log gives nothing at offset %d, before its end at %d", before, end)
		}
	}
	return nil
}

func (l *loader) take(batches []byte) error {
	for len(batches) > 0 {
		b, rest, err := record.Next(batches)
		if err != nil {
			return err
		}
		if err := b.Validate(record.FromReplica); err != nil {
			return err
		}
		from := l.offset
		err = b.Each(l.s.g.cfg.Codecs, record.OutputLimit(l.s.g.cfg.BatchBytes), func(r record.Record) error {
			if r.Offset < from {
				return nil
			}
			l.records++
			return l.apply(b, r)
		})
		if err != nil {
			return fmt.Errorf("batch at offset %d: %w", b.BaseOffset(), err)
		}
		l.offset = b.NextOffset()
		l.bytes += int64(len(b))
		batches = rest
	}
	return nil
}

func (l *loader) apply(b record.Batch, r record.Record) error {
	id := b.ProducerID()
	switch {
	case b.IsControl():
		t, err := record.ParseControl(r.Key)
		if err != nil {
			return err
		}
		if t == record.ControlCommit {
			for _, r := range l.open[id] {
				if err := l.m.Apply(r); err != nil {
					return err
				}
			}
		}
		if t == record.ControlCommit || t == record.ControlAbort {
			delete(l.open, id)
		}
		return nil
	case b.IsTransactional():
		if l.open == nil {
			l.open = make(map[int64][]machine.Record)
		}
		l.open[id] = append(l.open[id], machine.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value)})
		return nil
	}
	return l.m.Apply(machine.Record{Key: r.Key, Value: r.Value})
}
