package checkpointing

import (
	"maps"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/suites"
)

// partnersOnly keeps every checkpoint in a partner's memory, and few elsewhere.
const partnersOnly = "partner-every=1 local-every=0 store-every=4 full-every=1 retain=4 interval=800ms size=300 step=10ms"

// alarms are runs of the correct service of which a checker once said that it
// was wrong.
var alarms = []struct {
	why, scenario, settings string
	seed                    uint64
}{
	{"a partner that did not answer in time had the part when it was asked again", "coordinated-transfer-zombies", "local-every=0 store-every=0", 3000001},
	{"a deposed coordinator told of its recovery after the next one's round", "aligned-pipeline-zombies", "", 3200120},
	{"a deposed coordinator told of its recovery last", "aligned-montecarlo-swarm", "partner-every=0 full-every=8", 3000166},
	{"the run ended before the round that would have made output visible", "coordinated-pipeline-swarm", "size=1000", 3200024},
	{"two workers told that they could not restore, and the line was decided with one of them", "cic-montecarlo-settings", partnersOnly, 1},
	{"a log was cut behind the beginning, to which a worker had to go back", "msglog-transfer-settings", partnersOnly, 1},
}

var _ = Describe("The correct service is not accused", Label(suites.Quick, "runtime:sim"), func() {
	for _, a := range alarms {
		It("where "+a.why, func(ctx SpecContext) {
			run := simulated(ctx, "checkpointing/"+a.scenario, a.seed, func(s *harness.Scenario) {
				set := maps.Clone(s.Settings)
				for _, pair := range strings.Fields(a.settings) {
					name, value, _ := strings.Cut(pair, "=")
					set[name] = value
				}
				s.Settings = set
				s.Drawing.Crash = "" // there was none then
				*s = suites.Rejudged(*s)
			})
			for _, v := range run.Result.Checkers {
				Expect(v.Verdict).NotTo(Equal(checkers.Invalid), "%s: %s", v.Checker, v.Reason)
			}
		})
	}

	It("however it is set, and a seed that draws settings says which", func(ctx SpecContext) {
		run := func(name string, seed uint64, again string) *harness.Finished {
			found, err := suites.Find([]string{name})
			Expect(err).NotTo(HaveOccurred())
			s := found[0]
			given := maps.Clone(s.Settings)
			for _, word := range strings.Fields(again) {
				if key, value, ok := strings.Cut(word, "="); ok {
					given[key] = value
				}
			}
			s.Settings = given
			f, err := harness.Run(ctx, s, harness.Options{Runtime: suites.New(suites.Sim, s, seed), Seed: seed, Reproduce: "again"})
			Expect(err).NotTo(HaveOccurred())
			return f
		}
		for seed := range uint64(3) {
			for _, name := range []string{"checkpointing/coordinated-pipeline-settings", "checkpointing/msglog-stencil-settings"} {
				first := run(name, seed, "")
				Expect(first.Result.Reproduce).To(MatchRegexp(`^again .*--set local-every=\d.*--set size=\d+ --set step=\w+`))
				for _, v := range first.Result.Checkers {
					Expect(v.Verdict).NotTo(Equal(checkers.Invalid), "%s, seed %d: %s: %s", name, seed, v.Checker, v.Reason)
				}
				Expect(run(name, seed, "").Result.TraceHash).To(Equal(first.Result.TraceHash))
				Expect(run(name, seed, first.Result.Reproduce).Result.TraceHash).To(Equal(first.Result.TraceHash), "with the settings that it says")
			}
		}
	})
})
