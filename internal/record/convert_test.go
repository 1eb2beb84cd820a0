package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/klamm/klamm/internal/code"
)

// naiveMessage writes a message of the old formats the slow and plain way, as the
// model that the package is held against.
func naiveMessage(magic, attributes byte, offset, timestamp int64, key, value []byte) []byte {
	var body bytes.Buffer
	body.Write([]byte{magic, attributes})
	if magic == 1 {
		binary.Write(&body, binary.BigEndian, timestamp)
	}
	for _, v := range [][]byte{key, value} {
		if v == nil {
			binary.Write(&body, binary.BigEndian, int32(-1))
		} else {
			binary.Write(&body, binary.BigEndian, int32(len(v)))
			body.Write(v)
		}
	}
	var out bytes.Buffer
	binary.Write(&out, binary.BigEndian, offset)
	binary.Write(&out, binary.BigEndian, int32(body.Len()+4))
	binary.Write(&out, binary.BigEndian, crc32.ChecksumIEEE(body.Bytes()))
	out.Write(body.Bytes())
	return out.Bytes()
}

// naiveSet writes records as a producer of that magic sends them; for a codec, in
// wrappers of at most per records.
func naiveSet(t testing.TB, c *Codecs, magic int8, codec Codec, records []Record, per int) []byte {
	t.Helper()
	var out []byte
	if codec == None {
		for _, r := range records {
			out = append(out, naiveMessage(byte(magic), 0, r.Offset, r.Timestamp, r.Key, r.Value)...)
		}
		return out
	}
	for len(records) > 0 {
		part := records[:min(per, len(records))]
		records = records[len(part):]
		var inner []byte
		for i, r := range part {
			offset := r.Offset
			if magic == 1 {
				offset = int64(i)
			}
			inner = append(inner, naiveMessage(byte(magic), 0, offset, r.Timestamp, r.Key, r.Value)...)
		}
		value, err := c.Compress(nil, inner, codec, 0, magic)
		if err != nil {
			t.Fatal(err)
		}
		last := part[len(part)-1]
		out = append(out, naiveMessage(byte(magic), byte(codec), last.Offset, last.Timestamp, nil, value)...)
	}
	return out
}

// asMagic is what is left of records in that format.
func asMagic(records []Record, magic int8) []Record {
	out := make([]Record, len(records))
	for i, r := range records {
		r.Headers = nil
		if magic == 0 {
			r.Timestamp = NoTimestamp
		}
		out[i] = r
	}
	return out
}

func TestConversionsAgreeWithTheModel(t *testing.T) {
	c := NewCodecs(0)
	r := seeded(t, 11)
	for round := range 300 {
		magic, codec := int8(r.IntN(2)), Codec(r.IntN(4))
		base := r.Int64N(1 << 40)
		records := asMagic(randomRecords(r, 1+r.IntN(30), base, false), magic)
		set := naiveSet(t, c, magic, codec, records, 1+r.IntN(20))

		got, _ := collectMessages(t, set, c)
		compareRecords(t, got, records)

		prefix := []byte("prefix")
		up, stats, _, err := ConvertUp(bytes.Clone(prefix), set, &Rules{}, c)
		if err != nil || stats.Records != len(records) || !bytes.HasPrefix(up, prefix) {
			t.Fatalf("round %d: up: %+v %v", round, stats, err)
		}
		b, rest, err := Next(up[len(prefix):])
		if err != nil || len(rest) > 0 || b.Check() != nil || b.Validate(FromClient) != nil || b.Codec() != codec || b.ProducerID() != NoProducerID {
			t.Fatalf("round %d: up: %v", round, err)
		}
		b.SetBaseOffset(base)
		compareRecords(t, collect(t, b, c), records)

		down, stats, err := ConvertDown(bytes.Clone(prefix), b, magic, base, 1<<30, MinOutputLimit, c)
		if err != nil || stats.Records != len(records) || stats.NextOffset != base+int64(len(records)) {
			t.Fatalf("round %d: down: %+v %v", round, stats, err)
		}
		if want := naiveSet(t, c, magic, codec, records, 1000); codec == None && !bytes.Equal(down[len(prefix):], want) {
			t.Fatalf("round %d: down\n%x want\n%x", round, down[len(prefix):], want)
		}
		got, _ = collectMessages(t, down[len(prefix):], c)
		compareRecords(t, got, records)
	}
}

