package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testApp is an App with an environment of its own.
func testApp(env map[string]string) *App {
	return &App{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Env: func(k string) string { return env[k] }}
}

func TestBrokersComeFromFlagProfileEnvironmentOrDefault(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "klamm", "config.yaml"), "version: 1\ncurrent: cur\nprofiles:\n  cur: {brokers: [cur:1]}\n  other: {brokers: [other:1], protect: true, colour: red}\n")
	for _, c := range []struct {
		name       string
		flag       string
		profile    string
		x          []string
		env        map[string]string
		want, from string
		protected  string
	}{
		{"nothing", "", "", nil, nil, "localhost:9092", "the default", ""},
		{"kafka", "", "", nil, map[string]string{"KAFKA_BOOTSTRAP_SERVERS": "k:1"}, "k:1", "KAFKA_BOOTSTRAP_SERVERS", ""},
		{"klamm before kafka", "", "", nil, map[string]string{"KAFKA_BOOTSTRAP_SERVERS": "k:1", "KLAMM_BROKERS": "e:1, e:2"}, "e:1 e:2", "KLAMM_BROKERS", ""},
		{"flag first", "f", "", nil, map[string]string{"KLAMM_BROKERS": "e:1"}, "f:9092", "--brokers", ""},
		{"ipv6", "[::1]:9092", "", nil, nil, "[::1]:9092", "--brokers", ""},
		{"-X", "", "", []string{"bootstrap.servers=x:1"}, map[string]string{"KLAMM_BROKERS": "e:1"}, "x:1", "-X", ""},
		{"the profile in use", "", "", nil, map[string]string{"XDG_CONFIG_HOME": dir}, "cur:1", "profile cur", ""},
		{"environment before the profile in use", "", "", nil, map[string]string{"XDG_CONFIG_HOME": dir, "KLAMM_BROKERS": "e:1"}, "e:1", "KLAMM_BROKERS", ""},
		{"a profile by name before the environment", "", "other", nil, map[string]string{"XDG_CONFIG_HOME": dir, "KLAMM_BROKERS": "e:1"}, "other:1", "profile other", "other"},
		{"a profile by KLAMM_PROFILE", "", "", nil, map[string]string{"XDG_CONFIG_HOME": dir, "KLAMM_PROFILE": "other"}, "other:1", "profile other", "other"},
		{"a protected profile stays so by another address", "f:1", "other", nil, map[string]string{"XDG_CONFIG_HOME": dir}, "f:1", "--brokers", "other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := testApp(c.env)
			a.brokers, a.profile, a.properties = c.flag, c.profile, c.x
			addrs, from, err := a.Seeds()
			if err != nil || strings.Join(addrs, " ") != c.want || from != c.from || a.Protected() != c.protected {
				t.Errorf("%v from %s, protected %q, %v; want %+v", addrs, from, a.Protected(), err, c)
			}
		})
	}
	a := testApp(map[string]string{"XDG_CONFIG_HOME": dir})
	a.profile = "othr"
	if _, _, err := a.Seeds(); Explain(err).Exit != ExitNotFound || !strings.Contains(Explain(err).Try, "did you mean other") {
		t.Errorf("%+v", err)
	}
}

func TestANodeThatRunsHereIsFoundUntilItEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"XDG_RUNTIME_DIR": t.TempDir()}
	forget := testApp(env).Announce(l.Addr().String(), "d")
	if addrs, from, _ := testApp(env).Seeds(); addrs[0] != l.Addr().String() || from != "the node that runs here" {
		t.Errorf("%v from %s", addrs, from)
	}
	_ = l.Close()
	if addrs, _, _ := testApp(env).Seeds(); addrs[0] != DefaultBroker {
		t.Errorf("a node that is gone is still used: %v", addrs)
	}
	if left, _ := filepath.Glob(filepath.Join(env["XDG_RUNTIME_DIR"], "klamm", "*")); len(left) != 0 {
		t.Errorf("what told of it is left: %v", left)
	}
	forget()
}

