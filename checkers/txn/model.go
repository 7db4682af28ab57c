package txn

import (
	"fmt"
	"slices"
	"strings"
)

// Model is the name of a consistency model.
type Model string

// The models that can be judged.
const (
	ReadUncommitted                Model = "read-uncommitted" // Adya's PL-1
	ReadCommitted                  Model = "read-committed"   // Adya's PL-2
	MonotonicAtomicView            Model = "monotonic-atomic-view"
	ReadAtomic                     Model = "read-atomic"
	Causal                         Model = "causal"          // transactional causal consistency
	RepeatableRead                 Model = "repeatable-read" // Adya's PL-2.99, which equals serializable where there are no predicates
	SnapshotIsolation              Model = "snapshot-isolation"
	Serializable                   Model = "serializable"
	StrongSessionReadUncommitted   Model = "strong-session-read-uncommitted"
	StrongSessionReadCommitted     Model = "strong-session-read-committed"
	StrongSessionMonotonicView     Model = "strong-session-monotonic-atomic-view"
	StrongSessionReadAtomic        Model = "strong-session-read-atomic"
	StrongSessionSnapshotIsolation Model = "strong-session-snapshot-isolation"
	StrongSessionSerializable      Model = "strong-session-serializable"
	StrongReadUncommitted          Model = "strong-read-uncommitted"
	StrongReadCommitted            Model = "strong-read-committed"
	StrongSnapshotIsolation        Model = "strong-snapshot-isolation"
	StrictSerializable             Model = "strict-serializable"
)

// aliases are other names of models.
var aliases = map[Model]Model{
	"strong-serializable":   StrictSerializable,
	"PL-SS":                 StrictSerializable,
	"conflict-serializable": Serializable,
	"PL-3":                  Serializable,
	"PL-SI":                 SnapshotIsolation,
	"PL-2.99":               RepeatableRead,
	"PL-2":                  ReadCommitted,
	"PL-1":                  ReadUncommitted,
	"causal-consistency":    Causal,
	"strong-session-PL-1":   StrongSessionReadUncommitted,
	"strong-session-PL-2":   StrongSessionReadCommitted,
	"strong-PL-1":           StrongReadUncommitted,
	"strong-PL-2":           StrongReadCommitted,
}

// weaker lists for each model those that it implies at once (after Elle's
// graph, which rests on Adya, Bailis, Cerone, and Daudjee; and, for the models
// of sessions, Biswas and Enea, OOPSLA 2019).
var weaker = map[Model][]Model{
	ReadCommitted:                  {ReadUncommitted},
	"cursor-stability":             {ReadCommitted},
	"monotonic-view":               {ReadCommitted},
	"monotonic-snapshot-read":      {ReadCommitted},
	"consistent-view":              {"cursor-stability", "monotonic-view"},
	"forward-consistent-view":      {"consistent-view"},
	"update-serializable":          {"forward-consistent-view"},
	MonotonicAtomicView:            {ReadCommitted},
	ReadAtomic:                     {MonotonicAtomicView},
	"update-atomic":                {ReadAtomic},
	"causal-cerone":                {ReadAtomic},
	"prefix":                       {"causal-cerone"},
	"parallel-snapshot-isolation":  {"causal-cerone", "update-atomic"},
	RepeatableRead:                 {"cursor-stability", MonotonicAtomicView},
	SnapshotIsolation:              {"forward-consistent-view", MonotonicAtomicView, "monotonic-snapshot-read", "parallel-snapshot-isolation", "prefix"},
	Serializable:                   {RepeatableRead, SnapshotIsolation, "update-serializable", "view-serializable"},
	StrongSessionReadUncommitted:   {ReadUncommitted},
	StrongSessionReadCommitted:     {ReadCommitted, StrongSessionReadUncommitted},
	StrongSessionMonotonicView:     {MonotonicAtomicView, StrongSessionReadCommitted},
	StrongSessionReadAtomic:        {ReadAtomic, StrongSessionMonotonicView},
	Causal:                         {StrongSessionReadAtomic},
	StrongSessionSnapshotIsolation: {SnapshotIsolation, StrongSessionReadCommitted, Causal},
	StrongSessionSerializable:      {Serializable, StrongSessionSnapshotIsolation},
	StrongReadUncommitted:          {StrongSessionReadUncommitted},
	StrongReadCommitted:            {StrongSessionReadCommitted, StrongReadUncommitted},
	StrongSnapshotIsolation:        {StrongSessionSnapshotIsolation, StrongReadCommitted},
	StrictSerializable:             {StrongSessionSerializable, StrongSnapshotIsolation},
}

