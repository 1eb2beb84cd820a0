package node

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxPropertiesBytes bounds a properties file; Kafka's own with every key is a tenth of it.
const maxPropertiesBytes = 1 << 20

// property is one entry of a properties file.
type property struct {
	key, value string
	line       int // where it begins, from 1 on
}

// Property is one entry of a properties file.
type Property struct {
	Key, Value string
	// Line and Last are the entry's first and last line, from 1 on.
	Line, Last int
}

// Properties reads a file of Java's properties format. The error names file and line.
func Properties(file string, data []byte) ([]Property, error) {
	props, err := parseProperties(file, data)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)), "\n")
	all := make([]Property, len(props))
	for i, p := range props {
		last := p.line
		for last < len(lines) && continues(strings.TrimLeft(lines[last-1], " \t\f")) {
			last++
		}
		all[i] = Property{p.key, p.value, p.line, last}
	}
	return all, nil
}

// parseProperties reads Java's properties format as java.util.Properties does: comments by # and !,
// keys ended by =, : or a blank, backslashes that escape and that continue lines. Bytes that are not
// UTF-8 are read as Latin-1. The error names file and line.
func parseProperties(file string, data []byte) ([]property, error) {
	if len(data) > maxPropertiesBytes {
		return nil, fmt.Errorf("%s: %d bytes are too many for a properties file (at most %d); is it the right file?", file, len(data), maxPropertiesBytes)
	}
	text := strings.TrimPrefix(string(data), "\ufeff")
	if !utf8.ValidString(text) {
		runes := make([]rune, len(text))
		for i := range len(text) {
			runes[i] = rune(text[i])
		}
		text = string(runes)
	}
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n")
	var props []property
	for i := 0; i < len(lines); i++ {
		at := i + 1
		logical := strings.TrimLeft(lines[i], " \t\f")
		if logical == "" || logical[0] == '#' || logical[0] == '!' {
			continue
		}
		for continues(logical) {
			logical = logical[:len(logical)-1]
			if i+1 == len(lines) {
				break
			}
			i++
			logical += strings.TrimLeft(lines[i], " \t\f")
		}
		rawKey, rawValue := splitProperty(logical)
		key, err := unescape(rawKey)
		if err == nil {
			var value string
			if value, err = unescape(rawValue); err == nil {
				props = append(props, property{key, value, at})
				continue
			}
		}
		return nil, fmt.Errorf("%s:%d: %w", file, at, err)
	}
	return props, nil
}

// continues says that a line ends in an odd number of backslashes.
func continues(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// splitProperty cuts a logical line at its first separator that is not escaped.
func splitProperty(line string) (key, value string) {
	end := len(line)
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		if strings.IndexByte("=: \t\f", line[i]) >= 0 {
			end = i
			break
		}
	}
	key, rest := line[:end], strings.TrimLeft(line[end:], " \t\f")
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = strings.TrimLeft(rest[1:], " \t\f")
	}
	return key, rest
}

// unescape replaces backslash escapes.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			break
		}
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			r, ok := hex4(s[i+1:])
			if !ok {
				return "", fmt.Errorf(`\u needs four hexadecimal digits behind it; write \\u for a backslash and a u`)
			}
			b.WriteRune(r)
			i += 4
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// hex4 reads four hexadecimal digits.
func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for i := range 4 {
		d := strings.IndexByte("0123456789abcdef", s[i]|0x20)
		if d < 0 || (s[i] < 'A' && d > 9) {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}
