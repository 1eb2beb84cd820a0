package cluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/klamm/klamm/internal/cli/app"
	"github.com/klamm/klamm/internal/cli/settings"
)

// loggerRow is a logger of a broker.
type loggerRow struct {
	Node   int32  `json:"node_id"`
	Logger string `json:"logger"`
	Level  string `json:"level"`
}

// loggerStep is the change of a logger of a broker.
type loggerStep struct {
	Node   int32   `json:"node_id"`
	Logger string  `json:"logger"`
	Old    *string `json:"old"`
	New    *string `json:"new"` // null for that of its parent
}

// logLevel shows and changes what brokers log, while they run.
func logLevel(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "log-level [ID] [ROOM | ROOM=LEVEL...]", Short: "Show what brokers log, or change it while they run",
		Example: "  klamm node log-level                         # of all brokers\n  klamm node log-level 1 server=DEBUG\n  klamm node log-level 1 server=               # back to what root has\n  klamm node log-level root=WARN --dry-run",
	}
	form := app.OutputFlag(c)
	dry := app.DryRunFlag(c)
	c.ValidArgsFunction = completeLoggers(a)
	c.RunE = func(c *cobra.Command, args []string) error {
		only := int32(-1)
		if len(args) > 0 {
			if n, err := strconv.ParseInt(args[0], 10, 32); err == nil {
				if n < 0 {
					return app.Usage(c, "%d is no id of a node", n)
				}
				only, args = int32(n), args[1:]
			}
		}
		rooms, changes, err := parseLevels(c, args)
		if err != nil {
			return err
		}
		if len(changes) == 0 && *dry {
			return app.Usage(c, "nothing is to be changed: give ROOM=LEVEL")
		}
		return a.AdminClient(c, func(ctx context.Context, cl *kgo.Client, adm *kadm.Client) error {
			s, err := look(ctx, cl, adm, false)
			if err != nil {
				return err
			}
			ids := s.active()
			if only >= 0 {
				if !slices.Contains(ids, only) {
					return missingNode(only)
				}
				ids = []int32{only}
			}
			got := settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeBrokerLogger, Names: names(ids)})
			if len(changes) > 0 {
				return setLevels(ctx, a, form, cl, got, ids, changes, *dry)
			}
			return showLevels(a, form, got, ids, rooms)
		})
	}
	return c
}

// levels are what a logger can be set to, from much to little.
func levels() []string { return []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} }

// parseLevels reads rooms to show, or changes to make.
func parseLevels(c *cobra.Command, args []string) (rooms []string, changes []settings.Change, err error) {
	for _, arg := range args {
		room, level, isChange := strings.Cut(arg, "=")
		switch {
		case room == "":
			return nil, nil, app.Usage(c, "%s: not of the form ROOM=LEVEL", arg)
		case !isChange:
			rooms = append(rooms, room)
		case level == "":
			changes = append(changes, settings.Change{Key: room, Op: kmsg.IncrementalAlterConfigOpDelete})
		default:
			level = strings.ToUpper(level)
			if !slices.Contains(levels(), level) {
				return nil, nil, app.Usage(c, "%s: the levels are %s", arg, strings.Join(levels(), ", "))
			}
			changes = append(changes, settings.Change{Key: room, Op: kmsg.IncrementalAlterConfigOpSet, Value: &level})
		}
	}
	if len(rooms) > 0 && len(changes) > 0 {
		return nil, nil, app.Usage(c, "%s: either show rooms or change them by ROOM=LEVEL", rooms[0])
	}
	return rooms, changes, nil
}

// find is a broker's logger of that name, or the only one whose name ends with it: server is klamm.server.
func find(of *settings.Resource, room string) (settings.Row, bool) {
	if row, there := of.Row(room); there {
		return row, true
	}
	var found []settings.Row
	for _, row := range of.Rows {
		if strings.HasSuffix(row.Key, "."+room) {
			found = append(found, row)
		}
	}
	if len(found) != 1 {
		return settings.Row{}, false
	}
	return found[0], true
}

// missingLogger is the failure for a logger that a broker does not have.
func missingLogger(of *settings.Resource, room string) *app.Failure {
	var known []string
	for _, row := range of.Rows {
		known = append(known, row.Key)
		if i := strings.LastIndexByte(row.Key, '.'); i >= 0 {
			known = append(known, row.Key[i+1:])
		}
	}
	f := app.NotFound("logger", room, fmt.Sprintf("klamm node log-level %s", of.Name))
	if near := app.Nearest(room, known); near != "" {
		f.Try = "did you mean " + near + "? " + f.Try
	}
	return f
}

