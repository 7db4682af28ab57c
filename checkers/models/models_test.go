package models

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/history/edn"
)

// parse reads a history of lines "process type f value"; times are the
// positions in milliseconds.
func parse(t *testing.T, text string) []history.Operation {
	t.Helper()
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		w := strings.SplitN(strings.TrimSpace(line), " ", 4)
		fmt.Fprintf(&b, "{:index %d :time %d000000 :process %s :type :%s :f :%s :value %s}\n", i, i, w[0], w[1], w[2], strings.Join(w[3:], " "))
	}
	events, _, err := edn.Read(strings.NewReader(b.String()), edn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ops, err := history.Operations(events)
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// at writes one process's operation that is over at once.
func at(process int, f, in, out string) string {
	return fmt.Sprintf("%d invoke %s %s\n%d ok %s %s\n", process, f, in, process, f, out)
}

// pairs are histories that are accepted beside the least change that must be
// rejected, with the class and a part of the summary.
func TestAcceptedHistoriesBesideTheLeastChangeThatIsRejected(t *testing.T) {
	total := int64(10)
	for _, c := range []struct {
		name       string
		checker    checkers.Checker
		text       string
		old, new   string
		class, say string
	}{
		{"set-full", SetFull(false), at(0, "add", "1", "1") + at(1, "read", "nil", "#{1}"), "#{1}", "#{}", "lost", "1 was known at 0.001 s"},
		{"a set that shows what failed", SetFull(false), "0 invoke add 1\n0 info add 1\n" + at(1, "read", "nil", "[1]"), "info", "fail", "aborted read", "whose add failed"},
		{"a set that doubles", SetFull(false), at(0, "add", "1", "1") + at(1, "read", "nil", "[1]"), "[1]", "[1 1]", "duplicate", "1 twice"},
		{"a set with a stranger", SetFull(false), at(0, "add", "1", "1") + at(1, "read", "nil", "[1]"), "[1]", "[1 2]", "phantom", "2, which nobody"},
		{"set-full linearizable", SetFull(true), at(0, "add", "1", "1") + at(1, "read", "nil", "[1]") + at(1, "read", "nil", "[1]"), "[1]", "[]", "stale", "1 was known"},
		{"final set", FinalSet(), at(0, "add", "1", "1") + at(1, "read", "nil", "#{1}"), "#{1}", "#{}", "lost", "lacks 1 element"},
		{"final set with a stranger", FinalSet(), at(0, "add", "1", "1") + at(1, "read", "nil", "#{1}"), "#{1}", "#{1 2}", "unexpected", "2"},
		{"total queue", TotalQueue(false), at(0, "enqueue", "1", "1") + at(1, "drain", "nil", "[1]"), "[1]", "[]", "lost", "1 was acknowledged"},
		{"total queue with a stranger", TotalQueue(false), at(0, "enqueue", "1", "1") + at(1, "dequeue", "nil", "1"), "dequeue 1", "dequeue 2", "unexpected", "2 came out"},
		{"total queue that shows what failed", TotalQueue(false), "0 invoke enqueue 1\n0 info enqueue 1\n" + at(1, "dequeue", "nil", "1"), "info", "fail", "aborted", "its enqueue failed"},
		{"exactly once", TotalQueue(true), at(0, "enqueue", "1", "1") + at(1, "drain", "nil", "[1]"), "[1]", "[1 1]", "duplicated", "came out 2 times"},
		{"unordered queue", UnorderedQueue(), at(0, "enqueue", "1", "1") + at(1, "dequeue", "nil", "1"), "ok dequeue 1", "ok dequeue 2", "unexpected", "2 came out"},
		{"unique identifiers", UniqueIDs(), at(0, "generate", "nil", "1") + at(1, "generate", "nil", "2"), "generate 2", "generate 1", "duplicate", "given out twice"},
		{"counter", CounterBounds(0), at(0, "add", "2", "2") + at(1, "read", "nil", "2"), "read 2", "read 3", "out of bounds", "no more than 2"},
		{"counter with negative amounts", CounterBounds(5), at(0, "add", "-2", "-2") + at(1, "read", "nil", "3"), "read 3", "read 2", "out of bounds", "too low: 3"},
		{"final counter", FinalCounter(0), "0 invoke add 5\n0 info add 5\n" + at(1, "add", "2", "2") + at(2, "read", "nil", "7"), "read 7", "read 6", "impossible sum", "acknowledged adds come to 2"},
		{"bank", Bank(BankOptions{}), at(0, "read", "nil", "{0 3 1 7}") + at(0, "read", "nil", "{0 4 1 6}"), "1 6", "1 5", "wrong total", "sum up to 9, expected are 10"},
		{"bank with a total", Bank(BankOptions{Total: &total}), at(0, "read", "nil", "[3 7]"), "[3 7]", "[3 8]", "wrong total", "11"},
		{"bank in debt", Bank(BankOptions{}), at(0, "read", "nil", "{0 3 1 7}") + at(0, "read", "nil", "{0 0 1 10}"), "{0 0 1 10}", "{0 -1 1 11}", "negative balance", "account 0"},
		{"bank that loses an account", Bank(BankOptions{}), at(0, "read", "nil", "{0 3 1 7}") + at(0, "read", "nil", "{0 0 1 10}"), "{0 0 1 10}", "{1 10}", "wrong accounts", "the accounts 1, the first"},
		{"bank without a balance", Bank(BankOptions{}), at(0, "read", "nil", "{0 3}"), "{0 3}", "{0 nil}", "nil balance", "nil for account 0"},
		{"long fork", LongFork(), at(0, "read", "[[:r 0 nil] [:r 1 nil]]", "[[:r 0 1] [:r 1 nil]]") + at(1, "read", "[[:r 1 nil] [:r 0 nil]]", "[[:r 1 1] [:r 0 1]]"), "[:r 0 1]]", "[:r 0 nil]]", "long fork", "no order"},
		{"write skew", WriteSkew(), at(0, "insert", "[1 nil]", "[1 nil]") + "1 invoke insert [nil 2]\n1 fail insert [nil 2]\n", "fail", "ok", "write skew", "2 inserts"},
		{"causal reverse", CausalReverse(), at(0, "write", "1", "1") + at(0, "write", "2", "2") + at(1, "read", "nil", "[1 2]"), "[1 2]", "[2]", "causal reverse", "lacks 1"},
		{"monotonic", Monotonic(), at(0, "read", "nil", "2") + at(1, "read", "nil", "2"), "1 ok read 2", "1 ok read 1", "went back", "returned 1 after"},
		{"monotonic snapshots", Monotonic(), "0 invoke read nil\n1 invoke read nil\n0 ok read {:x 1 :y 2}\n1 ok read {:x 2 :y 2}\n", ":x 2 :y 2", ":x 2 :y 1", "contradiction", "each has something greater"},
		{"predicates", Predicates(), at(0, "init", "{1 3}", "{1 3}") + at(0, "txn", "nil", "[[:rp [:mod 2 1] {1 3}] [:delete 1] [:rp :true {}] [:insert 2 5] [:r 2 5]]"), "{1 3}] [:delete", "{}] [:delete", "not strict-serializable", "no order"},
		{"stats", Stats(), at(0, "read", "nil", "2"), "ok", "fail", "never ok", "read was ever ok"},
		{"staleness in versions", Staleness(StalenessOptions{Versions: 1}), at(0, "write", "1", "1") + at(0, "write", "2", "2") + at(0, "write", "3", "3") + at(1, "read", "nil", "2"), "ok read 2", "ok read 1", "too stale", "at least 2 versions behind"},
		{"staleness in time", Staleness(StalenessOptions{Time: 2 * time.Millisecond}), at(0, "write", "1", "1") + at(0, "write", "2", "2") + at(0, "write", "3", "3") + at(1, "read", "nil", "2"), "ok read 2", "ok read 1", "too stale", "replaced for at least 3ms"},
		{"final registers", FinalRegisters(history.Nil), "0 invoke write 1\n1 invoke write 2\n0 ok write 1\n1 ok write 2\n" + at(1, "read", "nil", "1") + at(2, "read", "nil", "1"), "2 ok read 1", "2 ok read 2", "divergence", "returned 2 and another one 1"},
		{"final registers that lost a write", FinalRegisters(history.Nil), at(0, "write", "1", "1") + at(0, "write", "2", "2") + at(2, "read", "nil", "2"), "ok read 2", "ok read 1", "lost write", "which 2 had replaced"},
		{"lists behind in versions", StaleLists(StalenessOptions{Versions: 1}), at(0, "append", "1", "1") + at(0, "append", "2", "2") + at(1, "read", "nil", "[1 2]") + at(2, "read", "nil", "[1]"), "ok read [1]", "ok read []", "too stale", "at least 2 versions behind"},
		{"lists behind what nobody read", StaleLists(StalenessOptions{Versions: 1}), at(0, "append", "1", "1") + at(0, "append", "2", "2") + at(2, "read", "nil", "[1]"), "ok read [1]", "ok read []", "too stale", "at least 2 versions behind"},
		{"lists behind in time", StaleLists(StalenessOptions{Time: 3 * time.Millisecond}), at(0, "append", "1", "1") + at(0, "append", "2", "2") + at(1, "read", "nil", "[1 2]") + at(2, "read", "nil", "[1]"), "ok read [1]", "ok read []", "too stale", "acknowledged 5ms before; 3ms is allowed"},
		{"stale lists are beginnings", StaleLists(StalenessOptions{}), at(0, "append", "1", "1") + at(0, "append", "2", "2") + at(1, "read", "nil", "[1 2]") + at(2, "read", "nil", "[1]"), "ok read [1]", "ok read [2]", "incompatible order", "2 at position 1, another one 1"},
		{"lists in transactions", StaleLists(StalenessOptions{Versions: 1}), at(0, "txn", "[[:append x 1] [:append x 2]]", "[[:append x 1] [:append x 2]]") + at(1, "txn", "[[:r x nil]]", "[[:r x [1]]]"), "[1]", "[]", "too stale", "2 versions"},
		{"final lists", FinalLists(), at(0, "append", "1", "1") + at(1, "read", "nil", "[1]") + at(2, "read", "nil", "[1]"), "[1]", "[]", "lost append", "lacked 1"},
		{"final lists in one order", FinalLists(), at(0, "append", "1", "1") + at(0, "append", "2", "2") + at(1, "read", "nil", "[1 2]") + at(2, "read", "nil", "[1 2]"), "[1 2]", "[2 1]", "divergence", "contradict each other"},
		{"final lists that grow", FinalLists(), at(0, "append", "1", "1") + "1 invoke append 2\n1 info append 2\n" + at(3, "read", "nil", "[1]") + at(2, "read", "nil", "[1 2]") + at(3, "read", "nil", "[1 2]"), "3 ok read [1 2]", "3 ok read [1]", "divergence", "which an earlier one had returned"},
		{"final registers that a late write changes", FinalRegisters(history.Nil), at(0, "write", "1", "1") + "1 invoke write 2\n1 info write 2\n" + at(3, "read", "nil", "1") + at(2, "read", "nil", "2") + at(3, "read", "nil", "2"), "3 ok read 2", "3 ok read 1", "divergence", "returned 2 and a later one 1"},
		{"monotonic reads over different names", Monotonic(), "0 invoke read nil\n1 invoke read nil\n0 ok read {:x 1 :y 2}\n1 ok read {:x 2 :y 2 :z 1}\n", ":x 2 :y 2", ":x 2 :y 1", "contradiction", "each has something greater"},
		{"one's own cas", Session(ReadYourWrites, history.Nil), at(0, "cas", "[nil 1]", "[nil 1]") + at(0, "read", "nil", "1"), "ok read 1", "ok read nil", "own write missed", "the cas of"},
		{"a delete is seen again", Session(MonotonicReads, history.Nil), at(0, "write", "1", "1") + at(0, "delete", "nil", "nil") + at(1, "read", "nil", "1") + at(1, "read", "nil", "nil") + at(1, "read", "nil", "nil"), "ok read nil", "ok read 1", "no arbitration", "no order of the writes"},
		{"one's own append", SessionList(ReadYourWrites), at(0, "append", "1", "1") + at(0, "read", "nil", "[1]"), "[1]", "[]", "missing append", "lacks what the append of 1"},
		{"lists in one order", SessionList(CausalConvergent), at(0, "append", "1", "1") + at(1, "append", "2", "2") + at(2, "read", "nil", "[1 2]") + at(3, "read", "nil", "[1 2]"), "[1 2]", "[2 1]", "no arbitration", "explains all reads"},
		{"a queue that lost more than one crash explains", TotalQueue(false), at(0, "enqueue", "1", "1") + at(0, "enqueue", "2", "2") + "1 invoke dequeue nil\n1 info dequeue nil\n" + at(2, "drain", "nil", "[1 2]"), "[1 2]", "[]", "lost", "was acknowledged"},
		{"causal reverse that shows what failed", CausalReverse(), "0 invoke write 1\n0 info write 1\n" + at(1, "read", "nil", "[1]"), "info", "fail", "aborted read", "whose write failed"},
		{"log without loss", Kafka(), sent(1, 0, 1, 2) + polled("[0 1] [1 2]"), "[0 1] [1 2]", "[1 2]", "lost write", "1 was acknowledged at offset 0"},
		{"log with one value at an offset", Kafka(), sent(1, 0, 1, 2) + polled("[0 1] [1 2]"), "[1 2]", "[0 2]", "inconsistent offsets", "at offset 0"},
		{"log without copies", Kafka(), sent(1, 0, 1, 2) + polled("[0 1] [1 2]"), "[1 2]", "[1 2] [2 2]", "duplicate", "offsets 1 and 2"},
		{"log without strangers", Kafka(), sent(1, 0, 1, 2) + polled("[0 1] [1 2]"), "[1 2]", "[1 2] [2 9]", "thin-air read", "9 was polled"},
		{"log polled in order", Kafka(), sent(1, 0, 1, 2) + polled("[0 1] [1 2]"), "[0 1] [1 2]", "[1 2] [0 1]", "nonmonotonic poll", "offset 0 of key 0 after offset 1"},
		{"log sent in order", Kafka(), sent(1, 0, 1, 2) + polled("[0 1] [1 2]"), "[1 2]", "[1 2]", "", ""},
		{"log without skips", Kafka(), sent(1, 0, 1, 2) + sent(1, 2, 3, 4) + polled("[0 1] [1 2] [2 3] [3 4]") + at(8, "poll", "[[:poll]]", "[[:poll {0 [[0 1] [1 2] [2 3]]}]]"), "[0 1] [1 2] [2 3]]}", "[0 1] [2 3]]}", "poll skip", "skipped 2 at offset 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if v := run(c.checker, parse(t, c.text)); v.Verdict != checkers.Valid {
				t.Fatalf("%s: %s", v.Verdict, v.Reason)
			}
			if c.class == "" {
				return
			}
			at := strings.LastIndex(c.text, c.old)
			if c.name == "set-full linearizable" {
				at = strings.Index(c.text, c.old)
			}
			v := run(c.checker, parse(t, c.text[:at]+c.new+c.text[at+len(c.old):]))
			if v.Verdict != checkers.Invalid || v.Witness.Class != c.class || !strings.Contains(v.Witness.Summary, c.say) || len(v.Witness.Operations) == 0 {
				t.Fatalf("%s: %s %+v; want the class %q and %q", v.Verdict, v.Reason, v.Witness, c.class, c.say)
			}
		})
	}
}

