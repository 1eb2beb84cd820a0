package app

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// stranger explains an error of talking to what is no Kafka broker, or not in the way that was said: another
// protocol, TLS where none is, a certificate that is not trusted, a connection that is closed at once. It is nil
// for every other error.
func stranger(err error) *Failure {
	f := &Failure{Exit: ExitFailed, Code: CodeUnreachable, What: "no broker answers"}
	text := err.Error()
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var first *kgo.ErrFirstReadEOF
	switch {
	case errors.As(err, &name):
		f.Why, f.Try = "the broker's certificate is for another name: "+name.Error(), "another name of it with -b, or -X ssl.endpoint.identification.algorithm=none"
	case errors.As(err, &unknown), errors.As(err, &certificate):
		f.Why, f.Try = "the broker's certificate is not trusted: "+lastLine(err), "-X ssl.ca.location=FILE, with the certificate of who signed it"
	case errors.As(err, &record):
		f.Why, f.Try = "TLS was asked for, and what answers speaks none", "-X security.protocol=PLAINTEXT, or SASL_PLAINTEXT"
	case errors.As(err, &alert):
		f.Why, f.Try = "the broker refused the TLS of this client: "+alert.Error(), "-X ssl.certificate.location=FILE -X ssl.key.location=FILE, when it asks who the client is"
	case strings.Contains(text, "'HTTP' in ascii"):
		f.Why, f.Try = "an HTTP server answers there, and no Kafka broker", "the port of a broker with -b HOST:PORT"
	case strings.Contains(text, "tls alert record"):
		f.Why, f.Try = "what answers speaks TLS, and this client was not told to", "-X security.protocol=SSL, or SASL_SSL"
	case strings.HasPrefix(text, "invalid large response size"), strings.HasPrefix(text, "invalid negative response size"):
		f.Why, f.Try = "what answers there does not speak as a Kafka broker does", "another broker with -b HOST:PORT"
	case errors.As(err, &first), errors.Is(err, io.EOF):
		f.Why = "the connection was closed at once, as by a broker that expects TLS or SASL, or does not, where this client does otherwise"
		f.Try = "-X security.protocol=PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, as the broker's listener has it"
	default:
		return nil
	}
	return f
}
