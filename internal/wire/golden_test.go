package wire

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vector is one line of interop/golden: bytes that Kafka's own serializer wrote.
type vector struct {
	release string
	what    string // request, response, header or record
	name    string
	key     int16 // of a request or response
	version int16
	shape   string
	bytes   []byte
	json    string // "" when the line has none
}

func (v vector) String() string {
	return fmt.Sprintf("%s %s %s v%d %s", v.release, v.what, v.name, v.version, v.shape)
}

// message returns an empty message for the vector, and the version to decode it as.
func (v vector) message() (Message, int16) {
	switch v.what {
	case "request":
		return NewRequest(v.key), v.version
	case "response":
		return NewResponse(v.key), v.version
	case "header":
		if v.name == "RequestHeader" {
			return NewRequestHeader(), v.version
		}
		return NewResponseHeader(), v.version
	}
	for _, m := range records() {
		if reflect.TypeOf(m).Elem().Name() == v.name {
			// Before 4.0 the version of a key was the type number of the record.
			if strings.HasSuffix(v.name, "Key") {
				return m, 0
			}
			return m, v.version
		}
	}
	return nil, 0
}

// records are all records of the schema.
func records() []Message {
	list := []Message{NewAbortedTxn(), NewConsumerProtocolAssignment(), NewConsumerProtocolSubscription(), NewControlRecordTypeSchema(),
		NewDefaultPrincipalData(), NewEndTxnMarker(), NewKRaftVersionRecord(), NewLeaderChangeMessage(), NewProducerSnapshot(),
		NewQuorumStateData(), NewSnapshotFooterRecord(), NewSnapshotHeaderRecord(), NewVotersRecord()}
	for _, f := range []func(int16) Message{NewMetadataRecord, NewRemoteLogRecord, NewGroupRecordKey, NewGroupRecordValue,
		NewTransactionRecordKey, NewTransactionRecordValue, NewShareRecordKey, NewShareRecordValue} {
		for n := range int16(64) {
			if m := f(n); m != nil {
				list = append(list, m)
			}
		}
	}
	return list
}

