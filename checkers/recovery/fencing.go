package recovery

import (
	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/record"
)

// fencing: what is done by an incarnation after the next one has begun, or in
// an epoch that a recovery has ended, has no effect.
//
//   - No process receives a message whose every sending has been undone, or was
//     done by a zombie, once it knows of the epoch of the recovery that undid
//     it (without epochs: once that recovery has restored it, too). A sender
//     that replays a log may still send it again before its replay ends; then
//     it is no violation.
//   - No output becomes visible by the hand of a zombie, or in an epoch older
//     than one in which an output became visible in that sink before.
//     Outputs with a transaction are not: who commits it does not matter
//     (output-commit and exactly-once judge them).
//   - No round is committed by a zombie, or in an epoch older than that of a
//     recovery that was decided before and took an older round, unless the
//     commit had been told of before. (A recovery that took the round knew of
//     the commit, which was only told of late.)
//   - The epoch of a process does not go back.
//
// Events with equal times are not taken to be in order. Without a restore and
// without epochs there is nothing to judge. Source: incarnation numbers of
// Strom and Yemini 1985; fencing tokens as in Kafka's KIP-98.
func fencing(r *run, _ Options) checkers.Verdict {
	epochs := false
	for i := range r.ev {
		epochs = epochs || r.ev[i].Epoch > 0
	}
	if r.kinds[record.Restore] == 0 && !epochs {
		return lacks("restore and no epoch")
	}
	f := &fence{r: r, epoch: map[int32]int{}, epochAt: map[int32]int32{}, sink: map[string]int32{}, sends: map[int32][]int32{}, decided: none, committed: map[int]bool{}}
	for i := range int32(len(r.ev)) {
		r.tick()
		if v := f.judge(i); v != nil {
			return *v
		}
	}
	v := valid("%d messages and outputs came from incarnations and epochs that were not over; %d of zombies had no effect", f.judged, f.zombies)
	v.Measures = map[string]float64{"zombie_events": float64(f.zombies)}
	return v
}

type fence struct {
	r               *run
	epoch           map[int32]int   // of each process
	epochAt         map[int32]int32 // the event that told it
	sink            map[string]int32
	sends           map[int32][]int32
	decided         int32        // the recovery with the greatest epoch
	committed       map[int]bool // rounds of which a commit has been told
	judged, zombies int
}

// zombie reports whether an incarnation later than that of the event had begun.
func (f *fence) zombie(i int32) bool {
	lives := f.r.lives[f.r.proc[i]]
	for x := len(lives) - 1; x >= 0 && lives[x] > f.r.inc[i]; x-- {
		if begin := f.r.incs[lives[x]].events[0]; begin < i && f.r.ev[begin].T < f.r.ev[i].T {
			return true
		}
	}
	return false
}

func (f *fence) judge(i int32) *checkers.Verdict {
	r, e, p := f.r, &f.r.ev[i], f.r.proc[i]
	zombie := e.Kind != record.Crash && f.zombie(i)
	if zombie {
		f.zombies++
	}
	bad := func(class string, also []int32, format string, args ...any) *checkers.Verdict {
		v := r.violated(class, append(also, i), format, args...)
		return &v
	}
	if e.Epoch > 0 && !zombie {
		if e.Epoch < f.epoch[p] && e.Kind != record.OutputCommit {
			return bad("epoch-back", []int32{f.epochAt[p]}, "%s was in epoch %d and is in epoch %d", e.Proc, f.epoch[p], e.Epoch)
		}
		if e.Epoch > f.epoch[p] && e.Kind != record.OutputCommit {
			f.epoch[p], f.epochAt[p] = e.Epoch, i
		}
	}
	switch e.Kind {
	case record.Send:
		f.sends[r.msg[i]] = append(f.sends[r.msg[i]], i)
	case record.Recv:
		f.judged++
		if !zombie {
			return f.received(i, r.msg[i])
		}
	case record.Recovery:
		if f.decided == none || r.ev[f.decided].Epoch < e.Epoch {
			f.decided = i
		}
	case record.RoundCommit:
		if zombie {
			return bad("zombie", []int32{r.lastBegin(p, i)}, "round %d was committed by an incarnation of %s that was over", e.Round, e.Proc)
		}
		if f.committed[e.Round] {
			return nil
		}
		f.committed[e.Round] = true
		if d := f.decided; d != none && e.Epoch > 0 && e.Epoch < r.ev[d].Epoch && e.Round > r.ev[d].Round && r.ev[d].T < e.T {
			return bad("old-epoch", []int32{d}, "round %d was committed in epoch %d, after a recovery to epoch %d had been decided", e.Round, e.Epoch, r.ev[d].Epoch)
		}
	case record.OutputCommit:
		f.judged++
		if zombie {
			return bad("zombie", []int32{r.lastBegin(p, i)}, "output %s became visible in %s by an incarnation of %s that was over", e.ID, e.Sink, e.Proc)
		}
		if e.Txn != "" {
			return nil
		}
		if before, ok := f.sink[e.Sink]; ok && e.Epoch > 0 && e.Epoch < r.ev[before].Epoch && r.ev[before].T < e.T {
			return bad("old-epoch", []int32{before}, "output %s of epoch %d became visible in %s after one of epoch %d", e.ID, e.Epoch, e.Sink, r.ev[before].Epoch)
		}
		if before, ok := f.sink[e.Sink]; !ok || r.ev[before].Epoch < e.Epoch {
			f.sink[e.Sink] = i
		}
	}
	return nil
}

