package models

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/internal/trials"
	"github.com/cleancut/cleancut/harness/history"
)

// randomOps draws a history of n operations by three processes that overlap.
func randomOps(r *rand.Rand, n int, draw func(r *rand.Rand) history.Operation) []history.Operation {
	var ops []history.Operation
	var index int64
	open := [3]int{-1, -1, -1}
	process := [3]int{0, 1, 2}
	for started := 0; started < n || open != [3]int{-1, -1, -1}; index++ {
		p := r.IntN(3)
		if open[p] < 0 {
			if started == n {
				index--
				continue
			}
			o := draw(r)
			o.Process, o.Call, o.Invoked, o.Return = process[p], index, time.Duration(index)*time.Millisecond, -1
			open[p] = len(ops)
			ops = append(ops, o)
			started++
			continue
		}
		o := &ops[open[p]]
		open[p] = -1
		o.Return, o.Completed = index, time.Duration(index)*time.Millisecond
		if o.Outcome == history.Info {
			o.Completed = history.Never
			process[p] += 3
		}
		if o.Outcome != history.OK {
			o.Output = history.Nil
		}
	}
	return ops
}

func outcome(r *rand.Rand) history.Outcome {
	return []history.Outcome{history.OK, history.OK, history.OK, history.OK, history.Fail, history.Info}[r.IntN(6)]
}

func subset(r *rand.Rand, n int) history.Value {
	var vs []history.Value
	for i := range n {
		if r.IntN(4) > 0 {
			vs = append(vs, history.Int(int64(i)))
		}
	}
	return history.Set(vs...)
}

// subject is a checker with random histories for it and its definition.
type subject struct {
	checker checkers.Checker
	draw    func(next *int64) func(r *rand.Rand) history.Operation
	oracle  func(ops []history.Operation) checkers.Validity
	numbers bool // amounts have a meaning: values cannot be renamed
	alone   bool // of lists in a witness, only elements whose appends are in it count
	longest int  // operations in a history, 0 for 8
	count   int  // histories, 0 for 100,000
}

var total = int64(3)

var subjects = map[string]subject{
	"set-full":              {checker: SetFull(false), draw: drawSet, oracle: func(ops []history.Operation) checkers.Validity { return setOracle(ops, false) }},
	"set-full-linearizable": {checker: SetFull(true), draw: drawSet, oracle: func(ops []history.Operation) checkers.Validity { return setOracle(ops, true) }},
	"final-set":             {checker: FinalSet(), draw: drawSet, oracle: finalSetOracle},
	"counter-bounds":        {checker: CounterBounds(0), draw: drawCounter, oracle: counterOracle, numbers: true},
	"final-counter":         {checker: FinalCounter(0), draw: drawCounter, oracle: finalCounterOracle, numbers: true},
	"causal-reverse":        {checker: CausalReverse(), draw: drawReverse, oracle: reverseOracle},
	"long-fork":             {checker: LongFork(), draw: drawFork, oracle: forkOracle, numbers: true},
	"write-skew":            {checker: WriteSkew(), draw: drawSkew, oracle: skewOracle},
	"monotonic":             {checker: Monotonic(), draw: drawMonotonic, oracle: monotonicOracle, longest: 6},
	"staleness-versions":    {checker: Staleness(StalenessOptions{Versions: 1}), draw: drawRegister, oracle: func(ops []history.Operation) checkers.Validity { return stalenessOracle(ops, 1, 0) }},
	"staleness-time":        {checker: Staleness(StalenessOptions{Time: 3 * time.Millisecond}), draw: drawRegister, oracle: func(ops []history.Operation) checkers.Validity { return stalenessOracle(ops, 0, 3*time.Millisecond) }},
	"final-registers":       {checker: FinalRegisters(history.Nil), draw: drawRegister, oracle: finalRegistersOracle},
	"list-versions":         {checker: StaleLists(StalenessOptions{Versions: 1}), draw: drawList, oracle: func(ops []history.Operation) checkers.Validity { return staleListsOracle(ops, 1, 0) }, alone: true},
	"list-time":             {checker: StaleLists(StalenessOptions{Time: 3 * time.Millisecond}), draw: drawList, oracle: func(ops []history.Operation) checkers.Validity { return staleListsOracle(ops, 0, 3*time.Millisecond) }, alone: true},
	"final-lists":           {checker: FinalLists(), draw: drawList, oracle: finalListsOracle, alone: true},
	"total-queue":           {checker: TotalQueue(false), draw: drawQueue, oracle: func(ops []history.Operation) checkers.Validity { return queueOracle(ops, false) }},
	"exactly-once":          {checker: TotalQueue(true), draw: drawQueue, oracle: func(ops []history.Operation) checkers.Validity { return queueOracle(ops, true) }},
	"unordered-queue":       {checker: UnorderedQueue(), draw: drawQueue, oracle: unorderedOracle},
	"unique-ids":            {checker: UniqueIDs(), draw: drawIDs, oracle: idsOracle},
	"bank":                  {checker: Bank(BankOptions{}), draw: drawBank, oracle: func(ops []history.Operation) checkers.Validity { return bankOracle(ops, nil) }, numbers: true},
	"bank-total":            {checker: Bank(BankOptions{Total: &total}), draw: drawBank, oracle: func(ops []history.Operation) checkers.Validity { return bankOracle(ops, &total) }, numbers: true},
	"predicates":            {checker: Predicates(), draw: drawPredicates, oracle: predicatesOracle, numbers: true, longest: 5},
	"kafka":                 {checker: Kafka(), draw: drawKafka, oracle: kafkaOracle},
}

