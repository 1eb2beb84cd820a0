package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The measures of the picture, in pixels.
const (
	charWidth  = 7.8
	lineHeight = 17
	margin     = 14
	bar        = 26 // above the text
)

const (
	frame = 200 * time.Millisecond // what comes within one appears at once
	rest  = 8 * time.Second        // before it begins again
)

// piece is a part of a line in one style that appears at once.
type piece struct {
	row, column int
	style       string
	text        string
	at          time.Duration
}

// svg draws a recording: a terminal that types, prints and scrolls, over and over.
func svg(cast []byte) ([]byte, error) {
	es, err := eventsOf(cast)
	if err != nil {
		return nil, err
	}
	pieces, scroll, err := lay(es)
	if err != nil {
		return nil, err
	}
	end := es[len(es)-1].at + rest
	percent := func(at time.Duration) string {
		return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.2f", 100*at.Seconds()/end.Seconds()), "0"), ".") + "%"
	}
	var times []time.Duration
	for _, p := range pieces {
		times = append(times, p.at)
	}
	slices.Sort(times)
	times = slices.Compact(times)

	var b bytes.Buffer
	width, height := columns*charWidth+2*margin, rows*lineHeight+bar+margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img">`+"\n", width, height, width, height)
	b.WriteString("<title>Klamm: the first minute</title>\n<style>\n")
	b.WriteString(`svg{--back:#fbfbfa;--edge:#d0d4d9;--text:#24292f;--green:#1a7f37;--red:#b3261e;--yellow:#8a6100;--blue:#0a5cc0;--grey:#6a737d}
@media(prefers-color-scheme:dark){svg{--back:#15191f;--edge:#39414b;--text:#d7dce2;--green:#56d364;--red:#ff7b72;--yellow:#e3b341;--blue:#79b8ff;--grey:#8b949e}}
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:var(--text);white-space:pre}
.bold{font-weight:700}.green{fill:var(--green)}.red{fill:var(--red)}.yellow{fill:var(--yellow)}.blue{fill:var(--blue)}.grey{fill:var(--grey)}
`)
	fmt.Fprintf(&b, "#s,#s text{animation-duration:%gs;animation-iteration-count:infinite;animation-timing-function:step-end}\n", end.Seconds())
	for i, at := range times {
		if at > 0 {
			fmt.Fprintf(&b, "@keyframes k%d{0%%{opacity:0}%s{opacity:1}}#s .k%d{animation-name:k%d}\n", i, percent(at), i, i)
		}
	}
	b.WriteString("@keyframes s{0%{transform:none}")
	for _, s := range scroll {
		fmt.Fprintf(&b, "%s{transform:translateY(-%dpx)}", percent(s.at), s.row*lineHeight)
	}
	b.WriteString("}#s{animation-name:s}\n@media(prefers-reduced-motion:reduce){#s,#s text{animation:none!important}}\n</style>\n")
	fmt.Fprintf(&b, `<rect x=".5" y=".5" width="%.0f" height="%d" rx="8" fill="var(--back)" stroke="var(--edge)"/>`+"\n", width-1, height-1)
	for i := range 3 {
		fmt.Fprintf(&b, `<circle cx="%d" cy="15" r="4.5" fill="var(--edge)"/>`, 18+i*15)
	}
	fmt.Fprintf(&b, "\n"+`<svg x="%d" y="%d" width="%.0f" height="%d" viewBox="0 0 %.0f %d"><g id="s" xml:space="preserve">`+"\n", margin, bar, columns*charWidth, rows*lineHeight, columns*charWidth, rows*lineHeight)
	for _, p := range pieces {
		class := p.style
		if p.at > 0 {
			i, _ := slices.BinarySearch(times, p.at)
			class = strings.TrimSpace(fmt.Sprintf("k%d %s", i, class))
		}
		b.WriteString("<text")
		if p.column > 0 {
			fmt.Fprintf(&b, ` x="%.4g"`, float64(p.column)*charWidth)
		}
		fmt.Fprintf(&b, ` y="%d"`, p.row*lineHeight+13)
		if n := utf8.RuneCountInString(p.text); n > 1 {
			fmt.Fprintf(&b, ` textLength="%.4g"`, float64(n)*charWidth)
		}
		if class != "" {
			fmt.Fprintf(&b, ` class="%s"`, class)
		}
		b.WriteString(">")
		if err := xml.EscapeText(&b, []byte(p.text)); err != nil {
			return nil, err
		}
		b.WriteString("</text>\n")
	}
	b.WriteString("</g></svg></svg>\n")
	return b.Bytes(), nil
}

// move is a moment at which the row at the top is another one.
type move struct {
	at  time.Duration
	row int
}

// lay puts what a recording prints into rows that never end, and says when they scroll.
func lay(es []event) (pieces []piece, scroll []move, err error) {
	row, column, style := 0, 0, ""
	word := "" // of the command line that is typed, for its style
	for _, e := range es {
		if e.kind != "o" {
			word = e.text
			continue
		}
		at := e.at.Truncate(frame)
		typing := word != "" && e.text != prompt
		for rest := e.text; rest != ""; {
			switch {
			case strings.HasPrefix(rest, "\x1b["):
				code, after, ok := strings.Cut(rest[2:], "m")
				named, known := map[string]string{"0": "", "1": "bold", "31": "red", "32": "green", "33": "yellow", "34": "blue"}[code]
				if !ok || !known {
					return nil, nil, fmt.Errorf("the recording has %.8q, which is not drawn here", rest)
				}
				style, rest = named, after
			case strings.HasPrefix(rest, "\r\n"):
				row, column, rest, word = row+1, 0, rest[2:], ""
				if top := row - rows + 1; top > 0 {
					if n := len(scroll); n > 0 && scroll[n-1].at == at {
						scroll[n-1].row = top
					} else {
						scroll = append(scroll, move{at, top})
					}
				}
			case rest[0] == '\t':
				rest = strings.Repeat(" ", 8-column%8) + rest[1:]
			default:
				text := rest
				if i := strings.IndexAny(rest, "\x1b\r\n\t\b"); i >= 0 {
					text = rest[:i]
				}
				if text == "" {
					return nil, nil, fmt.Errorf("the recording has %.8q, which is not drawn here", rest)
				}
				rest = rest[len(text):]
				s := style
				if typing {
					s = "bold"
					if strings.HasPrefix(word, "#") {
						s = "grey"
					}
				}
				n := len(pieces) - 1
				if n >= 0 && pieces[n].row == row && pieces[n].style == s && pieces[n].at == at {
					pieces[n].text += text
				} else {
					pieces = append(pieces, piece{row, column, s, text, at})
				}
				column += utf8.RuneCountInString(text)
				if column > columns {
					return nil, nil, fmt.Errorf("a line is longer than %d columns: %s", columns, text)
				}
			}
		}
	}
	// Blanks that nothing follows or precedes are not drawn.
	drawn := pieces[:0]
	for _, p := range pieces {
		p.column += len(p.text) - len(strings.TrimLeft(p.text, " "))
		if p.text = strings.Trim(p.text, " "); p.text != "" {
			drawn = append(drawn, p)
		}
	}
	return drawn, scroll, nil
}
