package wire

import (
	"encoding/base64"
	"fmt"
)

// UUID is Kafka's 16-byte id of topics, directories and members. The zero value means none.
type UUID [16]byte

// String returns Kafka's form: base64url of the 16 bytes without padding, 22 characters.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// IsZero reports whether u is Kafka's ZERO_UUID, which names nothing.
func (u UUID) IsZero() bool { return u == UUID{} }

// ParseUUID reads the form that String writes; padding is allowed, as Kafka allows it.
func ParseUUID(s string) (u UUID, err error) {
	for len(s) > 22 && s[len(s)-1] == '=' {
		s = s[:len(s)-1]
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(u) {
		return u, fmt.Errorf("wire: %q is not a UUID: give the base64url form of 16 bytes, 22 characters", s)
	}
	return UUID(b), nil
}