// lastBegin is the event that began the incarnation of p that ran at an event.
func (r *run) lastBegin(p, event int32) int32 {
	begin := none
	for _, k := range r.lives[p] {
		if b := r.incs[k].events[0]; b < event {
			begin = b
		}
	}
	return begin
}

// received judges a receipt: some sending of the message has to be in the
// present history of its sender, or the receiver cannot know better.
func (f *fence) received(i, m int32) *checkers.Verdict {
	r := f.r
	from := r.from[m]
	now := r.present(from, i)
	for _, s := range f.sends[m] {
		if r.contains(now, s) {
			return nil
		}
	}
	if len(f.sends[m]) == 0 || now.inc == none {
		return nil // received at the very time of its sending
	}
	in := &r.incs[now.inc]
	begin := in.events[0]
	if r.ev[begin].Kind != record.Restore || !f.knows(i, now.inc) || f.replays(in, m) {
		return nil
	}
	quoted := append([]int32{begin, i}, f.sends[m]...)
	v := r.violated("undone-message", quoted, "%s received the message %s, whose sending by %s had been undone by the restore at %s", r.ev[i].Proc, r.msgs[m], r.procs[from], history.At(r.ev[begin].T))
	return &v
}

// knows reports whether the receiver at event i knows of the recovery that
// incarnation k is part of.
func (f *fence) knows(i, k int32) bool {
	r := f.r
	begin := &r.ev[r.incs[k].events[0]]
	if begin.Epoch > 0 {
		return r.ev[i].Epoch >= begin.Epoch
	}
	v := r.incs[k].recovery
	if v == none || r.ev[i].T <= begin.T {
		return false
	}
	own := r.incs[r.inc[i]].recovery
	return own != none && own >= v
}

// replays reports whether an incarnation sends a message again before it says
// that its replay has ended, or has not said so yet.
func (f *fence) replays(in *incarnation, m int32) bool {
	end, ok := f.r.first(in, record.ReplayEnd)
	if !ok {
		return false
	}
	for _, i := range in.events {
		if i > end {
			break
		}
		if f.r.msg[i] == m && f.r.ev[i].Kind == record.Send {
			return true
		}
	}
	return false
}

// indexBased: in index-based communication-induced checkpointing (Briatico,
// Ciuffoletti and Simoncini 1984) every checkpoint of a process has an index,
// each message carries the index of its sender, and a process that gets a
// higher one takes a forced checkpoint with it before it delivers.
//
//   - The indices of a process do not go back in a history.
//   - A message carries the index of the last checkpoint of its sender.
//   - No message is received in an interval of a lower index than the one that
//     it was sent in. Then for each k the first checkpoints with an index of at
//     least k make a consistent line.
func indexBased(r *run, _ Options) checkers.Verdict {
	index := make([]int, len(r.ev)) // of the last checkpoint before each event
	any := false
	for k := range r.incs {
		in := &r.incs[k]
		now := 0
		if in.from.inc != none {
			if c, ok := r.ckptOf[in.proc][r.ev[in.events[0]].Ckpt]; ok {
				now = r.ev[r.ckpts[c].begin].Index
			}
		}
		for _, i := range in.events {
			e := &r.ev[i]
			index[i] = now
			if e.Kind != record.CheckpointBegin {
				continue
			}
			any = any || e.Index > 0
			if e.Index < now {
				return r.violated("index-back", []int32{i}, "%s takes checkpoint %s with index %d after one with index %d", e.Proc, e.Ckpt, e.Index, now)
			}
			now = e.Index
		}
	}
	if !any {
		return lacks("checkpoint with an index")
	}
	sent := map[int32]int32{}
	received := 0
	for i := range int32(len(r.ev)) {
		e := &r.ev[i]
		switch e.Kind {
		case record.Send:
			sent[r.msg[i]] = i
			if e.Index > 0 && e.Index != index[i] {
				return r.violated("index-sent", []int32{i}, "%s sends %s with index %d; its last checkpoint has %d", e.Proc, e.Msg, e.Index, index[i])
			}
		case record.Recv:
			s, ok := sent[r.msg[i]]
			if !ok {
				continue
			}
			received++
			if index[s] > index[i] {
				return r.violated("index", []int32{s, i}, "%s received %s, sent with index %d, when its own was %d: a forced checkpoint is missing", e.Proc, e.Msg, index[s], index[i])
			}
		}
	}
	if received == 0 {
		return lacks("message that was received")
	}
	return valid("no index is higher than its receiver's in %d messages", received)
}
