package docker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/image"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/docker/internal/testnode"
)

// simulatedOnly is a target without an image.
type simulatedOnly struct{ cluster.Target }

func (simulatedOnly) Name() string { return "paper" }

func TestSpecsThatCannotBeStartedAreRefusedInOneSentence(t *testing.T) {
	good := cluster.Spec{Run: "r", Target: testnode.Target{}, Nodes: []string{"n1", "n2"}}
	if _, err := check(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(s *cluster.Spec){
		"zero nodes":               func(s *cluster.Spec) { s.Nodes = nil },
		"named twice":              func(s *cluster.Spec) { s.Nodes = []string{"n1", "n1"} },
		`"../n1" is not made of`:   func(s *cluster.Spec) { s.Nodes = []string{"../n1"} },
		"reserved for the clients": func(s *cluster.Spec) { s.Nodes = []string{"client"} },
		"201 nodes are more than the 200 that a run's subnet has addresses for": func(s *cluster.Spec) { s.Nodes = make([]string, maxNodes+1) },
		"the run has no id":           func(s *cluster.Spec) { s.Run = "" },
		"no target is given":          func(s *cluster.Spec) { s.Target = nil },
		"cannot be put in containers": func(s *cluster.Spec) { s.Target = simulatedOnly{} },
	} {
		s := good
		change(&s)
		err := New(Options{}).Run(t.Context(), s, func(context.Context, cluster.Cluster) error {
			t.Errorf("%s: the body was called", want)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error is %v, want one line with %q", err, want)
		}
	}
	s := good
	s.Target = simulatedOnly{}
	if _, err := check(s); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("the error is %v, want ErrUnavailable", err)
	}
}

func TestADaemonThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	_, err := Probe(t.Context())
	if !errors.Is(err, cluster.ErrUnavailable) {
		t.Fatalf("the error is %v, want ErrUnavailable", err)
	}
	for _, want := range []string{"unix:///nonexistent/docker.sock", "start Docker", "--runtime sim"} {
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error is %q, want one line with %q", err, want)
		}
	}
	spec := cluster.Spec{Run: "r", Target: testnode.Target{}, Nodes: []string{"n1"}}
	if run := New(Options{}).Run(t.Context(), spec, nil); run == nil || run.Error() != err.Error() {
		t.Errorf("a run says %v", run)
	}
}

func TestTheDaemonSaysWhatItIs(t *testing.T) {
	requireDocker(t)
	info, err := Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Version == "" || info.API == "" || info.Architecture == "" || !strings.HasPrefix(info.Host, "unix://") {
		t.Errorf("the daemon is %+v", info)
	}
}

func TestSubnetsAreChosenApartFromWhatIsTaken(t *testing.T) {
	pool := []netip.Prefix{netip.MustParsePrefix("10.9.0.0/23"), netip.MustParsePrefix("10.77.0.0/23")}
	var taken []netip.Prefix
	for range 4 {
		p, err := freeSubnet(pool, taken, "run")
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range taken {
			if p.Overlaps(old) || !pool[0].Contains(p.Addr()) && !pool[1].Contains(p.Addr()) {
				t.Fatalf("%v was chosen although %v is taken", p, taken)
			}
		}
		taken = append(taken, p)
	}
	if p, err := freeSubnet(pool, taken, "run"); !errors.Is(err, errNoSubnet) {
		t.Errorf("of a range that is used up, %v was chosen (%v)", p, err)
	}
	if _, err := freeSubnet(pool, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "run"); !errors.Is(err, errNoSubnet) {
		t.Errorf("a range inside a route of the host was chosen: %v", err)
	}
}

func TestARunWithoutAFreeSubnetSaysSo(t *testing.T) {
	requireDocker(t)
	spec := specOf(t, 1)
	bridge := New(Options{Subnets: []netip.Prefix{bridgeSubnet(t)}})
	err := bridge.Run(t.Context(), spec, func(context.Context, cluster.Cluster) error {
		t.Error("the body was called")
		return nil
	})
	if !errors.Is(err, errNoSubnet) || !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), "cleancut gc") {
		t.Errorf("the error is %v", err)
	}
	if left := leftovers(t, spec.Run); len(left) > 0 {
		t.Errorf("the run left %v", left)
	}
	spec = specOf(t, 1)
	if err := New(Options{Subnets: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/25")}}).Run(t.Context(), spec, nil); err == nil || !strings.Contains(err.Error(), "10.1.2.0/25") {
		t.Errorf("a range that holds no /24 says %v", err)
	}
}

// bridgeSubnet is a /24 that Docker's own network takes.
func bridgeSubnet(t *testing.T) netip.Prefix {
	d, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	taken, err := d.takenSubnets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range taken {
		if p.Bits() <= 24 && p.Addr().Is4() {
			return netip.PrefixFrom(p.Addr(), 24)
		}
	}
	t.Skip("no network of the daemon takes a whole /24")
	return netip.Prefix{}
}

