package node

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParsePropertiesAsJavaDoes(t *testing.T) {
	for _, c := range []struct {
		what, in string
		want     []property
		err      string
	}{
		{"separators", "a=1\nb:2\nc 3\nd\t=\t4\ne  :  5\n", []property{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}, {"d", "4", 4}, {"e", "5", 5}}, ""},
		{"a second separator is value", "a==1\nb = : 2\n", []property{{"a", "=1", 1}, {"b", ": 2", 2}}, ""},
		{"comments and blanks", "# x=1\n  ! y=2\n\n \t\n a=1 # no comment\n", []property{{"a", "1 # no comment", 5}}, ""},
		{"no value", "a\nb=\n", []property{{"a", "", 1}, {"b", "", 2}}, ""},
		{"continuation", "a=1,\\\n   2,\\\n\t3\nb=1\n", []property{{"a", "1,2,3", 1}, {"b", "1", 4}}, ""},
		{"a continued line may begin with #", "a=1\\\n#2\n", []property{{"a", "1#2", 1}}, ""},
		{"two backslashes do not continue", "a=c:\\\\\nb=1\n", []property{{"a", `c:\`, 1}, {"b", "1", 2}}, ""},
		{"continuation at the end", "a=1\\", []property{{"a", "1", 1}}, ""},
		{"escapes", `a\=b\ c\:d=\t\u0041\q\n`, []property{{"a=b c:d", "\tAq\n", 1}}, ""},
		{"line ends of Windows and of old Macs", "a=1\r\nb=2\rc=3", []property{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}}, ""},
		{"trailing blanks stay", "a=1 \n", []property{{"a", "1 ", 1}}, ""},
		{"byte order mark", "\ufeffa=1", []property{{"a", "1", 1}}, ""},
		{"Latin-1", "a=\xe4", []property{{"a", "ä", 1}}, ""},
		{"UTF-8", "a=ä", []property{{"a", "ä", 1}}, ""},
		{"bad escape", "a=1\nb=\\u12g4", nil, `f:2: \u needs four`},
		{"too long", strings.Repeat("#", maxPropertiesBytes+1), nil, "too many"},
	} {
		got, err := parseProperties("f", []byte(c.in))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.what, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.what, got, err, c.want)
		}
	}
}

func FuzzParseProperties(f *testing.F) {
	f.Add([]byte("a=1\\\n b:2\n#c\n\\u0041=x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		props, err := parseProperties("f", data)
		if err == nil {
			for _, p := range props {
				if p.line < 1 {
					t.Fatalf("property %q has no line", p.key)
				}
			}
		}
		_, _ = Read(Source{File: "f", Data: data})
	})
}

func read(t *testing.T, text string, overrides ...string) (Config, error) {
	t.Helper()
	return Read(Source{File: "server.properties", Data: []byte(text), Overrides: overrides})
}

func TestKafkasSampleFileIsAccepted(t *testing.T) {
	data, err := os.ReadFile("testdata/kafka-server.properties")
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile("testdata/interop.properties")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := Read(Source{File: "server.properties", Data: append(data, more...)})
	if err != nil {
		t.Fatal(err)
	}
	want := []Listener{{"PLAINTEXT", "PLAINTEXT", []string{"127.0.0.1", "::1"}, 9092, false}, {"CONTROLLER", "PLAINTEXT", []string{"127.0.0.1", "::1"}, 9093, true}}
	if !reflect.DeepEqual(cfg.Listeners, want) {
		t.Errorf("listeners %+v", cfg.Listeners)
	}
	if cfg.NodeID != 1 || cfg.InterBroker != "PLAINTEXT" || !slices.Equal(cfg.LogDirs, []string{"data"}) || cfg.MetadataDir != "data" || cfg.AdminListener != DefaultAdminListener {
		t.Errorf("config %+v", cfg)
	}
	if cfg.Advertised["PLAINTEXT"] != (Endpoint{"localhost", 9092}) {
		t.Errorf("advertised %v", cfg.Advertised)
	}
	if len(cfg.Warnings) != 2 || !strings.Contains(cfg.Warnings[0], "num.partitions was set in line") || !strings.Contains(cfg.Warnings[1], "PLAINTEXT, CONTROLLER") {
		t.Errorf("warnings %q", cfg.Warnings)
	}
	for _, k := range []string{"num.network.threads", "num.io.threads", "transaction.state.log.min.isr"} {
		if !slices.Contains(cfg.NoEffect, k) {
			t.Errorf("%s is not told to have no effect: %v", k, cfg.NoEffect)
		}
	}
	if cfg.Static["num.partitions"] != "4" || cfg.Static["broker.id"] != "1" {
		t.Errorf("static %v", cfg.Static)
	}
}

func TestReadRefusesWithLineAndRemedy(t *testing.T) {
	for _, c := range []struct {
		what, text string
		overrides  []string
		want       []string
	}{
		{"no id", "num.partitions=1", nil, []string{"node.id is missing", "node.id=1"}},
		{"bad number", "node.id=1\nnum.io.threads=many", nil, []string{"server.properties:2: num.io.threads=many", "not a number of type INT"}},
		{"bad override", "node.id=1", []string{"num.io.threads=0"}, []string{"--override num.io.threads=0", "at least 1"}},
		{"override without =", "node.id=1", []string{"x"}, []string{"--override x", "key=value"}},
		{"two ids", "node.id=1\nbroker.id=2", nil, []string{"server.properties:2: broker.id=2", "keep node.id"}},
		{"negative id", "broker.id=-1", nil, []string{"broker.id", "0 or more"}},
		{"broker alone", "node.id=1\nprocess.roles=broker", nil, []string{"server.properties:2: process.roles=broker", "broker,controller"}},
		{"controller alone", "node.id=1\nprocess.roles=controller", nil, []string{"without a broker"}},
		{"role of another kind", "node.id=1\nprocess.roles=broker,controller,poet", nil, []string{"process.roles=broker,controller,poet"}},
		{"other voters", "node.id=1\ncontroller.quorum.voters=1@a:9093,2@b:9093", nil, []string{"server.properties:2:", "node 2", "one node"}},
		{"voters of another form", "node.id=1\ncontroller.quorum.voters=a:9093", nil, []string{"id@host:port"}},
		{"TLS", "node.id=1\nlisteners=SSL://:9093", nil, []string{"server.properties:2: listeners=SSL://:9093", "SSL", "neither TLS nor authentication"}},
		{"SASL by name", "node.id=1\nlisteners=EXTERNAL://:9093\nlistener.security.protocol.map=EXTERNAL:SASL_SSL", nil, []string{"SASL_SSL"}},
		{"unmapped name", "node.id=1\nlisteners=EXTERNAL://:9093", nil, []string{"EXTERNAL:PLAINTEXT", "listener.security.protocol.map"}},
		{"beyond loopback", "node.id=1\nlisteners=PLAINTEXT://0.0.0.0:9092", nil, []string{"server.properties:2:", "no authentication", "--insecure-listen", "PLAINTEXT://127.0.0.1:9092"}},
		{"a host name", "node.id=1\nlisteners=PLAINTEXT://broker1:9092", nil, []string{"--insecure-listen"}},
		{"no port", "node.id=1\nlisteners=PLAINTEXT://localhost", nil, []string{"lacks a port"}},
		{"port too large", "node.id=1\nlisteners=PLAINTEXT://localhost:99999", nil, []string{"0 to 65535"}},
		{"no name", "node.id=1\nlisteners=localhost:9092", nil, []string{"NAME://host:port"}},
		{"name twice", "node.id=1\nlisteners=PLAINTEXT://:1,PLAINTEXT://:2", nil, []string{"twice"}},
		{"port twice", "node.id=1\nlisteners=PLAINTEXT://:9092,A://127.0.0.1:9092\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT", nil, []string{"same address"}},
		{"no controller listener", "node.id=1\ncontroller.listener.names=CONTROLLER", nil, []string{"no listener CONTROLLER"}},
		{"controllers only", "node.id=1\nlisteners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER", nil, []string{"no listener with the protocol PLAINTEXT"}},
		{"advertised nowhere", "node.id=1\nadvertised.listeners=PLAINTEXT://0.0.0.0:9092", nil, []string{"no address that a client can connect to"}},
		{"advertised unknown", "node.id=1\nadvertised.listeners=OUTSIDE://a:9092", nil, []string{"no listener OUTSIDE"}},
		{"inter broker unknown", "node.id=1\ninter.broker.listener.name=INSIDE", nil, []string{"no listener INSIDE"}},
		{"inter broker twice", "node.id=1\ninter.broker.listener.name=PLAINTEXT\nsecurity.inter.broker.protocol=PLAINTEXT", nil, []string{"keep inter.broker.listener.name"}},
		{"bad map", "node.id=1\nlistener.security.protocol.map=A", nil, []string{"NAME:PROTOCOL"}},
		{"authorizer", "node.id=1\nauthorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", nil, []string{"server.properties:2:", "no ACLs", "allow.everyone.if.no.acl.found=true"}},
		{"directory twice", "node.id=1\nlog.dirs=/a,/a/", nil, []string{"/a stands there twice"}},
		{"no directory", "node.id=1\nlog.dirs=\nlog.dir=", nil, []string{"log.dirs=/var/lib/klamm"}},
		{"everything at once", "node.id=x\nlog.dirs=/a,/a\nnum.io.threads=0", nil, []string{":1: node.id=x", ":2: log.dirs", ":3: num.io.threads"}},
		{"a secret is not told", "node.id=1\nlistener.security.protocol.map=A:B", nil, []string{"no security protocol"}},
	} {
		_, err := read(t, c.text, c.overrides...)
		if err == nil {
			t.Errorf("%s: accepted", c.what)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v\nlacks %q", c.what, err, w)
			}
		}
	}
}

func TestReadWarns(t *testing.T) {
	for _, c := range []struct{ what, text, want string }{
		{"misspelt", "node.id=1\nnum.partition=3", "server.properties:2: num.partition is not known and was ignored; did you mean num.partitions?"},
		{"nothing near", "node.id=1\nmy.own.thing.of.no.use=3", "my.own.thing.of.no.use is not known"},
		{"a topic's", "node.id=1\nzookeeper.connect=a:2181", "ZooKeeper"},
		{"roles unset", "node.id=1", "broker and controller"},
	} {
		cfg, err := read(t, c.text)
		if err != nil || !strings.Contains(strings.Join(cfg.Warnings, "\n"), c.want) {
			t.Errorf("%s: %q, %v; want %s", c.what, cfg.Warnings, err, c.want)
		}
	}
}

func TestReadTakesAliasesOverridesAndSeveralListeners(t *testing.T) {
	cfg, err := Read(Source{File: "f", InsecureListen: true, Overrides: []string{"num.partitions=7", "admin.listener="}, Data: []byte(`
broker.id=4
log.dir=/one
log.dirs=/two, /three
metadata.log.dir=/meta
process.roles=controller,broker
listeners=IN://[::1]:9092,OUT://0.0.0.0:9094,CONTROLLER://localhost:9093
controller.listener.names=controller
listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=IN
advertised.listeners=OUT://broker.example:19094
num.partitions=3
num.partitions=4
controller.quorum.voters=4@localhost:9093
listener.name.in.ssl.keystore.location=/x
`)})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.NodeID != 4 || cfg.InterBroker != "IN" || !slices.Equal(cfg.LogDirs, []string{"/two", "/three"}) || cfg.MetadataDir != "/meta" || cfg.AdminListener != "" {
		t.Errorf("%+v", cfg)
	}
	want := []Listener{{"IN", "PLAINTEXT", []string{"::1"}, 9092, false}, {"OUT", "PLAINTEXT", []string{"0.0.0.0"}, 9094, false}, {"CONTROLLER", "PLAINTEXT", []string{"127.0.0.1", "::1"}, 9093, true}}
	if !reflect.DeepEqual(cfg.Listeners, want) {
		t.Errorf("listeners %+v", cfg.Listeners)
	}
	if len(cfg.Advertised) != 1 || cfg.Advertised["OUT"] != (Endpoint{"broker.example", 19094}) {
		t.Errorf("advertised %v", cfg.Advertised)
	}
	if cfg.Static["num.partitions"] != "7" || cfg.Static["node.id"] != "4" {
		t.Errorf("static %v", cfg.Static)
	}
	if !slices.Contains(cfg.NoEffect, "listener.name.in.ssl.keystore.location") {
		t.Errorf("no effect %v", cfg.NoEffect)
	}
}

func TestDevIsForThisMachineAlone(t *testing.T) {
	cfg, err := Dev("./klamm-data", "localhost:9092", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Listeners) != 1 || cfg.Listeners[0].Port != 9092 || !slices.Equal(cfg.Listeners[0].Hosts, []string{"127.0.0.1", "::1"}) || !cfg.AdminOptional || len(cfg.Advertised) != 0 || len(cfg.Warnings) != 0 {
		t.Errorf("%+v", cfg)
	}
	if cfg, err = Dev("d", "[::1]:0", nil); err != nil || !slices.Equal(cfg.Listeners[0].Hosts, []string{"::1"}) {
		t.Errorf("%+v %v", cfg.Listeners, err)
	}
	for _, listen := range []string{"0.0.0.0:9092", "9092", "example.org:9092", "localhost:http"} {
		if _, err := Dev("d", listen, nil); err == nil || !strings.Contains(err.Error(), "--listen "+listen) {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

func TestAKeyThatIsSetTwiceIsWarnedOf(t *testing.T) {
	cfg, err := Read(Source{File: "f", Data: []byte("process.roles=broker,controller\nnode.id=1\nlog.dirs=/d\nlisteners=PLAINTEXT://localhost:9092\nnum.partitions=1\nnum.partitions=2\nnode.id=1\n")})
	if err != nil || cfg.Static["num.partitions"] != "2" || !slices.Equal(cfg.Warnings, []string{"f:6: num.partitions was set in line 5 too; this one counts"}) {
		t.Errorf("%v %q", err, cfg.Warnings)
	}
}
