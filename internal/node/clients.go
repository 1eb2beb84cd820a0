package node

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/rpc"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/wire"
)

// mostLibraries is how many libraries with their versions klamm_clients tells apart.
const mostLibraries = 64

// Clients is what GET /clients answers. Names of its JSON are only ever added.
type Clients struct {
	ClusterID string    `json:"cluster_id"`
	NodeID    int32     `json:"node_id"`
	Time      time.Time `json:"time"`
	Clients   []Client  `json:"clients"`
}

// Client is one connection in the answer of GET /clients, as docs/admin.md tells it. Its lists are sorted, and
// empty rather than null.
type Client struct {
	Connection         uint64     `json:"connection"`
	Address            string     `json:"address"`
	Listener           string     `json:"listener"`
	Principal          string     `json:"principal"`
	ClientID           string     `json:"client_id"`
	Library            string     `json:"library"`
	Version            string     `json:"version"`
	ConnectedAt        time.Time  `json:"connected_at"`
	LastRequest        string     `json:"last_request"`
	LastRequestVersion int16      `json:"last_request_version"`
	LastRequestAt      *time.Time `json:"last_request_at"`

	Requests          int64   `json:"requests"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	BytesIn           int64   `json:"bytes_in"`
	BytesInPerSecond  float64 `json:"bytes_in_per_second"`
	BytesOut          int64   `json:"bytes_out"`
	BytesOutPerSecond float64 `json:"bytes_out_per_second"`

	RecordsProduced          int64    `json:"records_produced"`
	RecordsProducedPerSecond float64  `json:"records_produced_per_second"`
	BytesProduced            int64    `json:"bytes_produced"`
	BytesProducedPerSecond   float64  `json:"bytes_produced_per_second"`
	TopicsProduced           []string `json:"topics_produced"`

	RecordsFetched          int64    `json:"records_fetched"`
	RecordsFetchedPerSecond float64  `json:"records_fetched_per_second"`
	BytesFetched            int64    `json:"bytes_fetched"`
	BytesFetchedPerSecond   float64  `json:"bytes_fetched_per_second"`
	TopicsFetched           []string `json:"topics_fetched"`

	Groups []string `json:"groups"`

	// Of KIP-714: empty and null where the connection has not asked what to push.
	ClientInstanceID string     `json:"client_instance_id"`
	MetricsPushedAt  *time.Time `json:"metrics_pushed_at"`
	MetricsSeries    int        `json:"metrics_series"`
}

// serveClients answers GET /clients with everybody who is connected, those first who are for longest.
func (n *Node) serveClients(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	page := Clients{ClusterID: n.clusterID, NodeID: n.cfg.NodeID, Time: now.UTC(), Clients: []Client{}}
	n.server.Connections(func(c *server.Connection) { page.Clients = append(page.Clients, n.clientLine(c, now)) })
	slices.SortFunc(page.Clients, func(a, b Client) int { return cmp.Compare(a.Connection, b.Connection) })
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(page) // who does not take it has gone
}

// clientLine tells of one connection.
func (n *Node) clientLine(c *server.Connection, now time.Time) Client {
	t, r := c.Did.Totals(), c.Did.Rates(now, c.Since)
	l := Client{
		Connection: c.ID, Listener: c.Listener, Principal: c.Principal.String(), ClientID: label(c.ClientID),
		Library: c.Software.Name, Version: c.Software.Version, ConnectedAt: c.Since.UTC(),
		Requests: t.Requests, RequestsPerSecond: r.Requests, BytesIn: t.BytesIn, BytesInPerSecond: r.BytesIn, BytesOut: t.BytesOut, BytesOutPerSecond: r.BytesOut,
		RecordsProduced: t.ProducedRecords, RecordsProducedPerSecond: r.ProducedRecords, BytesProduced: t.ProducedBytes, BytesProducedPerSecond: r.ProducedBytes,
		RecordsFetched: t.FetchedRecords, RecordsFetchedPerSecond: r.FetchedRecords, BytesFetched: t.FetchedBytes, BytesFetchedPerSecond: r.FetchedBytes,
	}
	if c.Remote != nil {
		l.Address = c.Remote.String()
	}
	produced, fetched, groups := c.Did.Names()
	l.TopicsProduced, l.TopicsFetched, l.Groups = sorted(produced), sorted(fetched), sorted(groups)
	if key, version, at, ok := c.Did.Last(); ok {
		a, _ := wire.APIOf(key)
		at = at.UTC()
		l.LastRequest, l.LastRequestVersion, l.LastRequestAt = a.Name, version, &at
	}
	if id, ok := n.clients.Instance(c.ID); ok {
		l.ClientInstanceID = id.String()
		if at, series, ok := n.clients.Pushed().Last(id); ok {
			at = at.UTC()
			l.MetricsPushedAt, l.MetricsSeries = &at, series
		}
	}
	return l
}

// sorted sorts a list in place; it is empty and not null where there is none.
func sorted(list []string) []string {
	if list == nil {
		return []string{}
	}
	slices.Sort(list)
	return list
}

// clientsCollector counts connections by the library that they use.
type clientsCollector struct{ n *Node }

var clientsFamily = prometheus.NewDesc("klamm_clients", "Connections by their client's library and its version, as ApiVersions tells them; those of rare ones together as other.", []string{"library", "version"}, nil)

// Describe implements prometheus.Collector.
func (c *clientsCollector) Describe(ch chan<- *prometheus.Desc) { ch <- clientsFamily }

// Collect implements prometheus.Collector.
func (c *clientsCollector) Collect(ch chan<- prometheus.Metric) {
	count := map[rpc.ClientSoftware]int{}
	c.n.server.Connections(func(c *server.Connection) { count[c.Software]++ })
	for _, l := range few(count, mostLibraries) {
		ch <- prometheus.MustNewConstMetric(clientsFamily, prometheus.GaugeValue, float64(l.n), label(l.name.Name), label(l.name.Version))
	}
}

// library is how many connections use a library.
type library struct {
	name rpc.ClientSoftware
	n    int
}

// few returns the most used libraries, and all others as one.
func few(count map[rpc.ClientSoftware]int, most int) []library {
	list := make([]library, 0, len(count))
	unknown, other := library{name: rpc.ClientSoftware{Name: "unknown", Version: "unknown"}}, library{name: rpc.ClientSoftware{Name: "other", Version: "other"}}
	for name, n := range count {
		switch name { // a client may call itself what we call it
		case rpc.ClientSoftware{}, unknown.name:
			unknown.n += n
		case other.name:
			other.n += n
		default:
			list = append(list, library{name, n})
		}
	}
	slices.SortFunc(list, func(a, b library) int {
		return cmp.Or(b.n-a.n, strings.Compare(a.name.Name, b.name.Name), strings.Compare(a.name.Version, b.name.Version))
	})
	for len(list) > most {
		other.n += list[len(list)-1].n
		list = list[:len(list)-1]
	}
	for _, l := range []library{unknown, other} {
		if l.n > 0 {
			list = append(list, l)
		}
	}
	return list
}