func TestOwnersAreJudgedDeadOnlyIfTheyCertainlyAre(t *testing.T) {
	me, err := self()
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		name   string
		change func(l map[string]string)
		dead   bool
	}{
		{"this process", func(map[string]string) {}, false},
		{"a process that took the id over", func(l map[string]string) { l[labelPIDStart] = "1" }, true},
		{"a process that does not exist", func(l map[string]string) { l[labelPID] = "4194305" }, true},
		{"a process before the host's last boot", func(l map[string]string) { l[labelBoot] = "another" }, true},
		{"a process of another namespace", func(l map[string]string) { l[labelPIDSpace] = "pid:[1]"; l[labelPID] = "4194305" }, false},
		{"something without our label", func(l map[string]string) { delete(l, labelMark); l[labelPID] = "4194305" }, false},
		{"something without an owner", func(l map[string]string) { delete(l, labelPID) }, false},
	} {
		l := me.labels("run")
		c.change(l)
		if dead, why := me.dead(l); dead != c.dead || why == "" {
			t.Errorf("%s: dead is %v (%s), want %v", c.name, dead, why, c.dead)
		}
	}
}

func TestOldImagesAreTheOnesWithANewerOfTheSameTarget(t *testing.T) {
	old := oldImages([]image.Summary{
		{Created: 1, RepoTags: []string{"cleancut/store:a"}},
		{Created: 3, RepoTags: []string{"cleancut/store:c"}},
		{Created: 2, RepoTags: []string{"cleancut/store:b", "cleancut/etcd:b"}},
		{Created: 9},
	})
	if got := strings.Join(old, " "); got != "cleancut/store:b cleancut/store:a" {
		t.Errorf("old are %q", got)
	}
}

func TestImpairmentsThatTheKernelLacksAreNotAvailable(t *testing.T) {
	all := agent.Capabilities{}
	delay := cluster.Impairment{Delay: time.Second}
	for _, c := range []struct {
		can  agent.Capabilities
		i    cluster.Impairment
		want string
	}{
		{all, cut, ""},
		{all, delay, ""},
		{agent.Capabilities{Delay: "no NFQUEUE"}, delay, "packet delay is not available in these containers: no NFQUEUE"},
		{agent.Capabilities{Delay: "no NFQUEUE"}, cut, ""},
		{agent.Capabilities{Loss: "no numgen"}, cluster.Impairment{Loss: 1}, "no numgen"},
		{agent.Capabilities{Loss: "no numgen"}, cut, ""},
		{agent.Capabilities{Cut: "no nftables", Loss: "no nftables"}, cut, "no nftables"},
		{agent.Capabilities{Duplicate: "no raw sockets"}, cluster.Impairment{Duplicate: 1, Loss: 1}, "no raw sockets"},
	} {
		err := (&Cluster{can: c.can}).CanImpair(c.i)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v with %+v is refused: %v", c.i, c.can, err)
		case c.want != "" && (!errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v with %+v says %v, want %q", c.i, c.can, err, c.want)
		}
	}
}

func TestImagesMustBeOfOneKind(t *testing.T) {
	d := &daemon{}
	for _, img := range []cluster.Image{{}, {Package: "p", Dockerfile: "d"}} {
		if _, err := d.ensureImage(t.Context(), "x", img, "amd64"); err == nil {
			t.Errorf("%+v was not refused", img)
		}
	}
}

func TestPackagesThatCannotBeBuiltAreNamed(t *testing.T) {
	if haveGo() != nil {
		t.Skip("needs the go tool")
	}
	if _, err := buildBinary(t.Context(), "github.com/cleancut/cleancut/harness/rng", "amd64"); err == nil || !strings.Contains(err.Error(), "not a command but package rng") {
		t.Errorf("a library says %v", err)
	}
	if _, err := buildBinary(t.Context(), "example.com/nowhere/cmd", "amd64"); err == nil || !strings.Contains(err.Error(), "run inside a module") {
		t.Errorf("an unknown package says %v", err)
	}
	// The agent is found from outside of any module.
	t.Chdir(t.TempDir())
	if b, err := buildBinary(t.Context(), agentPackage, "amd64"); err != nil || len(b) == 0 {
		t.Errorf("from elsewhere the agent cannot be built: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := buildBinary(t.Context(), agentPackage, "amd64"); !errors.Is(err, cluster.ErrUnavailable) || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("without the go tool the error is %v", err)
	}
}

// foreign is the test node as a third-party system.
type foreign struct {
	testnode.Target
	base string
}

func (foreign) Name() string { return "testnode-foreign" }

func (f foreign) Image() cluster.Image {
	return cluster.Image{Dockerfile: "ARG BASE=debian:bookworm-slim\nFROM ${BASE}\nLABEL foreign=yes\n", Base: f.base, DebianSuite: "bookworm"}
}

func TestAForeignImageGetsTheAgentOnTop(t *testing.T) {
	requireDocker(t)
	d, err := connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	info, err := d.info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A base that is there spares the pull; what is in it does not matter.
	base, err := d.ensureImage(t.Context(), "testnode", testnode.Target{}.Image(), info.Architecture)
	if err != nil {
		t.Fatal(err)
	}
	spec := specOf(t, 1)
	spec.Target = foreign{base: base}
	err = New(Options{}).Run(t.Context(), spec, func(ctx context.Context, c cluster.Cluster) error {
		b := bed{t, ctx, c.(powered).Cluster, c.Network("client-1")}
		b.eventually("the node answers", func() bool { _, err := c.Status(ctx, "n1"); return err == nil })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(spec.EvidenceDir + "/n1/agent.json"); err != nil {
		t.Error(err)
	}
}