// logOf is batches one after another, with what they hold.
func logOf(t testing.TB, c *Codecs, sizes []int, o func(i int) BuilderOptions) (log []byte, records []Record) {
	r := seeded(t, 5)
	var next int64 = 1000
	for i, n := range sizes {
		opts := o(i)
		opts.BaseOffset = next
		w := NewBuilder(c, opts)
		if opts.Control {
			w.AppendEndTxn(5, ControlCommit, 1)
			next++
		} else {
			for _, rec := range randomRecords(r, n, next, true) {
				w.AppendRecord(rec)
				records = append(records, rec)
			}
			next += int64(n)
		}
		log = append(log, mustFinish(t, w)...)
	}
	return log, records
}

func TestConvertDownLeavesOutControlBatchesAndHeaders(t *testing.T) {
	c := NewCodecs(0)
	log, records := logOf(t, c, []int{3, 1, 4, 1, 5, 1}, func(i int) BuilderOptions {
		if i%2 == 1 {
			return BuilderOptions{Control: true, Transactional: true, Producer: &Producer{1, 1, NoSequence}}
		}
		return BuilderOptions{Codec: Codec(i % 3)}
	})
	for magic := int8(0); magic <= 1; magic++ {
		down, stats, err := ConvertDown(nil, log, magic, 1000, 1<<20, MinOutputLimit, c)
		if err != nil || stats.Records != 12 || stats.NextOffset != 1015 {
			t.Fatalf("%+v %v", stats, err)
		}
		got, _ := collectMessages(t, down, c)
		compareRecords(t, got, asMagic(records, magic))
	}
	// Nothing but a control batch: the caller moves on.
	b, rest, _ := Next(log)
	_ = b
	marker, _, _ := Next(rest)
	down, stats, err := ConvertDown(nil, marker, 1, marker.BaseOffset(), 1<<20, MinOutputLimit, c)
	if err != nil || len(down) != 0 || stats.Records != 0 || stats.NextOffset != marker.NextOffset() {
		t.Fatalf("%d bytes, %+v %v", len(down), stats, err)
	}
}

func TestConvertDownStartsAtTheFirstOffsetAndStopsAtTheLimit(t *testing.T) {
	c := NewCodecs(0)
	log, records := logOf(t, c, []int{5, 5, 5, 5}, func(int) BuilderOptions { return BuilderOptions{} })
	down, stats, err := ConvertDown(nil, log, 1, 1002, 1<<20, MinOutputLimit, c)
	if err != nil || stats.Records != 18 {
		t.Fatalf("%+v %v", stats, err)
	}
	got, _ := collectMessages(t, down, c)
	compareRecords(t, got, asMagic(records[2:], 1))

	// Every limit gives whole batches, at least one, and a place to go on from.
	for limit := 1; limit < len(down)+100; limit += 97 {
		var all []Record
		first, rest := int64(1000), log
		for first < 1020 {
			part, stats, err := ConvertDown(nil, rest, 1, first, limit, MinOutputLimit, c)
			if err != nil || stats.Records == 0 || stats.NextOffset%5 != 0 || len(part) > limit && stats.Records != 5 {
				t.Fatalf("limit %d from %d: %d bytes, %+v %v", limit, first, len(part), stats, err)
			}
			got, _ := collectMessages(t, part, c)
			all = append(all, got...)
			first = stats.NextOffset
			for {
				b, after, err := Next(rest)
				if err != nil || b.NextOffset() > first {
					break
				}
				rest = after
			}
		}
		compareRecords(t, all, asMagic(records, 1))
	}
	// A batch that is cut is left for the next fetch.
	_, stats, err = ConvertDown(nil, log[:len(log)-1], 0, 1000, 1<<20, MinOutputLimit, c)
	if err != nil || stats.Records != 15 || stats.NextOffset != 1015 {
		t.Fatalf("%+v %v", stats, err)
	}
}

