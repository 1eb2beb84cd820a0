package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// Watchable gives a command --watch: it runs again and again until Ctrl-C. Call it when RunE is set.
func (a *App) Watchable(c *cobra.Command) {
	every := durationFlag(0)
	c.Flags().Var(&every, "watch", "show it again every so often, until Ctrl-C (--watch is 2s)")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if every == 0 {
			return run(c, args)
		}
		ctx := c.Context()
		for first := true; ; first = false {
			switch {
			case IsTerminal(a.Out):
				fmt.Fprint(a.Out, "\x1b[H\x1b[2J") // to the top, and clear
			case !first:
				fmt.Fprintln(a.Out)
			}
			if err := run(c, args); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			if !Sleep(ctx, time.Duration(every)) {
				return nil
			}
		}
	}
}

// durationFlag is a flag that ParseDuration reads.
type durationFlag time.Duration

// String is pflag.Value.
func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Set is pflag.Value.
func (d *durationFlag) Set(s string) error {
	v, err := ParseDuration(s)
	if err == nil && v <= 0 {
		err = errors.New("it must be above zero")
	}
	*d = durationFlag(v)
	return err
}

// Type is pflag.Value.
func (d *durationFlag) Type() string { return "duration" }

// DurationFlag gives a command a flag of the durations that ParseDuration reads.
func DurationFlag(c *cobra.Command, name string, def time.Duration, usage string) *time.Duration {
	d := durationFlag(def)
	c.Flags().Var(&d, name, usage)
	return (*time.Duration)(&d)
}

// Sleep waits for d, and says whether ctx went on that long.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// WaitFlag gives a command that starts something --wait: it comes back when that is done. Wait does it.
func WaitFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("wait", false, "come back when it is done everywhere")
}

// Wait asks done until it says yes, with a growing pause, within --timeout. what is said of it when time is up.
func (a *App) Wait(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout())
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		if !Sleep(ctx, pause) {
			return &Failure{Exit: ExitTimeout, Code: CodeTimeout, What: fmt.Sprintf("%s: not yet after %s", what, DurationText(a.Timeout())), Try: "a longer --timeout"}
		}
	}
}
