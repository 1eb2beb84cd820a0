package replica

import (
	"math"
	"time"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/record"
)

// Produced is what one producer sends to one partition in one request. It is
// reused: Append sets all results anew.
type Produced struct {
	// Records is the bytes as they came, of any magic. Append writes offsets into them in place.
	Records []byte
	// Multi allows several batches, none, and magic 0 and 1, as Produce before v3 does.
	Multi bool
	// Entry holds the results: offsets, append time, error.
	Entry commitlog.Entry
	// RecordErrors tell which records were refused, when Entry.Err is INVALID_RECORD or INVALID_TIMESTAMP (KIP-467).
	RecordErrors []record.RecordError
}

// AppendOptions say how Append is to treat its entries.
type AppendOptions struct {
	// Acks is the producers' acks: with -1 too few in-sync replicas are an error before anything is written.
	Acks int16
	// Internal says that the batches are the broker's own (a coordinator's): control
	// batches are allowed and sequences not checked.
	Internal bool
	// FlushAlone lets Append wait for the disk itself, where the answer waits for it
	// and nobody else does: a lone producer is answered sooner.
	FlushAlone bool
	// Epoch, when not -1, is the leader epoch that the caller believes in.
	Epoch int32
	Now   time.Time
}

// Append checks the entries' batches and writes all that are good with one
// write. Each entry has its own error; the others go on. What it returns is an
// error for all: the leadership, the in-sync replicas or the disk. The records
// count as committed, and acks=all may be answered, once Committed holds. It never
// waits for the disk's cache, and allocates nothing for v2 batches that nothing is
// wrong with.
//
//	code.NotLeaderOrFollower, code.FencedLeaderEpoch  somebody else leads
//	code.NotEnoughReplicas                            acks=all and the ISR is under min.insync.replicas
//	code.KafkaStorageError                            the log directory failed or is full
func (p *Partition) Append(entries []*Produced, o AppendOptions) error {
	if !p.leads() { // looked at again under the lock, but nothing is checked in vain
		return code.NotLeaderOrFollower
	}
	opts := p.log.Options()
	good := 0
	for _, e := range entries {
		p.prepare(e, &opts, &o)
		if e.good() {
			good++
		}
	}
	if good == 0 {
		return nil
	}
	p.mu.Lock()
	wrote, err := p.appendLocked(entries, &o)
	moved := wrote && p.advance()
	p.mu.Unlock()
	if !wrote {
		return err
	}
	if moved {
		p.wake(OnEnd | OnWatermark)
	} else {
		p.wake(OnEnd)
	}
	switch {
	case opts.FlushBeforeAck && o.FlushAlone && (o.Acks == -1 || p.flushEvery.Load() == 1):
		p.log.FlushAlone()
	case opts.FlushBeforeAck:
		p.log.RequestFlush()
	default:
		if every := p.flushEvery.Load(); every != math.MaxInt64 {
			if b := p.log.Bounds(); b.End-b.Flushed >= every {
				p.log.RequestFlush()
			}
		}
	}
	return err
}

// appendLocked writes the good entries; mu is held. A disk that ran full between
// two entries has taken the first ones: then the error is that of the others alone.
func (p *Partition) appendLocked(entries []*Produced, o *AppendOptions) (wrote bool, err error) {
	epoch := p.state.LeaderEpoch()
	switch {
	case !p.state.Leading():
		return false, code.NotLeaderOrFollower
	case o.Epoch >= 0 && o.Epoch != epoch:
		return false, code.FencedLeaderEpoch
	case o.Acks == -1 && p.state.UnderMinISR():
		return false, code.NotEnoughReplicas
	}
	// The log takes a list of its own entries; it lies on the stack for the usual few.
	var few [16]*commitlog.Entry
	list := few[:0]
	for _, e := range entries {
		if e.good() {
			list = append(list, &e.Entry)
		}
	}
	err = p.log.Append(list, epoch, o.Now)
	for _, e := range list {
		wrote = wrote || e.Err == nil && !e.Duplicate
	}
	if err != nil && wrote && p.log.Failed() == nil {
		err = nil
	}
	return wrote, err
}

// good says that the entry has something to append.
func (e *Produced) good() bool { return e.Entry.Err == nil && len(e.Entry.Records) > 0 }

