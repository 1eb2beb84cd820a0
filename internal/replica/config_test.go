package replica

import (
	"testing"

	"github.com/klamm/klamm/internal/config"
)

func TestKeysAreASetWithReasons(t *testing.T) {
	s, err := config.NewSet(ConfigKeys())
	must(t, err)
	for _, k := range s.Keys(config.Broker) {
		if k.NoEffect == "" {
			t.Errorf("%s is not obeyed and gives no reason", k.Name)
		}
		if !k.Null {
			must(t, k.Validate(k.Default))
		}
	}
	if s.Validate(config.Broker, "replica.fetch.max.bytes", "-1") == nil {
		t.Error("replica.fetch.max.bytes takes -1")
	}
}
