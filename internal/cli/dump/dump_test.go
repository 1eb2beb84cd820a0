package dump

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
	"github.com/klamm/klamm/internal/record"
)

// klammDump runs klamm log dump.
func klammDump(t *testing.T, args ...string) (exit int, out, text string) {
	t.Helper()
	r := apptest.Run(t, func(a *app.App) []*cobra.Command { return []*cobra.Command{Noun(a)} }, "", "", append([]string{"log", "dump"}, args...)...)
	return r.Exit, r.Out, r.Err
}

func TestLogDumpShowsBatchesRecordsAndDamage(t *testing.T) {
	codecs := record.NewCodecs(1)
	segment := testSegment(t, codecs)
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.log", append(bytes.Clone(segment), make([]byte, 4096)...))
	exit, out, text := klammDump(t, good)
	if exit != 0 || strings.Count(out, "batch at") != 2 || !strings.Contains(out, `  0  2026-01-01T00:00:00.000Z  k  "hello world"`) || !strings.Contains(out, "null") {
		t.Errorf("exit %d %s\n%s", exit, text, out)
	}
	exit, out, _ = klammDump(t, "-o", "json", good)
	var rows []batchRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || exit != 0 || len(rows) != 2 || !rows[1].Valid || len(rows[0].Records) != 2 || rows[1].BaseOffset != 2 {
		t.Errorf("exit %d, %v: %+v", exit, err, rows)
	}
	if exit, out, _ = klammDump(t, "--batches", "-n", "1", good); exit != 0 || strings.Count(out, "\n") != 1 {
		t.Errorf("exit %d: %s", exit, out)
	}
	if exit, out, _ = klammDump(t, "-o", "csv", good); exit != 0 || !strings.HasPrefix(out, "file,position,") || strings.Count(out, "\n") != 3 {
		t.Errorf("exit %d: %s", exit, out)
	}
	if exit, out, _ = klammDump(t, "-o", "template={{.base_offset}} {{range .records}}{{.key}};{{end}}", good); exit != 0 || out != "0 k;;\n2 k2;\n" {
		t.Errorf("exit %d: %q", exit, out)
	}
	broken := bytes.Clone(segment)
	broken[len(broken)-1] ^= 1
	if exit, out, _ = klammDump(t, write("crc.log", broken)); exit != 0 || !strings.Contains(out, "BROKEN") {
		t.Errorf("exit %d: %s", exit, out)
	}
	torn := write("torn.log", segment[:len(segment)-3])
	exit, out, text = klammDump(t, torn)
	if exit != app.ExitFailed || strings.Count(out, "batch at") != 1 || !strings.Contains(text, "torn") {
		t.Errorf("exit %d %s\n%s", exit, text, out)
	}
	if exit, _, text = klammDump(t, good, filepath.Join(dir, "none")); exit != app.ExitPartly || !strings.Contains(text, "there is no file") {
		t.Errorf("exit %d %s", exit, text)
	}
	if exit, _, text = klammDump(t, dir); exit != app.ExitFailed || !strings.Contains(text, "directory") {
		t.Errorf("exit %d %s", exit, text)
	}
}

// testSegment is two batches: two records at 0 and one at 2.
func testSegment(t *testing.T, codecs *record.Codecs) []byte {
	t.Helper()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	b := record.NewBuilder(codecs, record.BuilderOptions{Codec: record.Gzip})
	b.Append(at, []byte("k"), []byte("hello world"))
	b.Append(at, nil, []byte("x"))
	first, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	segment := bytes.Clone(first)
	b.Reset(codecs, record.BuilderOptions{BaseOffset: 2})
	b.Append(at, []byte("k2"), nil, record.Header{Key: []byte("h"), Value: []byte("v")})
	second, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return append(segment, second...)
}
