package app

import (
	"errors"
	"io"
	"os/signal"
	"runtime"
	"syscall"
)

// HearClosedPipe makes writes to a pipe that nobody reads any more fail, as in klamm consume orders | head, where
// they would end the process by a signal otherwise. ClosedPipe knows that error. Commands that print for long call
// it; it counts for the whole process, and does nothing where Out is no file.
func (a *App) HearClosedPipe() {
	if _, ok := file(a.Out); ok {
		signal.Ignore(syscall.SIGPIPE)
	}
}

// ClosedPipe says that an error is that of a pipe that nobody reads any more.
func ClosedPipe(err error) bool {
	var errno syscall.Errno
	if runtime.GOOS == "windows" && errors.As(err, &errno) {
		return errno == 109 || errno == 232 // ERROR_BROKEN_PIPE, ERROR_NO_DATA
	}
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
