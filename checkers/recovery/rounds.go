package recovery

import (
	"fmt"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// atomicRounds: a global checkpoint exists wholly or not at all (the two
// phases of Koo and Toueg, IEEE TSE 13(1) 1987).
//
//   - When a round is committed, every part of it has been committed to some
//     level, was begun in this round, and no process that ever took part in a
//     round is missing.
//   - A round is committed with one line only, and is not aborted as well.
//   - A recovery to a round takes one that was committed before, and of each
//     process of the round that it sets back the round's part; and a process
//     restores what the recovery's line says.
//
// Not checked: that a recovery sets back all processes of the round, as some may
// be where they were (consistent-cut judges the states), that the newest round is taken (recovery-line), nor that the
// parts can still be loaded (restorable).
func atomicRounds(r *run, _ Options) checkers.Verdict {
	if len(r.rounds) == 0 && r.kinds[record.RoundAbort] == 0 {
		for _, v := range r.recoveries {
			if round := r.ev[v.event].Round; round > 0 {
				return r.violated("uncommitted", []int32{v.event}, "the recovery at %s takes round %d; no round was ever committed", history.At(r.ev[v.event].T), round)
			}
		}
		return lacks("committed round")
	}
	committed, aborted := map[int]int32{}, map[int]int32{}
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		switch e.Kind {
		case record.RoundAbort:
			if c, ok := committed[e.Round]; ok {
				return r.violated("aborted", []int32{c, i}, "round %d was committed, and then aborted", e.Round)
			}
			aborted[e.Round] = i
		case record.RoundCommit:
			if a, ok := aborted[e.Round]; ok {
				return r.violated("aborted", []int32{a, i}, "round %d was aborted, and then committed", e.Round)
			}
			if v := r.wholeRound(i, committed); v != nil {
				return *v
			}
			committed[e.Round] = i
		case record.Recovery:
			if v := r.recoveredRound(i, committed); v != nil {
				return *v
			}
		case record.Restore:
			if v := r.restoredPart(i, committed); v != nil {
				return *v
			}
		}
	}
	return valid("%d committed rounds and %d recoveries are whole", len(committed), len(r.recoveries))
}

// wholeRound judges the commit of a round.
func (r *run) wholeRound(i int32, committed map[int]int32) *checkers.Verdict {
	e, line := &r.ev[i], r.lineOf(i)
	bad := func(class string, also []int32, format string, args ...any) *checkers.Verdict {
		v := r.violated(class, append(also, i), "round %d: %s", e.Round, fmt.Sprintf(format, args...))
		return &v
	}
	if c, ok := committed[e.Round]; ok {
		before := r.lineOf(c)
		for p, k := range line {
			if b, ok := before[p]; !ok || b != k || len(before) != len(line) {
				return bad("two-commits", []int32{c}, "it was committed twice, with two lines")
			}
		}
	}
	for _, p := range sorted(line) {
		c := &r.ckpts[line[p]]
		if len(c.commits) == 0 || c.commits[0] > i && r.ev[c.commits[0]].T > e.T {
			return bad("partial", append([]int32{c.begin}, c.commits...), "it was committed before %s was", r.name(p, line[p]))
		}
		if c.round > 0 && c.round != e.Round {
			return bad("mix", []int32{c.begin}, "%s in it is of round %d", r.name(p, line[p]), c.round)
		}
		if c.abort != none && c.abort < i {
			return bad("aborted", []int32{c.abort}, "%s in it had been aborted", r.name(p, line[p]))
		}
	}
	for k := range r.ckpts {
		c := &r.ckpts[k]
		if c.begin > i {
			break
		}
		if _, in := line[c.proc]; !in && c.round > 0 {
			return bad("partial", []int32{c.begin}, "it was committed without process %s, which takes part in rounds", r.procs[c.proc])
		}
	}
	return nil
}

// recoveredRound judges the decision to go back to a round.
func (r *run) recoveredRound(i int32, committed map[int]int32) *checkers.Verdict {
	e := &r.ev[i]
	if e.Round == 0 {
		return nil
	}
	c, ok := committed[e.Round]
	if !ok {
		v := r.violated("uncommitted", []int32{i}, "the recovery at %s takes round %d, which had not been committed", history.At(e.T), e.Round)
		return &v
	}
	for _, p := range sorted(r.lineOf(c)) {
		name := r.procs[p]
		if k, in := e.Line[name]; in && k != r.ev[c].Line[name] {
			v := r.violated("mix", []int32{c, i}, "the recovery at %s takes round %d with checkpoint %q of %s; the round has %s", history.At(e.T), e.Round, k, name, r.ev[c].Line[name])
			return &v
		}
	}
	return nil
}

// restoredPart judges what one process restored.
func (r *run) restoredPart(i int32, committed map[int]int32) *checkers.Verdict {
	e := &r.ev[i]
	if k := r.incs[r.inc[i]].recovery; k != none {
		v := &r.recoveries[k]
		want := none
		if c := v.line[r.proc[i]]; c != none {
			want = c
		}
		got := none
		if e.Ckpt != "" {
			got = r.ckptOf[r.proc[i]][e.Ckpt]
		}
		if got != want {
			v := r.violated("mix", []int32{v.event, i}, "%s was restored to %s; the recovery at %s has %s", e.Proc, r.name(r.proc[i], got), history.At(r.ev[v.event].T), r.name(r.proc[i], want))
			return &v
		}
	}
	if e.Round == 0 || e.Ckpt == "" {
		return nil
	}
	c, ok := committed[e.Round]
	if !ok {
		v := r.violated("uncommitted", []int32{i}, "%s was restored to round %d, which had not been committed", e.Proc, e.Round)
		return &v
	}
	if want, in := r.ev[c].Line[e.Proc]; in && want != e.Ckpt {
		v := r.violated("mix", []int32{c, i}, "%s was restored to checkpoint %s as part of round %d, whose part is %s", e.Proc, e.Ckpt, e.Round, want)
		return &v
	}
	return nil
}
