package kafka

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The kinds of things that have configurations, as --entity-type names them.
const (
	ofTopics  = "topics"
	ofClients = "clients"
	ofUsers   = "users"
	ofBrokers = "brokers"
	ofLoggers = "broker-loggers"
	ofIPs     = "ips"
	ofMetrics = "client-metrics"
	ofGroups  = "groups"
)

// entityFlags are the options that name a thing of a kind, and those that mean its defaults.
func entityFlags() (named, defaults [][2]string) {
	return [][2]string{{"topic", ofTopics}, {"client", ofClients}, {"user", ofUsers}, {"broker", ofBrokers}, {"broker-logger", ofLoggers}, {"ip", ofIPs}, {"client-metrics", ofMetrics}, {"group", ofGroups}},
		[][2]string{{"client-defaults", ofClients}, {"user-defaults", ofUsers}, {"broker-defaults", ofBrokers}, {"ip-defaults", ofIPs}}
}

// configsTool describes and alters configurations.
func configsTool() tool {
	deleted := text("delete-config", "", "The keys to take away, with commas between them.")
	deleted.split = ","
	return tool{
		name: "kafka-configs", short: "Configurations, as kafka-configs.sh does it",
		about: "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip, client-metrics or group",
		example: `  klamm kafka-configs --bootstrap-server localhost:9092 --describe --topic orders --all
  klamm kafka-configs --bootstrap-server localhost:9092 --alter --topic orders --add-config retention.ms=3600000,cleanup.policy=[compact,delete]
  klamm kafka-configs --bootstrap-server localhost:9092 --alter --entity-type brokers --entity-default --delete-config log.retention.ms`,
		options: []option{
			bootstrap(),
			text("bootstrap-controller", "controller to connect to", "Not here: klamm talks to brokers."),
			text("command-config", "command config property file", "A file of properties for the client."),
			flag("alter", "Alter configurations."),
			flag("describe", "Describe configurations."),
			flag("all", "Describe all, with those of files and defaults."),
			texts("entity-type", "", "The kind of thing: topics, clients, users, brokers, broker-loggers, ips, client-metrics or groups."),
			texts("entity-name", "", "Its name: a topic's, client's, user's or group's, a broker's id, an address."),
			flag("entity-default", "The defaults of clients, users, brokers or ips."),
			text("add-config", "", "The configurations to set, key=value with commas between them; square brackets hold a value that has commas: k1=v1,k2=[v1,v2]."),
			text("add-config-file", "", "A file of properties to set."),
			deleted,
			text("topic", "", "The topic."),
			text("client", "", "The client's id."),
			flag("client-defaults", "The defaults of all clients."),
			text("user", "", "The user."),
			flag("user-defaults", "The defaults of all users."),
			text("broker", "", "The broker's id."),
			flag("broker-defaults", "The defaults of all brokers."),
			text("broker-logger", "", "The id of the broker whose loggers are meant."),
			flag("ip-defaults", "The defaults of all addresses."),
			text("ip", "", "The address."),
			text("group", "", "The group."),
			text("client-metrics", "", "The name of a configuration of clients' metrics."),
		},
		run: runConfigs,
	}
}

// entities are the kinds and names that the command line means, in their order; an empty name is the default.
func (r *run) entities() (kinds, names []string) {
	named, defaults := entityFlags()
	kinds = slices.Clone(r.all("entity-type"))
	next := 0
	for _, o := range r.order {
		switch o {
		case "entity-name":
			if next < len(r.all("entity-name")) {
				names = append(names, r.all("entity-name")[next])
				next++
			}
		case "entity-default":
			names = append(names, "")
		}
	}
	for _, f := range named {
		if r.has(f[0]) {
			kinds, names = append(kinds, f[1]), append(names, r.text(f[0]))
		}
	}
	for _, f := range defaults {
		if r.has(f[0]) {
			kinds, names = append(kinds, f[1]), append(names, "")
		}
	}
	return kinds, names
}

