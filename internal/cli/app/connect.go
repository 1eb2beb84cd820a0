package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

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

// target is what is connected to.
type target struct {
	addrs   []string
	from    string // who named it
	profile string // the profile that is used, or ""
	protect bool
	colour  string
	conn    *connection
}

// target finds out what to connect to: the flags before the environment, before the profile in use, before a
// node that runs here, before localhost:9092.
func (a *App) target() (*target, error) {
	if a.found != nil {
		return a.found, nil
	}
	name, p, asked, err := a.chosen()
	if err != nil {
		return nil, err
	}
	said, err := a.said()
	if err != nil {
		return nil, err
	}
	t := &target{}
	for _, c := range []struct {
		value func() string
		from  string
	}{
		{func() string { return cmp.Or(a.brokers, a.moreBrokers) }, "--brokers"},
		{func() string { return cmp.Or(said["bootstrap.servers"], said["metadata.broker.list"]) }, "-X"},
		{func() string { return only(asked, p.Brokers) }, "profile " + name},
		{func() string { return a.Env("KLAMM_BROKERS") }, "KLAMM_BROKERS"},
		{func() string { return a.Env("KAFKA_BOOTSTRAP_SERVERS") }, "KAFKA_BOOTSTRAP_SERVERS"},
		{func() string { return only(name != "", p.Brokers) }, "profile " + name},
		{func() string { return a.localBroker() }, "the node that runs here"},
		{func() string { return DefaultBroker }, "the default"},
	} {
		if t.addrs = SplitBrokers(c.value()); len(t.addrs) > 0 {
			t.from = c.from
			break
		}
	}
	for _, addr := range t.addrs {
		if err := checkAddr(addr); err != nil {
			return nil, &Failure{Exit: ExitUsage, Code: CodeUsage, What: fmt.Sprintf("%s (from %s) is no address of a broker", addr, t.from), Why: err.Error(), Try: "HOST:PORT, or HOST for port 9092"}
		}
	}
	properties := map[string]string{}
	if name != "" && (asked || t.from == "profile "+name) {
		t.profile, t.protect, t.colour = name, p.Protect, p.Colour
		maps.Copy(properties, p.Properties)
	}
	maps.Copy(properties, said)
	if t.conn, err = clientOptions(properties); err != nil {
		return nil, &Failure{Exit: ExitUsage, Code: CodeUsage, What: "a property of the client cannot be used", Why: err.Error(), Try: "-X NAME=VALUE in librdkafka's names or Java's; klamm profile edit for those of a profile"}
	}
	a.found = t
	return t, nil
}

// only is the addresses of a profile, where it counts.
func only(counts bool, brokers []string) string {
	if !counts {
		return ""
	}
	return strings.Join(brokers, ",")
}

// said is what -X says.
func (a *App) said() (map[string]string, error) {
	said := map[string]string{}
	for _, kv := range a.properties {
		k, v, ok := strings.Cut(kv, "=")
		if !ok || strings.TrimSpace(k) == "" {
			return nil, &Failure{Exit: ExitUsage, Code: CodeUsage, What: fmt.Sprintf("-X %s: not of the form key=value", kv), Try: "-X client.id=me"}
		}
		said[strings.TrimSpace(k)] = v
	}
	maps.Copy(said, a.more)
	return said, nil
}

// SetConnection is --brokers and -X for commands that read their own flags, and for Apps of another command's
// making. An empty brokers says nothing.
func (a *App) SetConnection(brokers string, properties map[string]string) {
	a.moreBrokers, a.more, a.found = brokers, properties, nil
}

// Seeds returns the brokers to ask first and where they are named.
func (a *App) Seeds() (addrs []string, from string, err error) {
	t, err := a.target()
	if err != nil {
		return nil, "", err
	}
	return t.addrs, t.from, nil
}

