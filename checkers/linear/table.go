package linear

// table numbers the states of a model. Looking one up by what it holds is
// dear, so steps that were taken before are found by their numbers.
type table[K comparable] struct {
	ids   map[K]int32
	keys  []K
	bytes int64
	steps []step // a cache: its length is a power of two, and each step has one place
}

// step is that operation at leads from one state to another.
type step struct{ from, at, to int32 }

const (
	stepsLeast = 1 << 5
	stepsMost  = 1 << 14
	stepBytes  = 12
)

// place is where the step from a state by operation at is, if it is known.
func (t *table[K]) place(from, at int32) *step {
	h := (uint64(uint32(from))<<32 | uint64(uint32(at))) * 0x9e3779b97f4a7c15
	return &t.steps[h>>40&uint64(len(t.steps)-1)]
}

// known returns where operation at leads from a state if that is remembered.
func (t *table[K]) known(from, at int32) (to int32, ok bool) {
	s := t.place(from, at)
	return s.to, s.from == from && s.at == at+1
}

// leads is id for the state to which operation at leads from another, which
// it remembers.
func (t *table[K]) leads(from, at int32, k K, extra int) int32 {
	return t.note(from, at, t.id(k, extra))
}

// note remembers a step.
func (t *table[K]) note(from, at, to int32) int32 {
	*t.place(from, at) = step{from, at + 1, to}
	return to
}

// id returns the number of a state; extra is what it holds beside itself, in
// bytes.
func (t *table[K]) id(k K, extra int) int32 {
	if id, ok := t.ids[k]; ok {
		return id
	}
	if t.ids == nil {
		t.ids = map[K]int32{}
	}
	id := int32(len(t.keys))
	t.ids[k] = id
	t.keys = append(t.keys, k)
	t.bytes += 64 + int64(extra)
	if n := len(t.steps); n < stepsMost && n < 4*len(t.keys) {
		t.steps = make([]step, max(stepsLeast, 4*n))
		t.bytes += stepBytes * int64(len(t.steps))
	}
	return id
}

// Bytes implements search.Sizer.
func (t *table[K]) Bytes() int64 { return t.bytes }
