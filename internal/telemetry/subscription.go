package telemetry

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/wire"
)

const (
	// allMetrics, in place of a prefix, asks for everything.
	allMetrics = "*"
	// defaultInterval is the time between pushes that nobody set.
	defaultInterval = 5 * time.Minute
)

// Subscription is one resource of type CLIENT_METRICS.
type Subscription struct {
	// Name is the resource's.
	Name string
	// Metrics are prefixes of the metrics that are asked for; "*" is all.
	Metrics []string
	// Interval is the time between two pushes, 100 ms to an hour.
	Interval time.Duration
	// Match selects the clients that it is for; all when empty. Each must fit.
	Match []Selector
}

// Selector is one element of match: a property of a client, and what it has to be.
type Selector struct {
	// Property is one of client_instance_id, client_id, client_software_name, client_software_version,
	// client_source_address and client_source_port.
	Property string
	// Expr fits the whole of the property's text.
	Expr *regexp.Regexp
}

// properties are the names that a selector may have.
func properties() []string {
	return []string{"client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port"}
}

// ParseMatch reads the value of match: a list of property=regular expression. Of a property that stands there
// twice the last counts. The regular expressions are RE2's, so Java's lookarounds and back references are none.
func ParseMatch(value string) ([]Selector, error) {
	var all []Selector
	for _, text := range config.SplitList(value) {
		property, expr, ok := strings.Cut(text, "=")
		property, expr = strings.TrimSpace(property), strings.TrimSpace(expr)
		switch {
		case !ok || expr == "" || strings.Contains(expr, "="):
			return nil, fmt.Errorf("illegal client matching pattern: %s; write property=regular expression", text)
		case !slices.Contains(properties(), property):
			return nil, fmt.Errorf("illegal client matching pattern: %s; a property is one of %s", text, strings.Join(properties(), ", "))
		}
		compiled, err := regexp.Compile(`^(?:` + expr + `)$`)
		if err != nil {
			return nil, fmt.Errorf("illegal client matching pattern: %s; the regular expression cannot be read: %w", text, err)
		}
		all = slices.DeleteFunc(all, func(s Selector) bool { return s.Property == property })
		all = append(all, Selector{property, compiled})
	}
	return all, nil
}

// parseSubscription makes a subscription of a resource's values.
func parseSubscription(name string, values map[string]string) (Subscription, error) {
	s := Subscription{Name: name, Metrics: config.SplitList(values["metrics"]), Interval: defaultInterval}
	if text, ok := values["interval.ms"]; ok {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil || n <= 0 {
			return s, fmt.Errorf("interval.ms=%s is no number of milliseconds; set it to 100 to 3600000", text)
		}
		s.Interval = time.Duration(n) * time.Millisecond
	}
	var err error
	s.Match, err = ParseMatch(values["match"])
	return s, err
}

// matches says whether the subscription is for a client. A property that the client has not told fits nothing.
func (s *Subscription) matches(id wire.UUID, c Client) bool {
	for _, m := range s.Match {
		var text string
		switch m.Property {
		case "client_instance_id":
			text = id.String()
		case "client_id":
			text = c.ID
		case "client_software_name":
			text = c.Software
		case "client_software_version":
			text = c.Version
		case "client_source_address":
			text = c.Address
		case "client_source_port":
			text = c.Port
		}
		if text == "" || !m.Expr.MatchString(text) {
			return false
		}
	}
	return true
}

// ConfigKeys returns the keys that this room obeys: a subscription's, and telemetry.max.bytes.
func ConfigKeys() []config.Key {
	elements := func(value string) error {
		if slices.Contains(config.SplitList(value), "") {
			return errors.New("an element of the list is empty; write a,b without a comma too many")
		}
		return nil
	}
	match := func(value string) error {
		_, err := ParseMatch(value)
		return err
	}
	return []config.Key{
		{Name: "telemetry.max.bytes", Scope: config.Broker, Kind: config.Int, Default: "1048576", Check: config.Positive(),
			Doc: "The largest push of clients' metrics, in bytes, as it comes and decompressed (KIP-714)."},
		{Name: "interval.ms", Scope: config.ClientMetrics, Kind: config.Int, Default: "300000", Check: config.Range(100, 3_600_000),
			Doc: "How often clients push their metrics, in milliseconds."},
		{Name: "match", Scope: config.ClientMetrics, Kind: config.List, Default: "", Check: config.All(elements, match),
			Doc: "Which clients the subscription is for, as property=regular expression; all when it is empty."},
		{Name: "metrics", Scope: config.ClientMetrics, Kind: config.List, Default: "", Check: elements,
			Doc: "The prefixes of the metrics that clients push; * is all."},
	}
}
