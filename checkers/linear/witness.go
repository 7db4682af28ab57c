package linear

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Classes of violations beside those of registers.
const (
	Incomparable   = "incomparable reads"   // two reads of which none can come first
	Duplicate      = "duplicate"            // something that came once was seen twice
	Reordered      = "reordered"            // out of the queue in another order than into it
	LostElement    = "lost element"         // it must have left the queue and nobody got it
	FalseEmpty     = "false empty"          // nothing was found where something was
	LostAdd        = "lost add"             // a sum without an acknowledged addition
	WrongSum       = "wrong sum"            // a sum that no additions give
	TooManyHolders = "too many holders"     // more permits taken than there are
	UnheldRelease  = "unheld release"       // more permits given back than were taken
	OldToken       = "old token"            // a smaller fencing token after a greater one
	OneOffset      = "inconsistent offsets" // two messages at one offset
	Skipped        = "poll skip"            // a poll passed over a message
	Nonmonotonic   = "nonmonotonic poll"    // a poll whose offsets do not grow
)

// contradiction says that n operations on something cannot be.
func contradiction(n int, part string) string {
	if n == 1 {
		return fmt.Sprintf("an operation on %s contradicts the specification: it cannot return what it did", part)
	}
	return fmt.Sprintf("%d operations on %s contradict each other: no order of them agrees both with real time and with what they returned", n, part)
}

// account is a violation in its smallest form.
type account struct {
	structure            structure
	t                    *trial
	class, summary       string
	minimal, unconfirmed bool
}

func (x *account) witness(e *checkers.Evidence) *checkers.Witness {
	w := &checkers.Witness{Class: x.class, Summary: x.summary, Key: x.t.part.key, From: history.Never}
	for i := range x.t.acts[:min(len(x.t.acts), witnessMax)] {
		w.Operations = append(w.Operations, x.t.operation(int32(i)))
		w.Lines = append(w.Lines, x.t.the(int32(i)))
	}
	for i := range x.t.acts {
		a := &x.t.acts[i]
		h := &x.t.all[a.source]
		w.From, w.To = min(w.From, h.Invoked), max(w.To, h.Invoked)
		if h.Completed != history.Never && (!a.maybe || h.Outcome != history.OK) {
			w.To = max(w.To, h.Completed)
		}
	}
	if n := len(x.t.acts) - witnessMax; n > 0 {
		w.Lines = append(w.Lines, fmt.Sprintf("%d more operations belong to it and are not listed.", n))
	}
	if len(x.t.acts) > 1 {
		w.Lines = append(w.Lines, "No order of these operations agrees both with real time and with what they returned.")
	}
	if !x.minimal {
		w.Lines = append(w.Lines, "There may be a smaller explanation: the search for it was bounded.")
	}
	if x.unconfirmed {
		w.Lines = append(w.Lines, "Porcupine could not confirm this within the budget.")
	}
	return w
}

// operation returns an act as an operation of the history, with lists
// shortened as in the act.
func (t *trial) operation(i int32) history.Operation {
	a := &t.acts[i]
	h := t.all[a.source]
	if h.Output.IsList() && h.F == Read && h.Input.IsNil() && h.Output.Len() != len(a.list) {
		h.Output = t.shortened(h.Output, a)
	}
	if a.maybe && h.Outcome == history.OK {
		h.Outcome, h.Completed, h.Return, h.Output = history.Info, history.Never, -1, history.Nil
	}
	return h
}

// shortened returns the elements of a list that are in a's list.
func (t *trial) shortened(list history.Value, a *act) history.Value {
	shown := make([]*history.Value, len(a.list))
	for i, id := range a.list {
		shown[i] = t.values[id]
	}
	compare := func(x, y *history.Value) int { return x.Compare(*y) }
	slices.SortFunc(shown, compare)
	var kept []history.Value
	for _, v := range list.Elements() {
		if _, ok := slices.BinarySearchFunc(shown, &v, compare); ok {
			kept = append(kept, v)
		}
	}
	return history.List(kept...)
}

// listedMax is how many elements of a list are printed.
const listedMax = 8

// the tells of an operation, in a sentence if it returned something: "the
// enqueue of 4 (process 1, node n2, 3.214 s to 3.310 s)", "the read (process 1,
// 3.214 s to 3.310 s) returned [1 2]".
func (t *trial) the(i int32) string {
	who, result := t.told(i)
	if result != "" {
		return who + ") " + result
	}
	return who + ")"
}

// noun names an operation as a part of a sentence: "the read (process 1, 3.214 s
// to 3.310 s, returned [1 2])".
func (t *trial) noun(i int32) string {
	who, result := t.told(i)
	if result != "" {
		return who + ", " + result + ")"
	}
	return who + ")"
}

