package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers/linear"
)

// done are operations in EDN, one a line: function, argument, result or fail.
type done []string

func (list done) text(outcome string) string {
	var b strings.Builder
	for i, line := range list {
		parts := strings.Split(line, "; ")
		result := parts[1]
		if outcome == "ok" {
			result = parts[2]
		}
		outcome := outcome
		if result == "fail" {
			outcome, result = "fail", parts[1]
		}
		fmt.Fprintf(&b, "{:process %d :type :invoke :f :%s :value %s}\n{:process %d :type :%s :f :%s :value %s}\n",
			i, parts[0], parts[1], i, outcome, parts[0], result)
	}
	return b.String()
}

// floors are, by workload, operations that change and do not tell, a few that
// tell of nothing, and the fewest that prove something.
var floors = map[string]struct{ mute, idle, proof done }{
	"register":     {done{"write; 1; 1", "write; 2; 2"}, done{"read; nil; nil", "read; nil; nil"}, done{"write; 1; 1", "read; nil; 1"}},
	"cas-register": {done{"write; 1; 1", "write; 2; 2"}, done{"read; nil; nil"}, done{"write; 1; 1", "cas; [1 2]; [1 2]"}},
	"kv":           {done{"write; 1; 1", "delete; nil; nil"}, done{"read; nil; nil"}, done{"write; 1; 1", "delete; nil; nil", "read; nil; nil"}},
	"multi-register": {done{"txn; [[:w :x 1]]; [[:w :x 1]]"}, done{"txn; [[:r :x nil]]; [[:r :x nil]]"},
		done{"txn; [[:w :x 1]]; [[:w :x 1]]", "txn; [[:r :x nil]]; [[:r :x 1]]"}},
	"mutex":           {done{"acquire; nil; nil"}, done{}, done{"acquire; nil; nil", "release; nil; nil"}},
	"semaphore":       {done{"acquire; nil; nil"}, done{}, done{"acquire; nil; nil", "acquire; nil; nil"}},
	"fencing":         {done{"acquire; nil; 1"}, done{}, done{"acquire; nil; 1", "acquire; nil; 2"}},
	"set":             {done{"add; 1; 1", "remove; 1; 1"}, done{"read; nil; []"}, done{"add; 1; 1", "read; nil; [1]"}},
	"set-full":        {done{"add; 1; 1"}, done{"read; nil; []"}, done{"add; 1; 1", "read; nil; [1]"}},
	"queue":           {done{"enqueue; 1; 1"}, done{"dequeue; nil; nil"}, done{"enqueue; 1; 1", "dequeue; nil; 1"}},
	"unordered-queue": {done{"enqueue; 1; 1"}, done{"dequeue; nil; nil"}, done{"enqueue; 1; 1", "dequeue; nil; 1"}},
	"total-queue":     {done{"enqueue; 1; 1"}, done{"drain; nil; []"}, done{"enqueue; 1; 1", "drain; nil; [1]"}},
	"counter":         {done{"add; 1; 1"}, done{"read; nil; 0"}, done{"add; 1; 1", "read; nil; 1"}},
	"unique-ids":      {done{"generate; nil; 1"}, done{}, done{"generate; nil; 1", "generate; nil; 2"}},
	"monotonic":       {done{"inc; nil; nil"}, done{"read; nil; 1"}, done{"inc; nil; nil", "read; nil; 1", "read; nil; 2"}},
	"list-append": {done{"txn; [[:append 1 1]]; [[:append 1 1]]"}, done{"txn; [[:r 1 nil]]; [[:r 1 []]]"},
		done{"txn; [[:append 1 1]]; [[:append 1 1]]", "txn; [[:r 1 nil]]; [[:r 1 [1]]]"}},
	"rw-register": {done{"txn; [[:w 1 1]]; [[:w 1 1]]"}, done{"txn; [[:r 1 nil]]; [[:r 1 nil]]"},
		done{"txn; [[:w 1 1]]; [[:w 1 1]]", "txn; [[:r 1 nil]]; [[:r 1 1]]"}},
	"closed-predicate": {done{"init; {1 3}; {1 3}"}, done{"txn; [[:r 1 nil]]; [[:r 1 nil]]"},
		done{"init; {1 3}; {1 3}", "txn; [[:r 1 nil]]; [[:r 1 3]]"}},
	"bank": {done{"transfer; {:from 0 :to 1 :amount 1}; {:from 0 :to 1 :amount 1}"}, done{"read; nil; {0 3 1 7}"},
		done{"transfer; {:from 0 :to 1 :amount 1}; {:from 0 :to 1 :amount 1}", "read; nil; {0 3 1 7}", "read; nil; {0 3 1 7}"}},
	"long-fork": {done{"write; [[:w 0 1]]; [[:w 0 1]]"}, done{"read; [[:r 0 nil] [:r 1 nil]]; [[:r 0 nil] [:r 1 nil]]"},
		done{"write; [[:w 0 1]]; [[:w 0 1]]", "read; [[:r 0 nil] [:r 1 nil]]; [[:r 0 1] [:r 1 nil]]"}},
	"write-skew":     {done{"insert; [1 nil]; [1 nil]"}, done{}, done{"insert; [1 nil]; [1 nil]", "insert; [nil 2]; fail"}},
	"causal-reverse": {done{"write; 1; 1"}, done{"read; nil; []"}, done{"write; 1; 1", "read; nil; [1]"}},
	"list":           {done{"append; 1; 1"}, done{"read; nil; []"}, done{"append; 1; 1", "read; nil; [1]"}},
	"log":            {done{"append; 1; 1"}, done{"read; nil; []"}, done{"append; 1; 1", "read; nil; [1]"}},
	"stats":          {done{}, done{}, done{"ping; nil; nil"}},
}

