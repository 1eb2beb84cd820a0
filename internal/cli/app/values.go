package app

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a duration as people write it: 500ms, 90s, 36h, 10d, 2w, and sums of those (1d12h).
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration such as 500ms, 90s, 36h or 10d", s)
	if s == "" {
		return 0, bad
	}
	rest, total := s, time.Duration(0)
	for rest != "" {
		i := 0
		for i < len(rest) && (rest[i] >= '0' && rest[i] <= '9' || rest[i] == '.') {
			i++
		}
		j := i
		for j < len(rest) && rest[j] >= 'a' && rest[j] <= 'z' {
			j++
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		unit, known := map[string]time.Duration{
			"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
			"us": time.Microsecond, "ns": time.Nanosecond,
		}[rest[i:j]]
		if err != nil || !known || n*float64(unit)+float64(total) > math.MaxInt64/2 {
			return 0, bad
		}
		total += time.Duration(n * float64(unit))
		rest = rest[j:]
	}
	return total, nil
}

// ParseTime reads a time: milliseconds since 1970, a date, a time (in now's zone unless it says its own),
// now, or a duration before it as in -1h.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if d, ok := strings.CutPrefix(s, "-"); ok {
		dur, err := ParseDuration(d)
		if err != nil {
			return time.Time{}, fmt.Errorf("%q is not a duration such as -90s, -1h or -7d", s)
		}
		return now.Add(-dur), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) != len("20060102") {
		return time.UnixMilli(n), nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(form, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if s == "now" {
		return now, nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-01-31T15:04:05Z, 2026-01-31, 1767225600000 or -1h", s)
}

// ParseSize reads a number of bytes as people write it: 512, 64k, 500MB, 1GiB. Decimal units are powers of
// 1,000, those with an i of 1,024.
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("%q is not a size such as 512, 64kB, 500MB or 1GiB", s)
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	n, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return 0, bad
	}
	unit := strings.ToLower(strings.TrimSpace(s[i:]))
	unit = strings.TrimSuffix(unit, "b")
	base := 1000.0
	if b, ok := strings.CutSuffix(unit, "i"); ok {
		unit, base = b, 1024
	}
	power := strings.Index("kmgtp", unit)
	if len(unit) > 1 || power < 0 {
		return 0, bad
	}
	if unit != "" {
		n *= math.Pow(base, float64(power+1))
	}
	if n > math.MaxInt64/2 {
		return 0, bad
	}
	return int64(n), nil
}
