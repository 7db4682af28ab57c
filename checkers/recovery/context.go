package recovery

import (
	"context"
	"fmt"
)

// often is after how many steps a check looks at its context.
const often = 1 << 12

// interrupted ends a check whose context is over. It is thrown from deep
// within the check, and never leaves this package.
type interrupted struct{ cause error }

// clock counts the steps of one check.
type clock struct {
	ctx   context.Context
	steps int
}

func (c *clock) tick() {
	if c == nil {
		return
	}
	if c.steps++; c.steps%often == 0 {
		if err := c.ctx.Err(); err != nil {
			panic(interrupted{fmt.Errorf("time ran out after %d steps: %w", c.steps, err)})
		}
	}
}

// tick is called wherever a check does something once for each event, message
// or checkpoint.
func (r *run) tick() { r.clock.tick() }

// in is the same run for a check within a context.
func (r *run) in(ctx context.Context) *run {
	mine := *r
	mine.clock = &clock{ctx: ctx}
	return &mine
}

// caught turns an interruption into an error, and lets other panics be.
func caught(err *error) {
	switch p := recover().(type) {
	case nil:
	case interrupted:
		*err = p.cause
	default:
		panic(p)
	}
}