// TestNothingIsValidByEveryModelOfEveryWorkload holds each row of judgements
// to the floor: nothing acknowledged, only changes, only looks.
func TestNothingIsValidByEveryModelOfEveryWorkload(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, w := range workloadNames {
		f, known := floors[w.name]
		if w.name == "checkpoint" { // its records are no histories of operations
			continue
		}
		if _, rule := proofs[w.name]; !known || !rule && w.name != "stats" {
			t.Errorf("%s: floor and proof are not known", w.name)
			continue
		}
		for _, model := range modelsOf(w.name) {
			judge := func(what string, text string) int {
				if text == "" {
					return exitInconclusive
				}
				if err := os.WriteFile("h.edn", []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				args := []string{"check", "h.edn", "--workload", w.name, "--model", model}
				if w.name == "semaphore" {
					args = append(args, "--initial", "2")
				}
				got := cleancut(t, args...)
				if what == "proof" && model == w.model && got.code != exitValid {
					t.Errorf("%s, %s: exit code %d of what proves it\n%s%s", w.name, model, got.code, got.out, got.err)
				}
				return got.code
			}
			if code := judge("nothing", f.proof.text("info")); code != exitInconclusive && (model != "stats" || code != exitInvalid) {
				t.Errorf("%s, %s: exit code %d where nothing was acknowledged", w.name, model, code)
			}
			if code := judge("proof", f.proof.text("ok")); code != exitValid && code != exitInconclusive {
				t.Errorf("%s, %s: exit code %d of what is right", w.name, model, code)
			}
			if model == "stats" {
				continue // it asks for no more than that something was acknowledged
			}
			if code := judge("mute", f.mute.text("ok")); code != exitInconclusive {
				t.Errorf("%s, %s: exit code %d where nothing tells", w.name, model, code)
			}
			if code := judge("idle", f.idle.text("ok")); code != exitInconclusive {
				t.Errorf("%s, %s: exit code %d where nothing changed", w.name, model, code)
			}
		}
	}
}

// TestHistoriesThatAreReadAndNotKeptHaveTheSameFloor judges the floors while they
// are read.
func TestHistoriesThatAreReadAndNotKeptHaveTheSameFloor(t *testing.T) {
	for _, workload := range linear.StreamedWorkloads() {
		f := floors[workload]
		for i, list := range []done{f.mute, f.idle, f.proof} {
			if len(list) == 0 {
				continue
			}
			h, err := loadFrom(bufio.NewReader(strings.NewReader(list.text("ok"))), "h.edn", loadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p := newProving(workload)
			for j := range h.evidence.Events {
				p.add(&h.evidence.Events[j])
			}
			if kept := proofless(workload, h.evidence.Operations, false, false) == ""; p.told != kept || kept != (i == 2) {
				t.Errorf("%s: %v: told %v while it was read, %v afterwards", workload, list, p.told, kept)
			}
		}
	}
}
