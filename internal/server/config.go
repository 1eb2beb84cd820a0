package server

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/klamm/klamm/internal/config"
)

// Names of the keys that the server obeys.
const (
	keyRequestMax   = "socket.request.max.bytes"
	keyQueued       = "queued.max.request.bytes"
	keyIdle         = "connections.max.idle.ms"
	keyMax          = "max.connections"
	keyPerIP        = "max.connections.per.ip"
	keyOverrides    = "max.connections.per.ip.overrides"
	keyCreationRate = "max.connection.creation.rate"
	keySlow         = "klamm.slow.request.ms"
)

// ConfigKeys returns the broker keys that the server obeys. The listeners themselves are the node's.
func ConfigKeys() []config.Key {
	return []config.Key{
		{Name: keyRequestMax, Scope: config.Broker, Kind: config.Int, Default: "104857600", Check: config.Range(8, math.MaxInt32),
			Doc: "The most bytes that a request may have; a connection that announces more is closed before memory is spent on it."},
		{Name: keyQueued, Scope: config.Broker, Kind: config.Long, Default: "-1",
			Doc: "How many bytes of memory all connections together may use for requests that have been read and not yet handled, one request more aside; -1 for 512 MiB."},
		{Name: keyIdle, Scope: config.Broker, Kind: config.Long, Default: "600000",
			Doc: "After how many milliseconds a connection is closed on which nothing comes or goes; -1 for never."},
		{Name: keyMax, Scope: config.Broker, Kind: config.Int, Default: "2147483647", Check: config.Range(0, math.MaxInt32), Update: config.ClusterWide,
			Doc: "How many connections may be open; further ones wait, but those of brokers, which take the place of the client connection that is silent for longest."},
		{Name: keyPerIP, Scope: config.Broker, Kind: config.Int, Default: "2147483647", Check: config.Range(0, math.MaxInt32), Update: config.ClusterWide,
			Doc: "How many connections may come from one address; further ones are closed at once."},
		{Name: keyOverrides, Scope: config.Broker, Kind: config.String, Default: "", Update: config.ClusterWide,
			Check: func(value string) error {
				// Names are looked up when the limits are set, not when they are checked.
				_, err := ParseIPOverrides(value, func(string) ([]string, error) { return nil, nil })
				return err
			},
			Doc: "Other limits for some addresses or host names, as host:count pairs separated by commas."},
		{Name: keyCreationRate, Scope: config.Broker, Kind: config.Int, Default: "2147483647", Check: config.Range(1, math.MaxInt32), Update: config.ClusterWide,
			Doc: "How many client connections are accepted in a second; further ones wait."},
		{Name: keySlow, Scope: config.Broker, Kind: config.Long, Default: "1000", Check: config.AtLeast(-1), Update: config.ClusterWide,
			Doc: "After how many milliseconds a line event=slow_request is logged of a request, with its phases and what it waited for; time that the client asked to wait does not count. -1 for never."},
	}
}

// ConfigFrom returns a Config without listeners from the values of the keys that ConfigKeys returns.
func ConfigFrom(get func(key string) string) (Config, error) {
	var c Config
	var n [3]int64
	for i, key := range []string{keyRequestMax, keyQueued, keyIdle} {
		var err error
		if n[i], err = number(get, key); err != nil {
			return Config{}, err
		}
	}
	c.SocketRequestMaxBytes, c.QueuedMaxRequestBytes = int(n[0]), n[1]
	switch {
	case n[2] < 0 || n[2] > math.MaxInt64/int64(time.Millisecond):
		c.ConnectionsMaxIdle = -1
	default:
		// 0 is the shortest time there is, not the default.
		c.ConnectionsMaxIdle = max(time.Duration(n[2])*time.Millisecond, time.Millisecond)
	}
	var err error
	c.Limits, err = LimitsFrom(get)
	return c, err
}

// LimitsFrom returns the limits that the values of keys say. Host names among the overrides are looked up.
func LimitsFrom(get func(key string) string) (Limits, error) {
	var n [4]int64
	for i, key := range []string{keyMax, keyPerIP, keyCreationRate, keySlow} {
		var err error
		if n[i], err = number(get, key); err != nil {
			return Limits{}, err
		}
	}
	o, err := ParseIPOverrides(get(keyOverrides), net.LookupHost)
	if err != nil {
		return Limits{}, fmt.Errorf("%s: %w", keyOverrides, err)
	}
	return Limits{
		MaxConnections: limit(n[0]), MaxConnectionsPerIP: limit(n[1]),
		MaxConnectionsPerIPOverrides: o, ConnectionCreationRate: limit(n[2]), SlowRequest: slowFrom(n[3]),
	}, nil
}

// slowFrom turns milliseconds into that of Limits, where 0 means never.
func slowFrom(ms int64) time.Duration {
	if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return max(time.Duration(ms)*time.Millisecond, 1)
}

// limit turns a key's value into that of Limits, where 0 means none.
func limit(n int64) int {
	switch n {
	case 0:
		return -1
	case math.MaxInt32:
		return 0
	}
	return int(n)
}

func number(get func(key string) string, key string) (int64, error) {
	n, err := strconv.ParseInt(get(key), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number", key, get(key))
	}
	return n, nil
}
