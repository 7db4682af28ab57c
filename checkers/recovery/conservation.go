package recovery

import (
	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// conservation: in a closed system of tokens, the values of the checkpoints of
// a line and of the messages in their channels have the same sum at every line
// (Chandy and Lamport 1985, section 2). Judged are all committed rounds
// and, if each process of the last one told its final value, the end. The
// channel is what was recorded if the record has channel states at all, else
// what was in transit. A message without a value counts as 0.
//
// One sum alone proves nothing and is unknown, as are checkpoints without
// values. Not checked: equality with what the job began with, unless starts
// tell their values.
func conservation(r *run, _ Options) checkers.Verdict {
	// A re-execution may send a message with another value: what counts at a
	// line is what was sent last before it.
	value, next := make([]int64, len(r.msgs)), 0
	sentBefore := func(event int) {
		for ; next < event; next++ {
			if e := &r.ev[next]; e.Kind == record.Send {
				value[r.msg[next]] = 0
				if e.Value != nil {
					value[r.msg[next]] = *e.Value
				}
			}
		}
	}
	recorded := false
	for c := range r.ckpts {
		recorded = recorded || len(r.ckpts[c].channel) > 0
	}
	s := newSweep(r)
	t := tally{r: r}
	for _, i := range r.rounds {
		line := r.lineOf(i)
		sentBefore(int(i))
		var sum int64
		complete := true
		if !recorded {
			s.cut(r.atLine(line, i))
		}
		for _, p := range sorted(line) {
			c := &r.ckpts[line[p]]
			v := r.ev[c.begin].Value
			if complete = complete && v != nil; !complete {
				break
			}
			sum += *v
			for _, m := range c.channel {
				sum += value[m]
			}
		}
		if !complete {
			continue
		}
		if !recorded {
			for m := range int32(len(r.msgs)) {
				if r.tick(); s.inTransit(m) {
					sum += value[m]
				}
			}
		}
		if bad := t.add(i, sum); bad != nil {
			return *bad
		}
	}
	sentBefore(len(r.ev))
	if bad := t.ends(value); bad != nil {
		return *bad
	}
	if t.count < 2 {
		return lacks("two lines whose values are known")
	}
	return valid("%d sums are all %d", t.count, t.sum)
}

// tally compares sums with the first.
type tally struct {
	r     *run
	count int
	first int32
	sum   int64
}

func (t *tally) add(event int32, sum int64) *checkers.Verdict {
	t.count++
	if t.count == 1 {
		t.first, t.sum = event, sum
	}
	if sum == t.sum {
		return nil
	}
	v := t.r.violated("conservation", []int32{t.first, event}, "the sum of values is %d at %s and %d at %s", t.sum, history.At(t.r.ev[t.first].T), sum, history.At(t.r.ev[event].T))
	return &v
}

// ends adds the sums of the beginning and of the end, if all values are told.
func (t *tally) ends(value []int64) *checkers.Verdict {
	r := t.r
	for _, k := range []record.Kind{record.Start, record.Final} {
		told, last, sum := map[int32]int64{}, none, int64(0)
		for i := range r.ev {
			e := &r.ev[i]
			if e.Kind == k && e.Value != nil && (k == record.Final || e.Inc == 1) {
				told[r.proc[i]], last = *e.Value, int32(i)
			}
		}
		members := map[int32]bool{}
		for _, c := range r.ckpts {
			members[c.proc] = true
		}
		if len(told) == 0 || len(told) < len(members) || k == record.Final && !r.settled() {
			continue
		}
		for _, v := range told {
			sum += v
		}
		if k == record.Final {
			s := newSweep(r)
			s.cut(r.now(int32(len(r.ev) - 1)))
			for m := range int32(len(r.msgs)) {
				if r.tick(); s.inTransit(m) {
					sum += value[m]
				}
			}
		}
		if bad := t.add(last, sum); bad != nil {
			return bad
		}
	}
	return nil
}