// strength relates each model to those that it implies.
var strength = newRelation(weaker)

// forbids lists the anomalies that each model rules out beyond those that
// weaker models do.
var forbids = map[Model][]Anomaly{
	ReadUncommitted:                {G0, DuplicateElements, CyclicVersions, GarbageRead},
	ReadCommitted:                  {"G1"},
	"cursor-stability":             {"G-cursor", LostUpdate},
	"monotonic-view":               {"G-monotonic"},
	"monotonic-snapshot-read":      {"G-MSR"},
	"consistent-view":              {"G-single"},
	"forward-consistent-view":      {"G-SIb"},
	"update-serializable":          {"G-update"},
	ReadAtomic:                     {Internal, G1a, FutureRead},
	"update-atomic":                {LostUpdate},
	RepeatableRead:                 {G2Item, LostUpdate},
	SnapshotIsolation:              {Internal, "G-SI", "G-nonadjacent"},
	Serializable:                   {"G2", Internal},
	StrongSessionReadUncommitted:   {G0 + processSuffix},
	StrongSessionReadCommitted:     {G1c + processSuffix},
	StrongSessionSnapshotIsolation: {"G1-process", "G-nonadjacent-process"},
	StrongSessionSerializable:      {"G1-process", "G2-process"},
	StrongReadUncommitted:          {G0 + realtimeSuffix},
	StrongReadCommitted:            {G1c + realtimeSuffix},
	StrongSnapshotIsolation:        {"G1-realtime", "G-nonadjacent-realtime"},
	StrictSerializable:             {"G1c-realtime", "G2-realtime"},
}

// forbidden holds for each node of strength what it rules out, and what weaker
// models do.
var forbidden = func() []set {
	own := make([]set, len(strength.nodes))
	for m, list := range forbids {
		own[strength.at[m]] = anomalies.of(list...)
	}
	all := make([]set, len(own))
	for i := range all {
		all[i] = union(strength.down[i], own)
	}
	return all
}()

// order says which order of transactions a model keeps.
type order uint8

const (
	noOrder order = iota
	processOrder
	realtimeOrder
)

// level says which edges must not make a cycle.
type level uint8

const (
	noLevel  level = iota
	levelPL1       // ww
	levelPL2       // ww, wr
	levelSI        // ww, wr, rw, but two rw in a row are allowed
	levelPL3       // ww, wr, rw
	levelMAV       // the weak levels, see weak.go
	levelRA
	levelCausal
)

// rule is how a model is decided.
type rule struct {
	level level
	order order
}

var rules = map[Model]rule{
	ReadUncommitted:                {levelPL1, noOrder},
	ReadCommitted:                  {levelPL2, noOrder},
	SnapshotIsolation:              {levelSI, noOrder},
	RepeatableRead:                 {levelPL3, noOrder},
	Serializable:                   {levelPL3, noOrder},
	StrongSessionReadUncommitted:   {levelPL1, processOrder},
	StrongSessionReadCommitted:     {levelPL2, processOrder},
	StrongSessionSnapshotIsolation: {levelSI, processOrder},
	StrongSessionSerializable:      {levelPL3, processOrder},
	StrongReadUncommitted:          {levelPL1, realtimeOrder},
	StrongReadCommitted:            {levelPL2, realtimeOrder},
	StrongSnapshotIsolation:        {levelSI, realtimeOrder},
	StrictSerializable:             {levelPL3, realtimeOrder},
	MonotonicAtomicView:            {levelMAV, noOrder},
	ReadAtomic:                     {levelRA, noOrder},
	StrongSessionMonotonicView:     {levelMAV, processOrder},
	StrongSessionReadAtomic:        {levelRA, processOrder},
	Causal:                         {levelCausal, processOrder},
}

