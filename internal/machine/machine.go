// Package machine holds what a shard's machine takes and what it returns. A
// machine decides and applies; it has no goroutine, clock, I/O or randomness of
// its own. Its engine (internal/coordinator) appends the records it decides on,
// applies them, and releases its replies once they are replicated.
package machine

import (
	"math/rand/v2"
	"time"
)

// Ticket names one caller that waits for a reply. The engine gives every
// decision its own; 0 is no caller.
type Ticket uint64

// Env is what a decision may know of the world.
type Env struct {
	Now    time.Time
	Rand   *rand.Rand
	Ticket Ticket // the caller of this decision
}

// Record is one record of a shard's log: a key, and a value or nil for a tombstone.
// The bytes belong to whoever holds the Record and are not changed.
type Record struct {
	Key, Value []byte
}

// Reply answers the caller To. Body is the response, a pointer to one of wire's messages.
type Reply struct {
	To   Ticket
	Body any
}

// Output is what a decision asks of its engine: append Records together, then
// Apply each of them; release Replies when the high watermark has passed them
// (at once when the log's end has been passed already and there are none).
type Output struct {
	Records []Record
	Replies []Reply
}

// Reply adds an answer to the output.
func (o *Output) Reply(to Ticket, body any) {
	if to != 0 {
		o.Replies = append(o.Replies, Reply{To: to, Body: body})
	}
}

// Machine is one shard's state.
type Machine interface {
	// Apply is the only change of durable state. An unknown record type is an error that stops the shard.
	Apply(Record) error
	// Expire returns what the passing of time decides at now.
	Expire(now time.Time, rand *rand.Rand) Output
	// NextExpiry is when Expire has something to decide next; the zero time when never.
	NextExpiry() time.Time
	// Snapshot calls emit for every record that, applied to a fresh machine, gives this durable state.
	Snapshot(emit func(Record))
}
