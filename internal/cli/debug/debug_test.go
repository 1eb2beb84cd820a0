package debug

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/apptest"
	"github.com/klamm/klamm/internal/cli/settings"
	"github.com/klamm/klamm/internal/cli/topic"
)

// nouns is the tree that these tests run.
func nouns(a *app.App) []*cobra.Command {
	return []*cobra.Command{Noun(a), Doctor(a), Clients(a), topic.Noun(a)}
}

func TestSecretsAreKnownByTheNameOfTheirKey(t *testing.T) {
	for _, key := range []string{
		"ssl.key.password", "ssl.keystore.password", "SSL_KEYSTORE_PASSWORD", "sasl.jaas.config", "listener.name.sasl_ssl.plain.sasl.jaas.config", "delegation.token.secret.key",
		"ssl.keystore.key", "password.encoder.secret", "my-api-key", "aws.credentials", "ssl.truststore.private.pem",
	} {
		if !isSecret(key) {
			t.Errorf("%s is not taken for a secret", key)
		}
	}
	for _, key := range []string{"retention.ms", "advertised.listeners", "ssl.keystore.location", "log.dirs", "admin.listener", "group.max.size"} {
		if isSecret(key) {
			t.Errorf("%s is taken for a secret", key)
		}
	}
	value := func(s string) *string { return &s }
	rows := []settings.Row{
		{Key: "ssl.key.password", Value: value("hunter2"), Default: value("hunter2")},
		{Key: "odd", Value: value("hunter2"), Sensitive: true},
		{Key: "proxy", Value: value("http://me:hunter2@proxy:1")},
		{Key: "retention.ms", Value: value("1")},
	}
	b, err := json.Marshal(withoutSecrets(rows))
	if err != nil || bytes.Contains(b, []byte("hunter2")) || !bytes.Contains(b, []byte(`"1"`)) {
		t.Errorf("%v\n%s", err, b)
	}
	if *rows[0].Value != "hunter2" {
		t.Error("the rows that were given were changed")
	}
}

func TestLogsLoseWhatLooksLikeASecretAndNothingElse(t *testing.T) {
	s := newScrubber()
	for text, want := range map[string]string{
		`{"msg":"x","sasl.password":"hunter2","n":1}`:  `{"msg":"x","sasl.password":"(removed)","n":1}`,
		`{"msg":"x","password": "hunt\"er2 and more"}`: `{"msg":"x","password": "(removed)"}`,
		`{"msg":"set ssl.key.password=hunter2, then"}`: `{"msg":"set ssl.key.password=(removed), then"}`,
		`token: hunter2`: `token: (removed)`,
		`Authorization: Bearer abcdefghijk.hunter2`:       `Authorization: Bearer (removed)`,
		`connected to http://me:hunter2@host:80/x`:        `connected to http://me:(removed)@host:80/x`,
		`jaas 'x' jaas.config='a b hunter2'`:              `jaas 'x' jaas.config='(removed)'`,
		`{"msg":"{\"client_secret\":\"hunter2\"}"}`:       `{"msg":"{\"client_secret\":(removed)\"}"}`,
		`{"msg":"began","partition":3,"topic":"orders"}`:  `{"msg":"began","partition":3,"topic":"orders"}`,
		`klamm_connections{listener="PLAINTEXT"} 3`:       `klamm_connections{listener="PLAINTEXT"} 3`,
		`{"time":"2026-01-01T00:00:00Z","level":"INFO"}`:  `{"time":"2026-01-01T00:00:00Z","level":"INFO"}`,
		`{"addr":"127.0.0.1:9092","url":"http://host:1"}`: `{"addr":"127.0.0.1:9092","url":"http://host:1"}`,
	} {
		got := string(s.line([]byte(text)))
		if strings.Contains(got, "hunter2") || got != want && !strings.Contains(text, `\"client_secret`) {
			t.Errorf("%s\nis  %s\nnot %s", text, got, want)
		}
	}
}

