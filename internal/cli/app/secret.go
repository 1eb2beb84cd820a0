package app

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Secret resolves a value that may stand elsewhere: file:PATH is a file's text, env:NAME a variable of the
// environment, cmd:COMMAND what a command of the shell prints, each without its last newline. Any other value
// is the secret itself.
func Secret(v string) (string, error) {
	kind, at, ok := strings.Cut(v, ":")
	if !ok {
		return v, nil
	}
	switch kind {
	case "file":
		b, err := os.ReadFile(at)
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	case "env":
		s, set := os.LookupEnv(at)
		if !set {
			return "", fmt.Errorf("%s is not set in the environment", at)
		}
		return s, nil
	case "cmd":
		out, err := exec.Command("sh", "-c", at).Output()
		if err != nil {
			return "", fmt.Errorf("the command %q failed: %w", at, err)
		}
		return strings.TrimRight(string(out), "\r\n"), nil
	}
	return v, nil
}

// notPEM refuses a key store that is Java's own.
func notPEM(property, path string) error {
	return fmt.Errorf("%s: %s is not PEM; make it so with keytool -importkeystore -deststoretype PKCS12, then openssl pkcs12 -in STORE.p12 -out STORE.pem", property, path)
}

// roots are the authorities that are trusted; nil for the system's.
func (c *connection) roots() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	read := func(property, path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", property, err)
		}
		if !pool.AppendCertsFromPEM(b) {
			return notPEM(property, path)
		}
		return nil
	}
	any := false
	for _, property := range []string{"ssl.ca.location", "ssl.truststore.location"} {
		path := c.values[property]
		if path == "" || path == "probe" {
			continue
		}
		any = true
		st, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", property, err)
		}
		files := []string{path}
		if st.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.pem")); err != nil || len(files) == 0 {
				return nil, fmt.Errorf("%s: there is no *.pem in %s", property, path)
			}
		}
		for _, f := range files {
			if err := read(property, f); err != nil {
				return nil, err
			}
		}
	}
	for _, property := range []string{"ssl.ca.pem", "ssl.truststore.certificates"} {
		if v := c.values[property]; v != "" {
			any = true
			if !pool.AppendCertsFromPEM([]byte(v)) {
				return nil, fmt.Errorf("%s: the value holds no certificate in PEM", property)
			}
		}
	}
	if !any {
		return nil, nil
	}
	return pool, nil
}

// certificate is who this client is to the broker; nil for nobody.
func (c *connection) certificate() (*tls.Certificate, error) {
	chain, key := []byte(c.values["ssl.certificate.pem"]), []byte(c.values["ssl.key.pem"])
	if v := c.values["ssl.keystore.certificate.chain"]; v != "" {
		chain, key = []byte(v), []byte(c.values["ssl.keystore.key"])
	}
	for _, f := range []struct {
		property string
		into     *[]byte
	}{{"ssl.certificate.location", &chain}, {"ssl.key.location", &key}} {
		if path := c.values[f.property]; path != "" {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.property, err)
			}
			*f.into = b
		}
	}
	if path := c.values["ssl.keystore.location"]; path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("ssl.keystore.location: %w", err)
		}
		if block, _ := pem.Decode(b); block == nil {
			return nil, notPEM("ssl.keystore.location", path)
		}
		chain, key = b, b
	}
	switch {
	case len(chain) == 0 && len(key) == 0:
		return nil, nil
	case len(chain) == 0 || len(key) == 0:
		return nil, errors.New("a client's certificate needs its key and a key its certificate: ssl.certificate.location and ssl.key.location")
	}
	if block, _ := pem.Decode(key); block != nil && strings.Contains(block.Type, "ENCRYPTED") {
		return nil, errors.New("the key is encrypted, which is not read here; write it open, for yourself alone, with openssl pkey -in KEY -out OPEN.pem")
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("the client's certificate and key: %w", err)
	}
	return &cert, nil
}

// trustAnyName makes conf check who signed a broker's certificate and not which name stands in it.
func trustAnyName(conf *tls.Config) {
	if conf.InsecureSkipVerify {
		return
	}
	conf.InsecureSkipVerify = true
	conf.VerifyConnection = func(s tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: conf.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(o)
		return err
	}
}