func TestConvertDownRefusesZstdAndTooMuch(t *testing.T) {
	c := NewCodecs(0)
	log, _ := logOf(t, c, []int{2, 2}, func(i int) BuilderOptions { return BuilderOptions{Codec: []Codec{Gzip, Zstd}[i]} })
	down, stats, err := ConvertDown(nil, log, 1, 1000, 1<<20, MinOutputLimit, c)
	if err != nil || stats.Records != 2 || stats.NextOffset != 1002 {
		t.Fatalf("%d bytes, %+v %v", len(down), stats, err)
	}
	_, rest, _ := Next(log)
	prefix := []byte("prefix")
	down, stats, err = ConvertDown(prefix, rest, 1, 1002, 1<<20, MinOutputLimit, c)
	if !errors.Is(err, code.UnsupportedCompressionType) || !bytes.Equal(down, prefix) || stats.NextOffset != 1002 {
		t.Fatalf("%q %+v %v", down, stats, err)
	}
	w := NewBuilder(c, BuilderOptions{Codec: Gzip})
	for range 10_000 {
		w.Append(1, nil, nil)
	}
	b := mustFinish(t, w)
	if _, _, err := ConvertDown(nil, b, 1, 0, 1<<20, 100_000, c); !errors.Is(err, code.MessageTooLarge) {
		t.Fatalf("%v", err)
	}
	bad := bytes.Clone(log)
	bad[offMagic] = 9
	if _, _, err := ConvertDown(nil, bad, 1, 0, 1<<20, 100_000, c); !errors.Is(err, code.CorruptMessage) {
		t.Fatalf("%v", err)
	}
}

func TestMalformedMessageSetsAreRefused(t *testing.T) {
	c := NewCodecs(0)
	good := naiveMessage(1, 0, 0, 5, []byte("k"), []byte("v"))
	gz := func(b []byte) []byte {
		out, _ := c.Compress(nil, b, Gzip, 0, 1)
		return out
	}
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	reseal := func(b []byte) []byte { sealMessage(b); return b }
	for _, x := range []struct {
		name string
		set  []byte
		want code.Error
	}{
		{"cut", good[:len(good)-1], code.CorruptMessage},
		{"a byte behind", append(bytes.Clone(good), 1), code.CorruptMessage},
		{"wrong CRC", edit(func(b []byte) []byte { b[len(b)-1]++; return b }), code.CorruptMessage},
		{"length below the least", edit(func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], 21); return b }), code.CorruptMessage},
		{"negative length", edit(func(b []byte) []byte { binary.BigEndian.PutUint32(b[8:], 1<<31); return b }), code.CorruptMessage},
		{"key beyond", edit(func(b []byte) []byte { b[29] = 200; return reseal(b) }), code.CorruptMessage},
		{"key length -2", edit(func(b []byte) []byte { copy(b[26:], []byte{255, 255, 255, 254}); return reseal(b) }), code.CorruptMessage},
		{"slack behind the value", edit(func(b []byte) []byte { return reseal(append(b, 0)) }), code.CorruptMessage},
		{"magic 0 behind magic 1", append(bytes.Clone(good), naiveMessage(0, 0, 0, 0, nil, nil)...), code.InvalidRecord},
		{"magic 2 behind magic 1", append(bytes.Clone(good), simpleBatch(t, nil, BuilderOptions{}, 1)...), code.InvalidRecord},
		{"magic 2", simpleBatch(t, nil, BuilderOptions{}, 1), code.InvalidRecord},
		{"magic 3", edit(func(b []byte) []byte { b[msgMagic] = 3; return b }), code.CorruptMessage},
		{"zstd", naiveMessage(1, 4, 0, 5, nil, []byte("x")), code.UnsupportedCompressionType},
		{"codec 7", naiveMessage(1, 7, 0, 5, nil, []byte("x")), code.UnsupportedCompressionType},
		{"wrapper of null", naiveMessage(1, 1, 0, 5, nil, nil), code.InvalidRecord},
		{"wrapper of rubbish", naiveMessage(1, 1, 0, 5, nil, []byte("rubbish")), code.CorruptMessage},
		{"empty wrapper", naiveMessage(1, 1, 0, 5, nil, gz(nil)), code.InvalidRecord},
		{"wrapper of another magic", naiveMessage(1, 1, 0, 5, nil, gz(naiveMessage(0, 0, 0, 5, nil, nil))), code.InvalidRecord},
		{"wrapper in a wrapper", naiveMessage(1, 1, 0, 5, nil, gz(naiveMessage(1, 1, 0, 5, nil, gz(good)))), code.InvalidRecord},
		{"cut inside", naiveMessage(1, 1, 0, 5, nil, gz(good[:len(good)-1])), code.CorruptMessage},
		{"wrong CRC inside", naiveMessage(1, 1, 0, 5, nil, gz(edit(func(b []byte) []byte { b[len(b)-1]++; return b }))), code.CorruptMessage},
		{"log append time", naiveMessage(1, attrLogAppendTime, 0, 5, nil, nil), code.InvalidTimestamp},
		{"log append time around", naiveMessage(1, attrLogAppendTime|1, 0, 5, nil, gz(good)), code.InvalidTimestamp},
		{"good", good, code.None},
		{"empty", nil, code.None},
	} {
		out, _, _, err := ConvertUp([]byte("p"), x.set, &Rules{}, c)
		if code.Of(err) != x.want {
			t.Errorf("%s: %v, want %v", x.name, err, x.want)
		}
		if err != nil && string(out) != "p" {
			t.Errorf("%s: refused, and %d bytes were appended", x.name, len(out)-1)
		}
	}
	// Several wrappers share one limit.
	wrapper := naiveMessage(1, 1, 0, 5, nil, gz(naiveMessage(1, 0, 0, 5, nil, make([]byte, 60_000))))
	if _, _, _, err := ConvertUp(nil, append(bytes.Clone(wrapper), wrapper...), &Rules{OutputLimit: 100_000}, c); !errors.Is(err, code.MessageTooLarge) {
		t.Errorf("two wrappers beyond the limit: %v", err)
	}
}

