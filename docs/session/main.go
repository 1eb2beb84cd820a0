// Command session records the terminal session that the README shows: the command lines of session.txt, run for
// real, as an asciinema recording and as a picture. docs/session/record calls it.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	klamm := flag.String("klamm", "", "the klamm to record")
	again := flag.Bool("again", false, "take the new recording though it says the same as the one there")
	flag.Parse()
	if *klamm == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: session -klamm FILE [-again] DIR")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *klamm, flag.Arg(0), *again); err != nil {
		fmt.Fprintln(os.Stderr, "session:", err)
		os.Exit(1)
	}
}

// run records the session.txt of dir into the session.cast and session.svg beside it.
func run(ctx context.Context, klamm, dir string, again bool) error {
	script, err := os.ReadFile(filepath.Join(dir, "session.txt"))
	if err != nil {
		return err
	}
	steps, err := record(ctx, klamm, lines(script))
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "session.cast")
	cast, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if again || !same(cast, steps) {
		cast = castOf(steps)
		if err := os.WriteFile(file, cast, 0o644); err != nil {
			return err
		}
	}
	picture, err := svg(cast)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "session.svg"), picture, 0o644)
}

// same tells whether a recording shows what the steps are, but for what differs from run to run.
func same(cast []byte, steps []step) bool {
	old, err := stepsOf(cast)
	if err != nil || len(old) != len(steps) {
		return false
	}
	for i, s := range steps {
		if old[i].line != s.line || normal(old[i].text()) != normal(s.text()) {
			return false
		}
	}
	return true
}

// lines are the command lines of a script.
func lines(script []byte) []string {
	return strings.Split(string(bytes.TrimSpace(script)), "\n")
}
