package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear"
	"github.com/cleancut/cleancut/checkers/models"
	"github.com/cleancut/cleancut/checkers/txn"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/nearest"
)

// judgeOptions are the flags of check that concern the judgement.
type judgeOptions struct {
	initial    *history.Value
	anomalies  []txn.Anomaly
	assume     []string
	order      map[int64]int64
	memory     int64 // for the check
	bounded    bool  // by the user
	negative   bool
	maxLag     time.Duration
	maxLagging int
}

// share is the memory of a checker that takes usual if nobody says otherwise.
func (o *judgeOptions) share(usual int64) int64 {
	if o.bounded {
		return o.memory
	}
	return min(usual, o.memory)
}

func (o *judgeOptions) initialOr(v history.Value) history.Value {
	if o.initial != nil {
		return *o.initial
	}
	return v
}

// beginning are the workloads whose objects may begin with a value.
var beginning = []string{"register", "cas-register", "kv", "multi-register", "counter", "semaphore", "bank"}

// fit says which option means nothing for a workload and a model, and would be
// passed over.
func (o *judgeOptions) fit(workload, model string) error {
	switch {
	case o.negative && workload != "bank":
		return fmt.Errorf("--negative-balances is for the workload bank, not for %s", workload)
	case (o.maxLag > 0 || o.maxLagging > 0) && model != "bounded-staleness" && model != "durable":
		return fmt.Errorf("--max-lag and --max-versions are for the models bounded-staleness and durable, not for %s", model)
	case o.initial != nil && !o.initial.IsNil() && !slices.Contains(beginning, workload):
		return fmt.Errorf("--initial %s: what the workload %s is about begins empty; a first value is for %s", o.initial, workload, strings.Join(beginning, ", "))
	}
	return nil
}

// initialInt is the initial value of a counter.
func (o *judgeOptions) initialInt() (int64, error) {
	n, ok := o.initialOr(history.Int(0)).AsInt()
	if !ok {
		return 0, fmt.Errorf("--initial %s: a counter begins with an integer", o.initial)
	}
	return n, nil
}

// judgement is one model with the workloads for which it can be decided.
type judgement struct {
	model     string
	workloads []string
	meaning   string
	checker   func(workload string, o *judgeOptions) (checkers.Checker, error)
}

// workloadNames are all names that check takes for --workload, with the model
// that is meant if none is given.
var workloadNames = []struct{ name, model string }{
	{"register", "linearizable"}, {"cas-register", "linearizable"}, {"kv", "linearizable"},
	{"multi-register", "linearizable"},
	{"mutex", "linearizable"}, {"semaphore", "linearizable"}, {"fencing", "linearizable"},
	{"set", "linearizable"}, {"set-full", "set-full"},
	{"queue", "linearizable"}, {"unordered-queue", "unordered-queue"}, {"total-queue", "total-queue"},
	{"counter", "linearizable"}, {"unique-ids", "unique-ids"}, {"monotonic", "monotonic"},
	{"list-append", "strict-serializable"}, {"rw-register", "strict-serializable"},
	{"closed-predicate", "strict-serializable"},
	{"bank", "bank"}, {"long-fork", "long-fork"}, {"write-skew", "write-skew"}, {"causal-reverse", "causal-reverse"},
	{"list", "linearizable"}, {"log", "linearizable"}, {"checkpoint", "consistent-cut"}, {"stats", "stats"},
}

func defaultModel(workload string) (model string, ok bool) {
	for _, w := range workloadNames {
		if w.name == workload {
			return w.model, true
		}
	}
	return "", false
}

var (
	registers    = []string{"register", "cas-register", "kv"}
	transactions = []string{"list-append", "rw-register"}
	appendLists  = []string{"list", "log"}
	everyList    = []string{"list", "log", "list-append"}
)

// fixed has no options but a bound on memory.
func fixed(c checkers.Checker) func(string, *judgeOptions) (checkers.Checker, error) {
	return func(_ string, o *judgeOptions) (checkers.Checker, error) { return models.Bounded(c, o.memory), nil }
}

