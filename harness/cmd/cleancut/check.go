package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/txn"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/history/edn"
	"github.com/cleancut/cleancut/harness/report"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/suites"
)

// checkFlags are those of check.
type checkFlags struct {
	workload, model, format  string
	initial, order           string
	transactionOrder         string
	dialect                  string
	anomalies, assume        []string
	independent, overlapping bool
	tuples                   bool // values that look like [key value] are such
	negative                 bool
	maxLag                   time.Duration
	maxLagging               int
	timeout                  time.Duration
	memory                   int64
	json                     bool
}

func checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check RUN|HISTORY",
		Short: "Judge a recorded run again, or a history from elsewhere",
		Long: `check judges the folder of a run with all checkers of its scenario, and leaves
the folder as it is. A file is taken for a history and judged by --workload and
--model; 'cleancut list models' shows which can be decided for what. What
cannot be decided is said by name, with exit code 2.

Histories are cleancut's own (jsonl), Jepsen's (edn: one map a line, or all in
one vector; rows [process type f value]; the lines of history.txt), or Jepsen's
operations as JSON (json), each also compressed by gzip. Without --format the
ending of the name or the first bytes decide. Of Jepsen's folders
store/NAME/TIME the history in it is judged.

A completion must fit its invocation: only what was read may differ. Where times
contradict the order of the lines and no index says which is meant, the verdict
counts only if both orders give it; --order says which. --dialect takes for
granted what a tool does: jepsen and maelstrom (reads of registers that return
nil say nothing, values [key value] are tuples), knossos (the same for nil, and
operations of a process may overlap), elle (operations may overlap, reads of
what nobody wrote are nothing wrong, where nothing is found it is valid).

With --workload checkpoint the file is a record of what the processes of a
checkpointed computation did (harness/record documents the format), judged by
one or more models of recovery, or by all.`,
		Example: `  cleancut check runs/replication/raft-partitions/latest
  cleancut check history.jsonl --workload cas-register
  cleancut check history.edn --workload register --independent --initial 0
  cleancut check history.edn --workload list-append --model snapshot-isolation
  cleancut check history.edn --workload rw-register --anomalies G1,lost-update --assume linearizable-keys
  cleancut check events.jsonl --workload checkpoint --model consistent-cut,recovery-line`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.timeout < 0 {
				return usage(fmt.Errorf("--timeout %s: expected a positive duration, or 0 for the default of %s", f.timeout, checkers.DefaultTimeout))
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return usage(err)
			}
			if !info.IsDir() {
				return f.checkHistory(cmd, args[0])
			}
			if _, err := os.Stat(filepath.Join(args[0], rundir.ScenarioFile)); errors.Is(err, fs.ErrNotExist) {
				switch path, err := jepsenHistory(args[0]); {
				case err != nil:
					return usage(err)
				case path != "":
					return f.checkHistory(cmd, path)
				}
			}
			return f.checkRun(cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.workload, "workload", "", "what the clients of a history did: "+strings.Join(names(), ", "))
	flags.StringVar(&f.model, "model", "", "what a history is to be; by default the one that the workload is for")
	flags.StringVar(&f.format, "format", "", "format of a history: jsonl, edn or json; guessed by default")
	flags.StringVar(&f.initial, "initial", "", "value that objects have at first, in EDN or JSON: 0, nil, \"text\"; for bank the sum of all balances")
	flags.BoolVar(&f.independent, "independent", false, "split values [key value] into key and value, as jepsen.independent does")
	flags.BoolVar(&f.overlapping, "overlapping", false, "allow operations of one process to overlap, as in some hand-written histories")
	flags.StringSliceVar(&f.anomalies, "anomalies", nil, "anomalies of transactions that must not be seen, as Elle names them: G0, G1, G-single, lost-update, …")
	flags.StringSliceVar(&f.assume, "assume", nil, "what may be assumed of transactions: "+strings.Join(promises, ", ")+"; and of registers: "+strings.Join(registerPromises, ", "))
	flags.StringVar(&f.order, "order", "", "what orders the operations of a history without indices: time or lines; by default lines, unless the times contradict them and it matters")
	flags.StringVar(&f.dialect, "dialect", "", "take for granted what a tool does: "+strings.Join(dialectNames(), ", "))
	flags.StringVar(&f.transactionOrder, "transaction-order", "", "order of transactions if the database reveals it, ID:POSITION,…; an ID is the index of a completion")
	flags.BoolVar(&f.negative, "negative-balances", false, "allow negative balances")
	flags.DurationVar(&f.maxLag, "max-lag", 0, "for bounded-staleness: how old a value may be that is read; for durable: how old what is lost; 0 for no bound")
	flags.IntVar(&f.maxLagging, "max-versions", 0, "for bounded-staleness: how many newer versions there may be of a value that is read; for durable: how many operations may be lost; 0 for no bound")
	flags.DurationVar(&f.timeout, "timeout", checkers.DefaultTimeout, "bound on the time of each checker; beyond it the verdict is unknown")
	flags.Var((*sizeFlag)(&f.memory), "memory", "bound on the memory of a history and of its check together, half for each: bytes, or 512M, 2G; 0 for half of what the machine has, at most 8G")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	return cmd
}

