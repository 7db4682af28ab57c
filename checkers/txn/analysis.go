package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// Options say what is sought, what may be assumed, and what it may cost.
type Options struct {
	// Workload says whether keys are lists or registers.
	Workload Workload
	// Models must hold. Checker adds its own.
	Models []Model
	// Anomalies must not be seen, whatever the models allow; "G1" and "G2"
	// stand for groups. Cycles with rw edges are sought in all orders of
	// versions that the history leaves open.
	Anomalies []Anomaly
	// Initial is what registers hold at first; nil means Nil.
	Initial *Value
	// Unwritten says what it means that a register was read with a value
	// that nobody wrote.
	Unwritten Unwritten
	// WFRKeys promises that in each transaction the write of a register
	// follows its read in the order of versions, whatever the model.
	WFRKeys bool
	// SequentialKeys promises that each register by itself is sequentially
	// consistent: versions are ordered as each process met them.
	SequentialKeys bool
	// LinearizableKeys promises that each register by itself is
	// linearizable: versions are ordered as they were met in real time.
	LinearizableKeys bool
	// TransactionOrder tells of a database that reveals it where each
	// transaction was committed, by the transaction's ID: its writes come in
	// that order.
	TransactionOrder map[int64]int64
	// Unproven makes valid of a register history of which nothing was shown,
	// neither a violation nor that there is none. Elle does so.
	Unproven bool
	// Steps bounds the search for short cycles and, apart from it, each search
	// for an order of versions that the history leaves open; 0 means
	// DefaultSteps. A step is an edge followed. Past the steps the verdict of
	// the latter is unknown; of the former only the cycles shown differ.
	Steps int
	// Memory bounds, in bytes, what the check allocates beyond the history;
	// 0 means DefaultMemory; for Checker that includes the conversion of the
	// operations. All that is allocated counts, whether still in use or not,
	// by estimates that are made before it is. A check that needs more is
	// unknown.
	Memory int64
}

// Unwritten is a way to take a read of a value that nobody wrote.
type Unwritten uint8

// The ways to take it.
const (
	// UnwrittenIsGarbage reports it as GarbageRead, which no model allows.
	UnwrittenIsGarbage Unwritten = iota
	// UnwrittenIsIgnored concludes nothing from it, as Elle does: the value
	// may have been there at first.
	UnwrittenIsIgnored
)

// The bounds unless told otherwise.
const (
	DefaultSteps  = 20_000_000
	DefaultMemory = 8 << 30
)

// Analysis is what is known about a history.
type Analysis struct {
	Verdict checkers.Validity
	// Reason says in one sentence why the verdict is what it is.
	Reason string
	// Algorithm names what decided.
	Algorithm string
	// Findings are the anomalies that the models or options forbid, the
	// weakest first, at most a few of a kind; Others those that are allowed.
	Findings, Others []Finding
	// Types are the anomalies reported: those that are forbidden, and
	// EmptyGraph.
	Types []Anomaly
	// Not are the weakest models that the history refutes, AlsoNot all
	// stronger ones.
	Not, AlsoNot []Model
	// Counts of transactions, of edges between them, and of anomalies.
	Txns, Edges int
	Count       map[Anomaly]int
	// Refuted are the models that are refuted by cycles.
	refuted map[Model]bool
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	for _, m := range o.Models {
		if _, ok := rules[m]; !ok {
			return fmt.Errorf("transactions cannot be judged by the model %q; expected one of %s", m, join(Models()))
		}
	}
	for _, a := range o.Anomalies {
		if !knownAnomaly(a) {
			return fmt.Errorf("there is no anomaly %q; expected G0, G1a, G1b, G1c, G1, G-single-item, G-single, G-nonadjacent-item, G-nonadjacent, G2-item, G2 (each also with -process or -realtime), %s", a, join(plainAnomalies))
		}
	}
	weak := slices.ContainsFunc(o.Models, func(m Model) bool { return rules[m].level >= levelMAV })
	if slices.Contains(o.Anomalies, FracturedRead) && !weak {
		return fmt.Errorf("%s is sought at the weak levels only; name one as a model: %s", FracturedRead, join([]Model{MonotonicAtomicView, ReadAtomic, Causal}))
	}
	if len(o.Models) == 0 && len(o.Anomalies) == 0 {
		return errors.New("neither a model nor an anomaly is given: nothing to judge")
	}
	if o.Steps < 0 || o.Memory < 0 {
		return fmt.Errorf("the bounds of %d steps and %d bytes must not be negative", o.Steps, o.Memory)
	}
	lists := o.Initial != nil || o.WFRKeys || o.SequentialKeys || o.LinearizableKeys || len(o.TransactionOrder) > 0
	if o.Workload == ListAppend && lists {
		return errors.New("initial values and promises about keys are for the workload rw-register only")
	}
	return nil
}