func TestPropertiesAreKnownByBothNames(t *testing.T) {
	for _, good := range []map[string]string{
		{"acks": "all", "linger.ms": "5", "compression.type": "zstd", "client.id": "x"},
		{"request.required.acks": "1", "queue.buffering.max.ms": "0", "compression.codec": "lz4", "message.timeout.ms": "1000"},
		{"isolation.level": "read_committed", "fetch.min.bytes": "1", "fetch.wait.max.ms": "10", "fetch.max.wait.ms": "10"},
		{"partition.assignment.strategy": "org.apache.kafka.clients.consumer.CooperativeStickyAssignor,range", "session.timeout.ms": "45000"},
		{"key.serializer": "org.apache.kafka.common.serialization.StringSerializer", "statistics.interval.ms": "0"},
		{"partitioner": "murmur2_random", "enable.idempotence": "false", "check.crcs": "false"},
		{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "p"},
		{"security.protocol": "sasl_plaintext", "sasl.mechanisms": "SCRAM-SHA-256", "sasl.jaas.config": `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p\"q";`},
		{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token": "cmd:echo t"},
		{"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": ""},
		{"security.protocol": "PLAINTEXT", "ssl.ca.location": "/none"},
	} {
		if _, err := clientOptions(good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range []struct {
		properties map[string]string
		want       string
	}{
		{map[string]string{"client.idd": "x"}, "did you mean client.id?"},
		{map[string]string{"foo.bar.baz.qux": "x"}, "is no property"},
		{map[string]string{"linger.ms": "soon"}, "linger.ms: \"soon\" is not a whole number"},
		{map[string]string{"acks": "2"}, "acks: "},
		{map[string]string{"compression.type": "brotli"}, "none, gzip, snappy, lz4 and zstd"},
		{map[string]string{"security.protocol": "TLS"}, "SASL_SSL"},
		{map[string]string{"security.protocol": "SASL_SSL"}, "sasl.username"},
		{map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.username": "u", "sasl.password": "p"}, "needs sasl.mechanism"},
		{map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "GSSAPI", "sasl.username": "u", "sasl.password": "p"}, "GSSAPI"},
		{map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u", "sasl.password": "env:KLAMM_NO_SUCH"}, "KLAMM_NO_SUCH is not set"},
		{map[string]string{"security.protocol": "SSL", "ssl.ca.location": "/no/such"}, "ssl.ca.location"},
		{map[string]string{"partitioner": "consistent"}, "murmur2_random"},
		{map[string]string{"isolation.level": "serializable"}, "read_committed"},
	} {
		if _, err := clientOptions(bad.properties); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%v: %v, want %q", bad.properties, err, bad.want)
		}
	}
}

func TestJAASValuesAreFoundAsTheyAreWritten(t *testing.T) {
	line := `x.PlainLoginModule required  username = "al\"ice"  password=secret; `
	if u, ok := jaasValue(line, "username"); !ok || u != `al"ice` {
		t.Errorf("%q", u)
	}
	if p, ok := jaasValue(line, "password"); !ok || p != "secret" {
		t.Errorf("%q", p)
	}
	if _, ok := jaasValue(`user_password="x"`, "password"); ok {
		t.Error("the end of another word was taken")
	}
}

// TestTLSChecksWhoSignedAndWhatItIsFor connects to a server of its own with each way to trust it.
func TestTLSChecksWhoSignedAndWhatItIsFor(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"broker.example"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	write(t, filepath.Join(dir, "ca.pem"), string(certPEM))
	write(t, filepath.Join(dir, "key.pem"), string(keyPEM))
	write(t, filepath.Join(dir, "store.jks"), "\xfe\xed\xfe\xed")
	serving, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		more  map[string]string
		works bool
	}{
		{"unknown authority", nil, false},
		{"another name", map[string]string{"ssl.ca.location": dir + "/ca.pem"}, false},
		{"any name", map[string]string{"ssl.ca.location": dir + "/ca.pem", "ssl.endpoint.identification.algorithm": "none"}, true},
		{"any name, and unknown authority", map[string]string{"ssl.endpoint.identification.algorithm": ""}, false},
		{"Java's names", map[string]string{"ssl.truststore.type": "PEM", "ssl.truststore.certificates": string(certPEM), "ssl.endpoint.identification.algorithm": ""}, true},
		{"no check at all", map[string]string{"enable.ssl.certificate.verification": "false"}, true},
		{"with a certificate of the client", map[string]string{"enable.ssl.certificate.verification": "false", "ssl.certificate.location": dir + "/ca.pem", "ssl.key.location": dir + "/key.pem"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := &connection{values: map[string]string{}}
			for k, v := range c.more {
				conn.values[k] = v
			}
			conf, err := conn.tls()
			if err != nil {
				t.Fatal(err)
			}
			here, there := net.Pipe()
			defer here.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer there.Close()
				_ = tls.Server(there, &tls.Config{Certificates: []tls.Certificate{serving}}).Handshake()
			}()
			conf.ServerName = "localhost"
			err = tls.Client(here, conf).Handshake()
			_ = here.Close()
			<-done
			if (err == nil) != c.works {
				t.Errorf("%v, want it to work: %v", err, c.works)
			}
		})
	}
	for _, properties := range []map[string]string{
		{"ssl.truststore.location": dir + "/store.jks"}, {"ssl.keystore.location": dir + "/store.jks"}, {"ssl.certificate.location": dir + "/ca.pem"},
	} {
		conn := &connection{values: properties}
		if _, err := conn.tls(); err == nil {
			t.Errorf("%v was accepted", properties)
		}
	}
}

func TestSecretsStandElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, "from a file\n")
	t.Setenv("KLAMM_TEST_SECRET", "from the environment")
	for v, want := range map[string]string{"plain": "plain", "a:b": "a:b", "file:" + path: "from a file", "env:KLAMM_TEST_SECRET": "from the environment", "cmd:echo from a command": "from a command"} {
		if got, err := Secret(v); err != nil || got != want {
			t.Errorf("%s: %q, %v", v, got, err)
		}
	}
	for _, bad := range []string{"file:/no/such/file", "cmd:exit 3"} {
		if _, err := Secret(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestAFileOfProfilesThatCannotBeUsedIsRefusedWhole(t *testing.T) {
	for text, want := range map[string]string{
		"version: 2\n":                                                             "version 2",
		"version: 1\nprofiles: {a: {}}\n":                                          "names no brokers",
		"version: 1\nprofiles: {a: {brokers: ['x:abc']}}\n":                        "x:abc is no address of a broker",
		"version: 1\ncurrent: b\nprofiles: {a: {brokers: [x]}}\n":                  "no such profile",
		"version: 1\nprofiles: {a: {brokers: [x], color: red}}\n":                  "color",
		"version: 1\nprofiles: {a: {brokers: [x], colour: pink}}\n":                "pink",
		"version: 1\nprofiles: {a: {brokers: [x], properties: {sasl.usernam: u}}}": "sasl.username",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "klamm", "config.yaml"), text)
		if _, err := testApp(map[string]string{"XDG_CONFIG_HOME": dir}).Profiles(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// write makes a file and its folder.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
