package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// versions is an inclusive range; none when lo > hi.
type versions struct{ lo, hi int }

const forever = 32767

func (v versions) none() bool     { return v.lo > v.hi }
func (v versions) has(n int) bool { return v.lo <= n && n <= v.hi }
func (v versions) and(w versions) versions {
	return versions{max(v.lo, w.lo), min(v.hi, w.hi)}
}

// message is one request, response, header or record of the schema.
type message struct {
	kind      string // request, response, header, metadata, coordinator-key, coordinator-value, data
	name      string
	file      string // schema file it stands in, without .schema
	key       int    // -1 when it has none
	valid     versions
	flexible  versions
	unstable  int // version that is not advertised, or -1
	listeners []string
	root      *structure
	structs   []*structure // root first, then in the order met
	names     []string     // paths of fields, without the message's name
}

// structure is one Go struct.
type structure struct {
	name   string // Go name
	valid  versions
	fields []*field
	line   int  // line of its path in names
	tagged bool // used in a tagged field, so that its default must be told
}

// field is one field of a structure.
type field struct {
	name     string
	goName   string
	typ      string // of the element when array
	array    bool
	versions versions
	nullable versions
	tagged   versions
	tag      int
	def      string
	classic  bool // lengths are never varints
	inner    *structure
	line     int
	children []*field
}

// kinds are the kinds of message.
var kinds = []string{"request", "response", "header", "metadata", "coordinator-key", "coordinator-value", "data"}

// listeners are the Go names of the listeners that the schema knows.
var listeners = map[string]string{"broker": "ListenerBroker", "controller": "ListenerController"}

// parseSchema reads one schema file.
func parseSchema(file, text string) (list []*message, err error) {
	var m *message
	var stack []*[]*field // where fields of each depth go
	commons := map[*message]map[string]*structure{}
	for n, line := range strings.Split(text, "\n") {
		body := strings.TrimLeft(line, "\t")
		depth := len(line) - len(body)
		if body == "" || body[0] == '#' {
			continue
		}
		words := strings.Fields(body)
		switch {
		case depth == 0:
			if !slices.Contains(kinds, words[0]) || len(words) < 2 {
				return nil, fmt.Errorf("%s.schema:%d: %q is no message: known kinds are %s", file, n+1, body, strings.Join(kinds, ", "))
			}
			m = &message{kind: words[0], name: words[1], file: file, key: -1, unstable: -1}
			m.root = &structure{name: m.name}
			commons[m] = map[string]*structure{}
			for _, w := range words[2:] {
				k, v, _ := strings.Cut(w, "=")
				switch k {
				case "apikey":
					m.key, err = strconv.Atoi(v)
				case "versions":
					m.valid, err = parseVersions(v)
				case "flexible":
					m.flexible, err = parseVersions(v)
				case "unstable":
					m.unstable, err = strconv.Atoi(v)
				case "listeners":
					m.listeners = strings.Split(v, ",")
					for _, l := range m.listeners {
						if listeners[l] == "" {
							err = fmt.Errorf("unknown listener %s: give it a constant beside ListenerBroker", l)
						}
					}
				default:
					err = fmt.Errorf("unknown attribute %s", w)
				}
				if err != nil {
					return nil, fmt.Errorf("%s.schema:%d: %w", file, n+1, err)
				}
			}
			m.root.valid = m.valid
			stack = []*[]*field{&m.root.fields}
			list = append(list, m)
		case m == nil || depth > len(stack):
			return nil, fmt.Errorf("%s.schema:%d: a field without a parent", file, n+1)
		case words[0] == "struct":
			s := &structure{name: m.name + words[1]}
			if s.valid, err = parseVersions(words[2]); err != nil {
				return nil, fmt.Errorf("%s.schema:%d: %w", file, n+1, err)
			}
			s.valid = s.valid.and(m.valid)
			commons[m][words[1]] = s
			stack = []*[]*field{&m.root.fields, &s.fields}
		default:
			f, err := parseField(words)
			if err != nil {
				return nil, fmt.Errorf("%s.schema:%d: %w", file, n+1, err)
			}
			stack = stack[:depth]
			*stack[depth-1] = append(*stack[depth-1], f)
			stack = append(stack, &f.children)
		}
	}
	for _, m := range list {
		if err := m.resolve(commons[m]); err != nil {
			return nil, fmt.Errorf("%s.schema: %s: %w", file, m.name, err)
		}
	}
	return list, nil
}

