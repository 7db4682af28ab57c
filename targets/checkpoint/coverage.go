package checkpoint

// coverage is what the coordinator tells senders of messages that they need
// not keep. It follows the catalogue when all workers have heard of that: who
// has not may have a checkpoint in the catalogue and not know it, and nobody
// who looks at what processes know would find that checkpoint good enough to
// forget messages for.
type coverage struct {
	told    [][]uint64 // by worker and outgoing channel; nil before the first
	next    [][]uint64 // when all have heard of version
	version uint64
}

// cover moves the coverage on.
func (c *control) cover() {
	l := &c.ledger
	if l.Stable == nil {
		return
	}
	v := &c.coverage
	if v.next != nil && c.all(func(t beat) bool { return t.version >= v.version }) {
		v.told, v.next = v.next, nil
	}
	if v.next != nil || v.version == l.Version {
		return
	}
	v.version, v.next = l.Version, make([][]uint64, len(c.workers))
	for p := range v.next {
		for _, q := range c.links.tos[p] {
			v.next[p] = append(v.next[p], l.covered(c.links, p, q))
		}
	}
}

// order is what a worker is told.
func (c *control) order(i int) order {
	o := c.ledger.order(c.links, i)
	if c.coverage.told != nil {
		o.covered = c.coverage.told[i]
	}
	return o
}
