package txn

// index finds the number of a written value by key and value: an open hash
// table of 16 bytes an entry, at most two thirds full.
type index struct {
	entries []entry
	mask    uint32
}

type entry struct {
	value  Value
	key    int32
	number int32 // from 1; 0: the place is free
}

func newIndex(values int) index {
	n := 16
	for n < values+values/2 {
		n *= 2
	}
	return index{make([]entry, n), uint32(n - 1)}
}

// hash mixes key and value; the constants are those of SplitMix64. Runs of 16
// values stay together: values are often counted, and neighbours are often
// looked up one after the other.
func (x *index) hash(key int32, v Value) uint32 {
	h := uint64(v>>4)*0x9e3779b97f4a7c15 + uint64(key)*0xbf58476d1ce4e5b9
	h = (h ^ h>>30) * 0x94d049bb133111eb
	return (uint32(h>>32)&^15 | uint32(v)&15) & x.mask
}

// put stores the number of a value, unless it has one already, which is then
// returned.
func (x *index) put(key int32, v Value, number int32) (other int32, free bool) {
	for at := x.hash(key, v); ; at = (at + 1) & x.mask {
		e := &x.entries[at]
		switch {
		case e.number == 0:
			*e = entry{v, key, number + 1}
			return number, true
		case e.value == v && e.key == key:
			return e.number - 1, false
		}
	}
}

// get returns the number of a value, or -1.
func (x *index) get(key int32, v Value) int32 {
	for at := x.hash(key, v); ; at = (at + 1) & x.mask {
		e := &x.entries[at]
		switch {
		case e.number == 0:
			return -1
		case e.value == v && e.key == key:
			return e.number - 1
		}
	}
}
