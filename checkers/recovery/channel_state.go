package recovery

import (
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// channelState: what was sent and not received in a cut is in transit; after
// rollback it is lost unless it was recorded with the checkpoint, or is sent
// again from a log (Chandy and Lamport 1985; Elnozahy et al. 2002, section 2).
//
//   - If the record has any channel state at all, that of every checkpoint of
//     a committed round must be what was in transit to its process, exactly,
//     that of each sender in the order of sending.
//   - What a restored checkpoint holds as channel state, its process receives
//     again before it gets later messages of that sender.
//   - In no history is a message received twice.
//   - At the end, a message of the sender's history that was not received while
//     a later one of the channel was, is lost. That takes channels to be FIFO:
//     if any message overtook another and both arrived, it is judged only for
//     receivers that have finished.
//
// Not checked: whether a message that is still missing when the record ends,
// with nothing after it, would have come; such are counted (in_transit_at_end).
// Without rounds and restores, nothing is judged.
func channelState(r *run, _ Options) checkers.Verdict {
	if r.kinds[record.Recv] == 0 {
		return lacks("message that was received")
	}
	if len(r.rounds)+r.kinds[record.Restore] == 0 {
		return lacks("committed round and no restore")
	}
	recorded := slices.ContainsFunc(r.ckpts, func(c checkpoint) bool { return len(c.channel) > 0 })
	exact := 0
	if recorded {
		s := newSweep(r)
		for _, i := range r.rounds {
			line := r.lineOf(i)
			s.cut(r.atLine(line, i))
			for _, q := range sorted(line) {
				if v := r.channel(s, i, line[q]); v != nil {
					return *v
				}
				exact++
			}
		}
	}
	d, bad := r.deliveries()
	if bad != nil {
		return *bad
	}
	v := d.lost()
	if v.Verdict == checkers.Valid {
		if !recorded && r.kinds[record.Restore] == 0 && d.open > 0 {
			return unknown("the record has no channel state and nothing was restored: what is in transit cannot be judged")
		}
		v.Reason = fmt.Sprintf("%d recorded channel states are exact; no message is lost or doubled", exact)
	}
	v.Measures = map[string]float64{"in_transit_at_end": float64(d.open), "channel_states": float64(exact)}
	return v
}

// channel compares the channel state of a checkpoint with the cut.
func (r *run) channel(s *sweep, event, c int32) *checkers.Verdict {
	k := &r.ckpts[c]
	last, seen := map[int32]int32{}, map[int32]bool{}
	quoted := append([]int32{k.begin, event}, k.commits...)
	bad := func(class string, m int32, why string) *checkers.Verdict {
		v := r.violated(class, append(quoted, r.about(m)...), "the channel state of %s in round %d: message %s %s", r.name(k.proc, c), r.ev[event].Round, r.msgs[m], why)
		return &v
	}
	for _, m := range k.channel {
		switch {
		case seen[m]:
			return bad("duplicate", m, "is in it twice")
		case s.recvs[m] > 0:
			return bad("duplicate", m, "was received before the checkpoint and is in it: it would be delivered twice")
		case s.sends[m] == 0:
			return bad("orphan", m, "is in it, and its sender's checkpoint has not sent it")
		}
		seen[m] = true
		if before, ok := last[r.from[m]]; ok && before > s.sentAt[m] {
			return bad("order", m, "stands after one that was sent later")
		}
		last[r.from[m]] = s.sentAt[m]
	}
	if int(s.transit[k.proc]) == len(k.channel) {
		return nil
	}
	for m := range int32(len(r.msgs)) {
		if r.to[m] == k.proc && s.inTransit(m) && !seen[m] {
			return bad("lost", m, "was in transit and is not in it: it would be lost")
		}
	}
	return nil
}

// about lists the events of a message.
func (r *run) about(m int32) (list []int32) {
	for i := range r.ev {
		if r.msg[i] == m {
			list = append(list, int32(i))
		}
	}
	return list
}

// delivery is what was delivered in the final histories.
type delivery struct {
	r        *run
	s        *sweep
	ordered  bool // no message ever overtook another that arrived
	final    []bool
	open     int
	pending  map[int32][]int32 // channel state still to be delivered, by process
	lastSent map[[2]int32]int32
}

// deliveries walks through the record with the present history of each
// process, and finds messages that are delivered twice in one.
func (r *run) deliveries() (*delivery, *checkers.Verdict) {
	d := &delivery{r: r, s: newSweep(r), ordered: true, final: make([]bool, len(r.procs)), pending: map[int32][]int32{}, lastSent: map[[2]int32]int32{}}
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		if e.Kind == record.Final {
			d.final[r.proc[i]] = true
		}
		if r.at[i] == 0 && !r.incs[r.inc[i]].bare {
			if v := d.begin(i); v != nil {
				return d, v
			}
		}
		if !d.s.step(i) || e.Kind != record.Recv {
			continue
		}
		m := r.msg[i]
		if d.s.recvs[m] > 1 {
			v := r.violated("duplicate", r.about(m), "%s received the message %s twice in one history", e.Proc, e.Msg)
			return d, &v
		}
		if v := d.receive(i, m); v != nil {
			return d, v
		}
	}
	return d, nil
}

// begin notes what a restored process has still to receive.
func (d *delivery) begin(i int32) *checkers.Verdict {
	p, e := d.r.proc[i], &d.r.ev[i]
	d.final[p] = false
	delete(d.pending, p)
	if e.Kind == record.Restore && e.Ckpt != "" {
		if c := d.r.ckpts[d.r.ckptOf[p][e.Ckpt]].channel; len(c) > 0 {
			d.pending[p] = slices.Clone(c)
		}
	}
	for q := range d.r.procs {
		delete(d.lastSent, [2]int32{int32(q), p})
	}
	return nil
}

