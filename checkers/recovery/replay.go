package recovery

import (
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// replay: a process that is deterministic between nondeterministic events does
// the same again when it is executed again (the piecewise-deterministic
// assumption, Strom and Yemini 1985; Elnozahy et al. 2002, section 2.4).
//
//   - A message, output or determinant that occurs in several incarnations of a
//     process has the same digest in all of them, and the same value.
//   - What a process receives and sends from its restore to its replay_end is
//     what it received and sent after the checkpoint before, in that order for
//     receipts and for the sends of each channel, as far as that went.
//
// It is a claim of deterministic jobs and of message logging; a job
// whose messages depend on the order of arrival does not make it. Without
// anything that was done twice it is unknown.
func replay(r *run, _ Options) checkers.Verdict {
	digests, values := newFirsts(r), newFirsts(r)
	again := 0
	for i := range int32(len(r.ev)) {
		r.tick()
		e, same := &r.ev[i], true
		j, k := none, none
		if e.Digest != "" {
			if j = digests.before(r, i); j != none {
				same = e.Digest == r.ev[j].Digest
			}
		}
		if e.Value != nil {
			if k = values.before(r, i); k != none && same {
				if same = *e.Value == *r.ev[k].Value; !same {
					j = k
				}
			}
		}
		if j != none || k != none {
			again++
		}
		if !same {
			return r.violated("diverged", []int32{j, i}, "%s did %s %s%s again differently", e.Proc, e.Kind, e.Msg, e.ID)
		}
	}
	for k := range r.incs {
		n, v := r.replayed(int32(k))
		if v != nil {
			return *v
		}
		again += n
	}
	if again == 0 {
		return lacks("thing that was done twice")
	}
	return valid("%d things that were done again were the same", again)
}

// firsts are the first times that things were done and told of.
type firsts struct {
	sends, recvs []int32 // by message
	others       map[deed]int32
}

func newFirsts(r *run) *firsts {
	return &firsts{sends: slices.Repeat([]int32{none}, len(r.msgs)), recvs: slices.Repeat([]int32{none}, len(r.msgs)), others: map[deed]int32{}}
}

type deed struct {
	kind     record.Kind
	proc     int32
	sink, id string
}

// before is the first time that a process did what it does at event i, or none
// if that is now, or nothing that is compared.
func (f *firsts) before(r *run, i int32) int32 {
	e := &r.ev[i]
	var first *int32
	switch e.Kind {
	case record.Send:
		first = &f.sends[r.msg[i]]
	case record.Recv:
		first = &f.recvs[r.msg[i]]
	case record.Output, record.Nondet:
		k := deed{e.Kind, r.proc[i], e.Sink, e.ID}
		if j, ok := f.others[k]; ok {
			return j
		}
		f.others[k] = i
		return none
	default:
		return none
	}
	if *first == none {
		*first = i
		return none
	}
	return *first
}

// replayed compares what an incarnation did up to the end of its replay with
// what had been done after its checkpoint.
func (r *run) replayed(k int32) (n int, bad *checkers.Verdict) {
	in := &r.incs[k]
	end, ok := r.first(in, record.ReplayEnd)
	if !ok || r.ev[in.events[0]].Kind != record.Restore {
		return 0, nil
	}
	before := r.present(in.proc, in.events[0]-1)
	if !r.before(in.from, before) {
		return 0, nil
	}
	was := channels(r, r.since(in.from, before), int32(len(r.ev)))
	is := channels(r, in.events, end)
	for _, c := range is.order {
		for x, i := range is.events[c] {
			if x >= len(was.events[c]) {
				break
			}
			n++
			if j := was.events[c][x]; r.msg[i] != r.msg[j] {
				v := r.violated("order", []int32{in.events[0], j, i}, "%s replayed %s %s where it had been %s", r.procs[in.proc], r.ev[i].Kind, r.ev[i].Msg, r.ev[j].Msg)
				return n, &v
			}
		}
	}
	return n, nil
}

// since lists the events of a history after one of its places.
func (r *run) since(from, to place) (list []int32) {
	var path []place
	for ; to.inc != from.inc; to = r.incs[to.inc].from {
		path = append(path, to)
	}
	if to.inc != none {
		list = append(list, r.incs[to.inc].events[from.at:to.at]...)
	}
	for k := len(path) - 1; k >= 0; k-- {
		list = append(list, r.incs[path[k].inc].events[:path[k].at]...)
	}
	return list
}

// sequences are the receipts of a process, and its sends by receiver.
type sequences struct {
	events map[int32][]int32
	order  []int32
}

func channels(r *run, events []int32, end int32) sequences {
	s := sequences{events: map[int32][]int32{}}
	for _, i := range events {
		if i > end {
			break
		}
		c := none
		switch r.ev[i].Kind {
		case record.Send:
			c = r.to[r.msg[i]]
		case record.Recv:
		default:
			continue
		}
		if s.events[c] == nil {
			s.order = append(s.order, c)
		}
		s.events[c] = append(s.events[c], i)
	}
	return s
}

// noOrphans: no process depends on a nondeterministic event that could be
// forgotten. Always-no-orphans is: for every event e, if it is not stable, then
// Depend(e) ⊆ Log(e) (Alvisi and Marzullo, IEEE TSE 24(2) 1998, section 3). As
// the record does not tell who holds an unstable determinant, it is judged
// with Log(e) = the process of e itself: when another process receives a
// message, or the outside world sees an output, each determinant that its
// sender had met before is stable: by log_stable, or because the sender has
// committed a checkpoint since. Systems that log causally record log_stable as
// soon as enough processes hold the determinant.
func noOrphans(r *run, _ Options) checkers.Verdict {
	if r.kinds[record.Nondet] == 0 {
		return lacks("nondeterministic event")
	}
	stable := map[string]int32{}
	for i := range int32(len(r.ev)) {
		if e := &r.ev[i]; e.Kind == record.LogStable {
			if _, ok := stable[e.ID]; !ok {
				stable[e.ID] = i
			}
		}
	}
	d := &dependence{r: r, stable: stable, last: map[int32]int32{}, sent: map[int32]int32{}, output: map[[2]string]int32{}}
	d.settle()
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		switch e.Kind {
		case record.Send:
			d.sent[r.msg[i]] = i
		case record.Output:
			d.output[[2]string{e.Sink, e.ID}] = i
		case record.Recv:
			if v := d.seen(i, d.sent, r.msg[i]); v != nil {
				return *v
			}
		case record.OutputCommit:
			if o, ok := d.output[[2]string{e.Sink, e.ID}]; ok {
				if v := d.judge(i, o); v != nil {
					return *v
				}
			}
		}
	}
	return valid("%d determinants were stable before what depends on them was seen", r.kinds[record.Nondet])
}

