package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/klamm/klamm/internal/cli"
)

// asKlamm in the environment makes this test binary the klamm of the session.
const asKlamm = "SESSION_TEST_AS_KLAMM"

func TestMain(m *testing.M) {
	if os.Getenv(asKlamm) != "" {
		os.Exit(cli.Process(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// read is a file of this folder.
func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheCommandsOfTheSessionPrintWhatItShows(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("terminals are opened on Linux alone")
	}
	shown, err := stepsOf(read(t, "session.cast"))
	if err != nil {
		t.Fatal(err)
	}
	script := lines(read(t, "session.txt"))
	if len(shown) != len(script) {
		t.Fatalf("the recording has %d lines and session.txt %d; run docs/session/record", len(shown), len(script))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asKlamm, "1")
	now, err := record(t.Context(), self, script)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range shown {
		if s.line != script[i] || normal(s.text()) != normal(now[i].text()) {
			t.Errorf("%s\nprints:\n%s\nand the session shows:\n%s\nrun docs/session/record", script[i], now[i].text(), s.text())
		}
	}
}

func TestThePictureIsThatOfTheRecording(t *testing.T) {
	picture := read(t, "session.svg")
	drawn, err := svg(read(t, "session.cast"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(picture, drawn) {
		t.Error("session.svg is not what session.cast makes; run docs/session/record")
	}
	if len(picture) >= 60_000 {
		t.Errorf("session.svg has %d bytes", len(picture))
	}
	for d := xml.NewDecoder(bytes.NewReader(picture)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(string(picture), "prefers-color-scheme:dark") || !strings.Contains(string(picture), "created topic orders") {
		t.Error("session.svg lacks its dark colours or its text")
	}
}

func TestARecordingIsReadAsItWasWritten(t *testing.T) {
	steps := []step{
		{"klamm version", []chunk{{0, "\x1b[1mklamm\x1b[0m <1>\r\n"}, {30e6, "a\tb\r\n"}}},
		{"# a remark", nil},
	}
	back, err := stepsOf(castOf(steps))
	if err != nil || len(back) != 2 || back[0].line != steps[0].line || back[0].text() != steps[0].text() || back[1].text() != "" {
		t.Errorf("%v: %+v", err, back)
	}
	if !same(castOf(steps), back) || same(castOf(steps[:1]), back) {
		t.Error("same is wrong")
	}
	if _, err := svg(castOf([]step{{"x", []chunk{{0, "\x1b[2J"}}}})); err == nil {
		t.Error("what cannot be drawn is drawn")
	}
	if _, err := svg(castOf([]step{{"x", []chunk{{0, strings.Repeat("x", columns+1)}}}})); err == nil {
		t.Error("a line that is too long is drawn")
	}
	if _, err := stepsOf([]byte("{}")); err == nil {
		t.Error("something else is taken for a recording")
	}
}

func TestTimesAndIdsAreNoDifference(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"3 records (26 B) written to orders", "3 records (26 B) written to orders in 5ms, 4000 records/s", true},
		{"last record 2026-01-31T12:00:00.5Z, 1.7 s ago", "last record 2027-01-31T12:00:00Z, 90 ms ago", true},
		{"RATE\r\n0.05/s  x ", "RATE\n17/s x", true},
		{`new cluster "hU-lhNL3T3OD4H1D6rXv7w"`, `new cluster "AAAAAAAAAAAAAAAAAAAAAA"`, true},
		{"3 records", "4 records", false},
	} {
		if (normal(c.a) == normal(c.b)) != c.same {
			t.Errorf("%q and %q: %q and %q", c.a, c.b, normal(c.a), normal(c.b))
		}
	}
}
