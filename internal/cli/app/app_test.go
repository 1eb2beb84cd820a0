package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
)

// fruit is something to print.
type fruit struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	Tags  []string `json:"tags,omitempty"`
	From  *place   `json:"from"`
}

// place is where a fruit is from.
type place struct {
	Country string `json:"country"`
}

func fruits() List[fruit] {
	return List[fruit]{
		Items: []fruit{{"apple", 2, []string{"a<b"}, &place{"AT"}}, {"true", 1, nil, nil}},
		ID:    func(f fruit) string { return f.Name },
		Columns: []Column[fruit]{
			{Name: "name", Text: func(f fruit) string { return f.Name }},
			{Name: "how_many", Text: func(f fruit) string { return fmt.Sprint(f.Count) }},
			{Name: "tags", Wide: true, Text: func(f fruit) string { return strings.Join(f.Tags, "\t") }},
		},
	}
}

func TestEveryFormOfOutputHasTheSameNames(t *testing.T) {
	for form, want := range map[string]string{
		"table": "NAME   HOW MANY\napple  2\ntrue   1\n",
		"wide":  "NAME   HOW MANY  TAGS\napple  2         a<b\ntrue   1         \n",
		"json": `[
  {
    "name": "apple",
    "count": 2,
    "tags": [
      "a<b"
    ],
    "from": {
      "country": "AT"
    }
  },
  {
    "name": "true",
    "count": 1,
    "from": null
  }
]
`,
		"jsonl": `{"name":"apple","count":2,"tags":["a<b"],"from":{"country":"AT"}}` + "\n" + `{"name":"true","count":1,"from":null}` + "\n",
		"yaml":  "- name: apple\n  count: 2\n  tags:\n    - a<b\n  from:\n    country: AT\n- name: \"true\"\n  count: 1\n  from: null\n",
		"csv":   "name,how_many,tags\napple,2,a<b\ntrue,1,\n",
		"name":  "apple\ntrue\n",
		"template={{.name}}={{.count}} {{json .from}}": "apple=2 {\"country\":\"AT\"}\ntrue=1 null\n",
		"schema": "name  text\ncount  number\ntags  list of text\nfrom  object or null\n  country  text\n",
	} {
		var b bytes.Buffer
		a := &App{Out: &b, Err: io.Discard, Env: func(string) string { return "" }}
		c := &cobra.Command{Use: "x"}
		f := OutputFlag(c)
		if err := c.Flags().Set("output", form); err != nil {
			t.Fatal(err)
		}
		if err := PrintList(a, f, fruits()); err != nil || b.String() != want {
			t.Errorf("%s: %v\n%s", form, err, b.String())
		}
	}
	c := &cobra.Command{Use: "x"}
	OutputFlag(c)
	for _, bad := range []string{"xml", "template={{", "", "JSON"} {
		if c.Flags().Set("output", bad) == nil {
			t.Errorf("-o %q was accepted", bad)
		}
	}
}

// disk is a row of which people and programs read different things.
type disk struct {
	Dir   string `json:"dir"`
	Bytes *int64 `json:"bytes"`
	Kept  int64  `json:"kept_ms"`
	Full  bool   `json:"full"`
}

