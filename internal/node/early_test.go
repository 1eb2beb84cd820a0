package node_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/node"
)

// asking gathers as soon as it has been given something.
type asking struct {
	*prometheus.Registry
	t *testing.T
}

func (a asking) Register(c prometheus.Collector) error {
	if err := a.Registry.Register(c); err != nil {
		return err
	}
	if _, err := a.Gather(); err != nil {
		a.t.Error(err)
	}
	return nil
}

func (a asking) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		if err := a.Register(c); err != nil {
			a.t.Error(err)
		}
	}
}

// A program that embeds a broker has its registry scraped at any time.
func TestTheMetricsOfANodeMayBeAskedForAtAnyTime(t *testing.T) {
	cfg, err := node.Dev("/memory", "127.0.0.1:0", []string{"admin.listener="})
	if err != nil {
		t.Fatal(err)
	}
	reg := asking{prometheus.NewRegistry(), t}
	n, err := node.New(cfg, node.MemHost(), slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	for run := true; run; {
		select {
		case <-n.Ready():
			stop()
			run = false
		case err := <-ended:
			t.Fatal(err)
		default:
			if _, err := reg.Gather(); err != nil {
				t.Error(err)
			}
		}
	}
	for {
		if _, err := reg.Gather(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			if _, err := reg.Gather(); err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}