// showLevels prints the loggers.
func showLevels(a *app.App, form *app.Form, got map[string]*settings.Resource, ids []int32, rooms []string) error {
	var rows []loggerRow
	var fails []*app.Failure
	done := 0
	for _, id := range ids {
		of := got[strconv.Itoa(int(id))]
		if f := of.Failure("the loggers of node %d could not be read", id); f != nil {
			fails = append(fails, f)
			continue
		}
		done++
		shown := of.Rows
		if len(rooms) > 0 {
			shown = nil
		}
		for _, room := range rooms {
			row, there := find(of, room)
			if !there {
				fails = append(fails, missingLogger(of, room))
				continue
			}
			shown = append(shown, row)
		}
		for _, row := range shown {
			rows = append(rows, loggerRow{id, row.Key, of.Value(row.Key)})
		}
	}
	if len(rows) == 0 && form.Human() {
		if len(fails) == 0 {
			a.Say("there are no loggers that can be set")
		}
		return app.Partly(a, 0, fails)
	}
	if err := app.PrintList(a, form, app.List[loggerRow]{
		Items: rows,
		ID:    func(r loggerRow) string { return r.Logger },
		Columns: []app.Column[loggerRow]{
			{Name: "node_id", Text: func(r loggerRow) string { return fmt.Sprint(r.Node) }},
			{Name: "logger", Text: func(r loggerRow) string { return r.Logger }},
			{Name: "level", Text: func(r loggerRow) string { return app.OrDash(r.Level) }},
		},
	}); err != nil {
		return err
	}
	return app.Partly(a, len(rows), fails)
}

// setLevels changes loggers of each broker, all of them or none on a broker.
func setLevels(ctx context.Context, a *app.App, form *app.Form, cl *kgo.Client, got map[string]*settings.Resource, ids []int32, changes []settings.Change, dry bool) error {
	var fails []*app.Failure
	var steps []loggerStep
	done := 0
	for _, id := range ids {
		plan, own, err := planLevels(got[strconv.Itoa(int(id))], id, changes)
		if err != nil {
			fails = append(fails, err)
			continue
		}
		// Brokers may call a logger by different names, so each has a request of its own.
		o := settings.Alter(ctx, cl, kmsg.ConfigResourceTypeBrokerLogger, names([]int32{id}), own, dry)[0]
		if f := o.Failure("the loggers of node %d could not be set", id); f != nil {
			fails = append(fails, f)
			continue
		}
		done++
		steps = append(steps, plan...)
	}
	if form.Human() {
		verb := "set"
		if dry {
			verb = "would set"
		}
		for _, s := range steps {
			to := "that of its parent"
			if s.New != nil {
				to = *s.New
			}
			a.Say("%s logger %s of node %d: %s -> %s", verb, s.Logger, s.Node, settings.ValueText(s.Old, false), to)
		}
	}
	if !form.Human() {
		if err := app.PrintList(a, form, app.List[loggerStep]{
			Items: steps,
			ID:    func(s loggerStep) string { return s.Logger },
			Columns: []app.Column[loggerStep]{
				{Name: "node_id", Text: func(s loggerStep) string { return fmt.Sprint(s.Node) }},
				{Name: "logger", Text: func(s loggerStep) string { return s.Logger }},
				{Name: "old", Text: func(s loggerStep) string { return settings.ValueText(s.Old, false) }},
				{Name: "new", Text: func(s loggerStep) string { return settings.ValueText(s.New, false) }},
			},
		}); err != nil {
			return err
		}
	}
	return app.Partly(a, done, fails)
}

// planLevels says what changes do to the loggers of a broker, and names these as the broker does.
func planLevels(of *settings.Resource, id int32, changes []settings.Change) (steps []loggerStep, own []settings.Change, f *app.Failure) {
	if f := of.Failure("the loggers of node %d could not be read", id); f != nil {
		return nil, nil, f
	}
	for _, ch := range changes {
		row, there := find(of, ch.Key)
		if !there {
			return nil, nil, missingLogger(of, ch.Key)
		}
		steps = append(steps, loggerStep{id, row.Key, row.Value, ch.Value})
		ch.Key = row.Key
		own = append(own, ch)
	}
	return steps, own, nil
}

// completeLoggers completes a node's id first, then ROOM= with the levels.
func completeLoggers(a *app.App) app.Completion {
	nodes := a.CompleteNodes()
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nodes(c, args, begun)
		}
		if room, _, ok := strings.Cut(begun, "="); ok {
			var words []string
			for _, l := range levels() {
				if w := room + "=" + l; strings.HasPrefix(w, begun) {
					words = append(words, w)
				}
			}
			return words, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cl, err := a.Client(ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer cl.Close()
		var words []string
		for _, of := range settings.Describe(ctx, cl, settings.Query{Kind: kmsg.ConfigResourceTypeBrokerLogger, Names: args[:1]}) {
			for _, row := range of.Rows {
				for _, name := range []string{row.Key, row.Key[strings.LastIndexByte(row.Key, '.')+1:]} {
					if w := name + "="; strings.HasPrefix(name, begun) && !slices.Contains(words, w) {
						words = append(words, w)
					}
				}
			}
		}
		return words, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
}
