package run

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/node"
)

// block is what a person would read.
func block(d dev, env map[string]string, i node.Info, addr string) string {
	var b bytes.Buffer
	d.app = &app.App{Env: func(k string) string { return env[k] }}
	d.readyBlock(&b, i, addr)
	return b.String()
}

func TestTheReadyBlockSaysWhatIsTrue(t *testing.T) {
	fresh := node.Info{ClusterID: "abc", New: true, Addr: "127.0.0.1:9092", Free: 61e9, ReadyIn: 12 * time.Millisecond}
	for _, c := range []struct {
		name      string
		text      string
		has, lack []string
	}{
		{"new", block(dev{dir: "./klamm-data"}, nil, fresh, "localhost:9092"),
			[]string{`new cluster "abc"`, "ready in 12 ms", "localhost:9092", "61 GB free", "kept after Ctrl-C", "\n    klamm topic create orders -p 6\n", "./klamm-data"}, []string{"Metrics", "export", "\x1b"}},
		{"restarted", block(dev{dir: "d", admin: "127.0.0.1:9644"}, nil, node.Info{ClusterID: "abc", Topics: 3, Bytes: 1.2e9, Admin: "127.0.0.1:9644"}, clientAddr("localhost:0", "127.0.0.1:4711")),
			[]string{`restarted cluster "abc", 3 topics, 1.2 GB`, "localhost:4711", "http://127.0.0.1:9644/metrics"}, []string{"export"}},
		{"another address in the environment", block(dev{dir: "d"}, map[string]string{"KLAMM_BROKERS": "other:1"}, fresh, "localhost:9092"),
			[]string{"export KLAMM_BROKERS=localhost:9092", "other:1"}, nil},
		{"the admin port is another's", block(dev{dir: "d", admin: "127.0.0.1:9644"}, nil, fresh, "localhost:9092"), []string{"Metrics     none, as 127.0.0.1:9644 is taken"}, []string{"http://"}},
		{"ephemeral", block(dev{dir: "/memory", ephemeral: true}, nil, fresh, "localhost:9092"), []string{"in memory", "gone after Ctrl-C"}, []string{"kept", "klamm.log"}},
	} {
		for _, want := range c.has {
			if !strings.Contains(c.text, want) {
				t.Errorf("%s lacks %q:\n%s", c.name, want, c.text)
			}
		}
		for _, no := range c.lack {
			if strings.Contains(c.text, no) {
				t.Errorf("%s has %q:\n%s", c.name, no, c.text)
			}
		}
	}
}

func TestATakenPortNamesItsHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = net.Listen("tcp", l.Addr().String())
	wrapped := fmt.Errorf("listener PLAINTEXT cannot listen: port is taken by process 1; stop it: %w", err)
	d := dev{listen: "localhost:19092", dir: "x"}
	f := app.StartFailure(wrapped, "the node", d.elsewhere(true), "klamm dev --data-dir ANOTHER")
	if !strings.Contains(f.What, "is taken") || f.Try != "klamm dev --data-dir x --listen localhost:29092" || strings.Contains(f.Why, "stop it") {
		t.Errorf("%+v", f)
	}
	if d := (&dev{listen: "localhost:9092", ephemeral: true}); d.elsewhere(false) != "klamm dev --ephemeral --listen localhost:19092" {
		t.Error(d.elsewhere(false))
	}
	f = app.StartFailure(errors.New("mkdir x: permission denied"), "the node", "", "klamm dev --data-dir ANOTHER")
	if f.What != "the node could not start" || f.Try != "klamm dev --data-dir ANOTHER" {
		t.Errorf("%+v", f)
	}
}
