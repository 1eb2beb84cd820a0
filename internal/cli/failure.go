package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// failure is how a command ends that did not do what it was asked: an exit code, a stable code for
// scripts and searches, what happened, why, and what to try.
type failure struct {
	exit int
	code string // K1001 and on; listed by newFailure's callers
	what string
	why  string // empty when what says it all
	try  string // a command or a sentence; empty when there is none
}

// The stable codes of failures.
const (
	codeUsage       = "K1001" // the command line cannot be understood
	codeUnreachable = "K1002" // no broker answers
	codeNotFound    = "K1003" // a topic, group or file is not there
	codeRefused     = "K1004" // a change needs confirmation
	codeTimeout     = "K1005" // no answer in time
	codeBroker      = "K1006" // the broker refused
	codeConfig      = "K1007" // a configuration cannot be obeyed
	codeStart       = "K1008" // a node could not start
	codeStopped     = "K1009" // a node stopped by an error
	codeInput       = "K1010" // a file or standard input cannot be read as what it should be
	codePartly      = "K1011" // done for some of what was named
)

// Error returns what and why in a line.
func (f *failure) Error() string {
	if f.why == "" {
		return f.what
	}
	return f.what + ": " + f.why
}

// print writes the failure as people and scripts read it.
func (f *failure) print(w io.Writer) {
	fmt.Fprintf(w, "error %s: %s\n", f.code, f.what)
	if f.why != "" {
		fmt.Fprintf(w, "  why: %s\n", strings.ReplaceAll(f.why, "\n", "\n       "))
	}
	if f.try != "" {
		fmt.Fprintf(w, "  try: %s\n", f.try)
	}
}

// usage is a command line that cannot be understood.
func usage(c *cobra.Command, format string, args ...any) *failure {
	return &failure{exit: exitUsage, code: codeUsage, what: fmt.Sprintf(format, args...), try: c.CommandPath() + " --help"}
}

// failed is a failure of a broker's doing or of another's: what was tried, and the error that came of it.
// Errors of Kafka's protocol, of the network and of time have their own exit codes.
func failed(err error, format string, args ...any) *failure {
	f := explain(err)
	if f.why == "" && f.code == codeInput {
		f.why = f.what
	}
	f.what = fmt.Sprintf(format, args...)
	return f
}

// explain makes a failure of any error; one that is a failure already stays as it is.
func explain(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		clone := *f
		return &clone
	}
	var kafka *kerr.Error
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &kafka):
		f := &failure{exit: exitFailed, code: codeBroker, what: "the broker refused", why: kafkaText(err, kafka)}
		switch kafka {
		case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID:
			f.exit, f.code, f.try = exitNotFound, codeNotFound, "klamm topic list"
		case kerr.GroupIDNotFound:
			f.exit, f.code, f.try = exitNotFound, codeNotFound, "klamm group list"
		case kerr.RequestTimedOut:
			f.exit, f.code = exitTimeout, codeTimeout
		}
		return f
	case errors.As(err, &dns), errors.As(err, &op), errors.Is(err, kgo.ErrClientClosed):
		return &failure{exit: exitFailed, code: codeUnreachable, what: "no broker answers", why: lastLine(err), try: "klamm dev   # or name another broker with -b HOST:PORT"}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{exit: exitTimeout, code: codeTimeout, what: "no answer in time", why: lastLine(err), try: "a longer --timeout, or another broker with -b HOST:PORT"}
	case errors.Is(err, context.Canceled):
		return &failure{exit: exitFailed, code: codeStopped, what: "interrupted"}
	}
	return &failure{exit: exitFailed, code: codeInput, what: strings.TrimSpace(lastLine(err))}
}

// kafkaText is the protocol's name of an error and its sentence.
func kafkaText(err error, k *kerr.Error) string {
	text := k.Message + ": " + strings.TrimSuffix(k.Description, ".")
	if full := err.Error(); !strings.Contains(k.Error(), full) && !strings.Contains(full, k.Error()) {
		return full
	}
	return text
}

// lastLine keeps one line of an error's text, without the client library's name before it.
func lastLine(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "\n"); i >= 0 {
		text = text[i+1:]
	}
	return text
}
