package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Range allows whole numbers from min to max, both included.
func Range(min, max int64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err == nil && n >= min && n <= max {
			return nil
		}
		if max == math.MaxInt64 {
			return fmt.Errorf("Value must be at least %d", min)
		}
		return fmt.Errorf("Value must be from %d to %d", min, max)
	}
}

// AtLeast allows whole numbers from min on.
func AtLeast(min int64) func(string) error { return Range(min, math.MaxInt64) }

// Positive allows whole numbers from 1 on.
func Positive() func(string) error { return AtLeast(1) }

// NotNegative allows whole numbers from 0 on.
func NotNegative() func(string) error { return AtLeast(0) }

// RangeFloat allows numbers from min to max, both included.
func RangeFloat(min, max float64) func(string) error {
	return func(value string) error {
		f, err := strconv.ParseFloat(value, 64)
		if err == nil && f >= min && f <= max {
			return nil
		}
		if max == math.MaxFloat64 {
			return fmt.Errorf("Value must be at least %s", formatDouble(min))
		}
		return fmt.Errorf("Value must be from %s to %s", formatDouble(min), formatDouble(max))
	}
}

// OneOf allows these texts alone, in these letters.
func OneOf(values ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(values, value) {
			return nil
		}
		return fmt.Errorf("String must be one of: %s", strings.Join(values, ", "))
	}
}

// ListOf allows lists of these texts, each at most once, and the empty list. With no values any text may stand in the list.
func ListOf(values ...string) func(string) error {
	return func(value string) error {
		seen := map[string]bool{}
		for _, v := range SplitList(value) {
			switch {
			case v == "":
				return fmt.Errorf("an element of the list is empty; write a,b without a comma too many")
			case seen[v]:
				return fmt.Errorf("%s stands in the list twice; write it once", v)
			case len(values) > 0 && !slices.Contains(values, v):
				return fmt.Errorf("each element must be one of: %s", strings.Join(values, ", "))
			}
			seen[v] = true
		}
		return nil
	}
}

// NotEmpty allows any text or list but the empty one.
func NotEmpty() func(string) error {
	return func(value string) error {
		if value == "" {
			return fmt.Errorf("the value must not be empty")
		}
		return nil
	}
}

// All allows what every one of checks allows, and fails with the first complaint.
func All(checks ...func(string) error) func(string) error {
	return func(value string) error {
		for _, c := range checks {
			if err := c(value); err != nil {
				return err
			}
		}
		return nil
	}
}

// Any allows what at least one of checks allows, Any(OneOf("-1"), Positive()) for example.
func Any(checks ...func(string) error) func(string) error {
	return func(value string) error {
		texts := make([]string, 0, len(checks))
		for _, c := range checks {
			err := c(value)
			if err == nil {
				return nil
			}
			texts = append(texts, err.Error())
		}
		return fmt.Errorf("%s", strings.Join(texts, ", or "))
	}
}