func parseField(words []string) (*field, error) {
	if len(words) < 3 {
		return nil, fmt.Errorf("a field needs name, type and versions")
	}
	f := &field{name: words[0], goName: words[0], nullable: versions{0, -1}, tagged: versions{0, -1}}
	f.typ, f.array = strings.CutPrefix(words[1], "[]")
	var err error
	if f.versions, err = parseVersions(words[2]); err != nil {
		return nil, err
	}
	for _, w := range words[3:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "null":
			f.nullable, err = parseVersions(v)
		case "tag":
			tag, in, _ := strings.Cut(v, ":")
			if f.tag, err = strconv.Atoi(tag); err == nil {
				f.tagged, err = parseVersions(in)
			}
		case "default":
			f.def = v
		case "flexible":
			f.classic = v == "none"
		case "ignorable", "key", "entity":
		default:
			err = fmt.Errorf("unknown attribute %s", w)
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

// taken are the names of methods that a field of a message must not have.
var taken = map[string]bool{"Key": true, "Versions": true, "Default": true, "Decode": true, "Append": true, "Tags": true}

// resolve makes the structures of the message out of its tree of fields.
func (m *message) resolve(commons map[string]*structure) error {
	m.structs = []*structure{m.root}
	seen := map[*structure]bool{}
	var walk func(s *structure, path string) error
	walk = func(s *structure, path string) error {
		kept := s.fields[:0]
		for _, f := range s.fields {
			if f.versions = f.versions.and(s.valid); f.versions.none() {
				continue
			}
			kept = append(kept, f)
			if taken[f.goName] {
				f.goName += "Field"
			}
			m.names = append(m.names, path+f.name)
			f.line = len(m.names)
			f.tagged = f.tagged.and(f.versions)
			f.nullable = f.nullable.and(f.versions)
			if !f.tagged.none() && f.tagged != f.versions {
				return fmt.Errorf("field %s is tagged in some versions only", f.name)
			}
			if primitives[f.typ] != "" {
				continue
			}
			if c := commons[f.typ]; c != nil {
				f.inner = c
			} else if len(f.children) > 0 {
				f.inner = &structure{name: m.name + f.typ, valid: f.versions, fields: f.children}
			} else {
				return fmt.Errorf("field %s has unknown type %s", f.name, f.typ)
			}
			if !f.tagged.none() && !f.array {
				f.inner.mark()
			}
			if seen[f.inner] {
				continue
			}
			seen[f.inner] = true
			f.inner.line = f.line
			m.structs = append(m.structs, f.inner)
			if err := walk(f.inner, path+f.name+"."); err != nil {
				return err
			}
		}
		s.fields = kept
		return nil
	}
	return walk(m.root, "")
}

// mark notes that s and the structures in it are compared with their defaults.
func (s *structure) mark() { s.tagged = true }

func parseVersions(s string) (versions, error) {
	if s == "none" {
		return versions{0, -1}, nil
	}
	if from, ok := strings.CutSuffix(s, "+"); ok {
		lo, err := strconv.Atoi(from)
		return versions{lo, forever}, err
	}
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		to = from
	}
	lo, err := strconv.Atoi(from)
	if err != nil {
		return versions{}, err
	}
	hi, err := strconv.Atoi(to)
	return versions{lo, hi}, err
}

// minimum returns the fewest bytes that s takes on the wire in version v.
func (m *message) minimum(s *structure, v int) int {
	n := 0
	if m.flexible.has(v) {
		n = 1
	}
	for _, f := range s.fields {
		if f.versions.has(v) && !f.tagged.has(v) {
			n += m.minimumOf(f, v)
		}
	}
	return n
}

func (m *message) minimumOf(f *field, v int) int {
	flex := m.flexible.has(v) && !f.classic
	switch {
	case f.array || f.typ == "bytes" || f.typ == "records":
		if flex {
			return 1
		}
		return 4
	case f.typ == "string":
		if flex {
			return 1
		}
		return 2
	case f.inner != nil:
		if !f.nullable.none() {
			return 1
		}
		return m.minimum(f.inner, v)
	}
	return sizes[f.typ]
}

// primitives are the Go types of the schema's.
var primitives = map[string]string{
	"bool": "bool", "int8": "int8", "int16": "int16", "uint16": "uint16", "int32": "int32", "uint32": "uint32",
	"int64": "int64", "float64": "float64", "uuid": "UUID", "string": "string", "bytes": "[]byte", "records": "[]byte",
}

// sizes are the wire sizes of the types that have only one.
var sizes = map[string]int{"bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "float64": 8, "uuid": 16}