// judgements is the table of what can be decided for what.
var judgements = slices.Concat([]judgement{
	{"linearizable", append(slices.Clone(linear.Workloads()), "set-full"),
		"each operation takes effect at one instant between invocation and completion", linearizable},
	crashing(linear.StrictLinearizable, "linearizable, and what was open when its node crashed took effect before the crash or never"),
	crashing(linear.PersistentAtomic, "the same before the next invocation at that node or never"),
	crashing(linear.RecoverableLinearizable, "the same before the next invocation at that node on the same key or never"),
	crashing(linear.DurableLinearizable, "linearizable, whatever crashed: what was acknowledged survives"),
	crashing(linear.BufferedDurableLinearizable, "what survives a crash of the whole system is a consistent cut, with all that a sync had confirmed"),
	{"sequential", registers, "operations take effect in one order that keeps that of each process", func(_ string, o *judgeOptions) (checkers.Checker, error) {
		return models.Bounded(models.Sequential(o.initialOr(history.Nil)), o.memory), nil
	}},
	{"sequential", []string{"list-append"}, "the same for transactions (strong-session-serializable)", func(workload string, o *judgeOptions) (checkers.Checker, error) {
		return transactionChecker(workload, string(txn.StrongSessionSerializable), o)
	}},
	session(models.Causal, "what is seen is seen with all that it depends on"),
	session(models.CausalConvergent, "causal, and all agree on one order of the writes"),
	{"pram", registers, "each process sees all writes in some order that keeps that of each process", func(_ string, o *judgeOptions) (checkers.Checker, error) {
		return models.Bounded(models.PRAM(o.initialOr(history.Nil)), o.memory), nil
	}},
	session(models.ReadYourWrites, "a process sees its own writes"+oneOrder),
	session(models.MonotonicReads, "what a process has seen it sees again"+oneOrder),
	session(models.MonotonicWrites, "writes of a process are seen in their order"+oneOrder),
	session(models.WritesFollowReads, "a write is seen with what its process had read before"+oneOrder),
	sessionList(models.Causal, appendLists, "what is seen is seen with all that it depends on"),
	sessionList(models.CausalConvergent, appendLists, "causal, and all agree on one order of the appends"),
	sessionList(models.ReadYourWrites, everyList, "a process sees its own appends"+oneOrder),
	sessionList(models.MonotonicReads, everyList, "what a process has seen it sees again"+oneOrder),
	sessionList(models.MonotonicWrites, everyList, "appends of a process are seen in their order"+oneOrder),
	sessionList(models.WritesFollowReads, everyList, "an append is seen with what its process had read before"+oneOrder),
	{"bounded-staleness", registers, "reads are not older than --max-lag and not more behind than --max-versions; without either it only measures", func(_ string, o *judgeOptions) (checkers.Checker, error) {
		return models.Bounded(models.Staleness(models.StalenessOptions{Time: o.maxLag, Versions: o.maxLagging, Initial: o.initialOr(history.Nil)}), o.memory), nil
	}},
	{"bounded-staleness", everyList, "the same for lists, by positions in the longest one", func(_ string, o *judgeOptions) (checkers.Checker, error) {
		return models.Bounded(models.StaleLists(models.StalenessOptions{Time: o.maxLag, Versions: o.maxLagging}), o.memory), nil
	}},
	{"eventual", everyList, "reads after all appends have all that was acknowledged, in one order", fixed(models.FinalLists())},
	{"eventual", registers, "reads after all writes agree", func(_ string, o *judgeOptions) (checkers.Checker, error) {
		return models.Bounded(models.FinalRegisters(o.initialOr(history.Nil)), o.memory), nil
	}},
	{"durable", append(slices.Clone(registers), "set", "set-full", "list", "log"), "no fault costs what was acknowledged before or during it (or no more than --max-lag), nothing that failed is there", func(_ string, o *judgeOptions) (checkers.Checker, error) {
		return models.Bounded(models.Durability(models.DurabilityOptions{Time: o.maxLag, Operations: o.maxLagging, Initial: o.initialOr(history.Nil)}), o.memory), nil
	}},
	{"kafka", []string{"log"}, "partitions with offsets lose, double, skip and reorder nothing", fixed(models.Kafka())},
	{"set-full", []string{"set", "set-full"}, "no element is lost; elements may be stale for a time (necessary for linearizability, not sufficient)", fixed(models.SetFull(false))},
	{"set-full-linearizable", []string{"set", "set-full"}, "no element is lost or stale (jepsen.checker/set-full with linearizable?)", fixed(models.SetFull(true))},
	{"eventual", []string{"set", "set-full"}, "the last read has all that was acknowledged before", fixed(models.FinalSet())},
	{"eventual", []string{"counter"}, "reads after all adds return a sum that is possible", func(_ string, o *judgeOptions) (checkers.Checker, error) {
		n, err := o.initialInt()
		return models.Bounded(models.FinalCounter(n), o.memory), err
	}},
	{"bounds", []string{"counter"}, "each read lies within its bounds (necessary, not sufficient)", func(_ string, o *judgeOptions) (checkers.Checker, error) {
		n, err := o.initialInt()
		return models.Bounded(models.CounterBounds(n), o.memory), err
	}},
	{"unordered-queue", []string{"queue", "unordered-queue", "total-queue"}, "what comes out was put in before; order and loss are not judged", fixed(models.UnorderedQueue())},
	{"total-queue", []string{"queue", "unordered-queue", "total-queue"}, "what was put in comes out, at least once; order is not judged", fixed(models.TotalQueue(false))},
	{"exactly-once", []string{"queue", "unordered-queue", "total-queue"}, "what was put in comes out exactly once; order is not judged", fixed(models.TotalQueue(true))},
	{"unique-ids", []string{"unique-ids"}, "no identifier is given out twice; nothing else is asked of them", fixed(models.UniqueIDs())},
	{"monotonic", []string{"monotonic"}, "values that only grow never go back", fixed(models.Monotonic())},
	{"bank", []string{"bank"}, "every snapshot of the accounts has the same total (necessary for serializability, not sufficient)", func(_ string, o *judgeOptions) (checkers.Checker, error) { return bank(o) }},
	{"long-fork", []string{"long-fork"}, "reads see writes in one order (no other anomaly is looked for)", fixed(models.LongFork())},
	{"write-skew", []string{"write-skew"}, "of two inserts that exclude each other one is acknowledged (no other anomaly is looked for)", fixed(models.WriteSkew())},
	{"causal-reverse", []string{"causal-reverse"}, "no write is visible without those that preceded it (no other anomaly is looked for)", fixed(models.CausalReverse())},
	{"strict-serializable", []string{"closed-predicate"}, "the same with predicate reads, for small histories", fixed(models.Predicates())},
	{"stats", names(), "every function was ok at least once", fixed(models.Stats())},
}, transactional())

