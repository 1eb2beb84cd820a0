package api

import (
	"slices"

	"github.com/klamm/klamm/internal/config"
)

// ConfigKeys returns the keys that the APIs obey.
func ConfigKeys() []config.Key { return slices.Concat(configKeysOfFetch(), configKeysOfTopics()) }