// golden calls each with every vector that binds: all of 4.4.0, and of 3.9.2 those of versions that
// 4.4.0 lacks.
func golden(t testing.TB, each func(v vector)) {
	seen := map[string]bool{}
	for _, release := range []string{"4.4.0", "3.9.2"} {
		f, err := os.Open("../../interop/golden/vectors-" + release + ".txt.gz")
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			v, ok := parseVector(t, release, lines.Text())
			if !ok || skipVector(v) {
				continue
			}
			id := fmt.Sprint(v.what, v.name, v.version)
			if v.what == "request" || v.what == "response" {
				id = fmt.Sprint(v.what, v.key, v.version) // 74 was renamed
			}
			if release == "4.4.0" {
				seen[id] = true
			} else if seen[id] || v.what == "record" && strings.HasSuffix(v.name, "Key") && seen[fmt.Sprint(v.what, v.name, 0)] && v.name != "OffsetCommitKey" {
				continue
			}
			each(v)
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

func parseVector(t testing.TB, release, line string) (v vector, ok bool) {
	head, text, _ := strings.Cut(line, " json=")
	v = vector{release: release, json: text, what: "record"}
	for _, w := range strings.Fields(head) {
		k, val, _ := strings.Cut(w, "=")
		var err error
		n := 0
		switch k {
		case "batch":
			return v, false
		case "api":
			n, err = strconv.Atoi(val)
			v.key = int16(n)
		case "name", "record":
			v.name = val
		case "v":
			n, err = strconv.Atoi(val)
			v.version = int16(n)
		case "request", "response":
			v.what = k
		case "header":
			if v.name == "" {
				v.what, v.name = "header", val
			}
		case "shape":
			v.shape = val
		case "bytes":
			v.bytes, err = hex.DecodeString(val)
		}
		if err != nil {
			t.Fatalf("%s: %q: %v", release, w, err)
		}
	}
	return v, true
}

// skipVector tells the vectors that are left out: APIs of ZooKeeper clusters, and what share groups
// looked like before they were final.
func skipVector(v vector) bool {
	if v.what == "request" || v.what == "response" {
		return v.key >= 4 && v.key <= 7 || v.release == "3.9.2" && (v.key >= 76 && v.key <= 79 || v.key >= 83 && v.key <= 87)
	}
	return strings.HasPrefix(v.name, "ShareGroupPartitionMetadata")
}

// What Kafka wrote decodes, agrees with what Kafka shows for it, and encodes to the same bytes.
func TestGoldenVectors(t *testing.T) {
	count := map[string]int{}
	golden(t, func(v vector) {
		m, version := v.message()
		if m == nil {
			t.Errorf("%v: no such message", v)
			return
		}
		count[v.release+" "+v.what]++
		d := NewDecoder(v.bytes)
		m.Decode(&d, version)
		if err := d.Done(); err != nil {
			t.Errorf("%v: %v", v, err)
			return
		}
		if got := m.Append(nil, version); !bytes.Equal(got, v.bytes) {
			t.Errorf("%v: encodes to\n%x, want\n%x", v, got, v.bytes)
		}
		if v.json == "" {
			return
		}
		dec := json.NewDecoder(strings.NewReader(v.json))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%v: %v", v, err)
		}
		if err := sameStruct(reflect.ValueOf(m).Elem(), want); err != nil {
			t.Errorf("%v: %v", v, err)
		}
		if v.shape == "default" {
			fresh, _ := v.message()
			if got := fresh.Append(nil, version); !bytes.Equal(got, v.bytes) {
				t.Errorf("%v: a new message encodes to %x, want %x", v, got, v.bytes)
			}
		}
	})
	keys := []string{}
	total := 0
	for k, n := range count {
		keys = append(keys, k)
		total += n
	}
	slices.Sort(keys)
	for _, k := range keys {
		t.Logf("%s: %d vectors", k, count[k])
	}
	t.Logf("%d vectors", total)
	if total < 3000 {
		t.Errorf("only %d vectors were tested", total)
	}
}

// The table of APIs and the header versions are those of Kafka.
func TestHeaderVersionsAreKafkas(t *testing.T) {
	f, err := os.Open("../../interop/golden/vectors-4.4.0.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var key, version, header int16
		var name, what string
		if n, _ := fmt.Sscanf(lines.Text(), "api=%d name=%s v=%d %s header=%d", &key, &name, &version, &what, &header); n != 5 {
			continue
		}
		got := ResponseHeaderVersion(key, version)
		if what == "request" {
			got = RequestHeaderVersion(key, version)
		}
		if got != header {
			t.Errorf("%s v%d %s: header version %d, want %d", name, version, what, got, header)
		}
		if a, _ := APIOf(key); a.Name != name {
			t.Errorf("API %d is %q, want %q", key, a.Name, name)
		}
	}
}

// sameStruct compares a decoded struct with Kafka's JSON of it. Fields that the JSON lacks must hold
// their defaults.
func sameStruct(m reflect.Value, want any) error {
	fields, ok := want.(map[string]any)
	if !ok {
		return fmt.Errorf("a struct, want %v", want)
	}
	fresh := reflect.New(m.Type())
	fresh.Interface().(interface{ Default() }).Default()
	left := len(fields)
	for i := range m.NumField() {
		name := m.Type().Field(i).Name
		if name == "Tags" {
			continue
		}
		key := strings.ToLower(name[:1]) + name[1:]
		w, ok := fields[key]
		if !ok {
			key = strings.TrimSuffix(key, "Field")
			w, ok = fields[key]
		}
		if !ok {
			if !reflect.DeepEqual(m.Field(i).Interface(), fresh.Elem().Field(i).Interface()) {
				return fmt.Errorf("%s: not in the version, but it is %v", name, m.Field(i))
			}
			continue
		}
		left--
		if err := sameValue(m.Field(i), w); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if left != 0 {
		return fmt.Errorf("the JSON has %d fields more: %v", left, want)
	}
	return nil
}

func sameValue(m reflect.Value, want any) error {
	differ := fmt.Errorf("it is %v, want %v", m, want)
	if m.Kind() == reflect.Pointer || m.Kind() == reflect.Slice {
		if want == nil {
			if !m.IsNil() {
				return differ
			}
			return nil
		}
	}
	switch x := m.Interface().(type) {
	case UUID:
		if want != x.String() {
			return differ
		}
		return nil
	case []byte:
		if want != base64.StdEncoding.EncodeToString(x) && want != "" {
			return differ
		}
		return nil
	}
	switch m.Kind() {
	case reflect.Pointer:
		if m.IsNil() {
			return differ
		}
		return sameValue(m.Elem(), want)
	case reflect.Struct:
		return sameStruct(m, want)
	case reflect.Slice:
		list, ok := want.([]any)
		if !ok || len(list) != m.Len() {
			return differ
		}
		for i := range list {
			if err := sameValue(m.Index(i), list[i]); err != nil {
				return fmt.Errorf("%d: %w", i, err)
			}
		}
		return nil
	case reflect.String:
		if want != m.String() {
			return differ
		}
		return nil
	case reflect.Bool:
		if want != m.Bool() {
			return differ
		}
		return nil
	case reflect.Float64:
		f, err := strconv.ParseFloat(fmt.Sprint(want), 64)
		if err != nil || f != m.Float() && !(math.IsNaN(f) && math.IsNaN(m.Float())) {
			return differ
		}
		return nil
	}
	if fmt.Sprint(want) != fmt.Sprint(m.Interface()) {
		return differ
	}
	return nil
}
