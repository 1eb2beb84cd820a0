package node

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// eachFile parses every file of the rooms that is no test.
func eachFile(t *testing.T, f func(set *token.FileSet, file *ast.File)) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err == nil {
			f(set, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// literal is the value of a string literal, or "".
func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, _ := strconv.Unquote(l.Value)
		return s
	}
	return ""
}

// eventsIn are the names behind "event" among the elements of a call or a composite literal.
func eventsIn(list []ast.Expr) (names []string) {
	for i, e := range list[:max(len(list)-1, 0)] {
		if literal(e) == "event" {
			if name := literal(list[i+1]); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// TestEveryEventIsInTheBook compares the names that the code has with those of docs/events.md.
func TestEveryEventIsInTheBook(t *testing.T) {
	book, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(book, -1) {
		listed[string(m[1])] = true
	}
	used := map[string]bool{}
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	eachFile(t, func(set *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			var names []string
			switch n := n.(type) {
			case *ast.CallExpr:
				names = eventsIn(n.Args)
			case *ast.CompositeLit:
				names = eventsIn(n.Elts)
			case *ast.AssignStmt: // level, event := slog.LevelWarn, "connection_closed"
				for i, l := range n.Lhs {
					if id, ok := l.(*ast.Ident); ok && id.Name == "event" && len(n.Rhs) == len(n.Lhs) {
						if s := literal(n.Rhs[i]); s != "" {
							names = append(names, s)
						}
					}
				}
			}
			for _, s := range names {
				used[s] = true
				if !name.MatchString(s) {
					t.Errorf("%s: %q is no name of an event", set.Position(n.Pos()), s)
				}
				if !listed[s] {
					t.Errorf("%s: event %s is not in docs/events.md", set.Position(n.Pos()), s)
				}
			}
			return true
		})
	})
	for s := range listed {
		// The ring writes its own line.
		if !used[s] && s != "log_line_left_out" {
			t.Errorf("docs/events.md has %s, which nothing logs", s)
		}
	}
	if len(used) < 40 {
		t.Errorf("only %d events were found", len(used))
	}
}

// TestWarningsAndErrorsAreEvents finds the log lines at WARN and ERROR that nobody could alert on.
func TestWarningsAndErrorsAreEvents(t *testing.T) {
	eachFile(t, func(set *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 || literal(call.Args[0]) == "" {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "Warn" || s.Sel.Name == "Error") {
				for i, a := range call.Args {
					if literal(a) == "event" && i%2 == 1 {
						return true
					}
				}
				if call.Ellipsis == token.NoPos {
					t.Errorf("%s: a warning without an event", set.Position(n.Pos()))
				}
			}
			return true
		})
	})
}
