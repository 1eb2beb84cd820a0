// Package tidy is the properties of the tree that no compiler checks, as tests.
package tidy

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/klamm/klamm"

// floor says which rooms of ours a room may import; internal/code always.
var floors = map[string][]string{
	"code":        {},
	"record":      {},
	"wire":        {"record"},
	"metadata":    {"wire"},
	"machine":     {},
	"config":      {},
	"disk":        {},
	"memnet":      {},
	"controller":  {"metadata", "config", "machine", "wire"},
	"group":       {"metadata", "config", "machine", "wire"},
	"isr":         {"metadata", "config", "machine", "wire"},
	"auth":        {"metadata", "config"},
	"commitlog":   {"record", "disk", "config"},
	"quorum":      {"controller", "metadata", "commitlog", "record", "disk", "wire", "config"},
	"replica":     {"commitlog", "isr", "record", "metadata", "wire", "config"},
	"coordinator": {"replica", "group", "machine", "record", "metadata", "wire", "config"},
	"telemetry":   {"config", "wire", "metadata"},
	"rpc":         {"wire", "auth", "config", "disk"}, // disk: the handle of a file range
	"server":      {"rpc", "wire", "auth", "config", "disk"},
	"api":         {"rpc", "auth", "config", "controller", "coordinator", "commitlog", "group", "metadata", "quorum", "record", "replica", "telemetry", "wire"},
	"faults":      {"api", "metadata", "rpc", "wire"},
	"node":        {"api", "auth", "commitlog", "config", "controller", "coordinator", "disk", "group", "metadata", "quorum", "record", "replica", "rpc", "server", "telemetry", "wire"},
	"cli":         {"node", "config", "record", "commitlog", "disk"},
}

// embedding is what the package at the root of the module, which other programs import, may import of ours.
var embedding = []string{"config", "disk", "faults", "memnet", "node"}

// machines decide and apply, and do nothing themselves.
var machines = []string{"controller", "group", "isr", "machine"}

type listed struct {
	ImportPath, Dir, Doc                        string
	Imports, TestImports, XTestImports, GoFiles []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Imports,TestImports,XTestImports,GoFiles", module+"/...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// room is the room that a package of ours belongs to: its first folder under internal.
func room(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, module+"/internal/")
	name, _, _ := strings.Cut(rest, "/")
	return name, ok
}

func TestRoomsImportOnlyWhatStandsBelowThem(t *testing.T) {
	for _, p := range packages(t) {
		name, ok := room(p.ImportPath)
		if !ok || name == "tidy" || name == "sim" {
			continue
		}
		allowed, known := floors[name]
		if !known {
			t.Errorf("room %s has no floor; give it a line in this test and in ARCHITECTURE.md", name)
			continue
		}
		for _, i := range p.Imports {
			if of, ours := room(i); ours && of != name && of != "code" && !slices.Contains(allowed, of) {
				t.Errorf("%s imports %s, which is not below it", p.ImportPath, i)
			}
		}
	}
}

func TestTheEmbeddedBrokerStandsOnTheNodeAlone(t *testing.T) {
	found := false
	for _, p := range packages(t) {
		if p.ImportPath != module {
			continue
		}
		found = true
		for _, i := range p.Imports {
			if of, ours := room(i); ours && of != "code" && !slices.Contains(embedding, of) {
				t.Errorf("%s imports %s, which is the node's", p.ImportPath, i)
			}
		}
	}
	if !found {
		t.Errorf("there is no package %s", module)
	}
}

func TestMachinesHaveNoClockGoroutineOrLock(t *testing.T) {
	for _, name := range machines {
		files(t, filepath.Join("..", name), func(path string, file *ast.File, set *token.FileSet) {
			for _, i := range file.Imports {
				switch p := strings.Trim(i.Path.Value, `"`); p {
				case "sync", "sync/atomic", "os", "net", "context":
					t.Errorf("%s imports %s: a machine has no lock, no I/O and nothing to wait for", path, p)
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					t.Errorf("%s: a machine starts no goroutine", set.Position(n.Pos()))
				case *ast.SelectorExpr:
					of, ok := n.X.(*ast.Ident)
					if !ok || of.Obj != nil {
						return true
					}
					switch of.Name + "." + n.Sel.Name {
					case "time.Now", "time.Since", "time.Until", "time.After", "time.Sleep", "time.NewTimer":
						t.Errorf("%s: a machine is told the time", set.Position(n.Pos()))
					case "rand.Int", "rand.IntN", "rand.Int32", "rand.Int64", "rand.Float64", "rand.Perm", "rand.Shuffle", "rand.N":
						t.Errorf("%s: a machine is given its random source", set.Position(n.Pos()))
					}
				}
				return true
			})
		})
	}
}

func TestEverythingExportedHasADocComment(t *testing.T) {
	root := filepath.Join("..", "..")
	files(t, root, func(path string, file *ast.File, set *token.FileSet) {
		if file.Name.Name == "main" || ast.IsGenerated(file) {
			return
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s has no doc comment", set.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				undocumented(d, func(name *ast.Ident) {
					t.Errorf("%s: %s has no doc comment", set.Position(name.Pos()), name.Name)
				})
			}
		}
	})
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	x := d.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	if generic, ok := x.(*ast.IndexExpr); ok {
		x = generic.X
	}
	name, ok := x.(*ast.Ident)
	return ok && name.IsExported()
}

// undocumented reports exported names of a declaration that neither it nor their own line explains.
func undocumented(d *ast.GenDecl, report func(*ast.Ident)) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				report(s.Name)
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					report(n)
				}
			}
		}
	}
}

// files calls visit for every Go file below dir that is no test and not in a testdata folder.
func files(t *testing.T, dir string, visit func(path string, file *ast.File, set *token.FileSet)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(path, file, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
