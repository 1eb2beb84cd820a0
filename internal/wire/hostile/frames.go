// Package hostile is test support: request frames as an attacker would send them, for the decoder's
// tests and for tests that attack a live server. Nothing of a broker imports it.
package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"

	"github.com/klamm/klamm/internal/wire"
)

// Frame is one attack.
type Frame struct {
	Name    string
	Key     int16
	Version int16
	Bytes   []byte // what goes to the socket: the size (which may lie), header and body
	Body    []byte // the part of Bytes after a good header; nil when size or header are the attack
	Cost    bool   // the frame may parse; only what it costs is hostile
}

// Frames returns every attack on every API: on its lowest and highest version, and on the first with
// tagged fields.
func Frames() []Frame {
	list := sizes()
	for _, api := range wire.APIs() {
		versions := []int16{api.Min}
		if api.FlexibleFrom > api.Min && api.FlexibleFrom < api.Max {
			versions = append(versions, api.FlexibleFrom)
		}
		if api.Max > api.Min {
			versions = append(versions, api.Max)
		}
		for _, v := range versions {
			b := builder{api: api, version: v, flex: v >= api.FlexibleFrom}
			b.headers()
			b.bodies()
			list = append(list, b.list...)
		}
	}
	return list
}

// sizes are frames whose size is the attack.
func sizes() []Frame {
	frame := func(name string, size uint32, rest ...byte) Frame {
		return Frame{Name: name, Bytes: append(binary.BigEndian.AppendUint32(nil, size), rest...)}
	}
	return []Frame{
		frame("size of 0", 0),
		frame("size below a header", 7, 0, 18, 0, 0, 0, 0, 0),
		frame("size negative", 0xffffffff, 0, 18, 0, 0),
		frame("size of the least int32", 1<<31, 0, 18, 0, 0),
		frame("size of 2 GiB", math.MaxInt32, 0, 18, 0, 0),
		frame("size of 1 GiB in a Produce", 1<<30, 0, 0, 0, 3),
		frame("size that is an HTTP request", 0x47455420, []byte("/ HTTP/1.1\r\n\r\n")...),
		frame("size that is a TLS hello", 0x16030102, 0, 1, 0, 1, 0xfc, 3, 3),
		frame("key unknown", 10, 0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
		frame("key negative", 10, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
		frame("version negative", 10, 0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff),
		frame("version far above", 11, 0, 3, 0x7f, 0xff, 0, 0, 0, 1, 0xff, 0xff, 0),
		frame("key of a retired API", 10, 0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
	}
}

// builder makes the attacks on one version of an API.
type builder struct {
	api     wire.API
	version int16
	flex    bool
	list    []Frame
}

// add appends an attack with the given header and body, and a true size.
func (b *builder) add(name string, header, body []byte, headerBad bool) {
	f := Frame{Name: fmt.Sprintf("%s v%d: %s", b.api.Name, b.version, name), Key: b.api.Key, Version: b.version}
	f.Bytes = binary.BigEndian.AppendUint32(nil, uint32(len(header)+len(body)))
	f.Bytes = append(append(f.Bytes, header...), body...)
	if !headerBad {
		f.Body = f.Bytes[4+len(header):]
	}
	b.list = append(b.list, f)
}

// start is a header up to the client id.
func (b *builder) start() []byte {
	h := binary.BigEndian.AppendUint16(nil, uint16(b.api.Key))
	h = binary.BigEndian.AppendUint16(h, uint16(b.version))
	return binary.BigEndian.AppendUint32(h, 1)
}

// header is a good header.
func (b *builder) header() []byte {
	h := append(b.start(), 0, 1, 'x')
	if b.flex {
		h = append(h, 0)
	}
	return h
}

func (b *builder) body(name string, body []byte) { b.add(name, b.header(), body, false) }

// headers are attacks on the header.
func (b *builder) headers() {
	if b.api.Key%8 != 0 && b.api.Key != 18 {
		return // the header is the same everywhere: a sample of APIs is enough
	}
	body := wire.NewRequest(b.api.Key).Append(nil, b.version)
	bad := func(name string, header ...byte) { b.add(name, append(b.start(), header...), body, true) }
	b.add("header cut", b.start(), nil, true)
	bad("client id longer than the frame", 0x7f, 0xff, 'x')
	bad("client id of length -2", 0xff, 0xfe)
	bad("client id not UTF-8", 0, 1, 0xff)
	if b.flex {
		bad("header with 2^28 tags", 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
		bad("header with a tag larger than the frame", 0xff, 0xff, 1, 5, 0xff, 0xff, 0x7f)
		bad("header with an overlong tag count", 0xff, 0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0)
	}
}

// bodies are attacks on the body.
func (b *builder) bodies() {
	plain := wire.NewRequest(b.api.Key)
	empty := plain.Append(nil, b.version)
	full := wire.NewRequest(b.api.Key)
	fill(reflect.ValueOf(full).Elem())
	good := full.Append(nil, b.version)

	for i := 0; i < len(good); i += 1 + len(good)/8 {
		b.body(fmt.Sprintf("cut to %d of %d bytes", i, len(good)), good[:i])
	}
	b.body("a byte after the last field", append(bytes.Clone(good), 0))
	b.body("1 KiB after the last field", append(bytes.Clone(good), make([]byte, 1<<10)...))
	if b.api.Key%8 == 0 {
		b.body("1 MiB after the last field", append(bytes.Clone(good), make([]byte, 1<<20)...))
	}
	if b.flex {
		b.tags(empty[:len(empty)-1])
	}
	b.lengths(full, good)
}

// tags are attacks on the tagged fields at the end of a body.
func (b *builder) tags(body []byte) {
	with := func(name string, tags ...byte) { b.body(name, append(bytes.Clone(body), tags...)) }
	with("2^32-1 tags", 0xff, 0xff, 0xff, 0xff, 0x0f)
	with("2^32-1 tags and some bytes", append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 32)...)...)
	with("a tag count that overflows", 0xff, 0xff, 0xff, 0xff, 0x1f)
	with("an overlong tag count", 0x80, 0x80, 0x80, 0x80, 0x80, 0x00)
	with("an endless tag count", bytes.Repeat([]byte{0x80}, 64)...)
	with("a tag twice", 2, 0x88, 0x27, 0, 0x88, 0x27, 0)
	with("tags that descend", 2, 0x89, 0x27, 0, 0x88, 0x27, 0)
	with("a tag larger than the frame", 1, 0x88, 0x27, 0xff, 0xff, 0xff, 0x7f)
	with("a tag without a size", 1, 0x88, 0x27)
	with("a tag id that overflows", 1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0)
	big := append([]byte{1, 0x88, 0x27}, binary.AppendUvarint(nil, 65537)...)
	with("a tag of more than 64 KiB", append(big, make([]byte, 65537)...)...)
	many := binary.AppendUvarint(nil, 12000)
	for id := range uint64(12000) {
		many = append(binary.AppendUvarint(many, 5000+id), 0)
	}
	if b.api.Key%8 == 0 || b.api.Key == 18 {
		b.body("12,000 empty tags", append(bytes.Clone(body), many...))
		b.list[len(b.list)-1].Cost = true
	}
}

// lengths are attacks on the length of every string, array and run of bytes of the body.
func (b *builder) lengths(m wire.Message, good []byte) {
	for _, p := range places(reflect.ValueOf(m).Elem(), "") {
		at, ok := b.locate(m, good, p)
		if !ok {
			continue
		}
		width := 4
		switch {
		case b.flex:
			width = 1
		case p.text:
			width = 2
		}
		before, after := good[:at-width+1], good[at+1:]
		length := func(what string, field ...byte) {
			b.body(p.path+": "+what, bytes.Join([][]byte{before, field, after}, nil))
		}
		var null []byte
		switch {
		case b.flex:
			null = []byte{0}
			length("a length of 2^32-2", 0xff, 0xff, 0xff, 0xff, 0x0f)
			length("a length that overflows", 0xff, 0xff, 0xff, 0xff, 0x7f)
			length("an overlong length", 0x80, 0x80, 0x80, 0x80, 0x80, 0x00)
			length("a length of 1,000,001", 0xc2, 0x84, 0x3d)
		case p.text:
			null = []byte{0xff, 0xff}
			length("a length of 32767", 0x7f, 0xff)
			length("a length of -2", 0xff, 0xfe)
			length("the least length", 0x80, 0x00)
		default:
			null = []byte{0xff, 0xff, 0xff, 0xff}
			length("a length of 2^31-1", 0x7f, 0xff, 0xff, 0xff)
			length("a length of -2", 0xff, 0xff, 0xff, 0xfe)
			length("the least length", 0x80, 0, 0, 0)
			length("a length of 1,000,001", 0x00, 0x0f, 0x42, 0x41)
		}
		if b.refusesNull(m, p) {
			length("null", null...)
		}
		if p.text {
			bad := bytes.Clone(good)
			bad[at+1] = 0xff
			b.body(p.path+": not UTF-8", bad)
		}
		if p.array {
			b.bomb(m, p)
		}
	}
}

// Elements are the elements of an array that costs: enough that a trusting decoder spends more than 64 KiB.
const Elements = 4096

// bomb is an array of elements that are as small in the frame as they can be: empty strings and arrays,
// which a decoder turns into whole structs. It may parse where structs are small.
func (b *builder) bomb(m wire.Message, p place) {
	old := reflect.ValueOf(p.value.Interface())
	defer p.value.Set(old)
	list := reflect.MakeSlice(p.value.Type(), Elements, Elements)
	for i := range Elements {
		if e, ok := list.Index(i).Addr().Interface().(interface{ Default() }); ok {
			e.Default()
		}
	}
	p.value.Set(list)
	b.body(fmt.Sprintf("%s: %d of the smallest elements", p.path, Elements), m.Append(nil, b.version))
	b.list[len(b.list)-1].Cost = true
}

// place is a value with a length in a message.
type place struct {
	path  string
	value reflect.Value // settable: a string, *string or slice
	text  bool
	array bool
}

func places(v reflect.Value, path string) (list []place) {
	for i := range v.NumField() {
		f, name := v.Field(i), path+v.Type().Field(i).Name
		switch {
		case name == path+"Tags":
		case f.Kind() == reflect.String || f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.String:
			list = append(list, place{path: name, value: f, text: true})
		case f.Kind() == reflect.Slice:
			array := f.Type().Elem().Kind() != reflect.Uint8
			list = append(list, place{path: name, value: f, array: array})
			if f.Type().Elem().Kind() == reflect.Struct {
				list = append(list, places(f.Index(0), name+".")...)
			}
		case f.Kind() == reflect.Struct:
			list = append(list, places(f, name+".")...)
		case f.Kind() == reflect.Pointer && !f.IsNil():
			list = append(list, places(f.Elem(), name+".")...)
		}
	}
	return list
}

// locate finds the last byte of the length of a place, by making the value one longer. It is not found
// where the version lacks the field, or keeps it in a tagged field, which has a size around it.
func (b *builder) locate(m wire.Message, good []byte, p place) (at int, ok bool) {
	old := reflect.ValueOf(p.value.Interface())
	defer p.value.Set(old)
	switch {
	case p.value.Kind() == reflect.String:
		p.value.SetString(p.value.String() + "s")
	case p.value.Kind() == reflect.Pointer:
		s := p.value.Elem().String() + "s"
		p.value.Set(reflect.ValueOf(&s))
	default:
		p.value.Set(reflect.Append(p.value, p.value.Index(0)))
	}
	longer := m.Append(nil, b.version)
	for at < len(good) && good[at] == longer[at] {
		at++
	}
	if at == len(good) || good[at]+1 != longer[at] {
		return 0, false
	}
	rest, more := good[at+1:], longer[at+1:]
	n := 0
	for n < len(rest) && rest[n] == more[n] {
		n++
	}
	return at, bytes.HasSuffix(more, rest[n:])
}

// refusesNull reports whether a place cannot be null in the version: then nil is written as empty.
func (b *builder) refusesNull(m wire.Message, p place) bool {
	if p.value.Kind() == reflect.String {
		return true
	}
	old := reflect.ValueOf(p.value.Interface())
	defer p.value.Set(old)
	p.value.SetZero()
	null := m.Append(nil, b.version)
	if p.value.Kind() == reflect.Pointer {
		var s string
		p.value.Set(reflect.ValueOf(&s))
	} else {
		p.value.Set(reflect.MakeSlice(p.value.Type(), 0, 0))
	}
	return bytes.Equal(null, m.Append(nil, b.version))
}

// fill gives every field of a struct a value that is not its default, so that nothing is left out of
// the encoding: one element in arrays, strings of one letter.
func fill(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if v.Type().Field(i).Name == "Tags" {
			continue
		}
		switch f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
			f.SetInt(1)
		case reflect.Uint16, reflect.Uint32:
			f.SetUint(1)
		case reflect.Float64:
			f.SetFloat(1)
		case reflect.String:
			f.SetString("s")
		case reflect.Array:
			f.Index(0).SetUint(1)
		case reflect.Struct:
			fill(f)
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
			if f.Elem().Kind() == reflect.String {
				f.Elem().SetString("s")
			} else {
				fill(f.Elem())
			}
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			switch e := f.Index(0); e.Kind() {
			case reflect.Struct:
				fill(e)
			case reflect.String:
				e.SetString("s")
			case reflect.Uint8:
				e.SetUint(1)
			case reflect.Array:
				e.Index(0).SetUint(1)
			default:
				e.SetInt(1)
			}
		}
	}
}