// runConfigs is kafka-configs.
func runConfigs(r *run) error {
	kinds, names := r.entities()
	if err := r.checkConfigs(kinds, names); err != nil {
		return err
	}
	if r.has("alter") && len(kinds) != len(names) {
		return saysf("An entity name must be specified for every entity type")
	}
	add, err := r.configsToAdd()
	if err != nil {
		return err
	}
	var remove []string
	for _, k := range r.all("delete-config") {
		remove = append(remove, strings.TrimSpace(k))
	}
	cl, adm, err := r.admin()
	if err != nil {
		return err
	}
	defer cl.Close()
	c := configsRun{r, cl, adm, kinds, names}
	if r.has("describe") {
		err = c.describe()
	} else {
		err = c.alter(add, remove)
	}
	var said sentence
	var use usageError
	if err == nil || errors.As(err, &said) || errors.As(err, &use) {
		return err
	}
	fmt.Fprintf(r.err, "Error while executing config command with args '%s'\n", strings.Join(r.args, " "))
	return plainf("%s", "java.util.concurrent.ExecutionException: "+wrapped(err))
}

// checkConfigs refuses command lines as Java's tool does.
func (r *run) checkConfigs(kinds, names []string) error {
	if r.has("alter") == r.has("describe") {
		return usagef("Command must include exactly one action: --describe, --alter")
	}
	if err := r.not("describe", "add-config", "delete-config"); err != nil {
		return err
	}
	var again []string
	for i, k := range kinds {
		if slices.Contains(kinds[:i], k) {
			again = append(again, k)
		}
	}
	valid := []string{ofTopics, ofClients, ofUsers, ofBrokers, ofIPs, ofMetrics, ofGroups, ofLoggers}
	const how = "--bootstrap-server or --bootstrap-controller"
	switch {
	case len(again) > 0:
		return saysf("Duplicate entity type(s) specified: %s", strings.Join(again, ","))
	case !r.hasAny("bootstrap-server", "bootstrap-controller"):
		return saysf("Either --bootstrap-server or --bootstrap-controller must be specified.")
	}
	for _, k := range kinds {
		if !slices.Contains(valid, k) {
			return saysf("Invalid entity type %s, the entity type must be one of %s with a %s argument", k, strings.Join(valid, ", "), how)
		}
	}
	pair := len(kinds) == 2 && slices.Contains(kinds, ofUsers) && slices.Contains(kinds, ofClients)
	named, defaults := entityFlags()
	special := slices.ContainsFunc(append(named, defaults...), func(f [2]string) bool { return r.has(f[0]) })
	hasName := slices.ContainsFunc(names, func(n string) bool { return n != "" })
	hasDefault := slices.Contains(names, "")
	quota := slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains([]string{ofUsers, ofClients, ofBrokers, ofIPs}, k) })
	switch {
	case len(kinds) == 0:
		return saysf("At least one entity type must be specified")
	case len(kinds) > 1 && !pair:
		return saysf("Only 'users' and 'clients' entity types may be specified together")
	case special && r.hasAny("entity-name", "entity-type", "entity-default"):
		return saysf("--entity-{type,name,default} should not be used in conjunction with specific entity flags")
	case r.has("bootstrap-server") && r.has("bootstrap-controller"):
		return saysf("Only one of --bootstrap-server or --bootstrap-controller can be specified")
	case r.has("bootstrap-controller"):
		return saysf("--bootstrap-controller is not supported by klamm: name a broker with --bootstrap-server")
	}
	for i, n := range names {
		kind := kinds[min(i, len(kinds)-1)]
		if n == "" {
			continue
		}
		if _, err := strconv.ParseInt(n, 10, 32); err != nil && (kind == ofBrokers || kind == ofLoggers) {
			return saysf("The entity name for %s must be a valid integer broker id, but it is: %s", kinds[0], n)
		}
		if kind == ofIPs && net.ParseIP(n) == nil {
			if _, err := net.DefaultResolver.LookupHost(r.ctx, n); err != nil {
				return saysf("The entity name for %s must be a valid IP or resolvable host, but it is: %s", kinds[0], n)
			}
		}
	}
	all := strings.Join(kinds, ",")
	if r.has("describe") {
		switch {
		case !quota && r.has("entity-default"):
			return saysf("--entity-default must not be specified with --describe of %s", all)
		case slices.Contains(kinds, ofLoggers) && !hasName:
			return saysf("An entity name must be specified with --describe of %s", all)
		}
		return nil
	}
	switch {
	case quota && !hasName && !hasDefault:
		return saysf("An entity-name or default entity must be specified with --alter of users, clients, brokers or ips")
	case !quota && !hasName:
		return saysf("An entity name must be specified with --alter of %s", all)
	case r.has("add-config") && r.has("add-config-file"):
		return saysf("Only one of --add-config or --add-config-file must be specified")
	case !r.hasAny("add-config", "add-config-file", "delete-config"):
		return saysf("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter")
	}
	return nil
}

