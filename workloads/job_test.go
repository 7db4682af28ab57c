package workloads

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness/cluster"
)

func TestAJobIsWatchedAndItsResultsReadWhereItRuns(t *testing.T) {
	g := NewWithT(t)
	nodes := []string{"n1", "n2", "n3", "n4", "n5"}
	for _, w := range []Computation{Transfer(), Stencil(), Pipeline(), MonteCarlo()} {
		placed := w.On(nodes)
		for _, op := range drive(placed, 1, 0, 3, 50) {
			g.Expect(op.F).To(Equal(Progress))
			g.Expect(op.Key).To(BeElementOf("n4", "n5"))
		}
		want := []cluster.Op{{F: Result, Key: "n4"}, {F: Result, Key: "n5"}}
		if w.Job() == "pipeline" {
			want = append(want, cluster.Op{F: Outputs, Key: "n4"}, cluster.Op{F: Outputs, Key: "n5"})
		}
		g.Expect(placed.Final([]string{"n4"})).To(Equal(want), w.Name())
		for _, op := range want {
			g.Expect(placed.Functions()).To(ContainElement(op.F))
		}
	}
}
