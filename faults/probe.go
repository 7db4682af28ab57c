package faults

import (
	"context"
	"slices"

	"github.com/cleancut/cleancut/harness/cluster"
)

// probed begins the names of the counts of what happened to probes.
const probed = "probes_"

// prove lets an injection heal by taking a rule away, and proves that it was in
// force where the system under test sent nothing over its links: a probe packet
// of the harness is sent when the rule has come into force, and again before it is
// taken away if the first could not be sent, since an end was down. What happened
// to probes is counted apart ("probes_dropped").
func (i *Injection) prove(ctx context.Context, rule cluster.Rule) error {
	i.heal = rule.Remove
	prober, ok := rule.(cluster.Prober)
	if !ok {
		return nil
	}
	r, err := prober.Probe(ctx)
	if err != nil {
		return err
	}
	i.receipt.Add(r)
	i.heal = func(ctx context.Context) (cluster.Receipt, error) {
		so, err := rule.Receipt(ctx)
		so.Add(i.receipt)
		var late cluster.Receipt
		if err == nil && !i.Bit(so) {
			late, err = prober.Probe(ctx)
		}
		if err != nil {
			late.Note("no probe could be sent: %v", err)
		}
		r, err := rule.Remove(ctx)
		r.Add(late)
		return r, err
	}
	return nil
}

// hittable replaces victims of link faults that other faults hold down by random
// nodes that none does, as far as there are any: cutting off the dead proves
// nothing. Victims that are named stay. The note says who was taken for whom.
func (s *Site) hittable(ctx context.Context, w Who, nodes []string, note string) ([]string, string) {
	all := s.Cluster.Nodes()
	if !slices.Contains(roles, string(w)) || w == "all" {
		return nodes, note
	}
	defer s.lock(ctx)()
	var spare []string
	for _, n := range shuffled(s.Rand, all) {
		if s.holds.down[n] == 0 && !slices.Contains(nodes, n) {
			spare = append(spare, n)
		}
	}
	chosen := slices.Clone(nodes)
	for i, n := range chosen {
		if s.holds.down[n] == 0 || len(spare) == 0 {
			continue
		}
		if note != "" {
			note += "; "
		}
		note += n + " was down, and " + spare[0] + " was taken for it"
		chosen[i], spare = spare[0], spare[1:]
	}
	return slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !slices.Contains(chosen, n) }), note
}
