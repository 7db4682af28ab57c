package faults

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// aimed is a fault that can be given other victims.
type aimed interface {
	Fault
	aim(w Who) Fault
}

func (f Kill) aim(w Who) Fault      { return Kill{w} }
func (f Reboot) aim(w Who) Fault    { return Reboot{w} }
func (f PowerLoss) aim(w Who) Fault { return PowerLoss{w} }
func (f Pause) aim(w Who) Fault     { return Pause{w} }
func (f Loss) aim(w Who) Fault      { f.Who = w; return f }
func (f Delay) aim(w Who) Fault     { f.Who = w; return f }
func (f Duplicate) aim(w Who) Fault { f.Who = w; return f }
func (f Rot) aim(w Who) Fault       { f.Who = w; return f }
func (f Truncate) aim(w Who) Fault  { f.Who = w; return f }
func (f WipeDisk) aim(w Who) Fault  { return WipeDisk{w} }
func (f SlowDisk) aim(w Who) Fault  { f.Who = w; return f }

// aim makes a partition that has no victims one that has.
func (f Partition) aim(w Who) Fault {
	switch f.Shape {
	case Isolate, In, Out, Clients:
	default:
		f.Shape, f.Spec = Isolate, ""
	}
	f.Who = w
	return f
}

// restrict aims a drawn fault at one of the groups that the drawing is
// restricted to: as many of its nodes as it would have hit of the cluster's.
func (d Drawing) restrict(r *rand.Rand, f Fault) Fault {
	a, ok := f.(aimed)
	if !ok || len(d.Groups) == 0 || f.Victims() == "self" || f.Victims() == "same" {
		return f
	}
	group := d.Groups[r.IntN(len(d.Groups))]
	selector := "one"
	switch f.Victims() {
	case "minority", "majority", "all":
		selector = string(f.Victims())
	case "followers":
		selector = "majority"
	}
	return a.aim(Who(selector + ":" + group))
}

// damages lists the faults of storage that show only when the node reads its
// disk again, and after which a drawn plan kills it.
func damages(f Fault) bool {
	return slices.Contains([]string{rotDefinition.Name, truncateDefinition.Name}, f.Name())
}

// files gives a drawn fault of storage one of the drawing's patterns.
func (d Drawing) files(r *rand.Rand, f Fault) Fault {
	if len(d.Files) == 0 || !damages(f) {
		return f
	}
	pattern := d.Files[r.IntN(len(d.Files))]
	switch f := f.(type) {
	case Rot:
		f.Files = pattern
		return f
	case Truncate:
		f.Files = pattern
		return f
	}
	return f
}

// validateAims returns what is wrong with a drawing's groups and files.
func (d Drawing) validateAims() error {
	if d.Crash != "" {
		if _, err := parseWithin("one", d.Crash); err != nil {
			return err
		}
	}
	for _, g := range d.Groups {
		if _, err := parseWithin("one", g); err != nil {
			return err
		}
	}
	for _, f := range d.Files {
		if _, err := parsePattern(strings.TrimSpace(f)); err != nil {
			return err
		}
	}
	return nil
}
