package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// stages run one upon another: each has a context of its own, and they stop in the reverse order of their start.
type stages struct {
	ctx   context.Context // without the cancellation of the node's: stages end when they are told
	list  []*stage
	fail  chan struct{}
	once  sync.Once
	first atomic.Pointer[error]
}

type stage struct {
	name   string
	cancel context.CancelFunc
	ended  chan struct{}
	err    error
}

func newStages(ctx context.Context) *stages {
	return &stages{ctx: context.WithoutCancel(ctx), fail: make(chan struct{})}
}

// start runs a stage. One that ends with an error makes failed receive.
func (g *stages) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(g.ctx)
	s := &stage{name: name, cancel: cancel, ended: make(chan struct{})}
	g.list = append(g.list, s)
	go func() {
		defer close(s.ended)
		if s.err = run(ctx); s.err != nil {
			err := fmt.Errorf("%s: %w", name, s.err)
			g.first.CompareAndSwap(nil, &err)
			g.once.Do(func() { close(g.fail) })
		}
	}()
}

// failed is closed when a stage has ended with an error.
func (g *stages) failed() <-chan struct{} { return g.fail }

// err is the first error that a stage ended with.
func (g *stages) err() error {
	if e := g.first.Load(); e != nil {
		return *e
	}
	return nil
}

// stop ends the stages, the last one first, and returns the first error that one ended with.
func (g *stages) stop() error {
	for _, s := range slices.Backward(g.list) {
		s.cancel()
		<-s.ended
	}
	return g.err()
}
