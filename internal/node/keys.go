package node

import "github.com/klamm/klamm/internal/config"

// Keys returns the keys of all rooms, of the node itself, and of those that are known and have no
// effect: together what Apache Kafka 4.4.0 knows, and Klamm's own few.
func Keys() (*config.Set, error) { return KeysOf(roomKeys()...) }

// KeysOf joins the keys of rooms with the node's own and with every key of Kafka's that none of them has.
func KeysOf(rooms ...[]config.Key) (*config.Set, error) {
	type id struct {
		scope config.Scope
		name  string
	}
	obeyed := map[id]bool{}
	for _, room := range rooms {
		for _, k := range room {
			obeyed[id{k.Scope, k.Name}] = true
		}
	}
	all := append([][]config.Key{ConfigKeys()}, rooms...)
	var inert []config.Key
	for _, k := range inertKeys() {
		if !obeyed[id{k.Scope, k.Name}] {
			inert = append(inert, k)
		}
	}
	return config.NewSet(append(all, inert)...)
}

// ConfigKeys returns the keys that the node itself obeys: who it is, where it listens and where its directories are.
func ConfigKeys() []config.Key {
	return []config.Key{
		{Name: "admin.listener", Scope: config.Broker, Kind: config.String, Default: DefaultAdminListener,
			Doc: "The address host:port of the admin listener with /livez, /readyz, /metrics and /debug/pprof; empty for none."},
		{Name: "advertised.listeners", Scope: config.Broker, Kind: config.List, Null: true,
			Doc: "The addresses that clients are told to connect to, by listener name; when empty, clients are told the address they used."},
		{Name: "authorizer.class.name", Scope: config.Broker, Kind: config.String, Default: "",
			Doc: "The Java class that decides who may do what; accepted only with allow.everyone.if.no.acl.found=true while there are no ACLs."},
		{Name: "broker.id", Scope: config.Broker, Kind: config.Int, Default: "-1", Check: config.AtLeast(-1),
			Doc: "The older name of node.id."},
		{Name: "broker.rack", Scope: config.Broker, Kind: config.String, Null: true,
			Doc: "The rack this broker stands in, for placing replicas and for fetching from near ones."},
		{Name: "controller.listener.names", Scope: config.Broker, Kind: config.List, Null: true,
			Doc: "The names of the listeners that controllers use among themselves."},
		{Name: "controller.quorum.voters", Scope: config.Broker, Kind: config.List, Default: "",
			Doc: "The voters of the metadata quorum as id@host:port; it may name this node alone."},
		{Name: "inter.broker.listener.name", Scope: config.Broker, Kind: config.String, Null: true,
			Doc: "The listener that brokers use among themselves."},
		{Name: "listener.security.protocol.map", Scope: config.Broker, Kind: config.String, Default: "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Update: config.PerBroker,
			Doc: "The security protocol of each listener, as NAME:PROTOCOL."},
		{Name: "listeners", Scope: config.Broker, Kind: config.List, Default: "PLAINTEXT://:9092", Update: config.PerBroker,
			Doc: "The addresses to listen at, as NAME://host:port; an empty host is loopback here."},
		{Name: "log.dir", Scope: config.Broker, Kind: config.List, Default: "/tmp/kafka-logs",
			Doc: "The older name of log.dirs."},
		{Name: "log.dirs", Scope: config.Broker, Kind: config.List, Null: true,
			Doc: "The directories that hold the logs."},
		{Name: "node.id", Scope: config.Broker, Kind: config.Int, Null: true, Check: config.NotNegative(),
			Doc: "The number of this node in its cluster."},
		{Name: "process.roles", Scope: config.Broker, Kind: config.List, Null: true, Check: config.ListOf("broker", "controller"),
			Doc: "What this process is: broker, controller or both."},
		{Name: "security.inter.broker.protocol", Scope: config.Broker, Kind: config.String, Default: "PLAINTEXT", Check: config.OneOf("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
			Doc: "The security protocol that brokers use among themselves where inter.broker.listener.name is not set."},
	}
}
