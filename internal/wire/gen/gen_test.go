package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The committed Go is what the committed schema makes.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := generate("../schema")
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Glob("../zz_*.go")
	if err != nil {
		t.Fatal(err)
	}
	if len(there) != len(files) {
		t.Errorf("%d files are there and %d are generated: run go generate in internal/wire", len(there), len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go generate in internal/wire", name)
		}
	}
}
