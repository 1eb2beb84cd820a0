package bulk

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// someRecords are records of three partitions, of all shapes.
func someRecords(n int) (all []*kgo.Record) {
	random := rand.New(rand.NewPCG(1, 2))
	next := map[int32]int64{}
	for i := range n {
		p := random.Int32N(3)
		r := &kgo.Record{Topic: "t", Partition: p, Offset: next[p] + random.Int64N(3), Timestamp: time.UnixMilli(random.Int64N(1<<42) - 1<<41)}
		next[p] = r.Offset + 1
		switch i % 4 {
		case 0:
			r.Key, r.Value = nil, fmt.Appendf(nil, "value %d", i)
		case 1:
			r.Key, r.Value = []byte{}, nil
		case 2:
			r.Key, r.Value = []byte{0xff}, bytes.Repeat([]byte{byte(i)}, random.IntN(5000))
		case 3:
			r.Headers = []kgo.RecordHeader{{Key: "", Value: nil}, {Key: "\xff", Value: []byte{}}, {Key: "a", Value: []byte("b")}}
		}
		all = append(all, r)
	}
	return all
}

// packed is records in the binary form.
func packed(t testing.TB, all []*kgo.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := newBinaryWriter(&b, source{topic: "t", id: [16]byte{1}, partitions: 3}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if err := w.record(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpacked reads the binary form to its end, and returns what ended it.
func unpacked(b []byte) (got map[int32][]*kgo.Record, r *binaryReader, err error) {
	got = map[int32][]*kgo.Record{}
	r, err = newBinaryReader(bufio.NewReader(bytes.NewReader(b)))
	for err == nil {
		err = r.records(func(rec *kgo.Record) error { got[rec.Partition] = append(got[rec.Partition], rec); return nil })
	}
	return got, r, err
}

func TestABinaryExportComesBackAsItWas(t *testing.T) {
	all := someRecords(3000)
	got, r, err := unpacked(packed(t, all))
	if err != io.EOF || !r.ended || r.of != (source{topic: "t", id: [16]byte{1}, partitions: 3}) {
		t.Fatalf("%v, ended %v, %+v", err, r.ended, r.of)
	}
	for _, want := range all {
		if len(got[want.Partition]) == 0 {
			t.Fatalf("partition %d ends before offset %d", want.Partition, want.Offset)
		}
		have := got[want.Partition][0]
		got[want.Partition] = got[want.Partition][1:]
		if have.Topic != "t" || have.Offset != want.Offset || have.Timestamp.UnixMilli() != want.Timestamp.UnixMilli() || !sameRecord(have, want, false) {
			t.Fatalf("%+v\nwant %+v", have, want)
		}
	}
}

func TestABinaryExportThatIsCutAnywhereIsReadUpToItsLastWholeBlock(t *testing.T) {
	whole := packed(t, someRecords(200))
	for n := range len(whole) {
		_, r, err := unpacked(whole[:n])
		switch {
		case errors.Is(err, errTorn):
		case errors.Is(err, io.EOF) && !r.ended && r.whole == int64(n):
		default:
			t.Fatalf("cut at %d of %d: %v", n, len(whole), err)
		}
		if r != nil && (r.ended || r.whole > int64(n)) {
			t.Fatalf("cut at %d: whole up to %d, ended %v", n, r.whole, r.ended)
		}
	}
}

func TestABinaryExportInWhichABitIsWrongIsRefused(t *testing.T) {
	whole := packed(t, someRecords(50))
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		if _, r, err := unpacked(bad); errors.Is(err, io.EOF) && r.ended {
			t.Errorf("a bit of byte %d is wrong, and it was read", i)
		}
	}
}

func FuzzBinaryExportsAreReadWhateverTheyAre(f *testing.F) {
	whole := packed(f, someRecords(5))
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, r, err := unpacked(b)
		if err == nil {
			t.Error("it never ends")
		}
		if r != nil && r.whole > int64(len(b)) {
			t.Errorf("%d of %d bytes are whole", r.whole, len(b))
		}
	})
}

// FuzzBlocksOfRecords skips the checksum, which keeps a fuzzer out.
func FuzzBlocksOfRecordsAreReadWhateverTheyHold(f *testing.F) {
	f.Add([]byte{0, 5, 1, 0, 2, 1, 2, 'v', 0})
	f.Add([]byte{0, 5, 255, 255, 3, 0, 2, 1, 2, 'v', 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &binaryReader{}
		n := 0
		_ = r.split(b, func(*kgo.Record) error { n++; return nil })
		if n > len(b) {
			t.Errorf("%d records of %d bytes", n, len(b))
		}
	})
}
