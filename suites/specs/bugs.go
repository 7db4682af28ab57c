package specs

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/match"
	"github.com/cleancut/cleancut/suites"
)

// Plant is a planted bug, the scenario that must find it, and the checker
// that must be among those that do.
type Plant struct {
	Bug, Scenario string
	// Checker is "" where it is up to chance which one comes first.
	Checker string
	// Seeds is within how many runs the bug must be found.
	Seeds int
	// Soak leaves it, in containers, to the soak tier, for time, or because
	// chance decides whether so few runs find it and nothing there can be
	// repeated.
	Soak bool
}

func (p Plant) scenario() harness.Scenario {
	GinkgoHelper()
	found, err := suites.Find([]string{p.Scenario})
	Expect(err).NotTo(HaveOccurred())
	s := found[0]
	s.Bug = p.Bug
	return s
}

// Found makes a spec of each bug: it is found on that runtime. In containers
// this takes long, so those specs are of the full tier.
func Found(runtime string, plants ...Plant) {
	where, labels := "in the simulator", Label(suites.Quick, "runtime:sim")
	if runtime == suites.Docker {
		where, labels = "in containers", Label(suites.Full, "runtime:docker")
	}
	for _, p := range plants {
		labels := labels
		if p.Soak {
			labels = Label(suites.Soak, "runtime:docker")
		}
		It(fmt.Sprintf("%s %s", p.Bug, where), labels, Label("bug:"+p.Bug), func(ctx SpecContext) {
			if runtime == suites.Docker {
				needDocker(ctx)
			}
			p.find(ctx, runtime)
		}, SpecTimeout(5*time.Minute))
	}
}

func (p Plant) find(ctx SpecContext, runtime string) {
	GinkgoHelper()
	s := p.scenario()
	for n := range p.Seeds {
		run := execute(ctx, runtime, s, n)
		found := match.BeInvalid()
		if p.Checker != "" {
			found = match.HaveFound(p.Checker)
		}
		if ok, err := found.Match(run); err != nil || !ok {
			continue
		}
		// The harness may have failed after that, as when a daemon cannot get
		// rid of what was the run's: then the next run decides.
		if whole, _ := match.BeInvalid().Match(run); !whole {
			GinkgoWriter.Printf("%s found by run %d, which failed otherwise: %v\n", p.Bug, n+1, run.Result.Reasons)
			continue
		}
		GinkgoWriter.Printf("%s found by run %d of at most %d: %s\n", p.Bug, n+1, p.Seeds, run.Result.Reproduce)
		return
	}
	Fail(fmt.Sprintf("%s was not found by %q in %d runs that ended as they should", p.Bug, p.Checker, p.Seeds))
}