func TestCSVIsForProgramsAsJSONIs(t *testing.T) {
	n := int64(7737)
	l := List[disk]{
		Items: []disk{{"a,b", &n, 604800000, true}, {"", nil, -1, false}},
		Columns: []Column[disk]{
			{Name: "dir", Text: func(d disk) string { return OrDash(d.Dir) }},
			{Name: "bytes", Text: func(d disk) string { return "7.7 kB" }},
			{Name: "kept", JSON: "kept_ms", Text: func(d disk) string { return "7 d" }},
			{Name: "full", Text: func(d disk) string { return "yes" }},
			{Name: "only_here", Text: func(d disk) string { return "said" }},
		},
	}
	var b bytes.Buffer
	if err := PrintList(&App{Out: &b}, &Form{text: "csv"}, l); err != nil || b.String() != "dir,bytes,kept_ms,full,only_here\n\"a,b\",7737,604800000,true,said\n,,-1,false,said\n" {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestATableDoesNotSteerTheTerminal(t *testing.T) {
	var b bytes.Buffer
	table := NewTable(&b)
	table.Row("a\x1b[2Jb\u009bc", "d\te\nf", "ünïcode ✓")
	if err := table.Flush(); err != nil || b.String() != "a\ufffd[2Jb\ufffdc  d e f  ünïcode ✓\n" {
		t.Errorf("%v %q", err, b.String())
	}
}

func TestAFailureDoesNotSteerTheTerminal(t *testing.T) {
	var b bytes.Buffer
	(&Failure{Code: "K1", What: "there is no group a\x1b[2Jb", Why: "one\nt\x07wo", Try: "x\x1b"}).Print(&b)
	if b.String() != "error K1: there is no group a\ufffd[2Jb\n  why: one\n       t\ufffdwo\n  try: x\ufffd\n" {
		t.Errorf("%q", b.String())
	}
}

func TestOneThingAskedForIsOneThingInJSONAndNoListOfOne(t *testing.T) {
	page := func(w io.Writer, f fruit) { fmt.Fprintln(w, "page of", f.Name) }
	for _, c := range []struct {
		form  string
		asked int
		items int
		want  string
	}{
		{"json", 1, 1, "{\n"}, {"json", 2, 1, "[\n"}, {"json", 2, 2, "[\n"}, {"json", 1, 0, ""}, {"yaml", 1, 1, "name: apple\n"},
		{"table", 2, 2, "page of apple\n\npage of true\n"}, {"name", 1, 1, "apple\n"},
	} {
		var b bytes.Buffer
		a := &App{Out: &b, Err: io.Discard, Env: func(string) string { return "" }}
		l := fruits()
		l.Items = l.Items[:c.items]
		if err := PrintPages(a, &Form{text: c.form}, c.asked, l, page); err != nil || !strings.HasPrefix(b.String(), c.want) || c.want == "" && b.Len() > 0 {
			t.Errorf("%+v: %v\n%s", c, err, b.String())
		}
	}
	var b bytes.Buffer
	if err := PrintList(&App{Out: &b}, &Form{text: "json"}, List[fruit]{}); err != nil || strings.TrimSpace(b.String()) != "[]" {
		t.Errorf("an empty list is %q, %v", b.String(), err)
	}
}

func TestATemplateThatNamesWhatIsNotThereSaysWhereTheNamesAre(t *testing.T) {
	err := PrintList(&App{Out: io.Discard}, &Form{text: "template={{.nmae}}"}, fruits())
	if f := Explain(err); f.Exit != ExitUsage || !strings.Contains(f.Try, "-o schema") {
		t.Errorf("%+v", f)
	}
}

func TestHarmNeedsAYesItsNameOrAPerson(t *testing.T) {
	for _, c := range []struct {
		name     string
		args     []string
		person   bool
		typed    string
		protect  bool
		accepted bool
	}{
		{"nobody there", nil, false, "", false, false},
		{"-y", []string{"-y"}, false, "", false, true},
		{"--confirm", []string{"--confirm", "orders"}, false, "", false, true},
		{"--confirm of another", []string{"--confirm", "order"}, false, "", false, false},
		{"typed", nil, true, "orders\n", false, true},
		{"typed wrong", nil, true, "yes\n", false, false},
		{"end of input", nil, true, "", false, false},
		{"protected and -y", []string{"-y"}, true, "orders\n", true, false},
		{"protected and --confirm", []string{"--confirm", "orders"}, false, "", true, true},
	} {
		a := &App{In: strings.NewReader(c.typed), Out: io.Discard, Err: io.Discard, Env: func(string) string { return "" }, Terminal: func() bool { return c.person }}
		if c.protect {
			a.found = &target{profile: "prod", protect: true}
		}
		cmd := &cobra.Command{Use: "delete"}
		h := HarmFlags(cmd)
		if err := cmd.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		err := h.Ask(a, "orders", "delete it")
		if (err == nil) != c.accepted || err != nil && Explain(err).Exit != ExitRefused {
			t.Errorf("%s: %v", c.name, err)
		}
		if !Changes(cmd) {
			t.Errorf("%s: it is not marked as one that changes", c.name)
		}
	}
}

func TestErrorsAreExplainedByTheirKind(t *testing.T) {
	for _, c := range []struct {
		err  error
		exit int
		code string
	}{
		{kerr.UnknownTopicOrPartition, ExitNotFound, CodeNotFound},
		{kerr.GroupIDNotFound, ExitNotFound, CodeNotFound},
		{kerr.InvalidConfig, ExitFailed, CodeBroker},
		{kerr.RequestTimedOut, ExitTimeout, CodeTimeout},
		{kerr.TopicAuthorizationFailed, ExitFailed, CodeAuth},
		{kerr.UnsupportedVersion, ExitFailed, CodeNotHere},
		{context.DeadlineExceeded, ExitTimeout, CodeTimeout},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}}, ExitTimeout, CodeTimeout},
		{&net.OpError{Op: "dial", Err: io.ErrUnexpectedEOF}, ExitFailed, CodeUnreachable},
		{&Failure{Exit: 6, Code: "K1"}, 6, "K1"},
		{io.ErrUnexpectedEOF, ExitFailed, CodeInput},
	} {
		if f := Explain(c.err); f.Exit != c.exit || f.Code != c.code {
			t.Errorf("%v: %d %s", c.err, f.Exit, f.Code)
		}
	}
	f := Refusal(kerr.InvalidConfig, "retention.ms must be a number", "topic %s could not be created", "x")
	if f.What != "topic x could not be created" || f.Why != "INVALID_CONFIG: retention.ms must be a number" {
		t.Errorf("%+v", f)
	}
	var b bytes.Buffer
	some := []*Failure{{Exit: 3, Code: "K1003", What: "no a"}, {Exit: 3, Code: "K1003", What: "no b"}}
	if f := Explain(Partly(&App{Err: &b}, 1, some)); f.Exit != ExitPartly || !strings.Contains(b.String(), "no b") {
		t.Errorf("%+v, %s", f, b.String())
	}
	if f := Explain(Partly(&App{Err: io.Discard}, 0, some)); f.Exit != ExitNotFound {
		t.Errorf("%+v", f)
	}
}

