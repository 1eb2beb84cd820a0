// Package transcript reads what a terminal shows, command lines with what they printed, out of the pages of the
// documentation, and tells whether they still print the same. It is for tests and for the recorded session.
package transcript

import (
	"regexp"
	"strings"
)

// Block is a fenced block of a Markdown text.
type Block struct {
	// Info is what stands behind the fence: the language, and for a test "tour" and what else it needs to know.
	Info string
	// Text is what is between the fences, with its last newline.
	Text string
	// Line is the number of Text's first line in the whole text, from 0.
	Line int
}

// Blocks returns the fenced blocks of a Markdown text, in their order.
func Blocks(text string) []Block {
	var bs []Block
	var open *Block
	n := 0
	for line := range strings.Lines(text) {
		n++
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &Block{Info: strings.TrimSpace(info), Line: n}
		case fence:
			bs = append(bs, *open)
			open = nil
		case open != nil:
			open.Text += line
		}
	}
	return bs
}

// Command is a command line and what a terminal shows after it.
type Command struct {
	// Line is the command line without its prompt; it has several lines where the shell asks for more.
	Line string
	// Want is what it prints on both streams, with its last newline; empty when it prints nothing.
	Want string
}

// Commands reads the text of a console: a line that begins with "$ " is a command, one with "> " right behind it
// goes on with it, and what follows is what it prints.
func Commands(text string) []Command {
	var cs []Command
	more := false
	for line := range strings.Lines(text) {
		begin, isCommand := strings.CutPrefix(line, "$ ")
		next, isMore := strings.CutPrefix(line, "> ")
		switch {
		case isCommand:
			cs = append(cs, Command{Line: strings.TrimSuffix(begin, "\n")})
			more = true
		case len(cs) == 0:
		case isMore && more:
			cs[len(cs)-1].Line += "\n" + strings.TrimSuffix(next, "\n")
		default:
			cs[len(cs)-1].Want += line
			more = false
		}
	}
	return cs
}

// String is the command as a console shows it.
func (c Command) String() string {
	return "$ " + strings.ReplaceAll(c.Line, "\n", "\n> ") + "\n" + c.Want
}

// Normal returns a text in which what differs from one run to the next stands as a word in capitals: times, ids,
// durations, sizes, rates. Blanks in a row are one, as the width of a table's columns differs too.
func Normal(text string) string {
	for _, r := range []struct{ pattern, by string }{
		{`\x1b\[[0-9;]*[A-Za-z]`, ""},
		{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`, "TIME"},
		{`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`, "UUID"},
		{`(^|[^A-Za-z0-9_-])[A-Za-z0-9_-]{22}($|[^A-Za-z0-9_-])`, "${1}ID$2"},
		{`\b\d{13}\b`, "TIME"},
		{`\b\d+ %`, "PERCENT"},
		{`127\.0\.0\.1|\[::1\]`, "localhost"},
		{`\b\d+(\.\d+)?( records| [kMG]?B)?/s\b`, "RATE"},
		{`\b\d+(\.\d+)? ?(ns|µs|ms|s|min|h|d)\b`, "DURATION"},
		{`\b\d+(\.\d+)? ?([kMGT]B|B)\b`, "SIZE"},
		// The bytes of a topic, which depend on how far apart its records came: JSON and YAML, a wide table, CSV.
		{`("?bytes"?: ?)\d+`, "${1}SIZE"},
		{`\b\d+([ \t]+DURATION[ \t]+ID\b)`, "SIZE$1"},
		{`,\d+(,\d+,ID,)`, ",SIZE$1"},
		{`(?m)[ \t]+$`, ""},
		{`[ \t]{2,}`, " "},
		{`(?m)^ `, ""},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.by)
	}
	return text
}

// Match tells whether what was printed is what was wanted, by Normal. A line of three dots in want stands for any
// number of lines.
func Match(want, got string) bool {
	return match(lines(want), lines(got))
}

// Begins tells whether what was printed so far begins as wanted.
func Begins(want, got string) bool {
	w, g := lines(want), lines(got)
	return len(g) >= len(w) && match(append(w, "..."), g)
}

// lines are the lines of a text by Normal.
func lines(text string) []string {
	text = strings.TrimSpace(Normal(text))
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// match compares lines.
func match(want, got []string) bool {
	for i, w := range want {
		if w == "..." {
			for skip := range len(got) - i + 1 {
				if match(want[i+1:], got[i+skip:]) {
					return true
				}
			}
			return false
		}
		if i >= len(got) || got[i] != w {
			return false
		}
	}
	return len(got) == len(want)
}
