package checkpoint

// aligned is the barrier protocol of stream processors (Carbone et al.,
// "Lightweight Asynchronous Snapshots for Distributed Dataflows", 2015), for
// jobs whose channels form no cycle. The sources capture their states when
// they are asked to and send barriers; every other process blocks a channel
// whose barrier has come until those of all its channels have, and captures
// its state then. There is no channel state to save: what waits in a blocked
// channel was sent after the cut.
type aligned struct{ snapshot }

func (a *aligned) begin(round int) {
	if round > a.round && len(a.w.froms) == 0 {
		a.start(round)
	}
}

func (a *aligned) marker(from, round int) {
	if !a.seen(from, round) {
		return
	}
	if round > a.round {
		a.w.abandon()
		a.join(round)
	}
	if a.waiting == 0 {
		a.start(round)
	}
}

func (a *aligned) arrived(int, frame) (hold bool) { return false }

func (a *aligned) blocked(from int) bool { return a.open && a.waiting > 0 && a.came[from] == a.round }

func (a *aligned) stopped() bool { return false }

// unaligned differs in that a process captures its state at the first barrier
// and blocks nothing: what comes in the other channels before their barriers
// is saved as channel state. (That of Flink, FLIP-76, also lets barriers
// overtake what waits in the sender's buffers; here they do not.)
type unaligned struct{ chandyLamport }

func (u *unaligned) begin(round int) {
	if len(u.w.froms) == 0 {
		u.chandyLamport.begin(round)
	}
}
