package harness

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/sim"
)

// exceeded measures how far the faults of a run went beyond what the target
// tolerates: how many nodes were hit at once at most, and when more were hit
// than the target's budget allows; see checkers.Stretches.
//
// Beyond its budget a target need not serve. One whose budget says that it is
// safe must still do nothing wrong, and is judged as ever.
func exceeded(windows []checkers.FaultWindow, down int, free map[string]bool, end time.Duration) (most int, beyond []checkers.Stretch) {
	for _, x := range checkers.Stretches(windows, free) {
		x.To = min(x.To, end)
		if x.From >= x.To {
			continue
		}
		most = max(most, len(x.Hit))
		if len(x.Hit) <= down {
			continue
		}
		if n := len(beyond); n > 0 && beyond[n-1].To == x.From {
			beyond[n-1].To = x.To
			for _, name := range x.Hit {
				if !slices.Contains(beyond[n-1].Hit, name) {
					beyond[n-1].Hit = append(beyond[n-1].Hit, name)
				}
			}
			continue
		}
		beyond = append(beyond, x)
	}
	return most, beyond
}

func lasting(list []checkers.Stretch) (sum time.Duration) {
	for _, x := range list {
		sum += x.To - x.From
	}
	return sum
}

// stretchesShown bounds how many times a note names.
const stretchesShown = 5

// beyondNote says when a plan went beyond what a target claims to tolerate, whom
// it hit then, and what that makes of the target's claims.
func beyondNote(target string, nodes int, b cluster.Budget, beyond []checkers.Stretch) string {
	var when []string
	for _, x := range beyond[:min(len(beyond), stretchesShown)] {
		when = append(when, fmt.Sprintf("from %s to %s (%s)", history.At(x.From), history.At(x.To), strings.Join(x.Hit, ", ")))
	}
	if n := len(beyond) - stretchesShown; n > 0 {
		when = append(when, fmt.Sprintf("and %d times more", n))
	}
	claims := "it claims nothing then"
	if b.Safe {
		claims = "it need not have served then, and claims to be safe even so: that was judged"
	}
	return fmt.Sprintf("the plan went beyond the %d of %d nodes at once that %s claims to tolerate, %s; %s", b.Down, nodes, target, strings.Join(when, ", "), claims)
}

// free returns the nodes that a budget does not count.
func (s Scenario) free(b cluster.Budget) map[string]bool {
	free := map[string]bool{}
	for _, g := range cluster.GroupsOf(s.Target, s.NodeNames()) {
		if slices.Contains(b.Free, g.Name) {
			for _, n := range g.Nodes {
				free[n] = true
			}
		}
	}
	return free
}

// realSlack is by how much longer than it claims a target may take to serve
// again where time is real: the nodes share a machine that may be loaded.
const realSlack = 3

// failover returns the checker of the time within which the target claims to
// serve again, or false if it claims none.
func (s Scenario) failover(runtime string) (checkers.Checker, bool) {
	b := s.Target.Budget(s.Nodes)
	within := orDefault(s.FailoverMax, b.Failover)
	if runtime != sim.Name {
		within *= realSlack
	}
	return checkers.Failover(checkers.FailoverBounds{Within: within, Down: b.Down, Free: s.free(b), Who: s.Target.Name()}), within > 0
}
