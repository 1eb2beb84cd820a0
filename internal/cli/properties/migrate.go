package properties

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/run"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/node"
)

// farewell says why a key that Kafka had once is not needed.
func farewell(key string) string {
	switch {
	case strings.HasPrefix(key, "zookeeper."):
		return "there is no ZooKeeper: a node keeps its metadata itself"
	case strings.HasPrefix(key, "password.encoder."):
		return "it protected secrets in ZooKeeper, which there is none of"
	case strings.HasPrefix(key, "controlled.shutdown."):
		return "a stop always hands over first, and does not ask how often"
	case strings.HasPrefix(key, "quota."):
		return "quotas by default are set while running, as Kafka has it since 3.0"
	}
	switch key {
	case "inter.broker.protocol.version", "log.message.format.version", "message.format.version":
		return "a node speaks every version to those who ask for it, and stores one format"
	case "log.message.downconversion.enable", "message.downconversion.enable":
		return "old clients are always served in the format that they read"
	case "log.message.timestamp.difference.max.ms":
		return "it is two keys now, before and after"
	case "broker.id.generation.enable", "reserved.broker.max.id":
		return "node.id is always said"
	case "host.name", "port", "advertised.host.name", "advertised.port":
		return "it is part of listeners and advertised.listeners"
	case "control.plane.listener.name":
		return "controllers have listeners of their own: controller.listener.names"
	case "delegation.token.master.key":
		return "its name is delegation.token.secret.key"
	case "offsets.commit.required.acks":
		return "a commit always waits for all in-sync replicas"
	case "leader.imbalance.per.broker.percentage", "auto.include.jmx.reporter":
		return "it has no meaning without Java's controller"
	}
	return "Kafka has dropped it, and Klamm never had it"
}

// change is what one key of the old file becomes.
type change struct {
	Line   int    `json:"line"`
	Key    string `json:"key"`
	Result string `json:"result"` // kept, renamed, dropped, added, or refused
	Text   string `json:"text"`
}

// migrate takes a server.properties of Kafka 2 to 4 over.
func migrate(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "migrate FILE", Short: "Make a server.properties for Klamm of one of Kafka 2.x to 4.x, and say line by line what becomes of it", Args: app.Exactly("FILE"),
		Example: "  klamm config migrate kafka/server.properties > server.properties\n  klamm config migrate kafka/server.properties --report -o json     # only what would become of it",
		Long: "Write a server.properties for Klamm to standard output, and to standard error what became of each key. What is not\n" +
			"needed any more stays as a comment with its reason. Data is not moved: mirror it with klamm topic replay.",
	}
	form := app.OutputFlag(c)
	report := c.Flags().Bool("report", false, "print what becomes of each key to standard output, in the form of -o, and no file")
	c.RunE = func(c *cobra.Command, args []string) error {
		data, err := run.ReadFile(args[0])
		if err != nil {
			return err
		}
		m := &migration{file: args[0], keys: keys()}
		if err := m.run(data); err != nil {
			return app.Input(err, "%s is no server.properties", args[0])
		}
		list := app.List[change]{
			Items: m.changes,
			ID:    func(c change) string { return c.Key },
			Columns: []app.Column[change]{
				{Name: "line", Text: func(c change) string {
					if c.Line == 0 {
						return "-"
					}
					return fmt.Sprint(c.Line)
				}},
				{Name: "key", Text: func(c change) string { return c.Key }},
				{Name: "result", Text: func(c change) string { return c.Result }},
				{Name: "text", Text: func(c change) string { return app.OrDash(c.Text) }},
			},
		}
		if *report {
			if err := app.PrintList(a, form, list); err != nil {
				return err
			}
		} else {
			if _, err := a.Out.Write(m.out.Bytes()); err != nil {
				return err
			}
			if !a.Quiet() {
				t := app.NewTable(a.Err)
				for _, c := range m.changes {
					place := args[0]
					if c.Line > 0 {
						place += fmt.Sprintf(":%d", c.Line)
					}
					t.Row(place, c.Key, c.Result, app.OrDash(c.Text))
				}
				_ = t.Flush()
			}
		}
		return m.verdict()
	}
	return c
}

// migration is one run of migrate.
type migration struct {
	file    string
	keys    *config.Set
	set     map[string]string // of the old file, by key
	unheard bool              // listeners of the old file is refused, and so is what names one of them
	written []string          // keys of the new one
	out     bytes.Buffer
	changes []change
}

