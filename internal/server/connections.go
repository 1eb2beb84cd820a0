package server

import (
	"net"
	"time"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/rpc"
)

// Connection is what the server tells of one connection, at one moment.
type Connection struct {
	// ID is the connection's number, which no other of this server has.
	ID       uint64
	Listener string
	Remote   net.Addr
	// Principal is who it is.
	Principal auth.Principal
	// ClientID is that of the last request, and Software what ApiVersions told; empty before.
	ClientID string
	Software rpc.ClientSoftware
	// Since is when it was accepted.
	Since time.Time
	// Did is what it did, to be read while it goes on.
	Did *rpc.Activity
}

// Connections calls visit for every connection, in no order and without a lock. What visit is handed is its own
// until it returns.
func (s *Server) Connections(visit func(c *Connection)) {
	var told Connection
	s.each(func(c *conn) {
		told = Connection{ID: c.ID, Listener: c.Listener, Remote: c.Remote, Principal: c.Principal, Since: c.since, Did: &c.Did}
		if who := c.who.Load(); who != nil {
			told.ClientID, told.Software = who.client, who.software
		}
		visit(&told)
	})
}
