package edn

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unsafe"

	"github.com/cleancut/cleancut/harness/history"
)

// ErrTooLarge means that a history does not fit into the memory allowed.
var ErrTooLarge = errors.New("the history does not fit into the memory allowed")

// Read reads a whole history. What is wrong with it is a *history.SyntaxError
// with the line, ErrTooLarge (wrapped), or the error of r.
func Read(r io.Reader, o Options) ([]history.Event, Summary, error) {
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	b := builder{
		o: o, s: newScanner(r, o.JSON), current: map[int]int{}, open: map[int][]opened{}, retired: map[int]bool{},
		keys: map[string]history.Value{}, left: o.Memory, begins: map[int64]moment{},
	}
	err := b.read()
	if err == nil {
		err = b.inOrder()
	}
	if err != nil {
		var located *history.SyntaxError
		if errors.Is(err, ErrTooLarge) || errors.As(err, &located) {
			return nil, b.sum, err
		}
		return nil, b.sum, &history.SyntaxError{Line: b.s.line, Err: err}
	}
	if err := b.finish(); err != nil {
		return nil, b.sum, err
	}
	return b.events, b.sum, nil
}

// builder puts operations into their context.
type builder struct {
	o      Options
	s      *scanner
	events []history.Event
	final  []bool // by event, of a history of completions only
	sum    Summary
	left   int64 // bytes

	current  map[int]int      // process in the text → its number now
	open     map[int][]opened // process in the text → its open operations
	retired  map[int]bool     // process in the text: its last operation is of unknown outcome
	fresh    int              // new processes so far; numbered -2, -3, … until the end
	highest  int              // greatest process number in the text
	invoked  bool             // a client invoked something
	orphan   int              // line of the first completion without invocation, 0 if none
	indexed  bool             // the first operation had an index
	timed    bool             // some operation had a time
	last     time.Duration
	nemesis  string                   // what the nemesis has begun, "" if nothing
	begun    moment                   // when it had
	killed   bool                     // nodes were killed, and not started since
	begins   map[int64]moment         // index of the event of a fault → when it had begun
	kept     []operation              // all, until they are put in order
	keys     map[string]history.Value // printed key → key
	sequence byte                     // closing bracket of the history, 0 if one operation a line
}

// moment is when something happened: the index of the next event, and a time.
type moment struct {
	index int64
	time  time.Duration
}

// opened is an operation without completion so far.
type opened struct {
	event, process int
	value          history.Value // as in the text
}

// read reads all operations.
func (b *builder) read() error {
	n := 0 // operations so far
	for {
		b.s.left = MaxOperation
		if b.sequence != 0 {
			if ended, err := b.s.another(n, b.sequence); err != nil {
				return err
			} else if ended {
				return b.trailing()
			}
		}
		c, err := b.s.skip()
		switch {
		case err == errEnd && b.sequence == 0:
			return nil
		case err != nil:
			return err
		case b.sequence != 0 && c == b.sequence && !(b.o.JSON && n > 0):
			return b.trailing()
		case b.sequence == 0 && n == 0 && (c == '[' || c == '(' && !b.o.JSON) && b.s.opens():
			b.sequence = map[byte]byte{'[': ']', '(': ')'}[c]
			continue
		}
		line := b.s.line
		v, discarded, err := b.form(c)
		if err != nil {
			return err
		}
		if discarded {
			continue
		}
		n++
		if err := b.operation(v, line); err != nil {
			return err
		}
	}
}

// form reads the operation that begins with c: a map or a row, or a line that
// is a row without brackets.
func (b *builder) form(c byte) (v history.Value, discarded bool, err error) {
	if b.sequence != 0 || b.o.JSON || !(c >= '0' && c <= '9' || c == ':') {
		return b.s.form(c, 0)
	}
	v, err = b.s.row(c)
	return v, false, err
}

// operation adds the operation v, or keeps it until all can be put in order.
func (b *builder) operation(v history.Value, line int) error {
	o, err := parse(v, line)
	switch {
	case err != nil:
	case b.o.Order == ByTime:
		err = b.keep(o)
	default:
		err = b.add(&o)
	}
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return &history.SyntaxError{Line: line, Err: err}
	}
	return err
}

