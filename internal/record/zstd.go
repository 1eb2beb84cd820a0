package record

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/zstd"
)

const (
	zstdMagic     = 0xfd2fb528
	zstdSkippable = 0x184d2a50 // and the 15 numbers behind it
	zstdBlock     = 128 << 10  // the most that a compressed block gives
	zstdWindow    = 128 << 20  // as Kafka's own decoder accepts
	zstdFirst     = 256 << 10  // the least room for a first try
)

var errZstdFrame = errors.New("frame is cut or its header is wrong")

// unzstd decodes into memory whose capacity is the decoder's hard bound; the output
// itself is the window, so that none is allocated beside it. Frames bound their
// output by their blocks' headers, tightly for encoders that fill their blocks. Room
// for the bound is taken at once where the input has paid for it; else in steps, and
// never beyond bound and limit.
func (c *Codecs) unzstd(o *output, src []byte) error {
	bound, err := zstdBound(src)
	if err != nil {
		return err
	}
	r, _ := c.zstdReaders.Get().(*zstd.Decoder)
	if r == nil {
		if r, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecodeAllCapLimit(true)); err != nil {
			return err
		}
	}
	defer c.zstdReaders.Put(r)
	want := min(bound, o.limit, max(bigFactor*len(src), zstdFirst))
	for {
		if err := o.grow(want); err != nil {
			return err
		}
		room := min(cap(o.b), o.limit)
		out, err := r.DecodeAll(src, o.b[:0:room])
		if err == nil && len(out) <= room {
			o.b = o.b[:len(out)]
			return nil
		}
		// With less room than the bound the decoder's errors do not tell corruption
		// from a lack of room.
		switch {
		case room >= bound && err != nil:
			return err
		case room >= o.limit:
			return errLimit
		}
		want = min(4*room, bound, o.limit)
	}
}

// zstdBound is the most that src, frames of zstd, can decompress to: by their
// content sizes where they give them, by the headers of their blocks else. It is
// never less than what they do decompress to, unless that is an error.
func zstdBound(src []byte) (int, error) {
	le := binary.LittleEndian
	total := 0
	for len(src) > 0 {
		if len(src) < 8 {
			return 0, errZstdFrame
		}
		magic := le.Uint32(src)
		if magic&^0xf == zstdSkippable {
			n := uint64(le.Uint32(src[4:]))
			if n > uint64(len(src)-8) {
				return 0, errZstdFrame
			}
			src = src[8+n:]
			continue
		}
		if magic != zstdMagic {
			return 0, errZstdFrame
		}
		content, rest, sum, ok := zstdFrameHeader(src[4:])
		if !ok {
			return 0, errZstdFrame
		}
		blocks := 0
		for last := false; !last; {
			if len(rest) < 3 {
				return 0, errZstdFrame
			}
			h := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
			rest = rest[3:]
			last = h&1 != 0
			size := h >> 3
			gives := size
			switch h >> 1 & 3 {
			case 1: // one byte, repeated
				size = 1
			case 2:
				gives = zstdBlock
			case 3:
				return 0, errZstdFrame
			}
			if size > len(rest) {
				return 0, errZstdFrame
			}
			rest = rest[size:]
			blocks += gives
		}
		if content >= 0 {
			if content > int64(blocks) {
				return 0, errZstdFrame
			}
			blocks = int(content)
		}
		total += blocks
		if sum {
			if len(rest) < 4 {
				return 0, errZstdFrame
			}
			rest = rest[4:]
		}
		src = rest
	}
	return total, nil
}

// zstdFrameHeader reads a frame's header behind its magic: the content size or -1,
// what follows, and whether a checksum ends the frame.
func zstdFrameHeader(b []byte) (content int64, rest []byte, sum, ok bool) {
	flags := b[0]
	single := flags&0x20 != 0
	sum = flags&0x04 != 0
	skip := [4]int{0, 1, 2, 4}[flags&3] // a dictionary's id
	if !single {
		skip++ // the window
	}
	size := [4]int{0, 2, 4, 8}[flags>>6]
	if size == 0 && single {
		size = 1
	}
	if len(b) < 1+skip+size {
		return 0, nil, false, false
	}
	b = b[1+skip:]
	le := binary.LittleEndian
	switch size {
	case 0:
		content = -1
	case 1:
		content = int64(b[0])
	case 2:
		content = int64(le.Uint16(b)) + 256
	case 4:
		content = int64(le.Uint32(b))
	case 8:
		content = int64(le.Uint64(b))
		if content < 0 {
			return 0, nil, false, false
		}
	}
	return content, b[size:], sum, true
}

func (c *Codecs) zstd(dst, src []byte, level Level) []byte {
	if level == DefaultLevel {
		level = 3
	}
	l := zstd.EncoderLevelFromZstd(int(max(level, 1)))
	w, _ := c.zstdWriters[l].Get().(*zstd.Encoder)
	if w == nil {
		// The options are constants that NewWriter accepts.
		w, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(l), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithWindowSize(1<<20), zstd.WithZeroFrames(true))
	}
	dst = w.EncodeAll(src, dst)
	c.zstdWriters[l].Put(w)
	return dst
}
