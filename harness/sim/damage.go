package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// CanDamage implements cluster.Disker.
func (*world) CanDamage() error { return nil }

// CanSlowSync implements cluster.Disker.
func (*world) CanSlowSync() error { return nil }

// matching returns the names of a disk's files that match a pattern and hold
// something that is stable, in order.
func (d *disk) matching(pattern string) (names []string, err error) {
	for _, name := range sortedNames(d.names) {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		if ok && len(d.names[name].stable) > 0 {
			names = append(names, name)
		}
	}
	return names, nil
}

// damaged finds the machine and the files that are to be damaged.
func (w *world) damaged(ctx context.Context, node, pattern string, seed uint64) (n *machine, names []string, r *rand.Rand, err error) {
	if n, err = w.machine(node); err != nil {
		return nil, nil, nil, err
	}
	if err = ctx.Err(); err != nil {
		return nil, nil, nil, err
	}
	names, err = n.disk.matching(pattern)
	return n, names, rand.New(rand.NewPCG(seed, 0)), err
}

// Rot implements cluster.Disker. What is stable rots; a byte that was written
// and not synced yet stays readable until the power fails.
func (w *world) Rot(ctx context.Context, node, pattern string, count int, seed uint64) (cluster.Receipt, error) {
	var receipt cluster.Receipt
	n, names, r, err := w.damaged(ctx, node, pattern, seed)
	if err != nil {
		return receipt, err
	}
	if len(names) == 0 {
		receipt.Note("no file of %s matches %s", node, pattern)
		return receipt, nil
	}
	hit := map[string]bool{}
	for range count {
		name := names[r.IntN(len(names))]
		f := n.disk.names[name]
		off, bit := r.IntN(len(f.stable)), byte(1)<<r.IntN(8)
		clean := off < len(f.data) && f.data[off] == f.stable[off]
		f.stable[off] ^= bit
		if clean {
			f.data[off] = f.stable[off]
		}
		w.note(kindWrite, n.index, n.epoch, digestString(name)^uint64(off))
		hit[name] = true
	}
	receipt.Count("bytes_flipped", int64(count))
	receipt.Count("files_damaged", int64(len(hit)))
	receipt.Note("%s: %v", node, sortedKeys(hit))
	n.log.printf(w.now, "=== %d bytes rotted in %v", count, sortedKeys(hit))
	return receipt, nil
}

// Truncate implements cluster.Disker.
func (w *world) Truncate(ctx context.Context, node, pattern string, seed uint64) (cluster.Receipt, error) {
	var receipt cluster.Receipt
	n, names, r, err := w.damaged(ctx, node, pattern, seed)
	if err != nil {
		return receipt, err
	}
	for _, name := range names {
		f := n.disk.names[name]
		size := r.IntN(len(f.stable))
		receipt.Count("bytes_cut", int64(len(f.stable)-size))
		receipt.Count("files_damaged", 1)
		receipt.Note("%s: %s cut at %d", node, name, size)
		before := len(f.data)
		f.stable = f.stable[:size]
		f.data = f.data[:min(size, before)]
		n.disk.resized(f, before)
		w.note(kindWrite, n.index, n.epoch, digestString(name)^^uint64(size))
		n.log.printf(w.now, "=== %s was cut at %d", name, size)
	}
	return receipt, nil
}

// Wipe implements cluster.Disker.
func (w *world) Wipe(ctx context.Context, node string) (cluster.Receipt, error) {
	var receipt cluster.Receipt
	n, err := w.machine(node)
	if err != nil {
		return receipt, err
	}
	if err := ctx.Err(); err != nil {
		return receipt, err
	}
	if n.up() || n.booting {
		return receipt, fmt.Errorf("wiping the disk of %s: its process runs; kill it first", node)
	}
	d := n.disk
	for _, name := range sortedNames(d.names) {
		receipt.Count("files_wiped", 1)
		receipt.Count("bytes_wiped", int64(len(d.names[name].data)))
		d.unname(d.names[name])
		w.note(kindWrite, n.index, n.epoch, digestString(name))
	}
	// Syncs that are under way find nothing left to do.
	d.base += uint64(len(d.ops))
	d.ops, d.names, d.stable = nil, map[string]*inode{}, map[string]*inode{}
	n.log.printf(w.now, "=== the disk was wiped")
	return receipt, nil
}

// slowness is a cluster.Rule that slows the syncs of a disk down.
type slowness struct {
	d       *disk
	delay   int64
	count   int64
	removed bool
}

// SlowSync implements cluster.Disker.
func (w *world) SlowSync(ctx context.Context, node string, delay time.Duration) (cluster.Rule, error) {
	n, err := w.machine(node)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &slowness{d: n.disk, delay: int64(delay)}
	n.disk.slow = append(n.disk.slow, s)
	w.note(kindRule, n.index, n.epoch, uint64(delay))
	return s, nil
}

// slowed returns by how much longer a sync takes now, and counts it.
func (d *disk) slowed() (delay int64) {
	for _, s := range d.slow {
		delay += s.delay
		s.count++
	}
	return delay
}

// Receipt implements cluster.Rule.
func (s *slowness) Receipt(context.Context) (r cluster.Receipt, err error) {
	r.Count("syncs_delayed", s.count)
	return r, nil
}

// Remove implements cluster.Rule.
func (s *slowness) Remove(ctx context.Context) (cluster.Receipt, error) {
	if !s.removed {
		s.removed = true
		s.d.slow = slices.DeleteFunc(s.d.slow, func(o *slowness) bool { return o == s })
	}
	return s.Receipt(ctx)
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
