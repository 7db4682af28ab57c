package linear

// pastCells are values of which nothing is held but that they were there: a
// bit for an integer, 16 bytes for another.
type pastCells struct {
	ints   numbers
	others map[[16]byte]struct{}
}

func newPastCells() pastCells {
	return pastCells{ints: numbers{}, others: map[[16]byte]struct{}{}}
}

func (p *pastCells) has(c cell) bool {
	if c.text == intCell {
		return p.ints.has(c.n)
	}
	_, ok := p.others[c.digest()]
	return ok
}

func (p *pastCells) add(c cell) {
	if c.text == intCell {
		p.ints.add(c.n)
	} else {
		p.others[c.digest()] = struct{}{}
	}
}

func (p *pastCells) bytes() int64 {
	return streamWordBytes * int64(len(p.ints)+len(p.others))
}