// sent is two sends of a process to key 0, at two offsets from first.
func sent(process, first, a, b int) string {
	return at(process, "send", fmt.Sprintf("[[:send 0 %d]]", a), fmt.Sprintf("[[:send 0 [%d %d]]]", first, a)) +
		at(process, "send", fmt.Sprintf("[[:send 0 %d]]", b), fmt.Sprintf("[[:send 0 [%d %d]]]", first+1, b))
}

func polled(messages string) string {
	return at(9, "poll", "[[:poll]]", "[[:poll {0 ["+messages+"]}]]")
}

func TestWhatProvesNothingIsUnknown(t *testing.T) {
	write := at(0, "write", "1", "1")
	for name, c := range map[string]struct {
		checker checkers.Checker
		text    string
		say     string
	}{
		"a set that is never read":              {SetFull(false), at(0, "add", "1", "1"), "no read began"},
		"a set with an element added twice":     {SetFull(false), at(0, "add", "1", "1") + at(0, "add", "1", "1"), "added twice"},
		"a queue that is never drained":         {TotalQueue(false), at(0, "enqueue", "1", "1"), "nobody found the queue empty"},
		"a queue with a crashed consumer":       {TotalQueue(false), at(0, "enqueue", "1", "1") + "1 invoke dequeue nil\n1 info dequeue nil\n" + at(2, "drain", "nil", "[]"), "may have swallowed"},
		"a counter that is never read":          {CounterBounds(0), at(0, "add", "1", "1"), "never read"},
		"a bank that is never read":             {Bank(BankOptions{}), at(0, "transfer", "1", "1"), "never read"},
		"a long fork with keys written twice":   {LongFork(), at(0, "txn", "[[:w 0 1]]", "[[:w 0 1]]") + at(0, "txn", "[[:w 0 2]]", "[[:w 0 2]]"), "written twice"},
		"a register with pushes":                {Session(Causal, history.Nil), at(0, "push", "1", "1"), "the operation push"},
		"a register with values written twice":  {PRAM(history.Nil), write + write, "written to key \"\" twice"},
		"a register that has its initial value": {Sequential(history.Int(1)), write, "the initial value 1 is written"},
		"registers that are never read at last": {FinalRegisters(history.Nil), write, "nothing was read"},
		"lists that are never read":             {StaleLists(StalenessOptions{}), at(0, "append", "1", "1"), "nothing was read"},
		"lists that are never read at last":     {FinalLists(), at(1, "read", "nil", "[]") + at(0, "append", "1", "1"), "nothing was read after"},
		"lists with a value twice":              {FinalLists(), at(0, "append", "1", "1") + at(0, "append", "1", "1"), "appended twice"},
		"lists with offsets":                    {StaleLists(StalenessOptions{}), at(0, "send", "1", "1"), "the operation send"},
		"a log where nothing is sent":           {Kafka(), polled(""), "nothing was sent"},
		"an empty history":                      {Stats(), at(0, "x", "nil", "nil")[:0] + "0 invoke x nil", ""},
	} {
		v := run(c.checker, parse(t, c.text))
		if name == "an empty history" {
			v = run(c.checker, nil)
			c.say = "no operations"
		}
		if v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, c.say) {
			t.Errorf("%s: %s (%s), want unknown and %q", name, v.Verdict, v.Reason, c.say)
		}
	}
}

