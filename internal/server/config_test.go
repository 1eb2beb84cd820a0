package server

import (
	"net/netip"
	"testing"
	"time"

	"github.com/klamm/klamm/internal/config"
)

func TestDefaultsOfKeysAreDefaultsOfConfig(t *testing.T) {
	set, err := config.NewSet(ConfigKeys())
	if err != nil {
		t.Fatal(err)
	}
	static := map[string]string{}
	get := func(key string) string { return set.String(config.Broker, key, config.Layers{Static: static}) }
	c, err := ConfigFrom(get)
	if err != nil {
		t.Fatal(err)
	}
	if c.SocketRequestMaxBytes != defaultRequestMax || c.ConnectionsMaxIdle != defaultIdle || c.QueuedMaxRequestBytes != -1 ||
		c.Limits.MaxConnections != 0 || c.Limits.MaxConnectionsPerIP != 0 || c.Limits.ConnectionCreationRate != 0 {
		t.Errorf("%+v", c)
	}
	for key, value := range map[string]string{
		keyRequestMax: "1000", keyQueued: "2000", keyIdle: "3", keyMax: "4", keyPerIP: "0", keyOverrides: "10.0.0.1:6", keyCreationRate: "7",
	} {
		if err := set.Validate(config.Broker, key, value); err != nil {
			t.Error(err)
		}
		static[key] = value
	}
	if c, err = ConfigFrom(get); err != nil {
		t.Fatal(err)
	}
	if c.SocketRequestMaxBytes != 1000 || c.QueuedMaxRequestBytes != 2000 || c.ConnectionsMaxIdle != 3*time.Millisecond ||
		c.Limits.MaxConnections != 4 || c.Limits.MaxConnectionsPerIP != -1 || c.Limits.ConnectionCreationRate != 7 ||
		c.Limits.MaxConnectionsPerIPOverrides[netip.MustParseAddr("10.0.0.1")] != 6 {
		t.Errorf("%+v", c)
	}
	if err := set.Validate(config.Broker, keyOverrides, "10.0.0.1"); err == nil {
		t.Error("an override without a count is accepted")
	}
}