// trailing makes sure that nothing follows a vector.
func (b *builder) trailing() error {
	b.s.left = MaxOperation
	c, err := b.s.skip()
	if err == nil {
		return fmt.Errorf("%q after the end of the history", c)
	}
	if err != errEnd {
		return err
	}
	return nil
}

// add appends the event that o stands for.
func (b *builder) add(o *operation) error {
	e := history.Event{Kind: o.kind, F: o.f, Value: o.value, Node: o.node, Error: o.note}
	if err := b.stamp(&e, o); err != nil {
		return err
	}
	if o.nemesis {
		if !b.fault(&e, o) {
			return nil
		}
		return b.append(e, false)
	}
	if !o.hasF {
		// Elle does not look at functions; histories for it may have none.
		e.F = "txn"
	}
	if err := b.split(&e); err != nil {
		return err
	}
	b.highest = max(b.highest, o.process)
	if o.kind == history.Invoke {
		if err := b.invoke(&e, o); err != nil {
			return err
		}
	} else if err := b.complete(&e, o); err != nil {
		return err
	}
	return b.append(e, o.final)
}

func (b *builder) append(e history.Event, final bool) error {
	if b.left -= EventSize(&e); b.left < 0 {
		return fmt.Errorf("%w: %d bytes after %d events; allow more or cut the history", ErrTooLarge, b.o.Memory, len(b.events))
	}
	b.events = append(b.events, e)
	if !b.invoked {
		b.final = append(b.final, final)
	}
	return nil
}

// EventSize estimates the memory in bytes of an event, with what it points to.
// Short names of functions and nodes count for nothing, as there is one copy of
// each.
func EventSize(e *history.Event) int64 {
	n := int64(unsafe.Sizeof(*e)) + Size(e.Value) + int64(len(e.Key)+len(e.Error)) + int64(len(e.Nodes))*int64(unsafe.Sizeof(e.F))
	for _, s := range []string{e.F, e.Node} {
		if len(s) > maxWord {
			n += int64(len(s))
		}
	}
	for _, s := range e.Nodes {
		n += int64(len(s))
	}
	return n
}

// Size estimates the memory in bytes that a value points to.
func Size(v history.Value) int64 {
	if s, ok := v.AsString(); ok {
		return int64(len(s))
	}
	if ns, ok := v.Ints(); ok {
		return int64(len(ns)) * int64(unsafe.Sizeof(ns[0]))
	}
	n := int64(v.Len()) * int64(unsafe.Sizeof(v))
	for _, e := range v.Elements() {
		n += Size(e)
	}
	pairs, _ := v.AsMap()
	n += int64(len(pairs)) * 2 * int64(unsafe.Sizeof(v))
	for _, p := range pairs {
		n += Size(p.Key) + Size(p.Value)
	}
	return n
}

// stamp sets index and time.
func (b *builder) stamp(e *history.Event, o *operation) error {
	n := len(b.events)
	if n == 0 && b.nemesis == "" {
		b.indexed = o.indexed
	}
	switch {
	case o.indexed != b.indexed:
		return fieldError("index", "some operations have one and some have not")
	case !o.indexed:
		e.Index = int64(n)
	case n > 0 && o.index <= b.events[n-1].Index:
		return fieldError("index", "%d follows %d; indices must rise", o.index, b.events[n-1].Index)
	default:
		e.Index = o.index
	}
	b.timed = b.timed || o.timed
	switch {
	case !o.timed:
		e.Time = b.last
	case o.time < b.last:
		if b.sum.Raised++; b.sum.Raised == 1 && !o.indexed {
			b.sum.Backwards = fmt.Sprintf("line %d has the time %d, and follows one with %d", o.line, int64(o.time), int64(b.last))
		}
		e.Time = b.last
	default:
		e.Time = o.time
	}
	b.last = e.Time
	return nil
}

// keyBytes is what an independent key takes, beside its text.
const keyBytes = 96

