package edn

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cleancut/cleancut/harness/history"
)

// Write writes a history as Jepsen does: one map a line with :type, :f,
// :value, :process, :time (nanoseconds), :index and, where they are known,
// :node and :error.
//
// Functions and the names of micro-operations ([:append 5 1]) become keywords.
// An operation on a key has the value [key value], as jepsen.independent has
// it; keys that spell an integer are integers. Faults and phases are what the
// nemesis did, of the functions :fault-start, :fault-end and :phase, with a map
// that says which; Read turns them into what they were.
func Write(w io.Writer, events []history.Event) error {
	b := bufio.NewWriter(w)
	var line []byte
	for i := range events {
		line = append(appendEvent(line[:0], &events[i]), '\n')
		if len(line) > MaxOperation {
			return fmt.Errorf("history: event %d takes %d bytes, more than the limit of %d", events[i].Index, len(line), MaxOperation)
		}
		if _, err := b.Write(line); err != nil {
			return fmt.Errorf("history: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

func appendEvent(b []byte, e *history.Event) []byte {
	kind, f, process := e.Kind.String(), e.F, strconv.Itoa(e.Process)
	value := named(e.Value)
	if e.Key != "" {
		value = history.List(keyValue(e.Key), value)
	}
	if e.Kind > history.Info {
		kind, f, process, value = "info", ownNames[e.Kind], ":nemesis", act(e)
	}
	b = append(b, "{:type :"...)
	b = append(b, kind...)
	b = append(b, ", :f "...)
	b = AppendValue(b, nameOf(f))
	b = append(b, ", :value "...)
	b = AppendValue(b, value)
	b = append(b, ", :process "...)
	b = append(b, process...)
	b = append(b, ", :time "...)
	b = strconv.AppendInt(b, int64(e.Time), 10)
	b = append(b, ", :index "...)
	b = strconv.AppendInt(b, e.Index, 10)
	if e.Node != "" {
		b = append(b, ", :node "...)
		b = AppendValue(b, history.String(e.Node))
	}
	if e.Error != "" && e.Kind <= history.Info {
		b = append(b, ", :error "...)
		b = AppendValue(b, history.String(e.Error))
	}
	return append(b, '}')
}

// ownNames are the functions of events that Jepsen has no form for.
var ownNames = map[history.EventKind]string{
	history.FaultStart: "fault-start", history.FaultEnd: "fault-end", history.PhaseStart: "phase",
}

// act is the value of such an event.
func act(e *history.Event) history.Value {
	pairs := []history.Pair{{Key: history.Keyword("is"), Value: history.String(e.F)}}
	if len(e.Nodes) > 0 {
		var nodes []history.Value
		for _, n := range e.Nodes {
			nodes = append(nodes, history.String(n))
		}
		pairs = append(pairs, history.Pair{Key: history.Keyword("nodes"), Value: history.List(nodes...)})
	}
	if e.Error != "" {
		pairs = append(pairs, history.Pair{Key: history.Keyword("note"), Value: history.String(e.Error)})
	}
	v, _ := history.Map(pairs...) // the keys differ
	return v
}

// ownFault reads what act wrote.
func (b *builder) ownFault(e *history.Event, o *operation) bool {
	for kind, name := range ownNames {
		is, ok := o.value.Get("is")
		if o.f != name || !ok {
			continue
		}
		e.Kind, e.Value = kind, history.Nil
		e.F, _ = is.AsString()
		note, _ := o.value.Get("note")
		e.Error, _ = note.AsString()
		nodes, _ := o.value.Get("nodes")
		e.Nodes, _ = texts(nodes)
		return true
	}
	return false
}

// keyValue is the key of an independent operation.
func keyValue(key string) history.Value {
	if n, err := strconv.ParseInt(key, 10, 64); err == nil && strconv.FormatInt(n, 10) == key {
		return history.Int(n)
	}
	return history.String(key)
}

// mops are the names of micro-operations.
var mops = map[string]bool{
	"r": true, "w": true, "append": true, "read": true, "write": true, "send": true, "poll": true,
	"insert": true, "delete": true, "rp": true, "cas": true,
}

// named turns the names of micro-operations in a transaction into keywords.
func named(v history.Value) history.Value {
	if v.Kind() != history.KindList || v.Len() == 0 || v.At(0).Len() == 0 {
		return v
	}
	out := make([]history.Value, v.Len())
	for i, e := range v.Elements() {
		mop, ok := e.AsList()
		if !ok || len(mop) == 0 || mop[0].Kind() == history.KindInt {
			return v
		}
		name, _ := mop[0].AsString()
		if !mops[name] {
			return v
		}
		out[i] = history.List(append([]history.Value{history.Keyword(name)}, mop[1:]...)...)
	}
	return history.List(out...)
}

// nameOf is a keyword if the name can be one, else a string.
func nameOf(name string) history.Value {
	if spellable(name) {
		return history.Keyword(name)
	}
	return history.String(name)
}

func spellable(name string) bool {
	for i := range len(name) {
		if c := name[i]; !symbolic(c) || c == ':' || c == '#' || c == '^' || c == '@' || c == '`' || c == '~' || c == '/' && len(name) > 1 {
			return false
		}
	}
	return name != "" && name != "/"
}

// AppendValue appends v in EDN. A keyword that EDN cannot spell becomes a
// string.
func AppendValue(b []byte, v history.Value) []byte {
	switch v.Kind() {
	case history.KindNil, history.KindBool, history.KindInt, history.KindFloat:
		return append(b, v.String()...)
	case history.KindString:
		s, _ := v.AsString()
		return appendString(b, s)
	case history.KindKeyword:
		s, _ := v.AsString()
		if !spellable(strings.ReplaceAll(s, "/", "")) {
			return appendString(b, s)
		}
		return append(append(b, ':'), s...)
	case history.KindMap:
		pairs, _ := v.AsMap()
		b = append(b, '{')
		for i, p := range pairs {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = AppendValue(append(AppendValue(b, p.Key), ' '), p.Value)
		}
		return append(b, '}')
	}
	opening, end := "[", byte(']')
	if v.Kind() == history.KindSet {
		opening, end = "#{", '}'
	}
	b = append(b, opening...)
	for i, e := range v.Elements() {
		if i > 0 {
			b = append(b, ' ')
		}
		b = AppendValue(b, e)
	}
	return append(b, end)
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}
