package app

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// DefaultBroker is where klamm dev listens.
const DefaultBroker = "localhost:9092"

// timeoutFlag is --timeout: how long a command that asks brokers may take; 30 s when unset.
type timeoutFlag time.Duration

// String returns the duration, for the help.
func (t *timeoutFlag) String() string {
	if *t == 0 {
		return "30s"
	}
	return time.Duration(*t).String()
}

// Set parses a duration above zero.
func (t *timeoutFlag) Set(s string) error {
	d, err := ParseDuration(s)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration such as 30s or 1m", s)
	}
	*t = timeoutFlag(d)
	return nil
}

// Type names the value, for the help.
func (t *timeoutFlag) Type() string { return "duration" }

// duration is the limit to use.
func (t timeoutFlag) duration() time.Duration {
	if t == 0 {
		return 30 * time.Second
	}
	return time.Duration(t)
}

// Seeds returns the brokers to ask first and where they are named: flag, environment, profile, or the default.
func (a *App) Seeds() (addrs []string, from string) {
	for _, c := range []struct{ value, from string }{
		{a.brokers, "--brokers"},
		{a.Env("KLAMM_BROKERS"), "KLAMM_BROKERS"},
		{a.Env("KAFKA_BOOTSTRAP_SERVERS"), "KAFKA_BOOTSTRAP_SERVERS"},
	} {
		if addrs = SplitBrokers(c.value); len(addrs) > 0 {
			return addrs, c.from
		}
	}
	return []string{DefaultBroker}, "the default"
}

// SplitBrokers reads host:port[,host:port]; a host alone means port 9092.
func SplitBrokers(s string) (addrs []string) {
	for _, s := range strings.Split(s, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(s); err != nil && !strings.Contains(s, ":") {
			s += ":9092"
		}
		addrs = append(addrs, s)
	}
	return addrs
}

// Client connects to the cluster. It fails within seconds when nobody answers. Close it.
func (a *App) Client(ctx context.Context, c *cobra.Command, opts ...kgo.Opt) (*kgo.Client, error) {
	addrs, from := a.Seeds()
	if a.verbose {
		a.Say("brokers: %s (from %s)", strings.Join(addrs, ","), from)
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.ClientID("klamm-cli"),
		kgo.DialTimeout(5 * time.Second),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.UnknownTopicRetries(5),
		kgo.DisableClientMetrics(),
	}, opts...)...)
	if err != nil {
		return nil, Usage(c, "%s", err)
	}
	if err := a.ping(ctx, addrs); err != nil {
		cl.Close()
		f := Failed(err, "no broker answers at %s (from %s)", strings.Join(addrs, ","), from)
		if f.Code != CodeTimeout {
			f.Code, f.Try = CodeUnreachable, "klamm dev   # or name another broker with -b HOST:PORT"
		}
		return nil, f
	}
	return cl, nil
}

// ping finds out early whether anybody listens, as the client library would try for long.
func (a *App) ping(ctx context.Context, addrs []string) error {
	ctx, cancel := context.WithTimeout(ctx, min(5*time.Second, a.Timeout()))
	defer cancel()
	var err error
	for _, addr := range addrs {
		var conn net.Conn
		var d net.Dialer
		if conn, err = d.DialContext(ctx, "tcp", addr); err == nil {
			return conn.Close()
		}
	}
	return err
}

// Admin runs f with a client for questions and changes, within --timeout. adm.Client of kadm is not reachable;
// a command that needs kgo too calls AdminClient.
func (a *App) Admin(c *cobra.Command, f func(context.Context, *kadm.Client) error) error {
	return a.AdminClient(c, func(ctx context.Context, _ *kgo.Client, adm *kadm.Client) error { return f(ctx, adm) })
}

// AdminClient is Admin for commands that need the client under kadm's too.
func (a *App) AdminClient(c *cobra.Command, f func(context.Context, *kgo.Client, *kadm.Client) error, opts ...kgo.Opt) error {
	ctx, cancel := context.WithTimeout(c.Context(), a.Timeout())
	defer cancel()
	cl, err := a.Client(ctx, c, append([]kgo.Opt{kgo.RetryTimeout(a.Timeout())}, opts...)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	return f(ctx, cl, a.AdminOf(cl))
}

// AdminOf is kadm over a client, with the timeouts of this App.
func (a *App) AdminOf(cl *kgo.Client) *kadm.Client {
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(int32(min(a.Timeout(), 15*time.Second).Milliseconds()))
	return adm
}
