package models

import "context"

// often is after how many steps the context is looked at.
const often = 1 << 12

// watch tells long loops when their time is over. One goroutine uses it.
type watch struct {
	ctx   context.Context
	steps int
	late  bool
}

func newWatch(ctx context.Context) *watch { return &watch{ctx: ctx} }

// over counts steps, and reports whether time has run out. Once it has, it says
// so always. Every few thousand steps it looks at the context.
func (w *watch) over(steps int) bool {
	if w.steps += steps + 1; w.steps >= often {
		w.steps = 0
		w.late = w.late || w.ctx.Err() != nil
	}
	return w.late
}

// outOfTime is the verdict on a history that contradicts the model, if time
// ran out before it was clear how.
func outOfTime() judged {
	return unknown("time ran out while a violation was being explained")
}
