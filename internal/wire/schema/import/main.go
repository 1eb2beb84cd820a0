// Command import reads the message definitions inside Apache Kafka's jars and writes them down as
// this repository's own schema: facts only (names, types, versions, nullability, defaults, tags,
// entity types), one line a field. See the README one directory up for the format and for how to get
// the jars.
//
//	go run ./internal/wire/schema/import -out internal/wire/schema JAR...
//
// Jars of several releases may be given. The newest release decides; of the older ones come the
// versions that the newest no longer has.
package main

import (
	"archive/zip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	out := flag.String("out", "internal/wire/schema", "directory that the schema files are written to")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "import:", err)
		os.Exit(1)
	}
}

// kind is a schema file, and what a message must be to stand in it.
type kind struct {
	file  string
	about string
	holds func(m *message) bool
}

var kinds = []kind{
	{"requests", "requests and responses", func(m *message) bool { return m.Type == "request" || m.Type == "response" }},
	{"headers", "headers of requests and responses", func(m *message) bool { return m.Type == "header" }},
	{"metadata", "records of __cluster_metadata", func(m *message) bool { return m.Type == "metadata" && m.jar == "kafka-metadata" }},
	{"group", "records of __consumer_offsets", func(m *message) bool { return m.jar == "kafka-group-coordinator" }},
	{"transaction", "records of __transaction_state", func(m *message) bool { return m.jar == "kafka-transaction-coordinator" }},
	{"share", "records of __share_group_state", func(m *message) bool { return m.jar == "kafka-share-coordinator" }},
	{"remote", "records of __remote_log_metadata", func(m *message) bool { return m.Type == "metadata" && m.jar == "kafka-storage" }},
	{"data", "control records, consumer protocol and small files", func(m *message) bool { return m.Type == "data" }},
}

// skipKeys are APIs that only ZooKeeper clusters spoke: LeaderAndIsr, StopReplica, UpdateMetadata,
// ControlledShutdown.
var skipKeys = []int{4, 5, 6, 7}

// skipOld are records of 3.9's early-access share groups, which no later release reads.
var skipOld = []string{"ShareGroupPartitionMetadataKey", "ShareGroupPartitionMetadataValue"}

