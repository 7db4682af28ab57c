package suites

import (
	"context"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/harness"
)

func TestEveryScenarioOfTheCatalogCanBeRun(t *testing.T) {
	g := NewWithT(t)
	names := map[string]bool{}
	for _, s := range Scenarios() {
		g.Expect(s.Validate()).To(Succeed(), s.Name)
		g.Expect(names[s.Name]).To(BeFalse(), "two scenarios are named %s", s.Name)
		names[s.Name] = true
		g.Expect(s.Doc).NotTo(BeEmpty(), s.Name)
		g.Expect(s.Checkers).NotTo(BeEmpty(), s.Name)
		g.Expect(RuntimesOf(s)).NotTo(BeEmpty(), s.Name)
		tiers := 0
		for _, tier := range []string{Quick, Full, Soak} {
			if slices.Contains(s.Labels, tier) {
				tiers++
			}
		}
		g.Expect(tiers).To(Equal(1), "%s must be in one tier", s.Name)
		for _, kind := range []string{"target:", "mode:", "fault:"} {
			g.Expect(slices.ContainsFunc(s.Labels, func(l string) bool { return strings.HasPrefix(l, kind) })).
				To(BeTrue(), "%s has no label %s…", s.Name, kind)
		}
	}
}

func TestNamesSelectScenariosGroupsAndTheTour(t *testing.T) {
	g := NewWithT(t)
	find := func(names ...string) []string {
		found, err := Find(names)
		g.Expect(err).NotTo(HaveOccurred())
		return namesOf(found)
	}
	g.Expect(find()).To(Equal([]string{"replication/raft-partitions", "checkpointing/chandy-lamport-transfer-crashes"}))
	g.Expect(find("etcd/crashes")).To(Equal([]string{"etcd/crashes"}))
	g.Expect(find("replication")).To(ConsistOf("replication/raft-partitions", "replication/raft-crashes", "replication/raft-pauses"))
	g.Expect(find("etcd", "replication/raft-quiet")).To(Equal([]string{"etcd/partitions", "replication/raft-quiet"}))
	_, err := Find([]string{"replicatio"})
	g.Expect(err).To(MatchError(ContainSubstring(`no scenario or group is named "replicatio"`)))
}

func TestARecordedSetupIsRebuiltAndAnUnknownOneRefused(t *testing.T) {
	g := NewWithT(t)
	setup := harness.Setup{
		Scenario: "replication/raft-quiet", Target: "store", Workload: "register", Nodes: 3, Clients: 2, Rate: 10,
		Time: 5e9, OpTimeout: 1e9, Plan: "at 1s kill(n2) for 1s",
	}
	s, err := Rebuild(setup)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Plan.String()).To(Equal(setup.Plan))
	g.Expect(s.Workload.Name()).To(Equal("register"))
	g.Expect(s.NoFaults).To(BeFalse())

	for want, change := range map[string]func(*harness.Setup){
		"is not in the catalog":           func(u *harness.Setup) { u.Scenario = "gone" },
		`no target is named "gone"`:       func(u *harness.Setup) { u.Target = "gone" },
		`no workload is named "gone"`:     func(u *harness.Setup) { u.Workload = "gone" },
		"expected a trigger":              func(u *harness.Setup) { u.Plan = "gone" },
		"5000 clients; expected":          func(u *harness.Setup) { u.Clients = 5000 },
		"the time for faults is 500ms":    func(u *harness.Setup) { u.Time = 5e8 },
		`store has no planted bug "gone"`: func(u *harness.Setup) { u.Bug = "gone" },
	} {
		u := setup
		change(&u)
		_, err := Rebuild(u)
		g.Expect(err).To(MatchError(ContainSubstring(want)))
	}
}

func TestARuntimeIsChosenWithTheReason(t *testing.T) {
	g := NewWithT(t)
	name, why, err := Choose(context.Background(), Sim)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(name + ": " + why).To(Equal("sim: it was asked for"))

	t.Setenv("DOCKER_HOST", "unix:///nonexistent.sock")
	t.Setenv("CI", "true")
	_, _, err = Choose(context.Background(), "auto")
	g.Expect(err).To(MatchError(ContainSubstring("ask for it with --runtime sim")))
	t.Setenv("CI", "")
	name, why, err = Choose(context.Background(), "auto")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(name).To(Equal(Sim))
	g.Expect(why).To(ContainSubstring("no containers can be had"))
	_, _, err = Choose(context.Background(), Docker)
	g.Expect(err).To(MatchError(ContainSubstring("nonexistent.sock")))
	_, _, err = Choose(context.Background(), "podman")
	g.Expect(err).To(MatchError(`no runtime is named "podman"; there are: auto, docker, sim`))
}
