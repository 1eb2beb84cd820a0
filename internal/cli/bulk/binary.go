package bulk

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The binary form of an export; docs/format/export.md describes it.
const (
	magic   = "KLAMMEX\x01" // the last byte is the version
	maxName = 249           // of a topic
	// blockHeader is length, CRC, kind, codec and the length when unpacked.
	blockHeader = 4 + 4 + 1 + 1 + 4
	// maxBlock bounds a block, packed or not. A block of records is closed from blockBytes on, so that only one
	// record of this size makes so large a block.
	maxBlock   = 1 << 30
	blockBytes = 1 << 20
	// openBytes bounds the records of all partitions that wait for their blocks to be full.
	openBytes = 64 << 20
)

// The kinds of blocks.
const (
	kindTopic   = 1 // of which topic the export is: the first block
	kindRecords = 2 // records of one partition
	kindEnd     = 3 // the export is whole up to here
)

// The codecs of blocks.
const (
	codecNone = 0
	codecZstd = 1
)

// source is of what an export is.
type source struct {
	topic      string
	id         [16]byte // zero when the cluster has none
	partitions int32
}

// errTorn says that a file ends within a block.
var errTorn = errors.New("the file ends within a block")

// binaryWriter writes the binary form. It is for one goroutine.
type binaryWriter struct {
	w    io.Writer
	pack *zstd.Encoder
	open map[int32]*openBlock
	// waiting is the bytes of all open blocks.
	waiting int
	out     []byte
}

// openBlock is records of a partition that are not written yet.
type openBlock struct {
	first  int64 // offset and timestamp of the first record, which the block begins with
	count  int
	offset int64 // of the last record
	time   int64
	b      []byte
}

// newBinaryWriter begins an export; with more, one that has its beginning already goes on.
func newBinaryWriter(w io.Writer, of source, more bool) (*binaryWriter, error) {
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	bw := &binaryWriter{w: w, pack: pack, open: map[int32]*openBlock{}}
	if more {
		return bw, nil
	}
	if _, err := io.WriteString(w, magic); err != nil {
		return nil, err
	}
	b := binary.AppendUvarint(nil, uint64(len(of.topic)))
	b = append(b, of.topic...)
	b = append(b, of.id[:]...)
	b = binary.AppendUvarint(b, uint64(of.partitions))
	return bw, bw.block(kindTopic, b)
}

// record adds a record.
func (w *binaryWriter) record(r *kgo.Record) error {
	o := w.open[r.Partition]
	if o == nil {
		o = &openBlock{}
		w.open[r.Partition] = o
	}
	before := len(o.b)
	ms := r.Timestamp.UnixMilli()
	if o.count == 0 {
		o.first, o.offset, o.time = r.Offset, r.Offset, 0
	}
	o.b = binary.AppendUvarint(o.b, uint64(r.Offset-o.offset))
	o.b = binary.AppendVarint(o.b, ms-o.time)
	o.b = appendBytes(o.b, r.Key)
	o.b = appendBytes(o.b, r.Value)
	o.b = binary.AppendUvarint(o.b, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		o.b = appendBytes(o.b, []byte(h.Key))
		o.b = appendBytes(o.b, h.Value)
	}
	o.count, o.offset, o.time = o.count+1, r.Offset, ms
	w.waiting += len(o.b) - before
	if len(o.b) >= blockBytes {
		return w.closeBlock(r.Partition, o)
	}
	if w.waiting >= openBytes {
		return w.flush()
	}
	return nil
}

// appendBytes writes bytes with their length plus one, and 0 for null.
func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendUvarint(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(v))+1)
	return append(b, v...)
}

// closeBlock writes the records of a partition that wait.
func (w *binaryWriter) closeBlock(partition int32, o *openBlock) error {
	if o.count == 0 {
		return nil
	}
	b := binary.AppendUvarint(make([]byte, 0, len(o.b)+20), uint64(partition))
	b = binary.AppendUvarint(b, uint64(o.first))
	b = binary.AppendUvarint(b, uint64(o.count))
	b = append(b, o.b...)
	w.waiting -= len(o.b)
	o.count, o.b = 0, o.b[:0]
	return w.block(kindRecords, b)
}

