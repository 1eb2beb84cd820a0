package coordinator

import "sync"

// Pending is a call whose answer comes later. It is reused: each Do begins anew,
// and an answer to an earlier one that was cancelled never shows.
type Pending struct {
	ready chan struct{}

	mu   sync.Mutex // guards the rest
	call uint64     // counts the calls, so that late answers are told apart
	open bool
	body any
}

// NewPending returns a Pending that waits for nothing.
func NewPending() *Pending { return &Pending{ready: make(chan struct{}, 1)} }

// Ready receives a value when Take has an answer.
func (p *Pending) Ready() <-chan struct{} { return p.ready }

// Take returns the answer, once: the response that the decision made, or an error
// with a protocol code when the shard could not decide or keep it. It returns nil
// while there is none.
func (p *Pending) Take() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	body := p.body
	p.body = nil
	return body
}

// Cancel gives the call up: what was decided stands, and nobody is told.
func (p *Pending) Cancel() {
	p.mu.Lock()
	p.open, p.body = false, nil
	p.mu.Unlock()
}

// begin starts another call and returns its number.
func (p *Pending) begin() uint64 {
	select {
	case <-p.ready:
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.call++
	p.open, p.body = true, nil
	return p.call
}

// caller is one call on a Pending; the zero caller wants no answer.
type caller struct {
	p    *Pending
	call uint64
}

func (c caller) answer(body any) {
	if c.p == nil {
		return
	}
	c.p.mu.Lock()
	if !c.p.open || c.p.call != c.call {
		c.p.mu.Unlock()
		return
	}
	c.p.open, c.p.body = false, body
	c.p.mu.Unlock()
	select {
	case c.p.ready <- struct{}{}:
	default:
	}
}
