package recovery

import (
	"cmp"
	"slices"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

type outputKey struct{ sink, id string }

// shown is what became of an output.
type shown struct {
	emitted []int32 // events of kind output
	commits []int32
}

// world is what the outside world saw, and what the final histories say that
// it should have seen.
type world struct {
	r       *run
	end     []place
	keys    []outputKey
	outputs map[outputKey]*shown
	done    []bool  // processes that have finished and were not set back since
	ended   []int32 // when they did
}

func (r *run) world() *world {
	w := &world{r: r, end: r.now(int32(len(r.ev) - 1)), outputs: map[outputKey]*shown{}, done: make([]bool, len(r.procs)), ended: make([]int32, len(r.procs))}
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		if e.Kind == record.Final && r.contains(w.end[r.proc[i]], i) {
			w.done[r.proc[i]], w.ended[r.proc[i]] = true, i
		}
		if e.Kind != record.Output && e.Kind != record.OutputCommit {
			continue
		}
		k := outputKey{e.Sink, e.ID}
		s := w.outputs[k]
		if s == nil {
			s = &shown{}
			w.outputs[k] = s
			w.keys = append(w.keys, k)
		}
		switch {
		case e.Kind == record.Output:
			s.emitted = append(s.emitted, i)
		case !r.sameTxn(s, e):
			s.commits = append(s.commits, i)
		}
	}
	return w
}

// sameTxn reports whether an output became visible before in the transaction
// that is recorded again. A transaction becomes visible once: whoever completes
// it for a coordinator that died cannot know whether that had said so.
func (r *run) sameTxn(s *shown, e *record.Event) bool {
	return e.Txn != "" && slices.ContainsFunc(s.commits, func(i int32) bool {
		return r.ev[i].Txn == e.Txn && r.ev[i].Digest == e.Digest
	})
}

// final is the event that emitted an output in a final history, or none.
func (w *world) final(s *shown) int32 {
	for _, i := range s.emitted {
		if w.r.contains(w.end[w.r.proc[i]], i) {
			return i
		}
	}
	return none
}

// finished reports whether the process that emitted an output is done; if none
// did, whether all are.
func (w *world) finished(s *shown) bool {
	if len(s.emitted) == 0 {
		for _, p := range w.r.members() {
			if !w.done[p] {
				return false
			}
		}
		return true
	}
	return w.done[w.r.proc[s.emitted[len(s.emitted)-1]]]
}

func (w *world) allDone(procs map[int32]bool) bool {
	for p := range procs {
		if !w.done[p] {
			return false
		}
	}
	return true
}

// outputCommit: the outside world cannot be rolled back, so an output is shown
// only when the state that it comes from is certain to be recovered (Strom and
// Yemini 1985; Elnozahy et al. 2002, section 2.6).
//
//   - An output that is visible and was undone by a rollback is emitted again
//     with the same digest. If its process has finished without doing so, it is
//     a phantom.
//   - An output that belongs to a round is visible only after the round has
//     been committed.
//
// Where an output could still be emitted again when the record ends, the
// verdict is unknown. Not checked: that the sink drops the second one
// (exactly-once).
func outputCommit(r *run, _ Options) checkers.Verdict {
	if r.kinds[record.OutputCommit] == 0 {
		return lacks("output that became visible")
	}
	w, open := r.world(), 0
	committed := map[int]int32{}
	for _, i := range r.rounds {
		if _, twice := committed[r.ev[i].Round]; !twice {
			committed[r.ev[i].Round] = i
		}
	}
	for _, k := range w.keys {
		s := w.outputs[k]
		for _, i := range s.commits {
			e := &r.ev[i]
			c, ok := committed[e.Round]
			if e.Round > 0 && (!ok || r.ev[c].T > e.T) {
				return r.violated("too-early", append([]int32{i}, slices.DeleteFunc([]int32{c}, func(int32) bool { return !ok })...), "output %s was visible in %s before round %d, to which it belongs, was committed", k.id, k.sink, e.Round)
			}
			for _, j := range s.emitted {
				if o := &r.ev[j]; o.Digest != "" && e.Digest != "" && o.Digest != e.Digest {
					return r.violated("different", []int32{j, i}, "output %s is visible in %s with digest %s, and was emitted with digest %s", k.id, k.sink, e.Digest, o.Digest)
				}
			}
		}
		if len(s.commits) == 0 || w.final(s) != none {
			continue
		}
		if w.finished(s) {
			return r.violated("phantom", append(slices.Clone(s.emitted), s.commits...), "output %s is visible in %s, and no final history has emitted it", k.id, k.sink)
		}
		open++
	}
	if open > 0 {
		return unknown("%d visible outputs were undone and had not been emitted again when the record ended", open)
	}
	return valid("%d visible outputs are in the final histories", r.kinds[record.OutputCommit])
}

// exactlyOnce: the visible outputs are those of the final histories, each
// once, with the same digest; and the inputs that the final histories consumed
// are each consumed once, without a gap (offsets of a source count by one; of
// one that several processes share, gaps count when all of them are done).
//
// An output that is not visible, of a process that has finished, is missing,
// unless it may still come: the round that has it is not committed when the
// evidence ends, or the run that was watched ended within RecoveryMax of that
// commit, of the process's end and of the last fault. Then, and where a failure
// was told, the verdict is unknown. One of a process that goes on is missing if later ones of it
// in that sink are visible, and nothing more can be said than unknown, since
// it may be late; those after the last visible one are pending and only
// counted (outputs_pending). What is told again with the same transaction
// became visible once. Source: Elnozahy et al. 2002, section 2.6, and the
// read-committed view of transactional sinks.
func exactlyOnce(r *run, o Options) checkers.Verdict { return delivered(r, o, true) }

