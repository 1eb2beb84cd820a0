package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/code"
)

// Set is the keys of all rooms together. It does not change once made, so anybody may read it at any time.
type Set struct {
	keys   map[id]*Key
	sorted map[Scope][]*Key
	// families are the broker keys that stand for one value in several units, highest rank first, by each member's name.
	families map[string][]string
}

type id struct {
	scope Scope
	name  string
}

// NewSet joins the keys of rooms. It fails when a name comes twice in a scope, when a key has no
// name, kind or documentation, when a default is not a value of its kind, or when a synonym is no broker key.
func NewSet(rooms ...[]Key) (*Set, error) {
	s := &Set{keys: map[id]*Key{}, sorted: map[Scope][]*Key{}, families: map[string][]string{}}
	for _, room := range rooms {
		for i := range room {
			k := room[i]
			at := id{k.Scope, k.Name}
			if s.keys[at] != nil {
				return nil, fmt.Errorf("config: %s key %s comes twice; one room alone may export it", k.Scope, k.Name)
			}
			if k.Name == "" || k.Doc == "" || k.Scope == 0 || k.Kind == 0 {
				return nil, fmt.Errorf("config: %s key %q lacks a name, kind, scope or documentation", k.Scope, k.Name)
			}
			if !k.Null {
				if v, err := k.Normalize(k.Default); err != nil || v != k.Default {
					return nil, fmt.Errorf("config: %s key %s: default %q is not a %s in its plain form", k.Scope, k.Name, k.Default, k.Kind)
				}
			}
			s.keys[at] = &k
			s.sorted[k.Scope] = append(s.sorted[k.Scope], &k)
		}
	}
	for _, keys := range s.sorted {
		slices.SortFunc(keys, func(a, b *Key) int { return cmp.Compare(a.Name, b.Name) })
		for _, k := range keys {
			for _, syn := range k.Synonyms {
				if s.keys[id{Broker, syn}] == nil {
					return nil, fmt.Errorf("config: %s key %s: synonym %s is no broker key", k.Scope, k.Name, syn)
				}
			}
		}
	}
	for _, k := range s.sorted[Broker] {
		if len(k.Synonyms) == 0 {
			continue
		}
		family := append([]string{k.Name}, slices.DeleteFunc(slices.Clone(k.Synonyms), func(n string) bool { return n == k.Name })...)
		for _, n := range family {
			if m := s.keys[id{Broker, n}]; n == k.Name || len(m.Synonyms) == 0 {
				s.families[n] = family
			}
		}
	}
	return s, nil
}

// Lookup returns the key of that name. The key must not be changed.
func (s *Set) Lookup(scope Scope, name string) (*Key, bool) {
	k := s.keys[id{scope, name}]
	return k, k != nil
}

// LookupListener is Lookup for a key of the broker that may be for one listener alone, listener.name.NAME.KEY, or
// for one SASL mechanism of it, listener.name.NAME.MECHANISM.KEY.
func (s *Set) LookupListener(name string) (*Key, bool) {
	rest, ok := strings.CutPrefix(name, "listener.name.")
	if !ok {
		return s.Lookup(Broker, name)
	}
	_, rest, _ = strings.Cut(rest, ".")
	if k, ok := s.Lookup(Broker, rest); ok {
		return k, true
	}
	_, rest, _ = strings.Cut(rest, ".")
	k, ok := s.Lookup(Broker, rest)
	return k, ok
}

// Keys returns the keys of scope, sorted by name. The slice must not be changed.
func (s *Set) Keys(scope Scope) []*Key { return s.sorted[scope] }

// Nearest returns the key of scope that name was probably meant to be, or "" when none is near.
func (s *Set) Nearest(scope Scope, name string) string {
	folded := strings.ToLower(strings.NewReplacer("_", ".", "-", ".", " ", "").Replace(name))
	best, at := "", max(2, len(folded)/4)+1
	for _, k := range s.sorted[scope] {
		if d := Distance(folded, k.Name, at); d < at {
			best, at = k.Name, d
		}
	}
	return best
}

// Validate says whether value may be set under name, with a *code.Detail of InvalidConfig that names
// key, value and what is allowed; for an unknown key, the nearest known one.
func (s *Set) Validate(scope Scope, name, value string) error {
	k, ok := s.Lookup(scope, name)
	if !ok {
		if near := s.Nearest(scope, name); near != "" {
			return code.Errorf(code.InvalidConfig, "Unknown %s config name: %s; did you mean %s?", scope, name, near)
		}
		return code.Errorf(code.InvalidConfig, "Unknown %s config name: %s", scope, name)
	}
	return k.Validate(value)
}

// family returns the broker keys that may set the broker key name, highest rank first.
func (s *Set) family(name string) []string {
	if f := s.families[name]; f != nil {
		return f
	}
	return []string{name}
}

// convert turns a value of the key from into the unit of the key to: hours and minutes into
// milliseconds. A negative time is without limit in every unit.
func convert(from, to, value string) string {
	if !strings.HasSuffix(to, ".ms") {
		return value
	}
	factor := int64(0)
	switch {
	case strings.HasSuffix(from, ".hours"):
		factor = 3_600_000
	case strings.HasSuffix(from, ".minutes"):
		factor = 60_000
	default:
		return value
	}
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
	if err != nil {
		return value
	}
	if n < 0 {
		return "-1"
	}
	return strconv.FormatInt(n*factor, 10)
}

// Distance is the number of letters to insert, remove, replace or swap with their neighbour to turn a into b,
// or limit when it is at least that.
func Distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return min(prev[len(b)], limit)
}