// prepare checks what e holds by the topic's rules and leaves v2 batches in
// e.Entry.Records, or the reason in e.Entry.Err. No lock is held: this is where
// the bytes are walked.
func (p *Partition) prepare(e *Produced, opts *commitlog.Options, o *AppendOptions) {
	e.Entry = commitlog.Entry{Records: e.Records, Client: !o.Internal, AppendTime: -1, BaseOffset: -1, LastOffset: -1}
	e.RecordErrors = nil
	if o.Internal {
		return
	}
	switch magic := record.Magic(e.Records); {
	case len(e.Records) == 0 && e.Multi:
		// An old producer may send an empty set. There is nothing to append, and nothing wrong.
	case len(e.Records) == 0:
		e.Entry.Err = code.Errorf(code.InvalidRecord, "no records for %s-%d; Produce from version 3 on carries one batch a partition", p.topic, p.index)
	case magic == 2:
		e.Entry.Err = p.prepareBatches(e, opts, o)
	case (magic == 0 || magic == 1) && !e.Multi:
		e.Entry.Err = code.Errorf(code.InvalidRecord, "the records for %s-%d have magic %d; Produce from version 3 on carries magic 2", p.topic, p.index, magic)
	case magic == 0 || magic == 1:
		e.Entry.Err = p.prepareOld(e, opts, o)
	default:
		c := code.CorruptMessage
		if len(e.Records) < record.PeekSize { // too short to say what it is
			c = code.InvalidRecord
		}
		e.Entry.Err = code.Errorf(c, "the %d bytes for %s-%d are no record batch", len(e.Records), p.topic, p.index)
	}
}

// prepareBatches checks v2 batches where they lie. A batch that has to be
// compressed anew takes all of the entry into memory of its own.
func (p *Partition) prepareBatches(e *Produced, opts *commitlog.Options, o *AppendOptions) error {
	rules := rulesOf(opts, o.Now)
	var rewritten []byte
	for rest := e.Records; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err != nil {
			return code.Errorf(code.CorruptMessage, "a batch for %s-%d: %v", p.topic, p.index, err)
		}
		if len(after) > 0 && !e.Multi {
			return code.Errorf(code.InvalidRecord, "the records for %s-%d are more than one batch; Produce from version 3 on carries one a partition", p.topic, p.index)
		}
		if err := b.Check(); err != nil {
			return err
		}
		if b.ProducerID() >= 0 && b.ProducerEpoch() < 0 {
			return code.Errorf(code.InvalidProducerEpoch, "a batch for %s-%d has producer id %d and epoch %d; epochs begin at 0", p.topic, p.index, b.ProducerID(), b.ProducerEpoch())
		}
		if err := b.Validate(record.FromClient); err != nil {
			return err
		}
		if b.IsTransactional() {
			return code.Errorf(code.InvalidTxnState, "a transactional batch for %s-%d: this version of Klamm has no transactions yet", p.topic, p.index)
		}
		out, refused, err := record.Apply(b, &rules, p.codecs)
		if err != nil {
			e.RecordErrors = refused
			return err
		}
		if &out[0] != &b[0] || rewritten != nil {
			if rewritten == nil {
				rewritten = append(rewritten, e.Records[:len(e.Records)-len(rest)]...)
			}
			rewritten = append(rewritten, out...)
		}
		rest = after
	}
	if rewritten != nil {
		e.Entry.Records = rewritten
	}
	return nil
}

// prepareOld converts message sets of magic 0 and 1, once, here at the edge.
func (p *Partition) prepareOld(e *Produced, opts *commitlog.Options, o *AppendOptions) error {
	rules := rulesOf(opts, o.Now)
	converted, _, refused, err := record.ConvertUp(nil, e.Records, &rules, p.codecs)
	e.RecordErrors, e.Entry.Records = refused, converted
	return err
}

// rulesOf is what the topic's configuration demands of records that arrive now.
func rulesOf(opts *commitlog.Options, now time.Time) record.Rules {
	r := record.Rules{
		TimestampType: opts.TimestampType,
		Now:           now.UnixMilli(),
		NeedKeys:      opts.Compact,
		MaxBytes:      opts.MaxMessageBytes,
		OutputLimit:   record.OutputLimit(opts.MaxMessageBytes),
	}
	if opts.CompressionType != "producer" {
		r.Codec, r.Recompress = record.ParseCodec(opts.CompressionType)
		switch r.Codec {
		case record.Gzip:
			r.Level = record.Level(opts.GzipLevel)
		case record.LZ4:
			r.Level = record.Level(opts.LZ4Level)
		case record.Zstd:
			r.Level = record.Level(opts.ZstdLevel)
		}
	}
	if opts.TimestampBeforeMaxMs < r.Now {
		r.Earliest = r.Now - opts.TimestampBeforeMaxMs
	}
	if opts.TimestampAfterMaxMs < math.MaxInt64-r.Now {
		r.Latest = r.Now + opts.TimestampAfterMaxMs
	}
	return r
}

// Committed says whether acks may be answered for records up to last: with -1
// once the high watermark has passed them, with 1 at once; and never before the
// fsync that flush.messages demands. It does not hold for acks=all when this broker
// leads no more: what stands at last then may be another leader's.
func (p *Partition) Committed(acks int16, last int64) bool {
	if acks == -1 && (p.hw.Load() <= last || !p.leads()) {
		return false
	}
	every := p.flushEvery.Load()
	return every == math.MaxInt64 || last+1-p.log.Bounds().Flushed < every
}
