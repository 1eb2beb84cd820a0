package app

import (
	"errors"
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
	}
	return err
}
