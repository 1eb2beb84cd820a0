package app

import "time"

// Hide keeps a Progress from drawing: for commands that print records to the terminal that it would draw on. It
// still counts.
func (p *Progress) Hide() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drawn = p.began.Add(100 * 365 * 24 * time.Hour)
}
