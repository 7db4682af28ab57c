package store

import (
	"fmt"
	"time"

	"github.com/cleancut/cleancut/harness/node"
)

// window is how many of the newest indices, terms and reads a monitor
// remembers. What is older is not checked any more.
const window = 8192

// newMonitors returns the invariants of figure 3 of the Raft paper (Ongaro
// and Ousterhout, "In Search of an Understandable Consensus Algorithm", ATC
// 2014; "leader append-only" is left out, since it follows from log matching
// for all that others can see), and that of ReadIndex. They take a few dozen
// nanoseconds per fact, and memory within the window.
func newMonitors() []node.Monitor {
	return []node.Monitor{
		&electionSafety{leaders: map[uint64]string{}},
		&logMatching{},
		&leaderCompleteness{logs: map[string]*logModel{}},
		&stateMachineSafety{last: map[string]uint64{}, diverged: map[string]bool{}},
		&readIndexSafety{reads: map[string]*readModel{}},
	}
}

// pageSize is how many slots are allocated at once: short runs, of which
// there are many, touch few.
const pageSize = 128

// paged is an array of window slots, whose pages come into being when they
// are first used.
type paged[T any] struct {
	pages [window / pageSize]*[pageSize]T
}

// slot returns the place of an index, modulo window.
func (a *paged[T]) slot(index uint64) *T {
	page := &a.pages[index%window/pageSize]
	if *page == nil {
		*page = new([pageSize]T)
	}
	return &(*page)[index%pageSize]
}

// ring keeps one T for each of the newest indices.
type ring[T any] struct{ slots paged[indexed[T]] }

type indexed[T any] struct {
	index uint64
	value T
}

// at returns the place of an index; fresh tells that it was not used yet, and
// is zero. It returns nil if the index has left the window.
func (r *ring[T]) at(index uint64) (value *T, fresh bool) {
	s := r.slots.slot(index)
	if index < s.index {
		return nil, false
	}
	if fresh = index > s.index; fresh {
		var zero T
		s.index, s.value = index, zero
	}
	return &s.value, fresh
}

// get returns what is known of an index, nil for nothing.
func (r *ring[T]) get(index uint64) *T {
	if s := r.slots.slot(index); s.index == index && index > 0 {
		return &s.value
	}
	return nil
}

// electionSafety: at most one leader is elected in a given term.
type electionSafety struct {
	leaders map[uint64]string
	newest  uint64
}

func (m *electionSafety) Name() string { return "election safety" }

func (m *electionSafety) Observe(_ time.Duration, name string, fact node.Fact) error {
	f, ok := fact.(*Fact)
	if !ok || f.Kind != FactElected {
		return nil
	}
	if other, taken := m.leaders[f.Term]; taken && other != name {
		return fmt.Errorf("%s became leader of term %d, which %s leads already", name, f.Term, other)
	}
	m.leaders[f.Term] = name
	if m.newest = max(m.newest, f.Term); len(m.leaders) > window {
		for term := range m.leaders { // all old ones go: their order does not matter
			if term+window/2 < m.newest {
				delete(m.leaders, term)
			}
		}
	}
	return nil
}

// logMatching: if two logs contain an entry with the same index and term,
// they are identical in all entries up to it. By induction it is enough that
// such entries are equal and follow entries of equal term.
type logMatching struct{ entries ring[[]logEntry] }

type logEntry struct {
	term, prevTerm, data uint64
	node                 string
}

func (m *logMatching) Name() string { return "log matching" }

func (m *logMatching) Observe(_ time.Duration, name string, fact node.Fact) error {
	f, ok := fact.(*Fact)
	if !ok || f.Kind != FactAppended {
		return nil
	}
	known, _ := m.entries.at(f.Index)
	if known == nil {
		return nil
	}
	for _, e := range *known {
		if e.term != f.Term {
			continue
		}
		// A term of 0 before a later entry than the first is not known: the
		// log was compacted up to it.
		if e.data != f.Data || e.prevTerm != f.PrevTerm && (e.prevTerm != 0 && f.PrevTerm != 0 || f.Index == 1) {
			return fmt.Errorf("%s has entry %d of term %d with digest %x after term %d; %s has it with digest %x after term %d",
				name, f.Index, f.Term, f.Data, f.PrevTerm, e.node, e.data, e.prevTerm)
		}
		return nil
	}
	*known = append(*known, logEntry{f.Term, f.PrevTerm, f.Data, name})
	return nil
}

// leaderCompleteness: what is committed in a term is in the logs of the
// leaders of all higher terms.
type leaderCompleteness struct {
	logs      map[string]*logModel
	committed ring[commitment]
	newest    uint64
}

// commitment is an entry of which a node at term known, or any before, knew
// that it is committed: it was committed in that term at the latest.
type commitment struct{ term, known uint64 }

// logModel is what a node's log holds, as far as the terms go.
type logModel struct {
	base  uint64 // index of terms[0]
	terms []uint64
}

func (l *logModel) append(index, term uint64) {
	if index < l.base+1 || index > l.base+uint64(len(l.terms)) {
		l.base, l.terms = index, append(l.terms[:0], term)
		return
	}
	l.terms = append(l.terms[:index-l.base], term)
	if len(l.terms) > 2*window {
		l.base += window
		l.terms = l.terms[:copy(l.terms, l.terms[window:])]
	}
}

