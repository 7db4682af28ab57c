package checkpoint

// chandyLamport is the distributed snapshot of Chandy and Lamport (ACM TOCS
// 3(1), 1985): a process captures its state when it is asked to, or when the
// first marker reaches it, sends markers in all its channels before anything
// else, and records what comes in each channel until that channel's marker.
// Nobody stops.
type chandyLamport struct{ snapshot }

func (c *chandyLamport) begin(round int) {
	if round > c.round {
		c.start(round)
	}
}

func (c *chandyLamport) marker(from, round int) {
	if !c.seen(from, round) {
		return
	}
	if round > c.round {
		c.w.abandon()
		c.start(round)
		return
	}
	c.check()
}

func (c *chandyLamport) arrived(from int, f frame) (hold bool) {
	if c.recording(from) {
		c.w.record(from, f)
	}
	return false
}

func (c *chandyLamport) blocked(int) bool { return false }
func (c *chandyLamport) stopped() bool    { return false }
