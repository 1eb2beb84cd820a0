package transcript

import "testing"

func TestWhatDiffersFromRunToRunIsNoDifference(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"1000 records (2.9 kB) written to orders in 5ms, 198791 records/s", "1000 records (3 kB) written to orders in 11.5ms, 9 records/s", true},
		{"topic X48sm96fQJioWcXqKQ3rRA at 2026-11-21T08:37:47.994Z", "topic 00000000-_AAAAAAAAAAAA at 2026-01-01T00:00:00Z", true},
		{"A   B\n1   2", "A  B\n1  2  ", true},
		{"1000 records", "1001 records", false},
		{"a\n...\nz", "a\nb\nc\nz", true},
		{"a\n...\nz", "a\nz", true},
		{"a\n...", "a\nb", true},
		{"a\n...\nz", "a\nb", false},
		{"a", "a\nb", false},
		{"a\nb", "a", false},
		{"", "", true},
		{"", "a", false},
	} {
		if got := Match(c.want, c.got); got != c.same {
			t.Errorf("Match(%q, %q) is %v", c.want, c.got, got)
		}
	}
	if !Begins("a\nb", "a\nb\nc") || Begins("a\nb", "a") || Begins("a\nb", "a\nc\nd") {
		t.Error("Begins is wrong")
	}
}

func TestAConsoleIsReadAsItIsWritten(t *testing.T) {
	const text = "$ klamm topic list\nNAME\n$ cat <<E\n> a\n> E\n> not a command\n$ true\n"
	var back string
	cs := Commands(text)
	for _, c := range cs {
		back += c.String()
	}
	if len(cs) != 3 || cs[0].Want != "NAME\n" || cs[1].Line != "cat <<E\na\nE\nnot a command" || cs[2].Want != "" || back != text {
		t.Errorf("%+v\n%s", cs, back)
	}
	bs := Blocks("x\n```console tour\n$ true\n```\ny\n```sh\nz\n```\n")
	if len(bs) != 2 || bs[0] != (Block{"console tour", "$ true\n", 2}) || bs[1].Info != "sh" {
		t.Errorf("%+v", bs)
	}
}

func TestTheBytesOfATopicAreASizeInEveryForm(t *testing.T) {
	id := "1VfNEPcERFCWMzxThxwu1g"
	for want, got := range map[string]string{
		"orders  2  1  100  835    7 d  " + id + "  false": "orders  2  1  100  1204  7 d  " + id + "  false",
		`    "bytes": 142,`: `    "bytes": 7,`, `"records":10,"bytes":142,"x":1`: `"records":10,"bytes":9,"x":1`, "  bytes: 142": "  bytes: 143",
		"orders,2,1,10,142,604800000," + id + ",false": "orders,2,1,10,99,604800000," + id + ",false",
	} {
		if !Match(want, got) {
			t.Errorf("%q is not %q: %q, %q", got, want, Normal(got), Normal(want))
		}
	}
	for want, got := range map[string]string{
		"orders  2  1  100  835    7 d  " + id: "orders  2  1  99  835  7 d  " + id, `"records":10,"bytes":142`: `"records":11,"bytes":142`, "orders,2,1,10,142,604800000," + id + ",": "orders,2,1,11,142,604800000," + id + ",",
	} {
		if Match(want, got) {
			t.Errorf("%q is %q", got, want)
		}
	}
}
