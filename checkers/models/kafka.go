package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Kafka judges partitioned logs with explicit offsets, as jepsen.tests.kafka
// does: operations send, poll and txn, whose values are lists of
//
//	[send key value]          invoked; [send key [offset value]] done, the offset nil if unknown
//	[poll {key [[offset value] …] …}]
//
// and assign or subscribe, after which a consumer may stand anywhere; where it
// has subscribed, it may be rebalanced at any time, and each poll stands alone.
// Values are unique for each key, which is verified; a send that failed may be
// tried again.
//
//   - *aborted read*: a value was polled whose send failed; *thin-air read*:
//     nobody sent it; *precommitted read*: a transaction polled what it sent
//     itself, which nobody may see before it has committed.
//   - *inconsistent offsets*: two values stand at one offset of a key.
//   - *duplicate*: one value stands at two offsets of a key.
//   - *lost write*: an acknowledged send was never polled, although its offset
//     is not greater than the greatest that was polled of the key; an
//     acknowledged send of unknown offset counts as one before all later ones.
//   - *poll skip* and *nonmonotonic poll*: between two consecutive messages
//     that a process polled of a key, in one poll or in two between which it
//     was not assigned anew, there are known messages, or the second one does
//     not come after the first. A gap of offsets with no known message is no
//     skip: transactions leave such.
//   - *nonmonotonic send*: two sends of one process to a key, one after the
//     other, got offsets that do not rise.
//
// The first anomaly in this order is the witness; the measures count all, and
// *unseen* messages: those acknowledged and never polled that are not lost, as
// they stand behind all that was polled. Where nothing was sent, or nothing
// polled, it is unknown. Independent keys are judged alone.
// O(n log n) for n messages sent and polled. It does not look for cycles of
// transactions (package txn judges those of lists), at what polls of unknown
// outcome returned, nor at rebalancing logs.
func Kafka() checkers.Checker {
	return judge("kafka", "offsets", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, knowing(kafka, "send", "poll", Txn, "assign", "subscribe", "crash", "debug-topic-partitions"))
	})
}

// record is a message at an offset.
type record struct {
	offset int64
	known  bool // the offset is
	value  int
	op     *history.Operation
}

// partition is a key.
type partition struct {
	name    history.Value
	sent    map[int]record             // by value; of unknown outcome, too
	failed  map[int]*history.Operation // by value
	at      map[int64]record           // by offset
	offsets []int64                    // known, sorted
	polled  map[int]*history.Operation // by value
	highest int64                      // offset polled
	visits  map[int][][]record         // process → runs of records polled without reassignment
	unseen  int                        // messages acknowledged and never polled, behind all that were
	sends   map[int][]record           // process → acknowledged sends with offsets, in order
}

// logs is a history of partitions.
type logs struct {
	keys, values *interner
	parts        []*partition
	found        map[string]int
	worst        map[string]judged
	epoch        map[int]int    // process → how often it was assigned anew
	subscribed   map[int]bool   // processes that may be rebalanced at any time
	last         map[[2]int]int // process and key → the epoch in which it polled the key last
}

// kinds lists the anomalies, the most plainly wrong first.
var kinds = []string{"aborted read", "thin-air read", "precommitted read", "inconsistent offsets", "duplicate", "lost write", "nonmonotonic poll", "poll skip", "nonmonotonic send"}

func kafka(w *watch, ops []history.Operation) judged {
	l := &logs{
		keys: newInterner(), values: newInterner(), found: map[string]int{}, worst: map[string]judged{},
		epoch: map[int]int{}, subscribed: map[int]bool{}, last: map[[2]int]int{},
	}
	for i := range ops {
		if w.over(8) {
			return unknown("time ran out after %d of %s", i, plural(len(ops), "operation"))
		}
		if v := l.operation(&ops[i]); v.Verdict != "" {
			return v
		}
	}
	messages, unseen, polled := 0, 0, false
	for i, p := range l.parts {
		if w.over(len(p.sent) + len(p.offsets)) {
			return unknown("time ran out after %d of %s", i, plural(len(l.parts), "partition"))
		}
		messages += len(p.sent)
		polled = polled || len(p.polled) > 0
		l.judge(p)
		unseen += p.unseen
	}
	m := map[string]float64{"messages": float64(messages), "partitions": float64(len(l.parts)), "unseen": float64(unseen)}
	for _, k := range kinds {
		m[k] = float64(l.found[k])
	}
	for _, k := range kinds {
		if v, ok := l.worst[k]; ok {
			return with(v, m)
		}
	}
	switch {
	case messages == 0:
		return with(unknown("nothing was sent"), m)
	case !polled:
		return with(unknown("nothing was polled, so that nothing of %s can be missing", plural(messages, "message")), m)
	}
	v := valid("%s in %s: none lost, doubled, skipped or out of order", plural(messages, "message"), plural(len(l.parts), "partition"))
	if unseen > 0 {
		v.Reason += fmt.Sprintf(", but for %s that nobody polled, behind all that was", plural(unseen, "acknowledged one"))
	}
	return with(v, m)
}

