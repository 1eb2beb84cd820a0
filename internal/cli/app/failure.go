package app

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

// Failure is how a command ends that did not do what it was asked: an exit code, a stable code for
// scripts and searches, what happened, why, and what to try.
type Failure struct {
	Exit int
	Code string // one of Codes
	What string
	Why  string // empty when What says it all
	Try  string // a command or a sentence; empty when there is none
}

// The stable codes of failures. docs/errors.md says what each means and what to do.
const (
	CodeUsage       = "K1001" // the command line cannot be understood
	CodeUnreachable = "K1002" // no broker answers
	CodeNotFound    = "K1003" // a topic, group, profile or file is not there
	CodeRefused     = "K1004" // a change needs confirmation
	CodeTimeout     = "K1005" // no answer in time
	CodeBroker      = "K1006" // the broker refused
	CodeConfig      = "K1007" // a configuration cannot be obeyed
	CodeStart       = "K1008" // a node could not start
	CodeStopped     = "K1009" // a node or a command was stopped
	CodeInput       = "K1010" // a file or standard input cannot be read as what it should be
	CodePartly      = "K1011" // done for some of what was named
	CodeUnhealthy   = "K1012" // what was looked at is not well
	CodeNotHere     = "K1013" // this cluster cannot do that: another broker, or an older one
	CodeExists      = "K1014" // what was to be made is there already
	CodeAuth        = "K1015" // the broker does not let this client in, or does not let it do this
)

// Codes are all stable codes, in order.
func Codes() []string {
	return []string{
		CodeUsage, CodeUnreachable, CodeNotFound, CodeRefused, CodeTimeout, CodeBroker, CodeConfig, CodeStart, CodeStopped, CodeInput,
		CodePartly, CodeUnhealthy, CodeNotHere, CodeExists, CodeAuth,
	}
}

// Error returns what and why in a line.
func (f *Failure) Error() string {
	if f.Why == "" {
		return f.What
	}
	return f.What + ": " + f.Why
}

// Print writes the failure as people and scripts read it, without what would steer their terminal; one that is
// Said writes nothing.
func (f *Failure) Print(w io.Writer) {
	if f.What == "" {
		return
	}
	fmt.Fprintf(w, "error %s: %s\n", f.Code, strings.Map(visible, f.What))
	if f.Why != "" {
		lines := strings.Split(f.Why, "\n")
		for i, line := range lines {
			lines[i] = strings.Map(visible, line)
		}
		fmt.Fprintf(w, "  why: %s\n", strings.Join(lines, "\n       "))
	}
	if f.Try != "" {
		fmt.Fprintf(w, "  try: %s\n", strings.Map(visible, f.Try))
	}
}

// Usage is a command line that cannot be understood.
func Usage(c *cobra.Command, format string, args ...any) *Failure {
	return &Failure{Exit: ExitUsage, Code: CodeUsage, What: fmt.Sprintf(format, args...), Try: c.CommandPath() + " --help"}
}

// NotFound is something that is not there: kind is topic, group, file and the like.
func NotFound(kind, name, try string) *Failure {
	return &Failure{Exit: ExitNotFound, Code: CodeNotFound, What: fmt.Sprintf("there is no %s %s", kind, name), Try: try}
}

// Input is a file or standard input that cannot be read as what it should be.
func Input(err error, format string, args ...any) *Failure {
	return &Failure{Exit: ExitFailed, Code: CodeInput, What: fmt.Sprintf(format, args...), Why: err.Error()}
}

// Failed is a failure of a broker's doing or of another's: what was tried, and the error that came of it.
// Errors of Kafka's protocol, of the network and of time have their own exit codes.
func Failed(err error, format string, args ...any) *Failure {
	f := Explain(err)
	if f.Why == "" && f.Code == CodeInput {
		f.Why = f.What
	}
	f.What = fmt.Sprintf(format, args...)
	return f
}

// Refusal is a failure of one thing that a broker refused, with the broker's own sentence where it has one.
func Refusal(err error, message, format string, args ...any) *Failure {
	f := Failed(err, format, args...)
	if message != "" {
		var k *kerr.Error
		if errors.As(err, &k) {
			message = k.Message + ": " + message
		}
		f.Why = message
	}
	return f
}

// Partly is the outcome of a command on several things: nil, the one failure, or exit code 7 when some were
// done. All failures but the first are printed.
func Partly(a *App, done int, fails []*Failure) error {
	if len(fails) == 0 {
		return nil
	}
	for _, f := range fails[1:] {
		f.Print(a.Err)
	}
	if done > 0 {
		f := *fails[0]
		f.Exit, f.Code = ExitPartly, CodePartly
		return &f
	}
	return fails[0]
}

// Explain makes a failure of any error; one that is a failure already stays as it is.
func Explain(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		clone := *f
		return &clone
	}
	var kafka *kerr.Error
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &kafka):
		f := &Failure{Exit: ExitFailed, Code: CodeBroker, What: "the broker refused", Why: kafkaText(err, kafka)}
		switch kafka {
		case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID:
			f.Exit, f.Code, f.Try = ExitNotFound, CodeNotFound, "klamm topic list"
		case kerr.GroupIDNotFound:
			f.Exit, f.Code, f.Try = ExitNotFound, CodeNotFound, "klamm group list"
		case kerr.RequestTimedOut:
			f.Exit, f.Code = ExitTimeout, CodeTimeout
		case kerr.TopicAlreadyExists:
			f.Code = CodeExists
		case kerr.UnsupportedVersion:
			f.Code = CodeNotHere
		case kerr.SaslAuthenticationFailed, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
			kerr.TransactionalIDAuthorizationFailed, kerr.DelegationTokenAuthorizationFailed, kerr.IllegalSaslState, kerr.UnsupportedSaslMechanism:
			f.Code = CodeAuth
		}
		return f
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &op) && op.Timeout(), errors.As(err, &dns) && dns.Timeout():
		return &Failure{Exit: ExitTimeout, Code: CodeTimeout, What: "no answer in time", Why: lastLine(err), Try: tryTimeout}
	case errors.As(err, &dns), errors.As(err, &op), errors.Is(err, kgo.ErrClientClosed):
		return &Failure{Exit: ExitFailed, Code: CodeUnreachable, What: "no broker answers", Why: lastLine(err), Try: "klamm dev   # or name another broker with -b HOST:PORT"}
	case errors.Is(err, context.Canceled):
		return &Failure{Exit: ExitFailed, Code: CodeStopped, What: "interrupted"}
	}
	if f := stranger(err); f != nil {
		return f
	}
	return &Failure{Exit: ExitFailed, Code: CodeInput, What: strings.TrimSpace(lastLine(err))}
}

// tryTimeout is what to try when nothing came in time.
const tryTimeout = "a longer --timeout, or another broker with -b HOST:PORT"

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
