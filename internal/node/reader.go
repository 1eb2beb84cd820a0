package node

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klamm/klamm/internal/config"
)

// Source is where a Config is read from.
type Source struct {
	// File names the properties file in messages.
	File string
	// Data is the file's content.
	Data []byte
	// Environment is the process's environment, NAME=value each, of which the variables that name a key win
	// over the file: KAFKA_NUM_PARTITIONS is num.partitions. A dot of a key is _, an underscore __, a dash ___,
	// as in the images of Kafka. Variables that name no key are left alone.
	Environment []string
	// Overrides are key=value texts that win over the file and the environment, the last first.
	Overrides []string
	// InsecureListen allows listeners beyond loopback.
	InsecureListen bool
	// Keys are the keys to know; nil for Keys().
	Keys *config.Set
}

// Read makes a Config of a file in Kafka's format. The error names every impossible value with file,
// line, what is allowed and what to write instead; unknown keys and those without effect are warned of.
func Read(s Source) (Config, error) {
	r := &reader{source: s, keys: s.Keys, values: map[string]property{}, variables: map[string]string{}}
	if r.keys == nil {
		var err error
		if r.keys, err = Keys(); err != nil {
			return Config{}, err
		}
	}
	if err := r.load(); err != nil {
		return Config{}, err
	}
	r.aliases()
	r.check()
	cfg := Config{Keys: r.keys, Static: config.Static{}, AdminListener: r.value("admin.listener")}
	r.identity(&cfg)
	r.listeners(&cfg)
	r.directories(&cfg)
	r.authorizer()
	if len(r.errs) > 0 {
		return Config{}, errors.Join(r.errs...)
	}
	for k, p := range r.values {
		cfg.Static[k] = p.value
	}
	cfg.Origins = r.origins()
	cfg.NoEffect = slices.Sorted(slices.Values(r.noEffect))
	cfg.Warnings = r.warnings
	return cfg, nil
}

// reader gathers what one file says and what is wrong with it.
type reader struct {
	source    Source
	keys      *config.Set
	values    map[string]property
	variables map[string]string // of the environment, by the key that each sets
	bareHosts []string          // listeners without a host
	noEffect  []string
	warnings  []string
	errs      []error
}

// load parses the file and lays the overrides over it.
func (r *reader) load() error {
	props, err := parseProperties(r.source.File, r.source.Data)
	if err != nil {
		return err
	}
	for _, p := range props {
		if before, twice := r.values[p.key]; twice && before.value != p.value {
			r.warn("%s:%d: %s was set in line %d too; this one counts", r.source.File, p.line, p.key, before.line)
		}
		r.values[p.key] = p
	}
	r.environment()
	for _, o := range r.source.Overrides {
		k, v, ok := strings.Cut(o, "=")
		if k = strings.TrimSpace(k); !ok || k == "" {
			return fmt.Errorf("--override %s: not of the form key=value; write --override num.partitions=3", o)
		}
		r.values[k] = property{key: k, value: strings.TrimSpace(v)}
		delete(r.variables, k)
	}
	return nil
}

// variablePrefix begins the variables of the environment that set keys.
const variablePrefix = "KAFKA_"

// environment lays the variables that name a key over the file.
func (r *reader) environment() {
	for _, kv := range r.source.Environment {
		name, value, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(name, variablePrefix)
		if !ok {
			continue
		}
		key := strings.NewReplacer("___", "-", "__", "_", "_", ".").Replace(strings.ToLower(rest))
		if _, known := r.keys.Lookup(config.Broker, key); !known {
			continue
		}
		r.values[key] = property{key: key, value: strings.TrimSpace(value)}
		r.variables[key] = name
	}
}

// origins says of each key that is set where: FILE:LINE, a variable of the environment, or the flag.
func (r *reader) origins() map[string]string {
	all := map[string]string{}
	for key, p := range r.values {
		switch {
		case p.line > 0:
			all[key] = fmt.Sprintf("%s:%d", r.source.File, p.line)
		case r.variables[p.key] != "":
			all[key] = "environment " + r.variables[p.key]
		default:
			all[key] = "flag --override"
		}
	}
	return all
}