// told is who did what when, in a parenthesis that is open, and the result.
func (t *trial) told(i int32) (who, result string) {
	if t.silent {
		return "", ""
	}
	h := t.operation(i)
	var b strings.Builder
	fmt.Fprintf(&b, "the %s", h.F)
	if !h.Input.IsNil() {
		fmt.Fprintf(&b, " of %s", h.Input)
	}
	if h.Key != "" {
		fmt.Fprintf(&b, " on key %s", h.Key)
	}
	fmt.Fprintf(&b, " (process %d", h.Process)
	if h.Node != "" {
		fmt.Fprintf(&b, ", node %s", h.Node)
	}
	if h.Outcome != history.Info {
		fmt.Fprintf(&b, ", %s to %s", history.At(h.Invoked), history.At(h.Completed))
	} else {
		fmt.Fprintf(&b, ", from %s, outcome unknown", history.At(h.Invoked))
	}
	if h.FoundEmpty() {
		return b.String(), "found nothing"
	}
	if !telling(&h) {
		return b.String(), ""
	}
	if whole := t.all[t.acts[i].source].Output.Len(); h.Output.IsList() && h.Output.Len() < whole {
		return b.String(), fmt.Sprintf("returned, of %d elements, %s", whole, h.Output)
	}
	if n := h.Output.Len(); n > listedMax {
		return b.String(), fmt.Sprintf("returned %d elements", n)
	}
	return b.String(), fmt.Sprintf("returned %s", h.Output)
}

// telling reports whether the result of an operation says something.
func telling(h *history.Operation) bool {
	if h.F == Acquire { // a token
		return h.Outcome == history.OK && !h.Output.IsNil()
	}
	return h.Outcome == history.OK && slices.Contains([]string{Read, Dequeue, Contains, Txn, Poll, Send}, h.F)
}

// fromNowhere is the conflict of an act that shows an element which nobody
// brought in.
func (t *trial) fromNowhere(i, v int32) *conflict {
	c := &conflict{class: ThinAirRead, acts: []int32{i}, values: []int32{v}}
	c.summary = fmt.Sprintf("%s: nobody had brought in %s", t.the(i), t.values[v])
	if source, ok := t.failed[v]; ok {
		h := &t.all[source]
		c.class = AbortedRead
		c.summary = fmt.Sprintf("%s, although the %s of %s had failed at %s (process %d): it certainly did not happen",
			t.the(i), h.F, t.values[v], history.At(h.Completed), h.Process)
	}
	return c
}

// future is the conflict of an act that shows an element before the act that
// brought it in began.
func (t *trial) future(seen, in, v int32) *conflict {
	return &conflict{class: FutureRead, acts: []int32{seen, in}, values: []int32{v},
		summary: fmt.Sprintf("%s, although %s began only later", t.the(seen), t.noun(in))}
}

// outOfOrder is the conflict of two acts on a set or list that only grows:
// late was over before early began, although reads say that it comes later.
func (t *trial) outOfOrder(late, early int32, reads []int32) *conflict {
	l, e := &t.acts[late], &t.acts[early]
	c := &conflict{class: StaleRead, acts: []int32{late, early}}
	c.summary = fmt.Sprintf("%s, although %s was over before", t.the(early), t.noun(late))
	switch {
	case l.list == nil && e.list != nil: // a read lacks what was there before
		c.values = []int32{l.value}
	case l.list != nil && e.list == nil: // a read has what came after it
		return t.future(late, early, e.value)
	case l.list != nil: // a read lacks what another one had before
		has := make([]bool, len(t.values))
		set(has, e.list, true)
		if at := slices.IndexFunc(l.list, func(v int32) bool { return !has[v] }); at >= 0 {
			c.values = []int32{l.list[at]}
		}
	default:
		c.class, c.values = Reordered, []int32{l.value, e.value}
		c.summary = fmt.Sprintf("%s was over before %s began, but reads show %s first", t.noun(late), t.noun(early), t.values[e.value])
		for _, r := range reads {
			list := t.acts[r].list
			at := slices.Index(list, e.value)
			if at >= 0 && !slices.Contains(list[:at], l.value) {
				c.acts = append(c.acts, r)
				break
			}
		}
	}
	return c
}

func (x *account) picture(e *checkers.Evidence, memory int64) []byte {
	if len(x.t.acts) > pictureOperationsMax {
		return nil
	}
	p := x.structure.rules.pose(x.t.with(x.t.acts))
	if len(p.Ops) != len(x.t.acts) { // some need not have happened
		return nil
	}
	ops := make([]op, len(x.t.acts))
	for i := range ops {
		a := &x.t.acts[i]
		ops[i] = op{maybe: a.maybe, call: a.call, ret: a.ret, source: a.source}
	}
	return drawPage(e, ops, p, memory, nil, func(i int) string {
		h := x.t.operation(int32(i))
		text := h.F
		if !h.Input.IsNil() {
			text += " " + h.Input.String()
		}
		if h.Outcome != history.OK {
			return text + " ?"
		}
		if telling(&h) {
			text += " → " + h.Output.String()
		}
		return text
	}, func(state int32) string { return fmt.Sprintf("state %d", state) })
}
