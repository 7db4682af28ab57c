package checkpoint

// coordinated is the blocking protocol of the textbooks: all processes stop,
// the channels are drained, the states are saved, and all go on when the round
// has been committed or aborted. A process stops when it is asked to, or when
// another's marker shows that it has been; a channel is drained when its marker
// has come, since channels are first in, first out. What is drained was sent
// and not yet received by the stopped job: it is saved as channel state, and
// handed to the job when that goes on.
type coordinated struct{ snapshot }

func (c *coordinated) begin(round int) {
	if round > c.round {
		c.w.stop(round)
		c.start(round)
	}
}

func (c *coordinated) marker(from, round int) {
	if !c.seen(from, round) {
		return
	}
	if round > c.round {
		c.w.abandon()
		c.w.stop(round)
		c.start(round)
		return
	}
	c.check()
}

func (c *coordinated) arrived(from int, f frame) (hold bool) {
	if c.recording(from) {
		c.w.record(from, f)
	}
	return c.open
}

func (c *coordinated) end(round int, committed bool) {
	if round < c.round {
		return
	}
	stopped := c.open
	c.snapshot.end(round, committed)
	if stopped {
		c.w.proceed(round)
	}
}

func (c *coordinated) blocked(int) bool { return false }
func (c *coordinated) stopped() bool    { return c.open }
