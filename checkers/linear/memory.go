package linear

import (
	"fmt"
	"math"

	"github.com/cleancut/cleancut/harness/history"
)

// What judging takes beside the search is counted before it is allocated, by
// bounds that hold for every object, so that the same history always gets the
// same answer. All that is allocated counts, not only what is alive at once,
// for garbage is memory, too, until it is collected.
const (
	groupBytes    = 8   // an operation's place in its part
	glimpseBytes  = 32  // a glimpse of an operation on a list
	keyBytes      = 768 // a part, its verdict and its tables
	splitBytes    = 48  // an operation of a key that may fall into parts
	registerBytes = 176 // an operation on a register, in the exact algorithm
	actBytes      = 320 // an operation on another object, or in a search
	elementBytes  = 16  // an element of a list
	otherBytes    = 320 // a value that is not an integer
	strangerBytes = 320 // an element of a list that nobody appended
)

// each is what judging an operation may take.
func (c checker) each() int64 {
	if _, ok := c.object.(registers); ok && c.o.Algorithm == Automatic {
		return registerBytes
	}
	return actBytes
}

// bytes is what judging a part may take.
func (c checker) bytes(p *part) int64 {
	return c.each()*int64(len(p.at)) + keyBytes + p.extra
}

// glances reports whether lists are to be glanced at first, and there is memory
// for that.
func (c checker) glances(operations int) bool {
	switch o := c.object.(type) {
	case logs:
	case structure:
		if _, ok := o.rules.(lists); !ok {
			return false
		}
	default:
		return false
	}
	return c.o.Algorithm == Automatic && len(c.limits) == 0 && c.common(operations, 1)+glimpseBytes*int64(operations) <= c.o.Memory/2
}

// common is what all parts take together before any is judged, but for
// splitting them.
func (c checker) common(operations, parts int) int64 {
	each := int64(groupBytes)
	if s, ok := c.object.(structure); ok {
		if _, ok := s.rules.(splitter); ok {
			each += splitBytes
		}
	}
	return each*int64(operations) + keyBytes*int64(parts)
}

// What the models of durability add, for each operation.
const (
	operationBytes = 160 // a copy of it
	cutBytes       = 40  // its place in the cuts
	setterBytes    = 120 // beside its value, if it set one
	limitBytes     = 160 // if its outcome is unknown
	successorBytes = 40  // its place among those of its node
)

// cutsBytes is what cuts and the history of an era may take.
func cutsBytes(ops []history.Operation) int64 {
	bytes, text := int64(0), []byte{}
	for i := range ops {
		bytes += operationBytes + cutBytes
		if v, writes := written(&ops[i]); writes && ops[i].Outcome != history.Fail {
			text = v.AppendJSON(text[:0])
			bytes += setterBytes + int64(len(ops[i].Key)+len(text))
		}
	}
	return bytes
}

// limitsBytes is what limits may take.
func limitsBytes(ops []history.Operation) int64 {
	bytes := int64(0)
	for i := range ops {
		if bytes += successorBytes; ops[i].Outcome == history.Info {
			bytes += limitBytes
		}
	}
	return bytes
}

// tooLarge says that something does not fit.
func tooLarge(what string, needs, allowed int64) error {
	return fmt.Errorf("%s may take %d MiB of memory to judge, and %d are allowed", what, mebibytes(needs), max(0, allowed)>>20)
}

func mebibytes(n int64) int64 { return int64(math.Ceil(float64(n) / (1 << 20))) }