func (l *logs) operation(o *history.Operation) judged {
	switch o.F {
	case "subscribe":
		l.epoch[o.Process]++
		l.subscribed[o.Process] = l.subscribed[o.Process] || o.Outcome != history.Fail
	case "assign", "crash":
		l.epoch[o.Process]++
		l.subscribed[o.Process] = l.subscribed[o.Process] && o.Outcome != history.OK
	case "send", "poll", Txn:
		return l.take(o)
	}
	return judged{}
}

func (l *logs) part(key history.Value) *partition {
	id := l.keys.id(key)
	if id == len(l.parts) {
		l.parts = append(l.parts, &partition{
			name: key, sent: map[int]record{}, failed: map[int]*history.Operation{}, at: map[int64]record{}, polled: map[int]*history.Operation{},
			highest: -1, visits: map[int][][]record{}, sends: map[int][]record{},
		})
	}
	return l.parts[id]
}

func (l *logs) anomaly(kind, summary string, ops ...history.Operation) {
	if l.found[kind]++; l.found[kind] == 1 {
		l.worst[kind] = invalid(kind, summary, ops...)
	}
}

// take reads one operation.
func (l *logs) take(o *history.Operation) judged {
	value := o.Input
	if o.Outcome == history.OK {
		value = o.Output
	}
	list, ok := sequence(value)
	if !ok {
		return unknown("the value %s of %s; expected a list of micro-operations", value, o.F)
	}
	for _, v := range list {
		mop, _ := sequence(v)
		if len(mop) == 0 {
			return unknown("the micro-operation %s; expected [send …] or [poll …]", v)
		}
		f, _ := mop[0].AsString()
		switch {
		case f == "send" && len(mop) == 3:
			if v := l.send(o, l.part(mop[1]), mop[2]); v.Verdict != "" {
				return v
			}
		case f == "poll" && o.Outcome == history.OK && len(mop) == 2:
			pairs, ok := mop[1].AsMap()
			if !ok && !mop[1].IsNil() {
				return unknown("the poll of %s; expected a map from keys to messages", mop[1])
			}
			if l.subscribed[o.Process] {
				l.epoch[o.Process]++
			}
			for _, kv := range pairs {
				key := [2]int{o.Process, l.keys.id(kv.Key)}
				p := l.part(kv.Key)
				if e, ok := l.last[key]; !ok || e != l.epoch[o.Process] {
					p.visits[o.Process] = append(p.visits[o.Process], nil)
				}
				l.last[key] = l.epoch[o.Process]
				if v := l.poll(o, p, kv.Value); v.Verdict != "" {
					return v
				}
			}
		case f == "poll":
		default:
			return unknown("the micro-operation %s; expected [send key value] or [poll messages]", v)
		}
	}
	if o.Outcome == history.OK && len(list) > 1 {
		l.own(o, list)
	}
	return judged{}
}

// own looks for what an operation polled of what it sent.
func (l *logs) own(o *history.Operation, list []history.Value) {
	sent := map[[2]int]bool{}
	for _, v := range list {
		if mop, _ := sequence(v); len(mop) == 3 {
			v := mop[2]
			if pair, ok := sequence(v); ok && len(pair) == 2 {
				v = pair[1]
			}
			sent[[2]int{l.keys.id(mop[1]), l.values.id(v)}] = true
		}
	}
	for _, v := range list {
		mop, _ := sequence(v)
		if len(mop) != 2 || len(sent) == 0 {
			continue
		}
		pairs, _ := mop[1].AsMap()
		for _, kv := range pairs {
			for _, m := range kv.Value.Elements() {
				if sent[[2]int{l.keys.id(kv.Key), l.values.id(m.At(1))}] {
					l.anomaly("precommitted read", fmt.Sprintf("a transaction polled %s from key %s, which it sent itself", m.At(1), kv.Key), *o)
				}
			}
		}
	}
}

func (l *logs) send(o *history.Operation, p *partition, v history.Value) judged {
	r := record{op: o}
	if pair, ok := sequence(v); ok && len(pair) == 2 && o.Outcome == history.OK {
		r.offset, r.known = pair[0].AsInt()
		v = pair[1]
	}
	r.value = l.values.id(v)
	if o.Outcome == history.Fail {
		p.failed[r.value] = o
		return judged{}
	}
	if _, ok := p.sent[r.value]; ok {
		return unknown("%s is sent to key %s twice; sent values must be unique for each key", v, p.name)
	}
	p.sent[r.value] = r
	if r.known {
		l.place(p, r)
		p.sends[o.Process] = append(p.sends[o.Process], r)
	}
	return judged{}
}

