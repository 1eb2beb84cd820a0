package records

import (
	"encoding/base64"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// scanner reads a line in the very form in which AppendJSON writes it, several times as fast as a parser of all
// JSON does. It gives up at whatever it does not expect; ParseJSON then reads the line anew and says what is wrong.
type scanner struct {
	b  []byte
	at int
}

// The fields of a record, as bits of those that a line had.
const (
	hasTopic = 1 << iota
	hasPartition
	hasOffset
	hasTimestamp
	hasKey
	hasValue
	hasHeaders
)

// record reads a line, and says whether it is in the form.
func (s *scanner) record() (*JSONRecord, bool) {
	if !utf8.Valid(s.b) || !s.skip('{') {
		return nil, false
	}
	r := &JSONRecord{}
	for seen := 0; ; {
		name, ok := s.plain()
		if !ok || !s.skip(':') {
			return nil, false
		}
		field := 0
		switch string(name) {
		case "topic":
			var topic []byte
			field = hasTopic
			topic, ok = s.plain()
			r.Topic, r.HasTopic = string(topic), true
		case "partition":
			var n int64
			field = hasPartition
			n, ok = s.number(1<<31 - 1)
			r.Partition, r.HasPartition = int32(n), true
		case "offset":
			field = hasOffset
			r.Offset, ok = s.number(1<<62 - 1)
			r.HasOffset = true
		case "timestamp":
			field = hasTimestamp
			r.Timestamp, ok = s.time()
			r.HasTime = true
		case "key":
			field = hasKey
			r.Key, ok = s.bytes()
		case "key_base64":
			field = hasKey
			r.Key, ok = s.base64()
		case "value":
			field = hasValue
			r.Value, ok = s.bytes()
		case "value_base64":
			field = hasValue
			r.Value, ok = s.base64()
		case "headers":
			field = hasHeaders
			r.Headers, ok = s.headers()
		}
		if !ok || field == 0 || seen&field != 0 {
			return nil, false
		}
		seen |= field
		if s.skip(',') {
			continue
		}
		return r, s.skip('}') && s.at == len(s.b)
	}
}

// skip reads one sign, when it is the next.
func (s *scanner) skip(c byte) bool {
	if s.at < len(s.b) && s.b[s.at] == c {
		s.at++
		return true
	}
	return false
}

// plain reads a string without escapes. It is valid as long as the line.
func (s *scanner) plain() ([]byte, bool) {
	if !s.skip('"') {
		return nil, false
	}
	from := s.at
	for ; s.at < len(s.b); s.at++ {
		switch c := s.b[s.at]; {
		case c == '"':
			s.at++
			return s.b[from : s.at-1], true
		case c == '\\' || c < 0x20:
			return nil, false
		}
	}
	return nil, false
}

// number reads a whole number from 0 to most, which is far below the greatest of its type.
func (s *scanner) number(most int64) (int64, bool) {
	from, n := s.at, int64(0)
	for ; s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9' && s.at-from < 19; s.at++ {
		n = n*10 + int64(s.b[s.at]-'0')
		if n > most || n < 0 {
			return 0, false
		}
	}
	zero := s.at-from > 1 && s.b[from] == '0'
	return n, s.at > from && !zero
}

// time reads a timestamp as in "2026-01-31T10:00:00.000Z".
func (s *scanner) time() (time.Time, bool) {
	const form = "0000-00-00T00:00:00.000Z"
	t, ok := s.plain()
	if !ok || len(t) != len(form) {
		return time.Time{}, false
	}
	var parts [7]int
	part := 0
	for i := range len(form) {
		switch {
		case form[i] != '0':
			if t[i] != form[i] {
				return time.Time{}, false
			}
			part++
		case t[i] < '0' || t[i] > '9':
			return time.Time{}, false
		default:
			parts[part] = parts[part]*10 + int(t[i]-'0')
		}
	}
	at := time.Date(parts[0], time.Month(parts[1]), parts[2], parts[3], parts[4], parts[5], parts[6]*int(time.Millisecond), time.UTC)
	// What is no date, as the 31st of February, comes out as another.
	valid := at.Month() == time.Month(parts[1]) && at.Day() == parts[2] && parts[3] < 24 && parts[4] < 60 && parts[5] < 60
	return at, valid
}

// bytes reads a text, or null.
func (s *scanner) bytes() ([]byte, bool) {
	if s.at+4 <= len(s.b) && string(s.b[s.at:s.at+4]) == "null" {
		s.at += 4
		return nil, true
	}
	if !s.skip('"') {
		return nil, false
	}
	from := s.at
	escaped := false
	for ; s.at < len(s.b) && s.b[s.at] != '"'; s.at++ {
		switch c := s.b[s.at]; {
		case c == '\\':
			escaped = true
			s.at++
		case c < 0x20:
			return nil, false
		}
	}
	if s.at >= len(s.b) {
		return nil, false
	}
	raw := s.b[from:s.at]
	s.at++
	if escaped {
		return unescape(raw)
	}
	return append(make([]byte, 0, len(raw)), raw...), true
}

// unescape is a text without its escapes. It knows those that AppendJSON writes, of signs below U+00A0.
func unescape(raw []byte) ([]byte, bool) {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			b = append(b, raw[i])
			continue
		}
		if i++; i >= len(raw) {
			return nil, false
		}
		switch raw[i] {
		case '"', '\\':
			b = append(b, raw[i])
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			if i+4 >= len(raw) || raw[i+1] != '0' || raw[i+2] != '0' {
				return nil, false
			}
			hi, lo := digit(raw[i+3]), digit(raw[i+4])
			if hi < 0 || lo < 0 {
				return nil, false
			}
			b = utf8.AppendRune(b, rune(hi<<4|lo))
			i += 4
		default:
			return nil, false
		}
	}
	return b, true
}

// digit is a digit of a number in base 16, -1 for what is none.
func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// base64 reads bytes in base64.
func (s *scanner) base64() ([]byte, bool) {
	t, ok := s.plain()
	if !ok {
		return nil, false
	}
	b, err := base64.StdEncoding.AppendDecode(make([]byte, 0, len(t)*3/4), t)
	return b, err == nil
}

// headers reads a list of headers that is not empty.
func (s *scanner) headers() (all []kgo.RecordHeader, ok bool) {
	if !s.skip('[') {
		return nil, false
	}
	for {
		var h kgo.RecordHeader
		if !s.skip('{') || !s.header(&h) || !s.skip('}') {
			return nil, false
		}
		all = append(all, h)
		if !s.skip(',') {
			return all, s.skip(']')
		}
	}
}

// header reads what stands in the braces of a header: its key, and then its value.
func (s *scanner) header(h *kgo.RecordHeader) bool {
	for i, names := range [2][2]string{{"key", "key_base64"}, {"value", "value_base64"}} {
		if i > 0 && !s.skip(',') {
			return false
		}
		name, ok := s.plain()
		if !ok || !s.skip(':') {
			return false
		}
		var b []byte
		switch string(name) {
		case names[0]:
			b, ok = s.bytes()
		case names[1]:
			b, ok = s.base64()
		default:
			return false
		}
		switch {
		case !ok || i == 0 && b == nil:
			return false
		case i == 0:
			h.Key = string(b)
		default:
			h.Value = b
		}
	}
	return true
}
