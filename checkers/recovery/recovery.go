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
// is unknown, never valid; so is a record that contradicts itself. All but
// recoveries (which cost a pass over the record each) take linear time.
// Nothing is checked that processes did not record: a process that lies, or a
// message that bypasses the record, is not found out.
package recovery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

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
}

// Model is a property of a record.
type Model struct {
	Name string
	// Doc is its meaning in one line.
	Doc   string
	check func(r *run, o Options) checkers.Verdict
}

// models is the table of all, in the order in which they are listed.
var models = []Model{
	{"consistent-cut", "no committed round, restored line or state after recovery remembers a message that was not sent in it", consistentCut},
	{"channel-state", "recorded channels are what was in transit, exactly; what was in transit is delivered again, once", channelState},
	{"atomic-rounds", "only rounds with all parts committed are restored, and as a whole", atomicRounds},
	{"recovery-line", "the line restored is the latest consistent one, or the newest committed round", recoveryLine},
	{"domino", "measures how far recoveries rolled back; never invalid", domino},
	{"no-domino", "no recovery rolls back behind a checkpoint because it is useless", noDomino},
	{"no-useless-checkpoints", "no checkpoint lies on a Z-cycle", noUseless},
	{"restorable", "what is restored was committed there, is whole, and is what was saved", restorable},
	{"gc-safety", "nothing is deleted that recovery may need", gcSafety},
	{"replay", "what is executed again does the same again", replay},
	{"no-orphans", "what depends on a nondeterministic event is seen only after the event is logged", noOrphans},
	{"output-commit", "what the outside world has seen is not undone, unless it comes again identically", outputCommit},
	{"exactly-once", "outputs are visible once each, none is missing; inputs are consumed once", exactlyOnce},
	{"at-least-once", "no output is missing, no input is skipped", atLeastOnce},
	{"fencing", "nothing done by an incarnation or epoch that is over has effect", fencing},
	{"conservation", "the values of every line and of its channels have one sum", conservation},
	{"index", "index-based checkpointing: no message is received from a higher index", indexBased},
	{"terminates", "every recovery ends, with all processes resumed or with a failure that is told", terminates},
	{"progress", "the computation gets on until it has ended or a failure is told", progress},
	{"measures", "recovery point and time, recomputed work, costs of checkpoints, the optimal interval; never invalid", measure},
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
		list = append(list, checkers.Func(name, func(_ context.Context, e *checkers.Evidence) checkers.Verdict {
			r, err := shared.of(e)
			if err != nil {
				return unknown("%v", err)
			}
			v := m.check(r, o)
			v.Algorithm = "record of events"
			return v
		}))
	}
	return list, nil
}

// index keeps the index of the last record that was asked for.
type index struct {
	mu    sync.Mutex
	first *record.Event
	count int
	run   *run
	err   error
}

func (x *index) of(e *checkers.Evidence) (*run, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(e.Record) == 0 {
		return nil, fmt.Errorf("the processes recorded nothing")
	}
	if x.first == &e.Record[0] && x.count == len(e.Record) {
		return x.run, x.err
	}
	x.first, x.count, x.run = &e.Record[0], len(e.Record), nil
	if x.err = record.Validate(e.Record); x.err != nil {
		x.err = fmt.Errorf("the record contradicts itself: event in %w", x.err)
		return nil, x.err
	}
	x.run = newRun(e.Record)
	for i := range e.Record {
		x.run.until = max(x.run.until, e.Record[i].T)
	}
	for _, p := range e.Phases {
		x.run.until = max(x.run.until, p.End)
	}
	return x.run, nil
}

func valid(format string, args ...any) checkers.Verdict {
	return checkers.Verdict{Verdict: checkers.Valid, Reason: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) checkers.Verdict {
	return checkers.Verdict{Verdict: checkers.Unknown, Reason: fmt.Sprintf(format, args...)}
}

// linesMax bounds the lines of a witness.
const linesMax = 40

// violated makes a verdict whose witness quotes events.
func (r *run) violated(class string, events []int32, format string, args ...any) checkers.Verdict {
	w := &checkers.Witness{Class: class, Summary: fmt.Sprintf(format, args...)}
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

// lacks is the verdict where the events that a model needs are not recorded.
func lacks(what string) checkers.Verdict { return unknown("the record has no %s", what) }

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
