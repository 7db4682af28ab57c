package linear

import (
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// crash is an event at which nodes lost what they held in memory.
type crash struct {
	index  int64         // of the event by which it certainly had happened
	at     time.Duration // of that event
	begun  time.Duration // before this it certainly had not
	fault  string        // text of the fault
	nodes  []string
	scope  scope
	ends   bool // with it the whole system is down, as far as anyone knows
	before int  // operations that were invoked before index, for limit
}

// scope says whom a crash hit.
type scope uint8

const (
	unclear scope = iota // nobody knows
	some                 // the nodes, and others went on
	whole                // the whole system
)

// crashKinds are the kinds of faults that are crashes: those whose failure model
// is crash-recovery.
func crashKinds(e *checkers.Evidence) map[string]bool {
	kinds := map[string]bool{}
	for i := range e.Faults {
		if e.Faults[i].Model == history.CrashRecovery {
			kinds[e.Faults[i].Kind] = true
		}
	}
	return kinds
}

// crashes finds the crashes of a history: the FaultStart events of faults of
// crashKinds. A crash happened between the time at which its injection began,
// as e.Faults say, and its event. It hit the whole system if it names no
// victims, or "all", or every node that the history mentions. It ends an era
// if with it each of these is down: from its crash to the end of that fault or,
// as Jepsen has it, to an act of another name that ends, starts or restarts
// something.
func crashes(e *checkers.Evidence) []crash {
	nodes, kinds := mentioned(e), crashKinds(e)
	down := map[string]int{} // node → crashes that hold it down
	var found []crash
	for i := range e.Events {
		ev := &e.Events[i]
		kind, _, _ := strings.Cut(ev.F, "(")
		switch {
		case ev.Kind == history.FaultStart && kinds[kind]:
		case ev.Kind == history.FaultEnd && kinds[kind], ev.Kind == history.FaultEnd && !strings.Contains(ev.F, "("),
			ev.Kind == history.FaultStart && (strings.HasPrefix(ev.F, "start") || strings.HasPrefix(ev.F, "restart")):
			for _, n := range ev.Nodes {
				down[n] = max(0, down[n]-1)
			}
			if len(ev.Nodes) == 0 {
				clear(down)
			}
			continue
		default:
			continue
		}
		for _, n := range ev.Nodes {
			down[n]++
		}
		c := crash{index: ev.Index, at: ev.Time, begun: begun(e, ev), fault: ev.F, nodes: ev.Nodes, scope: some}
		switch victims := strings.Trim(ev.Error, ":\""); {
		case len(ev.Nodes) == 0 && victims != "" && victims != "all":
			c.scope = unclear
		case len(ev.Nodes) == 0 || !slices.ContainsFunc(nodes, func(n string) bool { return !slices.Contains(ev.Nodes, n) }):
			c.scope, c.ends = whole, true
		default:
			c.ends = !slices.ContainsFunc(nodes, func(n string) bool { return down[n] == 0 })
		}
		found = append(found, c)
	}
	return found
}

// mentioned returns the nodes that a history mentions.
func mentioned(e *checkers.Evidence) []string {
	in := map[string]bool{}
	for i := range e.Operations {
		in[e.Operations[i].Node] = true
	}
	for i := range e.Events {
		in[e.Events[i].Node] = true
		for _, n := range e.Events[i].Nodes {
			in[n] = true
		}
	}
	delete(in, "")
	nodes := make([]string, 0, len(in))
	for n := range in {
		nodes = append(nodes, n)
	}
	slices.Sort(nodes)
	return nodes
}

// begun is when the injection of a fault began, or the time of its event if
// nothing says so.
func begun(e *checkers.Evidence, ev *history.Event) time.Duration {
	at, known := ev.Time, false
	for _, w := range e.Faults {
		if w.Fault == ev.F && slices.Equal(w.Nodes, ev.Nodes) && w.Start <= ev.Time && ev.Time <= w.End && (!known || w.Start > at) {
			at, known = w.Start, true
		}
	}
	return at
}

// certainty is what is known of whether a crash hit an operation.
type certainty uint8

const (
	no certainty = iota
	perhaps
	yes
)

// hit says whether o, of unknown outcome, was open at c at the process that
// crashed: its node. An operation that was invoked while the crash was being
// injected may have come after it.
func (c *crash) hit(o *history.Operation) certainty {
	switch {
	case o.Call > c.index || len(c.nodes) > 0 && o.Node != "" && !slices.Contains(c.nodes, o.Node):
		return no
	case c.scope == unclear || c.scope == some && o.Node == "" || o.Invoked >= c.begun:
		return perhaps
	}
	return yes
}

// bounds are the two ways to read a history in which it is not certain which
// operations a crash hit: in the tight one it hit all that it may have hit, in
// the loose one those that it certainly hit. They are equal in most.
type bounds struct{ tight, loose limits }

func (b *bounds) equal() bool {
	if len(b.tight) != len(b.loose) {
		return false
	}
	for i, at := range b.tight {
		if loose, ok := b.loose[i]; !ok || loose != at {
			return false
		}
	}
	return true
}

// limit returns the limits of operations under a condition: by when one that
// was open at a crash took effect, if at all.
func (m Model) limit(ops []history.Operation, all []crash) bounds {
	b := bounds{limits{}, limits{}}
	for i := range all {
		all[i].before, _ = slices.BinarySearchFunc(ops, all[i].index, byCall)
	}
	next := newSuccessors(ops, m)
	for i := range ops {
		o := &ops[i]
		if o.Outcome != history.Info {
			continue
		}
		tight, loose := never, never
		for k := range all {
			c := &all[k]
			hit := c.hit(o)
			if hit == no {
				continue
			}
			soonest, surely := c.index, c.index
			if m != StrictLinearizable {
				soonest, surely = next.after(o, c)
			}
			tight = min(tight, soonest)
			if hit == yes {
				loose = min(loose, surely)
			}
		}
		if tight != never {
			b.tight[int32(i)] = tight
		}
		if loose != never {
			b.loose[int32(i)] = loose
		}
	}
	return b
}

// successors find the next invocation of a process after a crash.
type successors struct {
	ops  []history.Operation
	keys bool // on the same key
	by   map[[2]string][]int32
}

func newSuccessors(ops []history.Operation, m Model) *successors {
	s := &successors{ops: ops, keys: m == RecoverableLinearizable, by: map[[2]string][]int32{}}
	if m == StrictLinearizable {
		return s
	}
	for i := range ops {
		at := s.place(ops[i].Node, ops[i].Key)
		s.by[at] = append(s.by[at], int32(i))
		if ops[i].Node != everyNode {
			any := s.place(everyNode, ops[i].Key)
			s.by[any] = append(s.by[any], int32(i))
		}
	}
	return s
}

// everyNode stands for all nodes; no node is named so.
const everyNode = "\x00"

func (s *successors) place(node, key string) [2]string {
	if !s.keys {
		key = ""
	}
	return [2]string{node, key}
}

// after returns by when o took effect if c hit it: just before the first
// invocation, after c, that may be one of its process, and before the first
// one that certainly is. Where nodes are unknown, any may be, and none
// certainly is.
func (s *successors) after(o *history.Operation, c *crash) (soonest, surely int64) {
	first := func(node string) int64 {
		list := s.by[s.place(node, o.Key)]
		at, _ := slices.BinarySearch(list, int32(c.before))
		if at == len(list) {
			return never
		}
		return s.ops[list[at]].Call - 1
	}
	if o.Node == "" {
		return first(everyNode), never
	}
	surely = first(o.Node)
	return min(surely, first("")), surely
}