// run writes the new file line by line of the old one.
func (m *migration) run(data []byte) error {
	props, err := node.Properties(m.file, data)
	if err != nil {
		return err
	}
	m.set = map[string]string{}
	at := map[int]node.Property{}
	for _, p := range props {
		m.set[p.Key] = p.Value
		at[p.Line] = p
	}
	for _, p := range props {
		if p.Key == "listeners" {
			m.unheard = m.refused(p) != ""
		}
	}
	fmt.Fprintf(&m.out, "# Made of %s by klamm config migrate.\n", m.file)
	lines := strings.Split(strings.TrimSuffix(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)), "\n"), "\n")
	for i := 1; i <= len(lines); i++ {
		p, ok := at[i]
		if !ok {
			m.out.WriteString(lines[i-1] + "\n")
			continue
		}
		m.property(p, lines[p.Line-1:p.Last])
		i = p.Last
	}
	m.missing()
	return nil
}

// property decides what becomes of one entry.
func (m *migration) property(p node.Property, lines []string) {
	keep := func(result, text string) {
		m.note(p.Line, p.Key, result, text)
		m.written = append(m.written, p.Key)
		m.out.WriteString(strings.Join(lines, "\n") + "\n")
	}
	comment := func(result, text string) {
		m.note(p.Line, p.Key, result, text)
		fmt.Fprintf(&m.out, "# %s: %s\n", result, text)
		for _, l := range lines {
			m.out.WriteString("#" + l + "\n")
		}
	}
	rename := func(key, value, text string) {
		m.note(p.Line, p.Key, "renamed", text)
		m.add(key, value)
	}
	switch p.Key {
	case "broker.id":
		if _, ok := m.set["node.id"]; ok {
			comment("dropped", "node.id says it")
			return
		}
		if strings.TrimSpace(p.Value) == "-1" {
			m.note(p.Line, p.Key, "renamed", "node.id=1; ZooKeeper drew a number before")
			m.add("node.id", "1")
			return
		}
		rename("node.id", p.Value, "node.id is its name")
		return
	case "log.dir":
		if _, ok := m.set["log.dirs"]; ok {
			comment("dropped", "log.dirs says it")
			return
		}
		rename("log.dirs", p.Value, "log.dirs is its name")
		return
	case "log.message.timestamp.difference.max.ms":
		m.note(p.Line, p.Key, "renamed", "log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms")
		m.add("log.message.timestamp.before.max.ms", p.Value)
		m.add("log.message.timestamp.after.max.ms", p.Value)
		return
	case "delegation.token.master.key":
		rename("delegation.token.secret.key", p.Value, "delegation.token.secret.key is its name")
		return
	case "host.name", "port":
		if _, ok := m.set["listeners"]; ok {
			comment("dropped", "listeners says it")
			return
		}
		m.address(p, "listeners", "host.name", "port")
		return
	case "advertised.host.name", "advertised.port":
		if _, ok := m.set["advertised.listeners"]; ok {
			comment("dropped", "advertised.listeners says it")
			return
		}
		m.address(p, "advertised.listeners", "advertised.host.name", "advertised.port")
		return
	case "controller.listener.names":
		if m.brokerOnly() {
			comment("dropped", "it names a listener of other nodes, and this version has its controller in the broker")
			return
		}
	case "process.roles":
		if len(config.SplitList(p.Value)) == 1 {
			m.note(p.Line, p.Key, "changed", "broker,controller: a node of this version is both")
			m.add("process.roles", "broker,controller")
			return
		}
	case "controller.quorum.voters", "controller.quorum.bootstrap.servers":
		if voters := config.SplitList(p.Value); len(voters) > 1 {
			comment("dropped", fmt.Sprintf("it names %d nodes, and this version runs one", len(voters)))
			return
		}
	}
	if slices.Contains(past(), p.Key) || strings.HasPrefix(p.Key, "zookeeper.") {
		comment("dropped", farewell(p.Key))
		return
	}
	if m.unheard && namesListeners(p.Key) {
		comment("refused", "it names a listener, and listeners is refused")
		return
	}
	k, known := m.keys.LookupListener(p.Key)
	if known && k.Validate(p.Value) == nil && k.NoEffect != "" {
		keep("kept", "it has no effect: "+k.NoEffect)
		return
	}
	if why := m.refused(p); why != "" {
		comment("refused", why)
		return
	}
	if !known {
		if why := m.unknown(p.Key); why != "" {
			comment("dropped", why)
			return
		}
	}
	keep("kept", "")
}

// refused asks the reader of a node's configuration about one key alone, beside what every node needs.
func (m *migration) refused(p node.Property) string {
	base := []string{"process.roles=broker,controller", "log.dirs=d", "listeners=PLAINTEXT://localhost:9092"}
	if _, old := m.set["broker.id"]; !old {
		base = append(base, "node.id=1")
	}
	for _, with := range []string{"listener.security.protocol.map", "controller.listener.names", "listeners", "inter.broker.listener.name", "allow.everyone.if.no.acl.found", "node.id", "broker.id"} {
		if with == "controller.listener.names" && m.brokerOnly() {
			continue
		}
		if v, ok := m.set[with]; ok && with != p.Key && needs(p.Key, with) {
			base = append(base, with+"="+v)
		}
	}
	_, err := node.Read(node.Source{File: m.file, Overrides: append(base, p.Key+"="+p.Value), InsecureListen: true, Keys: m.keys})
	if err == nil {
		return ""
	}
	for line := range strings.Lines(err.Error()) {
		if rest, ok := strings.CutPrefix(line, "--override "+p.Key+"="); ok {
			return strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(rest, strings.TrimSpace(p.Value)), ":"))
		}
	}
	return "" // it is about another key, which has its own line
}