// aliases gives broker.id and log.dir their newer names, beside the older ones, as Kafka shows them.
func (r *reader) aliases() {
	id, hasID := r.values["node.id"]
	old, hasOld := r.values["broker.id"]
	switch {
	case hasID && hasOld && strings.TrimSpace(id.value) != strings.TrimSpace(old.value):
		r.fail("broker.id", fmt.Sprintf("node.id is %s, and both name this node", id.value), "keep node.id alone")
	case hasOld && !hasID:
		r.values["node.id"] = old
	case hasID && !hasOld:
		r.values["broker.id"] = id
	}
	if dir, ok := r.values["log.dir"]; ok && !r.isSet("log.dirs") {
		r.values["log.dirs"] = dir
	}
}

// check validates every value, and sorts out keys that are unknown or have no effect.
func (r *reader) check() {
	for _, p := range r.sorted() {
		name := p.key
		if rest, ok := strings.CutPrefix(name, "listener.name."); ok {
			_, name, _ = strings.Cut(rest, ".")
		}
		k, known := r.keys.LookupListener(p.key)
		if known {
			name = k.Name
		}
		switch {
		case known:
			if p.value == "" && k.Null && (k.Kind == config.String || k.Kind == config.Class || k.Kind == config.Password) {
				delete(r.values, p.key) // nothing behind the = is the same as no line
			} else if err := k.Validate(p.value); err != nil {
				r.fail(p.key, strings.TrimPrefix(err.Error(), fmt.Sprintf("Invalid value %s for configuration %s: ", p.value, name)), "")
			}
			if k.NoEffect != "" || name != p.key {
				r.noEffect = append(r.noEffect, p.key)
			}
		case name == "super.users" || name == "allow.everyone.if.no.acl.found":
			// The authorizer's own; authorizer looks at them.
		case strings.HasPrefix(name, "rsm.config.") || strings.HasPrefix(name, "rlmm.config."):
			r.noEffect = append(r.noEffect, p.key)
		case strings.HasPrefix(name, "zookeeper."):
			r.warn("%s%s is for ZooKeeper, which Klamm does not need; remove it", r.place(p), p.key)
		default:
			r.unknown(p)
		}
	}
}

// unknown warns of a key that nobody knows, with what it may have been meant to be.
func (r *reader) unknown(p property) {
	if k, ok := r.keys.Lookup(config.Topic, p.key); ok {
		hint := "set it on topics"
		if len(k.Synonyms) > 0 {
			hint = fmt.Sprintf("the broker's own for all topics is %s", k.Synonyms[0])
		}
		r.warn("%s%s is a key of topics and means nothing to a broker; %s", r.place(p), p.key, hint)
		return
	}
	if near := r.keys.Nearest(config.Broker, p.key); near != "" {
		r.warn("%s%s is not known and was ignored; did you mean %s?", r.place(p), p.key, near)
		return
	}
	r.warn("%s%s is not known and was ignored", r.place(p), p.key)
}

// identity reads who this node is: its number, its roles, its quorum.
func (r *reader) identity(cfg *Config) {
	id, err := strconv.ParseInt(r.value("node.id"), 10, 32)
	switch {
	case !r.isSet("node.id"):
		r.errs = append(r.errs, fmt.Errorf("%s: node.id is missing; add a line node.id=1", r.source.File))
	case err == nil && id < 0:
		r.fail("node.id", "a node's number is 0 or more", "write node.id=1")
	case err == nil:
		cfg.NodeID = int32(id)
	}
	roles := config.SplitList(r.value("process.roles"))
	switch {
	case len(roles) == 0 && !r.isSet("process.roles"):
		r.warn("process.roles is not set; this node is broker and controller")
	case len(roles) == 0 || !slices.Contains(roles, "controller"):
		r.fail("process.roles", "this version has its controller in the broker's own process and cannot use one elsewhere", "write process.roles=broker,controller")
	case !slices.Contains(roles, "broker"):
		r.fail("process.roles", "this version does not run a controller without a broker", "write process.roles=broker,controller")
	}
	for _, v := range config.SplitList(r.value("controller.quorum.voters")) {
		voter, _, ok := strings.Cut(v, "@")
		n, err := strconv.ParseInt(voter, 10, 32)
		switch {
		case !ok || err != nil:
			r.fail("controller.quorum.voters", fmt.Sprintf("%q is not of the form id@host:port", v), "")
		case n != id:
			r.fail("controller.quorum.voters", fmt.Sprintf("node %d would have to vote too, and this version runs one node", n),
				fmt.Sprintf("name node %d alone, or leave the key out", id))
		}
	}
}

