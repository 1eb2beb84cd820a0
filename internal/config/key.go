// Package config says what a configuration key is: its type, its default, what
// it accepts, and how the layers of a cluster (a topic's own values, a broker's,
// the cluster's default, the file, the default) give one effective value. The
// keys themselves live with the room that obeys them.
package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/code"
)

// Kind is the type of a key's value. The numbers are those of DescribeConfigs v3 and later (ConfigType).
type Kind int8

// The kinds of values that Kafka knows.
const (
	Boolean  Kind = 1 // true or false, in any case of letters
	String   Kind = 2 // any text, blanks at both ends cut off
	Int      Kind = 3 // 32 bits, signed
	Short    Kind = 4 // 16 bits, signed
	Long     Kind = 5 // 64 bits, signed
	Double   Kind = 6 // a float of 64 bits
	List     Kind = 7 // texts separated by commas; the empty text is the empty list
	Class    Kind = 8 // a Java class name, kept as it is
	Password Kind = 9 // a text that is never shown
)

// String returns Kafka's name of the kind, BOOLEAN for example.
func (k Kind) String() string {
	names := [...]string{"UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}
	if k < 0 || int(k) >= len(names) {
		return fmt.Sprintf("UNKNOWN_%d", int8(k))
	}
	return names[k]
}

// Scope is the kind of resource that a key belongs to.
type Scope int8

// The scopes of keys. One name may be a key of several scopes, min.insync.replicas of Topic and Broker for example.
const (
	Topic         Scope = iota + 1 // a topic
	Broker                         // a broker, by the file or dynamically, and the default of all brokers
	Group                          // a group
	ClientMetrics                  // a subscription to clients' metrics (KIP-714)
	BrokerLogger                   // a logger of a broker (KIP-412)
)

// String returns the scope as sentences name it.
func (s Scope) String() string {
	switch s {
	case Topic:
		return "topic"
	case Broker:
		return "broker"
	case Group:
		return "group"
	case ClientMetrics:
		return "client-metrics"
	case BrokerLogger:
		return "broker-logger"
	}
	return fmt.Sprintf("scope-%d", int8(s))
}

// Update says how a broker key may change while a broker runs. Keys of the other scopes always may.
type Update int8

// The ways of a broker key to change (KIP-226).
const (
	ReadOnly    Update = iota // by the file and a restart alone
	PerBroker                 // on one broker, not as the default of all
	ClusterWide               // on one broker, or as the default of all
)

// Key is one configuration key. It is a plain value that the room which obeys it writes down.
type Key struct {
	// Name is Kafka's name of the key.
	Name string
	// Scope is the kind of resource it belongs to.
	Scope Scope
	// Kind is the type of its value.
	Kind Kind
	// Default is the value when nothing sets it, in the form that DescribeConfigs shows.
	Default string
	// Null says that the default is null, and Default means nothing.
	Null bool
	// Doc is one sentence of what the key does.
	Doc string
	// Update says how a broker key changes while running.
	Update Update
	// Sensitive values are never shown. Every Password is sensitive, said or not.
	Sensitive bool
	// Synonyms of a Topic or Group key are the broker keys that it falls back to, the first that
	// is set wins. Those of a broker key are its alternates of lower rank in other units:
	// log.retention.ms has log.retention.minutes and log.retention.hours.
	Synonyms []string
	// Check says what is allowed beyond the type, in its error's text; nil allows all. It is handed
	// the normalised value. Range, OneOf, ListOf and their like make it.
	Check func(value string) error
	// NoEffect is the reason why the key is accepted and changes nothing; empty for a key that is obeyed.
	NoEffect string
}

// Secret says that the key's value must not be shown.
func (k *Key) Secret() bool { return k.Sensitive || k.Kind == Password }

// Normalize returns value as DescribeConfigs shows it: blanks cut off, numbers and booleans in
// their plain form, lists joined by commas alone. It fails with a text that says what the type allows.
func (k *Key) Normalize(value string) (string, error) {
	v := strings.TrimSpace(value)
	switch k.Kind {
	case Boolean:
		switch {
		case strings.EqualFold(v, "true"):
			return "true", nil
		case strings.EqualFold(v, "false"):
			return "false", nil
		}
		return "", fmt.Errorf("allowed is true or false")
	case Int, Short, Long:
		bits := map[Kind]int{Short: 16, Int: 32, Long: 64}[k.Kind]
		n, err := strconv.ParseInt(v, 10, bits)
		if err != nil {
			return "", fmt.Errorf("not a number of type %s; allowed is a whole number from %d to %d",
				k.Kind, math.MinInt64>>(64-bits), math.MaxInt64>>(64-bits))
		}
		return strconv.FormatInt(n, 10), nil
	case Double:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(f) {
			return "", fmt.Errorf("not a number of type DOUBLE; allowed is a number such as 0.5")
		}
		return formatDouble(f), nil
	case List:
		return strings.Join(SplitList(v), ","), nil
	default:
		return v, nil
	}
}

// Validate says whether value may be set, with a *code.Detail of InvalidConfig that names key, value and what is allowed.
func (k *Key) Validate(value string) error {
	v, err := k.Normalize(value)
	if err == nil && k.Check != nil {
		err = k.Check(v)
	}
	if err == nil {
		return nil
	}
	if k.Secret() {
		value = "[hidden]"
	}
	return code.Errorf(code.InvalidConfig, "Invalid value %s for configuration %s: %s", value, k.Name, err)
}

// Allowed says in words what values the key takes beyond its type, by the complaints about values that no key
// could mean; empty when any value of its type will do.
func (k *Key) Allowed() string {
	if k.Check == nil {
		return ""
	}
	probes := []string{"\x00"}
	switch k.Kind {
	case Int, Short, Long, Double:
		probes = []string{strconv.Itoa(math.MinInt), strconv.Itoa(math.MaxInt)}
	case List, Class, Password, Boolean, String:
		probes = append(probes, "")
	}
	var texts []string
	for _, p := range probes {
		if err := k.Check(p); err != nil && !slices.Contains(texts, err.Error()) {
			texts = append(texts, err.Error())
		}
	}
	return strings.Join(texts, "; ")
}

// SplitList returns the elements of a list's text, blanks around them cut off. The empty text is no element.
func SplitList(value string) []string {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil
	}
	parts := strings.Split(value, ",")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}

// formatDouble writes a float as Java's Double.toString does, which is what clients of Kafka see: 0.5, 1.0E10.
func formatDouble(f float64) string {
	if math.IsInf(f, 0) {
		return strings.TrimPrefix(strconv.FormatFloat(f, 'f', -1, 64), "+") + "inity"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-3 || a >= 1e7) {
		mant, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		if !strings.Contains(mant, ".") {
			mant += ".0"
		}
		n, _ := strconv.Atoi(exp)
		return mant + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
