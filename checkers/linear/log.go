package linear

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/harness/history"
)

// logs judges a log with explicit offsets where a key's operations have such,
// else as a list.
type logs struct{ plain, offsets structure }

func log1(o Object) (object, error) {
	return logs{
		structure{"log", lists{}, orderedGroups},
		structure{"log with offsets", offsetLogs{}, orderedGroups},
	}, o.empty()
}

func (logs) split(_ []history.Operation, p part) []part { return []part{p} }

// hasOffset reports whether an operation belongs to a log with offsets.
func hasOffset(o *history.Operation) bool {
	_, argument := o.Input.AsInt()
	return o.F == Send || o.F == Poll || o.F == Read && argument || o.F == Append && o.Output.Len() == 2 && o.Output.At(1).Equal(o.Input)
}

func (l logs) judge(b *budget, all []history.Operation, p part, a Algorithm) judgement {
	if !slices.ContainsFunc(p.at, func(i int32) bool { return hasOffset(&all[i]) }) {
		return l.plain.judge(b, all, p, a)
	}
	t, err := l.offsets.try(b.interner(len(all)), all, p)
	if err != nil {
		return judgement{err: err}
	}
	b.pay(b.in.strangers(len(p.at)))
	where, c, applies := t.locate()
	if !applies {
		return judgement{operations: len(t.acts), err: fmt.Errorf("a message was sent more than once to %s; with offsets, only messages that are sent once can be judged", name(p.key))}
	}
	nowhere := ""
	for i := range t.acts {
		if s := &t.acts[i]; c == nil && s.kind == logSend && !s.maybe && where.by[s.value] < 0 {
			nowhere = t.the(int32(i))
		}
	}
	j := l.offsets.decide(b, t, a)
	if j.answer == legal && nowhere != "" {
		j.answer, j.err = undecided, fmt.Errorf("%s is nowhere: it was acknowledged without an offset, and never found; all else can be linearized", nowhere)
	}
	return j
}

// single turns operations as jepsen.tests.kafka has them, whose values are
// lists of micro-operations on several keys, into operations on one key each:
//
//	[send key value]          invoked; [send key [offset value]] done
//	[poll {key [[offset value] …] …}]
//
// One that has several micro-operations is an error, as a log alone does not
// tell what transactions are.
func single(ops []history.Operation) ([]history.Operation, error) {
	kept := make([]history.Operation, 0, singles(ops))
	for _, o := range ops {
		if !jepsenForm(o) {
			kept = append(kept, o)
			continue
		}
		if aside(o.F) {
			continue
		}
		v := o.Input
		if o.Outcome == history.OK {
			v = o.Output
		}
		mops, _ := v.AsList()
		if len(mops) != 1 {
			return nil, fmt.Errorf("the %s at event %d has %d micro-operations; expected one, as transactions of a log are only judged by the model kafka", o.F, o.Call, len(mops))
		}
		mop, _ := mops[0].AsList()
		f := ""
		if len(mop) > 0 {
			f, _ = mop[0].AsString()
		}
		switch {
		case f == Send && len(mop) == 3:
			kept = append(kept, singleSend(o, mop))
		case f == Poll && len(mop) <= 2:
			kept = singlePolls(kept, o, mop)
		default:
			return nil, fmt.Errorf("the %s at event %d has the micro-operation %s; expected [send key value] or [poll messages]", o.F, o.Call, mops[0])
		}
	}
	return kept, nil
}

// singles is how many operations single makes at most.
func singles(ops []history.Operation) int {
	n := len(ops)
	for i := range ops {
		if v := &ops[i].Output; v.Len() == 1 && v.At(0).Len() > 1 {
			pairs, _ := v.At(0).At(1).AsMap()
			n += len(pairs)
		}
	}
	return n
}

// jepsenForm reports whether the value of an operation is a list of
// micro-operations, or it is one on which consumers depend, and the log does
// not.
func jepsenForm(o history.Operation) bool {
	if aside(o.F) {
		return true
	}
	mops, ok := o.Input.AsList()
	if !ok || len(mops) == 0 || o.F != Send && o.F != Poll && o.F != Txn {
		return false
	}
	return !slices.ContainsFunc(mops, func(m history.Value) bool {
		mop, _ := m.AsList()
		if len(mop) == 0 {
			return true
		}
		f, _ := mop[0].AsString()
		return f != Send && f != Poll
	})
}

// aside reports whether a function of jepsen.tests.kafka changes nothing in the
// log and reads nothing of it: where consumers stand, and what the servers say
// of themselves.
func aside(f string) bool {
	return f == "assign" || f == "subscribe" || f == "crash" || f == "debug-topic-partitions"
}

func singleSend(o history.Operation, mop []history.Value) history.Operation {
	o.F, o.Key, o.Output = Send, keyText(mop[1]), history.Nil
	if o.Outcome == history.OK {
		if pair, ok := mop[2].AsList(); ok && len(pair) == 2 {
			o.Output, o.Input = mop[2], pair[1]
			return o
		}
	}
	o.Input = mop[2]
	return o
}

// singlePolls appends a poll for each key of which messages were found.
func singlePolls(polls []history.Operation, o history.Operation, mop []history.Value) []history.Operation {
	if len(mop) < 2 || o.Outcome != history.OK {
		return polls
	}
	pairs, _ := mop[1].AsMap()
	for _, kv := range pairs {
		o.F, o.Key, o.Input, o.Output = Poll, keyText(kv.Key), history.Nil, kv.Value
		polls = append(polls, o)
	}
	return polls
}

func keyText(v history.Value) string {
	if s, ok := v.AsString(); ok {
		return s
	}
	return v.String()
}