// dependence knows for each event the determinant before it, in its
// incarnation, that becomes stable last.
type dependence struct {
	r      *run
	stable map[string]int32
	until  []int32 // event by which all determinants before are stable
	of     []int32 // the determinant that takes longest
	last   map[int32]int32
	sent   map[int32]int32
	output map[[2]string]int32
}

func (d *dependence) settle() {
	r := d.r
	d.until, d.of = make([]int32, len(r.ev)), make([]int32, len(r.ev))
	committed := map[int32]int32{}
	for c := range r.ckpts {
		if list := r.ckpts[c].commits; len(list) > 0 {
			committed[r.ckpts[c].begin] = list[0]
		}
	}
	for k := range r.incs {
		events := r.incs[k].events
		covered := make([]int32, len(events)+1)
		covered[len(events)] = int32(len(r.ev))
		for x := len(events) - 1; x >= 0; x-- {
			covered[x] = covered[x+1]
			if by, ok := committed[events[x]]; ok {
				covered[x] = min(covered[x], by)
			}
		}
		until, of := int32(-1), none
		for x, i := range events {
			d.until[i], d.of[i] = until, of
			if r.ev[i].Kind != record.Nondet {
				continue
			}
			by, ok := d.stable[r.ev[i].ID]
			if !ok {
				by = int32(len(r.ev))
			}
			if by = min(by, covered[x]); by > until {
				until, of = by, i
			}
		}
	}
}

func (d *dependence) seen(i int32, at map[int32]int32, m int32) *checkers.Verdict {
	s, ok := at[m]
	if !ok || d.r.from[m] == d.r.to[m] {
		return nil
	}
	return d.judge(i, s)
}

// judge: event i shows to others what its cause did.
func (d *dependence) judge(i, cause int32) *checkers.Verdict {
	r, by := d.r, d.until[cause]
	if by <= i || int(by) < len(r.ev) && r.ev[by].T <= r.ev[i].T {
		return nil
	}
	n := d.of[cause]
	quoted := []int32{n, cause, i}
	if int(by) < len(r.ev) {
		quoted = append(quoted, by)
	}
	v := r.violated("unstable", quoted, "%s depends on the event %s of %s, which was not on stable storage yet", r.ev[i].Kind, r.ev[n].ID, r.procs[r.proc[n]])
	return &v
}
