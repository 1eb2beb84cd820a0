package wire

import (
	"encoding/binary"
	"math"
)

// empty is what a nullable string that defaults to "" points to; nobody writes to it.
var empty string

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendInt8(b []byte, v int8) []byte       { return append(b, byte(v)) }
func appendInt16(b []byte, v int16) []byte     { return append(b, byte(v>>8), byte(v)) }
func appendUint16(b []byte, v uint16) []byte   { return append(b, byte(v>>8), byte(v)) }
func appendInt32(b []byte, v int32) []byte     { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func appendUint32(b []byte, v uint32) []byte   { return binary.BigEndian.AppendUint32(b, v) }
func appendInt64(b []byte, v int64) []byte     { return binary.BigEndian.AppendUint64(b, uint64(v)) }
func appendFloat64(b []byte, v float64) []byte { return appendInt64(b, int64(math.Float64bits(v))) }
func appendUUID(b []byte, v UUID) []byte       { return append(b, v[:]...) }
func appendUvarint(b []byte, v uint32) []byte  { return binary.AppendUvarint(b, uint64(v)) }

func appendString(b []byte, s string, flex bool) []byte {
	if flex {
		b = appendUvarint(b, uint32(len(s))+1)
	} else {
		b = appendInt16(b, int16(len(s)))
	}
	return append(b, s...)
}

// appendNullString appends null for nil when nullable, and else "".
func appendNullString(b []byte, s *string, flex, nullable bool) []byte {
	switch {
	case s != nil:
		return appendString(b, *s, flex)
	case !nullable:
		return appendString(b, "", flex)
	case flex:
		return append(b, 0)
	}
	return append(b, 0xff, 0xff)
}

// appendLen appends the count of an array or of bytes, or null.
func appendLen(b []byte, n int, flex, null bool) []byte {
	switch {
	case null && flex:
		return append(b, 0)
	case null:
		return append(b, 0xff, 0xff, 0xff, 0xff)
	case flex:
		return appendUvarint(b, uint32(n)+1)
	}
	return appendInt32(b, int32(n))
}

// appendBytes appends null for nil when nullable, and else no bytes.
func appendBytes(b, p []byte, flex, nullable bool) []byte {
	return append(appendLen(b, len(p), flex, nullable && p == nil), p...)
}

func appendInt8s(b []byte, a []int8, flex, nullable bool) []byte {
	b = appendLen(b, len(a), flex, nullable && a == nil)
	for _, v := range a {
		b = appendInt8(b, v)
	}
	return b
}

func appendInt16s(b []byte, a []int16, flex, nullable bool) []byte {
	b = appendLen(b, len(a), flex, nullable && a == nil)
	for _, v := range a {
		b = appendInt16(b, v)
	}
	return b
}

func appendInt32s(b []byte, a []int32, flex, nullable bool) []byte {
	b = appendLen(b, len(a), flex, nullable && a == nil)
	for _, v := range a {
		b = appendInt32(b, v)
	}
	return b
}

func appendInt64s(b []byte, a []int64, flex, nullable bool) []byte {
	b = appendLen(b, len(a), flex, nullable && a == nil)
	for _, v := range a {
		b = appendInt64(b, v)
	}
	return b
}

func appendUUIDs(b []byte, a []UUID, flex, nullable bool) []byte {
	b = appendLen(b, len(a), flex, nullable && a == nil)
	for _, v := range a {
		b = appendUUID(b, v)
	}
	return b
}

func appendStrings(b []byte, a []string, flex, nullable bool) []byte {
	b = appendLen(b, len(a), flex, nullable && a == nil)
	for _, v := range a {
		b = appendString(b, v, flex)
	}
	return b
}

// appendSome appends the byte before a nullable struct.
func appendSome(b []byte, some bool) []byte {
	if some {
		return append(b, 1)
	}
	return append(b, 0xff)
}
