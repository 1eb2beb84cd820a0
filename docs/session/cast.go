package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// How a session is typed and read.
const (
	prompt    = "\x1b[32m$\x1b[0m "
	keystroke = 35 * time.Millisecond
	think     = 600 * time.Millisecond // between the prompt and the first key
	glance    = 900 * time.Millisecond // at what was printed
	readLine  = 220 * time.Millisecond // a line of it
	tick      = 10 * time.Millisecond  // times are multiples of it
)

// castHeader is the first line of an asciinema recording, version 2.
type castHeader struct {
	Version int    `json:"version"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Title   string `json:"title"`
}

// event is a line of a recording: at a time, in seconds, "o" for a text that is printed or "m" for a mark.
type event struct {
	at   time.Duration
	kind string
	text string
}

// castOf is the recording of a session. A mark with the command line stands before each step.
func castOf(steps []step) []byte {
	var b bytes.Buffer
	line := func(v any) {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			panic(err) // strings and numbers alone
		}
	}
	line(castHeader{2, columns, rows, "Klamm: the first minute"})
	var now time.Duration
	put := func(kind, text string) {
		line([]any{json.Number(fmt.Sprintf("%.2f", now.Seconds())), kind, text})
	}
	for _, s := range steps {
		put("m", s.line)
		put("o", prompt)
		now += think
		for _, r := range s.line {
			put("o", string(r))
			now += keystroke
		}
		put("o", "\r\n")
		began := now
		for _, c := range s.out {
			now = began + (c.after + tick - 1).Truncate(tick)
			put("o", c.text)
		}
		now += glance + time.Duration(strings.Count(s.text(), "\n"))*readLine
	}
	put("o", prompt)
	return b.Bytes()
}

// eventsOf reads a recording.
func eventsOf(cast []byte) ([]event, error) {
	s := bufio.NewScanner(bytes.NewReader(cast))
	s.Buffer(nil, 1<<20)
	var header castHeader
	if !s.Scan() || json.Unmarshal(s.Bytes(), &header) != nil || header.Version != 2 {
		return nil, fmt.Errorf("this is no asciinema recording of version 2")
	}
	var es []event
	for s.Scan() {
		var at float64
		var e event
		if err := json.Unmarshal(s.Bytes(), &[]any{&at, &e.kind, &e.text}); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(es)+2, err)
		}
		e.at = time.Duration(at*1000+.5) * time.Millisecond
		es = append(es, e)
	}
	return es, s.Err()
}

// stepsOf reads the steps back out of a recording; the times of their chunks are those of the recording.
func stepsOf(cast []byte) ([]step, error) {
	es, err := eventsOf(cast)
	if err != nil {
		return nil, err
	}
	var steps []step
	typed := false // the command line is there, what follows is output
	for _, e := range es {
		switch {
		case e.kind == "m":
			steps = append(steps, step{line: e.text})
			typed = false
		case len(steps) == 0 || e.kind != "o":
		case !typed:
			typed = e.text == "\r\n"
		case e.text != prompt:
			s := &steps[len(steps)-1]
			s.out = append(s.out, chunk{e.at, e.text})
		}
	}
	return steps, nil
}
