package sim

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

func TestSleepingTasksWakeInOrderOfTimeThenOfAsking(t *testing.T) {
	var order []string
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		var tasks []cluster.Task
		for i, ms := range []time.Duration{3, 1, 2, 1, 0} {
			name := fmt.Sprint(i)
			tasks = append(tasks, w.Go(name, func(ctx context.Context) {
				if err := w.Sleep(ctx, ms*time.Millisecond); err != nil {
					t.Error(err)
				}
				order = append(order, name)
			}))
		}
		before := w.Now()
		for _, task := range tasks {
			if err := task.Wait(ctx); err != nil {
				t.Error(err)
			}
		}
		if took := w.Now() - before; took != 3*time.Millisecond {
			t.Errorf("took %v of virtual time, want 3ms", took)
		}
	})
	if got := strings.Join(order, ""); got != "41320" {
		t.Errorf("order %s, want 41320", got)
	}
}

func TestAStoppedTaskIsCanceledInWhateverItWaitsFor(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		for name, block := range map[string]func(ctx context.Context) error{
			"sleep": func(ctx context.Context) error { return w.Sleep(ctx, time.Hour) },
			"call": func(ctx context.Context) error {
				if err := w.Pause(ctx, "n1"); err != nil {
					return err
				}
				_, err := w.Network("c").Call(ctx, "n1", get, time.Hour)
				return err
			},
			"await": func(ctx context.Context) error {
				wire, err := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 1})
				if err != nil {
					return err
				}
				_, err = wire.Await(ctx)
				return err
			},
			"derived": func(ctx context.Context) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				return w.Sleep(ctx, time.Hour)
			},
		} {
			var got error
			done := false
			task := w.Go(name, func(ctx context.Context) {
				got = block(ctx)
				done = ctx.Err() != nil
				select {
				case <-ctx.Done():
				default:
					t.Errorf("%s: Done is not closed", name)
				}
			})
			_ = w.Sleep(ctx, time.Second)
			before := w.Now()
			task.Stop()
			if err := task.Wait(ctx); err != nil {
				t.Error(err)
			}
			if !errors.Is(got, context.Canceled) || !done || w.Now() != before {
				t.Errorf("%s: got %v, after %v", name, got, w.Now()-before)
			}
			if _, err := w.Resume(ctx, "n1"); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestAContextThatAnActivityMadeAndAnotherCancelsWakesTheSleeper(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var got error
		sleeper := w.Go("sleeper", func(context.Context) { got = w.Sleep(own, time.Hour) })
		w.Go("canceler", func(ctx context.Context) {
			_ = w.Sleep(ctx, time.Second)
			cancel()
		})
		if err := sleeper.Wait(ctx); err != nil {
			t.Error(err)
		}
		if !errors.Is(got, context.Canceled) || w.Now() > 2*time.Second {
			t.Errorf("%v at %v", got, w.Now())
		}
	})
}

func TestWhatTheBodyLeavesRunningIsStoppedInOrderAndLeaksNothing(t *testing.T) {
	before := goruntime.NumGoroutine()
	var ended []int
	for range 20 {
		ended = nil
		must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
			for i := range 10 {
				w.Go("forever", func(ctx context.Context) {
					defer func() { ended = append(ended, i) }()
					for w.Sleep(ctx, time.Hour) == nil {
					}
				})
			}
			w.Go("stubborn", func(ctx context.Context) {
				_ = w.Sleep(ctx, time.Hour)
				for range 100 { // blocking calls fail at once by now
					_, _ = add(context.WithoutCancel(ctx), w.Network("c"), "n1")
				}
				w.Go("too late", func(context.Context) { t.Error("an activity was started after the end") })
			})
			_ = w.Sleep(ctx, time.Second)
			w.Go("never started", func(context.Context) { t.Error("an activity was started after the end") })
		})
		if !slices.Equal(ended, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
			t.Fatalf("ended in order %v", ended)
		}
	}
	if after := goruntime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines before, %d after", before, after)
	}
}

func TestAnActivityThatDoesNotEndIsAnError(t *testing.T) {
	err := simulate(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) error {
		w.Go("endless", func(ctx context.Context) {
			for {
				_ = w.Sleep(ctx, time.Second)
			}
		})
		return w.Sleep(ctx, 10*time.Second)
	})
	if !errors.Is(err, ErrActivity) {
		t.Error(err)
	}
	contains(t, err, `"endless"`, "does not end")
}

