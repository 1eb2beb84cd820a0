package records

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestInputWithoutItsLastNewlineIsWhole(t *testing.T) {
	for in, want := range map[string]string{"": "", "a": "=a;", "a\n": "=a;", "a\n\nb": "=a;=;=b;"} {
		if got, err := all(in, `%v\n`); got != want || err != io.EOF {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	if got, err := all("a\t1\nb\t2", `%k\t%v\n`); got != "a=1;b=2;" || err != io.EOF {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := all("{\"key\":\"a\",\"value\":\"1\"}\n\n{\"value\":\"2\"}", "json"); got != "a=1;=2;" || err != io.EOF {
		t.Errorf("%s, %v", got, err)
	}
}

// all reads a text to its end: key=value; of each record, and what ended it.
func all(in, layout string) (string, error) {
	s, err := NewSource(strings.NewReader(in), layout)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for {
		r, err := s.Next()
		if err != nil {
			return b.String(), err
		}
		b.WriteString(string(r.Key) + "=" + string(r.Value) + ";")
	}
}

func TestABadRecordOfTheInputIsNamedByItsNumber(t *testing.T) {
	got, err := all("{\"value\":\"1\"}\n{\"valu\":\"1\"}\n", "json")
	if got != "=1;" || err == nil || !strings.Contains(err.Error(), "record 2: ") {
		t.Errorf("%s, %v", got, err)
	}
	if got, err = all("a\t1\nb", `%k\t%v\n`); got != "a=1;" || err == nil || !strings.Contains(err.Error(), "record 2: ") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestLinesLongerThanTheBufferAreWhole(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 1<<20)
	l := NewLines(io.MultiReader(bytes.NewReader(long), strings.NewReader("\nb")))
	if line, err := l.Next(); err != nil || !bytes.Equal(line, long) || l.Read != 1<<20+1 {
		t.Errorf("%d bytes, %v, %d read", len(line), err, l.Read)
	}
	if line, err := l.Next(); err != nil || string(line) != "b" || l.Read != 1<<20+2 {
		t.Errorf("%q, %v, %d read", line, err, l.Read)
	}
	if _, err := l.Next(); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}
