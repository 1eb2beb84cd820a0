package api

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/metadata"
	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/wire"
)

// softwareName is what a client may call itself and its version (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// apiVersions says what this broker speaks. A version of ApiVersions itself that is
// not known is answered in version 0 with error 35, so that the client may ask again.
func (b *Broker) apiVersions(_ context.Context, c *rpc.Call, r *rpc.Reply) {
	a := &wire.ApiVersionsResponse{}
	a.Default()
	if c.Header.Version > b.apis[keyAPIVersions].Max || c.Header.Version < 0 {
		a.ErrorCode = int16(code.UnsupportedVersion)
		a.ApiKeys = b.advertised(c.Conn.Listener)
		r.Buf = a.Append(r.Buf, 0)
		return
	}
	var q wire.ApiVersionsRequest
	d := wire.NewDecoder(c.Body)
	q.Decode(&d, c.Header.Version)
	if err := d.Done(); err != nil {
		refuse(r, err)
		return
	}
	switch {
	case c.Header.Version >= 3 && !(softwareName.MatchString(q.ClientSoftwareName) && softwareName.MatchString(q.ClientSoftwareVersion)):
		a.ErrorCode = int16(code.InvalidRequest)
	case (q.ClusterId == nil) != (q.NodeId == -1): // a client knows both or neither
		a.ErrorCode = int16(code.InvalidRequest)
	case q.ClusterId != nil && (*q.ClusterId != b.ClusterID || q.NodeId != b.NodeID):
		// The client reached another broker than it meant to (KIP-1242).
		a.ErrorCode = int16(code.RebootstrapRequired)
	default:
		if c.Header.Version >= 3 {
			c.Conn.Client = rpc.ClientSoftware{Name: kept(q.ClientSoftwareName), Version: kept(q.ClientSoftwareVersion)}
		}
		b.describeFeatures(a)
	}
	a.ApiKeys = b.advertised(c.Conn.Listener)
	r.Buf = a.Append(r.Buf, c.Header.Version)
}

// longestSoftware is how many bytes of a library's name or version a connection keeps.
const longestSoftware = 256

// kept is a copy of a name, in memory of its own.
func kept(name string) string { return strings.Clone(name[:min(len(name), longestSoftware)]) }

func (b *Broker) advertised(listener string) []wire.ApiVersionsResponseApiVersion {
	var list []wire.ApiVersionsResponseApiVersion
	for key := range b.apis {
		if a := b.Lookup(listener, int16(key)); a != nil {
			list = append(list, wire.ApiVersionsResponseApiVersion{ApiKey: a.Key, MinVersion: a.Min, MaxVersion: a.Max})
		}
	}
	return list
}

// describeFeatures fills in what the broker supports and what the cluster has finalized (KIP-584).
func (b *Broker) describeFeatures(a *wire.ApiVersionsResponse) {
	image := b.image()
	a.SupportedFeatures = []wire.ApiVersionsResponseSupportedFeatureKey{{Name: metadata.VersionFeature, MinVersion: metadata.MinVersion, MaxVersion: metadata.MaxVersion}}
	a.FinalizedFeaturesEpoch, _ = image.Offset()
	for name, level := range image.Features() {
		a.FinalizedFeatures = append(a.FinalizedFeatures, wire.ApiVersionsResponseFinalizedFeatureKey{Name: name, MaxVersionLevel: level, MinVersionLevel: level})
	}
}

// endpoint is the address that a client is told for a broker.
type endpoint struct {
	host string
	port int32
	rack *string
}

// leaderEndpoint is where the caller reaches a broker; not ok when the broker is not there, or not on the caller's listener.
func (b *Broker) leaderEndpoint(id int32, conn *rpc.Conn) (endpoint, bool) {
	broker := b.image().Broker(id)
	if broker == nil || !broker.Active() {
		return endpoint{}, false
	}
	host, port, ok := b.Endpoint(broker, conn)
	return endpoint{host, port, broker.Rack}, ok
}

// reachable calls visit for every broker that is alive and that the caller reaches on its listener, by id.
func (b *Broker) reachable(image *metadata.Image, conn *rpc.Conn, fenced bool, visit func(broker *metadata.Broker, host string, port int32)) {
	brokers := slices.Clone(image.Brokers())
	slices.SortFunc(brokers, func(x, y *metadata.Broker) int { return int(x.ID - y.ID) })
	for _, broker := range brokers {
		if broker.Fenced && !fenced {
			continue
		}
		if host, port, ok := b.Endpoint(broker, conn); ok {
			visit(broker, host, port)
		}
	}
}

// notAsked is the bit field of authorized operations that were not asked for.
const notAsked = math.MinInt32
