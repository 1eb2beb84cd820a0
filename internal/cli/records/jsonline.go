package records

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// Shown is how keys and values are shown.
type Shown int8

// The ways to show a key or a value.
const (
	// Text is the bytes as they are; in JSON a string, or base64 under a name of its own when they are not UTF-8.
	Text Shown = iota
	// JSON is objects and arrays as such: compact, or over several lines for a person. What is no JSON is Text.
	JSON
	// Hex is two digits a byte.
	Hex
	// Base64 is base64 in its standard form.
	Base64
)

// ShownAs are the words for Shown on a command line.
func ShownAs() []string { return []string{"text", "json", "hex", "base64"} }

// ParseShown reads a word of ShownAs.
func ParseShown(s string) (Shown, error) {
	for i, w := range ShownAs() {
		if s == w {
			return Shown(i), nil
		}
	}
	return 0, fmt.Errorf("allowed are %s", strings.Join(ShownAs(), ", "))
}

// AppendJSON writes a record as one line of JSON: what consume -f json and topic export print, and what produce
// -f json and topic import read. Nothing is lost: bytes that are not UTF-8 stand in base64 under names of their
// own (key_base64, value_base64), and a null is null.
func AppendJSON(b []byte, r *kgo.Record, key, value Shown) []byte {
	b = append(b, `{"topic":`...)
	b = appendString(b, r.Topic)
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(r.Partition), 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, r.Offset, 10)
	b = append(b, `,"timestamp":"`...)
	b = appendTime(b, r.Timestamp)
	b = append(b, '"')
	b = appendField(b, "key", r.Key, key)
	b = appendField(b, "value", r.Value, value)
	if len(r.Headers) > 0 {
		b = append(b, `,"headers":[`...)
		for i, h := range r.Headers {
			if i > 0 {
				b = append(b, ',')
			}
			if utf8.ValidString(h.Key) {
				b = append(b, `{"key":`...)
				b = appendString(b, h.Key)
			} else {
				b = append(b, `{"key_base64":"`...)
				b = base64.StdEncoding.AppendEncode(b, []byte(h.Key))
				b = append(b, '"')
			}
			b = appendField(b, "value", h.Value, Text)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	return append(b, '}', '\n')
}

// appendTime writes a timestamp with its milliseconds, and those alone where RFC 3339 has no year for it.
func appendTime(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if t = time.UnixMilli(ms).UTC(); t.Year() < 0 || t.Year() > 9999 {
		return strconv.AppendInt(b, ms, 10)
	}
	return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
}

// appendField writes ,"name":v for bytes that are a text, null or JSON, and ,"name_base64":v and the like otherwise.
func appendField(b []byte, name string, v []byte, as Shown) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	switch {
	case v == nil:
		return append(b, `":null`...)
	case as == Hex:
		b = append(b, `_hex":"`...)
		b = hex.AppendEncode(b, v)
		return append(b, '"')
	case as == Base64 || !utf8.Valid(v):
		b = append(b, `_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, v)
		return append(b, '"')
	case as == JSON && isStructure(v):
		b = append(b, '"', ':')
		buf := bytes.NewBuffer(b)
		if json.Compact(buf, v) == nil {
			return buf.Bytes()
		}
	}
	b = append(b, '"', ':')
	return appendString(b, string(v))
}

// isStructure says that v is an object or an array of JSON. Strings, numbers and null stay texts, as a reader
// could not tell "1" and 1 apart afterwards.
func isStructure(v []byte) bool {
	t := bytes.TrimLeft(v, " \t\r\n")
	return len(t) > 1 && (t[0] == '{' || t[0] == '[') && json.Valid(v)
}

// appendString writes a string of JSON. s is UTF-8.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == 0xc2 && i+1 < len(s) && s[i+1] < 0xa0 { // U+0080 to U+009F, which a terminal may obey
			b = append(b, s[from:i]...)
			i++
			b = append(b, '\\', 'u', '0', '0', digits[s[i]>>4], digits[s[i]&15])
			from = i + 1
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		from = i + 1
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// JSONRecord is a record read from a line of JSON, and which of its places were named in it.
type JSONRecord struct {
	kgo.Record
	// HasPartition, HasOffset and HasTime say that the line told them; HasTopic that it named a topic.
	HasTopic, HasPartition, HasOffset, HasTime bool
}

// jsonInput is the fields of a line.
type jsonInput struct {
	Topic       *string         `json:"topic"`
	Partition   *int32          `json:"partition"`
	Offset      *int64          `json:"offset"`
	Timestamp   json.RawMessage `json:"timestamp"`
	Key         json.RawMessage `json:"key"`
	KeyBase64   *string         `json:"key_base64"`
	KeyHex      *string         `json:"key_hex"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 *string         `json:"value_base64"`
	ValueHex    *string         `json:"value_hex"`
	Headers     json.RawMessage `json:"headers"`
}

// jsonHeader is one header of a line.
type jsonHeader struct {
	Key         *string         `json:"key"`
	KeyBase64   *string         `json:"key_base64"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 *string         `json:"value_base64"`
}

// ParseJSON reads a line that AppendJSON wrote, or that somebody wrote in its manner: every field may be left
// out; headers may be an object, a timestamp may be a number of milliseconds, and a key or value that is no
// string stands for its own JSON, compact. A field that is not known is an error, as it would be lost otherwise.
func ParseJSON(line []byte) (*JSONRecord, error) {
	if r, ok := (&scanner{b: line}).record(); ok {
		return r, nil
	}
	return parseAnyJSON(line)
}

// parseAnyJSON is ParseJSON for lines in whatever form.
func parseAnyJSON(line []byte) (*JSONRecord, error) {
	var in jsonInput
	if err := strictly(line, &in); err != nil {
		return nil, err
	}
	r := &JSONRecord{HasTopic: in.Topic != nil, HasPartition: in.Partition != nil, HasOffset: in.Offset != nil}
	if in.Topic != nil {
		r.Topic = *in.Topic
	}
	if in.Partition != nil {
		r.Partition = *in.Partition
		if r.Partition < 0 {
			return nil, fmt.Errorf("partition %d: must not be below 0", r.Partition)
		}
	}
	if in.Offset != nil {
		r.Offset = *in.Offset
	}
	var err error
	if r.Timestamp, r.HasTime, err = jsonTime(in.Timestamp); err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	if r.Key, err = jsonBytes(in.Key, in.KeyBase64, in.KeyHex); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if r.Value, err = jsonBytes(in.Value, in.ValueBase64, in.ValueHex); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	if r.Headers, err = jsonHeaders(in.Headers); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	return r, nil
}

// strictly reads one value of JSON and nothing else.
func strictly(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err == nil {
		return errors.New("there is more than one value in the line")
	}
	if rest := bytes.TrimSpace(b[d.InputOffset():]); len(rest) > 0 {
		return errors.New("something stands behind the record")
	}
	return nil
}

// isNull says that a field is left out or null.
func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// jsonBytes is a key or value of the field that holds it.
func jsonBytes(raw json.RawMessage, b64, hx *string) ([]byte, error) {
	switch {
	case b64 != nil && hx != nil || !isNull(raw) && (b64 != nil || hx != nil):
		return nil, errors.New("told twice, plain and in base64 or hex")
	case b64 != nil:
		v, err := base64.StdEncoding.DecodeString(*b64)
		return whole(v), err
	case hx != nil:
		v, err := hex.DecodeString(*hx)
		return whole(v), err
	case isNull(raw):
		return nil, nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return []byte(s), err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// whole is b, empty and not null for no bytes.
func whole(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// jsonTime is a timestamp in milliseconds, or as a text.
func jsonTime(raw json.RawMessage) (time.Time, bool, error) {
	if isNull(raw) {
		return time.Time{}, false, nil
	}
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return time.Time{}, false, err
		}
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), true, nil
	}
	t, err := app.ParseTime(text, time.Now())
	if err != nil || strings.HasPrefix(text, "-") || text == "now" {
		return time.Time{}, false, fmt.Errorf("%q is not a time such as 2026-01-31T15:04:05Z or 1767225600000", text)
	}
	return t, true, nil
}

// jsonHeaders are headers in a list, in which a name may stand twice, or in an object.
func jsonHeaders(raw json.RawMessage) ([]kgo.RecordHeader, error) {
	if isNull(raw) {
		return nil, nil
	}
	var headers []kgo.RecordHeader
	if raw[0] == '{' {
		d := json.NewDecoder(bytes.NewReader(raw))
		_, _ = d.Token()
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			var v json.RawMessage
			if err := d.Decode(&v); err != nil {
				return nil, err
			}
			b, err := jsonBytes(v, nil, nil)
			if err != nil {
				return nil, err
			}
			headers = append(headers, kgo.RecordHeader{Key: name.(string), Value: b})
		}
		return headers, nil
	}
	var list []jsonHeader
	if err := strictly(raw, &list); err != nil {
		return nil, err
	}
	for _, h := range list {
		var name []byte
		switch {
		case h.Key != nil && h.KeyBase64 == nil:
			name = []byte(*h.Key)
		case h.KeyBase64 != nil && h.Key == nil:
			b, err := base64.StdEncoding.DecodeString(*h.KeyBase64)
			if err != nil {
				return nil, err
			}
			name = b
		default:
			return nil, errors.New("each has a key")
		}
		v, err := jsonBytes(h.Value, h.ValueBase64, nil)
		if err != nil {
			return nil, err
		}
		headers = append(headers, kgo.RecordHeader{Key: string(name), Value: v})
	}
	return headers, nil
}

// JSONHeader is one header of a record, for commands that print records within something larger.
type JSONHeader struct {
	Key      string  `json:"key"`
	Value    *string `json:"value"`
	ValueB64 string  `json:"value_base64,omitempty"`
}

// TextOrBase64 is b as a text, or in base64 when it is none; both are nothing for nil.
func TextOrBase64(b []byte) (*string, string) {
	if b == nil {
		return nil, ""
	}
	if !utf8.Valid(b) {
		return nil, base64.StdEncoding.EncodeToString(b)
	}
	s := string(b)
	return &s, ""
}
