package properties

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/node"
)

func commands(a *app.App) []*cobra.Command { return []*cobra.Command{Noun(a), Init(a)} }

// file writes a properties file.
func file(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryKeyCanBeExplainedAndSaysSinceWhen(t *testing.T) {
	set := keys()
	for _, name := range names(set) {
		for _, e := range explanations(set, name) {
			if e.Doc == "" || e.Since == "" || e.Allowed == "" || e.Changes == "" {
				t.Errorf("%s %s: %+v", e.Scope, name, e)
			}
		}
	}
	for _, k := range set.Keys(config.Broker) {
		if h, ok := historyOf(config.Broker, k.Name); ok && h.until != "" && k.NoEffect == "" {
			t.Errorf("%s is obeyed, and Kafka dropped it after %s", k.Name, h.until)
		}
	}
	if len(past()) < 40 {
		t.Errorf("only %d keys of older releases are known", len(past()))
	}
}

// TestAMigratedFileIsOneThatANodeObeys runs migrate over files of several ages.
func TestAMigratedFileIsOneThatANodeObeys(t *testing.T) {
	for _, c := range []struct {
		name      string
		in        string
		exit      int
		has, lack []string // lines of the new file
		said      []string
	}{
		{"Kafka 2.0 with ZooKeeper", "broker.id=3\nlisteners=PLAINTEXT://localhost:9092\nzookeeper.connect=zk:2181\nzookeeper.connection.timeout.ms=6000\nlog.dir=/d\ninter.broker.protocol.version=2.0\nlog.message.format.version=1.0\n", 0,
			[]string{"node.id=3", "log.dirs=/d", "process.roles=broker,controller", "#zookeeper.connect=zk:2181"}, []string{"broker.id=3", "log.dir=/d"}, []string{"there is no ZooKeeper"}},
		{"before listeners", "broker.id=-1\nhost.name=localhost\nport=9093\nadvertised.host.name=kafka.example\nlog.dirs=/d\n", 0,
			[]string{"node.id=1", "listeners=PLAINTEXT://localhost:9093", "advertised.listeners=PLAINTEXT://kafka.example:9093"}, nil, nil},
		{"one of several KRaft nodes", "node.id=2\nprocess.roles=broker\ncontroller.quorum.voters=1@a:9093,2@b:9093,3@c:9093\nlisteners=PLAINTEXT://:9092\nlog.dirs=/d\ncontroller.listener.names=CONTROLLER\nlistener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n", 0,
			[]string{"process.roles=broker,controller", "node.id=2"}, []string{"process.roles=broker", "controller.quorum.voters=1@a:9093,2@b:9093,3@c:9093"}, []string{"names 3 nodes"}},
		{"comments, blanks and continued lines stay", "# mine\n\nbroker.id=1\nlog.dirs=/a,\\\n  /b\n! also mine\n", 0,
			[]string{"# mine", "log.dirs=/a,\\", "  /b", "! also mine"}, nil, nil},
		{"what cannot be obeyed is never dropped in silence", "broker.id=1\nlog.dirs=/d\nlisteners=SASL_SSL://:9092\nnum.partitions=many\n", app.ExitPartly,
			[]string{"#listeners=SASL_SSL://:9092", "#num.partitions=many"}, []string{"listeners=SASL_SSL://:9092"}, []string{"2 keys cannot be obeyed"}},
		{"typing errors and keys of topics", "broker.id=1\nlog.dirs=/d\nnum.partitons=3\nretention.ms=5\n", 0, []string{"#num.partitons=3", "#retention.ms=5"}, nil, []string{"num.partitions meant", "klamm topic alter"}},
		{"production with TLS and SASL", "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@k1:9093\nadvertised.listeners=SASL_SSL://k1:9092\nlisteners=SASL_SSL://:9092,CONTROLLER://:9093\ninter.broker.listener.name=SASL_SSL\ncontroller.listener.names=CONTROLLER\nlistener.security.protocol.map=CONTROLLER:SSL,SASL_SSL:SASL_SSL\nlistener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=x required;\nlistener.name.sasl_ssl.ssl.keystore.location=/k\nlog.dirs=/d\n", app.ExitPartly,
			[]string{"#listeners=SASL_SSL://:9092,CONTROLLER://:9093", "#advertised.listeners=SASL_SSL://k1:9092", "#inter.broker.listener.name=SASL_SSL", "#controller.listener.names=CONTROLLER",
				"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=x required;", "listener.name.sasl_ssl.ssl.keystore.location=/k"}, nil, []string{"there is no authentication yet", "listeners is refused", "5 keys cannot be obeyed"}},
		{"nothing at all", "", 0, []string{"node.id=1", "log.dirs=/var/lib/klamm"}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := apptest.Run(t, commands, "", "", "config", "migrate", file(t, c.in))
			if r.Exit != c.exit {
				t.Fatalf("%+v", r)
			}
			lines := map[string]bool{}
			for line := range strings.Lines(r.Out) {
				lines[strings.TrimSuffix(line, "\n")] = true
			}
			for _, want := range c.has {
				if !lines[want] {
					t.Errorf("lacks %q:\n%s", want, r.Out)
				}
			}
			for _, no := range c.lack {
				if lines[no] {
					t.Errorf("has %q:\n%s", no, r.Out)
				}
			}
			for _, s := range c.said {
				if !strings.Contains(r.Err, s) {
					t.Errorf("does not say %q:\n%s", s, r.Err)
				}
			}
			if _, err := node.Read(node.Source{File: "new", Data: []byte(r.Out), InsecureListen: true}); err != nil {
				t.Errorf("a node refuses it: %v\n%s", err, r.Out)
			}
		})
	}
}

