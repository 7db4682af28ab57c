package faults

import (
	"context"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness/cluster"
)

func TestAKilledNodeIsStartedAgainAndTheReceiptProvesIt(t *testing.T) {
	g := NewWithT(t)
	c := newFake(3)
	c.leader = "n2"
	inj := inject(t, Kill{"leader"}, c.site(1))
	g.Expect(inj.Nodes).To(Equal([]string{"n2"}))
	g.Expect(inj.Frozen).To(Equal("kill(n2)"))
	g.Expect(c.down).To(HaveKey("n2"))
	r := heal(t, inj)
	g.Expect(c.down).To(BeEmpty())
	g.Expect(r.Counts).To(HaveKeyWithValue("boots", int64(1)))
	g.Expect(inj.Bit(r)).To(BeTrue())
	g.Expect(heal(t, inj)).To(Equal(r), "healing twice changes nothing")
	g.Expect(c.log).To(Equal([]string{"kill n2", "start n2"}))
}

func TestANodeThatTwoFaultsHoldDownComesBackWhenBothAreHealed(t *testing.T) {
	g := NewWithT(t)
	c := newFake(3)
	s := c.site(1)
	reboot := inject(t, Reboot{"n1"}, s)
	kill := inject(t, Kill{"n1+n2"}, s)
	first := heal(t, reboot)
	g.Expect(c.down).To(HaveKey("n1"))
	g.Expect(first.Notes).To(ContainElement(ContainSubstring("n1 stays down")))
	r := heal(t, kill)
	g.Expect(c.down).To(BeEmpty())
	g.Expect(r.Counts).To(HaveKeyWithValue("held_down", int64(1)))
	g.Expect(kill.Bit(r)).To(BeTrue())
	g.Expect(c.log).To(Equal([]string{"kill machine n1", "kill n2", "start machine n1", "start n2"}),
		"what took the machine down brings it up")
}

func TestANodeThatStartsWithinAPauseIsPausedAgain(t *testing.T) {
	g := NewWithT(t)
	c := newFake(3)
	s := c.site(1)
	pause := inject(t, Pause{"n1"}, s)
	kill := inject(t, Kill{"n1"}, s)
	heal(t, kill)
	g.Expect(c.paused["n1"]).To(BeTrue())
	r := heal(t, pause)
	g.Expect(c.paused["n1"]).To(BeFalse())
	g.Expect(pause.Bit(r)).To(BeTrue())
}

func TestTwoPausesOfANodeEndWithTheSecond(t *testing.T) {
	g := NewWithT(t)
	c := newFake(3)
	s := c.site(1)
	one, two := inject(t, Pause{"n1"}, s), inject(t, Pause{"n1"}, s)
	heal(t, one)
	g.Expect(c.paused["n1"]).To(BeTrue())
	heal(t, two)
	g.Expect(c.log).To(Equal([]string{"pause n1", "resume n1"}), "the cluster itself does not keep count")
}

func TestAnInjectionThatFailsLeavesNothingBroken(t *testing.T) {
	g := NewWithT(t)
	c := newFake(3)
	s := c.site(1)
	c.failing = "kill n2"
	_, err := Kill{"n1+n2"}.Inject(context.Background(), s)
	g.Expect(err).To(MatchError(ContainSubstring("kill n2 failed")))
	g.Expect(c.down).To(BeEmpty())

	c.failing = "pause n2"
	_, err = Pause{"n1+n2"}.Inject(context.Background(), s)
	g.Expect(err).To(MatchError(ContainSubstring("pause n2 failed")))
	g.Expect(c.paused["n1"]).To(BeFalse())
}

func TestAFaultThatSeizedItsTriggerTakesTheCredit(t *testing.T) {
	g := NewWithT(t)
	c := newFake(3)
	c.down["n3"] = "died at the point"
	s := c.site(1)
	s.Self, s.Seized = "n3", true
	inj := inject(t, Kill{"self"}, s)
	r := heal(t, inj)
	g.Expect(inj.Bit(r)).To(BeTrue())
	g.Expect(c.down).To(BeEmpty())
}

func TestVictimsAreChosenFromTheLiveState(t *testing.T) {
	g := NewWithT(t)
	c := newFake(5)
	c.leader = "n4"
	s := c.site(3)
	s.Self, s.Same = "n2", []string{"n1", "n5"}
	choose := func(w Who) []string {
		nodes, err := w.Choose(context.Background(), s)
		g.Expect(err).NotTo(HaveOccurred(), string(w))
		return nodes
	}
	g.Expect(choose("all")).To(Equal(c.names))
	g.Expect(choose("leader")).To(Equal([]string{"n4"}))
	g.Expect(choose("followers")).To(Equal([]string{"n1", "n2", "n3", "n5"}))
	g.Expect(choose("follower")).To(HaveLen(1))
	g.Expect(choose("minority")).To(HaveLen(2))
	g.Expect(choose("majority")).To(HaveLen(3))
	g.Expect(choose("4")).To(HaveLen(4))
	g.Expect(choose("self")).To(Equal([]string{"n2"}))
	g.Expect(choose("same")).To(Equal([]string{"n1", "n5"}))
	g.Expect(choose("n3+n1")).To(Equal([]string{"n1", "n3"}))
}