// split separates key and value.
func (b *builder) split(e *history.Event) error {
	if !b.o.Independent {
		return nil
	}
	pair, ok := e.Value.AsList()
	if !ok || len(pair) != 2 || e.Value.Kind() != history.KindList {
		if e.Kind == history.Invoke {
			return fieldError("value", "expected [key value], as keys are independent; found %s", clip(e.Value.String()))
		}
		return nil // complete takes the key of the invocation
	}
	key, isString := pair[0].AsString()
	if !isString {
		key = pair[0].String()
	}
	if key == "" {
		return fieldError("value", "the key of %s is empty, which stands for none; expected another", clip(e.Value.String()))
	}
	known, ok := b.keys[key]
	if ok && !known.Equal(pair[0]) {
		return fieldError("value", "the keys %s and %s differ and print alike", known, pair[0])
	}
	if !ok {
		b.left -= keyBytes + int64(len(key))
	}
	b.keys[key] = pair[0]
	e.Key, e.Value = key, pair[1]
	return nil
}

func (b *builder) invoke(e *history.Event, o *operation) error {
	if b.orphan != 0 {
		return fmt.Errorf("an invocation, although the completion in line %d has none", b.orphan)
	}
	b.invoked = true
	p := o.process
	if len(b.open[p]) > 0 && !b.o.Overlapping {
		return fieldError("process", "%d invokes %s while its %s is open", p, e.F, b.events[b.open[p][0].event].F)
	}
	number, known := b.current[p]
	if !known {
		number = p
	}
	if b.retired[p] || len(b.open[p]) > 0 {
		b.fresh++
		b.sum.Renumbered++
		number = -1 - b.fresh
	}
	delete(b.retired, p)
	b.current[p] = number
	b.open[p] = append(b.open[p], opened{len(b.events), number, o.value})
	e.Process = number
	return nil
}

func (b *builder) complete(e *history.Event, o *operation) error {
	p := o.process
	at := b.fitting(b.open[p], o)
	if at < 0 {
		if b.invoked {
			return fieldError("process", "%d completes %s, but has no such operation open", p, e.F)
		}
		if b.orphan == 0 {
			b.orphan = o.line
		}
		e.Process = p
		return nil
	}
	call := b.open[p][at]
	begun := &b.events[call.event]
	if !o.hasF {
		e.F = begun.F
	}
	if e.F != begun.F {
		return fieldError("f", "process %d completes %s, but what it has open is %s", p, e.F, begun.F)
	}
	if e.Key != begun.Key && (e.Key != "" || !e.Value.IsNil() && e.Kind == history.OK) {
		return fieldError("value", "process %d completes its %s with %s, but invoked it on key %s", p, e.F, clip(o.value.String()), begun.Key)
	}
	if b.o.Independent && e.Key == "" && e.Kind == history.OK && e.F == "read" {
		return fieldError("value", "process %d completes its read of key %s with %s, which names no key; expected [key value]", p, begun.Key, clip(o.value.String()))
	}
	e.Process, e.Key = call.process, begun.Key
	// What it was to do may turn out later, as Knossos completes histories.
	begun.Value = history.Learn(e.F, e.Kind, begun.Value, e.Value)
	kind := e.Kind
	if history.Refused(e.F, kind, e.Value) {
		kind = history.Fail
	}
	if why := history.Misfit(e.F, kind, begun.Value, e.Value); why != "" {
		return fieldError("value", "process %d completes %s (event %d), but %s", p, e.F, begun.Index, clipTo(why, explainedMax))
	}
	b.open[p] = append(b.open[p][:at:at], b.open[p][at+1:]...)
	if len(b.open[p]) == 0 {
		delete(b.open, p)
	}
	if o.kind == history.Info {
		b.retired[p] = true
	}
	return nil
}

// fitting returns which of the open operations o completes, -1 if none does.
func (b *builder) fitting(list []opened, o *operation) int {
	if !b.o.Overlapping || len(list) == 1 {
		return len(list) - 1
	}
	for i, c := range list {
		if b.events[c.event].F == o.f && fits(c.value, o.value) {
			return i
		}
	}
	return -1
}

// fits reports whether a result may belong to an argument: it is the same but
// for what was nil.
func fits(argument, result history.Value) bool {
	if argument.IsNil() || argument.Equal(result) {
		return true
	}
	if !argument.IsList() || !result.IsList() || argument.Len() != result.Len() {
		return false
	}
	for i, a := range argument.Elements() {
		if !fits(a, result.At(i)) {
			return false
		}
	}
	return true
}

