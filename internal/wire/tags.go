package wire

import (
	"encoding/binary"
	"unsafe"
)

// Tag is one tagged field (KIP-482) that this schema does not know.
type Tag struct {
	ID   uint32
	Data []byte // aliases the frame after Decode
}

// Tags are the unknown tagged fields of one struct, with ascending ids. Their ids must differ from
// those of the known fields of the version that is encoded.
type Tags struct {
	Fields []Tag
}

func (t *Tags) len() int {
	if t == nil {
		return 0
	}
	return len(t.Fields)
}

// before appends the tags from the i-th on whose id is below id, and returns the index of the next.
func (t *Tags) before(b []byte, i int, id uint32) ([]byte, int) {
	if t == nil {
		return b, 0
	}
	for ; i < len(t.Fields) && t.Fields[i].ID < id; i++ {
		b = appendUvarint(b, t.Fields[i].ID)
		b = appendUvarint(b, uint32(len(t.Fields[i].Data)))
		b = append(b, t.Fields[i].Data...)
	}
	return b, i
}

// encode appends all tags with their count before them.
func (t *Tags) encode(b []byte) []byte {
	if t == nil {
		return append(b, 0)
	}
	b = appendUvarint(b, uint32(len(t.Fields)))
	return t.rest(b, 0)
}

// rest appends the tags from the i-th on.
func (t *Tags) rest(b []byte, i int) []byte {
	b, _ = t.before(b, i, 1<<32-1)
	return b
}

// tagCursor walks the tagged fields of one struct.
type tagCursor struct {
	left    uint32 // tags not yet begun
	id      uint32
	end     int // offset after the field
	started bool
}

// openTags reads the count of tagged fields.
func (d *Decoder) openTags(field uint16) tagCursor {
	d.field = field
	n := d.Uvarint()
	if left := len(d.b) - d.off; int(n) > left/2 {
		d.fail("its %d tagged fields need more than the %d bytes left", n, left)
		n = 0
	}
	return tagCursor{left: n}
}

// nextTag goes to the next tagged field; false at the end and after an error. The caller reads
// exactly the field.
func (d *Decoder) nextTag(t *tagCursor, field uint16) bool {
	d.field = field
	if d.err != nil {
		return false
	}
	if t.started && d.off != t.end {
		d.fail("tagged field %d does not end where its size says", t.id)
		return false
	}
	if t.left == 0 {
		return false
	}
	t.left--
	id, size := d.Uvarint(), int(d.Uvarint())
	switch {
	case d.err != nil:
		return false
	case t.started && id <= t.id:
		d.fail("tagged field %d comes after %d", id, t.id)
		return false
	case size > len(d.b)-d.off:
		d.fail("tagged field %d has %d bytes and %d are left", id, size, len(d.b)-d.off)
		return false
	}
	if d.tags += size; d.tags > MaxTagBytes {
		d.fail("the tagged fields take more than %d bytes", MaxTagBytes)
		return false
	}
	t.id, t.end, t.started = id, d.off+size, true
	return true
}

// keep reads an unknown tagged field and adds it to tags.
func (d *Decoder) keep(tags *Tags, t *tagCursor) *Tags {
	data := d.take(t.end - d.off)
	if tags == nil {
		if !d.spend(int(unsafe.Sizeof(Tags{}))) {
			return nil
		}
		tags = new(Tags)
	}
	if n := len(tags.Fields); n == cap(tags.Fields) {
		grown := max(2, 2*n)
		if !d.spend(grown * int(unsafe.Sizeof(Tag{}))) {
			return tags
		}
		tags.Fields = append(make([]Tag, 0, grown), tags.Fields...)
	}
	tags.Fields = append(tags.Fields, Tag{ID: t.id, Data: data})
	return tags
}

// unknownTags reads the tagged fields of a struct that has no known ones.
func (d *Decoder) unknownTags(field uint16) *Tags {
	if d.off < len(d.b) && d.b[d.off] == 0 {
		d.off++
		return nil
	}
	var tags *Tags
	for t := d.openTags(field); d.nextTag(&t, field); {
		tags = d.keep(tags, &t)
	}
	return tags
}

// beginTag appends a tag's id and returns where its contents begin.
func beginTag(b []byte, id uint32) ([]byte, int) {
	b = appendUvarint(b, id)
	return b, len(b)
}

// endTag puts the size of the contents from start on before them.
func endTag(b []byte, start int) []byte {
	var v [binary.MaxVarintLen32]byte
	size := len(b) - start
	n := binary.PutUvarint(v[:], uint64(size))
	b = append(b, v[:n]...)
	copy(b[start+n:], b[start:start+size])
	copy(b[start:], v[:n])
	return b
}

// someTagged is some for a tagged field. Kafka writes null there as one zero byte, like the null of
// every other type, and not as the -1 of an untagged struct.
func (d *Decoder) someTagged(t *tagCursor, mem uintptr, nullable bool) bool {
	if nullable && t.end-d.off == 1 {
		if c := d.Int8(); c > 0 {
			d.fail("%d is not the byte of a null struct", c)
		}
		return false
	}
	return d.some(mem, nullable)
}
