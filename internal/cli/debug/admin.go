package debug

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// adminKey is the key of a broker's configuration that says where its admin listener is. Only Klamm has it.
const adminKey = "admin.listener"

// adminFlag gives a command --admin.
func adminFlag(c *cobra.Command) *string {
	return c.Flags().String("admin", "", "HOST:PORT of a node's admin listener (default: what the brokers say)")
}

// adminOf is where a broker answers operators, or why it does not.
type adminOf struct {
	node int32 // -1 when it was said by --admin
	addr string
	err  *app.Failure
}

// admins finds the admin listeners of the brokers that are there. said is --admin, which alone counts when given.
func admins(ctx context.Context, cl *kgo.Client, brokers []kadm.BrokerDetail, cluster, said string) []adminOf {
	if said != "" {
		return []adminOf{{node: -1, addr: said}}
	}
	names := make([]string, len(brokers))
	for i, b := range brokers {
		names[i] = strconv.Itoa(int(b.NodeID))
	}
	configs := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeBroker, Names: names, Keys: []string{adminKey}})
	var found []adminOf
	for i, b := range brokers {
		at := adminOf{node: b.NodeID}
		of := configs[names[i]]
		switch _, klamm := of.Row(adminKey); {
		case of.Err != nil:
			at.err = of.Failure("broker %d did not tell its %s", b.NodeID, adminKey)
		case !klamm:
			at.err = &app.Failure{
				Exit: app.ExitFailed, Code: app.CodeNotHere, What: fmt.Sprintf("broker %d has no admin listener", b.NodeID),
				Why: "it is not Klamm, and other brokers do not have one", Try: "--admin HOST:PORT, if there is one",
			}
		case of.Value(adminKey) == "":
			at.err = &app.Failure{
				Exit: app.ExitFailed, Code: app.CodeNotHere, What: fmt.Sprintf("broker %d has no admin listener", b.NodeID),
				Why: adminKey + " is empty", Try: adminKey + "=127.0.0.1:9644 in its configuration",
			}
		default:
			at.addr = reachable(of.Value(adminKey), b.Host)
			at.err = at.identify(ctx, cluster)
		}
		found = append(found, at)
	}
	return found
}

// reachable is the address to dial for a listener: one that takes any address is reached by the broker's own.
func reachable(listener, host string) string {
	h, port, err := net.SplitHostPort(listener)
	if err != nil {
		return listener
	}
	if ip := net.ParseIP(h); h == "" || ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort(host, port)
	}
	return listener
}

// get reads a page of an admin listener, at most so many bytes of it.
func get(ctx context.Context, addr, path string, most int64, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return err
	}
	// Not by a proxy: the listener is near, and its pages are nobody else's business.
	client := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("http://%s%s: %s", addr, path, res.Status)
	}
	n, err := io.Copy(w, io.LimitReader(res.Body, most+1))
	if err == nil && n > most {
		err = errors.New("it is longer than " + app.BytesText(most))
	}
	return err
}

// identify makes sure that the listener is that of the broker: one on loopback is on the broker's own machine, and on
// this one another node may listen there. nil when it is, and when nobody can tell.
func (at adminOf) identify(ctx context.Context, cluster string) *app.Failure {
	if !loopback(at.addr) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var head bytes.Buffer
	err := get(ctx, at.addr, "/clients", 1<<10, &head) // the beginning is enough
	var op *net.OpError
	switch {
	case errors.As(err, &op):
		return at.unreachable(err)
	case head.Len() == 0:
		return nil
	}
	var id struct {
		cluster string
		node    int64
	}
	if !readHead(head.Bytes(), &id.cluster, &id.node) || id.cluster == cluster && id.node == int64(at.node) {
		return nil
	}
	return &app.Failure{
		Exit: app.ExitFailed, Code: app.CodeUnreachable, What: fmt.Sprintf("the admin listener of broker %d is not reachable from here", at.node),
		Why: fmt.Sprintf("it is at %s of the broker's own machine, and here that is broker %d of cluster %s", at.addr, id.node, id.cluster),
		Try: "run this on the broker's machine, or forward the port and say --admin HOST:PORT",
	}
}

// readHead reads cluster_id and node_id out of the beginning of a page, which may be cut off behind them.
func readHead(b []byte, cluster *string, node *int64) bool {
	d := json.NewDecoder(bytes.NewReader(b))
	found := 0
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	for found < 2 {
		key, err := d.Token()
		if err != nil {
			return false
		}
		value, err := d.Token()
		if _, nested := value.(json.Delim); err != nil || nested {
			return false
		}
		switch v := value.(type) {
		case string:
			if key == "cluster_id" {
				*cluster = v
				found++
			}
		case float64:
			if key == "node_id" {
				*node = int64(v)
				found++
			}
		}
	}
	return true
}

// loopback says that an address is on whatever machine it is used.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// unreachable is the failure for an admin listener that does not answer.
func (at adminOf) unreachable(err error) *app.Failure {
	f := app.Failed(err, "the admin listener at %s does not answer", at.addr)
	f.Code = app.CodeUnreachable
	f.Try = "--admin HOST:PORT"
	if at.node >= 0 && loopback(at.addr) {
		f.Try = fmt.Sprintf("it listens on loopback alone: run this on the machine of broker %d, or forward the port and say --admin HOST:PORT", at.node)
	}
	return f
}