func TestPrintSaysWhereEachValueComesFrom(t *testing.T) {
	path := file(t, "node.id=1", "process.roles=broker,controller", "log.dirs=/d", "num.partitions=2", "ssl.key.password=hush")
	a := &app.App{In: strings.NewReader(""), Env: func(string) string { return "" }, Environ: []string{"KAFKA_LOG_RETENTION_HOURS=5"}}
	var out, text strings.Builder
	a.Out, a.Err = &out, &text
	if exit := apptest.RunApp(t, a, commands, "", "config", "print", path, "-o", "csv", "--override", "num.partitions=3"); exit != 0 {
		t.Fatalf("exit %d: %s", exit, text.String())
	}
	for _, want := range []string{
		"\nnum.partitions,3,flag --override,", "\nlog.retention.hours,5,environment KAFKA_LOG_RETENTION_HOURS,", "\nlog.dirs,/d," + path + ":3,",
		"\nlog.segment.bytes,1073741824,default,", "\nssl.key.password,(hidden),",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
}

func TestCheckNamesWhatCannotBeAndWhatHasNoEffect(t *testing.T) {
	good := file(t, "node.id=1", "process.roles=broker,controller", "log.dirs=/d", "num.io.threads=8", "num.partitons=1")
	r := apptest.Run(t, commands, "", "", "config", "check", good, "-o", "jsonl")
	if r.Exit != 0 || !strings.Contains(r.Out, `"key":"num.io.threads"`) || !strings.Contains(r.Out, "num.partitions") {
		t.Errorf("%+v", r)
	}
	bad := file(t, "node.id=x", "num.partitions=0")
	r = apptest.Run(t, commands, "", "", "config", "check", bad)
	if r.Exit != app.ExitFailed || !strings.Contains(r.Err, bad+":1:") || !strings.Contains(r.Err, bad+":2:") || r.Out != "" {
		t.Errorf("%+v", r)
	}
	if r = apptest.Run(t, commands, "", "", "config", "check", bad+".not"); r.Exit != app.ExitNotFound {
		t.Errorf("%+v", r)
	}
}

func TestTheFilesToBeginWithAreOnesThatWork(t *testing.T) {
	dir := t.TempDir()
	if r := apptest.Run(t, commands, "", "", "init", "--dir", dir, "--dry-run"); r.Exit != 0 || !strings.Contains(r.Err, "would write") {
		t.Errorf("%+v", r)
	}
	if r := apptest.Run(t, commands, "", "", "init", "--dir", dir); r.Exit != 0 {
		t.Fatalf("%+v", r)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, text := range [][]byte{read("server.properties"), properties(keys(), true)} {
		cfg, err := node.Read(node.Source{File: "f", Data: text})
		if err != nil || len(cfg.Warnings) > 0 {
			t.Errorf("%v %v", err, cfg.Warnings)
		}
		// What stands as a comment is the default: with every # taken away, the node is the same.
		open := strings.NewReplacer("\n#advertised.listeners=\n", "\n").Replace(string(text))
		var lines []string
		for line := range strings.Lines(open) {
			if rest, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "#") && !strings.HasSuffix(rest, "=\n") {
				line = rest
			}
			lines = append(lines, line)
		}
		if _, err := node.Read(node.Source{File: "f", Data: []byte(strings.Join(lines, ""))}); err != nil && len(text) < 10000 {
			t.Errorf("a default cannot be written down: %v", err)
		}
	}
	var parsed struct {
		Services map[string]struct {
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal(read("compose.yaml"), &parsed); err != nil {
		t.Fatal(err)
	}
	var env []string
	for k, v := range parsed.Services["klamm"].Environment {
		env = append(env, k+"="+v)
	}
	cfg, err := node.Read(node.Source{File: "server.properties", Data: read("server.properties"), Environment: env, InsecureListen: true})
	if err != nil || len(cfg.Listeners) != 2 || cfg.Advertised["DOCKER"].Host != "klamm" || cfg.AdminListener != "0.0.0.0:9644" {
		t.Errorf("%v: %+v", err, cfg.Listeners)
	}
	if r := apptest.Run(t, commands, "", "", "init", "--dir", dir); r.Exit != app.ExitFailed || !strings.Contains(r.Err, "K1014") {
		t.Errorf("it wrote over files: %+v", r)
	}
	if r := apptest.Run(t, commands, "", "", "init", "--for", "k9s"); r.Exit != app.ExitUsage {
		t.Errorf("%+v", r)
	}
}