func run(out string, jars []string) error {
	if len(jars) == 0 {
		return fmt.Errorf("no jar named: give kafka-clients-4.4.0.jar and its companions (schema/README.md lists them)")
	}
	releases := map[string]map[string]*message{}
	for _, jar := range jars {
		if err := readJar(jar, releases); err != nil {
			return fmt.Errorf("%s: %w", jar, err)
		}
	}
	names := slices.SortedFunc(maps.Keys(releases), func(a, b string) int { return compareRelease(b, a) })
	merged := releases[names[0]]
	for _, older := range names[1:] {
		for name, o := range releases[older] {
			n, ok := merged[name]
			if now := renamed(merged, o); !ok && now != nil {
				n, ok = now, true
			}
			switch {
			case !ok && slices.Contains(skipOld, name):
			case !ok:
				merged[name] = o
			case n.Type == o.Type:
				if err := n.mergeOlder(o); err != nil {
					return fmt.Errorf("%s of %s: %w", name, older, err)
				}
			}
		}
	}
	slices.SortFunc(names, compareRelease)
	for _, m := range merged {
		if !m.empty() && !slices.ContainsFunc(kinds, func(k kind) bool { return k.holds(m) }) {
			return fmt.Errorf("%s of %s: messages of type %q have no file: add one to kinds", m.Name, m.jar, m.Type)
		}
	}
	for _, k := range kinds {
		var list []*message
		for _, m := range merged {
			if k.holds(m) && !m.empty() {
				list = append(list, m)
			}
		}
		slices.SortFunc(list, func(a, b *message) int {
			if a.ApiKey != b.ApiKey {
				return a.ApiKey - b.ApiKey
			}
			return strings.Compare(a.Name, b.Name)
		})
		var b strings.Builder
		fmt.Fprintf(&b, "# Kafka %s: %s. Written by schema/import; the format is in README.md.\n", strings.Join(names, " and "), k.about)
		for _, m := range list {
			m.write(&b)
		}
		if err := os.WriteFile(filepath.Join(out, k.file+".schema"), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// renamed returns the message of in that has the key of a request or response o of an older release.
func renamed(in map[string]*message, o *message) *message {
	for _, m := range in {
		if (o.Type == "request" || o.Type == "response") && m.Type == o.Type && m.ApiKey == o.ApiKey {
			return m
		}
	}
	return nil
}

// message is one JSON file.
type message struct {
	ApiKey                int
	Type                  string
	Name                  string
	ValidVersions         string
	FlexibleVersions      string
	Listeners             []string
	LatestVersionUnstable bool
	Fields                []*field
	CommonStructs         []*field // a field with Name, Versions and Fields only

	jar             string
	valid, flexible versions
	unstable        bool // the last version is not advertised
}

// field is one field of a message or struct. Default may be a string, a number or a boolean.
type field struct {
	Name             string
	Type             string
	Versions         string
	NullableVersions string
	TaggedVersions   string
	FlexibleVersions string
	Tag              json.Number
	Default          any
	Ignorable        bool
	MapKey           bool
	EntityType       string
	Fields           []*field

	versions, nullable, tagged versions
}

var jarName = regexp.MustCompile(`^(.*?)-([0-9][0-9.]*)\.jar$`)

func readJar(file string, releases map[string]map[string]*message) error {
	part := jarName.FindStringSubmatch(filepath.Base(file))
	if part == nil {
		return fmt.Errorf("the name is not NAME-VERSION.jar, so the release cannot be told")
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer z.Close()
	if releases[part[2]] == nil {
		releases[part[2]] = map[string]*message{}
	}
	for _, f := range z.File {
		dir := path.Dir(f.Name)
		if path.Ext(f.Name) != ".json" || dir != "common/message" && dir != "common/metadata" && dir != "message" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		m := &message{ApiKey: -1, jar: part[1]}
		if err := json.Unmarshal(stripComments(text), m); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if m.Type == "request" || m.Type == "response" {
			if slices.Contains(skipKeys, m.ApiKey) {
				continue
			}
		}
		if err := m.parse(); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		releases[part[2]][m.Name] = m
	}
	// A response never says that its version is unstable; its request does.
	for name, m := range releases[part[2]] {
		if q, ok := releases[part[2]][strings.TrimSuffix(name, "Response")+"Request"]; ok && m.Type == "response" {
			m.unstable = q.unstable
		}
	}
	return nil
}

// stripComments blanks // comments outside of strings.
func stripComments(b []byte) []byte {
	in := false
	for i := 0; i < len(b); i++ {
		switch {
		case in && b[i] == '\\':
			i++
		case b[i] == '"':
			in = !in
		case !in && b[i] == '/' && i+1 < len(b) && b[i+1] == '/':
			for ; i < len(b) && b[i] != '\n'; i++ {
				b[i] = ' '
			}
		}
	}
	return b
}

func (m *message) parse() (err error) {
	m.unstable = m.LatestVersionUnstable
	if m.valid, err = parseVersions(m.ValidVersions); err != nil {
		return err
	}
	if m.flexible, err = parseVersions(m.FlexibleVersions); err != nil {
		return err
	}
	for _, f := range slices.Concat(m.Fields, m.CommonStructs) {
		if err := f.parse(versions{0, forever}); err != nil {
			return err
		}
	}
	return nil
}

func (m *message) empty() bool { return m.valid.lo > m.valid.hi }

func (f *field) parse(parent versions) (err error) {
	if f.nullable, err = parseVersions(f.NullableVersions); err != nil {
		return err
	}
	if f.tagged, err = parseVersions(f.TaggedVersions); err != nil {
		return err
	}
	switch {
	case f.Versions != "":
		if f.versions, err = parseVersions(f.Versions); err != nil {
			return err
		}
	case f.tagged != none:
		f.versions = f.tagged
	default:
		f.versions = parent
	}
	for _, c := range f.Fields {
		if err := c.parse(f.versions); err != nil {
			return err
		}
	}
	return nil
}

// mergeOlder adds to m the versions that only o, an older release's definition, has.
func (m *message) mergeOlder(o *message) error {
	old := o.valid
	if o.unstable {
		old.hi--
	}
	dropped := versions{old.lo, min(old.hi, m.valid.lo-1)}
	if m.empty() {
		dropped = old
	}
	if dropped.lo > dropped.hi {
		return nil
	}
	var err error
	if m.flexible, err = m.flexible.replace(dropped, o.flexible); err != nil {
		return err
	}
	if m.Fields, err = mergeFields(m.Fields, o.Fields, dropped); err != nil {
		return err
	}
	if m.CommonStructs, err = mergeFields(m.CommonStructs, o.CommonStructs, dropped); err != nil {
		return err
	}
	m.valid.lo = dropped.lo
	return nil
}

// mergeFields returns the fields of a new release with, for the dropped versions, those of an old one.
func mergeFields(now, old []*field, dropped versions) (_ []*field, err error) {
	byName := map[string]*field{}
	for _, o := range old {
		byName[o.Name] = o
	}
	for _, n := range now {
		o := byName[n.Name]
		if o == nil {
			o = &field{Name: n.Name, Type: n.Type, versions: none, nullable: none, tagged: none}
		}
		if o.Type != n.Type {
			return nil, fmt.Errorf("field %s is %s and was %s", n.Name, n.Type, o.Type)
		}
		if n.versions, err = n.versions.replace(dropped, o.versions); err != nil {
			return nil, fmt.Errorf("field %s: %w", n.Name, err)
		}
		if n.nullable, err = n.nullable.replace(dropped, o.nullable); err != nil {
			return nil, fmt.Errorf("field %s, nullable: %w", n.Name, err)
		}
		if n.tagged, err = n.tagged.replace(dropped, o.tagged); err != nil {
			return nil, fmt.Errorf("field %s, tagged: %w", n.Name, err)
		}
		if n.Fields, err = mergeFields(n.Fields, o.Fields, dropped); err != nil {
			return nil, fmt.Errorf("%s.%w", n.Name, err)
		}
	}
	at := 0 // where the next field that only the old release has goes
	for _, o := range old {
		if i := slices.IndexFunc(now, func(n *field) bool { return n.Name == o.Name }); i >= 0 {
			at = i + 1
			continue
		}
		o.versions, _ = none.replace(dropped, o.versions)
		if o.versions == none {
			continue
		}
		now = slices.Insert(now, at, o)
		at++
	}
	return now, nil
}

// versions is an inclusive range; none when lo > hi.
type versions struct{ lo, hi int }

const forever = 32767

var none = versions{0, -1}

func parseVersions(s string) (versions, error) {
	if s == "" || s == "none" {
		return none, nil
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
		return none, err
	}
	hi, err := strconv.Atoi(to)
	return versions{lo, hi}, err
}

func (v versions) has(n int) bool { return v.lo <= n && n <= v.hi }

// replace returns v with the versions in span as they are in old.
func (v versions) replace(span, old versions) (versions, error) {
	r := none
	for n := 0; n <= 200; n++ {
		in := v.has(n)
		if span.has(n) {
			in = old.has(n)
		}
		switch {
		case in && r == none:
			r = versions{n, n}
		case in && r.hi == n-1:
			r.hi = n
		case in:
			return none, fmt.Errorf("versions %v with %v for %v are not one range", v, old, span)
		}
	}
	if r.hi == 200 {
		r.hi = forever
	}
	return r, nil
}

func (v versions) String() string {
	switch {
	case v.lo > v.hi:
		return "none"
	case v.hi == forever:
		return fmt.Sprintf("%d+", v.lo)
	case v.lo == v.hi:
		return strconv.Itoa(v.lo)
	}
	return fmt.Sprintf("%d-%d", v.lo, v.hi)
}

func (m *message) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s %s", m.Type, m.Name)
	if m.ApiKey >= 0 {
		fmt.Fprintf(b, " apikey=%d", m.ApiKey)
	}
	fmt.Fprintf(b, " versions=%v flexible=%v", m.valid, m.flexible)
	if m.unstable {
		fmt.Fprintf(b, " unstable=%d", m.valid.hi)
	}
	if len(m.Listeners) > 0 {
		fmt.Fprintf(b, " listeners=%s", strings.Join(m.Listeners, ","))
	}
	b.WriteByte('\n')
	for _, f := range m.Fields {
		f.write(b, 1)
	}
	for _, s := range m.CommonStructs {
		fmt.Fprintf(b, "\tstruct %s %v\n", s.Name, s.versions)
		for _, f := range s.Fields {
			f.write(b, 2)
		}
	}
}

func (f *field) write(b *strings.Builder, depth int) {
	name := strings.ToUpper(f.Name[:1]) + f.Name[1:]
	fmt.Fprintf(b, "%s%s %s %v", strings.Repeat("\t", depth), name, f.Type, f.versions)
	if f.nullable != none {
		fmt.Fprintf(b, " null=%v", f.nullable)
	}
	if f.tagged != none {
		fmt.Fprintf(b, " tag=%v:%v", f.Tag, f.tagged)
	}
	if d := fmt.Sprint(f.Default); f.Default != nil && d != "" {
		fmt.Fprintf(b, " default=%s", d)
	}
	if f.FlexibleVersions != "" {
		fmt.Fprintf(b, " flexible=%s", f.FlexibleVersions)
	}
	if f.Ignorable {
		b.WriteString(" ignorable")
	}
	if f.MapKey {
		b.WriteString(" key")
	}
	if f.EntityType != "" {
		fmt.Fprintf(b, " entity=%s", f.EntityType)
	}
	b.WriteByte('\n')
	for _, c := range f.Fields {
		c.write(b, depth+1)
	}
}

// compareRelease orders 3.9.2 before 4.4.0 and 3.9 before 3.10.
func compareRelease(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(x) && i < len(y); i++ {
		p, _ := strconv.Atoi(x[i])
		q, _ := strconv.Atoi(y[i])
		if p != q {
			return p - q
		}
	}
	return len(x) - len(y)
}
