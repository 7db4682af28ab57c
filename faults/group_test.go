package faults

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness/cluster"
)

// team is a fake whose nodes n1 to n3 are control nodes, n4 and on workers.
type team struct{ *fake }

func newTeam() team { return team{newFake(7)} }

func (t team) Groups() []cluster.Group {
	return []cluster.Group{{Name: "control", Nodes: t.names[:3]}, {Name: "workers", Nodes: t.names[3:]}, {Name: "coordinator"}}
}

func TestASelectorMayNameAGroupOrPartOfIt(t *testing.T) {
	for text, want := range map[string]int{
		"workers": 4, "worker": 1, "one:workers": 1, "minority:workers": 1, "majority:workers": 3, "all:workers": 4,
		"2:workers": 2, "n1+workers": 5, "control+n2": 3, "coordinator": 1, "one:coordinator": 1,
	} {
		w, err := parseWho(text)
		if err != nil || string(w) != text {
			t.Errorf("%s was read as %q, %v", text, w, err)
			continue
		}
		site := NewSite(newTeam()).For(newTeam().site(1).Rand, "", nil)
		if err := w.exist(site.Cluster); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		nodes, err := w.Choose(context.Background(), site)
		if err != nil || len(nodes) != want {
			t.Errorf("%s selects %v, %v; want %d nodes", text, nodes, err, want)
		}
		for _, n := range nodes {
			if strings.HasSuffix(text, ":workers") && n < "n4" {
				t.Errorf("%s selects %s, which is no worker", text, n)
			}
		}
	}
}

func TestARoleIsTheNodeWhoseStatusHasIt(t *testing.T) {
	c := newTeam()
	c.leader = "n2"
	grouped := roleTeam{c}
	site := NewSite(c).For(c.site(1).Rand, "", nil)
	nodes, note, err := Who("coordinator").resolve(context.Background(), site)
	if err != nil || len(nodes) != 1 || !strings.Contains(note, "there was no coordinator") {
		t.Errorf("without a coordinator: %v, %q, %v", nodes, note, err)
	}
	site = NewSite(grouped).For(c.site(1).Rand, "", nil)
	if nodes, note, err = Who("leader+n7").resolve(context.Background(), site); err != nil || note != "" || strings.Join(nodes, " ") != "n2 n7" {
		t.Errorf("the leader and n7: %v, %q, %v", nodes, note, err)
	}
}

// roleTeam declares the role that nodes of the fake have.
type roleTeam struct{ team }

func (roleTeam) Groups() []cluster.Group { return []cluster.Group{{Name: "leader"}} }

func TestAGroupThatIsNotThereIsRefused(t *testing.T) {
	for text, why := range map[string]string{
		"drivers":     `"drivers"; there are n1, n2, n3, n4, n5, n6, n7, and the groups control, workers, coordinator`,
		"one:drivers": `"drivers"`,
		"5:workers":   "5 victims wanted, but there are 4 nodes in workers",
	} {
		err := Kill{Who(text)}.Available(newTeam())
		if !errors.Is(err, cluster.ErrNoNode) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v; want %q", text, err, why)
		}
	}
	for _, text := range []string{"some:workers", "0:workers", "one:", ":workers", "one:a:b"} {
		if _, err := parseWho(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if err := (Kill{"workers"}).Available(newFake(3)); !errors.Is(err, cluster.ErrNoNode) {
		t.Errorf("a cluster without groups: %v", err)
	}
}