func TestWhatACheckerDoesNotKnowMayHaveChangedSomething(t *testing.T) {
	n := history.Int(1)
	for _, c := range []struct {
		checker checkers.Checker
		ops     []history.Operation // valid or invalid without what is odd
		odd     string
	}{
		{SetFull(false), []history.Operation{done(Add, n, n, 0, 0), done(Read, history.Nil, history.List(), 9, 0)}, Remove},
		{SetFull(true), []history.Operation{done(Add, n, n, 0, 0), done(Read, history.Nil, history.List(), 9, 0)}, Remove},
		{FinalSet(), []history.Operation{done(Add, n, n, 0, 0), done(Read, history.Nil, history.List(), 9, 0)}, Remove},
		{CounterBounds(0), []history.Operation{done(Add, n, n, 0, 0), done(Read, history.Nil, history.Int(0), 9, 0)}, "decrement"},
		{FinalCounter(0), []history.Operation{done(Add, n, n, 0, 0), done(Read, history.Nil, history.Int(0), 9, 0)}, "decrement"},
		{TotalQueue(false), []history.Operation{done(Enqueue, n, n, 0, 0), done(Dequeue, history.Nil, history.Nil, 9, 0)}, "purge"},
		{UnorderedQueue(), []history.Operation{done(Dequeue, history.Nil, n, 9, 0)}, "push"},
		{CausalReverse(), []history.Operation{done(Write, n, n, 0, 0), done(Read, history.Nil, history.List(history.Int(2)), 9, 0)}, "swap"},
		{Kafka(), parse(t, sent(1, 0, 1, 2)+polled("[0 1]")+polled("[0 1]")), "seek"},
	} {
		if v := c.checker.Check(t.Context(), &checkers.Evidence{Operations: c.ops}); v.Verdict != checkers.Invalid {
			t.Errorf("%s: %s (%s), want invalid", c.checker.Name(), v.Verdict, v.Reason)
		}
		odd := done(c.odd, n, n, 4, 9)
		e := &checkers.Evidence{Operations: []history.Operation{c.ops[0], odd}}
		e.Operations = append(e.Operations, c.ops[1:]...)
		if v := c.checker.Check(t.Context(), e); v.Verdict != checkers.Unknown || !strings.Contains(v.Reason, c.odd) {
			t.Errorf("%s with a %s: %s (%s), want unknown", c.checker.Name(), c.odd, v.Verdict, v.Reason)
		}
		e.Operations[1].Outcome = history.Fail
		if v := c.checker.Check(t.Context(), e); v.Verdict != checkers.Invalid {
			t.Errorf("%s with a %s that failed: %s (%s), want invalid", c.checker.Name(), c.odd, v.Verdict, v.Reason)
		}
	}
}

