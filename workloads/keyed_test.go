package workloads

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

func TestGeneratorsArePureInSeedClientAndWhatTheClientSaw(t *testing.T) {
	g := NewWithT(t)
	for _, w := range Catalog() {
		one, two := spelled(drive(w, 7, 1, 5, 500)), spelled(drive(w, 7, 1, 5, 500))
		g.Expect(one).To(Equal(two), w.Name())
		g.Expect(spelled(drive(w, 8, 1, 5, 500))).NotTo(Equal(one), "another seed")
		g.Expect(spelled(drive(w, 7, 2, 5, 500))).NotTo(Equal(one), "another client")
	}
}

func TestNoTwoWritesHaveTheSameValue(t *testing.T) {
	g := NewWithT(t)
	for _, w := range keyed() {
		seen := map[int64]bool{}
		for client := range 5 {
			for _, op := range drive(w, 1, client, 5, 400) {
				v := op.Value
				if op.F == CAS {
					pair, ok := v.AsList()
					g.Expect(ok).To(BeTrue())
					g.Expect(pair).To(HaveLen(2))
					v = pair[1]
				}
				if n, ok := v.AsInt(); ok {
					g.Expect(seen[n]).To(BeFalse(), "%s writes %d twice", w.Name(), n)
					seen[n] = true
				}
			}
		}
	}
}

func TestAWorkloadIssuesItsFunctionsAndNoOthersAndMovesOnToFreshKeys(t *testing.T) {
	g := NewWithT(t)
	for _, w := range keyed() {
		functions, keys := map[string]int{}, map[string]int{}
		for client := range 4 {
			for _, op := range drive(w, 3, client, 4, 1000) {
				functions[op.F]++
				keys[op.Key]++
			}
		}
		g.Expect(functions).To(HaveLen(len(w.Functions())), w.Name())
		for _, f := range w.Functions() {
			g.Expect(functions).To(HaveKey(f), w.Name())
		}
		k := w
		g.Expect(len(keys)).To(BeNumerically("~", 4000/k.PerKey, k.Active+1), w.Name())
		for key, n := range keys {
			g.Expect(n).To(BeNumerically("<", 2*k.PerKey), "%s on %s", w.Name(), key)
		}
	}
}

func TestFinalReadsAreBounded(t *testing.T) {
	g := NewWithT(t)
	g.Expect(Register().Final([]string{"a", "b"})).To(Equal([]cluster.Op{{F: Read, Key: "a"}, {F: Read, Key: "b"}}))
	g.Expect(Register().Final(make([]string, 1000))).To(HaveLen(finalKeysMax))
}

func TestAnUnknownWorkloadIsRefusedByName(t *testing.T) {
	_, err := Lookup("registre")
	NewWithT(t).Expect(err).To(MatchError(`no workload is named "registre"; there are: register, cas-register, kv, transfer, stencil, pipeline, montecarlo; did you mean register?`))
}

func keyed() []Keyed { return []Keyed{Register(), CASRegister(), KV()} }

// drive lets a generator issue n operations, all of which succeed; reads
// return a number that nobody wrote.
func drive(w Workload, seed uint64, client, clients, n int) []cluster.Op {
	gen := w.Client(seed, client, clients)
	ops := make([]cluster.Op, n)
	for i := range ops {
		ops[i] = gen.Next()
		done := cluster.Completion{Outcome: history.OK, Value: ops[i].Value}
		if ops[i].F == Read {
			done.Value = history.Int(int64(-i))
		}
		gen.Observe(ops[i], done)
	}
	return ops
}

// spelled is ops in words: values compare by content, not by their bits.
func spelled(ops []cluster.Op) (words []string) {
	for _, op := range ops {
		words = append(words, op.F+" "+op.Key+" "+op.Value.String())
	}
	return words
}
