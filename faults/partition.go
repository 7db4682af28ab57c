package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
)

// Failure model: omission. Links between nodes, or between clients and nodes,
// carry nothing for a while, in both directions or in one; what is in flight
// when the cut starts still arrives.
var partitionDefinition = Definition{
	Name: "partition", Model: history.Omission, Usage: "partition(isolate,leader)",
	Doc: "cuts links: isolate,WHO | halves | majority | bridge | ring | in,WHO | out,WHO | clients,WHO | " +
		"groups such as n1+n2|n3; with flap=DURATION the cut comes and goes",
	parse: parsePartition,
	draw:  drawPartition,
}

// Shape is the form of a partition.
type Shape string

// The shapes. Those that concern victims take a Who.
const (
	// Isolate cuts the victims off from all other nodes, each for itself.
	Isolate Shape = "isolate"
	// Halves splits the nodes into two parts of nearly equal size.
	Halves Shape = "halves"
	// MajorityMinority splits off the largest minority.
	MajorityMinority Shape = "majority"
	// Bridge splits the nodes into two halves that only one node can reach.
	Bridge Shape = "bridge"
	// Ring lets every node see a majority, and no two nodes the same one:
	// the "majorities ring". It needs five nodes; with fewer it is a chain.
	Ring Shape = "ring"
	// In lets the victims send, but receive nothing from other nodes; Out lets
	// them receive, but send nothing to other nodes.
	In  Shape = "in"
	Out Shape = "out"
	// Clients cuts the victims off from all clients; nodes see each other.
	Clients Shape = "clients"
	// Groups cuts everything between explicitly named groups.
	Groups Shape = "groups"
	// Cuts cuts explicitly named links. It is the frozen form of shapes that
	// are not groups.
	Cuts Shape = "cuts"
)

// Partition cuts links.
type Partition struct {
	Shape Shape
	// Who are the victims of Isolate, In, Out and Clients.
	Who Who
	// Spec holds the groups ("n1+n2|n3") or the links ("n1>n2+n2>n3").
	Spec string
	// Flap, if positive, is the time for which the cut is in force, and then
	// not, in turn.
	Flap time.Duration
}

// Name implements Fault.
func (Partition) Name() string { return "partition" }

// Victims implements Fault.
func (f Partition) Victims() Who { return f.Who }

// String implements Fault.
func (f Partition) String() string {
	args := []string{string(f.Shape)}
	switch f.Shape {
	case Isolate, In, Out, Clients:
		args = append(args, string(f.Who))
	case Groups, Cuts:
		args = []string{f.Spec}
	}
	if f.Flap > 0 {
		args = append(args, "flap="+f.Flap.String())
	}
	return "partition(" + strings.Join(args, ",") + ")"
}

// flapMin keeps a flapping cut from being nothing but control traffic.
const flapMin = 10 * time.Millisecond

func parsePartition(args []string) (Fault, error) {
	var f Partition
	if n := len(args); n > 1 {
		if value, ok := strings.CutPrefix(args[n-1], "flap="); ok {
			d, err := time.ParseDuration(value)
			if err != nil || d < flapMin {
				return nil, fmt.Errorf("flap=%q: expected a duration of %v or more", value, flapMin)
			}
			f.Flap, args = d, args[:n-1]
		}
	}
	if len(args) == 0 {
		return nil, errors.New("expected a shape, such as isolate,leader or halves")
	}
	switch f.Shape = Shape(args[0]); f.Shape {
	case Halves, MajorityMinority, Bridge, Ring:
		if len(args) != 1 {
			return nil, fmt.Errorf("%s takes no victims", f.Shape)
		}
		return f, nil
	case Isolate, In, Out, Clients:
		if len(args) != 2 {
			return nil, fmt.Errorf("%s needs victims, as in %s,leader", f.Shape, f.Shape)
		}
		who, err := parseWho(args[1])
		f.Who = who
		return f, err
	}
	if len(args) != 1 {
		return nil, fmt.Errorf("no partition has the shape %q", args[0])
	}
	f.Spec = args[0]
	if f.Shape = Groups; strings.Contains(f.Spec, ">") {
		f.Shape = Cuts
		_, err := parseLinks(f.Spec)
		return f, err
	}
	_, err := parseGroups(f.Spec)
	return f, err
}

