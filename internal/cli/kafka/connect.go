package kafka

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
)

// adminTimeout is how long Java's admin client goes on with one call.
const adminTimeout = time.Minute

// fromEnvironment takes the brokers from the environment where the command line names none, which Java's tools
// do not do.
func (r *run) fromEnvironment() {
	if r.tool.local || r.has("bootstrap-server") {
		return
	}
	for _, name := range []string{"KLAMM_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"} {
		if v := r.app.Env(name); v != "" {
			r.given["bootstrap-server"] = []string{v}
			return
		}
	}
}

// at is a copy of an App that is to connect to some brokers.
func at(a *app.App, brokers string) *app.App {
	b := *a
	b.SetConnection(brokers, nil)
	return &b
}

// properties are those of a file of properties and of key=value arguments, which win.
func (r *run) properties(file string, pairs []string) (map[string]string, error) {
	props := map[string]string{}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, plainf("%s (No such file or directory)", file)
		}
		props = parseProperties(string(b))
	}
	for _, pair := range pairs {
		k, v, _ := strings.Cut(pair, "=")
		props[k] = v
	}
	return props, nil
}

// parseProperties reads Java's form of properties: key=value or key: value a line, # and ! begin a comment, a
// backslash at the end goes on in the next line, and \t, \n, \u00e4 and the like stand for characters.
func parseProperties(s string) map[string]string {
	props := map[string]string{}
	sc := bufio.NewScanner(strings.NewReader(s))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := strings.TrimLeft(sc.Text(), " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for endsOpen(line) && sc.Scan() {
			line = line[:len(line)-1] + strings.TrimLeft(sc.Text(), " \t\f")
		}
		i := 0
		for i < len(line) && !strings.ContainsRune("=: \t\f", rune(line[i])) {
			if line[i] == '\\' {
				i++
			}
			i++
		}
		i = min(i, len(line))
		value := strings.TrimLeft(line[i:], " \t\f")
		if value != "" && (value[0] == '=' || value[0] == ':') {
			value = strings.TrimLeft(value[1:], " \t\f")
		}
		props[unescape(line[:i])] = unescape(value)
	}
	return props
}

// endsOpen says that a line of properties goes on in the next: an odd number of backslashes stands at its end.
func endsOpen(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

// unescape resolves the backslashes of a file of properties.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			var c rune
			if _, err := fmt.Sscanf(s[i+1:min(i+5, len(s))], "%04x", &c); err == nil {
				b.WriteRune(c)
				i += 4
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// connect makes a client of the brokers of the command line and of a client's properties. A property that no
// client of Kafka knows is left out, as Java's clients do. Close it.
func (r *run) connect(props map[string]string, opts ...kgo.Opt) (*kgo.Client, error) {
	known := map[string]string{}
	for k, v := range props {
		if app.KnownProperty(k) {
			known[k] = v
		}
	}
	delete(known, "bootstrap.servers")
	brokers := r.text("bootstrap-server")
	if brokers == "" {
		brokers = props["bootstrap.servers"]
	}
	a := *r.app
	a.SetConnection(brokers, known)
	return a.Client(r.ctx, r.cmd, append([]kgo.Opt{kgo.RetryTimeout(adminTimeout)}, opts...)...)
}

// admin makes a client for questions and changes, of --command-config. Close it.
func (r *run) admin(opts ...kgo.Opt) (*kgo.Client, *kadm.Client, error) {
	props, err := r.properties(r.text("command-config"), nil)
	if err != nil {
		return nil, nil, err
	}
	cl, err := r.connect(props, append(opts, kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		return nil, nil, err
	}
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(30000)
	return cl, adm, nil
}

// supports says that every broker that is asked knows a request, at a version or above.
func supports(ctx context.Context, cl *kgo.Client, key int16) (int16, bool) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "klamm", app.Version
	res, err := req.RequestWith(ctx, cl)
	if err != nil {
		return 0, false
	}
	for _, k := range res.ApiKeys {
		if k.ApiKey == key {
			return k.MaxVersion, true
		}
	}
	return 0, false
}
