package search

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// tiny is an object drawn at random: a table of states and transitions. Pure
// and Class are derived from the table, so that their meaning is tested, too.
type tiny struct {
	table [][]int32 // operation kind → state → next state, -1 if illegal
	kind  []int32   // operation → kind
}

func (m *tiny) Step(state, op int32) (int32, bool) {
	next := m.table[m.kind[op]][state]
	return next, next >= 0
}

func randomProblem(r *rand.Rand, most int) *Problem {
	states, kinds := 1+r.IntN(4), 1+r.IntN(5)
	m := &tiny{table: make([][]int32, kinds)}
	pure := make([]bool, kinds)
	for k := range m.table {
		m.table[k] = make([]int32, states)
		pure[k] = r.IntN(3) == 0
		for s := range m.table[k] {
			next := int32(r.IntN(states))
			switch {
			case r.IntN(2) == 0:
				next = -1
			case pure[k]:
				next = int32(s)
			}
			m.table[k][s] = next
		}
	}
	n := 1 + r.IntN(most)
	p := &Problem{Model: m, Initial: int32(r.IntN(states))}
	at := int64(0)
	spread := 1 + r.IntN(6)
	for range n {
		at += int64(r.IntN(4))
		k := int32(r.IntN(kinds))
		o := Op{Call: at, Return: at + int64(r.IntN(3*spread)), Pure: pure[k]}
		if r.IntN(2) == 0 || !pure[k] {
			o.Class = k + 1
		}
		switch {
		case o.Pure:
		case r.IntN(6) == 0:
			o.Maybe, o.Return = true, Never
		case r.IntN(12) == 0:
			o.Return = Never
		case r.IntN(12) == 0:
			o.Maybe = true
		}
		p.Ops = append(p.Ops, o)
		m.kind = append(m.kind, k)
	}
	return p
}

// bruteForce tries every order of every choice.
func bruteForce(p *Problem) bool {
	placed := make([]bool, len(p.Ops))
	var try func(state int32) bool
	try = func(state int32) bool {
		done, limit := true, Never
		for i, o := range p.Ops {
			if !placed[i] && !o.Maybe {
				done, limit = false, min(limit, o.Return)
			}
		}
		if done {
			return true
		}
		for i, o := range p.Ops {
			if placed[i] || o.Call > limit {
				continue
			}
			if next, ok := p.Model.Step(state, int32(i)); ok && !late(p, placed, o) {
				placed[i] = true
				found := try(next)
				placed[i] = false
				if found {
					return true
				}
			}
		}
		return false
	}
	return try(p.Initial)
}

// late reports whether something was placed that o had to precede, which
// happens to operations that are maybe and have a return.
func late(p *Problem, placed []bool, o Op) bool {
	for i, x := range p.Ops {
		if placed[i] && x.Call > o.Return {
			return true
		}
	}
	return false
}

var plenty = Budget{Configurations: 1 << 30, Memory: 1 << 30}

func TestSearchAgreesWithBruteForceOnRandomObjects(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	rounds := 150_000
	if testing.Short() {
		rounds = 15_000
	}
	answers := map[Answer]int{}
	for range rounds {
		p := randomProblem(r, 8)
		got := Decide(t.Context(), p, plenty)
		want := Illegal
		if bruteForce(p) {
			want = Legal
		}
		if got.Answer != want || got.Defect {
			t.Fatalf("says %s (defect %v), brute force %s: %+v %+v", got.Answer, got.Defect, want, p, p.Model)
		}
		answers[want]++
	}
	t.Log(answers)
	if answers[Legal] < rounds/10 || answers[Illegal] < rounds/10 {
		t.Errorf("the generator is lopsided: %v", answers)
	}
}

func TestSearchAgreesWithPorcupineOnLongerHistories(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 7))
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	more := 0
	for range rounds {
		p := randomProblem(r, 40)
		for i := range p.Ops { // each that is maybe and has a return doubles porcupine's work
			p.Ops[i].Maybe = p.Ops[i].Return == Never
		}
		b := Budget{Configurations: 200_000, Memory: 1 << 30}
		want, got := Oracle(t.Context(), p, b), Decide(t.Context(), p, b)
		if want.Answer != Undecided && got.Answer != want.Answer {
			t.Fatalf("says %s, porcupine %s: %+v", got.Answer, want.Answer, p)
		}
		if got.Configurations > want.Configurations {
			more++
		}
	}
	t.Logf("more configurations than porcupine's steps in %d of %d", more, rounds)
	if more > rounds/20 {
		t.Errorf("visits more configurations than porcupine takes steps in %d of %d histories", more, rounds)
	}
}

