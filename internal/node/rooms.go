package node

import (
	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/commitlog"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/controller"
	"github.com/klamm/klamm/internal/coordinator"
	"github.com/klamm/klamm/internal/group"
	"github.com/klamm/klamm/internal/quorum"
	"github.com/klamm/klamm/internal/replica"
	"github.com/klamm/klamm/internal/server"
	"github.com/klamm/klamm/internal/telemetry"
)

// roomKeys returns the keys of every room that obeys some.
func roomKeys() [][]config.Key {
	return [][]config.Key{
		api.ConfigKeys(),
		commitlog.BrokerConfigKeys(),
		commitlog.TopicConfigKeys(),
		controller.ConfigKeys(),
		coordinator.ConfigKeys(),
		group.ConfigKeys(),
		quorum.ConfigKeys(),
		replica.ConfigKeys(),
		server.ConfigKeys(),
		telemetry.ConfigKeys(),
	}
}
