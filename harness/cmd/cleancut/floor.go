package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rundir"
)

// A history is no evidence if nothing in it could have gone wrong: if nothing
// was acknowledged, or no answer could have told one state from another. It is
// never valid, whatever a checker says of it. What is invalid stays so.

// proof says what can show a violation, by function: an operation of tells that
// was acknowledged after another one of changes had begun, on its key, or that
// is a read which found something where there was one at all; or two of tells that
// were answered differently. Functions of micro-operations count where
// operations are lists of such; "*" is any, and "!f" one of f that failed, where
// a refusal is an answer.
type proof struct{ changes, tells string }

// proofs are those of all workloads that check knows but for stats, which asks
// for no more than what was acknowledged, and checkpoint, whose models know
// what they need of a record.
var proofs = map[string]proof{
	"register": {"write cas delete", "read cas"}, "cas-register": {"write cas delete", "read cas"}, "kv": {"write cas delete", "read cas"},
	"multi-register": {"write w", "read r"}, "rw-register": {"write w", "read r"}, "long-fork": {"write w", "read r"},
	"mutex": {"acquire release", "acquire release"}, "semaphore": {"acquire release", "acquire release"},
	"fencing": {"acquire write", "acquire write"},
	"set":     {"add remove", "read contains"}, "set-full": {"add remove", "read contains"},
	"queue": {"enqueue", "dequeue drain"}, "unordered-queue": {"enqueue", "dequeue drain"}, "total-queue": {"enqueue", "dequeue drain"},
	"counter": {"add", "read"}, "monotonic": {"*", "read"}, "unique-ids": {"*", "*"},
	"list": {"append", "read"}, "list-append": {"append", "r read"}, "log": {"append send", "read poll"},
	"closed-predicate": {"init insert w delete", "r rp init"}, "bank": {"transfer", "read"},
	"write-skew": {"insert", "insert !insert"}, "causal-reverse": {"write", "read"},
}

func (p proof) among(list, f string) bool {
	return list == "*" && !strings.HasPrefix(f, "!") || slices.Contains(strings.Fields(list), f)
}

// proofless says why a history of a workload proves nothing, "" if it can
// prove something. With mute, reads that returned nil tell nothing; given tells
// that the first value was given.
func proofless(workload string, ops []history.Operation, mute, given bool) string {
	acknowledged := 0
	for i := range ops {
		if ops[i].Outcome == history.OK {
			acknowledged++
		}
	}
	if acknowledged == 0 {
		return nothingAcknowledged(len(ops))
	}
	p, known := proofs[workload]
	if !known {
		return ""
	}
	type change struct {
		call int64
		by   int // operation
	}
	first, second := map[string]change{}, map[string]change{} // by key, those that began first
	for i := range ops {
		each(&ops[i], func(f, key string, _ history.Value) {
			if !p.among(p.changes, f) { // one that failed counts: it must not be seen
				return
			}
			if x, ok := first[key]; !ok {
				first[key] = change{ops[i].Call, i}
			} else if y, ok := second[key]; x.by != i && (!ok || ops[i].Call < y.call) {
				second[key] = change{ops[i].Call, i}
			}
		})
	}
	told, answers := false, map[string]history.Value{}
	for i := 0; i < len(ops) && !told; i++ {
		o := &ops[i]
		if o.Outcome == history.Info {
			continue
		}
		each(o, func(f, key string, answer history.Value) {
			if o.Outcome == history.Fail {
				f = "!" + f
			}
			if !p.among(p.tells, f) || mute && answer.IsNil() {
				return
			}
			x, ok := first[key]
			if ok && x.by == i && !micro(o) {
				x, ok = second[key]
			}
			before, again := answers[key]
			answers[key] = answer
			if workload == "bank" && !given && !again {
				return // it says what the sum is to be, and the next one whether it is
			}
			found := workload != "counter" && something(f, answer)
			told = told || ok && x.call < o.Return || again && !before.Equal(answer) || ok && found
		})
	}
	if told {
		return ""
	}
	return p.untold(acknowledged)
}

func nothingAcknowledged(operations int) string {
	return fmt.Sprintf("nothing was acknowledged: none of %d operations was ok, so nothing is proved", operations)
}

