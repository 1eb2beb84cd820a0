package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// layout is a template of -o: what Go's templates have that data needs. text/template itself calls methods by
// name, for which the linker would have to keep every method of every type, an eighth of the binary.
//
//	{{.name}}  {{.a.b}}  {{.}}               a field, of a field, of the item itself
//	{{json .a}}                              it as JSON
//	{{range .list}}...{{else}}...{{end}}     each of a list, which is . inside
//	{{if .a}}...{{else}}...{{end}}           unless it is null, false, 0, "" or empty
type layout struct{ parts []part }

// part is a text, a value, or a block.
type part struct {
	text  string
	kind  string // "", value, json, range or if
	path  []string
	then  []part
	other []part
}

// parseTemplate reads a layout. The error says what cannot be understood.
func parseTemplate(s string) (*layout, error) {
	p := parser{rest: strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(s)}
	parts, end, err := p.parts(0)
	if err == nil && end != "" {
		err = fmt.Errorf("{{%s}} ends what was not begun", end)
	}
	if err != nil {
		return nil, err
	}
	return &layout{parts}, nil
}

// parser is what is left of a layout.
type parser struct{ rest string }

// maxDepth bounds blocks in blocks.
const maxDepth = 32

// parts reads until {{end}} or {{else}}, which it returns, or the end.
func (p *parser) parts(depth int) (parts []part, end string, err error) {
	if depth > maxDepth {
		return nil, "", errors.New("too many blocks in blocks")
	}
	for p.rest != "" {
		text, rest, open := strings.Cut(p.rest, "{{")
		if text != "" {
			parts = append(parts, part{text: text})
		}
		if p.rest = ""; !open {
			break
		}
		action, rest, closed := strings.Cut(rest, "}}")
		if !closed {
			return nil, "", errors.New("{{ without }}")
		}
		p.rest = rest
		words := strings.Fields(action)
		switch {
		case len(words) == 1 && (words[0] == "end" || words[0] == "else"):
			return parts, words[0], nil
		case len(words) == 1:
			path, err := parsePath(words[0])
			if err != nil {
				return nil, "", err
			}
			parts = append(parts, part{kind: "value", path: path})
		case len(words) == 2 && (words[0] == "json" || words[0] == "range" || words[0] == "if"):
			b := part{kind: words[0]}
			if b.path, err = parsePath(words[1]); err != nil {
				return nil, "", err
			}
			if b.kind != "json" {
				if err = p.block(&b, depth); err != nil {
					return nil, "", err
				}
			}
			parts = append(parts, b)
		default:
			return nil, "", fmt.Errorf("{{%s}} is none of {{.name}}, {{json .name}}, {{range .name}}, {{if .name}}, {{else}} and {{end}}", action)
		}
	}
	return parts, "", nil
}

// block reads what stands between {{range}} or {{if}} and its {{end}}.
func (p *parser) block(b *part, depth int) (err error) {
	var end string
	if b.then, end, err = p.parts(depth + 1); err == nil && end == "else" {
		b.other, end, err = p.parts(depth + 1)
	}
	if err == nil && end != "end" {
		err = fmt.Errorf("{{%s}} without {{end}}", b.kind)
	}
	return err
}

// parsePath reads .a.b; the item itself is one dot.
func parsePath(s string) ([]string, error) {
	if s == "." {
		return nil, nil
	}
	names, ok := strings.CutPrefix(s, ".")
	path := strings.Split(names, ".")
	for _, n := range path {
		if n == "" || !ok {
			return nil, fmt.Errorf("%s is not the name of a field: write {{.name}}", s)
		}
	}
	return path, nil
}

// append adds what the layout makes of v, which is what JSON was decoded to.
func (l *layout) append(b []byte, v any) ([]byte, error) { return appendParts(b, l.parts, v) }

func appendParts(b []byte, parts []part, v any) ([]byte, error) {
	for _, p := range parts {
		if p.kind == "" {
			b = append(b, p.text...)
			continue
		}
		x, err := lookup(v, p.path)
		if err != nil {
			return nil, err
		}
		switch p.kind {
		case "value":
			b = appendValue(b, x)
		case "json":
			j, err := json.Marshal(x)
			if err != nil {
				return nil, err
			}
			b = append(b, j...)
		case "if":
			if truthy(x) {
				b, err = appendParts(b, p.then, v)
			} else {
				b, err = appendParts(b, p.other, v)
			}
		case "range":
			list, ok := x.([]any)
			if !ok && x != nil {
				return nil, fmt.Errorf(".%s is no list", strings.Join(p.path, "."))
			}
			if len(list) == 0 {
				b, err = appendParts(b, p.other, v)
			}
			for _, it := range list {
				if b, err = appendParts(b, p.then, it); err != nil {
					break
				}
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// lookup follows a path through objects.
func lookup(v any, path []string) (any, error) {
	for i, name := range path {
		o, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("there is no .%s: .%s is no object", strings.Join(path, "."), strings.Join(path[:i], "."))
		}
		if v, ok = o[name]; !ok {
			known := make([]string, 0, len(o))
			for k := range o {
				known = append(known, k)
			}
			sort.Strings(known)
			return nil, fmt.Errorf("there is no .%s; there are %s", strings.Join(path[:i+1], "."), strings.Join(known, ", "))
		}
	}
	return v, nil
}

// appendValue writes texts and numbers as they are, nothing for null, and the rest as JSON.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return b
	case string:
		return append(b, v...)
	case json.Number:
		return append(b, v...)
	case bool:
		return fmt.Append(b, v)
	}
	j, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("app: decoded JSON is no JSON: %v", err))
	}
	return append(b, j...)
}

// truthy says that a value is something.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}
