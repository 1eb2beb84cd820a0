package tidy

import (
	"bufio"
	"compress/gzip"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/api"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/node"
	"github.com/klamm/klamm/internal/wire"
)

// side is one direction of a version of an API.
type side struct {
	key, version int16
	what         string // request or response
}

// vectors are the sides that have a golden vector.
func vectors(t *testing.T) map[side]bool {
	t.Helper()
	have := map[side]bool{}
	for _, release := range []string{"3.9.2", "4.4.0"} {
		f, err := os.Open(filepath.Join("..", "..", "interop", "golden", "vectors-"+release+".txt.gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			// api=0 name=Produce v=3 request header=1 ...
			words := strings.SplitN(lines.Text(), " ", 5)
			if len(words) < 5 || words[3] != "request" && words[3] != "response" {
				continue
			}
			key, err := strconv.ParseInt(strings.TrimPrefix(words[0], "api="), 10, 16)
			if err != nil {
				continue
			}
			version, err := strconv.ParseInt(strings.TrimPrefix(words[2], "v="), 10, 16)
			if err != nil {
				t.Fatalf("%s: %v", lines.Text(), err)
			}
			have[side{int16(key), int16(version), words[3]}] = true
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return have
}

// realCalls are the names of clientCalls, the table of internal/node's test with real clients.
func realCalls(t *testing.T) (names []string) {
	t.Helper()
	const path = "../node/clients_test.go"
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "clientCalls" {
			return true
		}
		for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
			name, err := strconv.Unquote(e.(*ast.CompositeLit).Elts[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		return false
	})
	if len(names) == 0 {
		t.Fatalf("%s has no clientCalls", path)
	}
	return names
}

func TestEveryAPIIsAuthorizedRecordedAndCalled(t *testing.T) {
	golden, called := vectors(t), realCalls(t)
	served := api.Services()
	for _, s := range served {
		if !s.Access {
			t.Errorf("%s has no access in the table; write what a caller must be allowed, or anyone", s.Name)
		}
		if !slices.ContainsFunc(called, func(name string) bool { return strings.EqualFold(name, s.Name) }) {
			t.Errorf("%s has no call by a real client; add one to clientCalls of internal/node/clients_test.go", s.Name)
		}
		known, ok := wire.APIOf(s.Key)
		if !ok || known.Name != s.Name || s.Min < known.Min || s.Max > known.Max {
			t.Errorf("%s v%d to v%d is not in the schema, which has %s v%d to v%d", s.Name, s.Min, s.Max, known.Name, known.Min, known.Max)
		}
		for v := s.Min; v <= s.Max; v++ {
			for _, what := range []string{"request", "response"} {
				if !golden[side{s.Key, v, what}] {
					t.Errorf("%s v%d has no golden vector of a %s; interop/golden/generate makes them", s.Name, v, what)
				}
			}
		}
	}
	for _, name := range called {
		if !slices.ContainsFunc(served, func(s api.Service) bool { return strings.EqualFold(name, s.Name) }) {
			t.Errorf("clientCalls has %s, which is not in the table of APIs", name)
		}
	}
	t.Logf("%d APIs", len(served))
}

func TestEveryKeyIsDocumented(t *testing.T) {
	set, err := node.Keys()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, scope := range []config.Scope{config.Topic, config.Broker, config.Group, config.ClientMetrics} {
		for _, k := range set.Keys(scope) {
			n++
			if len(strings.Fields(k.Doc)) < 4 || !strings.HasSuffix(k.Doc, ".") || strings.ToUpper(k.Doc[:1]) != k.Doc[:1] {
				t.Errorf("%s %s: %q is no sentence that explains it", k.Scope, k.Name, k.Doc)
			}
		}
	}
	t.Logf("%d keys", n)
}

func TestEveryDependencyHasAReason(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for line := range strings.Lines(string(mod)) {
		if w := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require ")); len(w) >= 2 && strings.HasPrefix(w[1], "v") && strings.Contains(w[0], ".") {
			modules = append(modules, w[0])
		}
		if tool, ok := strings.CutPrefix(strings.TrimSpace(line), "tool "); ok {
			modules = append(modules, tool)
		}
	}
	direct := map[string]bool{}
	use := func(path string) {
		best := ""
		for _, m := range modules {
			if (path == m || strings.HasPrefix(path, m+"/")) && len(m) > len(best) {
				best = m
			}
		}
		if best != "" {
			direct[best] = true
		}
	}
	for _, p := range packages(t) {
		for _, i := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			use(i)
		}
	}
	for line := range strings.Lines(string(mod)) {
		if tool, ok := strings.CutPrefix(strings.TrimSpace(line), "tool "); ok {
			use(strings.TrimSuffix(tool, "/cmd/staticcheck"))
		}
	}
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for m := range direct {
		if !strings.Contains(string(text), "| `"+m+"`") {
			t.Errorf("%s is used and CONTRIBUTING.md gives no reason for it", m)
		}
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "| `")
		name, _, _ := strings.Cut(rest, "`")
		if first, _, _ := strings.Cut(name, "/"); ok && strings.Contains(first, ".") && !direct[name] {
			t.Errorf("CONTRIBUTING.md gives a reason for %s, which nothing uses", name)
		}
	}
	t.Logf("%d direct dependencies", len(direct))
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestArchitectureNamesEveryRoom(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rooms, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms {
		if r.IsDir() && !strings.Contains(string(text), "| `"+r.Name()+"` |") {
			t.Errorf("ARCHITECTURE.md has no row for internal/%s", r.Name())
		}
	}
	for name := range floors {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("ARCHITECTURE.md does not name %s, which has a floor", name)
		}
	}
}

// docs/README.md leads to every page, and every page that one of ours leads to is there.
func TestDocumentationIsWhole(t *testing.T) {
	root := filepath.Join("..", "..")
	index, err := os.ReadFile(filepath.Join(root, "docs", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		name, err := filepath.Rel(filepath.Join(root, "docs"), path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		pages = append(pages, "docs/"+name)
		if name != "README.md" && !strings.Contains(string(index), "("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:\s]+)(#[^)]*)?\)`)
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s leads to %s, which is not there", page, m[1])
			}
		}
	}
}