func TestAPanicOfAnActivityEndsTheRunWithItsStack(t *testing.T) {
	err := simulate(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) error {
		w.Go("nemesis", func(context.Context) { panic("boom") })
		return w.Sleep(ctx, time.Hour)
	})
	if !errors.Is(err, ErrActivity) {
		t.Error(err)
	}
	contains(t, err, `"nemesis" panicked`, "boom", "TestAPanicOfAnActivity")
}

func TestAPanicOfTheBodyEndsTheRun(t *testing.T) {
	err := simulate(t, &counterTarget{}, Options{}, func(context.Context, *world) error { panic("boom") })
	contains(t, err, `"body" panicked`, "boom")
}

func TestTheBodysErrorIsReturnedAsItIs(t *testing.T) {
	mine := errors.New("mine")
	if err := simulate(t, &counterTarget{}, Options{}, func(context.Context, *world) error { return mine }); err != mine {
		t.Error(err)
	}
}

func TestABodyMayLeaveByGoexit(t *testing.T) {
	left := make(chan bool)
	go func() { // testing.T.FailNow leaves its goroutine this way
		returned := false
		defer func() { left <- !returned }()
		must(t, &counterTarget{}, Options{}, func(ctx context.Context, w *world) {
			w.Go("other", func(ctx context.Context) { _ = w.Sleep(ctx, time.Hour) })
			_ = w.Sleep(ctx, time.Second)
			goruntime.Goexit()
		})
		returned = true
	}()
	if !<-left {
		t.Error("Run returned")
	}
	must(t, &counterTarget{}, Options{}, func(context.Context, *world) {}) // the next simulation is not kept out
}

func TestADeadlockNamesWhoWaitsForWhat(t *testing.T) {
	err := simulate(t, &counterTarget{quiet: true}, Options{}, func(ctx context.Context, w *world) error {
		wire, err := w.Trip(ctx, cluster.Tripwire{Point: "added", Nth: 1})
		if err != nil {
			return err
		}
		nemesis := w.Go("nemesis", func(ctx context.Context) { _, _ = wire.Await(ctx) })
		return nemesis.Wait(ctx)
	})
	if !errors.Is(err, ErrDeadlock) {
		t.Error(err)
	}
	contains(t, err, `"body" waits for the end of nemesis`, `"nemesis" waits for a node at point added`)
}

func TestRunsAreBounded(t *testing.T) {
	spin := func(ctx context.Context, w *world) error {
		for w.Sleep(ctx, 0) == nil {
		}
		return ctx.Err()
	}
	idle := func(ctx context.Context, w *world) error { return w.Sleep(ctx, 2*time.Hour) }
	for _, c := range []struct {
		name string
		o    Options
		body func(ctx context.Context, w *world) error
		says string
	}{
		{"events", Options{Events: 10_000}, spin, "10000 events"},
		{"time", Options{Time: time.Hour}, idle, "1h0m0s of virtual time"},
	} {
		err := simulate(t, &counterTarget{}, c.o, c.body)
		if !errors.Is(err, ErrLimit) {
			t.Errorf("%s: %v", c.name, err)
		}
		contains(t, err, c.says)
	}
	if err := simulate(t, &counterTarget{}, Options{Time: 3 * time.Hour}, idle); err != nil {
		t.Error("within the bound:", err)
	}
}

func TestCancelingTheCallersContextEndsBlockingCalls(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	spec := cluster.Spec{Target: &counterTarget{}, Nodes: names(3), Seed: 1}
	var got, after error
	err := New(Options{}).Run(ctx, spec, func(ctx context.Context, c cluster.Cluster) error {
		cancel()
		got = c.Sleep(ctx, 20*time.Hour)
		if c.Now() > time.Hour {
			t.Errorf("returned at %v", c.Now())
		}
		// What is left to do, healing say, is done without the context.
		_, after = c.Status(context.WithoutCancel(ctx), "n1")
		return got
	})
	if !errors.Is(got, context.Canceled) || err != got || after != nil {
		t.Errorf("sleep: %v, run: %v, status afterwards: %v", got, err, after)
	}
}

func TestACanceledRunDoesNotWaitForItsTurn(t *testing.T) {
	must(t, &counterTarget{}, Options{}, func(context.Context, *world) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		spec := cluster.Spec{Target: &counterTarget{}, Nodes: names(1)}
		// This simulation runs, so the other has to wait.
		if err := New(Options{}).Run(ctx, spec, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