func TestWhatCannotBeReadIsNoViolation(t *testing.T) {
	for _, c := range []struct {
		checker checkers.Checker
		text    string
		want    checkers.Validity
		says    string
	}{
		{Bank(BankOptions{}), at(0, "read", "nil", "{0 1.5}"), checkers.Unknown, "1.5 of account 0 cannot be judged"},
		{Bank(BankOptions{}), at(0, "read", "nil", "[[:a 10]]"), checkers.Unknown, "cannot be judged"},
		{WriteSkew(), at(0, "insert", "[1 [1 nil]]", "[1 [1 nil]]") + at(0, "insert", "[2 [nil 2]]", "[2 [nil 2]]"), checkers.Unknown, "--independent"},
		{Predicates(), at(0, "init", "{1 3}", "{1 3}") + at(0, "txn", "nil", "[[:rp true {1 3}]]"), checkers.Valid, ""},
		{Predicates(), at(0, "init", "{1 3}", "{1 3}") + at(0, "txn", "nil", "[[:rp true {}]]"), checkers.Invalid, ""},
		{Predicates(), at(0, "init", "{1 3}", "{1 3}") + at(0, "txn", "nil", "[[:rp false {}]]"), checkers.Unknown, "the predicate false"},
	} {
		v := c.checker.Check(t.Context(), &checkers.Evidence{Operations: parse(t, c.text)})
		if v.Verdict != c.want || !strings.Contains(v.Reason, c.says) {
			t.Errorf("%s of\n%s: %s (%s), want %s and %q", c.checker.Name(), c.text, v.Verdict, v.Reason, c.want, c.says)
		}
	}
}

func TestACircleIsToldStepByStep(t *testing.T) {
	v := Sequential(history.Nil).Check(t.Context(), &checkers.Evidence{Operations: parse(t, at(0, "write", "1", "1")+at(0, "read", "nil", "nil"))})
	if v.Verdict != checkers.Invalid {
		t.Fatalf("%s: %s", v.Verdict, v.Reason)
	}
	want := "the read of nil by process 0 came before the write of 1 by process 0, which replaced what it returned."
	if !strings.Contains(strings.Join(v.Witness.Lines, "\n"), want) {
		t.Errorf("%q is missing in %q", want, v.Witness.Lines)
	}
}
