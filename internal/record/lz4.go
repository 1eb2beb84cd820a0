package record

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/pierrec/lz4/v4"
)

const (
	lz4Magic     = 0x184d2204
	lz4Skippable = 0x184d2a50 // and the 15 numbers behind it
	lz4Stored    = 1 << 31    // set in a block's length: the block is not compressed
	lz4Block     = 64 << 10   // uncompressed bytes a block, as Kafka writes them
	// lz4Version1 and lz4Independent are bits of the frame's first flag byte, as are
	// the others.
	lz4VersionMask     = 0xc0
	lz4Version1        = 0x40
	lz4Independent     = 0x20
	lz4BlockChecksum   = 0x10
	lz4ContentSize     = 0x08
	lz4ContentChecksum = 0x04
	lz4Reserved        = 0x02
	lz4Dictionary      = 0x01
)

var (
	errLZ4Short  = errors.New("frame is cut")
	errLZ4Magic  = errors.New("no frame begins here")
	errLZ4Header = errors.New("frame header has flags that are not supported")
	errLZ4Sum    = errors.New("checksum does not match")
	errLZ4Block  = errors.New("block is malformed or too long")
)

// unlz4 reads LZ4 frames, one or several. Blocks are decoded straight into the
// output, which also is the dictionary of linked blocks. In magic 0 the header's
// checksum is not looked at: old clients computed it over the frame's magic too
// (KAFKA-3160), and some right.
func unlz4(o *output, src []byte, magic int8) error {
	if len(src) == 0 {
		return errLZ4Short
	}
	for len(src) > 0 {
		var err error
		if src, err = unlz4Frame(o, src, magic); err != nil {
			return err
		}
	}
	return nil
}

func unlz4Frame(o *output, src []byte, magic int8) (rest []byte, err error) {
	if len(src) < 8 {
		return nil, errLZ4Short
	}
	le := binary.LittleEndian
	m := le.Uint32(src)
	if m&^0xf == lz4Skippable {
		n := uint64(le.Uint32(src[4:]))
		if n > uint64(len(src)-8) {
			return nil, errLZ4Short
		}
		return src[8+n:], nil
	}
	if m != lz4Magic {
		return nil, errLZ4Magic
	}
	frame := src
	flags, size := src[4], src[5]
	if flags&lz4VersionMask != lz4Version1 || flags&(lz4Reserved|lz4Dictionary) != 0 || size&0x8f != 0 || size>>4 < 4 {
		return nil, errLZ4Header
	}
	maxBlock := 1 << (8 + 2*int(size>>4)) // 4 to 7: 64 KiB, 256 KiB, 1 MiB, 4 MiB
	src = src[6:]
	if flags&lz4ContentSize != 0 {
		if len(src) < 8 {
			return nil, errLZ4Short
		}
		src = src[8:]
	}
	if len(src) < 1 {
		return nil, errLZ4Short
	}
	header := frame[4 : len(frame)-len(src)]
	if magic >= 1 && src[0] != byte(xxh32(header)>>8) {
		return nil, errLZ4Sum
	}
	src = src[1:]
	start := len(o.b)
	for {
		if len(src) < 4 {
			return nil, errLZ4Short
		}
		n := le.Uint32(src)
		src = src[4:]
		if n == 0 {
			break
		}
		stored := n&lz4Stored != 0
		n &^= lz4Stored
		if uint64(n) > uint64(len(src)) {
			return nil, errLZ4Short
		}
		if int(n) > maxBlock {
			return nil, errLZ4Block
		}
		block := src[:n]
		src = src[n:]
		if flags&lz4BlockChecksum != 0 {
			if len(src) < 4 {
				return nil, errLZ4Short
			}
			if le.Uint32(src) != xxh32(block) {
				return nil, errLZ4Sum
			}
			src = src[4:]
		}
		if err := unlz4Block(o, block, stored, maxBlock, flags&lz4Independent == 0, start); err != nil {
			return nil, err
		}
	}
	if flags&lz4ContentChecksum != 0 {
		if len(src) < 4 {
			return nil, errLZ4Short
		}
		if le.Uint32(src) != xxh32(o.b[start:]) {
			return nil, errLZ4Sum
		}
		src = src[4:]
	}
	return src, nil
}

