package app

import (
	"errors"
	"fmt"
	"strings"
)

// AskByName is Ask for what was found by a pattern and not named by the person: -y is not enough, each name must
// be confirmed or typed.
func (h *Harm) AskByName(a *App, name, deed string) error {
	byName := *h
	byName.yes = false
	err := byName.Ask(a, name, deed)
	var f *Failure
	if errors.As(err, &f) {
		f.Try = strings.TrimSuffix(f.Try, ", or -y")
		if h.yes && a.Protected() == "" && !a.Interactive() {
			f.Why = fmt.Sprintf("a pattern found %s, and to %s needs its name: -y is not enough", name, deed)
		}
	}
	return err
}
