package checkpoint

// cic is communication-induced checkpointing by index (Briatico, Ciuffoletti
// and Simoncini, SRDS 1984): every checkpoint has an index, which goes with
// every message that is sent after it; a checkpoint that a worker takes when
// it likes has the next one, and a message with a higher index than the last
// checkpoint's forces one with that index before it is delivered. Then no
// message goes from an interval to one of a lower index, so that the first
// checkpoints of everybody with an index of at least k make a consistent line,
// for every k, and none is useless: no domino effect.
//
// That is so for checkpoints that are there to be restored: a message waits
// until the one that it forces is in the catalogue. While one is on its way, a
// failure would leave a useless one elsewhere.
type cic struct {
	*soloist
	stable int // index of the newest checkpoint in the catalogue
}

func (c *cic) due() { c.capture(c.index+1, false) }

func (c *cic) listed() { c.stable = c.index }

func (c *cic) restored(p *part) { c.stable = p.index }

// blocked holds back what would be delivered too early, and takes care that
// it will not be for long.
func (c *cic) blocked(from int) bool {
	w := c.w
	in := w.ins[from]
	if len(in.pending) == 0 || w.cfg.Bug == forcedAfterDelivery {
		return false
	}
	f := in.pending[0]
	if f.msg <= in.msgs || f.index <= c.stable {
		return false
	}
	if c.part == nil {
		w.env.Point("cic.forced")
		c.capture(f.index, true)
	}
	return true
}

func (c *cic) deliver(from int, f frame) {
	c.soloist.deliver(from, f)
	if c.w.cfg.Bug == forcedAfterDelivery && f.index > c.index {
		c.capture(f.index, true)
	}
}
