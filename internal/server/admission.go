package server

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// IPOverrides are limits of connections by address.
type IPOverrides map[netip.Addr]int

// ParseIPOverrides reads max.connections.per.ip.overrides: host:count pairs separated by commas. A
// host is an IP address; an IPv6 address may stand in brackets. Names are looked up by resolve, and
// refused when it is nil.
func ParseIPOverrides(value string, resolve func(host string) ([]string, error)) (IPOverrides, error) {
	o := IPOverrides{}
	for pair := range strings.SplitSeq(value, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		i := strings.LastIndexByte(pair, ':')
		if i < 1 {
			return nil, fmt.Errorf("%q is not host:count", pair)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(pair[i+1:]), 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q: the count after the last colon is not a number from 0 to %d", pair, math.MaxInt32)
		}
		host := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(pair[:i]), "["), "]")
		hosts := []string{host}
		if _, err := netip.ParseAddr(host); err != nil {
			if resolve == nil {
				return nil, fmt.Errorf("%q: %s is not an IP address", pair, host)
			}
			if hosts, err = resolve(host); err != nil {
				return nil, fmt.Errorf("%q: %w", pair, err)
			}
		}
		for _, h := range hosts {
			ip, err := netip.ParseAddr(h)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", pair, err)
			}
			o[ip.Unmap().WithZone("")] = int(n)
		}
	}
	return o, nil
}

// verdict is what becomes of a connection that asks to come in.
type verdict int8

const (
	admitted  verdict = iota
	refusedIP         // its address has too many
	crowded           // it waits until one leaves
	tooFast           // it waits for a time
)

// admission counts connections and holds them to the limits.
type admission struct {
	left chan struct{} // receives a value when a connection has left

	mu     sync.Mutex // guards what follows
	limits Limits
	total  int
	perIP  map[netip.Addr]int
	rate   bucket
}

func newAdmission(l Limits) *admission {
	a := &admission{left: make(chan struct{}, 1), perIP: map[netip.Addr]int{}}
	a.set(l)
	return a
}

func (a *admission) set(l Limits) {
	a.mu.Lock()
	a.limits = l
	a.rate.setRate(l.ConnectionCreationRate)
	a.mu.Unlock()
	a.tell()
}

func (a *admission) tell() {
	select {
	case a.left <- struct{}{}:
	default:
	}
}

// enter decides on a connection and counts it when it is admitted. For tooFast it says how long to wait.
func (a *admission) enter(ip netip.Addr, internal bool, now time.Time) (time.Duration, verdict) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ip.IsValid() {
		limit, ok := a.limits.MaxConnectionsPerIPOverrides[ip]
		if !ok {
			if limit = a.limits.MaxConnectionsPerIP; limit == 0 {
				limit = math.MaxInt
			}
		}
		if a.perIP[ip] >= limit {
			return 0, refusedIP
		}
	}
	if a.limits.MaxConnections != 0 && a.total >= a.limits.MaxConnections {
		return 0, crowded
	}
	// Brokers are not held up (KIP-612).
	if !internal && a.limits.ConnectionCreationRate > 0 {
		if wait := a.rate.take(now); wait > 0 {
			return wait, tooFast
		}
	}
	a.total++
	if ip.IsValid() {
		a.perIP[ip]++
	}
	return 0, admitted
}

// leave takes a connection off the counts.
func (a *admission) leave(ip netip.Addr) {
	a.mu.Lock()
	a.total--
	if ip.IsValid() {
		if a.perIP[ip]--; a.perIP[ip] == 0 {
			delete(a.perIP, ip)
		}
	}
	a.mu.Unlock()
	a.tell()
}

// bucket is a token bucket that holds the tokens of one second.
type bucket struct {
	mu     sync.Mutex // guards what follows
	rate   int        // tokens a second
	tokens float64
	last   time.Time
}

func (b *bucket) setRate(rate int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate = rate
	b.tokens = min(b.tokens, float64(rate))
}

// take takes a token, or says how long it takes until there is one.
func (b *bucket) take(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.IsZero() {
		b.tokens = float64(b.rate)
	} else if d := now.Sub(b.last); d > 0 {
		b.tokens = min(b.tokens+d.Seconds()*float64(b.rate), float64(b.rate))
	}
	b.last = now
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return time.Duration((1-b.tokens)/float64(b.rate)*float64(time.Second)) + time.Microsecond
}

// allow takes a token and reports whether there was one.
func (b *bucket) allow(now time.Time) bool { return b.take(now) == 0 }