// unlz4Block appends one block's content to o. Blocks that are linked refer back
// into the frame's content, which begins at start.
func unlz4Block(o *output, block []byte, stored bool, maxBlock int, linked bool, start int) error {
	if stored {
		if err := o.grow(len(block)); err != nil {
			return err
		}
		o.b = append(o.b, block...)
		return nil
	}
	// A byte of a block gives at most 255: the room is bounded by what came in.
	room := min(maxBlock, 255*len(block)+16)
	capped := false
	if left := o.limit - len(o.b); room > left {
		room, capped = left, true
	}
	if room == 0 {
		return errLimit
	}
	if err := o.grow(room); err != nil {
		return err
	}
	var dict []byte
	if linked {
		dict = o.b[max(start, len(o.b)-64<<10):]
	}
	n, err := lz4.UncompressBlockWithDict(block, o.b[len(o.b):len(o.b)+room], dict)
	if err != nil {
		if capped {
			return errLimit
		}
		return errLZ4Block
	}
	o.b = o.b[:len(o.b)+n]
	return nil
}

// lz4 writes one frame as Kafka does: independent blocks of 64 KiB, no checksum
// but the header's, which for magic 0 is the wrong one of KAFKA-3160.
func (c *Codecs) lz4(dst, src []byte, level Level, magic int8) []byte {
	le := binary.LittleEndian
	at := len(dst)
	dst = le.AppendUint32(dst, lz4Magic)
	dst = append(dst, lz4Version1|lz4Independent, 4<<4)
	sum := xxh32(dst[at+4:])
	if magic == 0 {
		sum = xxh32(dst[at:])
	}
	dst = append(dst, byte(sum>>8))

	compress := c.lz4Compressor(level)
	for len(src) > 0 {
		block := src[:min(len(src), lz4Block)]
		src = src[len(block):]
		at := len(dst) + 4
		dst = grow(dst, 4+lz4.CompressBlockBound(len(block)))
		n, err := compress.CompressBlock(block, dst[at:cap(dst)])
		if err != nil || n == 0 || n >= len(block) {
			le.PutUint32(dst[at-4:at], lz4Stored|uint32(len(block)))
			dst = append(dst[:at], block...)
			continue
		}
		le.PutUint32(dst[at-4:at], uint32(n))
		dst = dst[:at+n]
	}
	switch w := compress.(type) {
	case *lz4.Compressor:
		c.lz4Fast.Put(w)
	case *lz4.CompressorHC:
		c.lz4High.Put(w)
	}
	return le.AppendUint32(dst, 0)
}

type lz4Compressor interface {
	CompressBlock(src, dst []byte) (int, error)
}

// lz4Compressor returns Kafka's choice: the fast compressor at the default level,
// the thorough one at any that was asked for.
func (c *Codecs) lz4Compressor(level Level) lz4Compressor {
	if level == DefaultLevel || level == 9 {
		w, _ := c.lz4Fast.Get().(*lz4.Compressor)
		if w == nil {
			w = new(lz4.Compressor)
		}
		return w
	}
	w, _ := c.lz4High.Get().(*lz4.CompressorHC)
	if w == nil {
		w = new(lz4.CompressorHC)
	}
	w.Level = lz4.CompressionLevel(1 << (8 + min(max(level, 1), 9)))
	return w
}

// xxh32 is the XXH32 hash with seed 0, the checksum of LZ4 frames.
func xxh32(b []byte) uint32 {
	const (
		p1 uint32 = 2654435761
		p2 uint32 = 2246822519
		p3 uint32 = 3266489917
		p4 uint32 = 668265263
		p5 uint32 = 374761393
	)
	le := binary.LittleEndian
	n := uint32(len(b))
	h := p5
	if len(b) >= 16 {
		v1, v2, v3, v4 := p1, p2, uint32(0), uint32(0)
		v1 += p2
		v4 -= p1
		for ; len(b) >= 16; b = b[16:] {
			v1 = bits.RotateLeft32(v1+le.Uint32(b)*p2, 13) * p1
			v2 = bits.RotateLeft32(v2+le.Uint32(b[4:])*p2, 13) * p1
			v3 = bits.RotateLeft32(v3+le.Uint32(b[8:])*p2, 13) * p1
			v4 = bits.RotateLeft32(v4+le.Uint32(b[12:])*p2, 13) * p1
		}
		h = bits.RotateLeft32(v1, 1) + bits.RotateLeft32(v2, 7) + bits.RotateLeft32(v3, 12) + bits.RotateLeft32(v4, 18)
	}
	h += n
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+le.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}
