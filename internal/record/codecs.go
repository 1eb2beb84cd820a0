package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/klamm/klamm/internal/code"
)

// Codec is how the records of a batch are compressed, by the number that stands
// in the attributes.
type Codec int8

// Kafka's codecs. Zstd does not exist in the formats before v2 (KIP-110).
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

// String returns the codec's name as compression.type spells it.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("codec %d", int8(c))
}

// ParseCodec returns the codec that compression.type names; "uncompressed" and
// "none" are both None. "producer" is no codec.
func ParseCodec(name string) (Codec, bool) {
	switch name {
	case "none", "uncompressed":
		return None, true
	case "gzip":
		return Gzip, true
	case "snappy":
		return Snappy, true
	case "lz4":
		return LZ4, true
	case "zstd":
		return Zstd, true
	}
	return None, false
}

// Level is how hard a codec tries, in Kafka's numbers (KIP-390): gzip 1 to 9 and
// -1 for its default, lz4 1 to 17, zstd -131072 to 22. DefaultLevel asks for the
// codec's default, which is 6, 9 and 3. Snappy has none. Levels beyond the range
// count as its end.
type Level int32

// DefaultLevel is the codec's default.
const DefaultLevel Level = 0

// MinOutputLimit is the least limit of decompressed bytes a batch that
// [OutputLimit] gives.
const MinOutputLimit = 64 << 20

// OutputLimit is how many bytes one batch may decompress to where batches of
// maxMessageBytes are accepted.
func OutputLimit(maxMessageBytes int) int {
	return max(maxMessageBytes*32, MinOutputLimit)
}

// Output up to bigFactor times the input plus bigBase bytes is let through at
// once, being bounded by what the peer paid for in bytes; more needs one of the
// few places for big outputs.
const (
	bigFactor = 16
	bigBase   = 64 << 10
)

// keepBuffer is the greatest buffer that goes back into a pool.
const keepBuffer = 1 << 20

// Codecs owns compressors, decompressors and the memory they put their output in.
// It is made once a node by NewCodecs, handed down, and safe for use by many
// goroutines.
type Codecs struct {
	big         chan struct{}
	buffers     sync.Pool                                // *Buffer
	builders    sync.Pool                                // *Builder
	gzipReaders sync.Pool                                // *gzipReader
	gzipWriters [gzip.BestCompression + 1]sync.Pool      // *gzipWriter, by level
	zstdReaders sync.Pool                                // *zstd.Decoder
	zstdWriters [zstd.SpeedBestCompression + 1]sync.Pool // *zstd.Encoder, by level
	lz4Fast     sync.Pool                                // *lz4.Compressor
	lz4High     sync.Pool                                // *lz4.CompressorHC
}

// NewCodecs returns a Codecs that lets at most big outputs of extreme compression
// exist at a time; others wait. 0 means 4.
func NewCodecs(big int) *Codecs {
	if big <= 0 {
		big = 4
	}
	return &Codecs{big: make(chan struct{}, big)}
}

// Buffer is pooled memory with the output of Decompress.
type Buffer struct {
	b      []byte
	codecs *Codecs
	big    bool
}

// Bytes returns the output. It is valid until Release.
func (b *Buffer) Bytes() []byte { return b.b }

// Release gives the memory back to the pool.
func (b *Buffer) Release() {
	c := b.codecs
	if b.big {
		b.big = false
		<-c.big
	}
	if cap(b.b) > keepBuffer {
		b.b = nil
	}
	c.buffers.Put(b)
}

func (c *Codecs) buffer() *Buffer {
	b, _ := c.buffers.Get().(*Buffer)
	if b == nil {
		b = &Buffer{codecs: c}
	}
	b.b = b.b[:0]
	return b
}

func (c *Codecs) builder() *Builder {
	b, _ := c.builders.Get().(*Builder)
	if b == nil || cap(b.buf) > keepBuffer || cap(b.out) > keepBuffer {
		b = new(Builder)
	}
	return b
}

// errLimit is what a decoder returns that would go beyond its limit.
var errLimit = errors.New("record: decompressed beyond the limit")

// output is where a decoder puts its bytes: a Buffer with a hard limit.
type output struct {
	*Buffer
	limit int // never more than this
	free  int // more than this needs a big place
}

// grow makes room for n more bytes, with an error beyond the limit. It allocates
// in doubling steps and never much more than the limit.
func (o *output) grow(n int) error {
	need := len(o.b) + n
	if need > o.limit {
		return errLimit
	}
	if need <= cap(o.b) {
		return nil
	}
	if need > o.free && !o.big {
		o.codecs.big <- struct{}{}
		o.big = true
	}
	size := min(max(2*cap(o.b), need, 4096), o.limit)
	grown := make([]byte, len(o.b), size)
	copy(grown, o.b)
	o.b = grown
	return nil
}

