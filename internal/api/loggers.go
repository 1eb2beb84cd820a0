package api

import (
	"cmp"
	"strings"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/config"
	"github.com/klamm/klamm/internal/wire"
)

// Loggers are this broker's loggers, one a room, whose levels may change while it runs (KIP-412). What is
// changed lasts until the process ends. It is safe for use by many goroutines.
type Loggers interface {
	// Levels returns all loggers with their effective levels, root first.
	Levels() []LoggerLevel
	// Set gives a logger that Levels names one of LogLevels; an empty one makes it inherit root's again.
	Set(name, level string)
}

// LoggerLevel is a logger's name with its level, one of LogLevels.
type LoggerLevel struct{ Name, Level string }

// RootLogger is the logger that those inherit from that have no level of their own.
const RootLogger = "root"

// LogLevels returns the names of levels that Apache Kafka's dynamic loggers take, in its order.
func LogLevels() []string { return []string{"DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"} }

// loggerEntries are this broker's loggers with their levels.
func (b *Broker) loggerEntries() []configEntry {
	doc := "The level from which on this room of the broker logs, until the process ends."
	list := []configEntry{}
	for _, l := range b.Loggers.Levels() {
		list = append(list, configEntry{Name: l.Name, Value: &l.Level, ConfigSource: int8(config.DynamicBrokerLogger), Documentation: &doc})
	}
	return list
}

// loggersAreMine says whether the name of a resource of loggers is this broker's id. Apache Kafka words it
// differently for who describes them and for who changes them.
func (b *Broker) loggersAreMine(name string, describes bool) error {
	switch id, isNumber := parseBrokerID(name); {
	case name == "" && describes:
		return code.Errorf(code.InvalidRequest, "Broker id must not be empty")
	case !isNumber && describes:
		return code.Errorf(code.InvalidRequest, "Broker id must be an integer, but it is: %s", name)
	case !isNumber:
		return code.Errorf(code.InvalidRequest, "Node id must be an integer, but it is: %s", name)
	case id != b.NodeID && describes:
		return code.Errorf(code.InvalidRequest, "Unexpected broker id, expected %d but received %s", b.NodeID, name)
	case id != b.NodeID:
		return code.Errorf(code.InvalidRequest, "Unexpected node id. Expected %d, but received %s", b.NodeID, name)
	}
	return nil
}

// alterLoggers changes the levels of loggers of the broker that name says, all or none of them.
func (b *Broker) alterLoggers(name string, changes []wire.IncrementalAlterConfigsRequestAlterableConfig, validateOnly bool) error {
	if err := b.loggersAreMine(name, false); err != nil {
		return err
	}
	known := map[string]bool{}
	for _, l := range b.Loggers.Levels() {
		known[l.Name] = true
	}
	for i := range changes {
		if err := checkLogger(&changes[i], known); err != nil {
			return err
		}
	}
	if validateOnly {
		return nil
	}
	for i := range changes {
		level := ""
		if changes[i].ConfigOperation == opSet {
			level = *changes[i].Value
		}
		b.Loggers.Set(changes[i].Name, level)
		b.Logger.Warn("the level of a logger was changed", "event", "log_level_changed", "name", changes[i].Name, "to", cmp.Or(level, "inherited"))
	}
	return nil
}

// What IncrementalAlterConfigs does to a value (KIP-339).
const (
	opSet int8 = iota
	opDelete
	opAppend
	opSubtract
)

// checkLogger checks one change of a logger's level.
func checkLogger(c *wire.IncrementalAlterConfigsRequestAlterableConfig, known map[string]bool) error {
	switch c.ConfigOperation {
	case opSet, opDelete:
		if !known[c.Name] {
			return code.Errorf(code.InvalidConfig, "Logger %s does not exist!", c.Name)
		}
		if c.ConfigOperation == opDelete {
			if c.Name == RootLogger {
				return code.Errorf(code.InvalidRequest, "Removing the log level of the root logger is not allowed")
			}
			return nil
		}
		for _, l := range LogLevels() {
			if *c.Value == l {
				return nil
			}
		}
		return code.Errorf(code.InvalidConfig, "Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are %s", c.Name, *c.Value, strings.Join(LogLevels(), ", "))
	case opAppend:
		return code.Errorf(code.InvalidRequest, "APPEND operation is not allowed for the BROKER_LOGGER resource")
	case opSubtract:
		return code.Errorf(code.InvalidRequest, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource")
	}
	return code.Errorf(code.InvalidRequest, "Unknown operation type %d is not allowed for the BROKER_LOGGER resource", c.ConfigOperation)
}

// checkLoggerKeys refuses keys that come twice and values that are null, as Apache Kafka does before it
// looks at anything else.
func checkLoggerKeys(changes []wire.IncrementalAlterConfigsRequestAlterableConfig) error {
	seen := map[string]bool{}
	var null []string
	for i := range changes {
		c := &changes[i]
		if seen[c.Name] {
			return code.Errorf(code.InvalidRequest, "Error due to duplicate config keys")
		}
		seen[c.Name] = true
		if c.Value == nil && c.ConfigOperation != opDelete {
			null = append(null, c.Name)
		}
	}
	if len(null) > 0 {
		return code.Errorf(code.InvalidRequest, "Null value not supported for : %s", strings.Join(null, ","))
	}
	return nil
}