// directories reads where logs and metadata are.
func (r *reader) directories(cfg *Config) {
	dirs := config.SplitList(r.value("log.dirs"))
	if len(dirs) == 0 {
		dirs = config.SplitList(r.value("log.dir"))
	}
	for _, d := range dirs {
		if d = filepath.Clean(d); slices.Contains(cfg.LogDirs, d) {
			r.fail("log.dirs", fmt.Sprintf("%s stands there twice", d), "name each directory once")
			continue
		}
		cfg.LogDirs = append(cfg.LogDirs, d)
	}
	if len(cfg.LogDirs) == 0 {
		r.fail("log.dirs", "no directory is named", "write log.dirs=/var/lib/klamm")
		return
	}
	if cfg.MetadataDir = cfg.LogDirs[0]; r.value("metadata.log.dir") != "" {
		cfg.MetadataDir = filepath.Clean(r.value("metadata.log.dir"))
	}
}

// authorizer accepts an authorizer only where an empty list of ACLs allows everything, which is the truth here.
func (r *reader) authorizer() {
	class := r.value("authorizer.class.name")
	if class == "" {
		return
	}
	if !strings.EqualFold(strings.TrimSpace(r.values["allow.everyone.if.no.acl.found"].value), "true") {
		r.fail("authorizer.class.name", "this version keeps no ACLs and would let everybody do everything",
			"leave the key out, or write allow.everyone.if.no.acl.found=true to say that this is what you want")
	}
}

// value returns the text of a broker key, its default when unset, "" when that is null.
func (r *reader) value(key string) string {
	if p, ok := r.values[key]; ok {
		return strings.TrimSpace(p.value)
	}
	if k, ok := r.keys.Lookup(config.Broker, key); ok && !k.Null {
		return k.Default
	}
	return ""
}

// isSet says that the file or an override sets key.
func (r *reader) isSet(key string) bool { _, ok := r.values[key]; return ok }

// sorted returns what is set, overrides first and then in the file's order, without what aliases added.
func (r *reader) sorted() []property {
	var ps []property
	for k, p := range r.values {
		if p.key == k {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b property) int {
		if c := cmp.Compare(a.line, b.line); c != 0 {
			return c
		}
		return cmp.Compare(a.key, b.key)
	})
	return ps
}

// place says where a property stands, ready to stand before a sentence.
func (r *reader) place(p property) string {
	if p.line == 0 {
		if name := r.variables[p.key]; name != "" {
			return name + " in the environment: "
		}
		return "--override "
	}
	return fmt.Sprintf("%s:%d: ", r.source.File, p.line)
}

// fail notes an impossible value: where it stands, why it cannot be, and what to write.
func (r *reader) fail(key, why, try string) {
	p, ok := r.values[key]
	where := r.source.File + ": " + key + " (default)"
	if ok {
		where = r.place(p) + p.key
	}
	value := r.value(key)
	if k, ok := r.keys.Lookup(config.Broker, key); ok && k.Secret() {
		value = "[hidden]"
	}
	text := fmt.Sprintf("%s=%s: %s", where, value, why)
	if try != "" {
		text += "; " + try
	}
	r.errs = append(r.errs, errors.New(text))
}

// warn notes a sentence for the log.
func (r *reader) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}
