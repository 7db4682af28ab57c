package recovery

import (
	"fmt"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// Identity is the model that says what is wrong with a record in which names
// stand for two things, which no other model can judge.
const Identity = "identity"

// identity: what has a name has it alone. What contradicts that, and no
// recording can have made up (record.Broken), is
//
//   - message-twice, checkpoint-twice, committed-twice, determinant-twice: a
//     name given to two things, or twice;
//   - misdelivered: a message of another sender, or for another receiver;
//   - forged: a message or checkpoint of a process that knows nothing of it;
//   - epoch-twice: two recoveries with one epoch. That another process, or a
//     later incarnation, tells of one again is none;
//   - round-twice: a round that is begun again by the same incarnation, or after
//     it was committed or aborted;
//   - output-twice: an id that one incarnation gives to two outputs that differ.
//
// Not checked: names of transactions (exactly-once), and names that two
// incarnations give to what differs (replay).
func identity(r *run, _ Options) checkers.Verdict {
	if len(r.msgs)+len(r.ckpts)+len(r.rounds)+len(r.recoveries)+r.kinds[record.RoundBegin]+r.kinds[record.Output] == 0 {
		return lacks("message, checkpoint, round, recovery and output")
	}
	for k := 1; k < len(r.recoveries); k++ {
		a, b := &r.recoveries[k-1], &r.recoveries[k]
		if x, y := &r.ev[a.event], &r.ev[b.event]; x.Epoch == y.Epoch {
			return r.violated("epoch-twice", []int32{a.event, b.event}, "the recoveries decided at %s and at %s both have epoch %d", history.At(x.T), history.At(y.T), x.Epoch)
		}
	}
	begun, over := map[int]int32{}, map[int]int32{}
	type output struct {
		inc      int32
		sink, id string
	}
	outputs := map[output]int32{}
	for i := range int32(len(r.ev)) {
		r.tick()
		switch e := &r.ev[i]; e.Kind {
		case record.RoundBegin:
			before, twice := begun[e.Round]
			end, ended := over[e.Round]
			switch {
			case twice && r.inc[before] == r.inc[i] && r.ev[before].T < e.T:
				return r.violated("round-twice", []int32{before, i}, "%s began round %d at %s, and again at %s", e.Proc, e.Round, history.At(r.ev[before].T), history.At(e.T))
			case ended && r.ev[end].T < e.T:
				return r.violated("round-twice", []int32{end, i}, "round %d is begun at %s; it was over at %s (%s)", e.Round, history.At(e.T), history.At(r.ev[end].T), r.ev[end].Kind)
			}
			begun[e.Round] = i
		case record.RoundCommit, record.RoundAbort:
			if _, ended := over[e.Round]; !ended {
				over[e.Round] = i
			}
		case record.Output:
			if e.Digest == "" {
				continue
			}
			k := output{r.inc[i], e.Sink, e.ID}
			if before, twice := outputs[k]; twice && r.ev[before].Digest != e.Digest {
				return r.violated("output-twice", []int32{before, i}, "%s gives the id %s to two outputs for %s", e.Proc, e.ID, e.Sink)
			}
			outputs[k] = i
		}
	}
	return valid("%d messages, %d checkpoints, %d recoveries and %d rounds have names of their own", len(r.msgs), len(r.ckpts), len(r.recoveries), len(begun))
}

// mistaken is the verdict on what no recording can have made up.
func mistaken(b *record.Broken) checkers.Verdict {
	first := b.List[0]
	summary := fmt.Sprintf("%s: %v", first.Class, b)
	if more := len(b.List) - 1 + b.More; more > 0 {
		summary += fmt.Sprintf(" (and %d more of the kind)", more)
	}
	w := &checkers.Witness{Class: first.Class, Summary: summary, From: first.At, To: first.At}
	for n, c := range b.List {
		if n == linesMax {
			w.Lines = append(w.Lines, fmt.Sprintf("and %d more", len(b.List)-n+b.More))
			break
		}
		at := fmt.Sprintf("line %d", c.Line)
		if c.Other > 0 {
			at += fmt.Sprintf(", against line %d", c.Other)
		}
		w.Lines = append(w.Lines, fmt.Sprintf("%s: %s: %s: %v", history.At(c.At), at, c.Class, c.Err))
	}
	return checkers.Verdict{Verdict: checkers.Invalid, Reason: summary, Witness: w}
}
