package search

import (
	"math/rand/v2"
	"testing"
)

// forPorcupine makes operations that may be left out ones without a return,
// because porcupine knows no others, and has no two called at once, because
// porcupine sorts them at will.
func forPorcupine(p *Problem) {
	for i := range p.Ops {
		o := &p.Ops[i]
		o.Maybe = o.Return == Never && !o.Pure
		if o.Call = o.Call*64 + int64(i); o.Return != Never {
			o.Return = o.Return*64 + int64(i)
		}
	}
}

func TestTheRivalTakesTheVeryStepsOfPorcupine(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	answers := map[Answer]int{}
	for range 10_000 {
		p := randomProblem(r, 40)
		forPorcupine(p)
		want := Oracle(t.Context(), p, Budget{Configurations: 100_000, Memory: 1 << 30})
		if want.Answer == Undecided {
			continue
		}
		s := newSearcher(t.Context(), p, plenty)
		s.rival = newRival(s)
		if s.all == 0 {
			continue // nothing has to be placed
		}
		got := s.rival.walk(1 << 40)
		s.rivals = got
		if s.answerOf(got) != want.Answer || got == succeeded && !Replay(p, s.order()) {
			t.Fatalf("says %s, porcupine %s: %+v %+v", s.answerOf(got), want.Answer, p, p.Model)
		}
		steps := s.rival.tried
		if got == succeeded { // porcupine goes on with those that need not be placed
			steps += len(p.Ops) - len(s.rival.stack)
		}
		if steps != want.Configurations {
			t.Fatalf("takes %d steps, porcupine %d: %+v %+v", steps, want.Configurations, p, p.Model)
		}
		answers[want.Answer]++
	}
	if answers[Legal] < 1_000 || answers[Illegal] < 1_000 {
		t.Errorf("the generator is lopsided: %v", answers)
	}
}

// TestTheSearchTakesLittleMoreStepsThanEitherAlone holds the promise of type
// rival.
func TestTheSearchTakesLittleMoreStepsThanEitherAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 7))
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	won := map[outcome]int{}
	more := Budget{Configurations: 1 << 40, Memory: 1 << 30}
	for range rounds {
		p := randomProblem(r, 60)
		forPorcupine(p)
		for range r.IntN(3) { // more that is open for ever makes both search
			p.Ops[r.IntN(len(p.Ops))].Return = Never
		}
		b := Budget{Configurations: 50_000, Memory: 1 << 30}
		alone := newSearcher(t.Context(), p, b)
		alone.alone = true
		own, ordered := alone.decide(), Rival(t.Context(), p, b)
		if own == Undecided && ordered.Answer == Undecided {
			continue
		}
		both := newSearcher(t.Context(), p, more)
		answer := both.decide()
		if own != Undecided && answer != own || ordered.Answer != Undecided && answer != ordered.Answer {
			t.Fatalf("says %s, the search alone %s, the rival alone %s: %+v %+v", answer, own, ordered.Answer, p, p.Model)
		}
		if own != Undecided && both.steps() > alone.work+alone.work/ratio(len(p.Ops))+MostSteps(len(p.Ops), 0) {
			t.Errorf("%d steps, the search alone %d", both.steps(), alone.work)
		}
		if ordered.Answer != Undecided && both.steps() > MostSteps(len(p.Ops), ordered.Steps) {
			t.Errorf("%d steps, the rival alone %d", both.steps(), ordered.Steps)
		}
		if both.rival != nil {
			won[both.rivals]++
		}
	}
	t.Log(won)
	if won[succeeded] < rounds/2000 || won[failed] < rounds/10_000 || won[0] < rounds/200 {
		t.Errorf("too few were decided by one of the two: %v", won)
	}
}

func TestTheRivalIsGivenUpForWantOfMemory(t *testing.T) {
	p := scattered(14)
	enough := Decide(t.Context(), p, plenty)
	s := newSearcher(t.Context(), p, plenty)
	s.alone = true
	if s.decide(); enough.Bytes <= s.peak {
		t.Fatalf("%d bytes with a rival, %d without: it had none", enough.Bytes, s.peak)
	}
	less := Decide(t.Context(), p, Budget{Configurations: plenty.Configurations, Memory: s.peak + 1<<10})
	if less.Answer != enough.Answer || less.Answer != Illegal || less.Bytes > s.peak+1<<10 {
		t.Errorf("%s in %d bytes with little memory, %s in %d with plenty", less.Answer, less.Bytes, enough.Answer, enough.Bytes)
	}
}
