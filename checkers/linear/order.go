package linear

// orderedGroups is the name of the algorithm.
const orderedGroups = "ordered groups"

// placedAct is an act together with the group that observations put it in.
type placedAct struct {
	act   int32
	group int32
}

// backwards decides whether acts can be ordered if they are known to fall
// into groups one after the other, in any order within a group: they can
// unless one of a later group returned before one of an earlier group was
// called. It returns such a pair: late belongs to the later group and
// returned before early was called.
func backwards(acts []act, groups []placedAct, count int) (late, early int32, found bool) {
	first := make([]int32, count) // group → act that returns first
	last := make([]int32, count)  // group → act that is called last
	for g := range first {
		first[g], last[g] = -1, -1
	}
	for _, p := range groups {
		if f := first[p.group]; f < 0 || acts[p.act].ret < acts[f].ret {
			first[p.group] = p.act
		}
		if l := last[p.group]; l < 0 || acts[p.act].call > acts[l].call {
			last[p.group] = p.act
		}
	}
	before := int32(-1) // of all earlier groups, the act called last
	for g := range first {
		if first[g] < 0 {
			continue
		}
		if before >= 0 && acts[first[g]].ret < acts[before].call {
			return first[g], before, true
		}
		if before < 0 || acts[last[g]].call > acts[before].call {
			before = last[g]
		}
	}
	return 0, 0, false
}