// receive notes an arrival: in order of sending, or after channel state of the
// same sender that should have come first.
func (d *delivery) receive(i, m int32) *checkers.Verdict {
	q, p := d.r.to[m], d.r.from[m]
	if list := d.pending[q]; list != nil {
		if k := slices.Index(list, m); k >= 0 {
			d.pending[q] = slices.Delete(list, k, k+1)
		} else if k := slices.IndexFunc(list, func(o int32) bool { return d.r.from[o] == p }); k >= 0 {
			v := d.r.violated("lost", append(d.r.about(list[k]), i), "%s was restored with the message %s as channel state, and received %s of the same sender without it", d.r.procs[q], d.r.msgs[list[k]], d.r.msgs[m])
			return &v
		}
	}
	key := [2]int32{p, q}
	if at := d.s.sentAt[m]; d.s.sends[m] > 0 {
		if d.lastSent[key] > at {
			d.ordered = false
		}
		d.lastSent[key] = max(d.lastSent[key], at)
	}
	return nil
}

// lost looks for messages of the final histories that did not arrive. The one
// that was sent first is told, with what became of it, and how many more.
func (d *delivery) lost() checkers.Verdict {
	r := d.r
	newest := map[[2]int32]int32{}
	for m := range int32(len(r.msgs)) {
		if d.s.sends[m] > 0 && d.s.recvs[m] > 0 {
			key := [2]int32{r.from[m], r.to[m]}
			newest[key] = max(newest[key], d.s.sentAt[m])
		}
	}
	first, doubt, more := none, none, 0
	for m := range int32(len(r.msgs)) {
		if !d.s.inTransit(m) {
			continue
		}
		d.open++
		overtaken := d.s.sentAt[m] < newest[[2]int32{r.from[m], r.to[m]}]
		switch {
		case !overtaken || !r.settled():
		case d.final[r.to[m]] || d.ordered && r.kinds[record.Restore] > 0:
			if more++; first == none || d.s.sentAt[m] < d.s.sentAt[first] {
				first = m
			}
		case !d.ordered && doubt == none:
			doubt = m
		}
	}
	switch {
	case first != none:
		return d.explain(first, more-1)
	case doubt != none:
		return unknown("messages overtake each other: whether %s is lost or late cannot be told", r.msgs[doubt])
	}
	return valid("")
}

// explain says how a message was lost, and that others were as well.
func (d *delivery) explain(m int32, more int) checkers.Verdict {
	r, sent, received := d.r, d.s.sentAt[m], none
	quoted := r.about(m)
	for _, i := range quoted {
		if r.ev[i].Kind == record.Recv {
			received = i
		}
	}
	p, q := r.procs[r.from[m]], r.procs[r.to[m]]
	and := ""
	if more > 0 {
		and = fmt.Sprintf(" (and %d more messages are lost)", more)
	}
	if received == none {
		return r.violated("lost", quoted, "the message %s from %s to %s, sent at %s, was never received, although later ones were%s", r.msgs[m], p, q, history.At(r.ev[sent].T), and)
	}
	by := r.undoing(received)
	if by == none { // it was received by an incarnation that was over
		return r.violated("lost", quoted, "the message %s from %s to %s was received only by an incarnation that was over, although later ones were received since%s", r.msgs[m], p, q, and)
	}
	begin := r.incs[by].events[0]
	quoted = append(quoted, begin)
	if v := r.incs[by].recovery; v != none {
		quoted = append(quoted, r.recoveries[v].event)
	}
	return r.violated("lost", quoted, "%s undid the receipt at %s of the message %s from %s to %s, which was not received again, although later ones were: %s%s",
		r.undid(by), history.At(r.ev[received].T), r.msgs[m], p, q, d.why(m, by), and)
}

// why says why a message whose receipt an incarnation undid did not come again.
func (d *delivery) why(m, by int32) string {
	r, sent := d.r, d.s.sentAt[m]
	begin := r.incs[by].events[0]
	if sent > begin {
		return fmt.Sprintf("%s sent it again at %s", r.procs[r.from[m]], history.At(r.ev[sent].T))
	}
	c, ok := r.ckptOf[r.to[m]][r.ev[begin].Ckpt]
	if !ok {
		return fmt.Sprintf("%s began anew, and %s, which had sent it at %s, kept that", r.procs[r.to[m]], r.procs[r.from[m]], history.At(r.ev[sent].T))
	}
	held := 0
	for _, o := range r.ckpts[c].channel {
		if o == m {
			return r.name(r.to[m], c) + " holds it in transit, and it was not delivered"
		}
		if r.from[o] == r.from[m] {
			held++
		}
	}
	what := fmt.Sprintf("%d others", held)
	if held == 0 {
		what = "nothing"
	}
	return fmt.Sprintf("%s holds %s in transit on that channel, although this message was, sent at %s", r.name(r.to[m], c), what, history.At(r.ev[sent].T))
}

// undoing is the first incarnation that began without an event of an earlier
// one, or none.
func (r *run) undoing(event int32) int32 {
	for _, k := range r.lives[r.proc[event]] {
		if k > r.inc[event] && !r.incs[k].bare && !r.contains(place{k, 0}, event) {
			return k
		}
	}
	return none
}

// undid names what an incarnation began with.
func (r *run) undid(k int32) string {
	begin := &r.ev[r.incs[k].events[0]]
	if v := r.incs[k].recovery; v != none {
		e := &r.ev[r.recoveries[v].event]
		what := "the recovery at " + history.At(e.T)
		if e.Round > 0 {
			what += fmt.Sprintf(" to round %d", e.Round)
		}
		return what
	}
	return fmt.Sprintf("the %s of %s at %s", begin.Kind, begin.Proc, history.At(begin.T))
}