// configsToAdd reads --add-config and --add-config-file.
func (r *run) configsToAdd() (map[string]string, error) {
	add, err := r.properties(r.text("add-config-file"), nil)
	if err != nil {
		return nil, err
	}
	if r.has("add-config") {
		pairs := splitOutside(r.text("add-config"), ',')
		for len(pairs) > 1 && pairs[len(pairs)-1] == "" {
			pairs = pairs[:len(pairs)-1]
		}
		for _, pair := range pairs {
			kv := splitOutside(pair, '=')
			if len(kv) != 2 {
				return nil, saysf("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.")
			}
			add[strings.TrimSpace(kv[0])] = strings.TrimSpace(strings.NewReplacer("[", "", "]", "").Replace(kv[1]))
		}
	}
	key := regexp.MustCompile(`^[$a-zA-Z0-9._-]*$`)
	for k := range add {
		if !key.MatchString(k) {
			return nil, saysf("Invalid character found for config key: %s", k)
		}
	}
	return add, nil
}

// splitOutside splits at a character that does not stand in square brackets.
func splitOutside(s string, sep byte) (parts []string) {
	from := 0
	for i := 0; i < len(s); i++ {
		if s[i] != sep {
			continue
		}
		if j := strings.IndexAny(s[i:], "[]"); j < 0 || s[i+j] == '[' {
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}

// configsRun is a run of kafka-configs on a cluster.
type configsRun struct {
	*run
	cl           *kgo.Client
	adm          *kadm.Client
	kinds, names []string
}

// resource is the type of a kind's resource.
func resource(kind string) kmsg.ConfigResourceType {
	switch kind {
	case ofTopics:
		return kmsg.ConfigResourceTypeTopic
	case ofBrokers:
		return kmsg.ConfigResourceTypeBroker
	case ofLoggers:
		return kmsg.ConfigResourceTypeBrokerLogger
	case ofMetrics:
		return kmsg.ConfigResourceTypeClientMetrics
	}
	return kmsg.ConfigResourceTypeGroupConfig
}

// describe is --describe.
func (c configsRun) describe() error {
	switch c.kinds[0] {
	case ofUsers, ofClients:
		if err := c.describeQuotas(); err != nil {
			return err
		}
		if !slices.Contains(c.kinds, ofClients) && !slices.Contains(c.names, "") {
			return c.describeSCRAM()
		}
		return nil
	case ofIPs:
		return c.describeQuotas()
	}
	return c.describeResources(c.kinds[0])
}

// describeResources describes the configuration of topics, brokers, their loggers, groups and metrics.
func (c configsRun) describeResources(kind string) error {
	names := c.names[:min(1, len(c.names))]
	if len(names) == 0 {
		all, err := c.existing(kind)
		if err != nil {
			return err
		}
		names = all
		if kind == ofBrokers {
			names = append(names, "")
		}
	} else if !c.has("all") && !((kind == ofBrokers || kind == ofLoggers) && names[0] == "") {
		all, err := c.existing(kind)
		if err != nil {
			return err
		}
		if !slices.Contains(all, names[0]) {
			c.printf("The %s '%s' doesn't exist and doesn't have dynamic config.\n", kind[:len(kind)-1], names[0])
			return nil
		}
	}
	head := func(name string) {
		what := "Dynamic"
		if c.has("all") {
			what = "All"
		}
		if name == "" {
			c.printf("Default configs for %s in the cluster are:\n", kind)
		} else {
			c.printf("%s configs for %s %s are:\n", what, kind[:len(kind)-1], name)
		}
	}
	configs, err := describeConfigs(c.ctx, c.cl, resource(kind), names, true)
	if err != nil {
		if len(names) > 0 {
			head(names[0]) // Java's tool prints it before it asks
		}
		return err
	}
	for _, n := range names {
		head(n)
		for _, e := range configs[n] {
			if !c.has("all") && !dynamic(kind, n, e.Source) {
				continue
			}
			var same []string
			for _, s := range e.ConfigSynonyms {
				same = append(same, fmt.Sprintf("%s:%s=%s", sourceName(s.Source), s.Name, orNull(s.Value)))
			}
			c.printf("  %s=%s sensitive=%t synonyms={%s}\n", e.Name, orNull(e.Value), e.IsSensitive, strings.Join(same, ", "))
		}
	}
	return nil
}

// orNull is a text, or null.
func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// sourceName is Java's name of where a configuration comes from.
func sourceName(s kmsg.ConfigSource) string {
	switch s {
	case 7:
		return "DYNAMIC_CLIENT_METRICS_CONFIG"
	case 8:
		return "DYNAMIC_GROUP_CONFIG"
	}
	return s.String()
}

// dynamic says that a source is that of what was set for a thing itself.
func dynamic(kind, name string, s kmsg.ConfigSource) bool {
	switch kind {
	case ofTopics:
		return s == kmsg.ConfigSourceDynamicTopicConfig
	case ofBrokers:
		if name == "" {
			return s == kmsg.ConfigSourceDynamicDefaultBrokerConfig
		}
		return s == kmsg.ConfigSourceDynamicBrokerConfig
	case ofMetrics:
		return s == 7
	case ofGroups:
		return s == 8
	}
	return true // all of a logger's are
}

// existing are the names of the things of a kind.
func (c configsRun) existing(kind string) (names []string, err error) {
	switch kind {
	case ofTopics:
		topics, _, _, err := metadata(c.ctx, c.cl, nil)
		for _, t := range topics {
			names = append(names, t.name)
		}
		return names, err
	case ofBrokers, ofLoggers:
		_, _, nodes, err := metadata(c.ctx, c.cl, []string{})
		for _, n := range nodes {
			names = append(names, fmt.Sprint(n.id))
		}
		return names, err
	case ofGroups:
		listed, err := c.adm.ListGroups(c.ctx)
		if err != nil {
			return nil, err
		}
		names = listed.Groups()
	}
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.ResourceTypes = []int8{int8(resource(kind))}
	res, err := req.RequestWith(c.ctx, c.cl)
	if err == nil {
		err = refused(res.ErrorCode, nil)
	}
	switch {
	case err == nil:
		for _, r := range res.ConfigResources {
			if r.Type == int8(resource(kind)) {
				names = append(names, r.Name)
			}
		}
	case kind != ofGroups: // groups are known without
		return nil, err
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// alter is --alter.
func (c configsRun) alter(add map[string]string, remove []string) error {
	kind, name := c.kinds[0], c.names[0]
	var err error
	switch kind {
	case ofUsers, ofClients, ofIPs:
		err = c.alterQuotas(add, remove)
	default:
		if kind == ofLoggers {
			if err := c.checkLoggers(name, add, remove); err != nil {
				return err
			}
		}
		err = c.alterResource(kind, name, add, remove)
	}
	if err != nil {
		return err
	}
	if name != "" {
		c.printf("Completed updating config for %s %s.\n", kind[:len(kind)-1], name)
	} else {
		c.printf("Completed updating default config for %s in the cluster.\n", kind)
	}
	return nil
}

// checkLoggers refuses loggers that a broker does not have.
func (c configsRun) checkLoggers(name string, add map[string]string, remove []string) error {
	configs, err := describeConfigs(c.ctx, c.cl, kmsg.ConfigResourceTypeBrokerLogger, []string{name}, false)
	if err != nil {
		return err
	}
	var bad []string
	for _, k := range slices.Concat(remove, slices.Sorted(maps.Keys(add))) {
		if !slices.ContainsFunc(configs[name], func(e kmsg.DescribeConfigsResponseResourceConfig) bool { return e.Name == k }) {
			bad = append(bad, k)
		}
	}
	if len(bad) > 0 {
		return saysf("Invalid broker logger(s): %s", strings.Join(bad, ","))
	}
	return nil
}

// alterResource sets and deletes configurations of one thing.
func (c configsRun) alterResource(kind, name string, add map[string]string, remove []string) error {
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = resource(kind), name
	change := func(key string, op kmsg.IncrementalAlterConfigOp, value string) {
		e := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		e.Name, e.Op, e.Value = key, op, kmsg.StringPtr(value)
		res.Configs = append(res.Configs, e)
	}
	for _, k := range remove {
		change(k, kmsg.IncrementalAlterConfigOpDelete, "")
	}
	for _, k := range slices.Sorted(maps.Keys(add)) {
		change(k, kmsg.IncrementalAlterConfigOpSet, add[k])
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = append(req.Resources, res)
	for _, shard := range c.cl.RequestSharded(c.ctx, req) {
		if shard.Err != nil {
			return shard.Err
		}
		for _, r := range shard.Resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
			if err := refused(r.ErrorCode, r.ErrorMessage); err != nil {
				return err
			}
		}
	}
	return nil
}

// isSCRAM says that a key is the name of a mechanism of SCRAM.
func isSCRAM(key string) bool { return key == "SCRAM-SHA-256" || key == "SCRAM-SHA-512" }

// isQuota says that a key is a quota of users and clients.
func isQuota(key string) bool {
	return slices.Contains([]string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"}, key)
}

// javaSet is a list as Scala writes a set of one or of several: Set(a, b).
func javaSet(keys []string) string { return "Set(" + strings.Join(keys, ", ") + ")" }

// alterQuotas alters the quotas of users, clients and addresses, and users' credentials.
func (c configsRun) alterQuotas(add map[string]string, remove []string) error {
	keys := slices.Concat(slices.Sorted(maps.Keys(add)), remove)
	quotas := slices.ContainsFunc(keys, isQuota)
	scram := slices.ContainsFunc(keys, isSCRAM)
	others := slices.DeleteFunc(slices.Clone(keys), func(k string) bool {
		if c.kinds[0] == ofIPs {
			return k == "connection_creation_rate"
		}
		return isQuota(k) || isSCRAM(k)
	})
	switch {
	case c.kinds[0] == ofIPs && len(others) > 0:
		return saysf("Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: %s", strings.Join(others, ","))
	case c.kinds[0] == ofIPs:
		return c.sendQuotas(add, remove)
	case (c.kinds[0] == ofClients || len(c.kinds) == 2) && (len(others) > 0 || scram):
		return saysf("Only quota configs can be added for 'clients' using --bootstrap-server. Unexpected config names: %s", javaSet(slices.DeleteFunc(keys, isQuota)))
	case len(others) > 0:
		return saysf("Only quota and SCRAM credential configs can be added for 'users' using --bootstrap-server. Unexpected config names: %s", javaSet(others))
	case scram && slices.Contains(c.names, ""):
		return saysf("The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using --bootstrap-server.")
	case scram && quotas:
		return saysf("Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using --bootstrap-server.")
	case quotas:
		return c.sendQuotas(add, remove)
	}
	return c.alterSCRAM(add, remove)
}

// quotaKind is the name of a kind in quotas.
func quotaKind(kind string) string {
	return map[string]string{ofUsers: "user", ofClients: "client-id", ofIPs: "ip"}[kind]
}

// sendQuotas sets and deletes quotas.
func (c configsRun) sendQuotas(add map[string]string, remove []string) error {
	present, err := c.quotas()
	if err != nil {
		return err
	}
	var bad []string
	for _, k := range remove {
		if len(present) == 0 || !slices.ContainsFunc(present[0].Values, func(v kadm.ClientQuotaValue) bool { return v.Key == k }) {
			bad = append(bad, k)
		}
	}
	if len(bad) > 0 {
		return saysf("Invalid config(s): %s", strings.Join(bad, ","))
	}
	entry := kadm.AlterClientQuotaEntry{}
	for i, kind := range c.kinds {
		e := kadm.ClientQuotaEntityComponent{Type: quotaKind(kind)}
		if c.names[i] != "" {
			e.Name = &c.names[i]
		}
		entry.Entity = append(entry.Entity, e)
	}
	for _, k := range slices.Sorted(maps.Keys(add)) {
		v, err := strconv.ParseFloat(add[k], 64)
		if err != nil {
			return saysf("Cannot parse quota configuration value for %s: %s", k, add[k])
		}
		entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: k, Value: v})
	}
	for _, k := range remove {
		entry.Ops = append(entry.Ops, kadm.AlterClientQuotaOp{Key: k, Remove: true})
	}
	res, err := c.adm.AlterClientQuotas(c.ctx, []kadm.AlterClientQuotaEntry{entry})
	if err != nil {
		return err
	}
	for _, r := range res {
		if r.Err != nil {
			return withSentence(r.Err, r.ErrMessage)
		}
	}
	return nil
}

// withSentence is an error of the client library with the broker's sentence.
func withSentence(err error, text string) error {
	var k *kerr.Error
	if text != "" && errors.As(err, &k) {
		return refusal{k.Code, text}
	}
	return err
}

// quotas are the quotas of what the command line names.
func (c configsRun) quotas() (kadm.DescribedClientQuotas, error) {
	if len(c.names) > len(c.kinds) {
		return nil, saysf("More entity names specified than entity types")
	}
	var want []kadm.DescribeClientQuotaComponent
	for i, kind := range c.kinds {
		w := kadm.DescribeClientQuotaComponent{Type: quotaKind(kind), MatchType: kmsg.QuotasMatchTypeAny}
		if i < len(c.names) {
			w.MatchType = kmsg.QuotasMatchTypeDefault
			if c.names[i] != "" {
				w.MatchType, w.MatchName = kmsg.QuotasMatchTypeExact, &c.names[i]
			}
		}
		want = append(want, w)
	}
	return c.adm.DescribeClientQuotas(c.ctx, true, want)
}

// describeQuotas prints quotas.
func (c configsRun) describeQuotas() error {
	all, err := c.quotas()
	if err != nil {
		return err
	}
	for _, q := range all {
		var of, values []string
		for _, kind := range [][2]string{{"user", "user-principal"}, {"client-id", "client-id"}, {"ip", "ip"}} {
			for _, e := range q.Entity {
				switch {
				case e.Type != kind[0]:
				case e.Name == nil:
					of = append(of, "the default "+kind[1])
				default:
					of = append(of, kind[1]+" '"+*e.Name+"'")
				}
			}
		}
		for _, v := range q.Values {
			values = append(values, v.Key+"="+javaDouble(v.Value))
		}
		slices.Sort(values)
		c.printf("Quota configs for %s are %s\n", strings.Join(of, ", "), strings.Join(values, ", "))
	}
	return nil
}

// javaDouble writes a number as Java's Double.toString does.
func javaDouble(f float64) string {
	if abs := max(f, -f); abs != 0 && (abs < 1e-3 || abs >= 1e7) {
		mantissa, exp, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		n, err := strconv.Atoi(exp)
		if err == nil {
			return fmt.Sprintf("%sE%d", mantissa, n)
		}
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// describeSCRAM prints which credentials users have.
func (c configsRun) describeSCRAM() error {
	res, err := c.adm.DescribeUserSCRAMs(c.ctx, c.names...)
	if err != nil {
		return err
	}
	for _, u := range res.Sorted() {
		if errors.Is(u.Err, kerr.ResourceNotFound) {
			continue
		}
		if u.Err != nil {
			err := withSentence(u.Err, u.ErrMessage)
			class, text, _ := strings.Cut(wrapped(err), ": ")
			c.printf("Error retrieving SCRAM credential configs for user-principal '%s': %s: %s\n", u.User, class[strings.LastIndexByte(class, '.')+1:], text)
			continue
		}
		var infos []string
		for _, i := range u.CredInfos {
			infos = append(infos, fmt.Sprintf("%s=iterations=%d", i.Mechanism, i.Iterations))
		}
		c.printf("SCRAM credential configs for user-principal '%s' are %s\n", u.User, strings.Join(infos, ", "))
	}
	return nil
}

// alterSCRAM sets and deletes credentials of a user.
func (c configsRun) alterSCRAM(add map[string]string, remove []string) error {
	user := c.names[0]
	mechanism := map[string]kadm.ScramMechanism{"SCRAM-SHA-256": kadm.ScramSha256, "SCRAM-SHA-512": kadm.ScramSha512}
	var del []kadm.DeleteSCRAM
	for _, m := range remove {
		del = append(del, kadm.DeleteSCRAM{User: user, Mechanism: mechanism[m]})
	}
	form := regexp.MustCompile(`^(?:iterations=(-?[0-9]*),)?password=(.*)$`)
	var set []kadm.UpsertSCRAM
	for _, m := range slices.Sorted(maps.Keys(add)) {
		f := form.FindStringSubmatch(add[m])
		if f == nil {
			return saysf("Invalid credential property %s=%s", strings.ReplaceAll(m, "-", "_"), add[m])
		}
		n := 4096
		if f[1] != "" && f[1] != "-1" {
			var err error
			if n, err = strconv.Atoi(f[1]); err != nil {
				return saysf("For input string: %q", f[1])
			}
		}
		if n < 4096 {
			return saysf("Iterations %d is less than the minimum 4096 required for %s", n, m)
		}
		set = append(set, kadm.UpsertSCRAM{User: user, Mechanism: mechanism[m], Iterations: int32(n), Password: f[2]})
	}
	res, err := c.adm.AlterUserSCRAMs(c.ctx, del, set)
	if err != nil {
		return err
	}
	for _, u := range res {
		if u.Err != nil {
			return withSentence(u.Err, u.ErrMessage)
		}
	}
	return nil
}
