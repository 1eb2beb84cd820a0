package debug

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm/klamm/internal/cli/app"
)

// The states of a check.
const (
	ok   = "ok"
	warn = "warn" // it works, and may not do so for long or not well
	bad  = "bad"
)

// check is one line of what the doctor says.
type check struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn or bad
	Detail string `json:"detail"`
	Try    string `json:"try"` // the remedy; empty when all is well
}

// Doctor examines this machine and the way to a cluster.
func Doctor(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "Examine this machine and the way to a cluster; exit code 6 when something is bad", Args: app.Exactly(),
		Long: "Examine this machine and the way to a cluster: clock, disk, limits, ports, the addresses that clients are told,\nversions, and the time that a record takes. Nothing that it makes stays: a file of at most 16 MiB in the data\n" +
			"directory, and a topic klamm-doctor-..., which is deleted again. Without a broker it looks at this machine alone.",
		Example: "  klamm doctor\n  klamm doctor -b broker.example:9092          # from here, as a client\n  klamm doctor --data-dir /var/lib/klamm\n  klamm doctor --no-round-trip -o json         # without the topic",
	}
	form := app.OutputFlag(c)
	dir := c.Flags().String("data-dir", "./klamm-data", "where the disk is measured; the nearest directory above it when it is not there")
	noTrip := c.Flags().Bool("no-round-trip", false, "make no topic, and leave out the round trip and the clock")
	c.RunE = func(c *cobra.Command, _ []string) error {
		d := &doctor{a: a, form: form}
		if err := d.examine(c, *dir, !*noTrip); err != nil {
			return err
		}
		if !form.Human() {
			if err := app.PrintList(a, form, checkList(d.checks)); err != nil {
				return err
			}
		}
		return verdict(d.checks)
	}
	return c
}

// checkList is checks as a list.
func checkList(checks []check) app.List[check] {
	return app.List[check]{
		Items: checks,
		ID:    func(c check) string { return c.Check },
		Columns: []app.Column[check]{
			{Name: "check", Text: func(c check) string { return c.Check }},
			{Name: "status", Text: func(c check) string { return c.Status }},
			{Name: "detail", Text: func(c check) string { return c.Detail }},
			{Name: "try", Text: func(c check) string { return c.Try }},
		},
	}
}

// verdict is a failure when a check is bad.
func verdict(checks []check) error {
	n, first := 0, check{}
	for _, k := range checks {
		if k.Status == bad {
			if n++; n == 1 {
				first = k
			}
		}
	}
	if n == 0 {
		return nil
	}
	return &app.Failure{
		Exit: app.ExitUnhealthy, Code: app.CodeUnhealthy, What: fmt.Sprintf("%d of %s bad", n, app.CountText(len(checks), "check")),
		Why: first.Detail, Try: first.Try,
	}
}

// doctor is one examination.
type doctor struct {
	a      *app.App
	form   *app.Form
	checks []check
}

// say takes checks up, and shows them at once to people, who need not wait for the last.
func (d *doctor) say(checks ...check) {
	for _, k := range checks {
		d.checks = append(d.checks, k)
		if d.form.Human() {
			d.print(d.a.Out, k)
		}
	}
}

// print is a check for people: a line, and the remedy below it.
func (d *doctor) print(w io.Writer, k check) {
	colour := map[string]string{ok: "green", warn: "yellow", bad: "red"}[k.Status]
	fmt.Fprintf(w, "%s  %-12s  %s\n", d.a.Paint(w, colour, fmt.Sprintf("%-4s", k.Status)), strings.ReplaceAll(k.Check, "_", " "), strings.ReplaceAll(k.Detail, "\n", "\n                    "))
	if k.Try != "" {
		fmt.Fprintf(w, "                    try: %s\n", strings.ReplaceAll(k.Try, "\n", "\n                    "))
	}
}

// examine makes all checks. The error is one that keeps it from examining at all.
func (d *doctor) examine(c *cobra.Command, dir string, trip bool) error {
	seeds, from, err := d.a.Seeds()
	if err != nil {
		return err
	}
	d.say(check{"version", ok, fmt.Sprintf("klamm %s, %s, %s/%s, %d CPUs", app.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU()), ""})
	d.say(checkDisk(dir)...)
	d.say(checkSpace(dir), checkFiles())

	ctx, cancel := context.WithTimeout(c.Context(), d.a.Timeout())
	defer cancel()
	cl, err := d.a.Client(ctx, c, kgo.RetryTimeout(patience), kgo.RecordDeliveryTimeout(patience))
	if err != nil {
		f := app.Explain(err)
		if f.Exit == app.ExitUsage {
			return err
		}
		d.say(checkPort(clientPort, false), checkPort(adminPort, false))
		k := check{"broker", bad, fmt.Sprintf("nobody answers at %s (from %s)", strings.Join(seeds, ","), from), "is it running? klamm dev starts one here; -b HOST:PORT names another"}
		if from == "the default" {
			// Nobody said that there is a broker, so this machine alone was meant.
			k.Status, k.Try = warn, "klamm dev starts one; -b HOST:PORT names another"
		}
		d.say(k)
		return nil
	}
	defer cl.Close()
	way := &way{cl: cl, seeds: seeds}
	k, reached := way.ask(ctx)
	here := reached && onThisPort(seeds, clientPort)
	// The admin listener of a broker on this machine is where it belongs.
	d.say(checkPort(clientPort, here), checkPort(adminPort, here))
	d.say(k)
	if !reached {
		return nil
	}
	d.say(way.versions(ctx)...)
	told := way.advertised(ctx)
	d.say(told...)
	for _, k := range told {
		if k.Status == bad {
			if trip {
				d.say(check{"round_trip", warn, "left out, as clients cannot reach every broker", ""})
			}
			return nil
		}
	}
	if trip {
		d.say(roundTrip(ctx, d.a, c)...)
	}
	return nil
}

// onThisPort says that one of the addresses is a port of this machine.
func onThisPort(addrs []string, port int) bool {
	return slices.ContainsFunc(addrs, func(addr string) bool {
		_, p, err := net.SplitHostPort(addr)
		return err == nil && p == strconv.Itoa(port) && loopback(addr)
	})
}
