//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

// openTerminal opens a terminal on Linux alone.
func openTerminal(columns, rows uint16) (pty, tty *os.File, err error) {
	return nil, nil, errors.ErrUnsupported
}

// session gives a command its terminal, where there is one.
func session() *syscall.SysProcAttr { return nil }

// interrupt ends a command.
func interrupt(p *os.Process) { _ = p.Kill() }

// ended says that nobody prints on a terminal any more.
func ended(err error) bool { return err != nil }
