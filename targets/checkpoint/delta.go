package checkpoint

import (
	"bytes"
	"encoding/binary"

	"github.com/cleancut/cleancut/harness/wire"
)

// deltaBlock is the unit of incremental checkpoints, in bytes: blocks that are
// as they were in the base are left out.
const deltaBlock = 64

// delta says how next differs from base: its length, and the blocks that
// changed.
func delta(base, next []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(next)))
	for at := 0; at < len(next); at += deltaBlock {
		block := next[at:min(at+deltaBlock, len(next))]
		if at+len(block) <= len(base) && bytes.Equal(block, base[at:at+len(block)]) {
			continue
		}
		b = binary.AppendUvarint(b, uint64(at/deltaBlock))
		b = append(b, block...)
	}
	return b
}

// applyDelta is the inverse of delta. It reports false if d is none.
func applyDelta(base, d []byte) ([]byte, bool) {
	r := reader{wire.Over(d)}
	size := r.Number()
	if r.Failed() || size > bodyMax {
		return nil, false
	}
	next := make([]byte, size)
	copy(next, base)
	for r.Left() > 0 {
		at := r.Number() * deltaBlock
		if r.Failed() || at >= size {
			return nil, false
		}
		n := min(deltaBlock, size-at)
		if r.Left() < n {
			return nil, false
		}
		copy(next[at:], r.Take(n))
	}
	return next, true
}
