package app

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Progress shows how far a long command is: one line on standard error that is written over, on a terminal
// only. Methods may be called by several goroutines.
type Progress struct {
	a     *App
	label string
	began time.Time

	mu    sync.Mutex
	total int64 // 0 when it is not known
	done  int64
	bytes int64
	drawn time.Time
	width int // of the line that is on the screen
}

// Progress begins a line named label. total is how many records there are to come, 0 when nobody knows.
// End it with Done.
func (a *App) Progress(label string, total int64) *Progress {
	now := a.Time()
	return &Progress{a: a, label: label, total: total, began: now, drawn: now}
}

// Add counts records and bytes, and draws the line again five times a second.
func (p *Progress) Add(records, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += records
	p.bytes += bytes
	if !p.a.Talking() {
		return
	}
	if now := p.a.Time(); now.Sub(p.drawn) >= 200*time.Millisecond {
		p.drawn = now
		p.draw(p.line(now))
	}
}

// line is what is shown.
func (p *Progress) line(now time.Time) string {
	took := now.Sub(p.began)
	rate := float64(p.done) / max(took.Seconds(), 0.001)
	s := fmt.Sprintf("%s %d", p.label, p.done)
	if p.total > 0 {
		part := min(float64(p.done)/float64(p.total), 1)
		filled := int(part * 20)
		s = fmt.Sprintf("%s [%s%s] %3.0f %%  %d of %d", p.label, strings.Repeat("#", filled), strings.Repeat(".", 20-filled), part*100, p.done, p.total)
	}
	s += fmt.Sprintf("  %.0f/s  %s", rate, BytesText(p.bytes))
	if p.total > p.done && rate > 0 && p.done > 0 {
		s += "  " + DurationText(time.Duration(float64(p.total-p.done)/rate*float64(time.Second)).Round(time.Second)) + " left"
	}
	return s
}

// draw writes over the line that is there.
func (p *Progress) draw(s string) {
	pad := max(p.width-len(s), 0)
	fmt.Fprintf(p.a.Err, "\r%s%s", s, strings.Repeat(" ", pad))
	p.width = len(s)
}

// Done takes the line away, and returns how much there was and how long it took.
func (p *Progress) Done() (records, bytes int64, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width > 0 {
		p.draw("")
		fmt.Fprint(p.a.Err, "\r")
	}
	return p.done, p.bytes, p.a.Time().Sub(p.began)
}

// Summary is the sentence at the end of a long command: how much, and how fast where that means something.
func Summary(records, bytes int64, took time.Duration) string {
	s := fmt.Sprintf("%s (%s)", CountText(records, "record"), BytesText(bytes))
	if records >= 1000 && took > 0 {
		s += fmt.Sprintf(" in %s, %.0f records/s", took.Round(time.Millisecond), float64(records)/took.Seconds())
	}
	return s
}