func TestSizesAndDurationsAreReadAndSaidAsPeopleDo(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9999: "10 kB", 1_234_567: "1.2 MB", 999_999_999: "1.0 GB", 61_000_000_000: "61 GB"} {
		if got := BytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 ms", 40 * time.Millisecond: "40 ms", 1500 * time.Millisecond: "1.5 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s", time.Hour: "1 h",
		25*time.Hour + 30*time.Minute: "25 h 30 min", 50 * time.Hour: "2 d 2 h", -time.Second: "-1 s",
	} {
		if got := DurationText(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
	for s, want := range map[string]time.Duration{"500ms": 500 * time.Millisecond, "90s": 90 * time.Second, "36h": 36 * time.Hour, "10d": 240 * time.Hour, "1d12h": 36 * time.Hour, "1.5h": 90 * time.Minute, "2w": 336 * time.Hour} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "5", "h", "-1h", "1x", "1h 2m", "999999999w", "1..5h"} {
		if d, err := ParseDuration(bad); err == nil {
			t.Errorf("%q is %s", bad, d)
		}
	}
	for s, want := range map[string]int64{"512": 512, "64kB": 64000, "64k": 64000, "500MB": 500e6, "1GiB": 1 << 30, "1.5Ki": 1536, "2 MiB": 2 << 20, "1b": 1} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "x", "1XB", "-1", "1kk", "9999999999P"} {
		if n, err := ParseSize(bad); err == nil {
			t.Errorf("%q is %d", bad, n)
		}
	}
}

