package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// The bounds of a Decoder. A frame is refused before memory is spent on it, not after.
const (
	// MaxArray is the most elements that one array may have.
	MaxArray = 1_000_000
	// MaxString is the most bytes that one string may have, Kafka's own limit.
	MaxString = math.MaxInt16
	// MaxTagBytes is the most bytes that the tagged fields of one message may have together.
	MaxTagBytes = 64 << 10

	// Decoding allocates at most budgetFactor bytes for each byte of the body and budgetBase more:
	// with the frame itself and what size classes round up that stays within the 8 x body + 64 KiB
	// that a hostile frame may cost.
	budgetFactor = 6
	budgetBase   = 48 << 10
)

// DecodeError says which field of a message cannot be read, and why.
type DecodeError struct {
	Field  string // path of the field, such as ProduceRequest.TopicData.Name
	Reason string
}

// Error names the field and the reason.
func (e *DecodeError) Error() string { return "wire: " + e.Field + ": " + e.Reason }

// Decoder reads one message from a frame that may come from anyone. It never panics and never reads
// past the frame; its error is sticky: after the first one every read returns a zero value.
//
// Decoded strings and byte slices alias the frame. They must not be used after the frame is released;
// who keeps one clones it (strings.Clone, bytes.Clone).
type Decoder struct {
	b      []byte
	off    int
	budget int    // bytes that may still be allocated
	tags   int    // bytes of tagged fields seen
	names  string // paths of the fields of the message being read, one a line
	field  uint16 // line of the field being read
	flex   bool   // lengths are varints and tags follow structs (KIP-482)
	err    *DecodeError
}

// NewDecoder returns a Decoder that reads b.
func NewDecoder(b []byte) Decoder {
	return Decoder{b: b, budget: budgetFactor*len(b) + budgetBase}
}

// Reset makes d read b from the start, with no error and a fresh budget.
func (d *Decoder) Reset(b []byte) { *d = NewDecoder(b) }

// Err returns the first error, or nil.
func (d *Decoder) Err() error {
	if d.err == nil {
		return nil
	}
	return d.err
}

// Done returns the first error, or an error when bytes are left over.
func (d *Decoder) Done() error {
	if d.err == nil && d.off < len(d.b) {
		d.field = 0
		d.fail("%d bytes are left after the last field", len(d.b)-d.off)
	}
	return d.Err()
}

// Rest returns the bytes not yet read; they alias the frame.
func (d *Decoder) Rest() []byte { return d.b[d.off:] }

// open begins a message of the given version, and reports whether it can be read.
func (d *Decoder) open(names string, version, lo, hi int16, flex bool) bool {
	if d.err != nil {
		return false
	}
	d.names, d.field, d.flex = names, 0, flex
	if version < lo || version > hi {
		d.fail("version %d is not one of %d to %d", version, lo, hi)
		return false
	}
	return true
}

//go:noinline
func (d *Decoder) fail(format string, args ...any) {
	if d.err != nil {
		return
	}
	path, rest, _ := strings.Cut(d.names, "\n")
	for i := uint16(0); i < d.field; i++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if i == d.field-1 {
			path += "." + line
		}
	}
	d.err = &DecodeError{Field: path, Reason: fmt.Sprintf(format, args...)}
	d.off = len(d.b)
}

// take returns the next n bytes, or nil when there are fewer.
func (d *Decoder) take(n int) []byte {
	if n > len(d.b)-d.off {
		d.short(n)
		return nil
	}
	p := d.b[d.off : d.off+n : d.off+n]
	d.off += n
	return p
}

//go:noinline
func (d *Decoder) short(n int) {
	if d.err == nil {
		d.fail("%d bytes are needed and %d are left", n, len(d.b)-d.off)
	}
}

// spend takes n bytes from the budget, and reports whether that many were left.
func (d *Decoder) spend(n int) bool {
	if d.budget -= n; d.budget < 0 {
		d.fail("the message would take more than %d bytes of memory for %d bytes of frame", budgetFactor*len(d.b)+budgetBase, len(d.b))
		return false
	}
	return d.err == nil
}

// Bool reads a byte; any value but 0 is true.
func (d *Decoder) Bool() bool { return d.Int8() != 0 }

// Int8 reads a signed byte.
func (d *Decoder) Int8() int8 {
	if d.off >= len(d.b) {
		d.short(1)
		return 0
	}
	d.off++
	return int8(d.b[d.off-1])
}

// Int16 reads a big-endian signed number.
func (d *Decoder) Int16() int16 { return int16(d.Uint16()) }