// oneOrder is what models of sessions share: causal-convergent implies them,
// which has one order, and neither causal nor pram does.
const oneOrder = "; all agree on one order"

// crashing is the judgement of a model of objects that crash and recover.
func crashing(m linear.Model, meaning string) judgement {
	workloads := slices.Clone(linear.WorkloadsOf(m))
	return judgement{string(m), append(workloads, "set-full"), meaning, func(workload string, o *judgeOptions) (checkers.Checker, error) {
		return linearObject(workload, o, func(workload string, what linear.Object) (checkers.Checker, error) {
			return linear.ForModel(m, workload, what, linear.Options{Memory: o.share(linear.DefaultMemory)})
		})
	}}
}

// session is the judgement of a guarantee.
func session(g models.Guarantee, meaning string) judgement {
	return judgement{string(g), registers, meaning, func(_ string, o *judgeOptions) (checkers.Checker, error) {
		return models.Bounded(models.Session(g, o.initialOr(history.Nil)), o.memory), nil
	}}
}

// sessionList is the judgement of a guarantee for lists.
func sessionList(g models.Guarantee, workloads []string, meaning string) judgement {
	return judgement{string(g), workloads, meaning, fixed(models.SessionList(g))}
}

func names() (list []string) {
	for _, w := range workloadNames {
		list = append(list, w.name)
	}
	return list
}

// transactional lists the models of package txn.
func transactional() (list []judgement) {
	for _, m := range txn.Models() {
		list = append(list, judgement{string(m), transactions, transactionMeaning(m), func(workload string, o *judgeOptions) (checkers.Checker, error) {
			return transactionChecker(workload, string(m), o)
		}})
	}
	return list
}

