package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/klamm/klamm/internal/api"
)

// levels are Kafka's names of levels with what they are here, the quietest first.
var levels = []struct {
	name  string
	level slog.Level
}{
	{"FATAL", slog.LevelError + 4}, {"ERROR", slog.LevelError}, {"WARN", slog.LevelWarn},
	{"INFO", slog.LevelInfo}, {"DEBUG", slog.LevelDebug}, {"TRACE", slog.LevelDebug - 4},
}

// rooms are the names of the loggers below root.
var rooms = []string{"klamm.api", "klamm.commitlog", "klamm.coordinator", "klamm.node", "klamm.quorum", "klamm.replica", "klamm.server", "klamm.telemetry"}

// loggers are a node's loggers: one a room, each with its level, all writing to the handler that the node
// was given and to a ring of the last lines. They implement api.Loggers.
type loggers struct {
	ring  *logRing
	rooms map[string]*room // does not change

	mu   sync.Mutex // guards root, and own of the rooms
	root slog.Level
}

// room is one logger below root.
type room struct {
	logger *slog.Logger
	level  slog.LevelVar // in effect
	own    bool          // set for it alone
}

// newLoggers makes loggers over a handler. The level of root is the one of the handler, INFO where it takes
// nothing at all: the ring does.
func newLoggers(h slog.Handler) *loggers {
	l := &loggers{ring: &logRing{}, rooms: make(map[string]*room, len(rooms)), root: slog.LevelInfo}
	for _, n := range levels {
		if h.Enabled(context.Background(), n.level) {
			l.root = n.level
		}
	}
	ring := slog.NewJSONHandler(l.ring, &slog.HandlerOptions{Level: slog.LevelDebug - 4})
	for _, name := range rooms {
		r := &room{}
		r.level.Set(l.root)
		both := &roomHandler{level: &r.level, given: h, ring: ring}
		r.logger = slog.New(both.WithAttrs([]slog.Attr{slog.String("logger", name)}))
		l.rooms[name] = r
	}
	return l
}

// of returns the logger of a room.
func (l *loggers) of(name string) *slog.Logger { return l.rooms["klamm."+name].logger }

// Levels implements api.Loggers.
func (l *loggers) Levels() []api.LoggerLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := []api.LoggerLevel{{Name: api.RootLogger, Level: levelName(l.root)}}
	for _, name := range rooms {
		list = append(list, api.LoggerLevel{Name: name, Level: levelName(l.rooms[name].level.Level())})
	}
	return list
}

// Set implements api.Loggers.
func (l *loggers) Set(name, level string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := l.root
	for _, n := range levels {
		if n.name == level {
			to = n.level
		}
	}
	if name == api.RootLogger {
		l.root = to
		for _, r := range l.rooms {
			if !r.own {
				r.level.Set(to)
			}
		}
		return
	}
	if r := l.rooms[name]; r != nil {
		r.own = level != ""
		r.level.Set(to)
	}
}

// levelName is Kafka's name of a level.
func levelName(l slog.Level) string {
	for _, n := range levels {
		if l >= n.level {
			return n.name
		}
	}
	return levels[len(levels)-1].name
}

// roomHandler passes on what the level of its room lets through. The level of the handler that was given is
// not asked again: it was the start's.
type roomHandler struct {
	level       *slog.LevelVar
	given, ring slog.Handler
}

// Enabled implements slog.Handler.
func (h *roomHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler.
func (h *roomHandler) Handle(ctx context.Context, r slog.Record) error {
	return errors.Join(h.ring.Handle(ctx, r), h.given.Handle(ctx, r.Clone()))
}

// WithAttrs implements slog.Handler.
func (h *roomHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &roomHandler{h.level, h.given.WithAttrs(slices.Clone(attrs)), h.ring.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *roomHandler) WithGroup(name string) slog.Handler {
	return &roomHandler{h.level, h.given.WithGroup(name), h.ring.WithGroup(name)}
}