var plainAnomalies = []Anomaly{DuplicateElements, GarbageRead, CyclicVersions, DirtyUpdate, IncompatibleOrder, FutureRead, Internal, LostUpdate, FracturedRead}

// unsought are anomalies that Elle relates to others, but which nothing here
// finds as such: a history without them would prove nothing.
var unsought = []Anomaly{"write-skew", "G-SIa", "G-SIb"}

func knownAnomaly(a Anomaly) bool {
	_, ok := implied[a]
	return ok && !slices.Contains(unsought, a) || slices.Contains(plainAnomalies, a) || a == "G1-realtime" || a == "G2-realtime"
}

// run is one analysis under way.
type run struct {
	h      *History
	o      Options
	size   size
	found  *findings
	a      *Analysis
	memory *memory
	// components are those of the whole graph that have cycles, missed the
	// kinds of which none was found before the steps were used up.
	components [][]int32
	missed     []Anomaly
}

// Analyze judges a history. It is a function of its arguments alone, but for
// ctx: when that ends, it soon returns unknown.
func Analyze(ctx context.Context, h *History, o Options) *Analysis {
	return analyze(ctx, h, o, newMemory(o.memory()))
}

// memory returns the bound in bytes.
func (o Options) memory() int64 {
	if o.Memory == 0 {
		return DefaultMemory
	}
	return o.Memory
}

func analyze(ctx context.Context, h *History, o Options, m *memory) *Analysis {
	a := &Analysis{Verdict: checkers.Unknown, Txns: len(h.Txns), refuted: map[Model]bool{}}
	if err := o.Validate(); err != nil {
		a.Reason = err.Error()
		return a
	}
	if o.Steps == 0 {
		o.Steps = DefaultSteps
	}
	r := &run{h: h, o: o, found: newFindings(), a: a, memory: m}
	var err error
	r.size, err = h.measure()
	if err == nil && len(h.Txns) == 0 {
		err = errors.New("the history has no transactions")
	}
	if err == nil {
		if h.Workload == ListAppend {
			err = r.lists(ctx)
		} else {
			err = r.registers(ctx)
		}
	}
	if err != nil {
		a.Verdict, a.Reason = checkers.Unknown, err.Error()
	}
	return a
}

// wanted returns the strongest order that the models or anomalies ask for.
func (r *run) wanted() order {
	var most order
	for _, m := range r.o.Models {
		most = max(most, rules[m].order)
	}
	return max(most, r.o.orderAsked())
}

// ordersAsked returns the orders that the models or anomalies name.
func (r *run) ordersAsked() map[order]bool {
	asked := map[order]bool{}
	for _, m := range r.o.Models {
		asked[rules[m].order] = true
	}
	for _, a := range r.o.Anomalies {
		if strings.HasSuffix(string(a), processSuffix) {
			asked[processOrder] = true
		}
	}
	return asked
}

// orderAsked returns the strongest order that the anomalies name.
func (o Options) orderAsked() order {
	var most order
	for _, a := range o.Anomalies {
		switch {
		case strings.HasSuffix(string(a), string(realtimeSuffix)):
			return realtimeOrder
		case strings.HasSuffix(string(a), string(processSuffix)):
			most = processOrder
		}
	}
	return most
}

