package record

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/klamm/klamm/internal/code"
)

// samples are payloads of every kind a codec treats apart.
func samples(t testing.TB) map[string][]byte {
	r := seeded(t, 3)
	noise := make([]byte, 150_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	return map[string][]byte{
		"empty": {}, "byte": {7}, "text": []byte("the quick brown fox jumps over the lazy dog"),
		"block": bytes.Repeat([]byte("0123456789abcdef"), 4096), "lines": []byte(strings.Repeat("a line of a log file, as they are\n", 6_000)),
		"noise": noise, "zeros": make([]byte, 300_000),
	}
}

func decompress(t testing.TB, c *Codecs, src []byte, codec Codec, magic int8, limit int) ([]byte, error) {
	t.Helper()
	b, err := c.Decompress(src, codec, magic, limit)
	if err != nil {
		return nil, err
	}
	defer b.Release()
	return bytes.Clone(b.Bytes()), nil
}

func TestCodecsRoundTripAtEveryLevel(t *testing.T) {
	c := NewCodecs(0)
	for codec, levels := range map[Codec][]Level{None: {0}, Gzip: {0, 1, 5, 9, 99, -7}, Snappy: {0}, LZ4: {0, 1, 5, 9, 12, 17, 99}, Zstd: {0, -131072, 1, 3, 9, 22}} {
		for _, level := range levels {
			for name, data := range samples(t) {
				for magic := int8(0); magic <= 2; magic += 2 {
					if codec == Zstd && magic == 0 {
						continue
					}
					prefix := []byte("before")
					out, err := c.Compress(bytes.Clone(prefix), data, codec, level, magic)
					if err != nil || !bytes.HasPrefix(out, prefix) {
						t.Fatal(err)
					}
					again, _ := c.Compress(nil, data, codec, level, magic)
					if !bytes.Equal(again, out[len(prefix):]) {
						t.Fatalf("%v level %d %s: not the same bytes twice", codec, level, name)
					}
					got, err := decompress(t, c, again, codec, magic, len(data))
					if err != nil || !bytes.Equal(got, data) {
						t.Fatalf("%v level %d magic %d %s: %d bytes of %d, %v", codec, level, magic, name, len(got), len(data), err)
					}
					if len(data) == 0 {
						continue
					}
					if _, err = c.Decompress(again, codec, magic, len(data)-1); !errors.Is(err, code.MessageTooLarge) {
						t.Fatalf("%v level %d %s, a byte below the limit: %v", codec, level, name, err)
					}
				}
			}
		}
	}
	for _, codec := range []Codec{-1, 5} {
		if _, err := c.Compress(nil, nil, codec, 0, 2); !errors.Is(err, code.UnsupportedCompressionType) {
			t.Errorf("codec %d: %v", codec, err)
		}
		if _, err := c.Decompress(nil, codec, 2, 9); !errors.Is(err, code.CorruptMessage) {
			t.Errorf("codec %d: %v", codec, err)
		}
	}
	if _, err := c.Compress(nil, nil, Zstd, 0, 1); !errors.Is(err, code.UnsupportedCompressionType) {
		t.Errorf("zstd in magic 1: %v", err)
	}
}

func TestDecompressReadsWhatOthersWrite(t *testing.T) {
	c := NewCodecs(0)
	var zstds []*zstd.Encoder
	for _, o := range [][]zstd.EOption{{}, {zstd.WithEncoderCRC(true), zstd.WithEncoderLevel(zstd.SpeedBetterCompression)}, {zstd.WithSingleSegment(true)}} {
		w, err := zstd.NewWriter(nil, append(o, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		zstds = append(zstds, w)
	}
	type encoded struct {
		name  string
		codec Codec
		bytes []byte
	}
	for name, data := range samples(t) {
		var all []encoded
		add := func(kind string, codec Codec, b []byte) { all = append(all, encoded{kind, codec, b}) }

		var buf bytes.Buffer
		half := len(data) / 2
		for _, part := range [][]byte{data[:half], data[half:]} {
			w := stdgzip.NewWriter(&buf)
			w.Name, w.Comment, w.Extra = "a name", "a comment", []byte("extra")
			w.Write(part)
			w.Close()
		}
		add("two gzip members", Gzip, buf.Bytes())

		add("bare snappy", Snappy, s2.EncodeSnappy(nil, data))
		one := snappy(nil, data[:half])
		add("two xerial streams", Snappy, snappy(one, data[half:]))

		for _, size := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
			for _, sums := range []bool{false, true} {
				var buf bytes.Buffer
				w := lz4.NewWriter(&buf)
				if err := w.Apply(lz4.BlockSizeOption(size), lz4.BlockChecksumOption(sums), lz4.ChecksumOption(sums), lz4.SizeOption(uint64(len(data)))); err != nil {
					t.Fatal(err)
				}
				w.Write(data)
				w.Close()
				add(fmt.Sprint("lz4 writer, blocks ", size, sums), LZ4, buf.Bytes())
			}
		}
		skip := binary.LittleEndian.AppendUint32(nil, lz4Skippable+5)
		skip = append(binary.LittleEndian.AppendUint32(skip, 3), "xyz"...)
		add("lz4 frames with one to skip", LZ4, c.lz4(append(c.lz4(nil, data[:half], 0, 2), skip...), data[half:], 3, 2))

		for _, w := range zstds {
			add("zstd at once", Zstd, w.EncodeAll(data[half:], w.EncodeAll(data[:half], nil)))
			var buf bytes.Buffer
			w.Reset(&buf)
			io.Copy(w, bytes.NewReader(data))
			w.Close()
			add("zstd streamed", Zstd, buf.Bytes())
		}
		for _, e := range all {
			got, err := decompress(t, c, e.bytes, e.codec, 2, len(data)+1)
			if err != nil && len(data) == 0 && len(e.bytes) == 0 {
				continue // an encoder that writes nothing for nothing
			}
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s of %s: %d bytes of %d, %v", e.name, name, len(got), len(data), err)
			}
		}
	}
}

func TestLZ4LinkedBlocksReferBack(t *testing.T) {
	b := binary.LittleEndian.AppendUint32(nil, lz4Magic)
	b = append(b, lz4Version1, 4<<4)
	b = append(b, byte(xxh32(b[4:])>>8))
	b = binary.LittleEndian.AppendUint32(b, lz4Stored|8)
	b = append(b, "abcdefgh"...)
	block := []byte{0x04, 8, 0, 0x50, 'v', 'w', 'x', 'y', 'z'} // 8 bytes from 8 back, 5 literals
	b = binary.LittleEndian.AppendUint32(b, uint32(len(block)))
	b = append(b, block...)
	b = binary.LittleEndian.AppendUint32(b, 0)
	c := NewCodecs(0)
	got, err := decompress(t, c, b, LZ4, 2, 1<<20)
	if err != nil || string(got) != "abcdefghabcdefghvwxyz" {
		t.Fatalf("%q %v", got, err)
	}
	b[4] |= lz4Independent
	b[6] = byte(xxh32(b[4:6]) >> 8)
	if _, err := decompress(t, c, b, LZ4, 2, 1<<20); !errors.Is(err, code.CorruptMessage) {
		t.Fatalf("the same, said to be independent: %v", err)
	}
}

// The checksums are the algorithm's published ones for seed 0.
func TestXXH32(t *testing.T) {
	for in, want := range map[string]uint32{"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff, "Nobody inspects the spammish repetition": 0xe2293b2f} {
		if got := xxh32([]byte(in)); got != want {
			t.Errorf("%q: %08x, want %08x", in, got, want)
		}
	}
}

func TestLZ4OfMagic0TakesBothHeaderChecksums(t *testing.T) {
	c := NewCodecs(0)
	data := []byte("some text, some text, some text")
	old, right := c.lz4(nil, data, 0, 0), c.lz4(nil, data, 0, 2)
	if bytes.Equal(old, right) {
		t.Fatal("magic 0 has the right header checksum")
	}
	for _, b := range [][]byte{old, right} {
		if got, err := decompress(t, c, b, LZ4, 0, 100); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if _, err := decompress(t, c, old, LZ4, 1, 100); !errors.Is(err, code.CorruptMessage) {
		t.Errorf("the wrong checksum in magic 1: %v", err)
	}
}

// bombs are small inputs that decompress to 64 MiB of zeros.
func bombs(t testing.TB) map[string]struct {
	codec Codec
	bytes []byte
} {
	const size = 64 << 20
	zeros := make([]byte, 1<<20)
	out := map[string]struct {
		codec Codec
		bytes []byte
	}{}
	pump := func(name string, codec Codec, f func(io.Writer) io.WriteCloser) {
		var buf bytes.Buffer
		w := f(&buf)
		for range size / len(zeros) {
			if _, err := w.Write(zeros); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		out[name] = struct {
			codec Codec
			bytes []byte
		}{codec, buf.Bytes()}
	}
	pump("gzip", Gzip, func(w io.Writer) io.WriteCloser {
		z, _ := stdgzip.NewWriterLevel(w, 9)
		return z
	})
	pump("zstd", Zstd, func(w io.Writer) io.WriteCloser {
		z, _ := zstd.NewWriter(w)
		return z
	})
	pump("lz4", LZ4, func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) })
	b := snappy(nil, zeros)
	for range size/len(zeros) - 1 {
		b = append(b, snappy(nil, zeros)...)
	}
	put := func(name string, codec Codec, b []byte) {
		out[name] = struct {
			codec Codec
			bytes []byte
		}{codec, b}
	}
	put("snappy", Snappy, b)
	w, _ := zstd.NewWriter(nil)
	put("zstd with its size", Zstd, w.EncodeAll(make([]byte, size), nil))
	// Headers that claim more than follows.
	put("snappy claim", Snappy, binary.AppendUvarint(nil, 1<<31))
	put("zstd claim", Zstd, append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0))
	put("lz4 claim", LZ4, []byte{4, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0xff, 0xff, 0x3f, 0})
	return out
}