// place notes that a value stands at an offset.
func (l *logs) place(p *partition, r record) {
	was, ok := p.at[r.offset]
	if ok && was.value != r.value {
		l.anomaly("inconsistent offsets", fmt.Sprintf("at offset %d of key %s stand both %s and %s", r.offset, p.name, l.values.values[was.value], l.values.values[r.value]), *was.op, *r.op)
	}
	if !ok {
		p.at[r.offset] = r
		p.offsets = append(p.offsets, r.offset)
	}
}

func (l *logs) poll(o *history.Operation, p *partition, messages history.Value) judged {
	list, ok := sequence(messages)
	if !ok {
		return unknown("the messages %s; expected a list of [offset value]", messages)
	}
	runs := p.visits[o.Process]
	for _, m := range list {
		pair, _ := sequence(m)
		if len(pair) != 2 {
			return unknown("the message %s; expected [offset value]", m)
		}
		r := record{op: o, value: l.values.id(pair[1])}
		if r.offset, r.known = pair[0].AsInt(); !r.known {
			return unknown("the message %s; expected an offset that is an integer", m)
		}
		p.polled[r.value] = o
		p.highest = max(p.highest, r.offset)
		l.place(p, r)
		runs[len(runs)-1] = append(runs[len(runs)-1], r)
	}
	return judged{}
}

// judge looks for the anomalies of a partition that need all of it.
func (l *logs) judge(p *partition) {
	slices.Sort(p.offsets)
	position := make(map[int64]int64, len(p.offsets))
	standing := map[int]int64{}
	for i, offset := range p.offsets {
		position[offset] = int64(i)
		r := p.at[offset]
		if other, ok := standing[r.value]; ok {
			first := p.at[other]
			l.anomaly("duplicate", fmt.Sprintf("%s stands at the offsets %d and %d of key %s", l.values.values[r.value], other, offset, p.name), *first.op, *r.op)
		}
		standing[r.value] = offset
	}
	for _, value := range sortedKeys(p.polled) {
		o, v := p.polled[value], l.values.values[value]
		if _, ok := p.sent[value]; ok {
			continue
		}
		if f := p.failed[value]; f != nil {
			l.anomaly("aborted read", fmt.Sprintf("%s was polled from key %s, but its send failed", v, p.name), *o, *f)
		} else {
			l.anomaly("thin-air read", fmt.Sprintf("%s was polled from key %s, but nobody sent it", v, p.name), *o)
		}
	}
	l.lost(p)
	for _, process := range sortedKeys(p.visits) {
		for _, run := range p.visits[process] {
			for i := 1; i < len(run); i++ {
				l.step(p, run[i-1], run[i], position)
			}
		}
	}
	for _, process := range sortedKeys(p.sends) {
		list := p.sends[process]
		for i := 1; i < len(list); i++ {
			if a, b := list[i-1], list[i]; b.offset <= a.offset {
				l.anomaly("nonmonotonic send", fmt.Sprintf("process %d sent %s to key %s at offset %d and then %s at offset %d", process, l.values.values[a.value], p.name, a.offset, l.values.values[b.value], b.offset), *a.op, *b.op)
			}
		}
	}
}

// lost looks for acknowledged messages that were passed over.
func (l *logs) lost(p *partition) {
	var top *history.Operation
	if r, ok := p.at[p.highest]; ok {
		top = p.polled[r.value]
	}
	for _, value := range sortedKeys(p.sent) {
		r := p.sent[value]
		if r.op.Outcome != history.OK || p.polled[value] != nil {
			continue
		}
		if top == nil {
			p.unseen++
			continue
		}
		if r.known && r.offset <= p.highest {
			l.anomaly("lost write", fmt.Sprintf("%s was acknowledged at offset %d of key %s, and never polled, although offset %d was", l.values.values[value], r.offset, p.name, p.highest), *r.op, *top)
			continue
		}
		if w, ok := p.sent[p.at[p.highest].value]; !r.known && ok && precedes(r.op, w.op) {
			l.anomaly("lost write", fmt.Sprintf("%s was acknowledged before %s was sent to key %s, and only the latter was polled", l.values.values[value], l.values.values[w.value], p.name), *r.op, *w.op, *top)
			continue
		}
		p.unseen++
	}
}

func (l *logs) step(p *partition, a, b record, position map[int64]int64) {
	evidence := func() []history.Operation {
		ops := []history.Operation{*a.op, *b.op}
		for _, r := range []record{a, b} {
			if s, ok := p.sent[r.value]; ok {
				ops = append(ops, *s.op)
			}
		}
		return ops
	}
	switch from, to := position[a.offset], position[b.offset]; {
	case to <= from:
		l.anomaly("nonmonotonic poll", fmt.Sprintf("process %d polled offset %d of key %s after offset %d", b.op.Process, b.offset, p.name, a.offset), evidence()...)
	case to > from+1:
		skipped := p.at[p.offsets[from+1]]
		l.anomaly("poll skip", fmt.Sprintf("process %d polled offset %d of key %s and then %d, and skipped %s at offset %d", b.op.Process, a.offset, p.name, b.offset, l.values.values[skipped.value], skipped.offset), append(evidence(), *skipped.op)...)
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