func TestRulesOfATopicAreApplied(t *testing.T) {
	c := NewCodecs(0)
	type in struct {
		ts  int64
		key []byte
	}
	key := []byte("k")
	for _, x := range []struct {
		name    string
		records []in
		rules   Rules
		want    code.Error
		bad     []int32
	}{
		{"nothing asked", []in{{5, nil}, {7, key}}, Rules{}, code.None, nil},
		{"all have keys", []in{{5, key}, {7, []byte{}}}, Rules{NeedKeys: true}, code.None, nil},
		{"two have no key", []in{{5, nil}, {6, key}, {7, nil}}, Rules{NeedKeys: true}, code.InvalidRecord, []int32{0, 2}},
		{"in time", []in{{5, nil}, {7, nil}, {NoTimestamp, nil}}, Rules{Earliest: 5, Latest: 7}, code.None, nil},
		{"too early", []in{{5, nil}, {4, nil}}, Rules{Earliest: 5}, code.InvalidTimestamp, []int32{1}},
		{"too late", []in{{5, nil}, {8, nil}, {9, nil}}, Rules{Latest: 7}, code.InvalidTimestamp, []int32{1, 2}},
		{"early and without key", []in{{5, nil}, {4, key}}, Rules{Earliest: 5, NeedKeys: true}, code.InvalidTimestamp, []int32{0, 1}},
		{"late where the broker's time counts", []in{{9, nil}}, Rules{Latest: 7, Earliest: 6, TimestampType: LogAppendTime, Now: 50}, code.None, nil},
		{"recompressed", []in{{5, nil}, {3, key}}, Rules{Recompress: true, Codec: LZ4}, code.None, nil},
		{"decompressed", []in{{5, nil}, {3, key}}, Rules{Recompress: true, Codec: None}, code.None, nil},
		{"recompressed and stamped", []in{{5, nil}, {3, key}}, Rules{Recompress: true, Codec: Zstd, TimestampType: LogAppendTime, Now: 50}, code.None, nil},
		{"too large", []in{{5, nil}, {3, key}}, Rules{MaxBytes: 60}, code.MessageTooLarge, nil},
	} {
		for codec := None; codec <= Zstd; codec++ {
			for old := range 3 { // as a v2 batch, as magic 0, as magic 1
				if old == 1 && codec == Zstd || old == 2 && codec == Zstd {
					continue
				}
				if old == 1 && (x.rules.Earliest != 0 || x.rules.Latest != 0) {
					continue // magic 0 has no time
				}
				w := NewBuilder(c, BuilderOptions{Codec: codec, LeaderEpoch: NoLeaderEpoch})
				var records []Record
				for i, r := range x.records {
					w.Append(r.ts, r.key, []byte("v"))
					records = append(records, Record{Offset: int64(i), Timestamp: r.ts, Key: r.key, Value: []byte("v")})
				}
				name := fmt.Sprint(x.name, " ", codec, " ", old)
				b := bytes.Clone(mustFinish(t, w))
				var out Batch
				var bad []RecordError
				var err error
				if old == 0 {
					given := bytes.Clone(b)
					out, bad, err = Apply(b, &x.rules, c)
					if err != nil && !bytes.Equal(b, given) {
						t.Errorf("%s: refused, and its bytes were changed", name)
					}
				} else {
					records = asMagic(records, int8(old-1))
					var up []byte
					up, _, bad, err = ConvertUp(nil, naiveSet(t, c, int8(old-1), codec, records, 10), &x.rules, c)
					out = up
				}
				if code.Of(err) != x.want {
					t.Errorf("%s: %v, want %v", name, err, x.want)
					continue
				}
				var indexes []int32
				for _, e := range bad {
					indexes = append(indexes, e.Index)
				}
				if fmt.Sprint(indexes) != fmt.Sprint(x.bad) {
					t.Errorf("%s: records %v are refused, want %v", name, indexes, x.bad)
				}
				if err != nil {
					continue
				}
				if err := errors.Join(out.Check(), out.Validate(FromClient)); err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if want := x.rules.Codec; x.rules.Recompress && out.Codec() != want || !x.rules.Recompress && out.Codec() != codec {
					t.Errorf("%s: codec %v", name, out.Codec())
				}
				if out.TimestampType() != x.rules.TimestampType {
					t.Errorf("%s: timestamp type %v", name, out.TimestampType())
				}
				greatest := NoTimestamp
				for i := range records {
					if x.rules.TimestampType == LogAppendTime {
						records[i].Timestamp = x.rules.Now
					}
					greatest = max(greatest, records[i].Timestamp)
				}
				if out.MaxTimestamp() != greatest {
					t.Errorf("%s: greatest timestamp %d, want %d", name, out.MaxTimestamp(), greatest)
				}
				compareRecords(t, collect(t, out, c), records)
			}
		}
	}
}

