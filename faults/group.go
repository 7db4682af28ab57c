package faults

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cleancut/cleancut/harness/cluster"
)

// within lists the selectors that can stand before a group: "one:workers".
var within = []string{"one", "minority", "majority", "all"}

// parseWithin checks the form of a selector in a group.
func parseWithin(selector, group string) (Who, error) {
	text := selector + ":" + group
	if !isName(group) {
		return "", fmt.Errorf("%q selects no nodes: expected the name of a group after the colon, such as one:workers", text)
	}
	if n, err := strconv.Atoi(selector); err == nil && n >= 1 {
		return Who(strconv.Itoa(n) + ":" + group), nil
	}
	if !slices.Contains(within, selector) {
		return "", fmt.Errorf("%q selects no nodes: expected %s or a number before the colon", text, join(within))
	}
	return Who(text), nil
}

// in splits "one:workers"; without a group, group is "".
func (w Who) in() (selector, group string) {
	selector, group, ok := strings.Cut(string(w), ":")
	if !ok {
		return string(w), ""
	}
	return selector, group
}

// lookupGroup finds a group of the cluster's nodes. The singular of a group
// whose name ends with s is one of its nodes.
func lookupGroup(c cluster.Cluster, name string) (g cluster.Group, single bool, err error) {
	var names []string
	if grouper, ok := c.(cluster.Grouper); ok {
		for _, g := range grouper.Groups() {
			if g.Name == name || g.Name == name+"s" {
				return g, g.Name != name, nil
			}
			names = append(names, g.Name)
		}
	}
	if len(names) == 0 {
		return g, false, fmt.Errorf("%w: %q; there are %s", cluster.ErrNoNode, name, join(c.Nodes()))
	}
	return g, false, fmt.Errorf("%w: %q; there are %s, and the groups %s", cluster.ErrNoNode, name, join(c.Nodes()), join(names))
}

// groupExists returns an error if a selector in a group asks for a group that
// the cluster has not, or for more nodes than are in it.
func groupExists(c cluster.Cluster, selector, group string) error {
	g, _, err := lookupGroup(c, group)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(selector); err == nil && n > max(1, len(g.Nodes)) {
		return fmt.Errorf("%d victims wanted, but there are %d nodes in %s: %w", n, max(1, len(g.Nodes)), group, cluster.ErrNoNode)
	}
	return nil
}

// members returns the nodes of a group now. If nobody has the role that a
// group stands for, a random node is taken for it, and the note says so.
func members(ctx context.Context, s *Site, g cluster.Group) (nodes []string, note string) {
	if len(g.Nodes) > 0 {
		return g.Nodes, ""
	}
	holder := holderOf(ctx, s.Cluster, g.Name)
	if holder == "" {
		holder = s.pick(ctx, s.Cluster.Nodes(), 1)[0]
		note = "there was no " + g.Name + "; " + holder + " was taken for it"
	}
	return []string{holder}, note
}

// resolveIn chooses victims in a group.
func resolveIn(ctx context.Context, s *Site, selector, group string) (nodes []string, note string, err error) {
	if err := groupExists(s.Cluster, selector, group); err != nil {
		return nil, "", err
	}
	g, single, err := lookupGroup(s.Cluster, group)
	if err != nil {
		return nil, "", err
	}
	nodes, note = members(ctx, s, g)
	k := len(nodes)
	switch {
	case selector == "one" || single:
		k = 1
	case selector == "minority":
		k = max(1, (len(nodes)-1)/2)
	case selector == "majority":
		k = len(nodes)/2 + 1
	case selector != "all":
		if k, err = strconv.Atoi(selector); err != nil {
			return nil, "", fmt.Errorf("%s:%s selects no nodes: %w", selector, group, err)
		}
	}
	return s.pick(ctx, nodes, min(k, len(nodes))), note, nil
}

// resolveNames chooses the nodes that a list of nodes and groups names, in the
// cluster's order.
func resolveNames(ctx context.Context, s *Site, names []string) (nodes []string, note string, err error) {
	all := s.Cluster.Nodes()
	var chosen, notes []string
	for _, name := range names {
		if slices.Contains(all, name) {
			chosen = append(chosen, name)
			continue
		}
		some, note, err := resolveIn(ctx, s, "all", name)
		if err != nil {
			return nil, "", err
		}
		if note != "" {
			notes = append(notes, note)
		}
		chosen = append(chosen, some...)
	}
	return slices.DeleteFunc(all, func(n string) bool { return !slices.Contains(chosen, n) }), strings.Join(notes, "; "), nil
}

// holderOf returns the node with the highest term among those whose status
// has that role, "" if there is none.
func holderOf(ctx context.Context, c cluster.Cluster, role string) string {
	holder, term := "", uint64(0)
	for _, n := range c.Nodes() {
		st, err := c.Status(ctx, n)
		if err == nil && st.Role == role && (holder == "" || st.Term > term) {
			holder, term = n, st.Term
		}
	}
	return holder
}