// checkRun judges the evidence in a run directory.
func (f *checkFlags) checkRun(cmd *cobra.Command, path string) error {
	var given []string
	cmd.Flags().Visit(func(g *pflag.Flag) {
		if g.Name != "timeout" && g.Name != "json" {
			given = append(given, "--"+g.Name)
		}
	})
	if len(given) > 0 {
		return usage(fmt.Errorf("%s: for histories; a run is judged as its scenario says, and %s is the folder of one", strings.Join(given, ", "), path))
	}
	dir, s, err := openRun(path)
	if err != nil {
		return usage(err)
	}
	result, err := harness.Rejudge(cmd.Context(), dir, s, checkers.Options{Timeout: f.timeout})
	if err != nil {
		return usage(err)
	}
	if err := f.print(cmd, result); err != nil {
		return err
	}
	return codeFor(result.Verdict)
}

// openRun opens a run directory and rebuilds the scenario that was run.
func openRun(path string) (*rundir.Dir, harness.Scenario, error) {
	dir, err := rundir.Open(path)
	if err != nil {
		return nil, harness.Scenario{}, err
	}
	var setup harness.Setup
	if err := dir.Scenario(&setup); err != nil {
		return nil, harness.Scenario{}, err
	}
	s, err := suites.Rebuild(setup)
	return dir, s, err
}

// recoverRun judges and reports a run that was never judged.
func recoverRun(ctx context.Context, path string) (string, error) {
	dir, s, err := openRun(path)
	if err != nil {
		return "", err
	}
	return harness.Recover(ctx, dir, s, checkers.Options{})
}

// checkHistory judges a history by a model.
func (f *checkFlags) checkHistory(cmd *cobra.Command, path string) error {
	if !slices.Contains([]string{"", formatJSONL, formatEDN, formatJSON}, f.format) {
		return usage(fmt.Errorf("--format %q: expected jsonl, edn or json", f.format))
	}
	if err := errors.Join(validOrder(f.order), f.takeDialect()); err != nil {
		return usage(err)
	}
	if f.workload == "" {
		return usage(fmt.Errorf("--workload is needed to judge a history: %s", strings.Join(names(), ", ")))
	}
	if names, ok := f.recordModels(); ok {
		return f.checkRecord(cmd, path, names)
	}
	o, err := f.judgeOptions()
	if err != nil {
		return usage(err)
	}
	checker, err := checkerFor(f.workload, f.model, o)
	var undecidable *undecidableError
	switch {
	case errors.As(err, &undecidable):
		checker = checkers.Func(undecidable.model, func(context.Context, *checkers.Evidence) checkers.Verdict {
			return checkers.Verdict{Verdict: checkers.Unknown, Reason: undecidable.Error()}
		})
	case err != nil:
		return usage(err)
	}
	result, err := f.judged(cmd.Context(), path, checker, func() (*rundir.Result, error) { return f.stream(cmd.Context(), path, o) })
	if err != nil {
		return usage(err)
	}
	return f.conclude(cmd, path, result)
}

