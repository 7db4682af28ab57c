package cluster

import "slices"

// Grouped is a target whose nodes are not all alike.
type Grouped interface {
	Target
	// Groups lists the groups of nodes that faults can be aimed at, in a
	// cluster of these nodes.
	Groups(nodes []string) []Group
}

// Group is some of the nodes of a cluster.
type Group struct {
	// Name is how faults name it ("workers"): letters, digits and dashes, and
	// no node's name.
	Name string
	Doc  string // one sentence
	// Nodes are those that belong to it whatever happens, in the cluster's
	// order. A group without nodes is a role: it consists of the one node
	// whose status has Name as its role, that with the highest term if there
	// are several.
	Nodes []string
}

// GroupsOf returns the groups of a target's nodes, none if it is not Grouped.
func GroupsOf(t Target, nodes []string) []Group {
	g, ok := t.(Grouped)
	if !ok {
		return nil
	}
	return g.Groups(slices.Clone(nodes))
}

// Grouper is a cluster that knows the groups of its nodes.
type Grouper interface {
	Groups() []Group
}