// namesListeners says that a key means something only beside the listeners that it names.
func namesListeners(key string) bool {
	return slices.Contains([]string{"advertised.listeners", "inter.broker.listener.name", "controller.listener.names", "listener.security.protocol.map"}, key)
}

// brokerOnly says that the old node had its controller elsewhere.
func (m *migration) brokerOnly() bool {
	roles := config.SplitList(m.set["process.roles"])
	return len(roles) > 0 && !slices.Contains(roles, "controller")
}

// needs says that a key can be judged only beside another one.
func needs(key, with string) bool {
	switch key {
	case "listeners", "advertised.listeners", "inter.broker.listener.name", "controller.listener.names", "listener.security.protocol.map":
		return with != "allow.everyone.if.no.acl.found" && with != "node.id" && with != "broker.id"
	case "authorizer.class.name":
		return with == "allow.everyone.if.no.acl.found"
	case "controller.quorum.voters":
		return with == "node.id" || with == "broker.id"
	}
	return with == "broker.id" && key != "node.id"
}

// unknown says why a key that no node knows is dropped; empty for one that the authorizer knows.
func (m *migration) unknown(key string) string {
	if key == "super.users" || key == "allow.everyone.if.no.acl.found" || strings.HasPrefix(key, "rsm.config.") || strings.HasPrefix(key, "rlmm.config.") {
		return ""
	}
	if _, ok := m.keys.Lookup(config.Topic, key); ok {
		return "it is a key of topics: klamm topic alter NAME --set " + key + "=VALUE"
	}
	if near := m.keys.Nearest(config.Broker, key); near != "" {
		return "nobody knows it; was " + near + " meant?"
	}
	return "nobody knows it"
}

// address makes one listener of an old pair of host and port, where the first of them stands.
func (m *migration) address(p node.Property, key, hostKey, portKey string) {
	if slices.Contains(m.written, key) {
		m.note(p.Line, p.Key, "renamed", "it is in "+key)
		return
	}
	host, port := strings.TrimSpace(m.set[hostKey]), strings.TrimSpace(m.set[portKey])
	if port == "" {
		port = strings.TrimSpace(m.set["port"])
	}
	if port == "" {
		port = fmt.Sprint(node.DefaultPort)
	}
	value := "PLAINTEXT://" + host + ":" + port
	m.note(p.Line, p.Key, "renamed", key+"="+value)
	m.add(key, value)
}

// missing adds what a node needs and the old file did not have to say.
func (m *migration) missing() {
	if !slices.Contains(m.written, "process.roles") {
		m.note(0, "process.roles", "added", "a node is its own controller")
		fmt.Fprintln(&m.out)
		m.add("process.roles", "broker,controller")
	}
	if !slices.Contains(m.written, "node.id") {
		m.note(0, "node.id", "added", "every node has a number")
		m.add("node.id", "1")
	}
	if !slices.Contains(m.written, "log.dirs") {
		m.note(0, "log.dirs", "added", "Kafka's default is in /tmp, where data does not stay")
		m.add("log.dirs", "/var/lib/klamm")
	}
}

// add writes an entry.
func (m *migration) add(key, value string) {
	m.written = append(m.written, key)
	fmt.Fprintf(&m.out, "%s=%s\n", key, strings.ReplaceAll(value, `\`, `\\`))
}

// note notes what became of a key.
func (m *migration) note(line int, key, result, text string) {
	m.changes = append(m.changes, change{line, key, result, text})
}

// verdict is nil when a node would start from the new file and obeys all that the old one asked for.
func (m *migration) verdict() error {
	if _, err := node.Read(node.Source{File: "the new file", Data: m.out.Bytes(), InsecureListen: true, Keys: m.keys}); err != nil {
		return &app.Failure{Exit: app.ExitFailed, Code: app.CodeConfig, What: "the new file still cannot be obeyed", Why: strings.TrimSpace(err.Error()), Try: "mend it by hand, and klamm config check it"}
	}
	refused := 0
	for _, c := range m.changes {
		if c.Result == "refused" {
			refused++
		}
	}
	if refused > 0 {
		return &app.Failure{Exit: app.ExitPartly, Code: app.CodePartly, What: fmt.Sprintf("%s cannot be obeyed here and stand as comments", app.CountText(refused, "key")), Why: "see the lines marked refused", Try: "klamm config explain KEY"}
	}
	return nil
}
