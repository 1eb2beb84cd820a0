package wire

import "encoding/binary"

// Header is a request's header, read in place.
type Header struct {
	Key, Version  int16
	CorrelationID int32
	ClientID      string // aliases the frame; "" when null
	ClientIDNull  bool
}

// headerNames are the paths that a DecodeError of ReadHeader names.
const headerNames = "RequestHeader\nRequestApiKey\nRequestApiVersion\nCorrelationId\nClientId"

// ReadHeader reads the header of a request frame (the size before it not included) and returns it with
// the body that follows. It allocates nothing unless it fails. Unknown tagged fields of the header are
// checked and passed over.
//
// On an error h holds what could be read up to there. An API that is not known has its header read
// without tagged fields, as nothing says whether it has them.
func ReadHeader(b []byte) (h Header, body []byte, err error) {
	d := NewDecoder(b)
	d.names = headerNames
	d.field = 1
	h.Key = d.Int16()
	d.field = 2
	h.Version = d.Int16()
	d.field = 3
	h.CorrelationID = d.Int32()
	version := RequestHeaderVersion(h.Key, h.Version)
	if version >= 1 {
		d.field = 4
		var ok bool
		h.ClientID, ok = d.str(false, true)
		h.ClientIDNull = !ok
	}
	if version >= 2 {
		d.skipTagsOf(0)
	}
	if d.err != nil {
		return h, nil, d.err
	}
	return h, d.Rest(), nil
}

// skipTagsOf passes over the tagged fields of the struct at a line of names, with the checks that
// reading them would make.
func (d *Decoder) skipTagsOf(field uint16) {
	for t := d.openTags(field); d.nextTag(&t, field); {
		d.off = t.end
	}
}

// AppendResponseHeader appends the header of a response to a request of the given key and version.
func AppendResponseHeader(b []byte, key, version int16, correlationID int32) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(correlationID))
	if ResponseHeaderVersion(key, version) >= 1 {
		b = append(b, 0)
	}
	return b
}