// searched returns the models that depend on an order of versions which the
// history may leave open: those asked for, and that without which the cycles
// cannot be that are asked for by name.
func (r *run) searched() []Model {
	list := slices.Clone(r.o.Models)
	most := noLevel
	for _, a := range r.o.Anomalies {
		above := anomalies.above(anomalies.of(a))
		switch {
		case anomalies.has(above, G2Item) || anomalies.has(above, G2Item+processSuffix) || anomalies.has(above, G2Item+realtimeSuffix):
			most = levelPL3
		case anomalies.has(above, GSingleItem) || anomalies.has(above, GSingleItem+processSuffix) || anomalies.has(above, GSingleItem+realtimeSuffix):
			most = max(most, levelSI)
		}
	}
	if most != noLevel {
		list = append(list, modelOf(most, r.o.orderAsked()))
	}
	return slices.DeleteFunc(list, func(m Model) bool { return rules[m].level != levelSI && rules[m].level != levelPL3 })
}

// unnamed says that a model is refuted, but by nothing that was asked for by
// name; "" where that is no doubt.
func (r *run) unnamed(m Model) string {
	if slices.Contains(r.o.Models, m) || anomalies.of(r.found.types()...)&r.ruledOut() != 0 {
		return ""
	}
	return fmt.Sprintf("the history is not %s, but whether it shows one of the anomalies asked for depends on an order of versions that it leaves open; ask for a model", m)
}

func (r *run) lists(ctx context.Context) error {
	l, err := newLists(r.h, r.size, r.found, r.memory)
	if err != nil {
		return err
	}
	if err := l.checkReads(ctx); err != nil {
		return err
	}
	r.a.Algorithm = "list-append graph"
	if err := r.dependencies(ctx, l.edges, l.committed, l); err != nil {
		return r.conclude(ctx, l, "", err)
	}
	err = r.weak(ctx, l, l.committed, func(b *graph.Builder) { l.versionEdges(b, l.tails()) })
	return r.conclude(ctx, l, r.settle(ctx, l), err)
}

// dependencies makes the graph of what depends on what, and seeks cycles.
func (r *run) dependencies(ctx context.Context, edges func(*graph.Builder), committed []bool, why explainer) error {
	b, err := r.builder()
	if err != nil {
		return err
	}
	edges(b)
	return r.graph(ctx, b, committed, why)
}

// graph adds the order to the data dependencies, and seeks cycles.
func (r *run) graph(ctx context.Context, b *graph.Builder, committed []bool, why explainer) error {
	data := b.Len()
	ordered := addOrder(b, r.h, committed, r.wanted())
	r.a.Edges = b.Len()
	if data == 0 && !ordered {
		r.found.count[EmptyGraph] = 1
	}
	g := b.Build()
	if err := ctx.Err(); err != nil {
		return err
	}
	r.components = g.Components(graph.All)
	if len(r.components) == 0 {
		return nil
	}
	nodes := int64(0)
	for _, c := range r.components {
		nodes += int64(len(c))
	}
	if err := r.memory.take(cycleBytes(int64(g.Nodes()), nodes, int64(g.Edges())), "the search for cycles through %d transactions", nodes); err != nil {
		return err
	}
	c := &cycles{h: r.h, order: r.wanted(), why: why, budget: r.budget(ctx), found: r.found, all: r.o.orderAsked() != noOrder}
	c.sub, c.orig = g.Induce(r.components)
	c.processes = r.ordersAsked()[processOrder]
	if c.order == realtimeOrder {
		c.sub = c.sub.With(processSteps(r.h, committed, c.orig))
	}
	c.search(ctx)
	r.spent(c.budget)
	r.a.refuted, r.missed = c.refuted, c.missed
	return ctx.Err()
}

// builder returns a builder with room for the graph of dependencies.
func (r *run) builder() (*graph.Builder, error) {
	if err := r.memory.take(r.size.graphBytes(), "the graph of %d transactions of %d micro-operations", r.size.txns, r.size.ops); err != nil {
		return nil, err
	}
	return graph.NewBuilder(r.size.txns, r.size.edgesMost()), nil
}