func TestOracleAgreesWithBruteForceWhereOperationsMayBeLeftOut(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 7))
	bounded := 0
	for range 5_000 {
		p := randomProblem(r, 7)
		for i := range p.Ops {
			if o := &p.Ops[i]; !o.Pure && o.Return != Never && r.IntN(3) == 0 {
				o.Maybe = true
				bounded++
			}
		}
		want := Illegal
		if bruteForce(p) {
			want = Legal
		}
		if got := Oracle(t.Context(), p, plenty); got.Answer != want {
			t.Fatalf("says %s, brute force %s: %+v %+v", got.Answer, want, p, p.Model)
		}
	}
	if bounded < 1_000 {
		t.Errorf("%d operations that may be left out and have a return: nothing was tested", bounded)
	}
}

func TestForgettingAtCutsChangesNoAnswer(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 7))
	defer func(n int) { legAtLeast = n }(legAtLeast)
	legs := 0
	for range 40_000 {
		p := randomProblem(r, 30)
		legAtLeast = 1 << 16
		want := Decide(t.Context(), p, plenty)
		legAtLeast = r.IntN(3)
		s := newSearcher(t.Context(), p, plenty)
		if got := s.decide(); got != want.Answer || got == Legal && !Replay(p, s.order()) {
			t.Fatalf("says %s with legs, %s without: %+v %+v", got, want.Answer, p, p.Model)
		}
		legs = max(legs, len(s.legs))
	}
	if legs < 5 {
		t.Errorf("at most %d legs: nothing was tested", legs)
	}
}

func TestReplayRefusesWhatIsNoLinearization(t *testing.T) {
	m := &tiny{table: [][]int32{{1, -1}, {-1, 0}}, kind: []int32{0, 1, 0}}
	p := &Problem{Model: m, Ops: []Op{{Call: 1, Return: 2}, {Call: 3, Return: 4}, {Call: 3, Return: Never, Maybe: true}}}
	for _, good := range [][]int32{{0, 1}, {0, 1, 2}} {
		if !Replay(p, good) {
			t.Errorf("refuses %v", good)
		}
	}
	for _, bad := range [][]int32{{0}, {1, 0}, {0, 1, 1}, {0, 2, 1}, {}} {
		if Replay(p, slices.Clone(bad)) {
			t.Errorf("accepts %v", bad)
		}
	}
}

// scattered is writes of n values, all at once, and then a read of none of
// them.
func scattered(n int32) *Problem {
	m := &tiny{}
	p := &Problem{Model: m}
	for i := range n {
		row := make([]int32, n+1)
		for s := range row {
			row[s] = i
		}
		m.table, m.kind = append(m.table, row), append(m.kind, i)
		p.Ops = append(p.Ops, Op{Call: int64(i), Return: 100})
	}
	last := slices.Repeat([]int32{-1}, int(n)+1)
	m.table, m.kind = append(m.table, last), append(m.kind, n)
	p.Ops = append(p.Ops, Op{Call: 200, Return: 201, Pure: true})
	return p
}

func TestBudgetsMakeTheAnswerUndecided(t *testing.T) {
	p := scattered(16)
	if got := Decide(t.Context(), p, plenty); got.Answer != Illegal {
		t.Fatalf("with plenty: %+v", got)
	}
	few := Budget{Configurations: 1000, Memory: 1 << 30}
	if got := Decide(t.Context(), p, few); got.Answer != Undecided || got.Configurations != 1000 {
		t.Errorf("with few configurations: %+v", got)
	}
	small := Budget{Configurations: 1 << 30, Memory: 1 << 20}
	if got := Decide(t.Context(), p, small); got.Answer != Undecided || got.Bytes > 2<<20 {
		t.Errorf("with little memory: %+v", got)
	}
}