// judged judges a history while it is read if it is too large to be held, and
// once it is held if it is not, or if streaming has not decided it.
func (f *checkFlags) judged(ctx context.Context, path string, c checkers.Checker, stream func() (*rundir.Result, error)) (streamed *rundir.Result, err error) {
	// Garbage is collected in time for the bound, which is on the history and on
	// its check together.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(f.total() + ownMemory))
	if f.streams(path) && f.large(path) {
		streamed, err = stream()
		if err != nil || streamed.Verdict != rundir.Inconclusive {
			return streamed, err
		}
	}
	h, err := f.load(path, f.order)
	switch {
	case err == nil:
		return f.either(ctx, path, h, c), nil
	case errors.Is(err, edn.ErrTooLarge) && streamed != nil:
		return streamed, nil
	case errors.Is(err, edn.ErrTooLarge) && f.streams(path):
		return stream()
	}
	return nil, err
}

func (f *checkFlags) load(path, order string) (*loaded, error) {
	h, err := f.loadAs(path, order)
	if err == nil && f.tuples && !f.independent && looksIndependent(h.evidence.Operations) {
		f.independent = true
		return f.loadAs(path, order)
	}
	return h, err
}

func (f *checkFlags) loadAs(path, order string) (*loaded, error) {
	o := loadOptions{format: f.format, independent: f.independent, overlapping: f.overlapping, order: order, memory: f.total() / 2}
	h, err := load(path, o)
	if err == nil || o.overlapping || errors.Is(err, edn.ErrTooLarge) {
		return h, err
	}
	o.overlapping = true
	if _, again := load(path, o); again == nil {
		err = fmt.Errorf("%w; with --overlapping, or --dialect knossos, operations of a process may overlap", err)
	}
	return nil, err
}

// either judges a history in the order of its lines. Where its times contradict
// that, no index says which is meant and nobody has said so, the verdict is one
// only if it is that of both orders.
func (f *checkFlags) either(ctx context.Context, path string, h *loaded, c checkers.Checker) *rundir.Result {
	r := f.judgeHistory(ctx, h, c)
	backwards := h.summary.Backwards
	if backwards == "" || f.order != "" || r.Verdict == rundir.Inconclusive {
		return r
	}
	h.evidence = nil // there is room for one
	other, err := f.load(path, byTime)
	if err == nil {
		o := f.judgeHistory(ctx, other, c)
		if o.Verdict == r.Verdict {
			r.Reasons = append(r.Reasons, fmt.Sprintf("lines and times contradict each other (%s), and the verdict is the same in both orders", backwards))
			return r
		}
		err = fmt.Errorf("in order of time it is %s", o.Verdict)
	}
	r.Reasons = slices.Insert(r.Reasons, 0, fmt.Sprintf("the order of the lines and that of the times contradict each other (%s), and no index says which is meant: "+
		"in order of lines it is %s, and %v; say --order %s or --order %s", backwards, r.Verdict, err, byTime, byLines))
	r.Verdict = rundir.Inconclusive
	return r
}

// total is how many bytes a history and its check may take together.
func (f *checkFlags) total() int64 {
	if f.memory > 0 {
		return f.memory
	}
	return min(defaultMemoryMax, machineMemory(os.DirFS("/"))/2)
}

// defaultMemoryMax bounds the memory of a check where none is said.
const defaultMemoryMax = 8 << 30

// ownMemory is what the command takes besides, in bytes.
const ownMemory = 32 << 20

// conclude prints the result of a history.
func (f *checkFlags) conclude(cmd *cobra.Command, path string, result *rundir.Result) error {
	result.Scenario, result.Reproduce = filepath.Base(path), f.reproduce(cmd, path)
	if err := f.print(cmd, result); err != nil {
		return err
	}
	return codeFor(result.Verdict)
}

