package graph

import (
	"context"
	"errors"
)

// Why a search ends before it is complete, besides the error of its context.
var (
	ErrSteps  = errors.New("the steps are used up")
	ErrMemory = errors.New("the memory is used up")
)

// pollSteps is how many steps are followed between two looks at the context.
const pollSteps = 4096

// Budget is what a search may cost: edges followed, so that what it finds does
// not depend on the machine, and bytes, of which all that are ever taken
// count; its context may end it earlier. A budget serves one search after the
// other, and one only at a time.
type Budget struct {
	ctx    context.Context
	steps  int
	memory int64
	poll   int // the steps that are left when the context is looked at next
	err    error
}

// NewBudget returns a budget of so many steps and bytes.
func NewBudget(ctx context.Context, steps int, memory int64) *Budget {
	return &Budget{ctx: ctx, steps: steps, memory: memory, poll: steps}
}

// Err says why searches must end, and is nil while they may go on.
func (b *Budget) Err() error {
	switch {
	case b.err != nil:
	case b.steps <= 0:
		b.err = ErrSteps
	case b.steps <= b.poll:
		b.poll = b.steps - pollSteps
		b.err = b.ctx.Err()
	}
	return b.err
}

// Memory returns how many bytes are left.
func (b *Budget) Memory() int64 { return b.memory }

// take deducts bytes, and reports whether there were as many.
func (b *Budget) take(bytes int64) bool {
	b.memory -= bytes
	if b.memory < 0 && b.err == nil {
		b.err = ErrMemory
	}
	return b.err == nil
}