// TestChecksAgreeWithTheirDefinitionsOnRandomHistories compares the fast
// algorithms with what the definitions say word by word: as they are drawn,
// changed in ways that change no verdict, and changed in ways that may.
func TestChecksAgreeWithTheirDefinitionsOnRandomHistories(t *testing.T) {
	for _, name := range sortedKeys(subjects) {
		s := subjects[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.test(t)
		})
	}
}

func (s subject) test(t *testing.T) {
	n, longest := 100_000, 8
	if s.count > 0 {
		n = s.count
	}
	if s.longest > 0 {
		longest = s.longest
	}
	n = trials.Rounds(n)
	r := trials.Rand(3, 4)
	counts := map[checkers.Validity]int{}
	broken := 0
	for i := range n {
		next := int64(0)
		ops := randomOps(r, 2+r.IntN(longest-1), s.draw(&next))
		want := s.agree(t, "as drawn", ops)
		counts[want]++
		if i%8 == 0 {
			s.keep(t, r, ops, want)
		}
		if want == checkers.Valid && s.agree(t, "mutated", mutate(r, ops)) == checkers.Invalid {
			broken++
		}
	}
	t.Logf("%d histories: %v; mutations of %d valid ones made %d invalid", n, counts, counts[checkers.Valid], broken)
	if counts[checkers.Valid] < n/100 || counts[checkers.Invalid] < n/100 || broken < counts[checkers.Valid]/1000 {
		t.Errorf("one-sided: %v, and %d were broken", counts, broken)
	}
}

// agree compares the checker with its definition, also on its own witness.
func (s subject) agree(t *testing.T, what string, ops []history.Operation) checkers.Validity {
	t.Helper()
	got, want := run(s.checker, ops), s.oracle(ops)
	if got.Verdict != want {
		t.Fatalf("%s: we say %s (%s), the definition says %s\n%s", what, got.Verdict, got.Reason, want, show(ops))
	}
	if want != checkers.Invalid {
		return want
	}
	witness := got.Witness.Operations
	if s.alone {
		witness = alone(witness)
	}
	if again := s.oracle(witness); again != checkers.Invalid {
		t.Fatalf("%s: the definition says %s of the witness (%s)\n%s\nof\n%s", what, again, got.Reason, show(got.Witness.Operations), show(ops))
	}
	return want
}

// keep changes a history in ways that change no verdict.
func (s subject) keep(t *testing.T, r *rand.Rand, ops []history.Operation, want checkers.Validity) {
	t.Helper()
	renamed := slices.Clone(ops)
	for i := range renamed {
		o := &renamed[i]
		o.Process, o.Key, o.Node = 100-3*o.Process, o.Key+"x", "n9"
		o.Call, o.Return = 5*o.Call+11, 5*o.Return+11
		o.Invoked += time.Hour
		if o.Completed != history.Never {
			o.Completed += time.Hour
		}
		if !s.numbers {
			o.Input, o.Output = raised(o.Input), raised(o.Output)
		}
	}
	if got := run(s.checker, renamed); got.Verdict != want {
		t.Fatalf("renamed and shifted: %s (%s), before %s\n%s", got.Verdict, got.Reason, want, show(renamed))
	}
	again := twice(r, ops)
	if got := run(s.checker, again); want == checkers.Valid && got.Verdict != checkers.Valid {
		t.Fatalf("with a read that tells what another one told: %s (%s)\n%s", got.Verdict, got.Reason, show(again))
	}
}