func TestTimesAreReadInTheZoneOfNow(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	for s, want := range map[string]string{
		"-1h": "2026-03-01T10:00:00Z", "-7d": "2026-02-22T11:00:00Z", "now": "2026-03-01T11:00:00Z", "2026-01-01": "2025-12-31T23:00:00Z",
		"2026-01-01T00:00:01Z": "2026-01-01T00:00:01Z", "1767225600000": "2026-01-01T00:00:00Z", "2026-01-01 10:00:00": "2026-01-01T09:00:00Z",
	} {
		if got, err := ParseTime(s, now); err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, bad := range []string{"", "soon", "2026-13-01", "--1h", "-"} {
		if _, err := ParseTime(bad, now); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestTheNearestNameIsOneThatWasProbablyMeant(t *testing.T) {
	words := []string{"orders", "payments", "audit-log", "brokers"}
	for name, want := range map[string]string{"order": "orders", "ordres": "orders", "payment": "payments", "aud": "audit-log", "brokrs": "brokers", "xyz": "", "zzzzzz": ""} {
		if got := Nearest(name, words); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestProgressIsForTerminalsAlone(t *testing.T) {
	now := time.Unix(0, 0)
	for _, person := range []bool{true, false} {
		var b bytes.Buffer
		a := &App{Err: &b, Env: func(string) string { return "" }, Terminal: func() bool { return person }, Now: func() time.Time { return now }}
		p := a.Progress("reading", 100)
		for range 5 {
			now = now.Add(time.Second)
			p.Add(10, 1000)
		}
		records, size, took := p.Done()
		if records != 50 || size != 5000 || took != 5*time.Second {
			t.Errorf("%d, %d, %s", records, size, took)
		}
		if person != strings.Contains(b.String(), "50 of 100") || person != strings.Contains(b.String(), "5 s left") || !person && b.Len() > 0 {
			t.Errorf("on a terminal %v: %q", person, b.String())
		}
	}
}

func TestWatchingRunsAgainUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := testApp(nil)
		ran := 0
		c := &cobra.Command{Use: "x", RunE: func(*cobra.Command, []string) error { ran++; return nil }}
		a.Watchable(c)
		c.SetArgs([]string{"--watch"})
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		if err := c.ExecuteContext(ctx); err != nil || ran != 4 {
			t.Errorf("%d times, %v", ran, err)
		}
	})
}

func TestWaitingEndsWhenItIsDoneOrWithExitCode5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, asked := testApp(nil), 0
		if err := a.Wait(t.Context(), "x", func(context.Context) (bool, error) { asked++; return asked == 3, nil }); err != nil {
			t.Error(err)
		}
		if f := Explain(a.Wait(t.Context(), "moving", func(context.Context) (bool, error) { return false, nil })); f.Exit != ExitTimeout || !strings.Contains(f.What, "moving") {
			t.Errorf("%+v", f)
		}
	})
}

func TestTemplatesReachIntoListsAndSayWhatIsNotThere(t *testing.T) {
	item := map[string]any{"name": "a", "n": json.Number("0"), "none": nil, "parts": []any{map[string]any{"id": json.Number("1")}, map[string]any{"id": json.Number("2")}}, "empty": []any{}, "o": map[string]any{"k": true}}
	for text, want := range map[string]string{
		`x`: "x", `{{.name}}\t{{.n}}`: "a\t0", `{{.o.k}}`: "true", `{{.none}}`: "", `{{json .o}}`: `{"k":true}`, `{{.o}}`: `{"k":true}`,
		`{{range .parts}}[{{.id}}]{{end}}`: "[1][2]", `{{range .empty}}x{{else}}nothing{{end}}`: "nothing", `{{range .none}}x{{else}}-{{end}}`: "-",
		`{{if .n}}yes{{else}}no{{end}}{{if .name}}!{{end}}`: "no!", `{{ .name }}`: "a", `}}{`: "}}{",
	} {
		l, err := parseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := l.append(nil, item); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{"{{.nam}}": "there are empty, n, name", "{{.name.x}}": "is no object", "{{range .name}}{{end}}": "is no list"} {
		l, err := parseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if _, err := l.append(nil, item); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, bad := range []string{"{{", "{{}}", "{{x}}", "{{.a b}}", "{{range .a}}", "{{if .a}}{{else}}", "{{end}}", "{{else}}", "{{..a}}", "{{len .a}}", strings.Repeat("{{if .a}}", 100)} {
		if _, err := parseTemplate(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