// conclude makes the verdict. Doubt, if not empty, says why nothing is proven
// although nothing was found; failed, if not nil, why not all was looked at.
// What was found counts all the same, unless the context has ended.
func (r *run) conclude(ctx context.Context, w writers, doubt string, failed error) error {
	if (doubt != "" || failed != nil) && ctx.Err() != nil {
		return ctx.Err()
	}
	a := r.a
	r.found.sort()
	out := r.ruledOut()
	a.Count = r.found.count
	var all []Anomaly
	for _, t := range r.found.types() {
		all = append(all, t)
		if anomalies.has(out, t) || t == EmptyGraph {
			a.Types = append(a.Types, t)
		}
	}
	slices.Sort(a.Types)
	for _, f := range r.found.list {
		// The first is what the verdict rests on; of the others those are left
		// out that do not fit.
		if err := r.memory.take(witnessBytes(r.h, f.parts), "the witness of %s", f.Anomaly); err != nil && len(a.Findings) > 0 {
			continue
		}
		f.Witness = witness(r.h, w, f.parts)
		if anomalies.has(out, f.Anomaly) {
			a.Findings = append(a.Findings, f)
		} else {
			a.Others = append(a.Others, f)
		}
	}
	a.Not, a.AlsoNot = weakest(r.refuted(all))
	switch {
	case len(a.Findings) > 0:
		a.Verdict, a.Reason = checkers.Invalid, r.invalid()
	case failed != nil:
		a.Reason = failed.Error()
	case anomalies.above(anomalies.of(r.o.Anomalies...))&anomalies.of(r.missed...) != 0:
		a.Reason = fmt.Sprintf("the steps are used up, and whether there is a cycle that is %s was not decided; allow more", join(r.missed))
	case a.Count[EmptyGraph] > 0:
		a.Reason = "no transaction depends on another, so the history proves nothing (empty-transaction-graph)"
	case doubt != "" && !r.o.Unproven:
		a.Reason = doubt
	default:
		a.Verdict, a.Reason = checkers.Valid, fmt.Sprintf("%d transactions and %d dependencies show none of the anomalies that are ruled out", a.Txns, a.Edges)
		if doubt != "" {
			a.Reason += "; this is no proof: " + doubt
		}
	}
	return nil
}

// ruledOut returns what the models and anomalies asked for forbid of what was
// found.
func (r *run) ruledOut() set {
	out := ruledOut(r.o.Models, r.o.Anomalies)
	for _, m := range r.o.Models {
		// Elle's table leaves it out at repeatable read, where cycles show all
		// of it but a transaction that misses its own writes.
		if rules[m].level == levelPL3 {
			out |= anomalies.of(Internal)
			if r.found.count[Internal] > 0 {
				r.a.refuted[RepeatableRead] = true
			}
		}
	}
	if r.fracturedForbidden() {
		out |= anomalies.of(FracturedRead)
	}
	return out
}

// refuted returns the models that cannot hold: by the anomalies that were
// seen, and by the mere existence of cycles.
func (r *run) refuted(seen []Anomaly) set {
	refuted := refutedBy(seen)
	for m := range r.a.refuted {
		refuted |= strength.above(strength.of(m))
	}
	return refuted
}

// fracturedForbidden reports whether a weak level that was found violated is
// asked for.
func (r *run) fracturedForbidden() bool {
	for _, m := range r.o.Models {
		for w := range r.a.refuted {
			if m.implies(w) && rules[w].level >= levelMAV {
				return true
			}
		}
	}
	return false
}

func (r *run) invalid() string {
	var parts []string
	for _, t := range r.a.Types {
		if t != EmptyGraph {
			parts = append(parts, fmt.Sprintf("%s (%d)", t, r.a.Count[t]))
		}
	}
	return fmt.Sprintf("%s; found %s; refuted are %s and all that is stronger", r.a.Findings[0].Summary, join(parts), join(r.a.Not))
}
