package txn

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/rng"
)

// axioms judges small histories by the axioms of Cerone, Bernardi and Gotsman
// ("A Framework for Transactional Consistency Models with Atomic Visibility",
// CONCUR 2015): some order of commits AR and some visibility VIS within it
// must explain every read (INT and EXT). It tries all orders; the least
// visibility that an axiom demands is the best one, as more of it can only
// contradict reads. It knows nothing of dependencies and cycles.
type axioms struct {
	h       *History
	on      []bool
	rank    []int // in AR
	from    [][]source
	before  [2][][]bool // in the process, in real time
	holding map[Model]bool
}

// source is what a transaction read of a key from others.
type source struct {
	key    int32
	writer int // none for the initial state
}

// demand is what a model demands of VIS.
type demand struct {
	model      Model
	order      order
	transitive bool // TRANSVIS
	prefix     bool // PREFIX
	conflict   bool // NOCONFLICT
	total      bool // TOTALVIS
}

var demands = []demand{
	{ReadAtomic, noOrder, false, false, false, false},
	{StrongSessionReadAtomic, processOrder, false, false, false, false},
	{"update-atomic", noOrder, false, false, true, false},
	{"causal-cerone", noOrder, true, false, false, false},
	{Causal, processOrder, true, false, false, false},
	{"parallel-snapshot-isolation", noOrder, true, false, true, false},
	{"prefix", noOrder, true, true, false, false},
	{SnapshotIsolation, noOrder, true, true, true, false},
	{StrongSessionSnapshotIsolation, processOrder, true, true, true, false},
	{StrongSnapshotIsolation, realtimeOrder, true, true, true, false},
	{Serializable, noOrder, true, true, true, true},
	{RepeatableRead, noOrder, true, true, true, true},
	{StrongSessionSerializable, processOrder, true, true, true, true},
	{StrictSerializable, realtimeOrder, true, true, true, true},
}

// holding returns which of the demands a history meets.
func holding(h *History) map[Model]bool {
	n := len(h.Txns)
	x := &axioms{h: h, on: make([]bool, n), rank: make([]int, n), from: make([][]source, n), holding: map[Model]bool{}}
	for o := range x.before {
		x.before[o] = make([][]bool, n)
		for i := range n {
			x.before[o][i] = make([]bool, n)
			for j := range n {
				a, b := &h.Txns[i], &h.Txns[j]
				x.before[o][i][j] = a.Status == OK && a.Complete < b.Invoke && (o == 1 || a.Process == b.Process)
			}
		}
	}
	for t := range n {
		if h.Txns[t].Status == OK && !x.inner(t) {
			return x.holding
		}
	}
	x.subsets(0)
	return x.holding
}

// inner checks INT and notes what is read from others.
func (x *axioms) inner(t int) bool {
	type known struct {
		list []Value // of a register the last value
		all  bool    // it is all that there is, not just the end
	}
	state := map[int32]known{}
	for _, o := range x.h.Txns[t].Ops {
		k := state[o.Key]
		if o.Kind != Read {
			if x.h.Workload == RWRegister {
				k = known{all: true}
			}
			state[o.Key] = known{append(slices.Clone(k.list), o.Value), k.all}
			continue
		}
		list := o.List
		if x.h.Workload == RWRegister {
			list = []Value{o.Value}
			if o.Value == Nil {
				list = nil
			}
		}
		rest := len(list) - len(k.list)
		if rest < 0 || !slices.Equal(list[rest:], k.list) || k.all && rest > 0 {
			return false
		}
		// A version of a list is read from who appended its last element.
		if !k.all && len(k.list) == 0 {
			s, ok := x.source(t, o.Key, list[:rest])
			if !ok {
				return false
			}
			x.from[t] = append(x.from[t], s)
		}
		state[o.Key] = known{slices.Clone(list), true}
	}
	return true
}

// source returns who wrote the last of what t read from others.
func (x *axioms) source(t int, key int32, list []Value) (source, bool) {
	if len(list) == 0 {
		return source{key: key, writer: none}, true
	}
	for u := range x.h.Txns {
		last := Nil
		for _, o := range x.h.Txns[u].Ops {
			if o.Key == key && o.Kind != Read {
				last = o.Value
			}
		}
		if last == list[len(list)-1] && u != t && x.h.Txns[u].Status != Fail {
			return source{key: key, writer: u}, true
		}
	}
	return source{}, false
}

func (x *axioms) subsets(i int) {
	if i == len(x.on) {
		for t := range x.on {
			for _, s := range x.from[t] {
				if x.on[t] && s.writer != none && !x.on[s.writer] {
					return
				}
			}
		}
		x.orders(nil)
		return
	}
	status := x.h.Txns[i].Status
	if x.on[i] = status != Fail; x.on[i] {
		x.subsets(i + 1)
	}
	if x.on[i] = false; status != OK {
		x.subsets(i + 1)
	}
}

func (x *axioms) orders(ar []int) {
	all := true
	for t := range x.on {
		if x.on[t] && !slices.Contains(ar, t) {
			all = false
			x.orders(append(ar[:len(ar):len(ar)], t))
		}
	}
	if !all || !x.versions(ar) {
		return
	}
	for i, t := range ar {
		x.rank[t] = i
	}
	for _, d := range demands {
		if !x.holding[d.model] && x.meets(ar, d) {
			x.holding[d.model] = true
		}
	}
}

