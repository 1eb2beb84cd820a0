package kafka

import (
	"slices"
	"strconv"
	"strings"
)

// argument says what an option takes.
type argument int

const (
	takesNone argument = iota
	takesOne
	takesMaybe // an optional argument
)

// option is one option of a tool.
type option struct {
	name   string
	takes  argument
	kind   string   // Java's name of the argument's type: String, Integer, Long, Double; empty when it takes none
	of     string   // what the argument is, for the help
	def    string   // the argument when the option is not given; empty for none
	many   bool     // it may be given again
	split  string   // the arguments of one value are separated by it; empty when they are not
	greedy bool     // it takes all arguments up to the next option, as argparse4j's nargs("+")
	with   []string // it is there only beside one of these; empty for always
	old    string   // this is the name that Kafka 3 had for the option old
	help   string
}

// flag is an option without an argument.
func flag(name, help string) option { return option{name: name, help: help} }

// text is an option with a text.
func text(name, of, help string) option {
	return option{name: name, takes: takesOne, kind: "String", of: of, help: help}
}

// texts is text that may be given again.
func texts(name, of, help string) option {
	o := text(name, of, help)
	o.many = true
	return o
}

// whole is an option with a number of 32 bits, and long with one of 64.
func whole(name, of, def, help string) option {
	return option{name: name, takes: takesOne, kind: "Integer", of: of, def: def, help: help}
}

// long is whole with 64 bits.
func long(name, of, def, help string) option {
	o := whole(name, of, def, help)
	o.kind = "Long"
	return o
}

// formerly is the name that Kafka 3 had for an option.
func formerly(name string, now option) option {
	now.name, now.old, now.help = name, now.name, "The same as --"+now.name+", as older versions call it."
	return now
}

// dropped is an option with a number that Kafka 4 no longer has, and that is passed over.
func dropped(name string) option {
	o := whole(name, "", "", "Nothing: Kafka 4 dropped it.")
	o.old = name
	return o
}

// bootstrap is the option that names the brokers.
func bootstrap() option {
	return text("bootstrap-server", "server to connect to", "The brokers to connect to, host:port[,host:port].")
}

// options are the options that a command line gave.
type options struct {
	defs  []option
	given map[string][]string
	order []string // the names as they came, each as often as it came
}

// parse reads a command line as Kafka's tools do (jopt-simple): --option value, --option=value, -option value,
// arguments that are no options are passed over, -- ends the options. Beyond that it takes the beginning of a
// name that only one option has. An option with a value takes the next argument, whatever that looks like.
func parse(defs []option, args []string) (*options, error) {
	o := &options{defs: defs, given: map[string][]string{}}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			continue
		}
		name, value, inline := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		d, err := o.find(name)
		if err != nil {
			return nil, err
		}
		if inline && value == "" {
			inline = false // an empty value is none: the next argument is taken
		}
		var values []string
		switch {
		case d.takes == takesNone:
		case inline:
			values = []string{value}
		case d.takes == takesOne && len(args) == 0:
			return nil, saysf("Option %s requires an argument", d.name)
		case d.takes == takesOne, len(args) > 0 && !looksLikeOption(args[0]):
			values, args = args[:1], args[1:]
		}
		for d.greedy && len(args) > 0 && !looksLikeOption(args[0]) {
			values, args = append(slices.Clone(values), args[0]), args[1:]
		}
		if d.split != "" && len(values) == 1 {
			values = strings.Split(values[0], d.split)
		}
		if d.old != "" {
			d.name = d.old
		}
		o.given[d.name] = append(o.given[d.name], values...)
		o.order = append(o.order, d.name)
	}
	return o, o.beside()
}

// find is the option of a name, or of the beginning of one.
func (o *options) find(name string) (option, error) {
	var near []option
	for _, d := range o.defs {
		if d.name == name {
			return d, nil
		}
		if len(name) > 1 && strings.HasPrefix(d.name, name) {
			near = append(near, d)
		}
	}
	if len(near) == 1 {
		return near[0], nil
	}
	return option{}, saysf("%s is not a recognized option", name)
}

// beside refuses options that stand alone and need another.
func (o *options) beside() error {
	for _, d := range o.defs {
		if o.has(d.name) && len(d.with) > 0 && !o.hasAny(d.with...) && !o.has("help") {
			return saysf("Option(s) [%s] are unavailable given other options on the command line", d.name)
		}
	}
	return nil
}

// check refuses arguments that are not of their option's type, and a second argument where only one may be.
func (o *options) check() error {
	for _, d := range o.defs {
		values := o.given[d.name]
		if len(values) > 1 && !d.many && !d.greedy && d.split == "" {
			return saysf("Found multiple arguments for option %s, but you asked for only one", d.name)
		}
		for _, v := range values {
			var err error
			switch d.kind {
			case "Integer":
				_, err = strconv.ParseInt(v, 10, 32)
			case "Long":
				_, err = strconv.ParseInt(v, 10, 64)
			case "Double":
				_, err = strconv.ParseFloat(v, 64)
			}
			if err != nil {
				return saysf("Cannot parse argument '%s' of option %s", v, d.name)
			}
		}
	}
	return nil
}

// looksLikeOption says that an argument begins as an option does.
func looksLikeOption(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// has says that an option was given.
func (o *options) has(name string) bool {
	_, ok := o.given[name]
	return ok
}

// hasAny says that one of some options was given.
func (o *options) hasAny(names ...string) bool { return slices.ContainsFunc(names, o.has) }

// text is the argument of an option, or what it is by default.
func (o *options) text(name string) string {
	if v := o.given[name]; len(v) > 0 {
		return v[0]
	}
	for _, d := range o.defs {
		if d.name == name {
			return d.def
		}
	}
	return ""
}

// all are the arguments of an option that may be given again.
func (o *options) all(name string) []string { return o.given[name] }

// number is the argument of an option that takes a number; its type was checked.
func (o *options) number(name string) int64 {
	n, err := strconv.ParseInt(o.text(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// need refuses a command line that lacks an option.
func (o *options) need(names ...string) error {
	for _, n := range names {
		if !o.has(n) {
			return usagef("Missing required argument \"[%s]\"", n)
		}
	}
	return nil
}

// oneOf refuses a command line that has none of some options, or several.
func (o *options) oneOf(names ...string) error {
	n := 0
	for _, name := range names {
		if o.has(name) {
			n++
		}
	}
	if n != 1 {
		return usagef("Exactly one of the following arguments is required: %s", bracketed(names))
	}
	return nil
}

// not refuses options that cannot stand beside one.
func (o *options) not(used string, others ...string) error {
	if !o.has(used) {
		return nil
	}
	for _, other := range others {
		if other != used && o.has(other) {
			return usagef("Option \"[%s]\" can't be used with option \"[%s]\"", used, other)
		}
	}
	return nil
}

// together refuses two options that mean the same, of old and of now.
func (o *options) together(a, b string) error {
	if o.has(a) && o.has(b) {
		return usagef("Options --%s and --%s cannot be specified together.", a, b)
	}
	return nil
}

// bracketed is a list of options as Java's tools write it: [a], [b].
func bracketed(names []string) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("[" + n + "]")
	}
	return b.String()
}

// first is the first error of several checks.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