// atLeastOnce is exactly-once but for outputs that are visible, and inputs
// that are consumed, more than once.
func atLeastOnce(r *run, o Options) checkers.Verdict { return delivered(r, o, false) }

func delivered(r *run, o Options, once bool) checkers.Verdict {
	if r.kinds[record.Output]+r.kinds[record.OutputCommit]+r.kinds[record.Input] == 0 {
		return lacks("output and no input")
	}
	if r.kinds[record.Output] > 0 && r.kinds[record.OutputCommit] == 0 {
		return unknown("the record has no output that became visible")
	}
	w := r.world()
	v, pending := w.visible(once, cmp.Or(o.RecoveryMax, recoveryMax))
	if v.Verdict == checkers.Invalid {
		return v
	}
	if bad := w.inputs(once); bad != nil {
		return *bad
	}
	v.Measures = map[string]float64{"outputs_visible": float64(r.kinds[record.OutputCommit]), "outputs_pending": float64(pending)}
	return v
}

// visible compares what is visible with the final histories.
func (w *world) visible(once bool, limit time.Duration) (checkers.Verdict, int) {
	r, doubt, pending := w.r, "", 0
	type stream struct {
		proc int32
		sink string
	}
	newest := map[stream]int32{} // the last output that is visible
	for _, k := range w.keys {
		if s := w.outputs[k]; len(s.commits) > 0 {
			if i := w.final(s); i != none {
				at := stream{r.proc[i], k.sink}
				newest[at] = max(newest[at], i)
			}
		}
	}
	for _, k := range w.keys {
		s := w.outputs[k]
		i := w.final(s)
		switch {
		case once && len(s.commits) > 1:
			return r.violated("duplicate", append(slices.Clone(s.emitted), s.commits...), "output %s became visible in %s %d times", k.id, k.sink, len(s.commits)), 0
		case len(s.commits) > 0 && i == none && w.finished(s):
			return r.violated("phantom", append(slices.Clone(s.emitted), s.commits...), "output %s is visible in %s, and no final history has emitted it", k.id, k.sink), 0
		case len(s.commits) > 0 && i == none:
			doubt = "a visible output, " + k.id + ", had not been emitted again when the record ended"
		case len(s.commits) > 0:
			for _, c := range s.commits {
				if a, b := r.ev[i].Digest, r.ev[c].Digest; a != "" && b != "" && a != b {
					return r.violated("different", []int32{i, c}, "output %s is visible in %s with digest %s; the final history has %s", k.id, k.sink, b, a), 0
				}
			}
		case i == none: // emitted in a history that was undone
		case w.done[r.proc[i]] && r.kinds[record.Failure] > 0:
			doubt = "output " + k.id + " of " + r.procs[r.proc[i]] + " is not visible in " + k.sink + ", and a failure was told"
		case w.done[r.proc[i]] && w.late(i, limit):
			doubt = "output " + k.id + " of " + r.procs[r.proc[i]] + " was not visible yet in " + k.sink + " when the evidence ended"
		case w.done[r.proc[i]]:
			return r.violated("missing", s.emitted, "output %s of %s never became visible in %s", k.id, r.procs[r.proc[i]], k.sink), 0
		case i < newest[stream{r.proc[i], k.sink}]:
			doubt = "output " + k.id + " is not visible in " + k.sink + ", although later ones of its process are"
		default:
			pending++
		}
	}
	if doubt != "" {
		return unknown("%s", doubt), pending
	}
	return valid("%d outputs are visible as the final histories have it, %d are pending; %d inputs", len(w.keys)-pending, pending, r.kinds[record.Input]), pending
}

// late reports whether an output of a process that has finished may become
// visible after the end of the evidence: with the commit of a round that has
// it, or soon after.
func (w *world) late(i int32, limit time.Duration) bool {
	r := w.r
	since := max(r.calm, r.ev[w.ended[r.proc[i]]].T)
	if r.kinds[record.RoundBegin] > 0 {
		commit := none
		for _, c := range r.rounds {
			if k, in := r.lineOf(c)[r.proc[i]]; in && r.contains(r.ckpts[k].at, i) {
				commit = c
				break
			}
		}
		if commit == none {
			return r.until-since < limit
		}
		since = max(since, r.ev[commit].T)
	}
	return r.watched && r.until-since < limit
}

// inputs judges what the final histories consumed.
func (w *world) inputs(once bool) *checkers.Verdict {
	r := w.r
	taken, consumers := map[string]map[int64]int32{}, map[string]map[int32]bool{}
	var sources []string
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		if e.Kind != record.Input || !r.contains(w.end[r.proc[i]], i) {
			continue
		}
		at := taken[e.Source]
		if at == nil {
			at = map[int64]int32{}
			taken[e.Source], consumers[e.Source] = at, map[int32]bool{}
			sources = append(sources, e.Source)
		}
		if j, twice := at[e.Offset]; twice && once {
			v := r.violated("input-twice", []int32{j, i}, "input %d of %s is consumed twice in the final histories", e.Offset, e.Source)
			return &v
		}
		at[e.Offset], consumers[e.Source][r.proc[i]] = i, true
	}
	for _, source := range sources {
		at := taken[source]
		if len(consumers[source]) > 1 && !w.allDone(consumers[source]) {
			continue // the one that has the missing offset may be slower
		}
		var offsets []int64
		for o := range at {
			offsets = append(offsets, o)
		}
		slices.Sort(offsets)
		for x := 1; x < len(offsets); x++ {
			if a, b := offsets[x-1], offsets[x]; b != a+1 {
				v := r.violated("input-skipped", []int32{at[a], at[b]}, "input %d of %s is in no final history, though %d is", a+1, source, b)
				return &v
			}
		}
	}
	return nil
}
