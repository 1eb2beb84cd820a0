package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/klamm/klamm/internal/code"
)

// randomRecords returns n records with dense offsets from base on, with null,
// empty and long keys and values, with headers where headers says so.
func randomRecords(r *rand.Rand, n int, base int64, headers bool) []Record {
	out := make([]Record, n)
	for i := range out {
		rec := Record{Offset: base + int64(i), Timestamp: 1_700_000_000_000 + r.Int64N(1e7) - 5e6, Key: randomBytes(r, 40), Value: randomBytes(r, 300)}
		if headers && r.IntN(2) == 0 {
			hs := make([]Header, r.IntN(4))
			for j := range hs {
				hs[j] = Header{Key: []byte(fmt.Sprint("h", r.IntN(9))), Value: randomBytes(r, 20)}
			}
			rec.Headers = AppendHeaders(nil, hs...)
		}
		out[i] = rec
	}
	return out
}

func randomBytes(r *rand.Rand, most int) []byte {
	switch r.IntN(5) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, 1+r.IntN(most))
	for i := range b {
		b[i] = "abcdefgh"[r.IntN(8)]
	}
	return b
}

func mustFinish(t testing.TB, w *Builder) Batch {
	t.Helper()
	b, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// simpleBatch is a producer's batch of n records.
func simpleBatch(t testing.TB, c *Codecs, o BuilderOptions, n int) Batch {
	t.Helper()
	w := NewBuilder(c, o)
	for i := range n {
		w.Append(1_700_000_000_000+int64(i), []byte(fmt.Sprint("key", i)), bytes.Repeat([]byte("value "), 16))
	}
	return bytes.Clone(mustFinish(t, w))
}

func seeded(t testing.TB, seed uint64) *rand.Rand {
	t.Logf("seed=%d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

func TestBuilderAndIteratorAgree(t *testing.T) {
	codecs := NewCodecs(0)
	r := seeded(t, 7)
	w := new(Builder)
	for round := range 400 {
		base := r.Int64N(1 << 40)
		records := randomRecords(r, 1+r.IntN(40), base, true)
		o := BuilderOptions{BaseOffset: base, LeaderEpoch: r.Int32N(9), Codec: Codec(r.IntN(5)), Transactional: r.IntN(2) == 0}
		switch r.IntN(3) {
		case 0:
			o.Producer = &Producer{r.Int64N(1e6), int16(r.IntN(9)), math.MaxInt32 - r.Int32N(20)}
		case 1:
			o.DeleteHorizon = 1_700_000_000_000 + r.Int64N(1e6)
		}
		if r.IntN(3) == 0 { // compacted
			kept := records[:0]
			for _, rec := range records {
				if r.IntN(3) > 0 {
					kept = append(kept, rec)
				}
			}
			records = kept
		}
		w.Reset(codecs, o)
		maxTime := NoTimestamp
		for _, rec := range records {
			w.AppendRecord(rec)
			maxTime = max(maxTime, rec.Timestamp)
		}
		w.SetLastOffset(base + 60)
		b := mustFinish(t, w)
		if err := errors.Join(b.Check(), b.Validate(FromReplica)); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if b.LastOffset() != base+60 || b.NextOffset() != base+61 || int(b.Count()) != len(records) || b.MaxTimestamp() != maxTime || b.Codec() != o.Codec || b.LeaderEpoch() != o.LeaderEpoch {
			t.Fatalf("round %d: header %x", round, []byte(b[:HeaderSize]))
		}
		compareRecords(t, collect(t, b, codecs), records)
		if again := mustFinish(t, w); !bytes.Equal(again, b) {
			t.Fatalf("round %d: a second Finish gives other bytes", round)
		}
		now := r.Int64N(1e15)
		b.SetLogAppendTime(now)
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		for i := range records {
			records[i].Timestamp = now
		}
		compareRecords(t, collect(t, b, codecs), records)
	}
}

func TestHeadersAreWalkedAsAppended(t *testing.T) {
	w := NewBuilder(nil, BuilderOptions{})
	want := []Header{{[]byte("a"), []byte("1")}, {[]byte(""), nil}, {[]byte("a"), []byte{}}}
	w.Append(5, nil, nil, want...)
	w.Append(5, nil, nil)
	records := collect(t, mustFinish(t, w), nil)
	h := records[0].Headers
	if h.Len() != 3 || records[1].Headers.Len() != 0 {
		t.Fatalf("%d and %d headers, want 3 and 0", h.Len(), records[1].Headers.Len())
	}
	it := h.Iter()
	for _, w := range want {
		got, ok := it.Next()
		if !ok || !sameBytes(got.Key, w.Key) || !sameBytes(got.Value, w.Value) {
			t.Fatalf("header %q %v, want %q", got, ok, w)
		}
	}
	if _, ok := it.Next(); ok {
		t.Fatal("a fourth header")
	}
}

func TestSequencesWrapToZero(t *testing.T) {
	for _, c := range []struct{ s, n, want int32 }{{0, 0, 0}, {5, 3, 8}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 4, 2}, {math.MaxInt32, math.MaxInt32, math.MaxInt32 - 1}} {
		if got := AddSequence(c.s, c.n); got != c.want {
			t.Errorf("AddSequence(%d, %d) = %d, want %d", c.s, c.n, got, c.want)
		}
	}
	b := simpleBatch(t, nil, BuilderOptions{Producer: &Producer{1, 0, math.MaxInt32}}, 3)
	if b.LastSequence() != 1 {
		t.Errorf("last sequence %d, want 1", b.LastSequence())
	}
	if b = simpleBatch(t, nil, BuilderOptions{}, 3); b.LastSequence() != NoSequence {
		t.Errorf("last sequence %d, want none", b.LastSequence())
	}
}

func TestNextFramesBatchesAndSaysWhatIsShort(t *testing.T) {
	one, two := simpleBatch(t, nil, BuilderOptions{}, 3), simpleBatch(t, nil, BuilderOptions{BaseOffset: 3}, 5)
	all := append(bytes.Clone(one), two...)
	b, rest, err := Next(all)
	if err != nil || !bytes.Equal(b, one) || !bytes.Equal(rest, two) {
		t.Fatalf("first batch: %v", err)
	}
	for n := range two {
		if _, _, err := Next(two[:n]); err != ErrShort {
			t.Fatalf("%d of %d bytes: %v, want ErrShort", n, len(two), err)
		}
	}
	for name, change := range map[string]func(Batch){
		"magic 1":         func(b Batch) { b[offMagic] = 1 },
		"magic 3":         func(b Batch) { b[offMagic] = 3 },
		"magic -1":        func(b Batch) { b[offMagic] = 0xff },
		"length 0":        func(b Batch) { binary.BigEndian.PutUint32(b[offLength:], 0) },
		"length 48":       func(b Batch) { binary.BigEndian.PutUint32(b[offLength:], 48) },
		"negative length": func(b Batch) { binary.BigEndian.PutUint32(b[offLength:], 1<<31) },
	} {
		b := bytes.Clone(one)
		change(b)
		if _, _, err := Next(b); !errors.Is(err, code.CorruptMessage) {
			t.Errorf("%s: %v, want CORRUPT_MESSAGE", name, err)
		}
	}
}

func TestCheckSeesEveryFlippedBit(t *testing.T) {
	b := simpleBatch(t, nil, BuilderOptions{}, 2)
	for i := offCRC; i < len(b); i++ {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if err := b.Check(); !errors.Is(err, code.CorruptMessage) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
			b[i] ^= 1 << bit
		}
	}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestValidateRefusesWhatAnOriginMayNotSend(t *testing.T) {
	put := func(at, size int, v uint64) func(Batch) {
		return func(b Batch) {
			var x [8]byte
			binary.BigEndian.PutUint64(x[:], v)
			copy(b[at:at+size], x[8-size:])
		}
	}
	const no = code.None
	for _, c := range []struct {
		name                         string
		change                       func(Batch)
		client, coordinator, replica code.Error
	}{
		{"as it is", func(Batch) {}, no, no, no},
		{"codec 5", put(offAttributes, 2, 5), code.CorruptMessage, code.CorruptMessage, code.CorruptMessage},
		{"codec 7", put(offAttributes, 2, 7), code.CorruptMessage, code.CorruptMessage, code.CorruptMessage},
		{"reserved bit", put(offAttributes, 2, 1<<7), code.InvalidRecord, code.InvalidRecord, no},
		{"top bit", put(offAttributes, 2, 1<<15), code.InvalidRecord, code.InvalidRecord, no},
		{"control", put(offAttributes, 2, attrControl), code.InvalidRecord, no, no},
		{"delete horizon", put(offAttributes, 2, attrDeleteHorizon), code.InvalidRecord, code.InvalidRecord, no},
		{"no records", put(offCount, 4, 0), code.InvalidRecord, code.InvalidRecord, no},
		{"fewer records", put(offCount, 4, 2), code.InvalidRecord, code.InvalidRecord, no},
		{"more records", put(offCount, 4, 4), code.InvalidRecord, code.InvalidRecord, code.InvalidRecord},
		{"negative count", put(offCount, 4, 1<<31), code.CorruptMessage, code.CorruptMessage, code.CorruptMessage},
		{"negative delta", put(offLastOffsetDelta, 4, 1<<31), code.CorruptMessage, code.CorruptMessage, code.CorruptMessage},
		{"negative offset", put(offBaseOffset, 8, 1<<63), code.CorruptMessage, code.CorruptMessage, code.CorruptMessage},
		{"offset 9", put(offBaseOffset, 8, 9), code.InvalidRecord, no, no},
		{"sequence -1", put(offBaseSequence, 4, 1<<32-1), code.InvalidRecord, no, no},
		{"epoch -1", put(offProducerEpoch, 2, 1<<16-1), code.InvalidRecord, code.InvalidRecord, no},
		{"producer -2", put(offProducerID, 8, 1<<64-2), code.InvalidRecord, code.InvalidRecord, code.InvalidRecord},
		{"a billion records", func(b Batch) { put(offCount, 4, 1e9)(b); put(offLastOffsetDelta, 4, 1e9-1)(b) }, code.CorruptMessage, code.CorruptMessage, code.CorruptMessage},
		{"transactional without a producer", func(b Batch) {
			put(offAttributes, 2, attrTransactional)(b)
			put(offProducerID, 8, math.MaxUint64)(b)
		}, code.InvalidRecord, no, no},
	} {
		b := simpleBatch(t, nil, BuilderOptions{Producer: &Producer{1, 2, 3}}, 3)
		c.change(b)
		for origin, want := range []code.Error{c.client, c.coordinator, c.replica} {
			if err := b.Validate(Origin(origin)); code.Of(err) != want {
				t.Errorf("%s from origin %d: %v, want %v", c.name, origin, err, want)
			}
		}
	}
	if err := Batch(make([]byte, 10)).Validate(FromClient); !errors.Is(err, code.CorruptMessage) {
		t.Errorf("ten bytes: %v", err)
	}
}

func TestIteratorRefusesMalformedRecords(t *testing.T) {
	// A record by hand: length, attributes, time delta, offset delta, key, value, headers.
	good := []byte{7 << 1, 0, 0, 0, 1, 2, 'v', 0}
	for _, c := range []struct {
		name    string
		count   int
		last    int
		records []byte
		ok      bool
	}{
		{"good", 1, 0, good, true},
		{"attributes set", 1, 0, []byte{7 << 1, 9, 0, 0, 1, 2, 'v', 0}, true},
		{"padded varint", 1, 0, []byte{8 << 1, 0, 0x80, 0, 0, 1, 2, 'v', 0}, true},
		{"none", 0, 0, nil, true},
		{"byte behind", 1, 0, append(bytes.Clone(good), 0), false},
		{"bytes and no records", 0, 0, good, false},
		{"cut", 1, 0, good[:7], false},
		{"too long", 1, 0, []byte{9 << 1, 0, 0, 0, 1, 2, 'v', 0}, false},
		{"too short", 1, 0, []byte{6 << 1, 0, 0, 0, 1, 2, 'v', 0}, false},
		{"negative length", 1, 0, []byte{1, 0, 0, 0, 1, 2, 'v', 0}, false},
		{"slack inside", 1, 0, []byte{8 << 1, 0, 0, 0, 1, 2, 'v', 0, 0}, false},
		{"key length -2", 1, 0, []byte{7 << 1, 0, 0, 0, 3, 2, 'v', 0}, false},
		{"key beyond", 1, 0, []byte{7 << 1, 0, 0, 0, 40, 2, 'v', 0}, false},
		{"value beyond", 1, 0, []byte{7 << 1, 0, 0, 0, 1, 40, 'v', 0}, false},
		{"no header count", 1, 0, []byte{6 << 1, 0, 0, 0, 1, 2, 'v', 0}, false},
		{"headers beyond", 1, 0, []byte{7 << 1, 0, 0, 0, 1, 2, 'v', 2}, false},
		{"negative headers", 1, 0, []byte{7 << 1, 0, 0, 0, 1, 2, 'v', 1}, false},
		{"header", 1, 0, []byte{10 << 1, 0, 0, 0, 1, 2, 'v', 2, 2, 'k', 1}, true},
		{"header without key", 1, 0, []byte{9 << 1, 0, 0, 0, 1, 2, 'v', 2, 1, 1}, false},
		{"offset beyond the last", 1, 0, []byte{7 << 1, 0, 0, 2, 1, 2, 'v', 0}, false},
		{"negative offset delta", 1, 0, []byte{7 << 1, 0, 0, 1, 1, 2, 'v', 0}, false},
		{"same offset twice", 2, 1, append(bytes.Clone(good), good...), false},
		{"two", 2, 1, append(bytes.Clone(good), 7<<1, 0, 0, 2, 1, 2, 'v', 0), true},
		{"count one too many", 2, 1, append(bytes.Clone(good), 0, 0, 0, 0, 0, 0), false},
		{"overlong varint", 1, 0, []byte{0x8e, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 2, 'v', 0}, false},
		{"varint beyond 32 bits", 1, 0, []byte{0x8e, 0x80, 0x80, 0x80, 0x70, 0, 0, 0, 1, 2, 'v', 0}, false},
	} {
		b := Batch(append(make([]byte, HeaderSize), c.records...))
		binary.BigEndian.PutUint32(b[offCount:], uint32(c.count))
		binary.BigEndian.PutUint32(b[offLastOffsetDelta:], uint32(c.last))
		err := b.Each(nil, 0, func(Record) error { return nil })
		if c.ok != (err == nil) || err != nil && !errors.Is(err, code.InvalidRecord) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestVarintsRoundTrip(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, 8191, 8192, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64} {
		b := appendVarlong(nil, v)
		if got, n := varlong(b); got != v || n != len(b) || n != sizeVarlong(v) {
			t.Errorf("%d: %d in %d bytes of %d, size says %d", v, got, n, len(b), sizeVarlong(v))
		}
		got, n := varint(b)
		if v == int64(int32(v)) != (n != 0) || n != 0 && int64(got) != v {
			t.Errorf("%d as 32 bits: %d in %d bytes", v, got, n)
		}
	}
}

func TestControlBatchesCarryTheMarker(t *testing.T) {
	w := NewBuilder(nil, BuilderOptions{Control: true, Transactional: true, Producer: &Producer{4, 5, NoSequence}})
	w.AppendEndTxn(9, ControlCommit, 77)
	b := mustFinish(t, w)
	if err := b.Validate(FromCoordinator); err != nil || !b.IsControl() || !b.IsTransactional() {
		t.Fatalf("%v %x", err, []byte(b))
	}
	r := collect(t, b, nil)[0]
	typ, err := ParseControl(r.Key)
	epoch, err2 := ParseEndTxn(r.Value)
	if typ != ControlCommit || epoch != 77 || err != nil || err2 != nil {
		t.Fatalf("%v of epoch %d, %v, %v", typ, epoch, err, err2)
	}
	if _, err := ParseControl(r.Key[:3]); !errors.Is(err, code.InvalidRecord) {
		t.Errorf("short key: %v", err)
	}
	if _, err := ParseEndTxn(r.Value[:5]); !errors.Is(err, code.InvalidRecord) {
		t.Errorf("short value: %v", err)
	}
	if s := ControlLeaderChange.String() + ControlType(99).String(); s != "LEADER_CHANGEUNKNOWN" {
		t.Error(s)
	}
}

func TestProducePathAllocatesNothing(t *testing.T) {
	b := simpleBatch(t, nil, BuilderOptions{}, 50)
	var now int64
	if n := testing.AllocsPerRun(100, func() {
		now++
		walked := Rules{NeedKeys: true, Earliest: 1, MaxBytes: 1 << 20, Now: now}
		stamped := Rules{TimestampType: LogAppendTime, Now: now}
		x, _, err := Next(b)
		if err != nil || x.Check() != nil || x.Validate(FromClient) != nil {
			t.Fatal(err)
		}
		if _, _, err := Apply(x, &walked, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Apply(x, &stamped, nil); err != nil {
			t.Fatal(err)
		}
		x.SetMaxTimestamp(CreateTime, 1)
	}); n != 0 {
		t.Errorf("%v allocations to frame, check, validate and apply", n)
	}
	var count int
	if n := testing.AllocsPerRun(100, func() {
		it := b.Iter(nil, 0)
		var r Record
		for it.Next(&r) {
			h := r.Headers.Iter()
			for _, ok := h.Next(); ok; _, ok = h.Next() {
				count++
			}
		}
		it.Close()
	}); n != 0 {
		t.Errorf("%v allocations to walk 50 records", n)
	}
	w := new(Builder)
	key, value := []byte("key"), []byte("value")
	if n := testing.AllocsPerRun(100, func() {
		w.Reset(nil, BuilderOptions{Producer: &Producer{1, 2, 3}})
		for i := range 50 {
			w.Append(int64(i), key, value, Header{key, value})
		}
		if _, err := w.Finish(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations to build a batch again", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := NewBuilder(nil, BuilderOptions{})
			w.Append(1, nil, make([]byte, size))
			batch := mustFinish(b, w)
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				if err := batch.Check(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNextValidate(b *testing.B) {
	batch := simpleBatch(b, nil, BuilderOptions{}, 10)
	b.ReportAllocs()
	for b.Loop() {
		x, _, err := Next(batch)
		if err != nil || x.Validate(FromClient) != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkIter(b *testing.B) {
	codecs := NewCodecs(0)
	for codec := None; codec <= Zstd; codec++ {
		b.Run(codec.String(), func(b *testing.B) {
			batch := simpleBatch(b, codecs, BuilderOptions{Codec: codec}, 1000)
			b.ReportAllocs()
			for b.Loop() {
				it := batch.Iter(codecs, MinOutputLimit)
				var r Record
				for it.Next(&r) {
				}
				if it.Err() != nil {
					b.Fatal(it.Err())
				}
				it.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	codecs := NewCodecs(0)
	key, value := []byte("key"), bytes.Repeat([]byte("value "), 16)
	for codec := None; codec <= Zstd; codec++ {
		b.Run(codec.String(), func(b *testing.B) {
			w := new(Builder)
			b.ReportAllocs()
			for b.Loop() {
				w.Reset(codecs, BuilderOptions{Codec: codec})
				for i := range 1000 {
					w.Append(int64(i), key, value)
				}
				if _, err := w.Finish(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}
