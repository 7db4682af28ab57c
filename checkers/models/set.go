package models

import (
	"context"
	"fmt"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// FinalSet judges a set by its last read, as jepsen.checker/set does: of the
// operations add and read, the ok read that was invoked last must have every
// element whose add was acknowledged before, and none that nobody tried to
// add before the read was over. As fail means here that an add did not happen, a
// failed one counts as not tried, which Jepsen holds otherwise.
//
// Linear time; keys are judged alone; without a read it is unknown. It looks at
// no other read: SetFull does.
func FinalSet() checkers.Checker {
	return judge("final-set", "last read", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, knowing(finalSet, Add, Read, Contains))
	})
}

func finalSet(_ *watch, ops []history.Operation) judged {
	var last *history.Operation
	for i := range ops {
		if o := &ops[i]; o.F == Read && o.Outcome == history.OK && (last == nil || o.Call > last.Call) {
			last = o
		}
	}
	if last == nil {
		return unknown("the set was never read")
	}
	if !last.Output.IsList() {
		return unknown("the last read returned %s, which is no set", last.Output)
	}
	in := newInterner()
	for _, v := range last.Output.Elements() {
		in.id(v)
	}
	tried := make([]*history.Operation, len(in.values))
	failed := make([]*history.Operation, len(in.values))
	var lost, phantom []history.Value
	var witness *history.Operation
	acked, recovered := 0, 0
	for i := range ops {
		o := &ops[i]
		if o.F != Add {
			continue
		}
		id, there := in.find(o.Input)
		switch {
		case there && (o.Outcome == history.Fail || o.Call > last.Return):
			failed[id] = o
		case there:
			tried[id] = o
			if o.Outcome == history.Info {
				recovered++
			}
		case o.Outcome == history.OK && precedes(o, last):
			lost = append(lost, o.Input)
			witness = o
		}
		if o.Outcome == history.OK {
			acked++
		}
	}
	for id, v := range in.values {
		if tried[id] == nil {
			phantom = append(phantom, v)
			if len(lost) == 0 && failed[id] != nil {
				witness = failed[id]
			}
		}
	}
	m := map[string]float64{"acknowledged": float64(acked), "lost": float64(len(lost)), "unexpected": float64(len(phantom)), "recovered": float64(recovered)}
	evidence := []history.Operation{*last}
	if witness != nil {
		evidence = append(evidence, *witness)
	}
	switch {
	case len(lost) > 0:
		return with(invalid("lost", fmt.Sprintf("the last read lacks %s whose add was acknowledged before: %s", plural(len(lost), "element"), few(lost)), evidence...), m)
	case len(phantom) > 0:
		return with(invalid("unexpected", fmt.Sprintf("the last read has %s that nobody had tried to add, or whose add failed: %s", plural(len(phantom), "element"), few(phantom)), evidence...), m)
	}
	return with(valid("the last read has %s", every(acked, "acknowledged element")), m)
}
