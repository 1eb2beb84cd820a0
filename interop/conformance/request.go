package main

import (
	"fmt"
	"reflect"

	"github.com/klamm/klamm/internal/wire"
)

// o is a message's fields by name, a an array: what is not named keeps its default.
type (
	o map[string]any
	a []any
)

// request makes a message of an API of its fields. It panics on a field that does not exist: the table is wrong then.
func request(key int16, fields o) wire.Message {
	m := wire.NewRequest(key)
	m.Default()
	fill(reflect.ValueOf(m).Elem(), fields)
	return m
}

func fill(v reflect.Value, value any) {
	if value == nil {
		v.SetZero()
		return
	}
	switch x := value.(type) {
	case o:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
			d.Default()
		}
		for name, f := range x {
			field := v.FieldByName(name)
			if !field.IsValid() {
				panic(fmt.Sprintf("%s has no field %s", v.Type(), name))
			}
			fill(field, f)
		}
		return
	case a:
		v.Set(reflect.MakeSlice(v.Type(), len(x), len(x)))
		for i := range x {
			fill(v.Index(i), x[i])
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	v.Set(reflect.ValueOf(value).Convert(v.Type()))
}
