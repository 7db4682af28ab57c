package harness

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// Bounds of the steps that bring a run to its end, on the wall clock. A runtime
// bounds its own calls, too; these hold for one that does not, and for the sum
// of them all. A simulation needs none: nothing there can hang unnoticed.
const (
	// healMax bounds the healing of all faults together.
	healMax = 40 * time.Second
	// statusMax bounds one question to a node, which has a second to answer.
	statusMax = 3 * time.Second
	// clientsMax bounds, beyond the time that an operation may take, how long
	// the clients take to stop; finalMax the same for the final reads, beyond
	// finalReadsMax.
	clientsMax = 10 * time.Second
	finalMax   = 5 * time.Second
	// collectMax bounds each kind of evidence that is collected.
	collectMax = 30 * time.Second
	// interruptedMax bounds all of that together from an interruption on, and
	// interruptedHealMax healing alone, so that evidence gets its share.
	interruptedMax     = 10 * time.Second
	interruptedHealMax = 5 * time.Second
	// interruptedJudgeMax bounds the judging of a run that was interrupted.
	interruptedJudgeMax = 3 * time.Second
	// boundGrace is how long a call may take to notice that its context ended.
	boundGrace = 300 * time.Millisecond
)

// What a node is asked at the end that gives no status. Checkers know what
// that proves: see checkers.Liveness.
const (
	askTries  = 11
	downTries = 3 // in a row that say that the process does not run
	askPause  = time.Second
)

// afterInterrupt returns a context that outlives an interruption of ctx by no
// more than limit.
func afterInterrupt(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	on, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		late := time.NewTimer(limit)
		defer late.Stop()
		select {
		case <-late.C:
			cancel()
		case <-on.Done():
		}
	})
	return on, func() { stop(); cancel() }
}

// afterInterrupt is the same in real time. In a simulation everything comes to
// an end by itself, and only so the same way each time.
func (t *trial) afterInterrupt(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if t.deterministic {
		return context.WithCancel(context.WithoutCancel(ctx))
	}
	return afterInterrupt(ctx, t.scaled(limit))
}

// scaled is a bound as it holds for this run: tests do not wait for whole ones.
func (t *trial) scaled(limit time.Duration) time.Duration {
	return limit / time.Duration(max(1, t.haste))
}

// within calls f with a context that ends after limit, and returns at the
// latest then, even if f does not: what it returns later is dropped. So f must
// not touch what others use. The error then wraps cluster.ErrUnreachable.
func within[T any](ctx context.Context, t *trial, what string, limit time.Duration, f func(ctx context.Context) (T, error)) (T, error) {
	if t.deterministic {
		return f(ctx)
	}
	limit = t.scaled(limit)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: fmt.Errorf("%s ended its goroutine", what)}
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("%s panicked: %v\n%s", what, p, debug.Stack())
			}
			done <- a
		}()
		a.value, a.err = f(ctx)
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
	}
	late := time.NewTimer(t.scaled(boundGrace))
	defer late.Stop()
	select {
	case a := <-done:
		return a.value, a.err
	case <-late.C:
		var none T
		return none, fmt.Errorf("%s did not come to an end within %v: %w", what, limit, cluster.ErrUnreachable)
	}
}

// bounded is within for what returns nothing but an error.
func (t *trial) bounded(ctx context.Context, what string, limit time.Duration, f func(ctx context.Context) error) error {
	_, err := within(ctx, t, what, limit, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}

// unreachable tells that the harness could not do what it wanted, whatever
// state the system under test is in.
func unreachable(err error) bool {
	return errors.Is(err, cluster.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded)
}

// onlyDown tells that all there is to say is that a process does not run.
func onlyDown(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			if !onlyDown(e) {
				return false
			}
		}
		return true
	}
	if inner := errors.Unwrap(err); inner != nil {
		return onlyDown(inner)
	}
	return errors.Is(err, cluster.ErrDown)
}