func parseGroups(spec string) ([][]string, error) {
	var groups [][]string
	seen := map[string]bool{}
	for _, g := range strings.Split(spec, "|") {
		names := strings.Split(g, "+")
		for _, n := range names {
			if !isName(n) || seen[n] {
				return nil, fmt.Errorf("%q: expected a shape, or groups of distinct nodes such as n1+n2|n3", spec)
			}
			seen[n] = true
		}
		groups = append(groups, names)
	}
	if len(groups) < 2 {
		return nil, fmt.Errorf("%q: expected a shape, or two groups of nodes or more, such as n1+n2|n3", spec)
	}
	return groups, nil
}

func parseLinks(spec string) ([]cluster.Link, error) {
	var links []cluster.Link
	for _, l := range strings.Split(spec, "+") {
		from, to, ok := strings.Cut(l, ">")
		if !ok || !isName(from) || !isName(to) || from == to {
			return nil, fmt.Errorf("%q: expected links such as n1>n2+n2>n1", spec)
		}
		links = append(links, cluster.Link{From: from, To: to})
	}
	return links, nil
}

func drawPartition(r *rand.Rand, nodes int) Fault {
	shapes := []Shape{Isolate, Isolate, In, Out, Clients, Halves, MajorityMinority}
	if nodes >= 4 {
		shapes = append(shapes, Bridge, Ring)
	}
	f := Partition{Shape: shapes[r.IntN(len(shapes))]}
	switch f.Shape {
	case Isolate, In, Out, Clients:
		f.Who = drawWho(r, "leader", "leader", "one", "follower", "minority")
	}
	if r.IntN(5) == 0 {
		f.Flap = time.Duration(100+r.IntN(400)) * time.Millisecond
	}
	return f
}

// Available implements Fault.
func (f Partition) Available(c cluster.Cluster) error {
	if len(c.Nodes()) < 2 {
		return fmt.Errorf("a partition needs two nodes or more, this cluster has %d: %w", len(c.Nodes()), cluster.ErrUnavailable)
	}
	l, err := need[cluster.Linker](c, "cut links")
	if err != nil {
		return err
	}
	return errors.Join(l.CanImpair(cut), f.Who.exist(c), f.named().exist(c))
}

// named selects the nodes that Spec names.
func (f Partition) named() Who {
	names := strings.FieldsFunc(f.Spec, func(r rune) bool { return r == '+' || r == '|' || r == '>' })
	return named(slices.DeleteFunc(names, func(n string) bool { return n == cluster.ClientEnd }))
}

var cut = cluster.Impairment{Loss: cluster.Million}

// Inject implements Fault.
func (f Partition) Inject(ctx context.Context, s *Site) (*Injection, error) {
	if err := f.Available(s.Cluster); err != nil {
		return nil, err
	}
	links, nodes, note, err := f.links(ctx, s)
	if err != nil {
		return nil, err
	}
	frozen := Partition{Shape: Cuts, Spec: linkSpec(links), Flap: f.Flap}
	inj := &Injection{Nodes: nodes, Frozen: frozen.String(), proof: "packets_dropped"}
	if note != "" {
		inj.receipt.Note("%s", note)
	}
	if f.Flap > 0 {
		return inj, startFlapping(ctx, s, inj, links, f.Flap)
	}
	rule, err := s.Cluster.(cluster.Linker).Impair(ctx, links, cut)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	return inj, inj.prove(ctx, rule)
}

// startFlapping puts the cut in force and takes it away in turn until healed.
func startFlapping(ctx context.Context, s *Site, inj *Injection, links []cluster.Link, period time.Duration) error {
	c, l := s.Cluster, s.Cluster.(cluster.Linker)
	rule, err := l.Impair(ctx, links, cut)
	if err != nil {
		return err
	}
	var sum cluster.Receipt
	var failed error
	if p, ok := rule.(cluster.Prober); ok {
		r, err := p.Probe(ctx)
		if err != nil {
			return err
		}
		inj.receipt.Add(r)
	}
	task := c.Go("flapping", func(ctx context.Context) {
		always := context.WithoutCancel(ctx)
		for ctx.Err() == nil && failed == nil {
			_ = c.Sleep(ctx, period) // cancelled: the loop ends after the cut is removed
			r, err := rule.Remove(always)
			sum.Add(r)
			if failed = err; err != nil || c.Sleep(ctx, period) != nil {
				return
			}
			rule, failed = l.Impair(always, links, cut)
		}
		if failed == nil {
			r, err := rule.Remove(always)
			sum.Add(r)
			failed = err
		}
	})
	inj.heal = func(ctx context.Context) (cluster.Receipt, error) {
		task.Stop()
		if err := task.Wait(ctx); err != nil {
			return sum, err
		}
		return sum, failed
	}
	return nil
}

