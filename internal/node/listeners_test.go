package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/wire"
)

// where is the address that a client on the connection is told.
func (r *raw) where() string {
	r.t.Helper()
	m := ask[*wire.MetadataResponse](r, wire.NewMetadataRequest(), 9)
	if len(m.Brokers) != 1 {
		r.t.Fatalf("%d brokers", len(m.Brokers))
	}
	return net.JoinHostPort(m.Brokers[0].Host, strconv.Itoa(int(m.Brokers[0].Port)))
}

func TestEveryClientIsToldTheAddressItUsed(t *testing.T) {
	n := boot(t, plan{dir: t.TempDir(), listen: "localhost:0"})
	_, port, err := net.SplitHostPort(n.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		if host == "::1" {
			l, err := net.Listen("tcp", "[::1]:0")
			if err != nil {
				t.Logf("no IPv6 here: %v", err)
				continue
			}
			l.Close()
		}
		addr := net.JoinHostPort(host, port)
		if told := dialRaw(t, addr).where(); told != addr {
			t.Errorf("a client that used %s is told %s", addr, told)
		}
	}
}

// freePort is a port that nobody listens on just now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestListenersByName(t *testing.T) {
	ports := [3]int{freePort(t), freePort(t), freePort(t)}
	file := fmt.Sprintf(`
process.roles=broker,controller
node.id=7
controller.quorum.voters=7@127.0.0.1:%d
listeners=INSIDE://127.0.0.1:%d,OUTSIDE://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d
advertised.listeners=INSIDE://127.0.0.1:%d,OUTSIDE://broker.example:9999
listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=INSIDE
log.dirs=%s
admin.listener=
`, ports[2], ports[0], ports[1], ports[2], ports[0], t.TempDir())
	cfg, err := node.Read(node.Source{File: "server.properties", Data: []byte(file)})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(cfg, node.OSHost(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-n.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	at := func(i int) *raw { return dialRaw(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))) }
	if told := at(0).where(); told != fmt.Sprint("127.0.0.1:", ports[0]) {
		t.Errorf("INSIDE is told %s", told)
	}
	if told := at(1).where(); told != "broker.example:9999" {
		t.Errorf("OUTSIDE is told %s", told)
	}
	// What clients ask for is not served to them on the controller's listener.
	c := at(2)
	c.send(produceRequest("x", 0, -1, plain(t, "x")), 9)
	if got := c.closed(); len(got) != 0 {
		t.Errorf("the controller's listener answers a Produce with %x", got)
	}
}
