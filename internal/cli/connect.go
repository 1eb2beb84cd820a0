package cli

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

// defaultBroker is where klamm dev listens.
const defaultBroker = "localhost:9092"

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
	d, err := time.ParseDuration(s)
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

// seeds returns the brokers to ask first and where they are named: flag, environment, or the default.
func (a *app) seeds() (addrs []string, from string) {
	for _, c := range []struct{ value, from string }{
		{a.brokers, "--brokers"},
		{a.env("KLAMM_BROKERS"), "KLAMM_BROKERS"},
		{a.env("KAFKA_BOOTSTRAP_SERVERS"), "KAFKA_BOOTSTRAP_SERVERS"},
	} {
		for _, s := range strings.Split(c.value, ",") {
			if s = strings.TrimSpace(s); s == "" {
				continue
			}
			if _, _, err := net.SplitHostPort(s); err != nil && !strings.Contains(s, ":") {
				s += ":9092"
			}
			addrs = append(addrs, s)
		}
		if len(addrs) > 0 {
			return addrs, c.from
		}
	}
	return []string{defaultBroker}, "the default"
}

// client connects to the cluster. It fails within seconds when nobody answers. Close it.
func (a *app) client(ctx context.Context, c *cobra.Command, opts ...kgo.Opt) (*kgo.Client, error) {
	addrs, from := a.seeds()
	if a.verbose {
		a.say("brokers: %s (from %s)", strings.Join(addrs, ","), from)
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.ClientID("klamm-cli"),
		kgo.DialTimeout(5 * time.Second),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.UnknownTopicRetries(5),
	}, opts...)...)
	if err != nil {
		return nil, usage(c, "%s", err)
	}
	if err := a.ping(ctx, addrs); err != nil {
		cl.Close()
		f := failed(err, "no broker answers at %s (from %s)", strings.Join(addrs, ","), from)
		if f.code != codeTimeout {
			f.code, f.try = codeUnreachable, "klamm dev   # or name another broker with -b HOST:PORT"
		}
		return nil, f
	}
	return cl, nil
}

// ping finds out early whether anybody listens, as the client library would try for long.
func (a *app) ping(ctx context.Context, addrs []string) error {
	ctx, cancel := context.WithTimeout(ctx, min(5*time.Second, a.timeout.duration()))
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

// admin runs f with a client for questions and changes, within --timeout.
func (a *app) admin(c *cobra.Command, f func(context.Context, *kadm.Client) error) error {
	ctx, cancel := context.WithTimeout(c.Context(), a.timeout.duration())
	defer cancel()
	cl, err := a.client(ctx, c, kgo.RetryTimeout(a.timeout.duration()))
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(int32(min(a.timeout.duration(), 15*time.Second).Milliseconds()))
	return f(ctx, adm)
}
