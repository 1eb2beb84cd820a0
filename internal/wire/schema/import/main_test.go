package main

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// jar writes a jar that holds the given files.
func jar(t *testing.T, dir, name string, files map[string]string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

const oldThing = `// licence
{ "apiKey": 90, "type": "request", "listeners": ["broker"], "name": "ThingRequest", // http://x
  "validVersions": "0-3", "flexibleVersions": "none", "fields": [
  { "name": "Gone", "type": "int32", "versions": "0-1" },
  { "name": "topics", "type": "[]Topic", "versions": "0+", "nullableVersions": "1+", "fields": [
    { "name": "Name", "type": "string", "versions": "0+", "mapKey": true } ] } ] }`

const newThing = `{ "apiKey": 90, "type": "request", "listeners": ["broker", "controller"], "name": "ThingRequest",
  "validVersions": "2-5", "flexibleVersions": "5+", "latestVersionUnstable": true, "fields": [
  { "name": "topics", "type": "[]Topic", "versions": "2+", "nullableVersions": "2+", "fields": [
    { "name": "Name", "type": "string", "versions": "2+", "mapKey": true } ] },
  { "name": "Late", "type": "int8", "versions": "5+", "taggedVersions": "5+", "tag": "0", "default": -1, "ignorable": true } ] }`

// The newest release decides, and the versions it dropped come back with the fields they had.
func TestOlderVersionsAreMergedIn(t *testing.T) {
	dir := t.TempDir()
	old := jar(t, dir, "kafka-clients-3.9.2.jar", map[string]string{"common/message/ThingRequest.json": oldThing})
	now := jar(t, dir, "kafka-clients-4.10.0.jar", map[string]string{"common/message/ThingRequest.json": newThing})
	if err := run(dir, []string{now, old}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "requests.schema"))
	if err != nil {
		t.Fatal(err)
	}
	want := `# Kafka 3.9.2 and 4.10.0: requests and responses. Written by schema/import; the format is in README.md.

request ThingRequest apikey=90 versions=0-5 flexible=5+ unstable=5 listeners=broker,controller
	Gone int32 0-1
	Topics []Topic 0+ null=1+
		Name string 0+ key
	Late int8 5+ tag=0:5+ default=-1 ignorable
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	unnamed := jar(t, dir, "clients.jar", nil)
	broken := jar(t, dir, "kafka-clients-4.4.0.jar", map[string]string{"common/message/A.json": `{ "name": `})
	strange := jar(t, dir, "kafka-clients-4.4.1.jar", map[string]string{"common/message/A.json": `{ "name": "A", "type": "gossip", "validVersions": "0" }`})
	for _, c := range []struct {
		jars []string
		want string
	}{
		{nil, "no jar named"},
		{[]string{unnamed}, "NAME-VERSION.jar"},
		{[]string{broken}, "A.json"},
		{[]string{strange}, "gossip"},
		{[]string{filepath.Join(dir, "kafka-clients-9.9.9.jar")}, "no such file"},
	} {
		if err := run(dir, c.jars); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want an error with %q", c.jars, err, c.want)
		}
	}
}
