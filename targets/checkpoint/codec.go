package checkpoint

import (
	"encoding/binary"

	"github.com/cleancut/cleancut/harness/wire"
)

// reader reads values of this package.
type reader struct{ wire.Reader }

// appendNumbers appends a list with its length before it.
func appendNumbers(b []byte, list []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, n := range list {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func (r *reader) numbers() (list []uint64) {
	for range r.Count(1) {
		list = append(list, r.Uvarint())
	}
	return list
}

// appendNames appends names of checkpoints.
func appendNames(b []byte, list []int) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, n := range list {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// ascending reads names of checkpoints, each higher than the one before.
func (r *reader) ascending() (list []int) {
	for range r.Count(1) {
		n := r.Number()
		if k := len(list); n == 0 || k > 0 && n <= list[k-1] {
			r.Fail()
		}
		list = append(list, n)
	}
	return list
}

func (c counts) append(b []byte) []byte { return appendNumbers(appendNumbers(b, c.sent), c.received) }

func (r *reader) counts() counts { return counts{r.numbers(), r.numbers()} }
