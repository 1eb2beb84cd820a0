package kafka

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testOptions are options of every kind.
func testOptions() []option {
	props := texts("producer-props", "prop", "")
	props.greedy = true
	deleted := text("delete-config", "", "")
	deleted.split = ","
	return []option{
		bootstrap(), flag("list", ""), flag("describe", ""), texts("group", "", ""), whole("partitions", "", "", ""), long("timeout", "", "30000", ""),
		{name: "state", takes: takesMaybe, kind: "String", with: []string{"describe", "list"}}, props, deleted, formerly("broker-list", bootstrap()),
	}
}

func TestOptionsAreReadAsJavasToolsReadThem(t *testing.T) {
	for _, c := range []struct {
		line  string
		given map[string][]string
	}{
		{"--list --group a --group=b", map[string][]string{"list": nil, "group": {"a", "b"}}},
		{"-list -group a", map[string][]string{"list": nil, "group": {"a"}}},
		{"--group --list", map[string][]string{"group": {"--list"}}},
		{"--group= a", map[string][]string{"group": {"a"}}},
		{"--list --state stable,empty", map[string][]string{"list": nil, "state": {"stable,empty"}}},
		{"--state --list", map[string][]string{"list": nil, "state": nil}},
		{"--list=yes loose words", map[string][]string{"list": nil}},
		{"--boot h:1", map[string][]string{"bootstrap-server": {"h:1"}}},
		{"--broker-list h:1", map[string][]string{"bootstrap-server": {"h:1"}}},
		{"--producer-props a=1 b=2 --list", map[string][]string{"producer-props": {"a=1", "b=2"}, "list": nil}},
		{"--delete-config a,b", map[string][]string{"delete-config": {"a", "b"}}},
		{"--list -- --describe", map[string][]string{"list": nil}},
	} {
		o, err := parse(testOptions(), strings.Fields(c.line))
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if len(o.given) != len(c.given) {
			t.Errorf("%s: %v, want %v", c.line, o.given, c.given)
		}
		for k, want := range c.given {
			if got, ok := o.given[k]; !ok || !slices.Equal(got, want) {
				t.Errorf("%s: %s is %q, want %q", c.line, k, got, want)
			}
		}
	}
}

func TestCommandLinesThatCannotBeReadAreRefusedInJavasWords(t *testing.T) {
	for line, want := range map[string]string{
		"--nope":                        "nope is not a recognized option",
		"--list --group":                "Option group requires an argument",
		"--partitions six":              "Cannot parse argument 'six' of option partitions",
		"--partitions 1 --partitions 2": "Found multiple arguments for option partitions, but you asked for only one",
		"--state":                       "Option(s) [state] are unavailable given other options on the command line",
		"-l":                            "l is not a recognized option",
	} {
		o, err := parse(testOptions(), strings.Fields(line))
		if err == nil {
			err = o.check()
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func TestFilesOfPropertiesAreReadAsJavaReadsThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(file, []byte("# c\n! c\na=1\nb : 2\nc 3\n  d.e = x=y \nlong=one,\\\n   two\nu=\\u00e4\\t\\\\\nempty=\nbare\nk\\=ey=v\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := new(run).properties(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a": "1", "b": "2", "c": "3", "d.e": "x=y ", "long": "one,two", "u": "ä\t\\", "empty": "", "bare": "", "k=ey": "v"}
	if len(got) != len(want) {
		t.Errorf("%q, want %q", got, want)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
}