// raised is a value with 1,000 added to every integer in it.
func raised(v history.Value) history.Value {
	if n, ok := v.AsInt(); ok {
		return history.Int(n + 1000)
	}
	if pairs, ok := v.AsMap(); ok {
		var all []history.Pair
		for _, p := range pairs {
			all = append(all, history.Pair{Key: raised(p.Key), Value: raised(p.Value)})
		}
		m, _ := history.Map(all...)
		return m
	}
	if list, ok := v.AsList(); ok {
		var all []history.Value
		for _, x := range list {
			all = append(all, raised(x))
		}
		return history.List(all...)
	}
	return v
}

// twice repeats a read at almost the same time by another process.
func twice(r *rand.Rand, ops []history.Operation) []history.Operation {
	var more []history.Operation
	repeated := r.IntN(len(ops))
	for i, o := range ops {
		o.Call, o.Return = 4*o.Call, 4*o.Return
		more = append(more, o)
		if i == repeated && o.F == Read && o.Outcome == history.OK {
			o.Process += 1000
			o.Call, o.Return = o.Call+1, o.Return+1
			more = append(more, o)
		}
	}
	return more
}

// spoiled is an output with something missing or one more.
func spoiled(r *rand.Rand, v history.Value) history.Value {
	if n, ok := v.AsInt(); ok {
		return history.Int(n + 1)
	}
	if pairs, ok := v.AsMap(); ok && len(pairs) > 0 {
		i := r.IntN(len(pairs))
		pairs[i].Value = spoiled(r, pairs[i].Value)
		m, _ := history.Map(pairs...)
		return m
	}
	list, ok := v.AsList()
	if !ok || len(list) == 0 {
		return v
	}
	list = slices.Clone(list)
	i := r.IntN(len(list))
	name, _ := list[0].AsString()
	inner, _ := list[i].AsList()
	micro := false
	if len(inner) > 0 {
		_, micro = inner[0].AsString()
	}
	switch {
	case name == "r":
		list[2] = history.Nil
	case name == "rp" || name == "poll":
		list[len(list)-1] = spoiled(r, list[len(list)-1])
	case name != "":
	case micro:
		list[i] = spoiled(r, list[i])
	default:
		list = slices.Delete(list, i, i+1)
	}
	return history.List(list...)
}

// mutate swaps two outputs, drops an acknowledgement, spoils an output, or
// delivers twice.
func mutate(r *rand.Rand, ops []history.Operation) []history.Operation {
	ops = slices.Clone(ops)
	i, j := r.IntN(len(ops)), r.IntN(len(ops))
	a, b := &ops[i], &ops[j]
	switch r.IntN(4) {
	case 0:
		if a.F != Write && a.F != CAS && a.F != "init" && a.Outcome == history.OK {
			a.Output = spoiled(r, a.Output)
		}
	case 1:
		if a.F == b.F && a.Outcome == history.OK && b.Outcome == history.OK {
			a.Output, b.Output = b.Output, a.Output
		}
	case 2:
		if a.Outcome == history.OK {
			a.Outcome, a.Output, a.Completed = history.Info, history.Nil, history.Never
		}
	default:
		o := *a
		if o.Outcome != history.OK || !slices.Contains([]string{Read, Dequeue, Drain, Generate, Insert, "poll"}, o.F) {
			break
		}
		end := int64(0)
		for _, x := range ops {
			end = max(end, x.Call, x.Return)
		}
		o.Process, o.Call, o.Return = 1000, end+1, end+2
		o.Invoked, o.Completed = time.Duration(end+1)*time.Millisecond, time.Duration(end+2)*time.Millisecond
		ops = append(ops, o)
	}
	return ops
}

func show(ops []history.Operation) (text string) {
	for _, o := range ops {
		text += o.String() + "\n"
	}
	return text
}
