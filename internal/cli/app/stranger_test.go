package app

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// answers listens as somebody who is no broker, and answers the first bytes of each connection with reply; a nil
// one is silence.
func answers(t *testing.T, reply []byte) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if reply != nil {
						_, _ = conn.Write(reply)
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

// ask asks for the topics as a command does.
func ask(a *App) *Failure {
	c := &cobra.Command{}
	c.SetContext(context.Background())
	err := a.Admin(c, func(ctx context.Context, adm *kadm.Client) error {
		if _, err := adm.ListTopics(ctx); err != nil {
			return Failed(err, "the topics could not be listed")
		}
		return nil
	})
	if err == nil {
		return nil
	}
	return Explain(err)
}

func TestWhoIsNoBrokerIsCalledSo(t *testing.T) {
	for _, c := range []struct {
		name       string
		reply      []byte
		properties []string
		why, try   string
	}{
		{"HTTP", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), nil, "HTTP server", "port of a broker"},
		{"a TLS alert", []byte{0x15, 3, 3, 0, 2, 2, 40, 0}, nil, "what answers speaks TLS", "security.protocol=SSL"},
		{"noise of a large size", []byte("\x70aaaaaaaa"), nil, "does not speak as a Kafka broker", "another broker"},
		{"noise of a negative size", []byte("\xf0aaaaaaaa"), nil, "does not speak as a Kafka broker", "another broker"},
		{"the end at once", []byte{}, nil, "connection was closed at once", "SASL_SSL"},
		{"no TLS", []byte("hello, this is something else"), []string{"security.protocol=SSL"}, "TLS was asked for", "PLAINTEXT"},
		{"no SASL", []byte{}, []string{"security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN", "sasl.username=u", "sasl.password=p"}, "connection was closed at once", "PLAINTEXT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := testApp(nil)
			a.brokers, a.properties = answers(t, c.reply), c.properties
			f := ask(a)
			if f == nil || f.Code != CodeUnreachable || f.Exit != ExitFailed || !strings.Contains(f.Why, c.why) || !strings.Contains(f.Try, c.try) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestSilenceEndsWithTheTimeoutAndExitCode5(t *testing.T) {
	a := testApp(nil)
	a.brokers, a.timeout = answers(t, nil), timeoutFlag(300*time.Millisecond)
	began := time.Now()
	f := ask(a)
	if f == nil || f.Code != CodeTimeout || f.Exit != ExitTimeout || !strings.Contains(f.Why, "no answer within 300 ms from "+a.brokers) {
		t.Errorf("%+v", f)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAnAddressThatCannotBeIsRefusedBeforeItIsDialled(t *testing.T) {
	for addr, want := range map[string]string{
		"localhost:":        "the port is",
		"localhost:abc":     "the port is",
		"localhost:99999":   "from 1 to 65535",
		"a b":               "no name of a host",
		"http://localhost":  "begins with http://",
		"a:b:c":             "a host and a port",
		"localhost:0":       "from 1 to 65535",
		"good:1,localhost:": "the port is",
	} {
		a := testApp(nil)
		a.brokers = addr
		_, _, err := a.Seeds()
		if err == nil {
			t.Errorf("%s is accepted", addr)
			continue
		}
		if f := Explain(err); f.Exit != ExitUsage || f.Try == "" || !strings.Contains(f.Why, want) {
			t.Errorf("%s: %+v", addr, f)
		}
	}
	for addr, want := range map[string]string{"::1": "[::1]:9092", "[::1]": "[::1]:9092", "[fe80::1]:9093": "[fe80::1]:9093", "10.0.0.1": "10.0.0.1:9092"} {
		a := testApp(nil)
		a.brokers = addr
		if addrs, _, err := a.Seeds(); err != nil || strings.Join(addrs, ",") != want {
			t.Errorf("%s: %v %v", addr, addrs, err)
		}
	}
}
