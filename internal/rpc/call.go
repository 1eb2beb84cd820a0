// Package rpc is what passes between the server, which knows connections, and
// the APIs, which know Kafka: a call with who made it and from where, and its
// reply as bytes and file ranges.
package rpc

import (
	"context"
	"net"
	"time"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/wire"
)

// Conn is what the APIs know of a connection. The server makes one for each.
// Its fields are set before the first call, but Client and Attach.
type Conn struct {
	ID        uint64
	Listener  string // name of the listener it came in by
	Local     net.Addr
	Remote    net.Addr
	Principal auth.Principal
	// Internal says that the listener is for brokers and controllers: only
	// there a replica id in Fetch or ListOffsets is believed (CVE-2018-1288).
	Internal bool
	// Client is the library's name and version as ApiVersions v3 and later told it; empty before.
	Client ClientSoftware
	// Attach is the APIs' own state of the connection. Calls of one connection are handled one after
	// another, but Parked.Finish runs beside them. When it is an io.Closer, it is closed once the
	// connection has ended, after the last handler and the last Finish or Drop.
	Attach any
	// Scratch is memory that handlers may keep for the next call: nil at first, it wanders between
	// connections, so that an idle one holds none. Handlers alone may use it, Parked may not.
	Scratch any
	// Did is what the connection did.
	Did Activity
}

// ClientSoftware names a client library (KIP-511).
type ClientSoftware struct{ Name, Version string }

// Call is one request. Header, Body and everything decoded from them alias the
// connection's read buffer and are valid until the handler returns; what a
// parked reply needs later is copied first.
type Call struct {
	Conn    *Conn
	Header  wire.Header
	Body    []byte
	Arrived time.Time
}

// Handler answers calls of one API. It appends a response body to r.Buf, behind
// what is there, or parks the reply. It may wait only when its API is marked Blocks.
type Handler func(ctx context.Context, c *Call, r *Reply)

// RunHandler answers a run of consecutive calls of one API on one connection;
// calls[i] is answered in replies[i].
type RunHandler func(ctx context.Context, calls []Call, replies []*Reply)

// API is one row of the table of served APIs.
type API struct {
	Key      int16
	Name     string
	Min, Max int16 // versions served and advertised
	// Blocks says that the handler may wait for disk, the controller or another
	// broker: replies before it are sent first.
	Blocks bool
	// LongPoll says that a parked reply waits because the client asked it to: up to its Deadline, or where
	// that is zero for as long as it takes, it is not slow. What it parks is an Ending.
	LongPoll bool
	// Handle answers one call; nil when Run is set.
	Handle Handler
	// Run answers consecutive calls together.
	Run RunHandler
}

// Table finds the API that serves key; nil when it is not served on that listener.
type Table interface {
	Lookup(listener string, key int16) *API
}