func TestApplyTrustsNoHeaderWhereItWalks(t *testing.T) {
	c := NewCodecs(0)
	b := simpleBatch(t, c, BuilderOptions{Codec: Gzip}, 3)
	b.SetMaxTimestamp(CreateTime, 99)
	out, _, err := Apply(b, &Rules{NeedKeys: true}, c)
	if err != nil || out.MaxTimestamp() != 1_700_000_000_002 || out.Check() != nil {
		t.Errorf("greatest timestamp %d, %v", out.MaxTimestamp(), err)
	}
	b.SetMaxTimestamp(CreateTime, 1_800_000_000_000)
	if _, bad, err := Apply(b, &Rules{Latest: 1_750_000_000_000}, c); !errors.Is(err, code.InvalidTimestamp) || bad != nil {
		t.Errorf("a header beyond the bound: %v %v", bad, err)
	}
	b.SetLogAppendTime(5)
	if out, _, err := Apply(b, &Rules{}, c); err != nil || out.TimestampType() != CreateTime || out.MaxTimestamp() != 5 || out.Check() != nil {
		t.Errorf("a producer's LogAppendTime becomes %v at %d: %v", out.TimestampType(), out.MaxTimestamp(), err)
	}
	b = simpleBatch(t, c, BuilderOptions{Codec: Gzip}, 3)
	b[len(b)-9]++ // inside of the gzip checksum
	b.Seal()
	if _, _, err := Apply(b, &Rules{Recompress: true, Codec: LZ4}, c); !errors.Is(err, code.CorruptMessage) {
		t.Errorf("rubbish to recompress: %v", err)
	}
	b = simpleBatch(t, c, BuilderOptions{Codec: Zstd}, 5000)
	if _, _, err := Apply(b, &Rules{Recompress: true, Codec: LZ4, OutputLimit: 10_000}, c); !errors.Is(err, code.MessageTooLarge) {
		t.Errorf("more than the output limit: %v", err)
	}
	if _, _, err := Apply(b, &Rules{Recompress: true, Codec: None, MaxBytes: len(b)}, c); !errors.Is(err, code.MessageTooLarge) {
		t.Errorf("too large after recompression: %v", err)
	}
}

