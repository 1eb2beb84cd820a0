package record

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"
)

// xerialMagic begins the stream of snappy-java, which all of Kafka's clients
// write: the magic, a version and the oldest compatible version, then blocks with
// their lengths before them.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const (
	xerialHeader = 16
	xerialBlock  = 32 << 10 // uncompressed bytes a block, as snappy-java's default
)

var errSnappy = errors.New("block is cut or its length is wrong")

// unsnappy reads the xerial framing, also several one after another, and a bare
// snappy block, which some clients send.
func unsnappy(o *output, src []byte) error {
	if !bytes.HasPrefix(src, xerialMagic) {
		return unsnappyBlock(o, src)
	}
	for len(src) > 0 {
		if bytes.HasPrefix(src, xerialMagic) {
			if len(src) < xerialHeader {
				return errSnappy
			}
			src = src[xerialHeader:]
			continue
		}
		if len(src) < 4 {
			return errSnappy
		}
		n := binary.BigEndian.Uint32(src)
		src = src[4:]
		if uint64(n) > uint64(len(src)) {
			return errSnappy
		}
		if err := unsnappyBlock(o, src[:n]); err != nil {
			return err
		}
		src = src[n:]
	}
	return nil
}

func unsnappyBlock(o *output, src []byte) error {
	n, err := s2.DecodedLen(src)
	if err != nil {
		return err
	}
	// No snappy element of 3 bytes gives more than 64: a longer claim is a lie,
	// and no memory is taken for it.
	if n > 24*len(src)+64 {
		return errSnappy
	}
	if err := o.grow(n); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	out, err := s2.Decode(o.b[len(o.b):len(o.b)+n], src)
	if err != nil {
		return err
	}
	o.b = o.b[:len(o.b)+len(out)]
	return nil
}

func snappy(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	dst = binary.BigEndian.AppendUint32(dst, 1)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlock)]
		src = src[len(block):]
		at := len(dst) + 4
		dst = grow(dst, 4+s2.MaxEncodedLen(len(block)))
		out := s2.EncodeSnappy(dst[at:cap(dst)], block)
		binary.BigEndian.PutUint32(dst[at-4:at], uint32(len(out)))
		dst = dst[:at+len(out)]
	}
	return dst
}

// grow returns b with room for n more bytes and with 4 bytes of it in use, for a
// length that is written later.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) < n {
		grown := make([]byte, len(b), max(2*cap(b), len(b)+n))
		copy(grown, b)
		b = grown
	}
	return b[:len(b)+4]
}
