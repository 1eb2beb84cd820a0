// Package klamm is a broker of Apache Kafka's protocol inside a Go process: for tests that want
// a real one, and for programs that bring their own.
//
//	b, err := klamm.Start(ctx, klamm.Options{Topics: []klamm.Topic{{Name: "orders"}}})
//	...
//	defer b.Close()
//	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.Dialer(b.Dialer()))
//
// It is the broker that the klamm command runs, with its consumer groups, idempotent producers and
// retention. It keeps its data in memory or in a directory. Any number of brokers run side by side;
// they share nothing. Any client of any language reaches one at Addr, and a client of the same
// process that can be given a dialer reaches it without a socket. In memory and with
// Options.DialerOnly a broker and its clients live in a bubble of testing/synctest, where hours pass
// at once.
package klamm

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/klamm/klamm/internal/faults"
	"github.com/klamm/klamm/internal/memnet"
	"github.com/klamm/klamm/internal/node"
)

// Broker is a broker that runs in this process, a cluster of its own. Its methods may be called concurrently.
type Broker struct {
	// The node is not among these: what it keeps in memory goes with it when it has ended.
	info   node.Info
	memory *memnet.Listener
	faults *faults.Faults
	cancel context.CancelFunc
	done   chan struct{} // closed when the broker has ended
	err    error         // why it ended; read after done
}

// Start starts a broker and returns when clients can produce and consume, and the topics of o are
// there. The broker runs until Close or Stop is called or ctx ends, whichever is first.
//
// The error names the option that cannot be, and what to write instead.
func Start(ctx context.Context, o Options) (*Broker, error) {
	cfg, err := o.config()
	if err != nil {
		return nil, err
	}
	b := &Broker{memory: memnet.Listen(memoryAddr), faults: &faults.Faults{}, done: make(chan struct{})}
	for i, f := range o.Faults {
		if _, err := b.faults.Add(faults.Fault(f)); err != nil {
			return nil, fmt.Errorf("klamm: Options.Faults[%d]: %w", i, err)
		}
	}
	host := node.OSHost()
	if o.Dir == "" {
		host = node.MemHost()
	}
	host.Interceptor = b.faults
	host.Listen = b.listen
	metrics := &metrics{to: o.registerer()}
	n, err := node.New(cfg, host, o.logger(), metrics)
	if err != nil {
		return nil, o.explain(err)
	}
	running, cancel := context.WithCancel(ctx)
	b.cancel = cancel
	go func() {
		defer close(b.done)
		defer cancel()
		defer metrics.forget()
		b.err = n.Run(running)
	}()
	err = b.begin(ctx, n, o)
	if clash := metrics.failure(); clash != nil {
		err = clash // whatever else it has led to
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// begin waits until the broker is ready and makes its topics.
func (b *Broker) begin(ctx context.Context, n *node.Node, o Options) error {
	select {
	case <-n.Ready():
		b.info = n.Info()
	case <-b.done:
		if b.err == nil {
			return fmt.Errorf("klamm: the broker was stopped before it had started: %w", context.Cause(ctx))
		}
		err := o.explain(b.err)
		b.err = nil // it is told here
		return err
	}
	topics := make([]node.Topic, len(o.Topics))
	for i, t := range o.Topics {
		topics[i] = node.Topic(t)
	}
	if err := n.CreateTopics(ctx, topics); err != nil {
		return fmt.Errorf("klamm: Options.Topics: %w", err)
	}
	return nil
}

// listen opens the sockets of the broker's listener, the one in memory among them.
func (b *Broker) listen(network, addr string) (net.Listener, error) {
	if host, _, err := net.SplitHostPort(addr); err == nil && host == memoryHost {
		return b.memory, nil
	}
	return net.Listen(network, addr)
}

// Addr returns where clients reach the broker, host:port with the port that was bound. With
// Options.DialerOnly it is a name that means something to Dialer alone.
func (b *Broker) Addr() string { return b.info.Addr }

// ClusterID returns the id of the broker's cluster. In a directory it stays the same from one start to the next.
func (b *Broker) ClusterID() string { return b.info.ClusterID }

// Dialer returns a function that connects to this broker without a socket, whatever address it is
// asked for, in the form that kgo.Dialer takes. A client that has it reaches no other broker.
func (b *Broker) Dialer() func(ctx context.Context, network, host string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return b.memory.Dial(ctx) }
}

// Inject puts a fault in force and returns what takes it away again, which may be called more than
// once. Faults that were put in force earlier come first. The error names the field that cannot be.
func (b *Broker) Inject(f Fault) (remove func(), err error) {
	if remove, err = b.faults.Add(faults.Fault(f)); err != nil {
		return nil, fmt.Errorf("klamm: Inject: %w", err)
	}
	return remove, nil
}

// Close stops the broker as Stop does, for as long as it takes: a few seconds at most.
func (b *Broker) Close() error { return b.Stop(context.Background()) }

// Stop stops the broker in good order: it takes no new connections, answers what it owes, and leaves
// its data as the next Start expects it. It returns the error that the broker ended with, which is nil
// for one that did well, however often it is called. When ctx ends first it returns that, and the
// broker goes on stopping.
func (b *Broker) Stop(ctx context.Context) error {
	b.cancel()
	select {
	case <-b.done:
		return b.err
	default:
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("klamm: the broker still stops: %w", context.Cause(ctx))
	}
}

// Done is closed when the broker has ended, by itself or because it was stopped.
func (b *Broker) Done() <-chan struct{} { return b.done }

// Err returns nil while the broker runs and after it has stopped in good order, and the error that ended it otherwise.
func (b *Broker) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}
