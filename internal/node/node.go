// Package node builds and runs one broker and controller from a Config, and reads a Config from a file in Kafka's format.
package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Node is one broker and controller.
type Node struct{}

// Info is what a ready node says of itself.
type Info struct {
	// ClusterID is the cluster's id.
	ClusterID string
	// New says that this start made the cluster.
	New bool
	// Topics and Bytes are how many topics there are and what their logs hold.
	Topics int
	Bytes  int64
	// Addr is the first client listener's address, host:port with the port that was bound.
	Addr string
	// Free is how many bytes are free where the first log directory is.
	Free int64
	// ReadyIn is how long the start took.
	ReadyIn time.Duration
}

// New builds a node and starts nothing.
func New(cfg Config, h Host, log *slog.Logger, reg prometheus.Registerer) (*Node, error) {
	return nil, errors.New("node: not wired yet")
}

// Run starts the node, and stops it in good order when ctx ends. It returns the error that stopped it, or nil.
func (n *Node) Run(ctx context.Context) error { return nil }

// Ready is closed when clients can produce and consume.
func (n *Node) Ready() <-chan struct{} { return nil }

// Info describes the node; call it after Ready.
func (n *Node) Info() Info { return Info{} }