// Uint16 reads a big-endian number.
func (d *Decoder) Uint16() uint16 {
	if p := d.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// Int32 reads a big-endian signed number.
func (d *Decoder) Int32() int32 { return int32(d.Uint32()) }

// Uint32 reads a big-endian number.
func (d *Decoder) Uint32() uint32 {
	if p := d.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// Int64 reads a big-endian signed number.
func (d *Decoder) Int64() int64 {
	if p := d.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// Float64 reads a big-endian IEEE 754 number.
func (d *Decoder) Float64() float64 { return math.Float64frombits(uint64(d.Int64())) }

// UUID reads 16 bytes.
func (d *Decoder) UUID() (u UUID) {
	if p := d.take(16); p != nil {
		u = UUID(p)
	}
	return u
}

// Uvarint reads an unsigned varint of at most 5 bytes and 32 bits.
func (d *Decoder) Uvarint() uint32 {
	var x uint32
	for i := 0; i < 5; i++ {
		if d.off >= len(d.b) {
			d.short(1)
			return 0
		}
		c := d.b[d.off]
		d.off++
		if i == 4 && c > 0x0f {
			break
		}
		x |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			return x
		}
	}
	d.fail("a varint is longer than 5 bytes or 32 bits")
	return 0
}

// Uvarint64 reads an unsigned varint of at most 10 bytes and 64 bits.
func (d *Decoder) Uvarint64() uint64 {
	var x uint64
	for i := 0; i < 10; i++ {
		if d.off >= len(d.b) {
			d.short(1)
			return 0
		}
		c := d.b[d.off]
		d.off++
		if i == 9 && c > 1 {
			break
		}
		x |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return x
		}
	}
	d.fail("a varint is longer than 10 bytes or 64 bits")
	return 0
}

// Str reads a string that is not null.
func (d *Decoder) Str() string {
	s, _ := d.str(d.flex, false)
	return s
}

// NullStr reads a string; nil is null, which is an error unless nullable.
func (d *Decoder) NullStr(nullable bool) *string { return d.strp(d.flex, nullable) }

// classicNullStr reads a string whose length is an int16 even in a flexible message.
func (d *Decoder) classicNullStr(nullable bool) *string { return d.strp(false, nullable) }

func (d *Decoder) strp(flex, nullable bool) *string {
	s, ok := d.str(flex, nullable)
	if !ok || !d.spend(int(unsafe.Sizeof(s))) {
		return nil
	}
	return &s
}

// str reads a string; ok is false when it is null or an error.
func (d *Decoder) str(flex, nullable bool) (s string, ok bool) {
	var n int
	if flex {
		n = int(d.Uvarint()) - 1
	} else {
		n = int(d.Int16())
	}
	switch {
	case d.err != nil:
		return "", false
	case n == -1 && nullable:
		return "", false
	case n == -1:
		d.fail("it is null, which version and field do not allow")
		return "", false
	case n < 0 || n > MaxString:
		d.fail("its length %d is not one of 0 to %d", n, MaxString)
		return "", false
	}
	p := d.take(n)
	if d.err != nil || n == 0 {
		return "", d.err == nil
	}
	if !utf8.Valid(p) {
		d.fail("it is not UTF-8")
		return "", false
	}
	return unsafe.String(&p[0], n), true
}

// Bytes reads bytes that are not null.
func (d *Decoder) Bytes() []byte { return d.NullBytes(false) }

// NullBytes reads bytes; nil is null, which is an error unless nullable.
func (d *Decoder) NullBytes(nullable bool) []byte {
	var n int
	if d.flex {
		n = int(d.Uvarint()) - 1
	} else {
		n = int(d.Int32())
	}
	switch {
	case d.err != nil:
		return nil
	case n == -1 && nullable:
		return nil
	case n == -1:
		d.fail("it is null, which version and field do not allow")
		return nil
	case n < 0:
		d.fail("its length %d is negative", n)
		return nil
	}
	return d.take(n)
}

// array reads the count of an array whose elements take at least wire bytes in the frame and mem in
// memory, and takes that memory from the budget. It returns -1 for null and for an error.
func (d *Decoder) array(wire int, mem uintptr, nullable bool) int {
	var n int
	if d.flex {
		n = int(d.Uvarint()) - 1
	} else {
		n = int(d.Int32())
	}
	switch {
	case d.err != nil:
		return -1
	case n == -1 && nullable:
		return -1
	case n == -1:
		d.fail("it is null, which version and field do not allow")
		return -1
	case n < 0:
		d.fail("its count %d is negative", n)
		return -1
	case n > MaxArray:
		d.fail("its count %d is more than %d", n, MaxArray)
		return -1
	case n*wire > len(d.b)-d.off:
		d.fail("its %d elements need %d bytes and %d are left", n, n*wire, len(d.b)-d.off)
		return -1
	}
	if !d.spend(n * int(mem)) {
		return -1
	}
	return n
}

func (d *Decoder) int8s(nullable bool) []int8 {
	n := d.array(1, 1, nullable)
	if n < 0 {
		return nil
	}
	a := make([]int8, n)
	for i := range a {
		a[i] = d.Int8()
	}
	return a
}

func (d *Decoder) int16s(nullable bool) []int16 {
	n := d.array(2, 2, nullable)
	if n < 0 {
		return nil
	}
	a := make([]int16, n)
	for i := range a {
		a[i] = d.Int16()
	}
	return a
}

func (d *Decoder) int32s(nullable bool) []int32 {
	n := d.array(4, 4, nullable)
	if n < 0 {
		return nil
	}
	a := make([]int32, n)
	for i := range a {
		a[i] = d.Int32()
	}
	return a
}

func (d *Decoder) int64s(nullable bool) []int64 {
	n := d.array(8, 8, nullable)
	if n < 0 {
		return nil
	}
	a := make([]int64, n)
	for i := range a {
		a[i] = d.Int64()
	}
	return a
}

func (d *Decoder) uuids(nullable bool) []UUID {
	n := d.array(16, 16, nullable)
	if n < 0 {
		return nil
	}
	a := make([]UUID, n)
	for i := range a {
		a[i] = d.UUID()
	}
	return a
}

func (d *Decoder) strings(nullable bool) []string {
	wire := 2
	if d.flex {
		wire = 1
	}
	n := d.array(wire, unsafe.Sizeof(""), nullable)
	if n < 0 {
		return nil
	}
	a := make([]string, n)
	for i := range a {
		if a[i] = d.Str(); d.err != nil {
			return nil
		}
	}
	return a
}

// some reads the byte before a nullable struct that takes mem bytes in memory, and reports whether
// the struct follows.
func (d *Decoder) some(mem uintptr, nullable bool) bool {
	if d.Int8() >= 0 {
		return d.err == nil && d.spend(int(mem))
	}
	if !nullable {
		d.fail("it is null, which version and field do not allow")
	}
	return false
}
