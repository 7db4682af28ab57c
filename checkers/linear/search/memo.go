package search

import "runtime"

// hash is a 128-bit Zobrist hash (Zobrist, "A New Hashing Method with
// Application for Game Playing", 1970): the exclusive or of a random number
// for each element.
type hash struct{ a, b uint64 }

func (h hash) xor(g hash) hash { return hash{h.a ^ g.a, h.b ^ g.b} }

// Mix is the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
func Mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// ofOp and ofState are the random numbers of operations and states.
func ofOp(op int32) hash {
	x := uint64(uint32(op))
	return hash{Mix(x*0x9e3779b97f4a7c15 + 0x632be59bd9b4e019), Mix(x*0xd1342543de82ef95 + 0x2545f4914f6cdd1d)}
}

func ofState(state int32) hash {
	x := uint64(uint32(state)) | 1<<40
	return hash{Mix(x*0x9e3779b97f4a7c15 + 0x8cb92ba72f3d8dd7), Mix(x*0xd1342543de82ef95 + 0xa0761d6478bd642f)}
}

// memo is a set of hashes with open addressing, at most three quarters full.
type memo struct {
	slots []hash // length is a power of two; the zero hash is a free slot
	n     int
}

const (
	memoSmallest = 64
	hashBytes    = 16
)

func newMemo() memo { return memo{slots: make([]hash, memoSmallest)} }

// full reports whether the next add must be preceded by grow.
func (m *memo) full() bool { return m.n*4 >= len(m.slots)*3 }

// grown is how many bytes the memo takes while it grows: the old table, a new
// one, and smaller ones that are not collected yet.
func (m *memo) grown() int64 { return int64(len(m.slots)) * (m.factor() + 2) * hashBytes }

// memoSmall is the length below which a table grows fourfold, not twofold:
// that costs little memory, and spares half of the time for moving what is in
// it.
const memoSmall = 1 << 13

func (m *memo) factor() int64 {
	if len(m.slots) < memoSmall {
		return 4
	}
	return 2
}

func (m *memo) bytes() int64 { return int64(len(m.slots)) * hashBytes }

// memoKept is the length up to which a table is cleared rather than replaced.
const memoKept = 1 << 18

// forget empties the memo.
func (m *memo) forget() {
	if m.n = 0; len(m.slots) <= memoKept {
		clear(m.slots)
		return
	}
	m.slots = make([]hash, memoSmallest)
	runtime.GC() // or the next table would come on top of this one
}

func (m *memo) grow() {
	old := m.slots
	m.slots, m.n = make([]hash, m.factor()*int64(len(old))), 0
	for _, h := range old {
		if h != (hash{}) {
			m.add(h)
		}
	}
}

// add puts h into the set and reports whether it was new.
func (m *memo) add(h hash) bool {
	if h == (hash{}) {
		h.b = 1
	}
	mask := uint64(len(m.slots) - 1)
	for i := h.a & mask; ; i = (i + 1) & mask {
		switch m.slots[i] {
		case h:
			return false
		case hash{}:
			m.slots[i] = h
			m.n++
			return true
		}
	}
}