func TestASelectorThatHitsNoNodeIsAnError(t *testing.T) {
	c := newFake(3)
	for w, want := range map[Who]string{
		"self": "was not triggered by a node", "same": "there is no step before",
		"4": "4 victims wanted, but there are 3 nodes", "n1+n9": `no such node: "n9"; there are n1, n2, n3`,
	} {
		for _, f := range []Fault{Kill{w}, Pause{w}, Loss{1, w}, Partition{Shape: Isolate, Who: w}} {
			_, err := f.Inject(context.Background(), c.site(1))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got error %v, want one with %q", f, err, want)
			}
		}
	}
	if len(c.log) > 0 {
		t.Errorf("something was done all the same: %v", c.log)
	}
}

func TestAMissingLeaderIsReplacedAndTheReceiptSaysSo(t *testing.T) {
	g := NewWithT(t)
	c := newFake(3)
	r := heal(t, inject(t, Kill{"leader"}, c.site(1)))
	g.Expect(r.Notes).To(ContainElement(ContainSubstring("there was no leader")))
}

func TestRandomVictimsAreRunningNodesIfThereAreAny(t *testing.T) {
	g := NewWithT(t)
	for seed := range uint64(20) {
		c := newFake(3)
		s := c.site(seed)
		inject(t, Kill{"n1+n3"}, s)
		g.Expect(inject(t, Kill{"one"}, s).Nodes).To(Equal([]string{"n2"}))
	}
}

func TestPartitionsCutTheLinksOfTheirShape(t *testing.T) {
	g := NewWithT(t)
	for text, want := range map[string]string{
		"partition(isolate,n1)":      "n1>n2+n1>n3+n2>n1+n3>n1",
		"partition(in,n1)":           "n2>n1+n3>n1",
		"partition(out,n1)":          "n1>n2+n1>n3",
		"partition(clients,n1)":      "client>n1+n1>client",
		"partition(n1|n2+n3)":        "n1>n2+n1>n3+n2>n1+n3>n1",
		"partition(n1>n2+n3>client)": "n1>n2+n3>client",
	} {
		c := newFake(3)
		f, err := ParseFault(text)
		g.Expect(err).NotTo(HaveOccurred(), text)
		inj := inject(t, f, c.site(1))
		g.Expect(linkSpec(c.rules[0].links)).To(Equal(want), text)
		g.Expect(inj.Frozen).To(Equal("partition(" + want + ")"))
		again, err := ParseFault(inj.Frozen)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again.String()).To(Equal(inj.Frozen))
		r := heal(t, inj)
		g.Expect(c.rules[0].inForce).To(BeFalse())
		g.Expect(inj.Bit(r)).To(BeTrue())
	}
}

func TestDrawnShapesKeepTheirPromises(t *testing.T) {
	g := NewWithT(t)
	for seed := range uint64(50) {
		for _, n := range []int{2, 3, 4, 5, 7} {
			c := newFake(n)
			inject(t, Partition{Shape: Halves}, c.site(seed))
			g.Expect(c.rules[0].links).To(HaveLen(2*(n/2)*(n-n/2)), "halves of %d", n)
			if n < 4 {
				continue
			}
			inject(t, Partition{Shape: Bridge}, c.site(seed))
			g.Expect(reachable(c, 1)).To(ContainElement(n), "one node of %d sees all others", n)
			inject(t, Partition{Shape: Ring}, c.site(seed))
			for _, seen := range reachable(c, 2) {
				g.Expect(seen).To(And(BeNumerically(">", n/2), BeNumerically("<", n)), "a majority of %d, and not all", n)
			}
		}
	}
}

// reachable counts for each node how many nodes it sees, itself included,
// under one rule.
func reachable(c *fake, rule int) (counts []int) {
	for _, n := range c.names {
		seen := len(c.names)
		for _, l := range c.rules[rule].links {
			if l.From == n {
				seen--
			}
		}
		counts = append(counts, seen)
	}
	return counts
}

func TestARingOfThreeWouldCutNothingAndIsRefused(t *testing.T) {
	_, err := Partition{Shape: Ring}.Inject(context.Background(), newFake(3).site(1))
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("cuts no link of this cluster of 3 nodes")))
}

func TestAFlappingPartitionEndsHealed(t *testing.T) {
	g := NewWithT(t)
	c := newFake(3)
	f, err := ParseFault("partition(isolate,n1,flap=100ms)")
	g.Expect(err).NotTo(HaveOccurred())
	inj := inject(t, f, c.site(1))
	r := heal(t, inj)
	for _, rule := range c.rules {
		g.Expect(rule.inForce).To(BeFalse())
	}
	g.Expect(inj.Bit(r)).To(BeTrue())
}

func TestAFaultSaysWhatTheClusterLacks(t *testing.T) {
	g := NewWithT(t)
	for _, d := range Catalog() {
		f, err := ParseFault(d.Usage)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(f.Available(newFake(3))).To(Succeed())
		lacking := bare{newFake(3)}
		g.Expect(f.Available(lacking)).To(MatchError(cluster.ErrUnavailable), d.Name)
		_, err = f.Inject(context.Background(), NewSite(lacking))
		g.Expect(err).To(MatchError(cluster.ErrUnavailable), d.Name)
	}
	g.Expect(Partition{Shape: Halves}.Available(newFake(1))).To(MatchError(ContainSubstring("needs two nodes or more")))
}
