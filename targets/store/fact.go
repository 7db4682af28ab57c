package store

import "encoding/binary"

// FactKind says what a Fact is about.
type FactKind uint8

// The kinds of facts. Each names the fields that it sets.
const (
	// FactStarted: a new incarnation's log begins after (Index, Term), and
	// its state is that after Applied, with digest State.
	FactStarted FactKind = iota + 1
	// FactAppended: the log has the entry (Index, Term) with digest Data
	// after one of term PrevTerm, and nothing after it.
	FactAppended
	// FactElected: the node is leader of Term.
	FactElected
	// FactApplied: the entry (Index, Term) with digest Data was applied; the
	// state has digest State. Known is the node's term.
	FactApplied
	// FactReset: the log was discarded for a snapshot; it goes on after
	// (Index, Term).
	FactReset
	// FactRestored: the state was replaced by the snapshot at (Index, Term);
	// it has digest State. Known is the node's term.
	FactRestored
	// FactReadBegan: the read with number Read arrived.
	FactReadBegan
	// FactReadServed: the read with number Read is being answered from the
	// state after Applied, because its read index is Index.
	FactReadServed
)

// Fact is what a node tells the invariants about itself.
type Fact struct {
	Kind                  FactKind
	Index, Term, PrevTerm uint64
	Data, State           uint64
	Known                 uint64
	Read, Applied         uint64
}

// AppendBinary implements node.Fact.
func (f *Fact) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, byte(f.Kind))
	b = binary.LittleEndian.AppendUint64(b, f.Index)
	b = binary.LittleEndian.AppendUint64(b, f.Term)
	switch f.Kind {
	case FactStarted:
		b = binary.LittleEndian.AppendUint64(b, f.Applied)
		b = binary.LittleEndian.AppendUint64(b, f.State)
	case FactAppended:
		b = binary.LittleEndian.AppendUint64(b, f.PrevTerm)
		b = binary.LittleEndian.AppendUint64(b, f.Data)
	case FactApplied, FactRestored:
		b = binary.LittleEndian.AppendUint64(b, f.Data)
		b = binary.LittleEndian.AppendUint64(b, f.State)
		b = binary.LittleEndian.AppendUint64(b, f.Known)
	case FactReadBegan, FactReadServed:
		b = binary.LittleEndian.AppendUint64(b, f.Read)
		b = binary.LittleEndian.AppendUint64(b, f.Applied)
	}
	return b, nil
}
