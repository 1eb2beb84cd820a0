// Package api is Kafka's APIs, one file a key (keys that share their work share a
// file), and one visible table of all that are served. A handler decodes,
// authorizes, asks the room that knows, and answers in the caller's version.
package api

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/auth"
	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/record"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/telemetry"
	"github.com/klamm/klamm/internal/wire"
)

// Deps is what the APIs stand on. All fields are set but Authorizer, which is auth.Open when nil.
type Deps struct {
	NodeID     int32
	ClusterID  string
	Authorizer auth.Authorizer
	Replicas   *replica.Set
	Dirs       []*commitlog.Dir
	Quorum     *quorum.Quorum
	Groups     *coordinator.Groups
	Codecs     *record.Codecs
	Telemetry  *telemetry.Manager
	// Keys are all configuration keys, Static the values of the configuration file.
	Keys   *config.Set
	Static map[string]string
	// ControllerListeners are the names of the listeners that the controllers are reached by.
	ControllerListeners []string
	// Endpoint returns the address that clients of a listener are told for a broker;
	// conn is who asks, for listeners that advertise the address the client used.
	Endpoint func(b *metadata.Broker, conn *rpc.Conn) (host string, port int32, ok bool)
	// Loggers are all loggers of this broker; Logger is the one of this room.
	Loggers    Loggers
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Broker answers Kafka's requests. It implements rpc.Table.
type Broker struct {
	Deps
	apis      []*rpc.API // by key; nil where not served
	sessions  *sessions
	produces  sync.Pool // *parkedProduce
	fetches   sync.Pool // *fetch
	results   sync.Pool // *readResult
	maxFetch  int       // fetch.max.bytes
	producers producerIDs
	metrics   *metrics
	errors    *errorCounts
}

// New returns the APIs on top of d. Nothing is started.
func New(d Deps) *Broker {
	if d.Authorizer == nil {
		d.Authorizer = auth.Open{}
	}
	b := &Broker{Deps: d, metrics: newMetrics(d.Registerer), errors: newErrorCounts(d.Registerer)}
	b.sessions = newSessions(b.int("max.incremental.fetch.session.cache.slots"), d.Registerer)
	b.produces.New = func() any { return newParkedProduce(b) }
	b.fetches.New = func() any { return newFetch(b) }
	b.results.New = func() any { return &readResult{pool: &b.results} }
	b.maxFetch = int(b.int("fetch.max.bytes"))
	b.apis = make([]*rpc.API, maxKey+1)
	for _, r := range b.rows() {
		b.apis[r.Key] = &r.API
		b.errors.names[r.Key] = r.Name
	}
	return b
}

// maxKey is the greatest key of Kafka 4.4.
const maxKey = 94

// Lookup returns the API of a key, or nil where it is not served on that listener: controllers
// answer fewer than brokers do. It implements rpc.Table.
func (b *Broker) Lookup(listener string, key int16) *rpc.API {
	if key < 0 || int(key) >= len(b.apis) || b.apis[key] == nil {
		return nil
	}
	if a, _ := wire.APIOf(key); b.forControllers(listener) && a.Listeners&wire.ListenerController == 0 {
		return nil
	}
	return b.apis[key]
}

// forControllers says whether a listener is one of the controllers'.
func (b *Broker) forControllers(listener string) bool {
	return slices.Contains(b.ControllerListeners, listener)
}

// image is the metadata that every handler of one call works on.
func (b *Broker) image() *metadata.Image { return b.Quorum.Image() }

// allowed asks the authorizer for the caller of c.
func (b *Broker) allowed(c *rpc.Call, op auth.Operation, resource auth.ResourceType, name string) bool {
	return b.Authorizer.Allowed(c.Conn.Principal, c.Conn.Remote, op, resource, name)
}

// operations is the bit field of what the caller may do (KIP-430), or the value that says it was not asked for.
func (b *Broker) operations(asked bool, c *rpc.Call, resource auth.ResourceType, name string) int32 {
	if !asked {
		return notAsked
	}
	return auth.AuthorizedOperations(b.Authorizer, c.Conn.Principal, c.Conn.Remote, resource, name)
}

func hostOf(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.IP.String()
	}
	return ""
}

// layers are the broker's own configuration layers: what was set while running, for it and for all, and its file.
func (b *Broker) layers(image *metadata.Image) config.Layers {
	return config.Layers{Broker: image.Config(metadata.BrokerResource, brokerName(b.NodeID)), ClusterDefault: image.Config(metadata.BrokerResource, ""), Static: b.Static}
}

// int is a broker key's value at start.
func (b *Broker) int(key string) int64 {
	return b.Keys.Int64(config.Broker, key, config.Layers{Static: b.Static})
}

// decide hands a decision to the active controller and waits for it to take effect on this broker.
func (b *Broker) decide(ctx context.Context, d controller.Decision) (any, error) {
	return b.Quorum.Propose(ctx, d)
}

// request is a pointer to one of wire's requests.
type request[T any] interface {
	*T
	wire.Message
}

// answer makes a handler of a function from request to response, and counts the errors in it. A request that
// cannot be decoded closes the connection: what follows on it cannot be trusted.
// A nil response closes it too, when the reply was not parked.
func answer[T any, Q request[T]](b *Broker, f func(ctx context.Context, c *rpc.Call, q Q, r *rpc.Reply) wire.Message) rpc.Handler {
	return func(ctx context.Context, c *rpc.Call, r *rpc.Reply) {
		q := Q(new(T))
		d := wire.NewDecoder(c.Body)
		q.Decode(&d, c.Header.Version)
		if err := d.Done(); err != nil {
			refuse(r, err)
			return
		}
		if response := f(ctx, c, q, r); response != nil {
			b.errors.answered(c.Header.Key, response)
			r.Buf = response.Append(r.Buf, c.Header.Version)
		}
	}
}

// mostNamed is how many groups, coordinators or topics one request may name. An answer is many times
// as long as a name, so a small request without a bound could make one that takes all memory.
const mostNamed = 100_000

// tooMany closes the connection of a request that names more than mostNamed.
func tooMany(r *rpc.Reply, n int) bool {
	if n <= mostNamed {
		return false
	}
	refuse(r, code.Errorf(code.InvalidRequest, "the request names %d resources and at most %d are answered together; ask in parts", n, mostNamed))
	return true
}

// refuse closes the connection of a request that cannot be read.
func refuse(r *rpc.Reply, err error) {
	r.Close, r.Silent, r.Reason = true, true, err.Error()
}

// failure is the code and the sentence of an error as responses carry them. What
// is not the client's to know is in the broker's log.
func (b *Broker) failure(err error) (int16, *string) {
	c := code.Of(err)
	if c == code.UnknownServerError {
		b.Logger.Error("a request failed for an unexpected reason", "event", "request_failed", "error", err)
	}
	return int16(c), code.Message(err)
}
