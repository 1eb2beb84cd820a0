package wire

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// messageFor maps a fuzzer's numbers to a message: requests, responses, and then the records by their
// place in the list.
func messageFor(kind uint8, key int16) Message {
	switch kind {
	case 0:
		return NewRequest(key)
	case 1:
		return NewResponse(key)
	}
	if list := records(); int(key) >= 0 && int(key) < len(list) {
		return list[key]
	}
	return nil
}

// What decodes encodes to something that decodes to the same, and canonical bytes come back equal.
func FuzzMessages(f *testing.F) {
	n := 0
	golden(f, func(v vector) {
		if n++; v.shape == "extreme" && n%7 != 0 || len(v.bytes) > 4096 {
			return
		}
		switch v.what {
		case "request":
			f.Add(uint8(0), v.key, v.version, v.bytes)
		case "response":
			f.Add(uint8(1), v.key, v.version, v.bytes)
		case "record":
			for i, m := range records() {
				if reflect.TypeOf(m).Elem().Name() == v.name {
					f.Add(uint8(2), int16(i), v.version, v.bytes)
				}
			}
		}
	})
	f.Fuzz(func(t *testing.T, kind uint8, key, version int16, b []byte) {
		m := messageFor(kind, key)
		if m == nil {
			return
		}
		d := NewDecoder(b)
		if m.Decode(&d, version); d.Done() != nil {
			return
		}
		if got, limit := held(reflect.ValueOf(m).Elem()), budgetFactor*len(b)+budgetBase; got > limit {
			t.Fatalf("%T v%d: %d bytes of frame became %d bytes of memory", m, version, len(b), got)
		}
		once := m.Append(nil, version)
		again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message)
		d = NewDecoder(once)
		again.Decode(&d, version)
		if err := d.Done(); err != nil {
			// A field of the frame that held its default is not written again, and so the second
			// budget may be the smaller one.
			if strings.Contains(err.Error(), "of memory") && len(once) < len(b) {
				return
			}
			t.Fatalf("%T v%d: %x decodes, and its encoding %x does not: %v", m, version, b, once, err)
		}
		if twice := again.Append(nil, version); !bytes.Equal(once, twice) {
			t.Fatalf("%T v%d: %x encodes to %x and then to %x", m, version, b, once, twice)
		}
		if len(once) == len(b) && !bytes.Equal(once, b) && !loose(m, b, once) {
			t.Fatalf("%T v%d: %x came back as %x", m, version, b, once)
		}
	})
}

// held is the memory that decoding took for what v points to; strings and bytes alias the frame.
func held(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			n += held(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Interface() != any(&empty) {
			n = int(v.Type().Elem().Size()) + held(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			n = v.Cap() * int(v.Type().Elem().Size())
			for i := range v.Len() {
				n += held(v.Index(i))
			}
		}
	}
	return n
}

// loose reports whether two encodings of the same length may differ: booleans other than 0 and 1, and
// the byte before a nullable struct, where Kafka accepts every value of a sign; only single bytes do.
func loose(m Message, b, once []byte) bool {
	for i := range b {
		if b[i] != once[i] && once[i] != 1 && once[i] != 0xff && once[i] != 0 {
			return false
		}
	}
	return true
}

// The readers that walk in place see what the generated decoders see.
func FuzzReaders(f *testing.F) {
	golden(f, func(v vector) {
		if v.what == "request" && v.key <= 1 && len(v.bytes) < 4096 {
			f.Add(v.key == 1, v.version, v.bytes)
		}
	})
	f.Fuzz(func(t *testing.T, fetch bool, version int16, b []byte) {
		if fetch {
			sameWalk(t, 1, b, version)
		} else {
			sameWalk(t, 0, b, version)
		}
	})
}

// What our encoder writes, franz-go's decoder reads and its encoder writes again to the same bytes.
func FuzzAgainstKmsg(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		for _, api := range APIs() {
			for v := api.Min; v <= api.Max; v++ {
				r := rand.New(rand.NewPCG(seed, uint64(api.Key)<<8|uint64(v)))
				q := NewRequest(api.Key)
				random(reflect.ValueOf(q).Elem(), r)
				if k := kmsg.RequestForKey(api.Key); k != nil && v <= k.MaxVersion() {
					k.SetVersion(v)
					compareKmsg(t, api.Name+"Request", v, q, k.ReadFrom, k.AppendTo)
				}
				p := NewResponse(api.Key)
				random(reflect.ValueOf(p).Elem(), r)
				if k := kmsg.ResponseForKey(api.Key); k != nil && v <= k.MaxVersion() {
					k.SetVersion(v)
					compareKmsg(t, api.Name+"Response", v, p, k.ReadFrom, k.AppendTo)
				}
			}
		}
	})
}

func compareKmsg(t *testing.T, name string, v int16, m Message, read func([]byte) error, write func([]byte) []byte) {
	b := m.Append(nil, v)
	if err := read(b); err != nil {
		t.Errorf("%s v%d: kmsg cannot read %x: %v", name, v, b, err)
		return
	}
	if got := write(nil); !bytes.Equal(got, b) {
		t.Errorf("%s v%d: kmsg writes %x, and we %x", name, v, got, b)
	}
	again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(Message)
	d := NewDecoder(b)
	again.Decode(&d, v)
	if err := d.Done(); err != nil {
		t.Errorf("%s v%d: %v of our own %x", name, v, err, b)
	} else if got := again.Append(nil, v); !bytes.Equal(got, b) {
		t.Errorf("%s v%d: %x came back as %x", name, v, b, got)
	}
}

// random fills a struct with random values, nulls where they may be.
func random(v reflect.Value, r *rand.Rand) {
	for i := range v.NumField() {
		f := v.Field(i)
		if v.Type().Field(i).Name == "Tags" {
			continue
		}
		randomValue(f, r)
	}
}

func randomValue(f reflect.Value, r *rand.Rand) {
	switch f.Kind() {
	case reflect.Bool:
		f.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint16, reflect.Uint32:
		f.SetUint(uint64(r.Uint32N(math.MaxUint16)))
	case reflect.Float64:
		f.SetFloat(r.NormFloat64())
	case reflect.String:
		f.SetString(strings.Repeat("né", r.IntN(4)) + strings.Repeat("x", r.IntN(2)*r.IntN(200)))
	case reflect.Array:
		for i := range f.Len() {
			f.Index(i).SetUint(uint64(r.Uint32N(256)))
		}
	case reflect.Struct:
		f.Addr().Interface().(interface{ Default() }).Default()
		random(f, r)
	case reflect.Pointer:
		f.SetZero()
		if r.IntN(3) > 0 {
			f.Set(reflect.New(f.Type().Elem()))
			randomValue(f.Elem(), r)
		}
	case reflect.Slice:
		f.SetZero()
		if r.IntN(5) > 0 {
			n := r.IntN(4)
			f.Set(reflect.MakeSlice(f.Type(), n, n))
			for i := range n {
				randomValue(f.Index(i), r)
			}
		}
	}
}
