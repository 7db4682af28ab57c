package faults

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/nearest"
)

// Ground is what is known of a cluster before it is started: what the names in a
// plan can mean.
type Ground struct {
	Nodes  []string
	Groups []cluster.Group
	Points []string // of its programs; nil if that is not known
}

// misplaced is an error about a word of a plan.
type misplaced struct {
	word string
	err  error
}

func (m *misplaced) Error() string { return m.err.Error() }
func (m *misplaced) Unwrap() error { return m.err }

// placeOf returns where in a step's text an error is: at its word, else at the
// beginning.
func placeOf(step string, err error) int {
	var m *misplaced
	if !errors.As(err, &m) || m.word == "" {
		return 0
	}
	const between = " \t\n(),+|>:#"
	for from := 0; ; {
		i := strings.Index(step[from:], m.word)
		if i < 0 {
			return 0
		}
		i += from
		end := i + len(m.word)
		if (i == 0 || strings.IndexByte(between, step[i-1]) >= 0) && (end == len(step) || strings.IndexByte(between, step[end]) >= 0) {
			return i
		}
		from = i + 1
	}
}

// admits returns an error if a step names what the cluster will not have.
func (g *Ground) admits(s Step) error {
	if p := s.When.Point; p != "" && g.Points != nil && !slices.Contains(g.Points, p) {
		return &misplaced{p, fmt.Errorf("no program here has a point %q%s", p, nearest.Hint(p, g.Points))}
	}
	for _, who := range []Who{s.When.Of, s.Fault.Victims()} {
		if err := g.has(who); err != nil {
			return err
		}
	}
	if p, ok := s.Fault.(Partition); ok {
		return g.has(p.named())
	}
	return nil
}

// has returns an error if a selector names a node or group that there will not be.
func (g *Ground) has(w Who) error {
	_, group := w.in()
	names := []string{group}
	if group == "" {
		names = strings.Split(string(w), "+")
	}
	known := slices.Concat(roles, g.Nodes)
	for _, group := range g.Groups {
		known = append(known, group.Name, strings.TrimSuffix(group.Name, "s"))
	}
	for _, name := range names {
		number := name != "" && strings.Trim(name, "0123456789") == ""
		if name == "" || number || slices.Contains(known, name) {
			continue
		}
		return &misplaced{name, fmt.Errorf("%w: %q%s", cluster.ErrNoNode, name, nearest.Hint(name, known))}
	}
	return nil
}
