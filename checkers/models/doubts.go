package models

import (
	"cmp"
	"context"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// doubt is a read of nil that several writes of nil, or the initial value,
// may explain.
type doubt struct {
	at   int32
	from []int32 // writes, -1 the initial value
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
		slices.SortStableFunc(d.from, func(a, b int32) int { return cmp.Compare(s.likely(b, d.at), s.likely(a, d.at)) })
		guess[i] = d.from[0]
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

// likely orders the writes that a read may have read: the last one that was
// invoked before the read was over comes first.
func (s *sessions) likely(write, read int32) int64 {
	if write < 0 {
		return -1
	}
	w, r := s.operation(write), s.operation(read)
	if w.Call > r.Return {
		return -w.Call
	}
	return w.Call
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
	for _, w := range d.from {
		if t.left--; t.left < 0 || t.ctx.Err() != nil {
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