func (m *leaderCompleteness) Name() string { return "leader completeness" }

func (m *leaderCompleteness) Observe(_ time.Duration, name string, fact node.Fact) error {
	f, ok := fact.(*Fact)
	if !ok {
		return nil
	}
	switch f.Kind {
	case FactStarted, FactReset:
		m.logs[name] = &logModel{base: f.Index, terms: []uint64{f.Term}}
	case FactAppended:
		if l := m.logs[name]; l != nil {
			l.append(f.Index, f.Term)
		}
	case FactApplied, FactRestored:
		c, fresh := m.committed.at(f.Index)
		if c == nil {
			return nil
		}
		if fresh || f.Known < c.known {
			*c = commitment{f.Term, f.Known}
		}
		m.newest = max(m.newest, f.Index)
	case FactElected:
		return m.elected(name, f.Term)
	}
	return nil
}

// elected checks the newest entry that was committed before the term; by log
// matching, those before it are there as well.
func (m *leaderCompleteness) elected(name string, term uint64) error {
	l := m.logs[name]
	if l == nil {
		return nil
	}
	for index := m.newest; index > 0 && index+window > m.newest; index-- {
		c := m.committed.get(index)
		if c == nil || c.known >= term {
			continue
		}
		if index < l.base {
			return nil // in its snapshot
		}
		if last := l.base + uint64(len(l.terms)) - 1; index > last {
			return fmt.Errorf("%s became leader of term %d with a log that ends at %d, although entry %d of term %d was committed by term %d",
				name, term, last, index, c.term, c.known)
		}
		if has := l.terms[index-l.base]; has != c.term {
			return fmt.Errorf("%s became leader of term %d with an entry %d of term %d, although the one of term %d was committed by term %d",
				name, term, index, has, c.term, c.known)
		}
		return nil
	}
	return nil
}

// stateMachineSafety: nodes apply equal entries at equal indices, one after
// the other, and their states are equal after them.
//
// A node whose state differs is reported once, for all that follows differs
// as well, and again after a restart.
type stateMachineSafety struct {
	applied  ring[application]
	last     map[string]uint64
	diverged map[string]bool
}

type application struct {
	term, data, state uint64
	entry             bool // term and data are known
	node              string
}

func (m *stateMachineSafety) Name() string { return "state machine safety" }

func (m *stateMachineSafety) Observe(_ time.Duration, name string, fact node.Fact) error {
	f, ok := fact.(*Fact)
	if !ok {
		return nil
	}
	switch f.Kind {
	case FactStarted:
		m.last[name] = f.Applied
		delete(m.diverged, name)
		return m.check(name, f.Applied, application{state: f.State, node: name})
	case FactRestored:
		m.last[name] = f.Index
		return m.check(name, f.Index, application{state: f.State, node: name})
	case FactApplied:
		if last, known := m.last[name]; known && f.Index != last+1 {
			return fmt.Errorf("%s applied entry %d after entry %d", name, f.Index, last)
		}
		m.last[name] = f.Index
		return m.check(name, f.Index, application{f.Term, f.Data, f.State, true, name})
	}
	return nil
}

func (m *stateMachineSafety) check(name string, index uint64, a application) error {
	if index == 0 {
		return nil
	}
	known, fresh := m.applied.at(index)
	switch {
	case known == nil:
	case fresh:
		*known = a
	case known.entry && a.entry && (known.term != a.term || known.data != a.data):
		return fmt.Errorf("%s applied entry %d of term %d with digest %x; %s applied one of term %d with digest %x there",
			name, index, a.term, a.data, known.node, known.term, known.data)
	case known.state != a.state:
		if m.diverged[name] {
			return nil
		}
		m.diverged[name] = true
		return fmt.Errorf("%s has state %x after entry %d; %s has state %x there", name, a.state, index, known.node, known.state)
	case !known.entry:
		*known = a
	}
	return nil
}

// readIndexSafety: a read is served from a state that is at least as new as
// what any node had applied when the read began, and not before that state is
// reached (Raft thesis, section 6.4). What is applied anywhere is committed,
// so the leader that confirms the read must know of it.
type readIndexSafety struct {
	newest uint64 // index applied anywhere
	reads  map[string]*readModel
}

type readModel struct{ began paged[readStart] }

type readStart struct{ number, newest uint64 }

func (m *readIndexSafety) Name() string { return "read index" }

func (m *readIndexSafety) Observe(_ time.Duration, name string, fact node.Fact) error {
	f, ok := fact.(*Fact)
	if !ok {
		return nil
	}
	switch f.Kind {
	case FactApplied, FactRestored:
		m.newest = max(m.newest, f.Index)
	case FactReadBegan:
		r := m.reads[name]
		if r == nil {
			r = &readModel{}
			m.reads[name] = r
		}
		*r.began.slot(f.Read) = readStart{f.Read, m.newest}
	case FactReadServed:
		r := m.reads[name]
		if r == nil {
			return nil
		}
		began := r.began.slot(f.Read)
		if began.number != f.Read {
			return nil
		}
		if f.Index < began.newest {
			return fmt.Errorf("%s serves a read at index %d, although %d had been applied when the read began", name, f.Index, began.newest)
		}
		if f.Applied < f.Index {
			return fmt.Errorf("%s serves a read at index %d, but has applied only up to %d", name, f.Index, f.Applied)
		}
	}
	return nil
}