func transactionMeaning(m txn.Model) string {
	name := string(m)
	for prefix, meaning := range map[string]string{
		"strong-session-": "%s, and each process sees its transactions in order",
		"strong-":         "%s, and real time is kept",
		"strict-":         "%s, and real time is kept",
	} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && (prefix != "strong-" || !strings.HasPrefix(rest, "session-")) {
			return fmt.Sprintf(meaning, rest)
		}
	}
	return map[string]string{
		"read-uncommitted": "writes of transactions do not interleave (Adya's PL-1)", "read-committed": "and only committed, final writes are read (PL-2)",
		"monotonic-atomic-view": "what was once seen of a transaction stays seen", "read-atomic": "a transaction is seen as a whole or not at all",
		"causal": "transactions are seen with all that they depend on", "repeatable-read": "serializable but for predicates (PL-2.99)",
		"snapshot-isolation": "transactions read from a snapshot, and do not overwrite each other", "serializable": "transactions take effect in some order (PL-3)",
	}[name]
}

// promises are what --assume takes, of transactions and of registers.
var (
	promises         = []string{"wfr-keys", "sequential-keys", "linearizable-keys", "ignore-unwritten", "unproven"}
	registerPromises = []string{"nil-is-unknown"}
)

// transactionChecker judges by some models, separated by commas, and by the
// anomalies of the options.
func transactionChecker(workload, list string, o *judgeOptions) (checkers.Checker, error) {
	t := txn.Options{Workload: txn.ListAppend, Anomalies: o.anomalies, TransactionOrder: o.order, Memory: o.share(txn.DefaultMemory)}
	if workload == "rw-register" {
		t.Workload = txn.RWRegister
	}
	for _, p := range o.assume {
		switch p {
		case "wfr-keys":
			t.WFRKeys = true
		case "sequential-keys":
			t.SequentialKeys = true
		case "linearizable-keys":
			t.LinearizableKeys = true
		case "ignore-unwritten":
			t.Unwritten = txn.UnwrittenIsIgnored
		case "unproven":
			t.Unproven = true
		default:
			return nil, fmt.Errorf("--assume %q: expected one of %s%s", p, strings.Join(promises, ", "), nearest.Suggest(p, promises))
		}
	}
	if o.initial != nil && !o.initial.IsNil() {
		return nil, fmt.Errorf("--initial %s: transactions begin with registers that are nil and with empty lists", o.initial)
	}
	only := txn.Model("")
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		m, err := txn.ParseModel(name)
		if err != nil {
			return nil, fmt.Errorf("--model: %w", err)
		}
		t.Models = append(t.Models, m)
		only = m
	}
	if len(t.Models) > 1 {
		only = ""
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return txn.Checker(only, t), nil
}

func bank(o *judgeOptions) (checkers.Checker, error) {
	b := models.BankOptions{Negative: o.negative}
	if o.initial != nil {
		n, ok := o.initial.AsInt()
		if !ok {
			return nil, fmt.Errorf("--initial %s: for bank it is the sum of all balances, an integer", o.initial)
		}
		b.Total = &n
	}
	return models.Bounded(models.Bank(b), o.memory), nil
}

func linearizable(workload string, o *judgeOptions) (checkers.Checker, error) {
	return linearObject(workload, o, func(workload string, what linear.Object) (checkers.Checker, error) {
		return linear.For(workload, what, linear.Options{Memory: o.share(linear.DefaultMemory)})
	})
}

// linearObject makes a checker for an object of package linear.
func linearObject(workload string, o *judgeOptions, make func(string, linear.Object) (checkers.Checker, error)) (checkers.Checker, error) {
	if workload == "set-full" {
		workload = "set"
	}
	initial := o.initialOr(history.Nil)
	if workload == "semaphore" && o.initial == nil {
		return nil, errors.New("--initial is needed for the workload semaphore: the number of permits")
	}
	c, err := make(workload, linear.Object{Initial: initial})
	if err != nil {
		return nil, fmt.Errorf("--initial %s: %w", initial, err)
	}
	return c, nil
}

// withoutNilReads leaves out reads that returned nil, which say nothing to
// Knossos.
func withoutNilReads(c checkers.Checker) checkers.Checker {
	return checkers.Func(c.Name(), func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
		kept := *e
		kept.Operations = slices.DeleteFunc(slices.Clone(e.Operations), func(o history.Operation) bool {
			return o.F == linear.Read && o.Output.IsNil()
		})
		return c.Check(ctx, &kept)
	})
}