// versions reports whether all lists that were read are beginnings of what AR
// makes of them.
func (x *axioms) versions(ar []int) bool {
	if x.h.Workload == RWRegister {
		return true
	}
	full := map[int32][]Value{}
	for _, t := range ar {
		for _, o := range x.h.Txns[t].Ops {
			if o.Kind == Append {
				full[o.Key] = append(full[o.Key], o.Value)
			}
		}
	}
	for _, t := range ar {
		for _, o := range x.h.Txns[t].Ops {
			if f := full[o.Key]; x.h.Txns[t].Status == OK && o.Kind == Read && (len(o.List) > len(f) || !slices.Equal(o.List, f[:len(o.List)])) {
				return false
			}
		}
	}
	return true
}

func (x *axioms) writes(t int, key int32) bool {
	return slices.ContainsFunc(x.h.Txns[t].Ops, func(o Op) bool { return o.Key == key && o.Kind != Read })
}

// meets reports whether AR meets a demand with the least VIS.
func (x *axioms) meets(ar []int, d demand) bool {
	vis := make([]uint, len(x.on)) // of each: what it sees
	for i, t := range ar {
		for _, s := range x.from[t] {
			if s.writer != none {
				vis[t] |= 1 << s.writer
			}
		}
		for u := range x.on {
			if x.on[u] && d.order != noOrder && x.before[d.order-1][u][t] {
				vis[t] |= 1 << u
			}
		}
		for _, u := range ar[:i] {
			shared := slices.ContainsFunc(x.h.Txns[u].Ops, func(o Op) bool { return o.Kind != Read && x.writes(t, o.Key) })
			if d.total || d.conflict && shared {
				vis[t] |= 1 << u
			}
		}
		top := -1
		for u := range x.on {
			if vis[t]>>u&1 == 1 {
				if !slices.Contains(ar[:i], u) {
					return false
				}
				top = max(top, x.rank[u])
				if d.transitive {
					vis[t] |= vis[u]
				}
			}
		}
		if d.prefix {
			for _, u := range ar[:top+1] {
				vis[t] |= 1 << u
			}
		}
		for _, s := range x.from[t] {
			last := none
			for _, u := range ar[:i] {
				if vis[t]>>u&1 == 1 && x.writes(u, s.key) {
					last = u
				}
			}
			if last != s.writer {
				return false
			}
		}
	}
	return true
}

// drawnHistory draws what is read from all that might have been, so that it
// has shapes that no store makes.
func drawnHistory(r *rand.Rand, w Workload, most int) *History {
	h := &History{Workload: w}
	intervals(r, h, 2+r.IntN(most-1))
	keys, value := int32(1+r.IntN(3)), Value(0)
	orders := make([][]Value, keys)
	longest := 1 + r.IntN(4)
	for i := range h.Txns {
		for range 1 + r.IntN(longest) {
			o := Op{Kind: Read, Key: r.Int32N(keys), Value: Nil}
			if r.IntN(2) == 0 {
				value++
				o.Kind, o.Value = Append, value
				if w == RWRegister {
					o.Kind = Write
				}
				if h.Txns[i].Status != Fail {
					orders[o.Key] = append(orders[o.Key], value)
				}
			}
			h.Txns[i].Ops = append(h.Txns[i].Ops, o)
		}
	}
	mixed := r.IntN(2) == 0
	for _, list := range orders {
		if mixed {
			r.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
		}
	}
	for i := range h.Txns {
		if h.Txns[i].Status != OK {
			continue
		}
		known := map[int32][]Value{}
		for j := range h.Txns[i].Ops {
			o := &h.Txns[i].Ops[j]
			list, met := known[o.Key]
			if !met || r.IntN(16) == 0 {
				list = orders[o.Key][:r.IntN(len(orders[o.Key])+1)]
			}
			switch {
			case o.Kind != Read:
				list = append(slices.Clone(list), o.Value)
			case w == ListAppend:
				o.List = list
			case len(list) > 0:
				o.Value = list[len(list)-1]
			}
			if o.Kind == Read || met {
				known[o.Key] = list
			}
		}
	}
	return h
}

func TestLevelsAreThoseThatTheAxiomsOfVisibilityAllow(t *testing.T) {
	var asked []Model
	for _, d := range demands {
		if _, ok := rules[d.model]; ok {
			asked = append(asked, d.model)
		}
	}
	for _, w := range []Workload{ListAppend, RWRegister} {
		t.Run(w.String(), func(t *testing.T) {
			r := rng.Stream(6+trials.Seed(), t.Name())
			count := map[bool]int{}
			for i := range trials.Rounds(20_000) {
				h := drawnHistory(r, w, 6)
				if i%2 == 0 {
					h = randomHistory(r, w, 6)
				}
				a := Analyze(context.Background(), h, Options{Workload: w, Models: asked})
				if a.Verdict == checkers.Unknown && a.Count[EmptyGraph] == 0 {
					t.Fatalf("unknown: %s%s", a.Reason, h.text())
				}
				holds := holding(h)
				for _, d := range demands {
					_, exact := rules[d.model]
					listed := slices.Contains(a.Not, d.model) || slices.Contains(a.AlsoNot, d.model)
					count[holds[d.model]]++
					if listed && holds[d.model] || exact && !listed && !holds[d.model] {
						t.Fatalf("%s: holds by the axioms %t, listed as refuted %t (%v, %v)%s", d.model, holds[d.model], listed, a.Not, a.Count, h.text())
					}
				}
			}
			t.Logf("%d levels hold, %d do not", count[true], count[false])
		})
	}
}