// flush writes all that waits.
func (w *binaryWriter) flush() error {
	for p, o := range w.open {
		if err := w.closeBlock(p, o); err != nil {
			return err
		}
	}
	return nil
}

// end writes all that waits, and that the export is whole.
func (w *binaryWriter) end() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.block(kindEnd, nil)
}

// block writes one block.
func (w *binaryWriter) block(kind byte, b []byte) error {
	if len(b) > maxBlock {
		return fmt.Errorf("a record of %d bytes is larger than this form can hold (%d MiB)", len(b), maxBlock>>20)
	}
	out := append(w.out[:0], make([]byte, blockHeader)...)
	out[8], out[9] = kind, codecZstd
	out = w.pack.EncodeAll(b, out)
	if len(out)-blockHeader >= len(b) {
		out[9] = codecNone
		out = append(out[:blockHeader], b...)
	}
	binary.BigEndian.PutUint32(out, uint32(len(out)-blockHeader))
	binary.BigEndian.PutUint32(out[10:], uint32(len(b)))
	binary.BigEndian.PutUint32(out[4:], crc32.Checksum(out[8:], crc32.MakeTable(crc32.Castagnoli)))
	w.out = out
	_, err := w.w.Write(out)
	return err
}

// binaryReader reads the binary form.
type binaryReader struct {
	r      *bufio.Reader
	unpack *zstd.Decoder
	of     source
	// whole is how many bytes were read up to the end of the last whole block.
	whole int64
	// ended says that the block that was read last says that the export is whole.
	ended bool
	buf   bytes.Buffer
	plain []byte
}

// newBinaryReader reads the beginning of an export.
func newBinaryReader(r *bufio.Reader) (*binaryReader, error) {
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		return nil, err
	}
	br := &binaryReader{r: r, unpack: unpack}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, errTorn
	}
	switch {
	case string(head[:7]) != magic[:7]:
		return nil, errors.New("it is not an export in the binary form")
	case head[7] != magic[7]:
		return nil, fmt.Errorf("it is an export of version %d, and this klamm reads version %d", head[7], magic[7])
	}
	br.whole = int64(len(magic))
	kind, b, err := br.block()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errTorn
		}
		return nil, err
	}
	if kind != kindTopic {
		return nil, errors.New("its first block does not name the topic")
	}
	d := fields{b: b}
	br.of.topic = string(d.take(d.uvarint(maxName)))
	copy(br.of.id[:], d.take(16))
	br.of.partitions = int32(d.uvarint(math.MaxInt32))
	return br, d.done()
}

// block reads the next block, and io.EOF where the file ends with a block. What is returned is valid until the
// next call.
func (r *binaryReader) block() (kind byte, b []byte, err error) {
	var head [blockHeader]byte
	switch n, err := io.ReadFull(r.r, head[:]); {
	case n == 0 && errors.Is(err, io.EOF):
		return 0, nil, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return 0, nil, errTorn
	case err != nil:
		return 0, nil, err
	}
	size, plain := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[10:])
	if size > maxBlock || plain > maxBlock {
		return 0, nil, fmt.Errorf("the block at byte %d has %d bytes, more than there can be: the file is damaged", r.whole, max(size, plain))
	}
	// Bytes are made room for as they come, as a damaged length may promise a lot.
	r.buf.Reset()
	switch n, err := io.CopyN(&r.buf, r.r, int64(size)); {
	case errors.Is(err, io.EOF) && n < int64(size):
		return 0, nil, errTorn
	case err != nil:
		return 0, nil, err
	}
	b = r.buf.Bytes()
	table := crc32.MakeTable(crc32.Castagnoli)
	if crc32.Update(crc32.Checksum(head[8:], table), table, b) != binary.BigEndian.Uint32(head[4:]) {
		return 0, nil, fmt.Errorf("the block at byte %d does not have its checksum: the file is damaged", r.whole)
	}
	switch head[9] {
	case codecNone:
	case codecZstd:
		var h zstd.Header
		if h.Decode(b) != nil || !h.HasFCS || h.FrameContentSize != uint64(plain) {
			return 0, nil, fmt.Errorf("the block at byte %d does not unpack to the %d bytes that it promises: the file is damaged", r.whole, plain)
		}
		r.plain, err = r.unpack.DecodeAll(b, r.plain[:0])
		if err != nil {
			return 0, nil, fmt.Errorf("the block at byte %d: %w", r.whole, err)
		}
		b = r.plain
	default:
		return 0, nil, fmt.Errorf("the block at byte %d is packed in a way (%d) that this klamm does not know", r.whole, head[9])
	}
	if len(b) != int(plain) {
		return 0, nil, fmt.Errorf("the block at byte %d unpacks to %d bytes and not to %d: the file is damaged", r.whole, len(b), plain)
	}
	r.whole += blockHeader + int64(size)
	return head[8], b, nil
}