// checkAddr refuses an address that cannot be connected to, whoever listens.
func checkAddr(addr string) error {
	if scheme, _, ok := strings.Cut(addr, "://"); ok {
		return fmt.Errorf("it begins with %s://, which the address of a broker does not", scheme)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New("a host and a port are expected, and brackets around an IPv6 address")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("the port is %q, and must be a number from 1 to 65535", port)
	}
	if strings.ContainsFunc(host, unicode.IsSpace) || strings.ContainsAny(host, "/@") {
		return fmt.Errorf("%q is no name of a host", host)
	}
	return nil
}

// SplitBrokers reads host:port[,host:port]; a host alone means port 9092.
func SplitBrokers(s string) (addrs []string) {
	for _, s := range strings.Split(s, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil || !strings.Contains(s, ":") {
			s = net.JoinHostPort(strings.Trim(s, "[]"), "9092")
		}
		addrs = append(addrs, s)
	}
	return addrs
}

// Client connects to the cluster. It fails within seconds when nobody answers. Close it.
func (a *App) Client(ctx context.Context, c *cobra.Command, opts ...kgo.Opt) (*kgo.Client, error) {
	t, err := a.target()
	if err != nil {
		return nil, err
	}
	addrs, from := t.addrs, t.from
	if a.verbose {
		a.Say("brokers: %s (from %s)", strings.Join(addrs, ","), from)
		if len(t.conn.ignored) > 0 {
			a.Say("without effect here: %s", strings.Join(t.conn.ignored, ", "))
		}
	}
	if t.protect && Changes(c) {
		a.Say("%s", a.Paint(a.Err, cmp.Or(t.colour, "red"), "profile "+t.profile+" (protected)"))
	}
	cl, err := kgo.NewClient(slices.Concat([]kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.ClientID("klamm-cli"),
		kgo.DialTimeout(max(min(5*time.Second, a.Timeout()), time.Millisecond)),
		// The library waits for answers by this limit alone where it asks for metadata, whatever the context says.
		kgo.RequestTimeoutOverhead(max(min(10*time.Second, a.Timeout()), 100*time.Millisecond)),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.UnknownTopicRetries(5),
		kgo.DisableClientMetrics(),
	}, t.conn.opts, opts)...)
	if err != nil {
		return nil, Usage(c, "%s", err)
	}
	if err := a.ping(ctx, addrs); err != nil {
		cl.Close()
		return nil, Failed(err, "no broker answers at %s (from %s)", strings.Join(addrs, ","), from)
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
	return a.inTime(ctx, f(ctx, cl, a.AdminOf(cl)))
}

// inTime says of what failed because --timeout was over that it was that, in whichever words it came. The library
// gives up a moment before ctx ends where it sees that nothing can come any more.
func (a *App) inTime(ctx context.Context, err error) error {
	const moment = 50 * time.Millisecond
	if end, ok := ctx.Deadline(); err == nil || !ok || time.Until(end) > moment {
		return err
	}
	f := Explain(err)
	if f.Code == CodeTimeout || f.Code == CodeUnreachable {
		f.Exit, f.Code, f.Try = ExitTimeout, CodeTimeout, tryTimeout
		f.Why = fmt.Sprintf("no answer within %s from %s", DurationText(a.Timeout()), strings.Join(a.found.addrs, ","))
	}
	return f
}

// AdminOf is kadm over a client, with the timeouts of this App.
func (a *App) AdminOf(cl *kgo.Client) *kadm.Client {
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(int32(min(a.Timeout(), 15*time.Second).Milliseconds()))
	return adm
}

// Said is what --brokers and -X of this command line say, for a profile that is made of them.
func (a *App) Said() (brokers string, properties map[string]string, err error) {
	said, err := a.said()
	if err != nil {
		return "", nil, err
	}
	brokers = cmp.Or(a.brokers, said["bootstrap.servers"], said["metadata.broker.list"])
	delete(said, "bootstrap.servers")
	delete(said, "metadata.broker.list")
	return brokers, said, nil
}