func (p proof) untold(acknowledged int) string {
	return fmt.Sprintf("no answer could have told two states apart, so nothing is proved: of %d operations that were acknowledged, "+
		"no %s ended after another operation on its key (%s) had begun, or found anything where there was one, and none was answered otherwise than another",
		acknowledged, orAny(p.tells), orAny(p.changes))
}

// proving looks for a proof in a history that is read and not kept.
type proving struct {
	proof
	begun map[string]int  // key → changes that began, until something told them apart
	found map[string]bool // keys of which a read found something before
	told  bool
	// unended tells that the history was cut off.
	unended bool
}

// provingKeysMax bounds the keys that are remembered; beyond it only those
// that are in are looked at.
const provingKeysMax = 1 << 16

func newProving(workload string) *proving {
	p, known := proofs[workload]
	return &proving{proof: p, begun: map[string]int{}, found: map[string]bool{}, told: !known}
}

func (p *proving) add(e *history.Event) {
	if p.told {
		return
	}
	changes, room := p.among(p.changes, e.F), len(p.begun)+len(p.found) < provingKeysMax
	switch _, in := p.begun[e.Key]; {
	case e.Kind == history.Invoke && changes && (in || room):
		p.begun[e.Key]++
		p.told = p.found[e.Key]
	case e.Kind == history.OK && p.among(p.tells, e.F):
		p.told = p.begun[e.Key] > 1 || p.begun[e.Key] == 1 && !changes
		if room && something(e.F, e.Value) {
			p.found[e.Key] = true
		}
	}
}

// proofless says why what was read proves nothing, "" if it can prove something.
func (p *proving) proofless(n rundir.Operations) string {
	if n.OK == 0 {
		return nothingAcknowledged(n.Total)
	}
	switch {
	case p.unended:
		return "the history is not whole: it was cut off, as the mark of its end is missing"
	case p.told:
		return ""
	}
	return p.untold(n.OK)
}

// something reports whether a read found something where there might have been
// nothing.
func something(f string, answer history.Value) bool {
	return (f == "read" || f == "r") && !answer.IsNil() && !(answer.IsList() && answer.Len() == 0)
}

// orAny lists functions in a sentence.
func orAny(list string) string {
	if list == "*" {
		return "call"
	}
	return strings.NewReplacer(" !", " or failed ", " ", " or ").Replace(list)
}

// micro reports whether an operation is a list of micro-operations [f key …].
func micro(o *history.Operation) bool {
	list, ok := o.Input.AsList()
	if !ok || len(list) == 0 {
		return false
	}
	first, ok := list[0].AsList()
	if !ok || len(first) == 0 {
		return false
	}
	_, named := first[0].AsString()
	return named
}

// each tells the functions of an operation with the key and, where it is ok,
// the answer: its own, or those of its micro-operations.
func each(o *history.Operation, yield func(f, key string, answer history.Value)) {
	if !micro(o) {
		yield(o.F, o.Key, o.Output)
		if pairs, ok := o.Input.AsMap(); ok && o.F == "init" { // what closed-predicate begins with
			for _, kv := range pairs {
				yield(o.F, o.Key+"/"+kv.Key.String(), o.Output)
			}
			yield(o.F, o.Key+"/*", o.Output)
		}
		return
	}
	v := o.Input
	if o.Outcome == history.OK && o.Output.IsList() {
		v = o.Output
	}
	list, _ := v.AsList()
	for _, m := range list {
		parts, _ := m.AsList()
		if len(parts) == 0 {
			continue
		}
		f, _ := parts[0].AsString()
		switch {
		case f == "poll" && len(parts) > 1: // {key [[offset value] …] …}
			pairs, _ := parts[1].AsMap()
			for _, kv := range pairs {
				yield(f, o.Key+"/"+kv.Key.String(), kv.Value)
			}
		case f == "rp" || f == "poll": // of all keys
			yield(f, o.Key+"/*", parts[len(parts)-1])
		case len(parts) > 1:
			yield(f, o.Key+"/"+parts[1].String(), parts[len(parts)-1])
			yield(f, o.Key+"/*", history.Nil)
		}
	}
}
