package node

import (
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/group"
)

// roomKeys returns the keys of every room that obeys some.
func roomKeys() [][]config.Key {
	return [][]config.Key{
		group.ConfigKeys(),
	}
}