// fault turns an act of the nemesis into an event of a fault, and reports
// whether it is one. Jepsen records an act when it begins and when it is done,
// both as info; the latter counts.
func (b *builder) fault(e *history.Event, o *operation) bool {
	e.Process = history.NemesisProcess
	if b.ownFault(e, o) {
		return true
	}
	if b.nemesis != o.f && o.kind <= history.Info {
		b.nemesis, b.begun = o.f, moment{e.Index, e.Time}
		return false
	}
	b.nemesis = ""
	b.begins[e.Index] = b.begun
	e.Kind = history.FaultStart
	if strings.HasPrefix(o.f, "kill") || strings.HasPrefix(o.f, "crash") {
		b.killed = true
	}
	for _, w := range []string{"stop", "heal", "resume", "end", "reset", "recover", "repair"} {
		if strings.HasPrefix(o.f, w) {
			e.Kind = history.FaultEnd
		}
	}
	if b.killed && o.f == "start" { // what was killed; else it begins whatever stop ends
		e.Kind, b.killed = history.FaultEnd, false
	}
	if nodes, ok := texts(o.value); ok {
		e.Nodes = nodes
	} else if nodes, ok := answered(o.value); ok {
		e.Nodes = nodes
	} else if e.Error == "" && !o.value.IsNil() {
		e.Error = o.value.String()
	}
	e.Value = history.Nil
	return true
}

// answered returns the nodes of a map from nodes to what they answered, as
// Jepsen's on-nodes returns it.
func answered(v history.Value) ([]string, bool) {
	pairs, ok := v.AsMap()
	var nodes []string
	for _, p := range pairs {
		node, is := p.Key.AsString()
		if !is || p.Value.IsList() || p.Key.Kind() != history.KindString {
			return nil, false
		}
		nodes = append(nodes, node)
	}
	return nodes, ok && len(nodes) > 0
}

func texts(v history.Value) ([]string, bool) {
	if v.Len() == 0 {
		return nil, false
	}
	out := make([]string, v.Len())
	for i, e := range v.Elements() {
		var ok bool
		if out[i], ok = e.AsString(); !ok {
			return nil, false
		}
	}
	return out, true
}

// finish settles what only the whole history decides.
func (b *builder) finish() error {
	if b.orphan != 0 {
		b.sum.CompletionsOnly = true
		if b.left -= int64(len(b.events)) * int64(unsafe.Sizeof(history.Event{})); b.left < 0 {
			return fmt.Errorf("%w: %d bytes for %d completions, each with an invocation; allow more or cut the history", ErrTooLarge, b.o.Memory, len(b.events))
		}
		b.pairUp()
	}
	for i := range b.events {
		e := &b.events[i]
		if e.Process < history.NemesisProcess {
			e.Process = b.highest - 1 - e.Process
		}
		if !b.timed {
			e.Time = time.Duration(e.Index)
		}
	}
	b.sum.Untimed = !b.timed && len(b.events) > 0
	for i, at := range b.begins {
		if b.sum.Begun == nil {
			b.sum.Begun = make(map[int64]time.Duration, len(b.begins))
		}
		if b.sum.Begun[i] = at.time; !b.timed {
			b.sum.Begun[i] = time.Duration(at.index)
		}
	}
	return nil
}

// pairUp gives each completion an invocation: all of them before the first
// completion, those of final operations after the last other completion.
func (b *builder) pairUp() {
	paired := make([]history.Event, 0, 2*len(b.events))
	for _, final := range []bool{false, true} {
		for pass := range 2 {
			for i, e := range b.events {
				client := e.Kind <= history.Info
				if b.final[i] != final || !client && pass == 0 {
					continue
				}
				if client {
					e.Process = i
				}
				if pass == 0 {
					e.Kind, e.Error = history.Invoke, ""
					e.Time = b.events[0].Time
					if final {
						e.Time = b.last
					}
				} else if final {
					e.Time = b.last
				}
				e.Index = int64(len(paired))
				paired = append(paired, e)
			}
		}
	}
	b.events, b.highest = paired, len(paired)
}

// ParseValue reads one value in EDN, with null for nil as well.
func ParseValue(text string) (history.Value, error) {
	s := newScanner(strings.NewReader(text), false)
	v, err := s.value(0)
	if err != nil {
		return history.Nil, opaque(err)
	}
	if _, err := s.skip(); err != errEnd {
		return history.Nil, errors.New("more than one value")
	}
	if name, ok := v.AsString(); ok && name == "null" && text == "null" {
		return history.Nil, nil
	}
	return v, nil
}