// fuzzBatches walks and converts b and demands that what is read can be written
// again.
func fuzzBatches(t *testing.T, c *Codecs, b []byte) {
	const limit = 1 << 20
	known := func(err error) {
		switch code.Of(err) {
		case code.None, code.CorruptMessage, code.InvalidRecord, code.MessageTooLarge, code.UnsupportedCompressionType, code.InvalidTimestamp:
		default:
			t.Fatalf("%v", err)
		}
	}
	rest := b
	for {
		batch, after, err := Next(rest)
		if err != nil {
			if err != ErrShort {
				known(err)
			}
			break
		}
		rest = after
		known(batch.Check())
		if err := batch.Validate(FromReplica); err != nil {
			known(err)
			continue
		}
		var records []Record
		err = batch.Each(c, limit, func(r Record) error {
			if r.Offset < batch.BaseOffset() || r.Offset > batch.LastOffset() {
				t.Fatalf("offset %d in a batch of %d to %d", r.Offset, batch.BaseOffset(), batch.LastOffset())
			}
			n := 0
			h := r.Headers.Iter()
			for _, ok := h.Next(); ok; _, ok = h.Next() {
				n++
			}
			if n != r.Headers.Len() {
				t.Fatalf("%d headers of %d", n, r.Headers.Len())
			}
			records = append(records, cloneRecord(r))
			return nil
		})
		if err != nil {
			known(err)
			continue
		}
		if len(records) != int(batch.Count()) {
			t.Fatalf("%d records of %d", len(records), batch.Count())
		}
		if batch.LastOffset() < batch.BaseOffset() {
			continue // offsets beyond 2^63
		}
		w := NewBuilder(c, BuilderOptions{BaseOffset: batch.BaseOffset(), Codec: batch.Codec()})
		for _, r := range records {
			w.AppendRecord(r)
		}
		w.SetLastOffset(batch.LastOffset())
		compareRecords(t, collect(t, mustFinish(t, w), c), records)
		if batch.Validate(FromClient) == nil {
			_, _, err := Apply(bytes.Clone(batch), &Rules{NeedKeys: true, Recompress: true, Codec: LZ4, OutputLimit: limit}, c)
			known(err)
		}
	}
	for magic := int8(0); magic <= 1; magic++ {
		_, _, err := ConvertDown(nil, b, magic, 0, limit, limit, c)
		known(err)
	}
	up, stats, _, err := ConvertUp(nil, b, &Rules{OutputLimit: limit}, c)
	known(err)
	if err == nil && len(b) > 0 {
		batch, rest, err := Next(up)
		if err != nil || len(rest) != 0 {
			t.Fatal(err)
		}
		if err := errors.Join(batch.Check(), batch.Validate(FromClient)); err != nil {
			t.Fatal(err)
		}
		want, _ := collectMessages(t, b, c)
		for i := range want {
			want[i].Offset = int64(i)
		}
		if stats.Records != len(want) {
			t.Fatalf("%d records of %d", stats.Records, len(want))
		}
		compareRecords(t, collect(t, batch, c), want)
	}
}

func FuzzBatches(f *testing.F) {
	for _, v := range goldenVectors(f) {
		if v.magic == 2 {
			f.Add(v.bytes)
		}
	}
	c := NewCodecs(0)
	f.Fuzz(func(t *testing.T, b []byte) { fuzzBatches(t, c, b) })
}

// FuzzMessageSets gives the set and its wrappers good CRCs, which chance would
// never find.
func FuzzMessageSets(f *testing.F) {
	for _, v := range goldenVectors(f) {
		if v.magic < 2 {
			f.Add(v.bytes)
		}
	}
	c := NewCodecs(0)
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		for rest := b; ; {
			size, err := Peek(rest)
			if err != nil || size > len(rest) {
				break
			}
			if rest[offMagic] < 2 {
				sealMessage(rest[:size])
			}
			rest = rest[size:]
		}
		fuzzBatches(t, c, b)
	})
}
