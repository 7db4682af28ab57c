package edn

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// operation is one map of a history, before it is put into its context.
type operation struct {
	line             int
	kind             history.EventKind
	client, nemesis  bool // neither: no process was given
	process          int
	f                string
	value            history.Value
	index            int64
	time             time.Duration
	indexed, timed   bool
	note, node       string
	final, hasF, set bool // set: there was a value
}

// parse reads the fields of v. Fields that are not named here are allowed and
// without meaning, as in Jepsen.
func parse(v history.Value, line int) (operation, error) {
	o := operation{line: line}
	if row, ok := v.AsList(); ok && v.Kind() == history.KindList {
		return o, o.row(row)
	}
	if v.Kind() != history.KindMap {
		return o, fmt.Errorf("expected an operation, which is a map, found %s", clip(v.String()))
	}
	typed := false
	pairs, _ := v.AsMap()
	var room [16]string
	seen := room[:0]
	for _, p := range pairs {
		name, ok := keyword(p.Key)
		if !ok {
			continue
		}
		if fields[name] {
			if slices.Contains(seen, name) {
				return o, fieldError(name, "given twice")
			}
			seen = append(seen, name)
		}
		typed = typed || name == "type"
		if err := o.field(name, p.Value); err != nil {
			return o, err
		}
	}
	if !typed {
		return o, fieldError("type", "missing")
	}
	return o, nil
}

// columns are the fields of an operation that is a row: [process type f value],
// as Knossos keeps histories, and Jepsen prints them into history.txt. An error
// may follow.
var columns = []string{"process", "type", "f", "value", "error"}

func (o *operation) row(row []history.Value) error {
	if len(row) < len(columns)-1 || len(row) > len(columns) {
		return fmt.Errorf("expected an operation, a map or a row [process type f value], found %s", clip(history.List(row...).String()))
	}
	for i, v := range row {
		if err := o.field(columns[i], v); err != nil {
			return err
		}
	}
	return nil
}

// fields are those that have a meaning.
var fields = map[string]bool{
	"type": true, "process": true, "f": true, "value": true, "index": true, "time": true, "error": true, "node": true, "final?": true,
}

func (o *operation) field(name string, v history.Value) error {
	switch name {
	case "type":
		s, _ := keyword(v)
		if err := o.kind.UnmarshalText([]byte(s)); err != nil || o.kind > history.Info {
			return fieldError(name, "%s is not one of :invoke, :ok, :fail, :info", clip(v.String()))
		}
	case "process":
		return o.setProcess(v)
	case "f":
		s, ok := keyword(v)
		if !ok && !v.IsNil() {
			return fieldError(name, "expected a keyword, found %s", clip(v.String()))
		}
		o.f, o.hasF = s, ok
	case "value":
		o.value, o.set = v, true
	case "index", "time":
		n, ok := v.AsInt()
		switch {
		case v.IsNil():
			return nil
		case !ok:
			return fieldError(name, "expected an integer, found %s", clip(v.String()))
		case n < 0:
			return fieldError(name, "%d is negative", n)
		case n == math.MaxInt64:
			return fieldError(name, "%d stands for never; expected less", n)
		case name == "index":
			o.index, o.indexed = n, true
		default:
			o.time, o.timed = time.Duration(n), true
		}
	case "error":
		if s, ok := v.AsString(); ok {
			o.note = s
		} else if !v.IsNil() {
			o.note = v.String()
		}
	case "node":
		o.node, _ = v.AsString()
	case "final?":
		o.final, _ = v.AsBool()
	}
	return nil
}

func (o *operation) setProcess(v history.Value) error {
	n, isInt := v.AsInt()
	name, named := keyword(v)
	switch {
	case isInt && n < 0:
		return fieldError("process", "%d is negative", n)
	case isInt && n > maxProcess:
		return fieldError("process", "%d is greater than %d", n, maxProcess)
	case isInt:
		o.process, o.client = int(n), true
	case named && name == "nemesis":
		o.nemesis = true
	case !v.IsNil():
		return fieldError("process", "expected a number or :nemesis, found %s", clip(v.String()))
	}
	return nil
}

// maxProcess leaves room for the numbers of processes that are renumbered.
const maxProcess = 1<<31 - 1