// Implies reports whether what keeps to m keeps to w.
func (m Model) Implies(w Model) bool {
	return strength.has(strength.below(strength.of(m)), w)
}

// Models returns the names of all models that can be judged, in alphabetical
// order.
func Models() []Model {
	var list []Model
	for m := range rules {
		list = append(list, m)
	}
	slices.Sort(list)
	return list
}

// ParseModel returns the model of that name or alias. The error lists all
// names.
func ParseModel(name string) (Model, error) {
	m := Model(name)
	if a, ok := aliases[m]; ok {
		m = a
	}
	if _, ok := rules[m]; !ok {
		return "", fmt.Errorf("transactions cannot be judged by the model %q; expected one of %s", name, join(Models()))
	}
	return m, nil
}

// unjudged are Adya's names of models that are related to others, and listed
// where they are refuted, but cannot be judged.
var unjudged = []string{"PL-CS", "PL-2L", "PL-2+", "PL-FCV", "PL-MSR", "PL-3U"}

// Known reports whether there is a model of that name or alias, whether it can
// be judged or not.
func Known(name string) bool {
	_, alias := aliases[Model(name)]
	_, node := strength.at[Model(name)]
	return alias || node || slices.Contains(unjudged, name)
}

// Implied returns the models that hold if m does, m included, in
// alphabetical order.
func (m Model) Implied() []Model { return strength.list(strength.below(strength.of(m))) }

// implies reports whether w holds if m does.
func (m Model) implies(w Model) bool { return strength.has(strength.below(strength.of(m)), w) }

// Forbidden returns the anomalies that must not be seen where all of the
// models hold and that are none of the extra ones, which may stand for
// groups: "G1" and "G2".
func Forbidden(models []Model, extra []Anomaly) map[Anomaly]bool {
	all := map[Anomaly]bool{}
	for _, a := range slices.Concat(extra, anomalies.list(ruledOut(models, extra))) {
		all[a] = true
	}
	return all
}

// ruledOut is Forbidden as a set of the relation of anomalies.
func ruledOut(models []Model, extra []Anomaly) set {
	return anomalies.above(anomalies.of(extra...) | union(strength.of(models...), forbidden))
}

// Boundary returns the weakest models that cannot hold where the anomalies
// are seen, and all stronger ones, which cannot hold either; both in
// alphabetical order.
func Boundary(seen []Anomaly) (not, alsoNot []Model) { return weakest(refutedBy(seen)) }

// refutedBy returns the models that cannot hold where the anomalies are seen.
func refutedBy(seen []Anomaly) (refuted set) {
	shown := anomalies.below(anomalies.of(seen...))
	for i, out := range forbidden {
		if out&shown != 0 {
			refuted |= 1 << i
		}
	}
	return refuted
}

// weakest splits the models and all that imply one of them into those that
// imply no other and the rest.
func weakest(refuted set) (not, alsoNot []Model) {
	if refuted == 0 {
		return nil, nil
	}
	all, least := strength.above(refuted), set(0)
	for i, implied := range strength.down {
		if implied&all == 1<<i {
			least |= 1 << i
		}
	}
	return strength.list(least), strength.list(all &^ least)
}

func sorted[T ~string](set map[T]bool) []T {
	list := make([]T, 0, len(set))
	for x := range set {
		list = append(list, x)
	}
	slices.Sort(list)
	return list
}

func join[T ~string](list []T) string {
	parts := make([]string, len(list))
	for i, x := range list {
		parts[i] = string(x)
	}
	return strings.Join(parts, ", ")
}
