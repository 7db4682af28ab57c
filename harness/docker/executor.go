package docker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// stragglers is how long activities have to return when the run is over.
const stragglers = 3 * time.Second

// executor runs activities as goroutines in real time.
type executor struct {
	start  time.Time
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	tasks map[*task]struct{}
	panic error // the first
}

var _ cluster.Executor = (*executor)(nil)

func newExecutor(ctx context.Context) *executor {
	e := &executor{start: time.Now(), tasks: map[*task]struct{}{}}
	e.ctx, e.cancel = context.WithCancelCause(ctx)
	return e
}

// Now is the time since the run's body began.
func (e *executor) Now() time.Duration { return time.Since(e.start) }

func (e *executor) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Go starts an activity. Its context ends with Stop and with the run.
func (e *executor) Go(name string, f func(ctx context.Context)) cluster.Task {
	t := &task{name: name, done: make(chan struct{})}
	var ctx context.Context
	ctx, t.stop = context.WithCancel(e.ctx)
	e.mu.Lock()
	e.tasks[t] = struct{}{}
	e.mu.Unlock()
	go func() {
		defer func() {
			if p := recover(); p != nil {
				e.fail(fmt.Errorf("docker: activity %s panicked: %v\n%s", name, p, debug.Stack()))
			}
			t.stop()
			e.mu.Lock()
			delete(e.tasks, t)
			e.mu.Unlock()
			close(t.done)
		}()
		f(ctx)
	}()
	return t
}

// fail ends the run with an error.
func (e *executor) fail(err error) {
	e.mu.Lock()
	if e.panic == nil {
		e.panic = err
	}
	e.mu.Unlock()
	e.cancel(err)
}

// finish cancels what still runs and waits for it, within bounds. It returns
// what went wrong in activities.
func (e *executor) finish() error {
	e.cancel(context.Canceled)
	limit := time.NewTimer(stragglers)
	defer limit.Stop()
	for {
		e.mu.Lock()
		var names []string
		var one *task
		for t := range e.tasks {
			names, one = append(names, t.name), t
		}
		err := e.panic
		e.mu.Unlock()
		if one == nil {
			return err
		}
		select {
		case <-one.done:
		case <-limit.C:
			return errors.Join(err, fmt.Errorf("docker: activities %s did not return within %v of being cancelled", strings.Join(names, ", "), stragglers))
		}
	}
}

// task is one activity.
type task struct {
	name string
	stop context.CancelFunc
	done chan struct{}
}

func (t *task) Stop() { t.stop() }

func (t *task) Wait(ctx context.Context) error {
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
