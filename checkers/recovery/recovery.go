// Package recovery judges, from what the processes of a checkpointed
// computation recorded (harness/record), whether checkpoints and recovery
// were right: by model, each of which is a property of the record with a name,
// a definition and a source. Models lists them.
//
// A state of a process is a place in its life, and its history all that led
// there: what was done before a checkpoint from which it was restored, and
// since. What was undone by a rollback is in no later history.
//
// A violation comes with a witness. A model whose events are not in the record
// has nothing to judge, and is never valid. A record that contradicts itself
// is unknown, unless no recording can have made that up: then the service is
// wrong (identity). Models take
// about linear time, and a little more for each recovery; a check ends soon
// after its context.
// Nothing is checked that processes did not record: a process that lies, or a
// message that bypasses the record, is not found out.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// Options are what models have to know besides the record.
type Options struct {
	// RecoveryMax is how long a recovery may take before one that has not
	// ended with the record counts as hung; 0 means 30 s.
	RecoveryMax time.Duration
	// TellsEnd promises that processes which end tell a final state: where none
	// does, none has ended.
	TellsEnd bool
	// Memory is how many bytes may be taken, besides the record; 0 means no
	// bound. A record that may need more is unknown.
	Memory int64
	// Read tells that record.Read has read the record, so that it need not be
	// validated again, and Broken what it then said of the service, if anything.
	Read   bool
	Broken *record.Broken
}

// Model is a property of a record.
type Model struct {
	Name string
	// Rank is where it stands between causes and symptoms.
	Rank checkers.Rank
	// Doc is its meaning in one line.
	Doc   string
	check func(r *run, o Options) checkers.Verdict
}

// models is the table of all, in the order in which they are listed.
var models = []Model{
	{"consistent-cut", checkers.Effect, "no committed round, restored line or state after recovery remembers a message that was not sent in it", consistentCut},
	{"channel-state", checkers.Effect, "recorded channels are what was in transit, exactly; what was in transit is delivered again, once", channelState},
	{"atomic-rounds", checkers.Cause, "only rounds with all parts committed are restored, and as a whole", atomicRounds},
	{"recovery-line", checkers.Cause, "the line restored is the latest consistent one, or the newest committed round", recoveryLine},
	{"domino", checkers.Effect, "measures how far recoveries rolled back; never invalid", domino},
	{"no-domino", checkers.Effect, "no recovery rolls back behind a checkpoint because it is useless", noDomino},
	{"no-useless-checkpoints", checkers.Effect, "no checkpoint lies on a Z-cycle", noUseless},
	{"restorable", checkers.Cause, "what is restored was committed there, is whole, and is what was saved", restorable},
	{"gc-safety", checkers.Cause, "nothing is deleted that recovery may need", gcSafety},
	{"replay", checkers.Effect, "what is executed again does the same again", replay},
	{"no-orphans", checkers.Cause, "what depends on a nondeterministic event is seen only after the event is logged", noOrphans},
	{"output-commit", checkers.Symptom, "what the outside world has seen is not undone, unless it comes again identically", outputCommit},
	{"exactly-once", checkers.Symptom, "outputs are visible once each, none is missing; inputs are consumed once", exactlyOnce},
	{"at-least-once", checkers.Symptom, "no output is missing, no input is skipped", atLeastOnce},
	{"fencing", checkers.Cause, "nothing done by an incarnation or epoch that is over has effect", fencing},
	{"conservation", checkers.Effect, "the values of every line and of its channels have one sum", conservation},
	{Identity, checkers.Cause, "what has a name has it alone: messages, checkpoints, determinants, rounds, epochs", identity},
	{"index", checkers.Cause, "index-based checkpointing: no message is received from a higher index", indexBased},
	{"terminates", checkers.Symptom, "every recovery ends, with all processes resumed or with a failure that is told", terminates},
	{"progress", checkers.Symptom, "the computation gets on until it has ended or a failure is told", progress},
	{"measures", checkers.Symptom, "recovery point and time, recomputed work, costs of checkpoints, the optimal interval; never invalid", measure},
}

// Models lists all models.
func Models() []Model { return slices.Clone(models) }

// Names lists the names of all models.
func Names() (list []string) {
	for _, m := range models {
		list = append(list, m.Name)
	}
	return list
}

// Checkers returns the checkers of the named models; "all" is all of them.
// They share the work of indexing a record.
func Checkers(o Options, names ...string) ([]checkers.Checker, error) {
	if slices.Contains(names, "all") {
		names = Names()
	}
	shared := &index{}
	var list []checkers.Checker
	for _, name := range names {
		i := slices.IndexFunc(models, func(m Model) bool { return m.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no model %q of recovery; there are %s, and all", name, strings.Join(Names(), ", "))
		}
		m := models[i]
		list = append(list, checkers.Ranked(m.Rank, checkers.Func(name, func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
			v, err := m.judge(ctx, shared, e, o)
			if err != nil {
				v = unknown("%v", err)
			}
			v.Algorithm = "record of events"
			return v
		})))
	}
	return list, nil
}