// undecidableError means that both names are known, and that no algorithm
// decides the model for the workload.
type undecidableError struct{ model, workload string }

func (e *undecidableError) Error() string {
	can := "none yet"
	if list := modelsOf(e.workload); len(list) > 0 {
		can = strings.Join(list, ", ")
	}
	return fmt.Sprintf("the model %s cannot be decided for the workload %s; those that can: %s", e.model, e.workload, can)
}

// modelsOf lists the models that can be decided for a workload.
func modelsOf(workload string) (list []string) {
	for _, j := range judgements {
		if slices.Contains(j.workloads, workload) && !slices.Contains(list, j.model) {
			list = append(list, j.model)
		}
	}
	return list
}

// lateModels are names that check takes for models of which nothing is
// decided here.
var lateModels = []string{"consistent-cut"}

// checkerFor finds the checker of a model for a workload. An unknown name, or
// an option that does not fit, is an error of the user; an *undecidableError
// is not.
func checkerFor(workload, model string, o *judgeOptions) (checkers.Checker, error) {
	usual, ok := defaultModel(workload)
	if !ok {
		return nil, fmt.Errorf("--workload %q: expected one of %s%s", workload, strings.Join(names(), ", "), nearest.Suggest(workload, names()))
	}
	if slices.Contains(transactions, workload) {
		if model == "" && len(o.anomalies) == 0 {
			model = usual
		}
		if _, known := find(model, workload); !known || model == "" || len(o.anomalies) > 0 {
			if err := o.fit(workload, model); err != nil {
				return nil, err
			}
			return transactionsFor(workload, model, o)
		}
	} else if len(o.anomalies)+len(o.order) > 0 {
		return nil, errors.New("--anomalies and --transaction-order are for the workloads list-append and rw-register")
	}
	if model == "" {
		model = usual
	}
	j, known := find(model, workload)
	if err := o.fit(workload, model); err != nil && j != nil {
		return nil, err
	}
	switch {
	case j == nil && known:
		return nil, &undecidableError{model, workload}
	case j == nil:
		return nil, fmt.Errorf("--model %q: there is no such model; `cleancut list models` shows all, and for %s there are %s%s",
			model, workload, strings.Join(modelsOf(workload), ", "), nearest.Suggest(model, modelsOf(workload)))
	}
	c, err := j.checker(workload, o)
	if err != nil || len(o.assume) == 0 || slices.Contains(transactions, workload) {
		return c, err
	}
	if !slices.Contains(registers, workload) || !slices.Equal(o.assume, registerPromises) {
		return nil, fmt.Errorf("--assume %s: for registers there is %s, for transactions %s", strings.Join(o.assume, ","), strings.Join(registerPromises, ", "), strings.Join(promises, ", "))
	}
	return withoutNilReads(c), nil
}

// transactionsFor is for several models, aliases and anomalies alone.
func transactionsFor(workload, model string, o *judgeOptions) (checkers.Checker, error) {
	for _, name := range strings.Split(model, ",") {
		if _, known := find(name, workload); known || txn.Known(name) {
			if _, err := txn.ParseModel(name); err != nil {
				return nil, &undecidableError{name, workload}
			}
		}
	}
	return transactionChecker(workload, model, o)
}

// find returns the judgement of a model for a workload, nil if there is none,
// and whether there is such a model at all.
func find(model, workload string) (j *judgement, known bool) {
	known = slices.Contains(lateModels, model)
	for i := range judgements {
		if judgements[i].model != model {
			continue
		}
		known = true
		if slices.Contains(judgements[i].workloads, workload) {
			return &judgements[i], true
		}
	}
	return nil, known
}

// modelTable lists the models.
func modelTable() table {
	t := table{header: []string{"model", "workloads", "meaning"}}
	for _, j := range judgements {
		workloads := strings.Join(j.workloads, ",")
		if len(j.workloads) == len(workloadNames) {
			workloads = "all"
		}
		t.rows = append(t.rows, []string{j.model, workloads, j.meaning})
	}
	return t
}