// pages serves an admin listener's pages, with secrets in them.
func pages(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/clients", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"cluster_id":"c","node_id":7,"new":1,"clients":[
			{"connection":2,"address":"10.0.0.9:1234","principal":"User:alice","client_id":"shop","library":"apache-kafka-java","version":"4.4.0","connected_at":"2026-01-01T00:00:00.5Z","bytes_in_per_second":1500,"topics_produced":["orders"],"topics_fetched":["pay","orders"]},
			{"connection":1,"address":"10.0.0.8:1","client_id":"audit","topics_fetched":["log"]}]}`)
	})
	mux.HandleFunc("/debug/logs", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"msg":"a line of the log","password":"hunter2"}`+"\n")
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	mux.HandleFunc("/debug/pprof/goroutine", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "goroutines "+r.URL.RawQuery) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestClientsAreListedFromTheAdminListener(t *testing.T) {
	at := pages(t)
	run := func(line string) apptest.Result {
		return apptest.Run(t, nouns, "127.0.0.1:1", "", append(strings.Fields(line), "--admin", at)...)
	}
	want := "CLIENT ID  ADDRESS        PRINCIPAL   LIBRARY                  TOPICS      IN        OUT    REQUESTS\n" +
		"audit      10.0.0.8:1     -           -                        log         0 B/s     0 B/s  0.0/s\n" +
		"shop       10.0.0.9:1234  User:alice  apache-kafka-java 4.4.0  orders,pay  1.5 kB/s  0 B/s  0.0/s\n"
	if r := run("client list"); r.Exit != 0 || r.Out != want {
		t.Errorf("%+v", r)
	}
	if r := run("client list --topic pay -o name"); r.Out != "10.0.0.9:1234\n" {
		t.Errorf("%+v", r)
	}
	if r := run("client list --client-id nobody"); r.Exit != 0 || !strings.Contains(r.Err, "nobody is connected who matches") {
		t.Errorf("%+v", r)
	}
	var rows []clientRow
	if r := run("client list -o json"); json.Unmarshal([]byte(r.Out), &rows) != nil || len(rows) != 2 || rows[1].NodeID != 7 || rows[1].BytesInPerSecond != 1500 || rows[0].Groups == nil {
		t.Errorf("%+v", r)
	}
	if r := apptest.Run(t, nouns, "", "", "client", "list", "--admin", "127.0.0.1:1"); r.Exit != app.ExitFailed || !strings.Contains(r.Err, "K1002") {
		t.Errorf("%+v", r)
	}
	if r := apptest.Run(t, nouns, apptest.Broker(t), "", "client", "list"); r.Exit != app.ExitFailed || !strings.Contains(r.Err, "K1013") || !strings.Contains(r.Err, "admin.listener is empty") {
		t.Errorf("%+v", r)
	}
}

func TestABundleHasAllOfItsPartsAndNoSecret(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "b.zip")
	broker := apptest.Broker(t, "ssl.key.password=hunter2")
	if r := apptest.Run(t, nouns, broker, "", "topic", "create", "orders"); r.Exit != 0 {
		t.Fatal(r.Err)
	}
	r := apptest.Run(t, nouns, broker, "", "debug", "bundle", file, "--admin", pages(t))
	if r.Exit != app.ExitPartly || !strings.Contains(r.Err, "without node/metrics-detail.txt: ") || r.Out != "" {
		t.Fatalf("%+v", r)
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	texts := map[string]string{}
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		_ = in.Close()
		texts[f.Name] = string(b)
		if strings.Contains(string(b), "hunter2") {
			t.Errorf("a secret is in %s", f.Name)
		}
	}
	for name, want := range map[string]string{
		"metadata.json": `"orders"`, "api-versions.json": `"Produce"`, "node-1/config.json": `"log.dirs"`, "topic-configs.json": `"retention.ms"`, "log-dirs.json": `"partitions"`, "groups.json": "[",
		"node/logs.jsonl": "a line of the log", "node/metrics.txt": "up 1", "node/goroutines.txt": "goroutines debug=1", "node/clients.json": "alice",
	} {
		if !strings.Contains(texts[name], want) {
			t.Errorf("%s has no %s: %.300s", name, want, texts[name])
		}
	}
	if !strings.Contains(texts["node-1/config.json"], `"ssl.key.password"`) {
		t.Error("the key of a secret is to be there, without its value")
	}
	var in index
	if err := json.Unmarshal([]byte(texts["index.json"]), &in); err != nil || len(in.Files) != 10 || len(in.Missing) != 1 || in.Missing[0].Name != "node/metrics-detail.txt" {
		t.Errorf("%v, %+v", err, in)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if r := apptest.Run(t, nouns, broker, "", "debug", "bundle", file); r.Exit != app.ExitFailed || !strings.Contains(r.Err, "K1014") {
		t.Errorf("%+v", r)
	}
}

func TestTheDoctorLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	broker := apptest.Broker(t)
	r := apptest.Run(t, nouns, broker, "", "doctor", "--data-dir", filepath.Join(dir, "not", "there"), "-o", "json")
	var checks []check
	if err := json.Unmarshal([]byte(r.Out), &checks); err != nil || r.Exit != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	got := map[string]check{}
	for _, c := range checks {
		got[c.Check] = c
	}
	for _, name := range []string{"version", "broker", "apis", "advertised", "round_trip", "clock"} {
		if got[name].Status != ok {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	for _, name := range []string{"disk_write", "disk_fsync", "disk_space", "open_files", "port_9092", "port_9644"} {
		if got[name].Status == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if r := apptest.Run(t, nouns, broker, "", "topic", "list", "-o", "name"); strings.Contains(r.Out, "doctor") {
		t.Errorf("a topic was left: %s", r.Out)
	}
}

func TestTheDoctorSaysTheLineThatMakesABrokerReachable(t *testing.T) {
	// A port that nobody listens at stands for the inner port of a container.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inner := l.Addr().String()
	_ = l.Close()
	broker := apptest.Broker(t, "advertised.listeners=PLAINTEXT://"+inner)
	began := time.Now()
	r := apptest.Run(t, nouns, broker, "", "doctor", "--data-dir", t.TempDir())
	if r.Exit != app.ExitUnhealthy || !strings.Contains(r.Out, "clients are told "+inner) || !strings.Contains(r.Out, "a restart: advertised.listeners=PLAINTEXT://"+broker+"\n") ||
		!strings.Contains(r.Err, "K1012") {
		t.Errorf("%+v", r)
	}
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("it took %s", d)
	}
	// Another cluster that happens to listen there is found out too.
	other := apptest.Broker(t)
	broker = apptest.Broker(t, "advertised.listeners=PLAINTEXT://"+other)
	r = apptest.Run(t, nouns, broker, "", "doctor", "--data-dir", t.TempDir())
	if r.Exit != app.ExitUnhealthy || !strings.Contains(r.Out, "from here that is a broker of another cluster") && !strings.Contains(r.Out, "does not answer as this broker") {
		t.Errorf("%+v", r)
	}
}

func TestWithoutABrokerTheDoctorLooksAtThisMachine(t *testing.T) {
	r := apptest.Run(t, nouns, "127.0.0.1:1", "", "doctor", "--data-dir", t.TempDir(), "-o", "csv")
	if r.Exit != app.ExitUnhealthy || !strings.Contains(r.Out, "disk_write,ok") || !strings.Contains(r.Out, "broker,bad,nobody answers at 127.0.0.1:1 (from --brokers)") {
		t.Errorf("%+v", r)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := existing(filepath.Join(file, "x")); got != filepath.Dir(file) {
		t.Errorf("%s", got)
	}
}

func TestAnAdvertisedAddressIsReplacedWhereItStands(t *testing.T) {
	for _, c := range []struct{ listeners, advertised, told, want string }{
		{"PLAINTEXT://:9092", "", "172.17.0.2:9092", "PLAINTEXT://out:19092"},
		{"PLAINTEXT://0.0.0.0:9092,CONTROLLER://:9093", "", "172.17.0.2:9092", "PLAINTEXT://out:19092"},
		{"INSIDE://:9094,OUTSIDE://:9092", "INSIDE://b1:9094,OUTSIDE://b1:9092", "b1:9092", "INSIDE://b1:9094,OUTSIDE://out:19092"},
		{"INSIDE://b1:9094,OUTSIDE://:9092", "", "b1:9092", "INSIDE://b1:9094,OUTSIDE://out:19092"},
		{"", "", "b1:9092", "PLAINTEXT://out:19092"},
		{"nonsense", ",,", "b1:9092", "PLAINTEXT://out:19092"},
	} {
		if got := advertisedLine(c.listeners, c.advertised, c.told, "out:19092"); got != "advertised.listeners="+c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestClocksAreApartByWhatLiesOutsideOfTheAnswer(t *testing.T) {
	from := time.UnixMilli(1_000_000).Add(400 * time.Microsecond)
	to := from.Add(5 * time.Millisecond)
	for given, want := range map[int64]time.Duration{
		1_000_000: 0, 1_000_005: 0, 999_999: -time.Millisecond, 1_000_006: time.Millisecond, 1_003_605: 3600 * time.Millisecond,
	} {
		if got := apart(time.UnixMilli(given), from, to); got != want {
			t.Errorf("%d: %s, want %s", given, got, want)
		}
	}
	for drift, want := range map[time.Duration]string{0: ok, time.Millisecond: ok, -2 * time.Second: warn, time.Hour: bad} {
		if k := clock(drift); k.Status != want || (k.Try == "") != (want == ok) {
			t.Errorf("%s: %+v", drift, k)
		}
	}
}

func TestAPIsThatAreMissingAreNamed(t *testing.T) {
	res := kmsg.NewPtrApiVersionsResponse()
	add := func(key, low, high int16) {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = key, low, high
		res.ApiKeys = append(res.ApiKeys, k)
	}
	for _, k := range needed {
		if k != kmsg.Fetch && k != kmsg.Metadata {
			add(int16(k), 0, 1)
		}
	}
	add(int16(kmsg.Metadata), 900, 901)
	add(9999, 0, 0)
	if k := overlap(res); k.Status != bad || k.Detail != "no common version of Fetch, Metadata" {
		t.Errorf("%+v", k)
	}
	names := map[string]apiRow{}
	for _, r := range apiRows(1, res, true) {
		names[r.Name] = r
	}
	if r := names["API 9999"]; r.ClientMax != -1 || r.Used != -1 {
		t.Errorf("%+v", r)
	}
	if r, there := names["Fetch"]; !there || r.Max != -1 || r.ClientMax < 16 {
		t.Errorf("%+v", r)
	}
	if _, there := names["LeaderAndISR"]; there {
		t.Error("what only brokers call is no difference to a client")
	}
}

func TestAnAdminListenerOfAnotherNodeIsNotTakenForTheBrokers(t *testing.T) {
	at := adminOf{node: 1, addr: pages(t)} // broker 7 of cluster c
	if f := at.identify(t.Context(), "mine"); f == nil || !strings.Contains(f.Why, "here that is broker 7 of cluster c") {
		t.Errorf("%+v", f)
	}
	at.node = 7
	if f := at.identify(t.Context(), "c"); f != nil {
		t.Errorf("%+v", f)
	}
	// A node whose admin listener is bound to a port of this machine that another has: it is told, and none of its pages taken.
	broker := apptest.Broker(t, "admin.listener="+at.addr)
	if r := apptest.Run(t, nouns, broker, "", "client", "list"); r.Exit != app.ExitFailed || !strings.Contains(r.Err, "is not reachable from here") || r.Out != "" {
		t.Errorf("%+v", r)
	}
	for _, text := range []string{"", "[]", "{", `{"cluster_id":"c"`, `{"cluster_id":"c","node_id":`, `{"x":{"cluster_id":"c","node_id":1}}`, `{"cluster_id":1,"node_id":"x"}`} {
		var cluster string
		var node int64
		if readHead([]byte(text), &cluster, &node) {
			t.Errorf("%q was read as %s, %d", text, cluster, node)
		}
	}
}

func FuzzTheBeginningOfAPageIsReadWithoutHarm(f *testing.F) {
	f.Add([]byte(`{"cluster_id":"c","node_id":7,"clients":[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var cluster string
		var node int64
		if readHead(b, &cluster, &node) && !bytes.Contains(b, []byte("node_id")) && !bytes.Contains(b, []byte(`\u`)) {
			t.Errorf("%q was read as %s, %d", b, cluster, node)
		}
	})
}
