package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/rundir"
)

// streams says whether a history that does not fit into memory can be judged
// while it is read: cleancut's own format, which is in order of time, of an
// object that can be judged so and is to be linearizable.
func (f *checkFlags) streams(path string) bool {
	model := f.model
	if model == "" {
		model, _ = defaultModel(f.workload)
	}
	own := f.format == formatJSONL || f.format == "" && strings.HasSuffix(strings.TrimSuffix(strings.ToLower(path), ".gz"), "."+formatJSONL)
	return own && slices.Contains(linear.StreamedWorkloads(), f.workload) && model == "linearizable" && len(f.assume) == 0
}

// large says whether a history will hardly fit into memory, by the length of
// its file: a line is an event, which takes more than two hundred bytes, and
// few lines are as long as a hundred. Half of what is allowed is for the history.
func (f *checkFlags) large(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Size() > f.total()/2/3
}

// stream judges a history while it is read.
func (f *checkFlags) stream(ctx context.Context, path string, o *judgeOptions) (*rundir.Result, error) {
	memory := f.total() // there is no history besides
	if f.memory == 0 {
		memory = min(memory, linear.DefaultMemory)
	}
	s, err := linear.NewStream(f.workload, linear.Object{Initial: o.initialOr(history.Nil)}, linear.Options{Memory: memory})
	if err != nil {
		return nil, err
	}
	file, err := files.OpenGiven(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r, err := plain(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	type end struct {
		operations rundir.Operations
		err        error
	}
	ended := make(chan end, 1)
	proving := newProving(f.workload)
	streaming := checkers.Func(linear.Name, func(ctx context.Context, _ *checkers.Evidence) checkers.Verdict {
		var x end
		var v checkers.Verdict
		v, x.err = streamEvents(ctx, r, s, &x.operations, proving)
		ended <- x
		return v
	})
	verdicts := checkers.Check(ctx, &checkers.Evidence{}, []checkers.Checker{streaming}, checkers.Options{Timeout: f.timeout, Memory: true})
	result := &rundir.Result{
		Version: harness.Version(), Measures: map[string]float64{},
		Checkers: verdicts, Verdict: rundir.OutcomeOf(checkers.Merge(verdicts)),
	}
	select {
	case x := <-ended:
		if x.err != nil {
			return nil, fmt.Errorf("%s: as %s: %w", path, formatJSONL, x.err)
		}
		result.Operations = x.operations
		if why := proving.proofless(x.operations); why != "" && result.Verdict == rundir.Valid {
			result.Verdict, result.Reasons = rundir.Inconclusive, []string{why}
		}
	default: // it panicked, or is out of time and still at it
	}
	result.Reasons = append(result.Reasons, verdicts[0].Reason, "the history does not fit into the memory allowed: it was judged while it was read")
	return result, nil
}

// streamEvents feeds events to s. The time allowed includes that of reading.
func streamEvents(ctx context.Context, r io.Reader, s *linear.Stream, n *rundir.Operations, p *proving) (checkers.Verdict, error) {
	d := history.NewDecoder(r)
	var last history.Event
	marked := false // it has phases, as recorders have them
	for {
		e, err := d.Next()
		switch {
		case e.Index%4096 == 0 && ctx.Err() != nil:
			return checkers.Verdict{Verdict: checkers.Unknown, Reason: fmt.Sprintf("time ran out after %d operations were read", n.Total)}, nil
		case err == io.EOF:
			p.unended = marked && (last.Kind != history.PhaseStart || last.F != history.EndMark)
			n.Info += n.Total - n.OK - n.Fail - n.Info // those that were never completed
			return s.Verdict(), nil
		case errors.Is(err, history.ErrTorn):
			return checkers.Verdict{}, errors.New("the last line is incomplete; remove it if its loss is known")
		case err != nil:
			return checkers.Verdict{}, err
		}
		last, marked = e, marked || e.Kind == history.PhaseStart
		p.add(&e)
		if err := s.Add(&e); err != nil {
			return checkers.Verdict{}, err
		}
		switch e.Kind {
		case history.Invoke:
			n.Total++
		case history.OK:
			n.OK++
		case history.Fail:
			n.Fail++
		case history.Info:
			n.Info++
		}
		if s.Full() {
			v := s.Verdict()
			v.Reason += fmt.Sprintf("; the memory allowed was used up after event %d, and the rest was not read", e.Index)
			n.Info += n.Total - n.OK - n.Fail - n.Info
			return v, nil
		}
	}
}
