package harness

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
)

func TestTheBudgetCountsNodesThatAreHitAtOnce(t *testing.T) {
	g := NewWithT(t)
	window := func(from, to int, nodes ...string) checkers.FaultWindow {
		return checkers.FaultWindow{Start: time.Duration(from), End: time.Duration(to), Nodes: nodes}
	}
	for _, c := range []struct {
		windows []checkers.FaultWindow
		most    int
		beyond  time.Duration
	}{
		{nil, 0, 0},
		{[]checkers.FaultWindow{window(0, 10, "n1"), window(10, 20, "n2")}, 1, 0},
		{[]checkers.FaultWindow{window(0, 10, "n1"), window(5, 20, "n2")}, 2, 5},
		{[]checkers.FaultWindow{window(0, 10, "n1"), window(5, 20, "n1")}, 1, 0},
		{[]checkers.FaultWindow{window(0, 10, "n1", "n2", "n3"), window(8, 12, "n1", "n2")}, 3, 12},
	} {
		most, stretches := exceeded(c.windows, 1, nil, 100)
		beyond := lasting(stretches)
		g.Expect(most).To(Equal(c.most), "%v", c.windows)
		g.Expect(beyond).To(Equal(c.beyond), "%v", c.windows)
	}
	windows := []checkers.FaultWindow{window(0, 10, "n1", "n2", "n3")}
	most, beyond := exceeded(windows, 1, map[string]bool{"n2": true, "n3": true}, 100)
	g.Expect(most).To(Equal(1), "nodes that are free do not count")
	g.Expect(beyond).To(BeEmpty())
}