// judge checks a record, unless its context ends before.
func (m *Model) judge(ctx context.Context, shared *index, e *checkers.Evidence, o Options) (v checkers.Verdict, err error) {
	defer caught(&err)
	r, err := shared.of(ctx, e, o)
	var broken *record.Broken
	switch {
	case errors.As(err, &broken) && m.Name == Identity:
		return mistaken(broken), nil
	case errors.As(err, &broken):
		return unknown("names in the record stand for two things, or for nothing, so that it cannot be judged: see %s", Identity), nil
	case err != nil:
		return v, err
	}
	return m.check(r.in(ctx), o), nil
}

// indexBytes is what a record may take when it is indexed and judged, as
// measured (TestTheBoundOfMemoryIsOne), a little more.
func indexBytes(events []record.Event) int64 {
	const event, message, copied = 120, 420, int64(unsafe.Sizeof(record.Event{}))
	messages, ordered := 0, true
	for i := range events {
		if events[i].Kind == record.Send {
			messages++
		}
		ordered = ordered && (i == 0 || events[i-1].T <= events[i].T)
	}
	need := int64(len(events))*event + int64(messages)*message
	if !ordered {
		need += int64(len(events)) * copied
	}
	return need
}

// index keeps the index of the last record that was asked for.
type index struct {
	mu    sync.Mutex
	first *record.Event
	count int
	run   *run
	err   error
}

func (x *index) of(ctx context.Context, e *checkers.Evidence, o Options) (*run, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(e.Record) == 0 {
		return nil, fmt.Errorf("the processes recorded nothing")
	}
	if x.first == &e.Record[0] && x.count == len(e.Record) {
		return x.run, x.err
	}
	x.first, x.run, x.err = nil, nil, nil // until it is whole
	if need := indexBytes(e.Record); o.Memory > 0 && need > o.Memory {
		return nil, fmt.Errorf("%d events take up to %d MiB to judge; allowed are %d MiB", len(e.Record), need>>20, o.Memory>>20)
	}
	if !o.Read {
		err := record.ValidateContext(ctx, e.Record)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("time ran out while the record was validated: %w", ctx.Err())
		}
		if err != nil {
			x.err = fmt.Errorf("the record contradicts itself: event in %w", err)
		}
	} else if o.Broken != nil {
		x.err = o.Broken
	}
	if x.err == nil {
		x.run = newRun(ctx, e.Record)
		x.run.until, x.run.calm = evidenceEnd(e), calmSince(e)
		x.run.watched, x.run.faults = len(e.Phases)+len(e.Faults) > 0, e.Faults
	}
	x.first, x.count = &e.Record[0], len(e.Record)
	return x.run, x.err
}

// evidenceEnd is when the record ended, or the run if that was later.
func evidenceEnd(e *checkers.Evidence) (end time.Duration) {
	for i := range e.Record {
		end = max(end, e.Record[i].T)
	}
	for _, p := range e.Phases {
		end = max(end, p.End)
	}
	return end
}

// calmSince is when the last fault was healed, 0 where none is known.
func calmSince(e *checkers.Evidence) (since time.Duration) {
	for _, f := range e.Faults {
		since = max(since, f.End)
	}
	return since
}

func valid(format string, args ...any) checkers.Verdict {
	return checkers.Verdict{Verdict: checkers.Valid, Reason: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) checkers.Verdict {
	return checkers.Verdict{Verdict: checkers.Unknown, Reason: fmt.Sprintf(format, args...)}
}

// linesMax bounds the lines of a witness.
const linesMax = 40

// omissions are the classes of what did not happen in time. That is a violation
// only if nothing but the faults of the plan kept it from happening.
var omissions = []string{"stalled", "hung", "gave-up", "missing"}

// violated makes a verdict whose witness quotes events.
func (r *run) violated(class string, events []int32, format string, args ...any) checkers.Verdict {
	w := &checkers.Witness{Class: class, Summary: fmt.Sprintf(format, args...), Conditional: slices.Contains(omissions, class)}
	slices.Sort(events)
	for n, i := range slices.Compact(events) {
		t := r.ev[i].T
		if n == 0 {
			w.From = t
		}
		w.From, w.To = min(w.From, t), max(w.To, t)
		switch {
		case n < linesMax:
			w.Lines = append(w.Lines, r.say(i))
		case n == linesMax:
			w.Lines = append(w.Lines, fmt.Sprintf("and %d more", len(events)-linesMax))
		}
	}
	return checkers.Verdict{Verdict: checkers.Invalid, Reason: w.Summary, Witness: w}
}

// lacks is the verdict where nothing is recorded of what a model judges.
func lacks(what string) checkers.Verdict {
	return checkers.Verdict{Verdict: checkers.NotApplicable, Reason: "the record has no " + what}
}

// name is how a checkpoint is called in words.
func (r *run) name(p, c int32) string {
	if c == none {
		return r.procs[p] + "'s initial state"
	}
	return fmt.Sprintf("%s's checkpoint %s", r.procs[p], r.ckpts[c].name)
}

// sorted lists the processes of a line.
func sorted(line map[int32]int32) []int32 {
	list := make([]int32, 0, len(line))
	for p := range line {
		list = append(list, p)
	}
	slices.Sort(list)
	return list
}