// judgeHistory lets one checker judge a history.
func (f *checkFlags) judgeHistory(ctx context.Context, h *loaded, c checkers.Checker) *rundir.Result {
	// All else is found out first: after its deadline nobody waits for anything
	// but a checker that ends.
	r := &rundir.Result{
		Version:    harness.Version(),
		Operations: harness.CountOperations(h.evidence.Operations), Strength: history.Measure(h.evidence.Events, h.evidence.Operations),
		Measures: map[string]float64{}, Reasons: remarks(h),
	}
	idle := proofless(f.workload, h.evidence.Operations, slices.Contains(f.assume, "nil-is-unknown"), f.initial != "")
	if why := history.Unended(h.evidence.Events); why != "" {
		idle = "the history is not whole: " + why
	}
	r.Checkers = checkers.Check(ctx, h.evidence, []checkers.Checker{c}, checkers.Options{Timeout: f.timeout, Memory: true})
	r.Reasons = slices.Insert(r.Reasons, 0, r.Checkers[0].Reason)
	r.Verdict = rundir.OutcomeOf(checkers.Merge(r.Checkers))
	if r.Verdict == rundir.Valid && idle != "" {
		r.Verdict, r.Reasons = rundir.Inconclusive, slices.Insert(r.Reasons, 0, idle)
	}
	if why := f.habit(ctx, h, r.Verdict); why != "" {
		r.Reasons = append(r.Reasons, why)
	}
	return r
}

// remarks say how a history was taken.
func remarks(h *loaded) (list []string) {
	if h.summary.CompletionsOnly {
		list = append(list, "the history has completions only: all operations were taken as overlapping")
	}
	if h.format != formatJSONL && looksIndependent(h.evidence.Operations) {
		list = append(list, "all values look like [key value], and were taken for values: --independent takes them apart")
	}
	if n := h.summary.Raised; n > 0 {
		list = append(list, fmt.Sprintf("%d times went backwards, and were taken for that of the event before: the order of the events counts", n))
	}
	if n := h.summary.Renumbered; n > 0 {
		list = append(list, fmt.Sprintf("%d times a process went on after an operation of unknown outcome, or with one open: it was taken for a new process", n))
	}
	return list
}

// looksIndependent reports whether reads were asked for [key nil] and no
// operation has another argument than [key value]: tuples of
// jepsen.independent.
func looksIndependent(ops []history.Operation) bool {
	read := false
	for i := range ops {
		in := ops[i].Input
		if ops[i].Key != "" || in.Kind() != history.KindList || in.Len() != 2 || ops[i].F == "read" && !in.At(1).IsNil() {
			return false
		}
		read = read || ops[i].F == "read"
	}
	return read
}

// judgeOptions reads the flags that concern the judgement.
func (f *checkFlags) judgeOptions() (*judgeOptions, error) {
	o := &judgeOptions{assume: f.assume, memory: max(1, f.total()/2), bounded: f.memory > 0, negative: f.negative, maxLag: f.maxLag, maxLagging: f.maxLagging}
	if f.maxLag < 0 || f.maxLagging < 0 {
		return nil, errors.New("--max-lag and --max-versions must not be negative")
	}
	if f.initial != "" {
		v, err := edn.ParseValue(f.initial)
		if err != nil {
			return nil, fmt.Errorf("--initial %q: %w", f.initial, err)
		}
		o.initial = &v
	}
	for _, a := range f.anomalies {
		o.anomalies = append(o.anomalies, txn.Anomaly(a))
	}
	for _, entry := range strings.FieldsFunc(f.transactionOrder, func(r rune) bool { return r == ',' }) {
		var id, at int64
		if n, err := fmt.Sscanf(entry, "%d:%d", &id, &at); n != 2 || err != nil {
			return nil, fmt.Errorf("--transaction-order: %q is not ID:POSITION", entry)
		}
		if o.order == nil {
			o.order = map[int64]int64{}
		}
		o.order[id] = at
	}
	return o, nil
}

// reproduce is the command line that judges the same again.
func (f *checkFlags) reproduce(cmd *cobra.Command, path string) string {
	line := "cleancut check " + quote(path)
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if flag.Name != "json" {
			line += " --" + flag.Name + "=" + quote(strings.Trim(flag.Value.String(), "[]"))
		}
	})
	return line
}

func (f *checkFlags) print(cmd *cobra.Command, r *rundir.Result) error {
	if f.json {
		return printJSON(cmd.OutOrStdout(), []*rundir.Result{r})
	}
	return report.Text(cmd.OutOrStdout(), r, "")
}

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report RUN",
		Short: "Write the report of a run again; judge it if its harness died before",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := rundir.Open(args[0])
			if err != nil {
				return usage(err)
			}
			path, err := report.Write(dir)
			if errors.Is(err, fs.ErrNotExist) {
				path, err = recoverRun(cmd.Context(), args[0])
			}
			if err != nil {
				return usage(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), path)
			return nil
		},
	}
}
