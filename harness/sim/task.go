package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// task is an activity: a coroutine that the scheduler resumes, and that
// yields to it in every blocking call.
type task struct {
	w      *world
	name   string
	id     uint64
	ctx    context.Context
	cancel context.CancelFunc
	next   func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool

	parked  bool
	queued  bool // in the queue of those to be resumed
	done    bool
	turn    uint64          // counts blocking calls; old wake-ups do not count
	under   context.Context // of the blocking call
	verb    string          // what it waits for, for reports
	object  string
	waiters []waiter
	unwinds int // blocking calls after the end
}

// waiter is a task in one particular blocking call.
type waiter struct {
	t    *task
	turn uint64
}

// errUnwound is what an activity panics with that goes on after the end.
var errUnwound = errors.New("the simulation has ended")

// newTask makes an activity; it runs once it has been queued.
func (w *world) newTask(name string, f func(context.Context)) *task {
	w.spawned++
	t := &task{w: w, name: name, id: w.spawned}
	t.ctx, t.cancel = context.WithCancel(w.root)
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		t.run(f)
	})
	if len(w.tasks)-w.gone >= tasksMax {
		w.fail(fmt.Errorf("%w: %d activities run at once at %v", ErrLimit, tasksMax, w.Now()))
	}
	w.tasks = append(w.tasks, t)
	return t
}

// run calls f. A panic ends the run; runtime.Goexit goes on in Run's caller.
func (t *task) run(f func(context.Context)) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case any(errUnwound):
			t.w.fail(fmt.Errorf("%w: %q does not end although it was stopped: %d blocking calls since", ErrActivity, t.name, t.unwinds))
		default:
			t.w.fail(fmt.Errorf("%w: %q panicked at %v: %v\n%s", ErrActivity, t.name, t.w.Now(), r, debug.Stack()))
		}
	}()
	f(t.ctx)
}

// resume lets a task run until its next blocking call.
func (w *world) resume(t *task) {
	t.queued = false
	w.count(kindResume, -1, 0, t.id)
	w.current = t
	_, more := t.next()
	w.current = nil
	if !more {
		w.finish(t)
	}
	if len(w.foreign) > 0 {
		w.wakeForeign()
	}
}

// finish notes that a task has returned.
func (w *world) finish(t *task) {
	t.done = true
	t.cancel()
	for _, waiter := range t.waiters {
		w.wake(waiter)
	}
	t.waiters = nil
	w.gone++
	if w.gone > 32 && w.gone > len(w.tasks)/2 {
		kept := w.tasks[:0]
		for _, t := range w.tasks {
			if !t.done {
				kept = append(kept, t)
			}
		}
		clear(w.tasks[len(kept):])
		w.tasks, w.gone = kept, 0
	}
}

// begin opens a blocking call of the current activity. After an error there
// is nothing to wait for.
func (w *world) begin(ctx context.Context) (waiter, error) {
	t := w.current
	if t == nil {
		panic("sim: a blocking call from outside the activities of the simulation; use Executor.Go instead of a goroutine")
	}
	if w.ended {
		if t.unwinds++; t.unwinds > unwindMax {
			panic(errUnwound)
		}
		return waiter{}, w.over(ctx)
	}
	if err := ctx.Err(); err != nil {
		return waiter{}, err
	}
	t.turn++
	return waiter{t, t.turn}, nil
}

// park blocks the current activity, which has called begin, until it is woken
// up or ctx is canceled. Verb and object say what it waits for.
func (w *world) park(ctx context.Context, verb, object string) error {
	t := w.current
	t.parked, t.under, t.verb, t.object = true, ctx, verb, object
	if ctx != t.ctx && ctx.Done() != nil {
		w.foreign = append(w.foreign, waiter{t, t.turn})
	}
	t.yield(struct{}{})
	t.parked = false
	if w.ended {
		return w.over(ctx)
	}
	return ctx.Err()
}

// over is why a blocking call fails after the end of the run.
func (w *world) over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errUnwound, context.Canceled)
}

// wake resumes a task soon, if it is still in that blocking call.
func (w *world) wake(v waiter) {
	if v.t.parked && v.t.turn == v.turn && !v.t.queued {
		v.t.queued = true
		w.ready.push(v.t)
	}
}

