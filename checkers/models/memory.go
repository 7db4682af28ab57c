package models

import (
	"context"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// What a checker of this package keeps of a history at most, in bytes, beside
// vector clocks and what it concludes: for an operation; for one that was given
// or returned a list, set or map, besides; for an element of that; and for one
// within an element, as the messages of a poll are.
const (
	operationBytes  = 768
	collectionBytes = 1280
	elementBytes    = 24
	innerBytes      = 128
)

// Bytes of an entry of a vector clock, and of a conclusion with its edge.
const (
	clockBytes      = 4
	conclusionBytes = 64
)

// Bounded makes c, a checker of this package, unknown where it may need more
// bytes of memory than given, beside the history; 0 is no bound. What it needs
// is counted beforehand, from the numbers of operations, of elements and of
// sessions, so that the verdict is the same each time. The search of Predicates
// is bounded by the number of transactions only.
func Bounded(c checkers.Checker, memory int64) checkers.Checker {
	if memory == 0 {
		return c
	}
	return checkers.Func(c.Name(), func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
		need, elements := needs(e.Operations)
		if need > memory {
			return unknown("%s with %s may take %d bytes, and %d are allowed; allow more or cut the history",
				plural(len(e.Operations), "operation"), plural(elements, "element"), need, memory)
		}
		return c.Check(context.WithValue(ctx, memoryLeft{}, memory-need), e)
	})
}

// memoryLeft is the key of how many bytes clocks and conclusions may take.
type memoryLeft struct{}

// needs is what operations may take, and how many elements they have.
func needs(ops []history.Operation) (bytes int64, elements int) {
	for i := range ops {
		outer, inner := count(ops[i].Input)
		more, within := count(ops[i].Output)
		if outer, inner = outer+more, inner+within; outer > 0 {
			bytes += collectionBytes
		}
		elements += outer + inner
		bytes += int64(outer)*elementBytes + int64(inner)*innerBytes
	}
	return bytes + int64(len(ops))*operationBytes, elements
}

// count counts the elements of a value, and those within them.
func count(v history.Value) (outer, inner int) {
	if _, plain := v.Ints(); plain {
		return v.Len(), 0
	}
	within := func(v history.Value) {
		a, b := count(v)
		outer, inner = outer+1, inner+a+b
	}
	for _, e := range v.Elements() {
		within(e)
	}
	pairs, _ := v.AsMap()
	for _, p := range pairs {
		within(p.Value)
	}
	return outer, inner
}

// clocksIn returns how many entries clocks may have.
func clocksIn(ctx context.Context) int64 {
	if left, bounded := ctx.Value(memoryLeft{}).(int64); bounded {
		return min(maxClocks, left/2/clockBytes)
	}
	return maxClocks
}

// conclusionsIn returns how many conclusions may be drawn.
func conclusionsIn(ctx context.Context) int {
	if left, bounded := ctx.Value(memoryLeft{}).(int64); bounded {
		return int(min(maxConclusions, left/2/conclusionBytes))
	}
	return maxConclusions
}

// tooManyClocks says that so many operations of so many sessions need more
// clocks than there may be; it is empty if they do not.
func tooManyClocks(ctx context.Context, operations, sessions int) judged {
	if most := clocksIn(ctx); int64(operations)*int64(sessions) > most {
		return unknown("%s of %s need more than %d clocks", plural(operations, "operation"), plural(sessions, "session"), most)
	}
	return judged{}
}