func TestBombsStopAtTheLimit(t *testing.T) {
	for name, bomb := range bombs(t) {
		for _, limit := range []int{0, 1000, 1 << 20, 8 << 20} {
			c := NewCodecs(1)
			if bomb.codec == Zstd { // the decoder itself is not the bomb's to pay
				c.Decompress(nil, Zstd, 2, 1)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := c.Decompress(bomb.bytes, bomb.codec, 2, limit)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("%s: not stopped at %d", name, limit)
			} else if !strings.HasSuffix(name, "claim") && !errors.Is(err, code.MessageTooLarge) {
				t.Errorf("%s at %d: %v", name, limit, err)
			}
			// All that was ever allocated: growing takes twice the limit, and the zstd
			// decoder may copy its output once before it sees that it is too long.
			if got, most := after.TotalAlloc-before.TotalAlloc, uint64(4*limit+1<<20); got > most {
				t.Errorf("%s at %d: %d bytes allocated, at most %d expected", name, limit, got, most)
			}
			if len(c.big) != 0 {
				t.Errorf("%s at %d: a big place is still taken", name, limit)
			}
		}
	}
}

func TestBigOutputsTakeTurns(t *testing.T) {
	c := NewCodecs(1)
	src, err := c.Compress(nil, make([]byte, 8<<20), Zstd, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Decompress(src, Zstd, 2, 8<<20)
	if err != nil || len(c.big) != 1 {
		t.Fatalf("%d big places taken, %v", len(c.big), err)
	}
	done := make(chan error)
	go func() {
		second, err := c.Decompress(src, Zstd, 2, 8<<20)
		if err == nil {
			second.Release()
		}
		done <- err
	}()
	small, err := c.Decompress([]byte("small ones do not wait"), None, 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	small.Release()
	select {
	case <-done:
		t.Fatal("a second big output while the first is held")
	default:
	}
	first.Release()
	if err := <-done; err != nil || len(c.big) != 0 {
		t.Fatalf("%d big places taken, %v", len(c.big), err)
	}
}

func FuzzDecompress(f *testing.F) {
	c := NewCodecs(0)
	for _, v := range goldenVectors(f) {
		if v.magic == 2 && v.codec != None {
			f.Add(int8(v.codec), int8(2), []byte(Batch(v.bytes).Records()))
		}
	}
	data := []byte(strings.Repeat("some text ", 50))
	for codec := Gzip; codec <= Zstd; codec++ {
		b, _ := c.Compress(nil, data, codec, 0, 2)
		f.Add(int8(codec), int8(2), b)
	}
	f.Add(int8(Snappy), int8(0), s2.EncodeSnappy(nil, data))
	f.Add(int8(LZ4), int8(0), c.lz4(nil, data, 0, 0))
	f.Fuzz(func(t *testing.T, codec, magic int8, src []byte) {
		const limit = 1 << 20
		b, err := c.Decompress(src, Codec(codec), magic, limit)
		if err != nil {
			if e := code.Of(err); e != code.CorruptMessage && e != code.MessageTooLarge {
				t.Fatal(err)
			}
			return
		}
		defer b.Release()
		if len(b.Bytes()) > limit {
			t.Fatalf("%d bytes", len(b.Bytes()))
		}
		// What decompressed compresses to something that decompresses to the same.
		again, err := c.Compress(nil, b.Bytes(), Codec(codec), 0, 2)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Clone(b.Bytes())
		got, err := decompress(t, NewCodecs(0), again, Codec(codec), 2, limit)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
		}
	})
}
