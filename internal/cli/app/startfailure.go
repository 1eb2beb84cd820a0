package app

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// StartFailure says why a node did not start: what could not start, and who has its port when that is the reason.
// otherPort is the command to try then, and otherwise what to try in every other case.
func StartFailure(err error, what, otherPort, otherwise string) *Failure {
	f := &Failure{Exit: ExitFailed, Code: CodeStart, What: what + " could not start", Why: err.Error(), Try: otherwise}
	var op *net.OpError
	if !errors.As(err, &op) || !errors.Is(err, syscall.EADDRINUSE) {
		return f
	}
	f.What, f.Why, f.Try = "an address is taken", op.Error(), otherPort
	if tcp, ok := op.Addr.(*net.TCPAddr); ok {
		f.What = fmt.Sprintf("port %d is taken", tcp.Port)
		if who := PortHolder(tcp.Port); who != "" {
			f.What += " by " + who
		}
	}
	return f
}

// OtherPort is an address of this machine to try when listen is taken.
func OtherPort(listen string) string {
	if _, port, _ := net.SplitHostPort(listen); port == "19092" {
		return "localhost:29092"
	}
	return "localhost:19092"
}