// wakeCanceled wakes all tasks that wait under a canceled context.
func (w *world) wakeCanceled() {
	for _, t := range w.tasks {
		if t.parked && t.under.Err() != nil {
			w.wake(waiter{t, t.turn})
		}
	}
}

// wakeForeign looks at contexts that activities made themselves: nobody tells
// the scheduler when these are canceled.
func (w *world) wakeForeign() {
	kept := w.foreign[:0]
	for _, v := range w.foreign {
		switch {
		case !v.t.parked || v.t.turn != v.turn:
		case v.t.under.Err() != nil:
			w.wake(v)
		default:
			kept = append(kept, v)
		}
	}
	clear(w.foreign[len(kept):])
	w.foreign = kept
}

// waiting names the blocked activities, for errors.
func (w *world) waiting() string {
	var b strings.Builder
	for _, t := range w.tasks {
		if t.parked && !t.queued {
			if b.Len() > 1000 {
				b.WriteString("; …")
				break
			}
			fmt.Fprintf(&b, "; %q waits for %s", t.name, strings.TrimSpace(t.verb+" "+t.object))
		}
	}
	return b.String()
}

// shutdown stops all activities in the order in which they were started. Each
// runs to its end: blocking calls fail at once.
func (w *world) shutdown() {
	w.ended = true
	cause := w.fatal
	if cause == nil {
		cause = errUnwound
	}
	w.cancel(cause)
	complete := false
	defer func() {
		if !complete { // an activity left by runtime.Goexit
			w.shutdown()
		}
	}()
	for len(w.tasks) > 0 {
		t := w.tasks[0]
		w.tasks = w.tasks[1:]
		if t.done {
			continue
		}
		t.done = true
		w.current = t
		if t.yield != nil {
			t.next()
		}
		t.stop()
		t.cancel()
	}
	w.current = nil
	complete = true
}

// Go implements cluster.Executor.
func (w *world) Go(name string, f func(ctx context.Context)) cluster.Task {
	t := w.newTask(name, f)
	if w.ended {
		t.done = true
		t.stop()
		return t
	}
	t.queued = true
	w.ready.push(t)
	return t
}

// Sleep implements cluster.Executor. A d of zero or less lets all others run
// first that can run now.
func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	v, err := w.begin(ctx)
	if err != nil {
		return err
	}
	w.wakeAt(v, d)
	return w.park(ctx, "time to pass", "")
}

// wakeAt ends the blocking call that v stands for, after d.
func (w *world) wakeAt(v waiter, d time.Duration) {
	w.schedule(w.after(d), payload{kind: kindWake, ref: v.t, a: v.turn})
}

// after is the time in d. What lies beyond the longest possible run is not
// told apart.
func (w *world) after(d time.Duration) int64 {
	return w.now + int64(min(max(d, 0), 2*timeMax))
}

// Wait implements cluster.Task.
func (t *task) Wait(ctx context.Context) error {
	for !t.done {
		v, err := t.w.begin(ctx)
		if err != nil {
			return err
		}
		t.waiters = append(t.waiters, v)
		if err := t.w.park(ctx, "the end of", t.name); err != nil && !t.done {
			return err
		}
	}
	return nil
}

// Stop implements cluster.Task.
func (t *task) Stop() {
	t.cancel()
	if t.parked && t.under.Err() != nil {
		t.w.wake(waiter{t, t.turn})
	}
}

// queue holds the tasks that can run now, first come, first served.
type queue struct {
	ring  []*task
	first int
	count int
}

func (q *queue) push(t *task) {
	if q.count == len(q.ring) {
		grown := make([]*task, max(16, 2*len(q.ring)))
		for i := range q.count {
			grown[i] = q.ring[(q.first+i)%len(q.ring)]
		}
		q.ring, q.first = grown, 0
	}
	q.ring[(q.first+q.count)%len(q.ring)] = t
	q.count++
}

func (q *queue) pop() *task {
	if q.count == 0 {
		return nil
	}
	t := q.ring[q.first]
	q.ring[q.first] = nil
	q.first = (q.first + 1) % len(q.ring)
	q.count--
	return t
}
