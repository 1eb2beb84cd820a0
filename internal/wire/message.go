// Package wire is Kafka's protocol: one Go struct for every request, response, header and log record,
// generated from the schema in schema/ (every version that Kafka 3.9.2 or 4.4.0 serves), and forms of
// Produce and Fetch that walk a frame in place.
//
// Decoding is for bytes of strangers: a Decoder bounds everything before it allocates. Encoding appends
// to a caller's buffer. When encoding, a field that the version lacks is left out silently, whatever its
// value, as handlers answer many versions from one struct; null where the version does not allow it is
// written as empty.
package wire

//go:generate go run ./gen

// Message is a generated request, response, header or record.
type Message interface {
	// Key is the API key, or the type number of a record; -1 for messages that have none.
	Key() int16
	// Versions are the versions that Decode and Append know.
	Versions() (lo, hi int16)
	// Default sets every field to its schema default. A string pointer may then point to a shared "":
	// replace the pointer, never write through it.
	Default()
	// Decode reads the message; see Decoder for its error. Fields that the version lacks hold their
	// defaults afterwards.
	Decode(d *Decoder, version int16)
	// Append appends the message to b. The version must be one of Versions.
	Append(b []byte, version int16) []byte
}

// Listeners says on which kinds of listener an API is served.
type Listeners uint8

// The kinds of listener.
const (
	ListenerBroker Listeners = 1 << iota
	ListenerController
)

// API is one row of the table of APIs.
type API struct {
	Key          int16
	Name         string // as in ApiKeys, such as Produce
	Min, Max     int16  // versions served; a newer version that Kafka calls unstable is not among them
	FlexibleFrom int16  // first version with tagged fields (KIP-482); above Max when there is none
	Listeners    Listeners
}

// APIs returns the table of all APIs in the order of their keys.
func APIs() []API {
	var list []API
	for _, a := range apis {
		if a.Name != "" {
			list = append(list, a)
		}
	}
	return list
}

// APIOf returns the row of an API; false when the key is unknown.
func APIOf(key int16) (API, bool) {
	if key < 0 || int(key) >= len(apis) || apis[key].Name == "" {
		return API{}, false
	}
	return apis[key], true
}

// controlledShutdown is a retired API whose version 0 alone has header 0.
const controlledShutdown = 7

// apiVersions is the API whose response keeps header 0, so that a client can read it before it knows
// what the broker speaks (KIP-511).
const apiVersions = 18

// RequestHeaderVersion returns the version of the RequestHeader before a request: 2 with tagged fields
// and 1 without; 0, without a client id, only before ControlledShutdown v0.
func RequestHeaderVersion(key, version int16) int16 {
	if key == controlledShutdown && version == 0 {
		return 0
	}
	if a, ok := APIOf(key); ok && version >= a.FlexibleFrom {
		return 2
	}
	return 1
}

// ResponseHeaderVersion returns the version of the ResponseHeader before a response: 1 with tagged
// fields and 0 without; ApiVersions always 0.
func ResponseHeaderVersion(key, version int16) int16 {
	if a, ok := APIOf(key); ok && key != apiVersions && version >= a.FlexibleFrom {
		return 1
	}
	return 0
}
