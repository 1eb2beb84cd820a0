package api

import (
	"context"
	"time"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// Epochs of a fetch request that are no place in a session (KIP-227).
const (
	initialFetchEpoch = 0  // make a session
	finalFetchEpoch   = -1 // without a session; the one that is named is closed
)

// oldestZstdFetch is the first version of Fetch that may carry zstd (KIP-110).
const oldestZstdFetch = 10

// fetch answers what is there, or parks the reply until there is enough.
func (b *Broker) fetch(_ context.Context, c *rpc.Call, r *rpc.Reply) {
	var q wire.FetchReader
	if err := q.Open(c.Body, c.Header.Version); err != nil {
		refuse(r, err)
		return
	}
	if q.ReplicaID >= 0 && !c.Conn.Internal {
		b.Logger.Warn("a Fetch with a replica's id came in by a client listener and was refused", "event", "replica_fetch_refused", "replica", q.ReplicaID, "remote", c.Conn.Remote)
		b.errors.count(keyFetch, int16(code.ClusterAuthorizationFailed))
		failFetch(c, r, &q, code.ClusterAuthorizationFailed)
		return
	}
	f, err := b.openFetch(c, &q)
	if err != nil {
		b.errors.count(keyFetch, int16(code.Of(err)))
		failFetch(c, r, &q, err)
		return
	}
	defer f.mu.Unlock()
	f.ask(c, &q)
	f.poll()
	now := c.Arrived
	if f.enough() || q.MaxWaitMs <= 0 {
		f.answer(r)
		return
	}
	f.deadline = now.Add(time.Duration(q.MaxWaitMs) * time.Millisecond)
	if !f.session { // a session's watches are there already
		f.watchAll()
		if f.poll(); f.enough() {
			f.answer(r)
			return
		}
	}
	f.busy = true
	r.Park(f)
}

// openFetch finds or makes what the request's partitions are kept in, and returns it locked.
func (b *Broker) openFetch(c *rpc.Call, q *wire.FetchReader) (*fetch, error) {
	byID := c.Header.Version >= 13
	switch {
	case q.SessionEpoch == finalFetchEpoch || q.SessionEpoch == initialFetchEpoch:
		if q.SessionID != 0 {
			b.sessions.close(q.SessionID)
		}
		var f *fetch
		if q.SessionEpoch == initialFetchEpoch {
			f = b.sessions.open(b, c.Arrived, q.Partitions())
		}
		if f == nil {
			f = b.fetches.Get().(*fetch)
		}
		f.mu.Lock()
		f.byID, f.full = byID, true
		return f, nil
	}
	f := b.sessions.use(q.SessionID, c.Arrived)
	if f == nil {
		return nil, code.FetchSessionIdNotFound
	}
	f.mu.Lock()
	switch {
	case f.closed:
		f.mu.Unlock()
		return nil, code.FetchSessionIdNotFound
	case f.epoch != q.SessionEpoch || f.busy:
		f.mu.Unlock()
		return nil, code.InvalidFetchSessionEpoch
	case f.byID != byID:
		f.mu.Unlock()
		return nil, code.FetchSessionTopicIdError
	}
	f.full = false
	if f.epoch++; f.epoch <= 0 { // after the greatest epoch comes 1
		f.epoch = 1
	}
	return f, nil
}

// failFetch answers a request that fails as a whole: by the error of the response, or before version 7, which
// has none, by that of every partition.
func failFetch(c *rpc.Call, r *rpc.Reply, q *wire.FetchReader, err error) {
	var w wire.FetchResponseWriter
	e := int16(code.Of(err))
	if c.Header.Version >= 7 {
		w.Begin(r.Buf, c.Header.Version, 0, e, 0, 0)
		r.Buf = w.End(nil)
		return
	}
	w.Begin(r.Buf, c.Header.Version, 0, 0, 0, q.Partitions())
	for {
		p, ok := q.Next()
		if !ok {
			break
		}
		w.Topic(p.Topic, p.TopicID, 1)
		var d wire.FetchResponsePartitionData
		d.Default()
		d.PartitionIndex, d.ErrorCode, d.HighWatermark, d.Records, d.AbortedTransactions = p.Partition, e, -1, noRecords, nil
		w.Partition(&d)
	}
	r.Buf = w.End(nil)
}

// noRecords is an empty set of records, which is not a null one.
var noRecords = []byte{}

// readable says what a connection may not read; asked once for each partition of a request that names it.
func (b *Broker) readable(conn *rpc.Conn, topic string) error {
	if !b.Authorizer.Allowed(conn.Principal, conn.Remote, auth.Read, auth.Topic, topic) {
		return code.TopicAuthorizationFailed
	}
	return nil
}

// older makes data fit a fetcher that is older than its format: message sets for
// versions before 4, and no zstd before version 10. It returns the bytes to send.
func (f *fetch) older(p *fetchPart, data []byte) ([]byte, error) {
	if f.version >= 4 {
		return withoutZstd(data)
	}
	magic := int8(1)
	if f.version < 2 {
		magic = 0
	}
	out, _, err := record.ConvertDown(nil, data, magic, p.offset, int(p.maxBytes), record.OutputLimit(p.partition.Log().Options().MaxMessageBytes), f.b.Codecs)
	return out, err
}

// withoutZstd cuts data before its first batch of zstd; with that one first there is nothing to give.
func withoutZstd(data []byte) ([]byte, error) {
	for at := 0; ; {
		b, _, err := record.Next(data[at:])
		if err != nil {
			return data, nil
		}
		if b.Codec() == record.Zstd {
			if at == 0 {
				return nil, code.UnsupportedCompressionType
			}
			return data[:at], nil
		}
		at += len(b)
	}
}

// configKeysOfFetch are the keys that Fetch obeys.
func configKeysOfFetch() []config.Key {
	return []config.Key{
		{Name: "fetch.max.bytes", Scope: config.Broker, Kind: config.Int, Default: "57671680", Check: config.Range(1024, 1<<31-1),
			Doc: "The most bytes of records that one Fetch response carries; its first batch is sent whole even when it is larger."},
		{Name: "max.incremental.fetch.session.cache.slots", Scope: config.Broker, Kind: config.Int, Default: "1000", Check: config.Range(0, 1<<31-1),
			Doc: "How many fetch sessions are kept at the same time; a fetcher that finds no room names all its partitions in every request."},
	}
}
