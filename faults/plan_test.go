package faults

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestAPlanPrintsWhatItParsed(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{
		"at 2s kill(leader) for 1s",
		"at 0s reboot(n1+n3)",
		"at 1.5s power-loss(all) for 200ms",
		"on vote.granted#2 kill(self) for 20ms",
		"at 3s maybe on fsync pause(self) for 1s",
		"maybe on snapshot.saved#4 of followers partition(isolate,self) for 2s",
		"at 1s pause(one) for 1s; then 200ms kill(same) for 500ms",
		"at 1s partition(halves) for 1s",
		"at 1s partition(majority,flap=250ms) for 1s",
		"at 1s partition(n1+n2|n3) for 1s",
		"at 1s partition(n1>n2+n2>n1,flap=1s) for 1s",
		"at 1s partition(clients,leader) for 1s",
		"at 1s loss(0.05%,all) for 1s; at 1s loss(100%,2) for 1s",
		"at 1s delay(50ms,20ms,minority) for 1s",
		"at 1s duplicate(12.5%,one) for 1s",
	} {
		p, err := Parse(text)
		g.Expect(err).NotTo(HaveOccurred(), text)
		g.Expect(p.String()).To(Equal(text))
	}
}

func TestAMalformedPlanIsRefusedWithTheStepAndTheReason(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "the plan is empty",
		" ; ":                                    "the plan is empty",
		"kill(leader)":                           `expected a trigger`,
		"at 2s":                                  "expected a fault",
		"at 2s kill":                             "expected a fault with its arguments in parentheses",
		"at 2s kill(self)":                       "it needs \"on POINT\"",
		"at 2s kill(same)":                       "it needs \"then\"",
		"on x of self kill(self)":                "expected nodes whose points count",
		"at 2s kil(leader)":                      `no fault is named "kil"; there are: kill`,
		"at 2s kill(0)":                          "at least one victim",
		"at 2s kill(-1)":                         "selects no node",
		"at 2s kill()":                           "selects no nodes",
		"at 2s kill(leader,one)":                 "expected one argument",
		"at 2s kill(leader) during 1s":           `expected "for DURATION"`,
		"at 2s kill(leader) for 0s":              "does nothing",
		"at -2s kill(leader)":                    "expected a duration",
		"at 99999h kill(leader)":                 "at most 24h",
		"then 1s kill(same)":                     `"then" needs a step before it`,
		"maybe at 2s kill(one)":                  `expected "on" after "maybe"`,
		"on vote#0 kill(self)":                   "expected a number from 1",
		"on Vote kill(self)":                     "expected the name of a point",
		"at 1s loss(0%,all)":                     "expected a share above 0%",
		"at 1s loss(101%,all)":                   "expected a share above 0%",
		"at 1s loss(5,all)":                      "expected a share above 0%",
		"at 1s delay(0s,0s,all)":                 "delays nothing",
		"at 1s delay(11s,0s,all)":                "up to 10s",
		"at 1s partition(halves,leader)":         "halves takes no victims",
		"at 1s partition(isolate)":               "isolate needs victims",
		"at 1s partition(n1)":                    "two groups of nodes",
		"at 1s partition(n1|n1)":                 "distinct nodes",
		"at 1s partition(n1>n1)":                 "expected links",
		"at 1s partition(halves,flap=1ms)":       "expected a duration of 10ms or more",
		"at 1s kill(one);;at 2s boom(one)":       "step 3",
		strings.Repeat("at 1s kill(one);", 1001): "longer than 1000",
		strings.Repeat("x", 70000):               "longer than 65536",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%.60q): got error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("at 2s kill(leader) for 1s; then 1s maybe on a.b#2 of n1+n2 partition(n1|n2,flap=1s)")
	f.Add("at 1s loss(0.05%,all) for 1s; on x delay(1ms,1s,3)")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil {
			t.Fatalf("%q prints as %q, which does not parse: %v", text, p, err)
		}
		if again.String() != p.String() {
			t.Fatalf("%q prints as %q and then as %q", text, p, again)
		}
	})
}

func TestDrawnPlansArePureInTheirSeedAndParseBack(t *testing.T) {
	g := NewWithT(t)
	d := Drawing{Points: []string{"vote.granted", "fsync"}, Pairs: true, Swarm: true}
	seen := map[string]bool{}
	kinds := map[string]bool{}
	for seed := range uint64(500) {
		p := d.Draw(seed, 5, 30*time.Second)
		g.Expect(p).NotTo(BeEmpty())
		g.Expect(d.Draw(seed, 5, 30*time.Second).String()).To(Equal(p.String()))
		again, err := Parse(p.String())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again.String()).To(Equal(p.String()))
		seen[p.String()] = true
		for _, s := range p {
			kinds[s.Fault.Name()] = true
			g.Expect(s.When.After).To(BeNumerically("<", 30*time.Second))
			g.Expect(s.For).To(BeNumerically(">", 0))
		}
	}
	g.Expect(len(seen)).To(BeNumerically(">", 490))
	for _, def := range Catalog() {
		g.Expect(kinds[def.Name]).To(Equal(!def.Asked), def.Name)
	}
}

func TestDrawnPlansFitIntoTheirTime(t *testing.T) {
	for seed := range uint64(2000) {
		for _, length := range []time.Duration{100 * time.Millisecond, 2 * time.Second, 10 * time.Second, 30 * time.Second} {
			d := Drawing{Points: []string{"vote.granted"}, Pairs: true, Swarm: seed%2 == 0}
			p := d.Draw(seed, 5, length)
			if p.End() > length {
				t.Fatalf("seed %d: a plan for %v lasts %v: %s", seed, length, p.End(), p)
			}
			for _, s := range p {
				if s.For <= 0 || s.When.After < 0 {
					t.Fatalf("seed %d: a plan for %v has a step without time: %s", seed, length, s)
				}
			}
		}
	}
}

func TestADrawingKeepsToTheKindsThatItIsGiven(t *testing.T) {
	g := NewWithT(t)
	d := Drawing{Kinds: []string{"loss", "pause"}, Points: []string{"fsync"}, Pairs: true}
	for seed := range uint64(100) {
		for _, s := range d.Draw(seed, 3, 20*time.Second) {
			g.Expect(s.Fault.Name()).To(BeElementOf("loss", "pause"))
		}
	}
	g.Expect(Drawing{Kinds: []string{"los"}}.Validate()).To(MatchError(ContainSubstring(`no fault is named "los"`)))
	g.Expect(Drawing{ForMin: 2, ForMax: 1}.Validate()).To(MatchError(ContainSubstring("ForMin ≤ ForMax")))
}

func TestUsageOfEveryFaultParsesToItself(t *testing.T) {
	g := NewWithT(t)
	for _, d := range Catalog() {
		f, err := ParseFault(d.Usage)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(f.String()).To(Equal(d.Usage))
		g.Expect(f.Name()).To(Equal(d.Name))
	}
}
