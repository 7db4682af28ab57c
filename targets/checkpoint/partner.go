package checkpoint

import "slices"

// partner is the level that is the memory of another worker: each worker keeps
// the parts of the one before it. What it keeps dies with its process.
type partner struct {
	w     *worker
	parts map[string]map[int][]byte // by worker and round, sealed
}

// name is who keeps this worker's parts.
func (p *partner) name() string {
	w := p.w
	return w.workers[(w.index+1)%len(w.workers)]
}

// put asks the partner to keep the part being saved.
func (p *partner) put(s *saving) {
	w := p.w
	s.sent = w.env.Now()
	w.env.Send(p.name(), Message{kind: partnerPut, epoch: w.epoch, round: s.round, body: seal(w.env.Self(), s.round, 0, s.blob)})
}

func (p *partner) receive(from string, m Message) {
	w := p.w
	switch m.kind {
	case partnerPut:
		if m.epoch != w.epoch || w.state != running || !p.keepsFor(from) {
			return // from another epoch: that round is over
		}
		if p.parts[from] == nil {
			p.parts[from] = map[int][]byte{}
		}
		p.parts[from][m.round] = m.body
		w.env.Send(from, Message{kind: partnerKept, epoch: m.epoch, round: m.round})
	case partnerKept:
		s := w.saving
		if s != nil && m.epoch == w.epoch && m.round == s.round && len(s.levels) > 0 && s.levels[0] == levelPartner {
			w.saved(s, len(s.blob), 0)
		}
	case partnerGet:
		b := p.parts[from][m.round]
		w.env.Send(from, Message{kind: partnerPart, seq: m.seq, round: m.round, found: b != nil, body: b})
	case partnerPart:
		w.loaded(m.seq, levelPartner, m.found, m.body)
	}
}

// keepsFor tells whether this worker is the partner of another.
func (p *partner) keepsFor(other string) bool {
	i := slices.Index(p.w.workers, other)
	return i >= 0 && (i+1)%len(p.w.workers) == p.w.index
}

// collect forgets the parts of rounds that are not kept, as local.keep does.
func (p *partner) collect(committed []int) {
	if len(committed) == 0 {
		return
	}
	last := committed[len(committed)-1]
	for _, rounds := range p.parts {
		for round := range rounds { // the order does not matter
			if round <= last && !contains(committed, round) {
				delete(rounds, round)
			}
		}
	}
}
