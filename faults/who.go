package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/cleancut/cleancut/harness/cluster"
)

// Who selects victims. It is chosen at injection from the cluster's live
// state:
//
//	one          a random node, running if there is one
//	minority     the largest number of nodes that is no majority
//	majority     the smallest majority
//	all          every node
//	leader       the leader (the node with the highest term that takes itself
//	             for it); if there is none, a random node, and the receipt says so
//	followers    all nodes but the leader
//	follower     a random one of them
//	self         the node that tripped the step's trigger
//	same         the victims of the step that this one follows
//	2            that many random nodes
//	n1+n3        nodes by name
//
// A target may divide its nodes into groups (cluster.Grouped), which stand
// where names do; a role such as coordinator is a group of one node:
//
//	workers      all nodes of that group
//	worker       a random one of them
//	one:workers  the same; also minority, majority, a number
//	n1+workers   nodes and groups together
type Who string

var roles = []string{"one", "minority", "majority", "all", "leader", "followers", "follower", "self", "same"}

// parseWho checks the form of a selector; whether named nodes exist is known
// only at injection.
func parseWho(s string) (Who, error) {
	if slices.Contains(roles, s) {
		return Who(s), nil
	}
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 {
			return "", fmt.Errorf("%q selects no node: a fault needs at least one victim", s)
		}
		return Who(strconv.Itoa(n)), nil
	}
	if selector, group, ok := strings.Cut(s, ":"); ok {
		return parseWithin(selector, group)
	}
	for _, name := range strings.Split(s, "+") {
		if !isName(name) {
			return "", fmt.Errorf("%q selects no nodes: expected %s, a number, or names such as n1+n3", s, join(roles))
		}
	}
	return Who(s), nil
}

// isName tells whether s can be the name of a node: a letter and then letters,
// digits and dashes.
func isName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		letter := s[i] >= 'a' && s[i] <= 'z'
		if !letter && (i == 0 || (s[i] != '-' && (s[i] < '0' || s[i] > '9'))) {
			return false
		}
	}
	return !slices.Contains(roles, s)
}

// resolve chooses the victims, in the cluster's order, and says in a note
// whatever it had to choose otherwise than asked.
func (w Who) resolve(ctx context.Context, s *Site) (nodes []string, note string, err error) {
	all := s.Cluster.Nodes()
	switch w {
	case "all":
		return all, "", nil
	case "one":
		return s.pick(ctx, all, 1), "", nil
	case "minority":
		return s.pick(ctx, all, max(1, (len(all)-1)/2)), "", nil
	case "majority":
		return s.pick(ctx, all, len(all)/2+1), "", nil
	case "self":
		if s.Self == "" {
			return nil, "", fmt.Errorf("self: this step was not triggered by a node; use it after \"on POINT\"")
		}
		return []string{s.Self}, "", nil
	case "same":
		if len(s.Same) == 0 {
			return nil, "", fmt.Errorf("same: there is no step before this one; use it after \"then\"")
		}
		return s.Same, "", nil
	case "leader", "follower", "followers":
		nodes, note = w.byRole(ctx, s)
		return nodes, note, nil
	}
	if err := w.exist(s.Cluster); err != nil {
		return nil, "", err
	}
	if n, err := strconv.Atoi(string(w)); err == nil {
		return s.pick(ctx, all, n), "", nil
	}
	if selector, group := w.in(); group != "" {
		return resolveIn(ctx, s, selector, group)
	}
	return resolveNames(ctx, s, strings.Split(string(w), "+"))
}

// exist returns an error if w asks for nodes that the cluster has not.
func (w Who) exist(c cluster.Cluster) error {
	all := c.Nodes()
	if slices.Contains(roles, string(w)) || w == "" {
		return nil
	}
	if n, err := strconv.Atoi(string(w)); err == nil {
		if n > len(all) {
			return fmt.Errorf("%d victims wanted, but there are %d nodes: %w", n, len(all), cluster.ErrNoNode)
		}
		return nil
	}
	if selector, group := w.in(); group != "" {
		return groupExists(c, selector, group)
	}
	for _, name := range strings.Split(string(w), "+") {
		if slices.Contains(all, name) {
			continue
		}
		if _, _, err := lookupGroup(c, name); err != nil {
			return err
		}
	}
	return nil
}

// Choose returns the nodes that w selects now, in the cluster's order.
func (w Who) Choose(ctx context.Context, s *Site) ([]string, error) {
	nodes, _, err := w.resolve(ctx, s)
	return nodes, err
}

func (w Who) byRole(ctx context.Context, s *Site) (nodes []string, note string) {
	all := s.Cluster.Nodes()
	leader := Leader(ctx, s.Cluster)
	if leader == "" {
		leader = s.pick(ctx, all, 1)[0]
		note = "there was no leader; " + leader + " was taken for it"
	}
	if w == "leader" {
		return []string{leader}, note
	}
	followers := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return n == leader })
	if len(followers) == 0 {
		return all, "a cluster of one node has no followers"
	}
	if w == "follower" {
		return s.pick(ctx, followers, 1), note
	}
	return followers, note
}

// Leader returns the node with the highest term among those that take
// themselves for leader, "" if there is none.
func Leader(ctx context.Context, c cluster.Cluster) string {
	return holderOf(ctx, c, "leader")
}

// pick returns k random nodes of from, in their order, and prefers those that
// no fault holds down.
func (s *Site) pick(ctx context.Context, from []string, k int) []string {
	defer s.lock(ctx)()
	order := shuffled(s.Rand, from)
	slices.SortStableFunc(order, func(a, b string) int { return min(s.holds.down[a], 1) - min(s.holds.down[b], 1) })
	chosen := order[:k]
	return slices.DeleteFunc(slices.Clone(from), func(n string) bool { return !slices.Contains(chosen, n) })
}

func shuffled(r *rand.Rand, from []string) []string {
	order := slices.Clone(from)
	r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// named is the selector that chooses exactly these nodes.
func named(nodes []string) Who { return Who(strings.Join(nodes, "+")) }
