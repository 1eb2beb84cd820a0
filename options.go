package klamm

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/node"
)

const (
	// defaultListen is a port of this machine's own that the system picks.
	defaultListen = "127.0.0.1:0"
	// memoryHost is the name of the listener in memory; it is no name of a machine.
	memoryHost = "klamm.memory"
	// memoryAddr is its address where there is no other.
	memoryAddr = memoryHost + ":9092"
	// memoryDir is where the data of a broker in memory lies in that.
	memoryDir = "/memory"
)

// Options are how a broker shall be. The zero value is one in memory, at a free port of this machine.
type Options struct {
	// Dir is the directory that keeps the broker's data, and is made when it is not there; empty for
	// memory, which keeps nothing. A directory is one broker's at a time.
	Dir string
	// Listen is the address for clients, host:port on this machine's loopback; empty means 127.0.0.1
	// and a free port. Port 0 is a free port too.
	Listen string
	// DialerOnly says that there is no TCP at all: the broker is reached by its Dialer.
	DialerOnly bool
	// Topics are made before Start returns. One that is in Dir already stays as it is. Other topics
	// are made when they are first used, unless Config says auto.create.topics.enable=false.
	Topics []Topic
	// Faults are in force from the beginning; Broker.Inject adds others later.
	Faults []Fault
	// Config are values of Kafka's broker keys, by name: num.partitions for example. The keys of
	// addresses and directories are Listen's and Dir's.
	Config map[string]string
	// Logger gets what the broker logs; nil for nobody.
	Logger *slog.Logger
	// Registerer gets the broker's metrics for as long as it runs; nil for nobody. Brokers that run side by
	// side need one each.
	Registerer prometheus.Registerer
}

// Topic is a topic to create.
type Topic struct {
	// Name is the topic's name.
	Name string
	// Partitions is how many it gets; 0 for the broker's num.partitions, which is 1 unless Config says otherwise.
	Partitions int32
	// Configs are its own values of Kafka's keys of topics, retention.ms for example.
	Configs map[string]string
}

// owned are the keys that are set by an option.
func owned() map[string]string {
	return map[string]string{"listeners": "Listen", "log.dirs": "Dir", "log.dir": "Dir", "metadata.log.dir": "Dir"}
}

// config makes the node's configuration.
func (o *Options) config() (node.Config, error) {
	keys, err := node.Keys()
	if err != nil {
		return node.Config{}, err
	}
	listen, err := o.listen()
	if err != nil {
		return node.Config{}, err
	}
	if strings.Contains(o.Dir, ",") {
		return node.Config{}, fmt.Errorf("klamm: Options.Dir=%q: a comma separates directories in Kafka's format; choose a path without one", o.Dir)
	}
	set := []string{
		"node.id=1",
		"process.roles=broker,controller",
		"listeners=PLAINTEXT://" + listen,
		"log.dirs=" + cmp.Or(o.Dir, memoryDir),
		"group.initial.rebalance.delay.ms=0",
		"admin.listener=",
	}
	var errs []error
	for _, k := range slices.Sorted(maps.Keys(o.Config)) {
		if err := known(keys, k); err != nil {
			errs = append(errs, err)
		}
		set = append(set, k+"="+o.Config[k])
	}
	if len(errs) > 0 {
		return node.Config{}, errors.Join(errs...)
	}
	cfg, err := node.Read(node.Source{File: "klamm: Options", Overrides: set, Keys: keys})
	if err != nil {
		return node.Config{}, errors.New(strings.ReplaceAll(err.Error(), "--override ", "klamm: Options.Config: "))
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		if o.DialerOnly {
			l.Hosts = nil
			cfg.Static["listeners"] = "PLAINTEXT://" + memoryAddr
		}
		l.Hosts = append(l.Hosts, memoryHost)
	}
	return cfg, nil
}

// listen checks Listen and returns it, or its default, as a listener's address.
func (o *Options) listen() (string, error) {
	if o.DialerOnly {
		if o.Listen != "" {
			return "", fmt.Errorf("klamm: Options.Listen=%q: Options.DialerOnly says that there is no TCP; set one of them", o.Listen)
		}
		return "localhost:9092", nil // stands for memoryAddr, which is no address of a machine
	}
	listen := cmp.Or(o.Listen, defaultListen)
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("klamm: Options.Listen=%q: %w; write host:port, 127.0.0.1:0 for example", listen, err)
	}
	host = cmp.Or(host, "localhost")
	if ip := net.ParseIP(host); !strings.EqualFold(host, "localhost") && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("klamm: Options.Listen=%q: the host is not this machine's loopback, and there is no authentication that would keep others out; write 127.0.0.1:%s", listen, port)
	}
	return net.JoinHostPort(host, port), nil
}

// known says what is wrong with a name in Config.
func known(keys *config.Set, name string) error {
	if option := owned()[name]; option != "" {
		return fmt.Errorf("klamm: Options.Config: %s is set by Options.%s", name, option)
	}
	if _, ok := keys.Lookup(config.Broker, name); ok {
		return nil
	}
	if k, ok := keys.Lookup(config.Topic, name); ok {
		if len(k.Synonyms) > 0 {
			return fmt.Errorf("klamm: Options.Config: %s is a key of topics; the broker's own for all topics is %s", name, k.Synonyms[0])
		}
		return fmt.Errorf("klamm: Options.Config: %s is a key of topics; set it in Topic.Configs", name)
	}
	if near := keys.Nearest(config.Broker, name); near != "" {
		return fmt.Errorf("klamm: Options.Config: %s is no key that Kafka knows; did you mean %s?", name, near)
	}
	return fmt.Errorf("klamm: Options.Config: %s is no key that Kafka knows", name)
}

// explain says of an error of a start which option it comes from.
func (o *Options) explain(err error) error {
	var op *net.OpError
	var twice prometheus.AlreadyRegisteredError
	switch {
	case errors.As(err, &twice):
		return registered(err)
	case errors.As(err, &op):
		return fmt.Errorf("klamm: Options.Listen=%q: %w", o.Listen, err)
	case o.Dir != "":
		return fmt.Errorf("klamm: Options.Dir=%q: %w", o.Dir, err)
	}
	return fmt.Errorf("klamm: %w", err)
}

// logger is where the broker logs.
func (o *Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// registerer is where the broker's metrics go.
func (o *Options) registerer() prometheus.Registerer {
	if o.Registerer == nil {
		return prometheus.NewRegistry()
	}
	return o.Registerer
}
