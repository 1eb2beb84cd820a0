package record

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// vector is one line of the golden file: bytes that Apache Kafka wrote.
type vector struct {
	magic       int8
	codec       Codec
	kind        string
	bytes       []byte
	wantBatches []goldenBatch
}

type goldenBatch struct {
	Base, Last    int64
	LeaderEpoch   int32
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	MaxTimestamp  int64
	TimestampType string
	Records       []goldenRecord
}

type goldenRecord struct {
	Offset, Timestamp int64
	Key, Value        *string
	Headers           [][2]*string
}

func (r goldenRecord) record(t testing.TB) Record {
	out := Record{Offset: r.Offset, Timestamp: r.Timestamp, Key: unhex(t, r.Key), Value: unhex(t, r.Value)}
	var hs []Header
	for _, h := range r.Headers {
		hs = append(hs, Header{Key: []byte(*h[0]), Value: unhex(t, h[1])})
	}
	out.Headers = AppendHeaders(nil, hs...)
	return out
}

func unhex(t testing.TB, s *string) []byte {
	if s == nil {
		return nil
	}
	b, err := hex.DecodeString(*s)
	if err != nil {
		t.Fatal(err)
	}
	if b == nil {
		b = []byte{}
	}
	return b
}

func goldenVectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open("../../interop/golden/vectors-4.4.0.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(z)
	s.Buffer(nil, 16<<20)
	var out []vector
	for s.Scan() {
		line, ok := strings.CutPrefix(s.Text(), "batch ")
		if !ok {
			continue
		}
		line, js, _ := strings.Cut(line, " json=")
		var v vector
		for _, field := range strings.Fields(line) {
			k, val, _ := strings.Cut(field, "=")
			switch k {
			case "magic":
				v.magic = int8(val[0] - '0')
			case "codec":
				if v.codec, ok = ParseCodec(val); !ok {
					t.Fatalf("codec %q", val)
				}
			case "kind":
				v.kind = val
			case "bytes":
				v.bytes = unhex(t, &val)
			}
		}
		if err := json.Unmarshal([]byte(js), &v.wantBatches); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if len(out) != 62 {
		t.Fatalf("%d batch vectors, want 62", len(out))
	}
	return out
}

func (v vector) String() string {
	return string('0'+rune(v.magic)) + "-" + v.codec.String() + "-" + v.kind
}

func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func sameRecord(a, b Record) bool {
	return a.Offset == b.Offset && a.Timestamp == b.Timestamp && sameBytes(a.Key, b.Key) && sameBytes(a.Value, b.Value) &&
		bytes.Equal(a.Headers, b.Headers)
}

func compareRecords(t testing.TB, got, want []Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if !sameRecord(got[i], want[i]) {
			t.Fatalf("record %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// collect returns copies of the batch's records.
func collect(t testing.TB, b Batch, c *Codecs) []Record {
	t.Helper()
	var out []Record
	err := b.Each(c, MinOutputLimit, func(r Record) error {
		out = append(out, cloneRecord(r))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func cloneRecord(r Record) Record {
	r.Key, r.Value, r.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), bytes.Clone(r.Headers)
	return r
}

func TestGoldenBatchesReadAsKafkaReadsThem(t *testing.T) {
	codecs := NewCodecs(0)
	for _, v := range goldenVectors(t) {
		if v.magic != 2 {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			b, rest, err := Next(v.bytes)
			if err != nil || len(rest) != 0 {
				t.Fatalf("Next: %d bytes left, %v", len(rest), err)
			}
			if err := b.Check(); err != nil {
				t.Fatal(err)
			}
			if err := b.Validate(FromReplica); err != nil {
				t.Fatal(err)
			}
			w := v.wantBatches[0]
			got := goldenBatch{b.BaseOffset(), b.LastOffset(), b.LeaderEpoch(), b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(),
				b.IsTransactional(), b.IsControl(), b.MaxTimestamp(), b.TimestampType().String(), nil}
			want := w
			want.Records = nil
			if gj, wj := toJSON(got), toJSON(want); gj != wj {
				t.Fatalf("header\n%s want\n%s", gj, wj)
			}
			if b.Codec() != v.codec {
				t.Fatalf("codec %v, want %v", b.Codec(), v.codec)
			}
			var wantRecords []Record
			for _, r := range w.Records {
				wantRecords = append(wantRecords, r.record(t))
			}
			records := collect(t, b, codecs)
			compareRecords(t, records, wantRecords)

			rebuilt := rebuild(t, codecs, b)
			if b.Codec() == None && !bytes.Equal(rebuilt, b) {
				t.Fatalf("built again\n%x want\n%x", []byte(rebuilt), []byte(b))
			}
			compareRecords(t, collect(t, rebuilt, codecs), wantRecords)
		})
	}
}

func toJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// rebuild makes the batch again from what its accessors say.
func rebuild(t testing.TB, codecs *Codecs, b Batch) Batch {
	t.Helper()
	o := BuilderOptions{
		BaseOffset: b.BaseOffset(), LeaderEpoch: b.LeaderEpoch(), Codec: b.Codec(), TimestampType: b.TimestampType(),
		AppendTime: b.MaxTimestamp(), Transactional: b.IsTransactional(), Control: b.IsControl(),
		Producer: &Producer{b.ProducerID(), b.ProducerEpoch(), b.BaseSequence()},
	}
	if b.HasDeleteHorizon() {
		o.DeleteHorizon = b.BaseTimestamp()
	}
	plain := bytes.Clone(b)
	plain[offAttributes+1] &^= attrLogAppendTime // the records' own times, not the batch's
	w := NewBuilder(codecs, o)
	err := Batch(plain).Each(codecs, MinOutputLimit, func(r Record) error {
		if b.IsControl() {
			typ, err := ParseControl(r.Key)
			if err != nil {
				return err
			}
			w.AppendControl(r.Timestamp, typ, r.Value)
			return nil
		}
		w.AppendRecord(r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.SetLastOffset(b.LastOffset())
	out, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if b.Count() == 0 {
		out.SetMaxTimestamp(b.TimestampType(), b.MaxTimestamp())
	}
	return out
}

// collectMessages returns copies of a message set's records.
func collectMessages(t testing.TB, b []byte, c *Codecs) (out []Record, types []TimestampType) {
	t.Helper()
	it := Messages(b, c, MinOutputLimit)
	defer it.Close()
	var r Record
	for it.Next(&r) {
		out = append(out, cloneRecord(r))
		types = append(types, it.TimestampType())
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return out, types
}

func TestGoldenMessageSetsReadAsKafkaReadsThem(t *testing.T) {
	codecs := NewCodecs(0)
	for _, v := range goldenVectors(t) {
		if v.magic == 2 {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			got, types := collectMessages(t, v.bytes, codecs)
			var want []Record
			for _, b := range v.wantBatches {
				for _, r := range b.Records {
					want = append(want, r.record(t))
					if name := types[len(want)-1].String(); name != b.TimestampType {
						t.Fatalf("record %d has timestamp type %s, want %s", len(want)-1, name, b.TimestampType)
					}
				}
			}
			compareRecords(t, got, want)
		})
	}
}

func TestGoldenMessageSetsConvertUpAndDown(t *testing.T) {
	codecs := NewCodecs(0)
	for _, v := range goldenVectors(t) {
		if v.magic == 2 || v.kind == "append-time" {
			continue
		}
		t.Run(v.String(), func(t *testing.T) {
			out, stats, bad, err := ConvertUp(nil, v.bytes, &Rules{}, codecs)
			if err != nil || bad != nil {
				t.Fatal(err, bad)
			}
			b, rest, err := Next(out)
			if err != nil || len(rest) != 0 || b.Check() != nil || b.Validate(FromClient) != nil {
				t.Fatalf("converted up: %v, %d bytes left, %v, %v", err, len(rest), b.Check(), b.Validate(FromClient))
			}
			want, _ := collectMessages(t, v.bytes, codecs)
			if b.Codec() != v.codec || stats.Records != len(want) {
				t.Fatalf("codec %v, want %v; %d records, want %d", b.Codec(), v.codec, stats.Records, len(want))
			}
			got := collect(t, b, codecs)
			for i := range want {
				want[i].Offset = int64(i)
			}
			compareRecords(t, got, want)

			// Down again from Kafka's own offset, the bytes are those of Kafka where the
			// compressor does not decide and the offsets are dense.
			b.SetBaseOffset(100)
			down, stats, err := ConvertDown(nil, b, v.magic, 100, 1<<20, MinOutputLimit, codecs)
			if err != nil || stats.Records != len(want) || stats.NextOffset != b.NextOffset() {
				t.Fatalf("converted down: %+v %v", stats, err)
			}
			if v.codec == None && v.kind != "gaps" && !bytes.Equal(down, v.bytes) {
				t.Fatalf("converted down\n%x want\n%x", down, v.bytes)
			}
			for i := range want {
				want[i].Offset = int64(i) + 100
			}
			got, _ = collectMessages(t, down, codecs)
			compareRecords(t, got, want)
			if v.codec != None && v.kind != "gaps" && !bytes.Equal(down[:8], v.bytes[:8]) {
				t.Fatalf("wrapper %x, want %x", down[:8], v.bytes[:8])
			}
			if v.codec == LZ4 && !bytes.Equal(lz4FrameHead(down), lz4FrameHead(v.bytes)) {
				t.Fatalf("lz4 frame begins %x, want %x", lz4FrameHead(down), lz4FrameHead(v.bytes))
			}
		})
	}
}

func lz4FrameHead(set []byte) []byte {
	i := bytes.Index(set, []byte{0x04, 0x22, 0x4d, 0x18})
	return set[i : i+7]
}

func TestGoldenBatchesConvertDownAsKafkaWritesThem(t *testing.T) {
	codecs := NewCodecs(0)
	vectors := goldenVectors(t)
	old := map[string]vector{}
	for _, v := range vectors {
		old[v.String()] = v
	}
	for _, v := range vectors {
		if v.magic != 2 || v.codec == Zstd {
			continue
		}
		for magic := int8(0); magic <= 1; magic++ {
			w, ok := old[vector{magic: magic, codec: v.codec, kind: v.kind}.String()]
			if !ok {
				continue
			}
			t.Run(v.String()+"-to-"+w.String(), func(t *testing.T) {
				down, _, err := ConvertDown(nil, v.bytes, magic, 0, 1<<20, MinOutputLimit, codecs)
				if err != nil {
					t.Fatal(err)
				}
				if v.codec == None && !bytes.Equal(down, w.bytes) {
					t.Fatalf("converted down\n%x want\n%x", down, w.bytes)
				}
				got, gotTypes := collectMessages(t, down, codecs)
				want, wantTypes := collectMessages(t, w.bytes, codecs)
				compareRecords(t, got, want)
				for i := range gotTypes {
					if gotTypes[i] != wantTypes[i] {
						t.Fatalf("record %d has timestamp type %v, want %v", i, gotTypes[i], wantTypes[i])
					}
				}
				// Offset, attributes and time of the wrapper are Kafka's too.
				end := msgBody + 4 + 8*int(magic)
				if !bytes.Equal(down[:8], w.bytes[:8]) || !bytes.Equal(down[msgMagic:end], w.bytes[msgMagic:end]) {
					t.Fatalf("head %x, want %x", down[:end], w.bytes[:end])
				}
			})
		}
	}
}
