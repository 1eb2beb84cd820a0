package api

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/klamm/klamm/internal/code"
	"github.com/klamm/klamm/internal/wire"
)

// errorCounts counts the errors that answers carry, by API and code: that of an answer as a whole, and
// those of the topics, partitions and other things in it, as Kafka does. What is no error is not counted. It is
// a prometheus.Collector.
type errorCounts struct {
	names [maxKey + 1]string                          // of the APIs
	apis  [maxKey + 1]atomic.Pointer[[]atomic.Uint64] // by code, from -1 on; nil before the first error
	plans sync.Map                                    // *errorPlan by the reflect.Type of a response
	codes int
	desc  *prometheus.Desc
}

func newErrorCounts(r prometheus.Registerer) *errorCounts {
	e := &errorCounts{codes: len(code.All()), desc: prometheus.NewDesc("kafka_network_requestmetrics_errors_total",
		"Errors in answers, by API and code.", []string{"request", "error"}, nil)}
	r.MustRegister(e)
	return e
}

// count counts one error code of an answer to an API.
func (e *errorCounts) count(key, errorCode int16) {
	i := int(errorCode) + 1
	if errorCode == int16(code.None) || i < 0 || i >= e.codes || key < 0 || key > maxKey {
		return
	}
	counts := e.apis[key].Load()
	if counts == nil {
		made := make([]atomic.Uint64, e.codes)
		e.apis[key].CompareAndSwap(nil, &made)
		counts = e.apis[key].Load()
	}
	(*counts)[i].Add(1)
}

// answered counts the error codes in a response.
func (e *errorCounts) answered(key int16, response wire.Message) {
	v := reflect.ValueOf(response)
	plan, known := e.plans.Load(v.Type())
	if !known {
		plan, _ = e.plans.LoadOrStore(v.Type(), planErrors(v.Type().Elem()))
	}
	if p := plan.(*errorPlan); p != nil {
		e.walk(key, p, v.Elem())
	}
}

// errorPlan says where the error codes of a struct are.
type errorPlan struct {
	codes  []int // its fields that are some
	within []withinPlan
}

// withinPlan is a field that holds structs which have some.
type withinPlan struct {
	field int
	plan  *errorPlan
}

// planErrors returns where the error codes of a struct are, nil when it has none.
func planErrors(t reflect.Type) *errorPlan {
	p := &errorPlan{}
	for i := range t.NumField() {
		f := t.Field(i)
		inner := f.Type
		if inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case f.Type.Kind() == reflect.Int16 && strings.HasSuffix(f.Name, "ErrorCode"):
			p.codes = append(p.codes, i)
		case inner.Kind() == reflect.Struct:
			if plan := planErrors(inner); plan != nil {
				p.within = append(p.within, withinPlan{i, plan})
			}
		}
	}
	if p.codes == nil && p.within == nil {
		return nil
	}
	return p
}

// walk counts the error codes of a struct.
func (e *errorCounts) walk(key int16, p *errorPlan, v reflect.Value) {
	for _, i := range p.codes {
		e.count(key, int16(v.Field(i).Int()))
	}
	for _, w := range p.within {
		switch f := v.Field(w.field); f.Kind() {
		case reflect.Slice:
			for i := range f.Len() {
				e.walk(key, w.plan, f.Index(i))
			}
		case reflect.Pointer:
			if !f.IsNil() {
				e.walk(key, w.plan, f.Elem())
			}
		default:
			e.walk(key, w.plan, f)
		}
	}
}

// Describe implements prometheus.Collector.
func (e *errorCounts) Describe(ch chan<- *prometheus.Desc) { ch <- e.desc }

// Collect implements prometheus.Collector.
func (e *errorCounts) Collect(ch chan<- prometheus.Metric) {
	for key := range e.apis {
		counts := e.apis[key].Load()
		if counts == nil {
			continue
		}
		for i := range *counts {
			if n := (*counts)[i].Load(); n > 0 {
				ch <- prometheus.MustNewConstMetric(e.desc, prometheus.CounterValue, float64(n), e.names[key], code.Error(i-1).Error())
			}
		}
	}
}
