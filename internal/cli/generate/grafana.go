package generate

import (
	"encoding/json"
	"fmt"
)

// Grafana returns boards for Grafana 10 and later, by the names of their files: an
// overview, topics, groups, clients, and the node itself. Each asks for its data source
// by a variable, so that it can be imported as it is.
func Grafana() map[string][]byte {
	files := make(map[string][]byte)
	for _, b := range []board{overview(), topics(), groups(), clients(), nodes()} {
		text, err := json.MarshalIndent(b.dashboard(), "", "  ")
		if err != nil {
			panic(err) // it is made of texts and numbers
		}
		files[b.uid+".json"] = append(text, '\n')
	}
	return files
}

// board is one dashboard.
type board struct {
	uid, title, about string
	variables         []variable
	rows              []row
}

// variable is a choice at the head of a board: the values of a label.
type variable struct{ name, title, query string }

// row is a line of panels, of the same height.
type row struct {
	title  string
	height int
	panels []panel
}

// panel is one picture.
type panel struct {
	title, about string
	kind         string // stat, timeseries or table
	unit         string // Grafana's id of a unit
	width        int    // of 24
	queries      []query
	steps        []step // of colours, for a stat
	stacked      bool
}

// query is a line, or several, of a panel. The legend is Grafana's, with {{label}}.
type query struct{ expr, legend string }

// step is a colour from a value on; nil for the lowest.
type step struct {
	colour string
	from   *float64
}

// good makes steps that are green below warn, yellow from there and red from bad on.
func good(warn, bad float64) []step {
	return []step{{"green", nil}, {"yellow", &warn}, {"red", &bad}}
}

// needed makes steps that are red below from.
func needed(from float64) []step { return []step{{"red", nil}, {"green", &from}} }

// stat is one number of a width of 4.
func stat(title, about, unit, expr string, steps []step) panel {
	return panel{title: title, about: about, kind: "stat", unit: unit, width: 4, queries: []query{{expr, ""}}, steps: steps}
}

// graph is a picture over time.
func graph(width int, title, about, unit string, queries ...query) panel {
	return panel{title: title, about: about, kind: "timeseries", unit: unit, width: width, queries: queries}
}

// table is a list of what holds now.
func table(width int, title, about, unit, expr string) panel {
	return panel{title: title, about: about, kind: "table", unit: unit, width: width, queries: []query{{expr, ""}}}
}

// object is a part of a dashboard as Grafana reads it.
type object = map[string]any

// source is the data source that the board's variable chose.
func source() object { return object{"type": "prometheus", "uid": "${datasource}"} }

// dashboard is the board in Grafana's model, of schema 39 (Grafana 10.4).
func (b *board) dashboard() object {
	list := []object{{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "hide": 0, "includeAll": false, "multi": false}}
	for _, v := range b.variables {
		list = append(list, object{
			"name": v.name, "label": v.title, "type": "query", "datasource": source(), "query": object{"query": v.query, "refId": v.name}, "definition": v.query,
			"refresh": 2, "sort": 1, "hide": 0, "includeAll": true, "allValue": ".*", "multi": true, "current": object{"text": []string{"All"}, "value": []string{"$__all"}},
		})
	}
	var panels []object
	id, y := 1, 0
	for _, r := range b.rows {
		if r.title != "" {
			panels = append(panels, object{"id": id, "type": "row", "title": r.title, "collapsed": false, "gridPos": object{"h": 1, "w": 24, "x": 0, "y": y}, "panels": []object{}})
			id++
			y++
		}
		x := 0
		for i := range r.panels {
			p := &r.panels[i]
			if x+p.width > 24 {
				x, y = 0, y+r.height
			}
			o := p.object()
			o["id"], o["gridPos"] = id, object{"h": r.height, "w": p.width, "x": x, "y": y}
			panels = append(panels, o)
			id++
			x += p.width
		}
		y += r.height
	}
	return object{
		"uid": b.uid, "title": b.title, "description": b.about, "tags": []string{"klamm", "kafka"}, "schemaVersion": 39, "version": 1, "editable": true,
		"graphTooltip": 1, "refresh": "30s", "timezone": "", "time": object{"from": "now-1h", "to": "now"}, "fiscalYearStartMonth": 0, "liveNow": false,
		"annotations": object{"list": []object{}}, "templating": object{"list": list}, "panels": panels,
		"links": []object{{"type": "dashboards", "title": "Klamm", "tags": []string{"klamm"}, "asDropdown": true, "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "", "url": ""}},
	}
}

// object is the panel in Grafana's model.
func (p *panel) object() object {
	defaults := object{"unit": p.unit}
	options := object{}
	var targets []object
	for i, q := range p.queries {
		t := object{"refId": string(rune('A' + i)), "datasource": source(), "expr": q.expr, "legendFormat": q.legend, "editorMode": "code", "range": p.kind == "timeseries", "instant": p.kind != "timeseries"}
		if p.kind == "table" {
			t["format"] = "table"
		}
		targets = append(targets, t)
	}
	switch p.kind {
	case "stat":
		var steps []object
		for _, s := range p.steps {
			steps = append(steps, object{"color": s.colour, "value": s.from})
		}
		if steps == nil {
			steps = []object{{"color": "text", "value": nil}}
		}
		defaults["thresholds"] = object{"mode": "absolute", "steps": steps}
		defaults["color"] = object{"mode": "thresholds"}
		options = object{"colorMode": "value", "graphMode": "area", "justifyMode": "auto", "textMode": "auto", "orientation": "auto",
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}}
	case "timeseries":
		stacking := object{"mode": "none", "group": "A"}
		if p.stacked {
			stacking["mode"] = "normal"
		}
		defaults["custom"] = object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false, "stacking": stacking}
		defaults["color"] = object{"mode": "palette-classic"}
		defaults["min"] = 0
		options = object{"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}}, "tooltip": object{"mode": "multi", "sort": "desc"}}
	case "table":
		defaults["custom"] = object{"align": "auto", "cellOptions": object{"type": "auto"}, "filterable": true}
		options = object{"showHeader": true, "cellHeight": "sm", "footer": object{"show": false}}
	}
	o := object{
		"type": p.kind, "title": p.title, "description": p.about, "datasource": source(), "targets": targets,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}}, "options": options,
	}
	if p.kind == "table" {
		o["transformations"] = []object{{"id": "organize", "options": object{"excludeByName": object{"Time": true, "job": true, "__name__": true}}}}
	}
	return o
}

// on narrows a metric to what the board's variables choose.
func on(metric string, matchers string) string {
	if matchers != "" {
		matchers = ", " + matchers
	}
	return fmt.Sprintf(`%s{instance=~"$instance"%s}`, metric, matchers)
}

// rate is how fast a counter grows.
func rate(metric, matchers string) string {
	return "rate(" + on(metric, matchers) + "[$__rate_interval])"
}

// instances is the variable of nodes.
func instances() variable {
	return variable{"instance", "Node", "label_values(klamm_build_info, instance)"}
}
