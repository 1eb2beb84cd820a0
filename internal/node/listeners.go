package node

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/config"
)

// loopback are the addresses that an empty host and localhost stand for.
func loopback() []string { return []string{"127.0.0.1", "::1"} }

// parsedListener is one element of listeners or advertised.listeners.
type parsedListener struct {
	name, host string
	port       int
}

// parseListener reads NAME://host:port; the host may be empty, or an IPv6 address in brackets.
func parseListener(text string) (parsedListener, error) {
	name, addr, ok := strings.Cut(text, "://")
	if !ok || name == "" {
		return parsedListener{}, fmt.Errorf("%q is not of the form NAME://host:port, PLAINTEXT://127.0.0.1:9092 for example", text)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return parsedListener{}, fmt.Errorf("%q lacks a port or has brackets missing; write NAME://host:port, with an IPv6 address in brackets", text)
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 {
		return parsedListener{}, fmt.Errorf("port %q of %q is not a number from 0 to 65535", port, text)
	}
	return parsedListener{strings.ToUpper(name), host, n}, nil
}

// bindHosts returns the addresses that a listener's host stands for, and whether they are on loopback alone.
func bindHosts(host string) (hosts []string, local bool) {
	if host == "" || strings.EqualFold(host, "localhost") {
		return loopback(), true
	}
	ip := net.ParseIP(host)
	return []string{host}, ip != nil && ip.IsLoopback()
}

// protocols reads listener.security.protocol.map.
func protocols(value string) (map[string]string, error) {
	m := map[string]string{}
	for _, e := range config.SplitList(value) {
		name, protocol, ok := strings.Cut(e, ":")
		name, protocol = strings.ToUpper(strings.TrimSpace(name)), strings.ToUpper(strings.TrimSpace(protocol))
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not of the form NAME:PROTOCOL, CONTROLLER:PLAINTEXT for example", e)
		}
		if !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, protocol) {
			return nil, fmt.Errorf("%q is no security protocol; there are PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL", protocol)
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("listener %s stands in the map twice; write it once", name)
		}
		m[name] = protocol
	}
	return m, nil
}

// listeners fills cfg's listeners, advertised addresses and the name for brokers from the file.
func (r *reader) listeners(cfg *Config) {
	controllers := map[string]bool{}
	for _, n := range config.SplitList(r.value("controller.listener.names")) {
		controllers[strings.ToUpper(n)] = true
	}
	mapped, err := protocols(r.value("listener.security.protocol.map"))
	if err != nil {
		r.fail("listener.security.protocol.map", err.Error(), "")
		mapped = map[string]string{}
	}
	names := map[string]bool{}
	for _, text := range config.SplitList(r.value("listeners")) {
		l, err := parseListener(text)
		switch {
		case err != nil:
			r.fail("listeners", err.Error(), "")
			continue
		case names[l.name]:
			r.fail("listeners", fmt.Sprintf("listener %s stands there twice", l.name), "give each a name of its own, and map the names in listener.security.protocol.map")
			continue
		}
		names[l.name] = true
		protocol := mapped[l.name]
		if protocol == "" && controllers[l.name] && !r.isSet("listener.security.protocol.map") {
			protocol = "PLAINTEXT"
		}
		hosts, local := bindHosts(l.host)
		switch {
		case protocol == "":
			r.fail("listeners", fmt.Sprintf("listener %s has no security protocol", l.name), fmt.Sprintf("add %s:PLAINTEXT to listener.security.protocol.map", l.name))
		case protocol != "PLAINTEXT":
			r.fail("listeners", fmt.Sprintf("listener %s asks for %s, and this version has neither TLS nor authentication yet", l.name, protocol),
				"map it to PLAINTEXT and keep it on loopback")
		case !local && !r.source.InsecureListen:
			r.fail("listeners", fmt.Sprintf("listener %s is open to other machines at %s, and there is no authentication yet: whoever reaches it may read, write and delete everything", l.name, l.host),
				fmt.Sprintf("write %s://127.0.0.1:%d, or start with --insecure-listen when the network is yours alone", l.name, l.port))
		}
		if l.host == "" {
			r.bareHosts = append(r.bareHosts, l.name)
		}
		for _, other := range cfg.Listeners {
			if l.port != 0 && l.port == other.Port && overlap(hosts, other.Hosts) {
				r.fail("listeners", fmt.Sprintf("listeners %s and %s have the same address", other.Name, l.name), "give each a port of its own")
			}
		}
		cfg.Listeners = append(cfg.Listeners, Listener{Name: l.name, Protocol: protocol, Hosts: hosts, Port: l.port, Controller: controllers[l.name]})
	}
	for name := range controllers {
		if !names[name] {
			r.fail("controller.listener.names", fmt.Sprintf("there is no listener %s", name), fmt.Sprintf("add %s://127.0.0.1:9093 to listeners", name))
		}
	}
	if len(r.bareHosts) > 0 {
		r.warn("listeners without a host (%s) are open to this machine alone, at 127.0.0.1 and ::1; for other machines write the address and start with --insecure-listen",
			strings.Join(r.bareHosts, ", "))
	}
	r.advertised(cfg, names, controllers)
	r.interBroker(cfg, controllers)
}

// advertised reads advertised.listeners.
func (r *reader) advertised(cfg *Config, names, controllers map[string]bool) {
	cfg.Advertised = map[string]Endpoint{}
	for _, text := range config.SplitList(r.value("advertised.listeners")) {
		l, err := parseListener(text)
		switch {
		case err != nil:
			r.fail("advertised.listeners", err.Error(), "")
		case !names[l.name] && !controllers[l.name]:
			r.fail("advertised.listeners", fmt.Sprintf("there is no listener %s", l.name), "advertise the names that stand in listeners")
		case net.ParseIP(l.host) != nil && net.ParseIP(l.host).IsUnspecified():
			r.fail("advertised.listeners", fmt.Sprintf("%s is no address that a client can connect to", l.host), "write the name or address by which clients reach this machine, or leave the key out: clients are then told the address they used")
		case l.host == "":
			// As in Kafka's own sample: nothing to tell, so each client is told what it used.
		default:
			cfg.Advertised[l.name] = Endpoint{l.host, l.port}
		}
	}
}

// interBroker finds the listener that brokers use among themselves.
func (r *reader) interBroker(cfg *Config, controllers map[string]bool) {
	want := strings.ToUpper(r.value("inter.broker.listener.name"))
	if want != "" && r.isSet("security.inter.broker.protocol") {
		r.fail("security.inter.broker.protocol", "inter.broker.listener.name is set too", "keep inter.broker.listener.name alone")
		return
	}
	protocol := r.value("security.inter.broker.protocol")
	for _, l := range cfg.Listeners {
		if controllers[l.Name] {
			continue
		}
		if l.Name == want || want == "" && (l.Name == protocol || l.Protocol == protocol) {
			cfg.InterBroker = l.Name
			return
		}
	}
	switch {
	case len(r.errs) > 0:
	case want != "":
		r.fail("inter.broker.listener.name", fmt.Sprintf("there is no listener %s for brokers", want), "name one of listeners that is not in controller.listener.names")
	default:
		r.fail("listeners", fmt.Sprintf("no listener with the protocol %s for brokers and clients", protocol), fmt.Sprintf("add PLAINTEXT://127.0.0.1:%d", DefaultPort))
	}
}

// overlap says that two sets of bind addresses have one in common; every interface has all.
func overlap(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y || unspecified(x) || unspecified(y) {
				return true
			}
		}
	}
	return false
}

// unspecified says that host is every interface.
func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}
