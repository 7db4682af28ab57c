package harness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
)

// status asks a node how it is, within a bound.
func (t *trial) status(ctx context.Context, name string) (node.Status, error) {
	return within(ctx, t, "asking "+name, statusMax, func(ctx context.Context) (node.Status, error) {
		return t.cluster.Status(ctx, name)
	})
}

// ask asks a node for its last word. One that gives none is asked again, until
// it is clear what that means or askTries are used up. A run that was cut short
// asks once: its nodes had no time to settle.
func (t *trial) ask(ctx context.Context, name string) checkers.Final {
	f := checkers.Final{Node: name, Unsettled: !t.settled, Asked: t.cluster.Now()}
	down, silent := 0, 0
	for {
		st, err := t.status(ctx, name)
		f.Tries++
		f.Until = t.cluster.Now()
		if err == nil {
			return checkers.Final{Node: name, Status: st, Unsettled: f.Unsettled}
		}
		f.Err = err.Error()
		switch {
		case errors.Is(err, cluster.ErrDown):
			down++
		case unreachable(err) || errors.Is(err, context.Canceled):
			down = 0
		default:
			down = 0
			silent++
		}
		if down == downTries || f.Tries == askTries || f.Unsettled || t.cluster.Sleep(ctx, t.scaled(askPause)) != nil {
			break
		}
	}
	switch f.Tries {
	case down:
		f.Process = checkers.ProcessDown
	case silent:
		f.Process = checkers.ProcessSilent
	}
	if down == downTries {
		f.Process = checkers.ProcessDown
	}
	if f.Process == checkers.ProcessUnknown {
		t.trouble.Add(cluster.Trouble{
			At: f.Until, Step: cluster.TroubleAsk, Nodes: []string{name},
			Text: fmt.Sprintf("no answer in %d tries over %v, the last error was: %s", f.Tries, (f.Until - f.Asked).Round(time.Millisecond), f.Err),
		})
	}
	return f
}

// askAll asks all nodes; in real time all at once.
func (t *trial) askAll(ctx context.Context) []checkers.Final {
	names := t.cluster.Nodes()
	finals := make([]checkers.Final, len(names))
	if t.deterministic {
		for i, name := range names {
			finals[i] = t.ask(ctx, name)
		}
		return finals
	}
	var wait sync.WaitGroup
	for i, name := range names {
		wait.Go(func() { finals[i] = t.ask(ctx, name) })
	}
	wait.Wait()
	return finals
}

func (t *trial) logOf(ctx context.Context, name string) []byte {
	log, err := within(ctx, t, "reading the log of "+name, collectMax, func(ctx context.Context) ([]byte, error) {
		return t.cluster.Logs(ctx, name, logBytesMax)
	})
	if err != nil {
		log = fmt.Appendf(log, "cleancut: the log of %s could not be read: %v\n", name, err)
	}
	return log
}

// collect gathers what the nodes have to say, while they still stand.
func (t *trial) collect(ctx context.Context) {
	t.finals = t.askAll(ctx)
	t.logs = map[string][]byte{}
	if t.keepLogs {
		for _, n := range t.cluster.Nodes() {
			t.logs[n] = t.logOf(ctx, n)
		}
	}
	if r, ok := t.cluster.(cluster.Recorder); ok {
		t.record, t.recordHoles = within(ctx, t, "reading what the nodes recorded", collectMax, func(ctx context.Context) ([]record.Event, error) {
			return r.Record(ctx)
		})
		t.incomplete(t.recordHoles)
	}
	if o, ok := t.cluster.(cluster.Observer); ok {
		found, err := within(ctx, t, "asking for findings", collectMax, func(context.Context) ([]node.Finding, error) {
			return o.Findings(), nil
		})
		t.findings = append([]node.Finding{}, found...) // not nil: somebody watched
		t.incomplete(err)
	}
	if tr, ok := t.cluster.(cluster.Tracer); ok {
		t.traceHash = tr.TraceHash()
		t.measures["events"] = float64(tr.Events())
		for point, times := range tr.Points() {
			t.measures["point/"+point] = float64(times)
		}
	}
	t.measures["run_seconds"] = t.cluster.Now().Seconds()
}

// incomplete notes that evidence could not be collected because the harness did
// not reach it.
func (t *trial) incomplete(err error) {
	if unreachable(err) {
		t.trouble.Add(cluster.Trouble{At: t.cluster.Now(), Step: cluster.TroubleCollect, Text: err.Error()})
	}
}