// Decompress returns what src decompresses to by codec, in pooled memory that the
// caller releases. magic is that of the batch or message, as LZ4 was framed wrongly
// in magic 0 (KAFKA-3160). Output beyond limit bytes stops at once with a
// MESSAGE_TOO_LARGE error; anything malformed is CORRUPT_MESSAGE. It may wait while
// too many outputs of extreme compression exist, so a caller holds at most one
// Buffer at a time.
func (c *Codecs) Decompress(src []byte, codec Codec, magic int8, limit int) (*Buffer, error) {
	o := output{Buffer: c.buffer(), limit: limit, free: bigFactor*len(src) + bigBase}
	var err error
	switch codec {
	case None:
		if err = o.grow(len(src)); err == nil {
			o.b = append(o.b, src...)
		}
	case Gzip:
		err = c.gunzip(&o, src)
	case Snappy:
		err = unsnappy(&o, src)
	case LZ4:
		err = unlz4(&o, src, magic)
	case Zstd:
		err = c.unzstd(&o, src)
	default:
		err = fmt.Errorf("there is no such codec")
	}
	if err == nil {
		return o.Buffer, nil
	}
	o.Release()
	if errors.Is(err, errLimit) {
		return nil, code.Errorf(code.MessageTooLarge, "%s: %d bytes decompress to more than the limit of %d; send smaller batches", codec, len(src), limit)
	}
	return nil, code.Errorf(code.CorruptMessage, "%s: %d compressed bytes are malformed: %v", codec, len(src), err)
}

// Compress appends src, compressed by codec, to dst. The same arguments give the
// same bytes. magic is as in Decompress. A codec that does not exist, and Zstd
// before magic 2, is an UNSUPPORTED_COMPRESSION_TYPE error.
func (c *Codecs) Compress(dst, src []byte, codec Codec, level Level, magic int8) ([]byte, error) {
	switch {
	case codec == None:
		return append(dst, src...), nil
	case codec == Gzip:
		return c.gzip(dst, src, level), nil
	case codec == Snappy:
		return snappy(dst, src), nil
	case codec == LZ4:
		return c.lz4(dst, src, level, magic), nil
	case codec == Zstd && magic >= 2:
		return c.zstd(dst, src, level), nil
	}
	return dst, code.Errorf(code.UnsupportedCompressionType, "%s is no codec of magic %d", codec, magic)
}

// gzipReader is a gzip decoder with the reader it reads from.
type gzipReader struct {
	gzip.Reader
	in bytes.Reader
}

func (c *Codecs) gunzip(o *output, src []byte) error {
	r, _ := c.gzipReaders.Get().(*gzipReader)
	if r == nil {
		r = new(gzipReader)
	}
	r.in.Reset(src)
	defer func() {
		r.in.Reset(nil)
		c.gzipReaders.Put(r)
	}()
	if err := r.Reset(&r.in); err != nil {
		return err
	}
	for {
		if len(o.b) == min(cap(o.b), o.limit) {
			switch err := o.grow(1); {
			case err == nil:
			case len(o.b) < o.limit:
				return err
			default:
				// Full to the last byte: good only if the stream ends here.
				var one [1]byte
				if n, err := r.Read(one[:]); n == 0 && err == io.EOF {
					return nil
				} else if n == 0 && err != nil {
					return err
				}
				return errLimit
			}
		}
		n, err := r.Read(o.b[len(o.b):min(cap(o.b), o.limit)])
		o.b = o.b[:len(o.b)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// gzipWriter is a gzip encoder that appends to its own b.
type gzipWriter struct {
	*gzip.Writer
	out appendWriter
}

type appendWriter struct{ b []byte }

func (w *appendWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (c *Codecs) gzip(dst, src []byte, level Level) []byte {
	if level <= DefaultLevel {
		level = 6
	}
	level = min(level, gzip.BestCompression)
	w, _ := c.gzipWriters[level].Get().(*gzipWriter)
	if w == nil {
		w = new(gzipWriter)
		w.Writer, _ = gzip.NewWriterLevel(&w.out, int(level)) // the level is in range
	}
	w.out.b = dst
	w.Reset(&w.out)
	// Writes to memory do not fail.
	_, _ = w.Write(src)
	_ = w.Close()
	dst, w.out.b = w.out.b, nil
	c.gzipWriters[level].Put(w)
	return dst
}
