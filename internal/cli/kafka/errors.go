package kafka

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm/klamm/internal/cli/app"
)

// refusal is an error that a broker answered with: its code, and its sentence where it gave one.
type refusal struct {
	code     int16
	sentence string
}

// refused is the refusal of an answer's code and sentence, nil for code 0.
func refused(code int16, sentence *string) error {
	if code == 0 {
		return nil
	}
	r := refusal{code: code}
	if sentence != nil {
		r.sentence = *sentence
	}
	return r
}

// Error is the broker's sentence, or that of the Java client for the code.
func (r refusal) Error() string {
	if r.sentence != "" {
		return r.sentence
	}
	return codeText(r.code)
}

// Unwrap is the client library's error of the code.
func (r refusal) Unwrap() error { return kerr.ErrorForCode(r.code) }

// class is the name of the Java client's exception for the code.
func (r refusal) class() string { return "org.apache.kafka.common.errors." + exception(r.code) }

// sentence is an error of these tools in the words of Java's.
type sentence string

// Error is the sentence.
func (s sentence) Error() string { return string(s) }

// saysf is a sentence.
func saysf(format string, args ...any) error { return sentence(fmt.Sprintf(format, args...)) }

// executed is an error as it comes out of a future of Java: the exception stands before its message.
type executed struct {
	err    error
	prefix string
}

// Error is the message with the exceptions before it.
func (e executed) Error() string { return e.prefix + wrapped(e.err) }

// Unwrap is the error itself.
func (e executed) Unwrap() error { return e.err }

// future is an error of a future, nil for none.
func future(err error) error {
	if err == nil {
		return nil
	}
	return executed{err: err}
}

// twice is future with one more exception around it.
func twice(err error) error {
	if err == nil {
		return nil
	}
	return executed{err, "java.util.concurrent.ExecutionException: "}
}

// message is what a tool of Java says of an error.
func message(err error) string {
	var said sentence
	var ex executed
	var r refusal
	var k *kerr.Error
	var f *app.Failure
	switch {
	case errors.As(err, &said):
		return string(said)
	case errors.As(err, &ex):
		return ex.Error()
	case errors.As(err, &r):
		return r.Error()
	case errors.As(err, &f):
		return f.Error()
	case errors.As(err, &k):
		return codeText(k.Code)
	}
	return app.Explain(err).Error()
}

// wrapped is message with the name of the exception before it, as Java says of an error that another one carries.
func wrapped(err error) string {
	var r refusal
	var k *kerr.Error
	switch {
	case errors.As(err, &r):
		return r.class() + ": " + r.Error()
	case errors.As(err, &k):
		return refusal{code: k.Code}.class() + ": " + codeText(k.Code)
	}
	return message(err)
}

// codeText is the Java client's sentence for a code. The client library's is the same for most.
func codeText(code int16) string {
	switch code {
	case 6:
		return "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition."
	case 10:
		return "The request included a message larger than the max message size the server will accept."
	case 24:
		return "The group id is invalid."
	case 29:
		return "Topic authorization failed."
	case 30:
		return "Group authorization failed."
	case 47:
		return "Producer attempted to produce with an old epoch."
	case 53:
		return "Transactional Id authorization failed."
	case 79:
		return "The group member needs to have a valid member id before actually entering a consumer group."
	case 81:
		return "The group has reached its maximum size."
	}
	var k *kerr.Error
	if errors.As(kerr.ErrorForCode(code), &k) {
		return k.Description
	}
	return "The server experienced an unexpected error when processing the request."
}

// exception is the Java client's class for a code: the code's name in words, but for a few.
func exception(code int16) string {
	switch code {
	case -1:
		return "UnknownServerException"
	case 2:
		return "CorruptRecordException"
	case 6:
		return "NotLeaderOrFollowerException"
	case 7:
		return "TimeoutException"
	case 10:
		return "RecordTooLargeException"
	case 11:
		return "ControllerMovedException"
	case 12:
		return "OffsetMetadataTooLarge"
	case 17:
		return "InvalidTopicException"
	case 18:
		return "RecordBatchTooLargeException"
	case 29, 30, 31, 53, 65:
		return strings.Replace(inWords(code), "Failed", "Exception", 1)
	case 36:
		return "TopicExistsException"
	case 40:
		return "InvalidConfigurationException"
	case 45:
		return "OutOfOrderSequenceException"
	case 46:
		return "DuplicateSequenceException"
	case 49:
		return "InvalidPidMappingException"
	case 50:
		return "InvalidTxnTimeoutException"
	case 58:
		return "SaslAuthenticationException"
	case 61:
		return "DelegationTokenDisabledException"
	case 64:
		return "UnsupportedByAuthenticationException"
	case 68:
		return "GroupNotEmptyException"
	case 106:
		return "FetchSessionTopicIdException"
	case 128:
		return "InvalidRegularExpression"
	}
	name := inWords(code)
	if strings.HasSuffix(name, "Exception") || code == 56 {
		return strings.TrimSuffix(name, "Error") + map[bool]string{true: "Exception"}[code == 56]
	}
	return name + "Exception"
}

// inWords is a code's name as a class has it: TOPIC_DELETION_DISABLED is TopicDeletionDisabled.
func inWords(code int16) string {
	var k *kerr.Error
	if !errors.As(kerr.ErrorForCode(code), &k) {
		return "UnknownServer"
	}
	var b strings.Builder
	for w := range strings.SplitSeq(k.Message, "_") {
		if w != "" {
			b.WriteString(w[:1] + strings.ToLower(w[1:]))
		}
	}
	return b.String()
}
