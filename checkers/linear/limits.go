package linear

// limits are the operations of unknown outcome that took effect by a certain
// event or never, by their index in the history. All others of unknown outcome
// may take effect at any later time.
//
// The exact algorithms stay exact: an operation that they keep although its
// outcome is unknown is one whose value somebody found and which alone can
// have set it, so that it did take effect, and its limit is a return like any
// other. Where this cannot be said, they do not apply, and the search, which
// knows operations that may be left out and have a return, decides.
type limits map[int32]int64

// of returns the return of an operation: its limit, or ret if it has none.
func (l limits) of(source int32, ret int64) int64 {
	if limit, ok := l[source]; ok {
		return limit
	}
	return ret
}

// bind gives operations their limits.
func (l limits) bind(ops []op) {
	if len(l) == 0 {
		return
	}
	for i := range ops {
		if ops[i].maybe {
			ops[i].ret = l.of(ops[i].source, ops[i].ret)
		}
	}
}
