package code

import (
	"errors"
	"fmt"
)

// Error is an error code of Kafka's protocol. It is an error itself, so a room
// returns code.OffsetOutOfRange, or wraps it with %w or Errorf to say more.
// None is not an error and is never returned as one.
type Error int16

// Error returns the protocol's own name of the code, OFFSET_OUT_OF_RANGE for example.
func (e Error) Error() string {
	if i := int(e) + 1; i >= 0 && i < len(entries) {
		return entries[i].name
	}
	return fmt.Sprintf("UNKNOWN_ERROR_CODE_%d", int16(e))
}

// Retriable says whether clients try again by themselves after this code.
func (e Error) Retriable() bool {
	i := int(e) + 1
	return i >= 0 && i < len(entries) && entries[i].retriable
}

// All returns every code from -1 (UnknownServerError) upwards, None included.
func All() []Error {
	all := make([]Error, len(entries))
	for i := range all {
		all[i] = Error(i - 1)
	}
	return all
}

// Detail is a code with the sentence that a client is shown: which input, why, and the remedy.
type Detail struct {
	Code    Error
	Message string
}

// Error returns the sentence.
func (d *Detail) Error() string { return d.Message }

// Unwrap returns the code, so that errors.Is(err, code.X) holds.
func (d *Detail) Unwrap() error { return d.Code }

// Errorf returns a *Detail: the code and a sentence for the client.
func Errorf(c Error, format string, args ...any) error {
	return &Detail{Code: c, Message: fmt.Sprintf(format, args...)}
}

// Of returns the code that a response carries for err: None for nil, the code
// that err is or wraps, and UnknownServerError for an error of another kind.
func Of(err error) Error {
	if err == nil {
		return None
	}
	if c, ok := err.(Error); ok {
		return c
	}
	var c Error
	if errors.As(err, &c) {
		return c
	}
	return UnknownServerError
}

// Message returns the sentence of the first Detail in err's chain, or nil when
// there is none: what goes into a response's nullable error message.
func Message(err error) *string {
	var d *Detail
	if errors.As(err, &d) {
		return &d.Message
	}
	return nil
}
