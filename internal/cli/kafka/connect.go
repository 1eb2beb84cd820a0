package kafka

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/node"
)

// adminTimeout is how long Java's admin client goes on with one call.
const adminTimeout = time.Minute

// fromEnvironment takes the brokers from the environment where the command line names none, which Java's tools
// do not do.
func (r *run) fromEnvironment() {
	if r.tool.local || r.has("bootstrap-server") {
		return
	}
	for _, name := range []string{"KLAMM_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"} {
		if v := r.app.Env(name); v != "" {
			r.given["bootstrap-server"] = []string{v}
			return
		}
	}
}

// at is a copy of an App that is to connect to some brokers.
func at(a *app.App, brokers string) *app.App {
	b := *a
	b.SetConnection(brokers, nil)
	return &b
}

// properties are those of a file of properties and of key=value arguments, which win.
func (r *run) properties(file string, pairs []string) (map[string]string, error) {
	props := map[string]string{}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, plainf("%s (No such file or directory)", file)
		}
		read, err := node.Properties(file, b)
		if err != nil {
			return nil, plainf("%s", err)
		}
		for _, p := range read {
			props[p.Key] = p.Value
		}
	}
	for _, pair := range pairs {
		k, v, _ := strings.Cut(pair, "=")
		props[k] = v
	}
	return props, nil
}

// connect makes a client of the brokers of the command line and of a client's properties. A property that no
// client of Kafka knows is left out, as Java's clients do. Close it.
func (r *run) connect(props map[string]string, opts ...kgo.Opt) (*kgo.Client, error) {
	known := map[string]string{}
	for k, v := range props {
		if app.KnownProperty(k) {
			known[k] = v
		}
	}
	delete(known, "bootstrap.servers")
	brokers := r.text("bootstrap-server")
	if brokers == "" {
		brokers = props["bootstrap.servers"]
	}
	a := *r.app
	a.SetConnection(brokers, known)
	return a.Client(r.ctx, r.cmd, append([]kgo.Opt{kgo.RetryTimeout(adminTimeout)}, opts...)...)
}

// admin makes a client for questions and changes, of --command-config. Close it.
func (r *run) admin(opts ...kgo.Opt) (*kgo.Client, *kadm.Client, error) {
	props, err := r.properties(r.text("command-config"), nil)
	if err != nil {
		return nil, nil, err
	}
	cl, err := r.connect(props, append(opts, kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		return nil, nil, err
	}
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(30000)
	return cl, adm, nil
}

// supports says that every broker that is asked knows a request, at a version or above.
func supports(ctx context.Context, cl *kgo.Client, key int16) (int16, bool) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "klamm", app.Version
	res, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, false
	}
	for _, k := range res.ApiKeys {
		if k.ApiKey == key {
			return k.MaxVersion, true
		}
	}
	return 0, false
}