// records reads the next block of records and hands each over, with bytes of its own. It returns io.EOF when the
// file ends; ended tells then whether it ends as a whole export does.
func (r *binaryReader) records(each func(*kgo.Record) error) error {
	for {
		kind, b, err := r.block()
		if err != nil {
			return err
		}
		switch kind {
		case kindEnd:
			r.ended = true
			continue
		case kindRecords:
			r.ended = false
			if err := r.split(bytes.Clone(b), each); err != nil {
				return fmt.Errorf("the block before byte %d: %w", r.whole, err)
			}
			return nil
		case kindTopic:
			return fmt.Errorf("the block before byte %d names the topic again: two exports in one file", r.whole)
		default:
			return fmt.Errorf("the block before byte %d is of a kind (%d) that this klamm does not know", r.whole, kind)
		}
	}
}

// split hands the records of a block over.
func (r *binaryReader) split(b []byte, each func(*kgo.Record) error) error {
	d := fields{b: b}
	partition := int32(d.uvarint(math.MaxInt32))
	offset := int64(d.uvarint(math.MaxInt64))
	count := d.uvarint(uint64(len(b)))
	ms := int64(0)
	for range count {
		// The first offset stands before the records, and its distance to itself is none.
		offset += int64(d.uvarint(math.MaxInt64))
		ms += d.varint()
		if offset < 0 {
			d.fail("an offset is too large")
		}
		rec := &kgo.Record{Topic: r.of.topic, Partition: partition, Offset: offset, Timestamp: time.UnixMilli(ms), Key: d.bytes(), Value: d.bytes()}
		for range d.uvarint(uint64(len(b))) {
			h := kgo.RecordHeader{Key: string(d.bytes()), Value: d.bytes()}
			if d.err != nil {
				break
			}
			rec.Headers = append(rec.Headers, h)
		}
		if d.err != nil {
			return d.err
		}
		if err := each(rec); err != nil {
			return err
		}
	}
	return d.done()
}

// fields reads a block's fields one after another. After an error all are empty.
type fields struct {
	b   []byte
	err error
}

// fail notes the first error.
func (d *fields) fail(text string) {
	if d.err == nil {
		d.err = errors.New(text)
	}
	d.b = nil
}

// uvarint reads a number up to a bound.
func (d *fields) uvarint(bound uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > bound {
		d.fail("a number is cut off or out of its range")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// varint reads a number with its sign.
func (d *fields) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("a number is cut off")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// take reads n bytes.
func (d *fields) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail("bytes are cut off")
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// bytes reads bytes with their length, or null.
func (d *fields) bytes() []byte {
	n := d.uvarint(maxBlock)
	if n == 0 {
		return nil
	}
	return d.take(n - 1)
}

// done is the error, or that something is left over.
func (d *fields) done() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("something stands behind the last field")
	}
	return d.err
}

// atEnd says that nothing stands behind what was read last.
func (r *binaryReader) atEnd() bool {
	_, err := r.r.Peek(1)
	return errors.Is(err, io.EOF)
}