// links decides what is cut, and who counts as a victim.
func (f Partition) links(ctx context.Context, s *Site) (links []cluster.Link, nodes []string, note string, err error) {
	all := s.Cluster.Nodes()
	switch f.Shape {
	case Isolate, In, Out, Clients:
		if nodes, note, err = f.Who.resolve(ctx, s); err == nil {
			nodes, note = s.hittable(ctx, f.Who, nodes, note)
			links = f.victimLinks(all, nodes)
		}
	case Groups:
		groups, _ := parseGroups(f.Spec) // parsed before
		links, nodes = between(groups), slices.Concat(groups...)
	case Cuts:
		links, _ = parseLinks(f.Spec)
		for _, l := range links {
			nodes = append(nodes, l.From, l.To)
		}
	default:
		links, nodes = f.Shape.drawLinks(s, all, Leader(ctx, s.Cluster))
	}
	if err != nil {
		return nil, nil, "", err
	}
	nodes = slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !slices.Contains(nodes, n) })
	if len(links) == 0 {
		return nil, nil, "", fmt.Errorf("%s cuts no link of this cluster of %d nodes", f, len(all))
	}
	return links, nodes, note, nil
}

func (f Partition) victimLinks(all, victims []string) (links []cluster.Link) {
	for _, v := range victims {
		if f.Shape == Clients {
			links = append(links, cluster.Link{From: cluster.ClientEnd, To: v}, cluster.Link{From: v, To: cluster.ClientEnd})
			continue
		}
		for _, o := range all {
			if o == v {
				continue
			}
			if f.Shape != Out {
				links = append(links, cluster.Link{From: o, To: v})
			}
			if f.Shape != In {
				links = append(links, cluster.Link{From: v, To: o})
			}
		}
	}
	return dedup(links)
}

// drawLinks decides the shapes that leave open who is where. The leader is
// never the bridge: from there it would see everyone, and nobody else talks.
func (shape Shape) drawLinks(s *Site, all []string, leader string) (links []cluster.Link, nodes []string) {
	order := shuffled(s.Rand, all)
	n := len(order)
	if shape == Bridge && order[0] == leader {
		order[0], order[n-1] = order[n-1], order[0]
	}
	switch shape {
	case Halves:
		return between([][]string{order[:n/2], order[n/2:]}), order[:n/2]
	case MajorityMinority:
		k := max(1, (n-1)/2)
		return between([][]string{order[:k], order[k:]}), order[:k]
	case Bridge:
		left, right := order[1:1+(n-1)/2], order[1+(n-1)/2:]
		return between([][]string{left, right}), order[1:]
	default: // Ring: each node sees itself and its nearest neighbours, a majority in all
		for i, a := range order {
			for j, b := range order {
				apart := min((i-j+n)%n, (j-i+n)%n)
				if a != b && apart > (n/2+1)/2 {
					links = append(links, cluster.Link{From: a, To: b})
				}
			}
		}
		return links, order
	}
}

// between returns all links between different groups.
func between(groups [][]string) (links []cluster.Link) {
	for i, g := range groups {
		for j, h := range groups {
			if i == j {
				continue
			}
			for _, a := range g {
				for _, b := range h {
					links = append(links, cluster.Link{From: a, To: b})
				}
			}
		}
	}
	return dedup(links)
}

func dedup(links []cluster.Link) []cluster.Link {
	slices.SortFunc(links, func(a, b cluster.Link) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(links)
}

func linkSpec(links []cluster.Link) string {
	parts := make([]string, len(links))
	for i, l := range links {
		parts[i] = l.String()
	}
	return strings.Join(parts, "+")
}
