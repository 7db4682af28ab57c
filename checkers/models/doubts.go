package models

import (
	"context"
	"iter"
	"slices"
	"sort"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// doubt is a read of nil that several writes of nil, or the initial value,
// may explain.
type doubt struct {
	at   int32
	from *nils
}

// nils are the writes of nil to one key, in order of invocation. All reads in
// doubt share them: a list for each would take the square of their number.
type nils struct {
	writes  []int32
	initial bool // the key was nil at first
	// latest holds for each of them the one that completed last of it and
	// those before it.
	latest []int32
}

// begun counts the writes of nil that were invoked before a read was over.
func (s *sessions) begun(d doubt) int {
	over := s.operation(d.at).Return
	return sort.Search(len(d.from.writes), func(i int) bool { return s.operation(d.from.writes[i]).Call > over })
}

// candidates yields what a read may have read, the likeliest first: the write
// that was invoked last before the read was over, and those before it; the
// initial value, as -1; and those that were invoked later.
func (s *sessions) candidates(d doubt) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		begun := s.begun(d)
		for i := begun - 1; i >= 0; i-- {
			if !yield(d.from.writes[i]) {
				return
			}
		}
		if d.from.initial && !yield(-1) {
			return
		}
		for _, w := range d.from.writes[begun:] {
			if !yield(w) {
				return
			}
		}
	}
}

// mostRecent takes for each read of nil the delete that makes it least stale.
// One that was invoked when the read was over is out of the question where
// there are others.
func (s *sessions) mostRecent() {
	for _, d := range s.doubts {
		switch begun := s.begun(d); {
		case begun > 0:
			s.ops[d.at].from = s.latest(d.from)[begun-1]
		case d.from.initial:
			s.ops[d.at].from = -1
		default:
			s.ops[d.at].from = d.from.writes[0]
		}
	}
}

func (s *sessions) latest(n *nils) []int32 {
	if n.latest == nil {
		n.latest = slices.Clone(n.writes)
		for i := 1; i < len(n.latest); i++ {
			if before := n.latest[i-1]; ended(s.operation(before)) >= ended(s.operation(n.latest[i])) {
				n.latest[i] = before
			}
		}
	}
	return n.latest
}

// Bounds of the search for what reads of nil have read: judgements, and
// operations in all of them.
const (
	maxJudgements = 1 << 12
	maxJudged     = 1 << 24
)

// decide judges sessions where some reads of nil may have read one delete or
// another. What seems likely in real time is tried first; if that does not
// explain the history, all choices are tried, one read after the other. The
// reads of which nothing is assumed yet are left out; as reads only add
// demands, a choice that is invalid without them stays so.
func (s *sessions) decide(ctx context.Context, judge func(*sessions) judged) judged {
	if len(s.doubts) == 0 {
		return judge(s)
	}
	guess := make([]int32, len(s.doubts))
	for i, d := range s.doubts {
		for w := range s.candidates(d) {
			guess[i] = w
			break
		}
	}
	v := judge(s.assuming(guess))
	if v.Verdict != checkers.Invalid {
		return v
	}
	t := &refutation{s: s, judge: judge, ctx: ctx, left: min(maxJudgements, 16+maxJudged/len(s.ops)), evidence: map[int64]history.Operation{}}
	if v := t.refute(nil); v.Verdict != checkers.Invalid {
		return v
	}
	for _, o := range v.Witness.Operations {
		delete(t.evidence, o.Call)
	}
	if len(t.evidence) == 0 {
		return v
	}
	whole := slices.Clone(v.Witness.Operations)
	for _, call := range sortedKeys(t.evidence) {
		whole = append(whole, t.evidence[call])
	}
	all := invalid(v.Witness.Class, "whichever delete each read of nil has seen: for one choice, "+v.Witness.Summary, whole...)
	all.Witness.Lines = v.Witness.Lines
	return all
}

// assuming is s where the reads in doubt read what is chosen for them, as far
// as there are choices.
func (s *sessions) assuming(choice []int32) *sessions {
	t := *s
	t.ops = slices.Clone(s.ops)
	for i, d := range s.doubts {
		if i < len(choice) {
			t.ops[d.at].from = choice[i]
		} else {
			t.ops[d.at].read = false
		}
	}
	return &t
}

// refutation tries all choices.
type refutation struct {
	s        *sessions
	judge    func(*sessions) judged
	ctx      context.Context
	left     int // judgements
	evidence map[int64]history.Operation
}

// refute is invalid if every choice that begins with these is, and else the
// verdict on one that is not.
func (t *refutation) refute(choice []int32) judged {
	d := t.s.doubts[len(choice)]
	undecided := judged{Verdict: checkers.Invalid}
	for w := range t.s.candidates(d) {
		if t.ctx.Err() != nil {
			t.left = -1
			return unknown("time ran out while choices were judged of what %s of nil have read", plural(len(t.s.doubts), "operation"))
		}
		if t.left--; t.left < 0 {
			return unknown("%s of nil may have read one of several deletes; more than %d choices would have to be judged",
				plural(len(t.s.doubts), "operation"), min(maxJudgements, 16+maxJudged/len(t.s.ops)))
		}
		next := append(slices.Clone(choice), w)
		v := t.judge(t.s.assuming(next))
		if v.Verdict == checkers.Invalid {
			for _, o := range v.Witness.Operations {
				t.evidence[o.Call] = o
			}
			continue
		}
		if len(next) < len(t.s.doubts) {
			v = t.refute(next)
		}
		switch v.Verdict {
		case checkers.Valid:
			return v
		case checkers.Unknown:
			undecided = v
			if t.left < 0 {
				return v
			}
		}
	}
	return undecided
}
