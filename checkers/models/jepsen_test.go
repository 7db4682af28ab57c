package models

import (
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Histories on which we say what Jepsen's checkers say, and such on which we
// do not, as the table of README.md tells. Jepsen is what its code says, read
// line by line; "throws" is unknown to whoever runs it.
func TestJepsensCheckersSayTheSameOrTheReadmeTellsWhyNot(t *testing.T) {
	subscribed := "8 invoke subscribe [0]\n8 ok subscribe [0]\n"
	skipping := at(8, "poll", "[[:poll]]", "[[:poll {0 [[0 1]]}]]") + at(8, "poll", "[[:poll]]", "[[:poll {0 [[2 3]]}]]") + at(9, "poll", "[[:poll]]", "[[:poll {0 [[0 1] [1 2] [2 3] [3 4]]}]]")
	four := sent(1, 0, 1, 2) + sent(1, 2, 3, 4)
	for _, c := range []struct {
		name         string
		checker      checkers.Checker
		text         string
		jepsen, ours checkers.Validity
		say          string
	}{
		{"set: a failed add is read", FinalSet(), "0 invoke add 1\n0 fail add 1\n" + at(1, "read", "nil", "#{1}"), "valid", "invalid", "whose add failed"},
		{"set: an add that failed is tried again", FinalSet(), "0 invoke add 1\n0 fail add 1\n" + at(0, "add", "1", "1") + at(1, "read", "nil", "#{1}"), "valid", "valid", "has the only acknowledged element"},
		{"set: an unknown add is read", FinalSet(), "0 invoke add 1\n0 info add 1\n" + at(1, "read", "nil", "#{1}"), "valid", "valid", "all 0 acknowledged elements"},
		{"set: added after the read", FinalSet(), at(1, "read", "nil", "#{}") + at(0, "add", "1", "1"), "invalid", "valid", "the only acknowledged element"},
		{"set: read before it was added", FinalSet(), at(1, "read", "nil", "#{1}") + at(0, "add", "1", "1"), "valid", "invalid", "nobody had tried"},
		{"set: the last read is not ok", FinalSet(), at(0, "add", "1", "1") + at(1, "read", "nil", "#{1}") + "1 invoke read nil\n1 fail read nil\n", "valid", "valid", ""},
		{"set: no read completed", FinalSet(), at(0, "add", "1", "1") + "1 invoke read nil\n1 info read nil\n", "unknown", "unknown", "never read"},
		{"set: the element nil", FinalSet(), at(0, "add", "nil", "nil") + at(1, "read", "nil", "#{nil}"), "valid", "valid", ""},
		{"set: a read of nil", FinalSet(), at(0, "add", "1", "1") + at(1, "read", "nil", "nil"), "unknown", "unknown", "which is no set"},
		{"set-full: lost", SetFull(false), at(0, "add", "1", "1") + at(1, "read", "nil", "#{1}") + at(1, "read", "nil", "#{}"), "invalid", "invalid", "1 was known"},
		{"set-full: never read", SetFull(false), at(0, "add", "1", "1"), "unknown", "unknown", "none was certainly there to stay"},
		{"set-full: absent from a read that overlapped its add", SetFull(false), "0 invoke add 1\n1 invoke read nil\n0 ok add 1\n1 ok read #{}\n" + at(0, "add", "2", "2") + at(1, "read", "nil", "#{1 2}"), "valid", "valid", "2 of 2 elements stable"},
		{"set-full: a failed add is read", SetFull(false), "0 invoke add 1\n0 fail add 1\n" + at(1, "read", "nil", "#{1}"), "valid", "invalid", "whose add failed"},
		{"set-full: a stranger", SetFull(false), at(0, "add", "1", "1") + at(1, "read", "nil", "#{1 2}"), "valid", "invalid", "nobody tried to add"},
		{"set-full: a copy", SetFull(false), at(0, "add", "1", "1") + at(1, "read", "nil", "[1 1]"), "valid", "invalid", "twice"}, // its test for copies is (< v 1)
		{"set-full: added twice", SetFull(false), at(0, "add", "1", "1") + at(0, "add", "1", "1") + at(1, "read", "nil", "[1]"), "valid", "unknown", "added twice"},
		{"set-full: an add that failed is tried again and lost", SetFull(false), "0 invoke add 1\n0 fail add 1\n" + at(0, "add", "1", "1") + at(1, "read", "nil", "[]"), "invalid", "invalid", "1 was known"},
		{"total queue: came out without having been put in", TotalQueue(false), at(0, "dequeue", "nil", "1"), "invalid", "invalid", "nobody tried"},
		{"total queue: a failed enqueue comes out", TotalQueue(false), "0 invoke enqueue 1\n0 fail enqueue 1\n" + at(0, "dequeue", "nil", "1"), "valid", "invalid", "its enqueue failed"},
		{"total queue: never came out, not looked for", TotalQueue(false), at(0, "enqueue", "1", "1"), "invalid", "unknown", "nobody found the queue empty"},
		{"total queue: refused connections find nothing empty", TotalQueue(false), at(0, "enqueue", "1", "1") + "1 invoke dequeue nil\n1 fail dequeue nil :error :connection-refused\n", "invalid", "unknown", "nobody found the queue empty"},
		{"total queue: an exhausted one", TotalQueue(false), at(0, "enqueue", "1", "1") + "1 invoke dequeue nil\n1 fail dequeue nil :error :exhausted\n", "invalid", "invalid", "1 was acknowledged"},
		{"total queue: nothing, as an element", TotalQueue(false), at(0, "enqueue", "1", "1") + at(0, "dequeue", "nil", "1") + at(1, "dequeue", "nil", "nil"), "invalid", "valid", ""},
		{"total queue: a drain of nil", TotalQueue(false), at(0, "enqueue", "1", "1") + at(1, "drain", "nil", "nil"), "invalid", "invalid", "1 was acknowledged"},
		{"total queue: a drain of what is no list", TotalQueue(false), at(0, "enqueue", "1", "1") + at(1, "drain", "nil", "1"), "unknown", "unknown", "expected a list"},
		{"total queue: a failed drain", TotalQueue(false), at(0, "enqueue", "1", "1") + at(0, "dequeue", "nil", "1") + "1 invoke drain nil\n1 fail drain nil\n", "valid", "valid", ""},
		{"total queue: a crashed drain", TotalQueue(false), at(0, "enqueue", "1", "1") + "1 invoke drain nil\n1 info drain nil\n", "unknown", "unknown", ""},
		{"total queue: a copy", TotalQueue(false), at(0, "enqueue", "1", "1") + at(1, "drain", "nil", "[1 1]"), "valid", "valid", "1 element came out more often"},
		{"queue: a failed enqueue comes out", UnorderedQueue(), "0 invoke enqueue 1\n0 fail enqueue 1\n" + at(0, "dequeue", "nil", "1"), "valid", "invalid", "came out of the queue once before"},
		{"queue: a copy from a drain", UnorderedQueue(), at(0, "enqueue", "1", "1") + at(1, "drain", "nil", "[1 1]"), "valid", "invalid", "2 times"},
		{"queue: a fourth copy", UnorderedQueue(), at(0, "enqueue", "1", "1") + at(0, "enqueue", "1", "1") + at(0, "enqueue", "1", "1") + at(0, "dequeue", "nil", "1") + at(0, "dequeue", "nil", "1") + at(0, "dequeue", "nil", "1") + at(0, "dequeue", "nil", "1"), "invalid", "invalid", "4 times"},
		{"unique-ids: nil twice", UniqueIDs(), at(0, "generate", "nil", "nil") + at(0, "generate", "nil", "nil"), "invalid", "invalid", "nil was given out twice"},
		{"unique-ids: alike in print", UniqueIDs(), at(0, "generate", "nil", ":a") + at(0, "generate", "nil", `"a"`) + at(0, "generate", "nil", "1") + at(0, "generate", "nil", "1.0") + at(0, "generate", "nil", `"1"`) + at(0, "generate", "nil", ":nil") + at(0, "generate", "nil", "nil"), "valid", "valid", "7 identifiers"},
		{"unique-ids: none", UniqueIDs(), "0 invoke generate nil\n0 fail generate nil\n", "valid", "unknown", "no identifier"},
		{"counter: a failed add is read", CounterBounds(0), "0 invoke add 1\n0 fail add 1\n" + at(1, "read", "nil", "1"), "invalid", "invalid", "too high"},
		{"counter: an unknown add, read or not", CounterBounds(0), "0 invoke add 1\n0 info add 1\n" + at(1, "read", "nil", "1") + at(1, "read", "nil", "0"), "valid", "valid", "necessary and not sufficient"},
		{"counter: a read of nil", CounterBounds(0), at(0, "add", "1", "1") + at(1, "read", "nil", "nil"), "unknown", "unknown", "expected an integer"},
		{"counter: a negative amount", CounterBounds(0), at(0, "add", "-1", "-1") + at(1, "read", "nil", "-1"), "unknown", "valid", ""},
		{"counter: never read", CounterBounds(0), at(0, "add", "1", "1"), "valid", "unknown", "never read"},
		{"bank: an account is missing, the total is right", Bank(BankOptions{}), at(0, "read", "nil", "{0 10 1 0}") + at(0, "read", "nil", "{0 10}"), "valid", "invalid", "the accounts 0, the first one had 0, 1"},
		{"bank: a set of balances", Bank(BankOptions{}), at(0, "read", "nil", "#{10 0}"), "unknown", "unknown", "expected a map"},
		{"bank: a read of nil", Bank(BankOptions{}), at(0, "read", "nil", "nil"), "invalid", "unknown", "expected a map"},
		{"bank: a torn read that is not ok", Bank(BankOptions{}), at(0, "read", "nil", "{0 10}") + "1 invoke read nil\n1 info read {0 9}\n", "valid", "valid", ""},
		{"long fork: a key written twice", LongFork(), at(0, "txn", "[[:w 1 1]]", "[[:w 1 1]]") + at(0, "txn", "[[:w 1 1]]", "[[:w 1 1]]") + at(0, "txn", "[[:r 1 nil]]", "[[:r 1 1]]"), "unknown", "unknown", "written twice"},
		{"long fork: a micro-operation that is a set", LongFork(), at(0, "txn", "[#{:r 1 nil}]", "[#{:r 1 nil}]"), "unknown", "unknown", "expected a list"},
		{"causal reverse: a failed write is read", CausalReverse(), "0 invoke write 1\n0 fail write 1\n" + at(1, "read", "nil", "[1]"), "valid", "invalid", "whose write failed"},
		{"causal reverse: read before it was written", CausalReverse(), at(1, "read", "nil", "[1]") + at(0, "write", "1", "1"), "valid", "invalid", "nobody had begun to write by then"},
		{"causal reverse: tried again", CausalReverse(), "0 invoke write 1\n0 fail write 1\n" + at(0, "write", "1", "1") + at(0, "write", "2", "2") + at(1, "read", "nil", "[2]"), "invalid", "invalid", "lacks 1"},
		{"write skew: an unknown insert", WriteSkew(), at(0, "insert", "[1 nil]", "[1 nil]") + "1 invoke insert [nil 2]\n1 info insert [nil 2]\n", "valid", "valid", ""},
		{"stats: a function that only failed", Stats(), at(0, "read", "nil", "1") + "0 invoke write 1\n0 fail write 1\n", "invalid", "invalid", "write was ever ok"},
		{"kafka: a subscriber that skips", Kafka(), four + subscribed + skipping, "valid", "valid", ""},
		{"kafka: an assigned consumer that skips", Kafka(), four + strings.ReplaceAll(subscribed, "subscribe", "assign") + skipping, "invalid", "invalid", "skipped 2 at offset 1"},
		{"kafka: a subscriber that skips within a poll", Kafka(), four + subscribed + skipping + at(8, "poll", "[[:poll]]", "[[:poll {0 [[0 1] [2 3]]}]]"), "invalid", "invalid", "skipped 2 at offset 1"},
		{"kafka: what a transaction sent itself", Kafka(), at(0, "txn", "[[:send 0 1] [:poll]]", "[[:send 0 [0 1]] [:poll {0 [[0 1]]}]]"), "invalid", "invalid", "which it sent itself"},
		{"kafka: unseen", Kafka(), four + at(9, "poll", "[[:poll]]", "[[:poll {0 [[0 1] [1 2] [2 3]]}]]"), "invalid", "valid", "but for 1 acknowledged one that nobody polled"},
		{"kafka: a send that failed, tried again", Kafka(), "0 invoke send [[:send 0 1]]\n0 fail send [[:send 0 1]]\n" + at(0, "send", "[[:send 0 1]]", "[[:send 0 [0 1]]]") + at(9, "poll", "[[:poll]]", "[[:poll {0 [[0 1]]}]]"), "invalid", "valid", ""},
		{"kafka: a message that is a set", Kafka(), four + at(9, "poll", "[[:poll]]", "[[:poll {0 [#{0 1}]}]]"), "unknown", "unknown", "expected [offset value]"},
		{"kafka: a poll of what is no map", Kafka(), four + at(9, "poll", "[[:poll]]", "[[:poll [0 1]]]"), "unknown", "unknown", "expected a map"},
	} {
		v := run(c.checker, parse(t, c.text))
		if v.Verdict != c.ours || !strings.Contains(v.Reason, c.say) {
			t.Errorf("%s: %s (%s), want %s and %q; Jepsen says %s", c.name, v.Verdict, v.Reason, c.ours, c.say, c.jepsen)
		}
		if v.Verdict == checkers.Invalid {
			if again := run(c.checker, v.Witness.Operations); again.Verdict != checkers.Invalid {
				t.Errorf("%s: the witness alone is %s", c.name, again.Verdict)
			}
		}
	}
}

// Independent keys have transactions and logs of their own.
func TestKeysOfLongForksAndLogsAreJudgedAlone(t *testing.T) {
	fork := parse(t, at(0, "txn", "[[:r 1 nil] [:r 2 nil]]", "[[:r 1 1] [:r 2 nil]]")+at(0, "txn", "[[:r 1 nil] [:r 2 nil]]", "[[:r 1 nil] [:r 2 1]]"))
	log := parse(t, sent(0, 0, 1, 2)+sent(0, 0, 3, 4)+polled("[0 1] [1 2]")+polled("[0 3] [1 4]"))
	for _, c := range []struct {
		checker checkers.Checker
		ops     []history.Operation
		odd     func(i int) bool
	}{{LongFork(), fork, func(i int) bool { return i == 1 }}, {Kafka(), log, func(i int) bool { return i == 2 || i == 3 || i == 5 }}} {
		if v := run(c.checker, c.ops); v.Verdict != checkers.Invalid {
			t.Fatalf("%s of one key: %s (%s)", c.checker.Name(), v.Verdict, v.Reason)
		}
		for i := range c.ops {
			if c.ops[i].Key = "a"; c.odd(i) {
				c.ops[i].Key = "b"
			}
		}
		if v := run(c.checker, c.ops); v.Verdict != checkers.Valid || !strings.Contains(v.Reason, "each of 2 keys is valid") {
			t.Errorf("%s of two keys: %s (%s)", c.checker.Name(), v.Verdict, v.Reason)
		}
	}
}
