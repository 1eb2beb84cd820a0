package records

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestARecordComesBackFromItsLineOfJSONAsItWas(t *testing.T) {
	for _, r := range []kgo.Record{
		{Topic: "t", Timestamp: time.UnixMilli(0)},
		{Topic: "t", Partition: 3, Offset: 1 << 60, Timestamp: time.UnixMilli(1767225600123), Key: []byte{}, Value: []byte{}},
		{Topic: "t", Timestamp: time.UnixMilli(1 << 52), Key: []byte("k\"\\\n\r\t\x00\x1f\x7f\u2028\u0085\u00a0<&>é"), Value: []byte("{\"a\": 1}")},
		{Topic: "t", Timestamp: time.UnixMilli(-1), Key: []byte{0xff, 0}, Value: []byte{0xc3, 0x28}, Headers: []kgo.RecordHeader{{Key: "a", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "\xff", Value: []byte{0xfe}}}},
	} {
		for _, as := range []Shown{Text, Hex, Base64} {
			line := AppendJSON(nil, &r, as, as)
			if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 {
				t.Errorf("no line of JSON: %s", line)
			}
			got, err := ParseJSON(line)
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if !same(&got.Record, &r) || !got.HasTopic || !got.HasPartition || !got.HasOffset || !got.HasTime {
				t.Errorf("%s\nbecame %+v\nwant   %+v", line, got.Record, r)
			}
		}
	}
}

// same says that two records have the same content.
func same(a, b *kgo.Record) bool {
	null := func(x, y []byte) bool { return (x == nil) == (y == nil) && bytes.Equal(x, y) }
	if len(a.Headers) != len(b.Headers) {
		return false
	}
	for i := range a.Headers {
		if a.Headers[i].Key != b.Headers[i].Key || !null(a.Headers[i].Value, b.Headers[i].Value) {
			return false
		}
	}
	return a.Topic == b.Topic && a.Partition == b.Partition && a.Offset == b.Offset && a.Timestamp.UnixMilli() == b.Timestamp.UnixMilli() && null(a.Key, b.Key) && null(a.Value, b.Value)
}

func TestJSONWithinARecordStandsAsSuchWhenAskedFor(t *testing.T) {
	r := kgo.Record{Topic: "t", Key: []byte("7"), Value: []byte("{\n \"a\" : [1, 2] }"), Timestamp: time.UnixMilli(0)}
	got := string(AppendJSON(nil, &r, JSON, JSON))
	want := `{"topic":"t","partition":0,"offset":0,"timestamp":"1970-01-01T00:00:00.000Z","key":"7","value":{"a":[1,2]}}` + "\n"
	if got != want {
		t.Errorf("got %s", got)
	}
	back, err := ParseJSON([]byte(got))
	if err != nil || string(back.Value) != `{"a":[1,2]}` || string(back.Key) != "7" {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestLinesThatPeopleWriteAreUnderstood(t *testing.T) {
	r, err := ParseJSON([]byte(` {"key": 7, "value": {"b": true}, "headers": {"x": "1", "y": null}, "timestamp": 1000} `))
	want := []kgo.RecordHeader{{Key: "x", Value: []byte("1")}, {Key: "y"}}
	if err != nil || string(r.Key) != "7" || string(r.Value) != `{"b":true}` || !reflect.DeepEqual(r.Headers, want) || r.Timestamp.UnixMilli() != 1000 || r.HasTopic || r.HasPartition {
		t.Errorf("%+v, %v", r, err)
	}
	for line, want := range map[string]string{
		`{"valeu": 1}`:                          "valeu",
		`{"value":"a","value_base64":"YQ=="}`:   "told twice",
		`{"partition":-1}`:                      "below 0",
		`{"value_base64":"?"}`:                  "base64",
		`{"timestamp":"soon"}`:                  "not a time",
		`{"timestamp":"-1h"}`:                   "not a time",
		`{"headers":[{"value":"a"}]}`:           "has a key",
		`{"a`:                                   "unexpected EOF",
		`{} {}`:                                 "more than one",
		`{} x`:                                  "behind",
		`[1]`:                                   "array",
		`{"topic":"t","partition":99999999999}`: "99999999999",
	} {
		if _, err := ParseJSON([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

func FuzzLinesOfJSONAreReadAsTheyAreWritten(f *testing.F) {
	f.Add([]byte(`{"topic":"t","partition":1,"offset":2,"timestamp":"2026-01-31T15:04:05.000Z","key":"k","value_base64":"/w==","headers":[{"key":"a","value":null}]}`))
	f.Add([]byte(`{"value":{"a":[1,2]},"headers":{"x":"y"},"timestamp":12}`))
	f.Add([]byte(`{"timestamp":"99999999999999999"}`))
	f.Add([]byte(`{"topic":"t","timestamp":"2026-02-31T15:04:05.000Z","key":"\u009b\n\\","headers":[{"key_base64":"AA==","value_base64":""},{"key":"","value":"x"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseJSON(line)
		if slow, serr := parseAnyJSON(line); (serr == nil) != (err == nil) || err == nil && (!same(&r.Record, &slow.Record) || r.HasTime != slow.HasTime || r.HasTopic != slow.HasTopic || r.HasPartition != slow.HasPartition || r.HasOffset != slow.HasOffset || r.Offset != slow.Offset) {
			t.Fatalf("%s\nis quickly  %+v, %v\nand slowly %+v, %v", line, r, err, slow, serr)
		}
		if err != nil {
			return
		}
		again, err := ParseJSON(AppendJSON(nil, &r.Record, Text, Text))
		if err != nil || !same(&again.Record, &r.Record) {
			t.Errorf("%s\nbecame %+v\nand then %+v, %v", line, r.Record, again, err)
		}
	})
}

func TestTheFormThatIsWrittenIsReadQuickly(t *testing.T) {
	r := kgo.Record{Topic: "t", Partition: 3, Offset: 1 << 60, Timestamp: time.UnixMilli(1767225600123), Key: []byte("a\u0085\n\"\\"), Value: []byte{0xff}, Headers: []kgo.RecordHeader{{Key: "\xff", Value: nil}, {Key: "", Value: []byte{0xfe}}}}
	line := bytes.TrimSuffix(AppendJSON(nil, &r, Text, Text), []byte("\n"))
	got, ok := (&scanner{b: line}).record()
	if !ok || !same(&got.Record, &r) {
		t.Fatalf("%s: %+v, %v", line, got, ok)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = ParseJSON(line) }); n > 12 {
		t.Errorf("a line costs %v allocations", n)
	}
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { _ = AppendJSON(buf, &r, Text, Text) }); n > 1 {
		t.Errorf("to write a line costs %v allocations", n)
	}
}

func BenchmarkParseJSON(b *testing.B) {
	r := kgo.Record{Topic: "orders", Timestamp: time.UnixMilli(1767225600123), Key: []byte("customer-7"), Value: []byte(`{"total":12.5,"items":["a","b"]}`)}
	line := bytes.TrimSuffix(AppendJSON(nil, &r, Text, Text), []byte("\n"))
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := ParseJSON(line); err != nil {
			b.Fatal(err)
		}
	}
}
