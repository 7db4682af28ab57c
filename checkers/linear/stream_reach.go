package linear

// reach is the s of zones in order of their f, as a tree in which a node has
// the greatest of those below it: one operation that is open for a long time
// keeps all zones after it, and no read may then look at each of them. The
// children of node n are 2n and 2n+1, the root is node 1, and places begin at
// the middle.
type reach []int64

// reachLeast is the least length of the tree, a power of two.
const reachLeast = 32

// set gives a place a value, and room to the places up to it.
func (r *reach) set(at int, s int64) {
	for at >= len(*r)/2 {
		r.grow()
	}
	t := *r
	n := len(t)/2 + at
	t[n] = s
	for n /= 2; n > 0; n /= 2 {
		greatest := max(t[2*n], t[2*n+1])
		if t[n] == greatest {
			return
		}
		t[n] = greatest
	}
}

// grow doubles the room.
func (r *reach) grow() {
	before := *r
	places := before[len(before)/2:]
	t := make(reach, max(reachLeast, 2*len(before)))
	for n := range t {
		t[n] = always
	}
	copy(t[len(t)/2:], places)
	for n := len(t)/2 - 1; n > 0; n-- {
		t[n] = max(t[2*n], t[2*n+1])
	}
	*r = t
}

// clear forgets all values, and the room if that is much more than what so
// many places need.
func (r *reach) clear(places int) {
	if len(*r) > 8*max(reachLeast, places) {
		*r = nil
		return
	}
	for n := range *r {
		(*r)[n] = always
	}
}

// first returns the first place whose value is greater than s, -1 if there is
// none.
func (r reach) first(s int64) int {
	if len(r) == 0 || r[1] <= s {
		return -1
	}
	n := 1
	for n < len(r)/2 {
		if n *= 2; r[n] <= s {
			n++
		}
	}
	return n - len(r)/2
}
