package sim

import (
	"math/rand/v2"
	"slices"
)

// losePower is what a power loss does to a disk. It returns how many bytes
// that could be read before cannot any more. Fault model:
//
//   - What was synced stays as it was. Of the rest, each file and the
//     directory keep what one of the ways of Survival leaves, drawn for each
//     on its own.
//   - A sector shows one of the versions that it went through since its file
//     was last synced, or, torn, parts of two successive ones. It never shows
//     bytes that were not written there.
//   - The size of a file may have survived though the content did not: then
//     there are zeros.
//   - A rename has happened or has not. Changes of unrelated names may
//     survive in any order; those of one name or one file survive in order.
//
// Not modelled here: sectors that were synced and rot.
func (d *disk) losePower() (discarded int64) {
	before := d.names
	d.last = 0
	d.loseNames()
	names := sortedNames(d.names)
	seen := map[*inode]bool{}
	d.used = 0
	for _, name := range names {
		f := d.names[name]
		seen[f] = true
		discarded += d.loseWrites(f)
		f.named = true
		d.used += int64(len(f.data))
	}
	for _, name := range sortedNames(before) {
		if f := before[name]; !seen[f] {
			f.named = false
			discarded += int64(len(f.data))
		}
	}
	return discarded
}

// way is one of the ways in which unsynced writes may survive.
type way uint8

const (
	wayNone way = iota
	wayAll
	wayPrefix
	waySubset
	wayTorn
)

func (d *disk) drawWay() way {
	s := &d.n.w.profile.Disk.Survival
	weights := [...]int{wayNone: s.None, wayAll: s.All, wayPrefix: s.Prefix, waySubset: s.Subset, wayTorn: s.Torn}
	sum := 0
	for _, weight := range weights {
		sum += weight
	}
	x := below(d.rand, sum)
	for i, weight := range weights {
		if x < weight {
			return way(i)
		}
		x -= weight
	}
	return wayNone // not reached: a profile has a positive weight
}

// below draws a number in [0, n).
func below(r *rand.PCG, n int) int { return int(scale(r.Uint64(), uint64(n))) }

// loseNames decides which changes of the directory survive.
func (d *disk) loseNames() {
	how := d.drawWay()
	n := len(d.ops)
	switch how {
	case wayNone:
		n = 0
	case wayPrefix, wayTorn:
		n = below(d.rand, n+1)
	}
	// Each change of a file names it as the one before it left it, so that
	// names are enough to keep the changes of one file in order, too.
	lost := map[string]bool{}
	for _, o := range d.ops[:n] {
		if how == waySubset && (below(d.rand, 2) == 0 || lost[o.name] || lost[o.to]) {
			lost[o.name] = true
			if o.kind == nameRename {
				lost[o.to] = true
			}
			continue
		}
		o.apply(d.stable)
	}
	d.base += uint64(len(d.ops))
	d.ops = nil
	d.names = make(map[string]*inode, len(d.stable))
	for name, f := range d.stable {
		d.names[name] = f
	}
}

// loseWrites decides which unsynced writes of a file survive, and returns how
// many of the bytes written do not.
func (d *disk) loseWrites(f *inode) (discarded int64) {
	ops := f.pending()
	if len(ops) == 0 {
		return 0
	}
	var lost int64
	for _, o := range ops {
		lost += int64(max(o.n, 0))
	}
	switch d.drawWay() {
	case wayNone:
	case wayAll:
		lost -= f.keep(ops)
	case wayPrefix:
		lost -= f.keep(ops[:below(d.rand, len(ops)+1)])
	case wayTorn:
		n := below(d.rand, len(ops))
		lost -= f.keep(ops[:n])
		lost -= f.tear(d.rand, ops[n])
	case waySubset:
		lost -= f.scatter(d.rand, ops)
	}
	f.base += uint64(len(ops))
	f.ops, f.buf, f.head = nil, nil, 0
	f.data = slices.Clone(f.stable)
	return lost
}

// keep makes operations stable and returns the bytes that they write.
func (f *inode) keep(ops []fileOp) (kept int64) {
	for _, o := range ops {
		if o.n == cutSize {
			f.stable = resize(f.stable, o.off)
			continue
		}
		f.stable = put(f.stable, f.bytes(o), o.off)
		kept += int64(o.n)
	}
	return kept
}

// tear makes the beginning of a write stable, to the byte; the file may have
// grown as far as the whole would have made it grow. A change of size is not
// torn: it is lost.
func (f *inode) tear(r *rand.PCG, o fileOp) (kept int64) {
	if o.n == cutSize {
		return 0
	}
	n := below(r, o.n)
	grown := below(r, 2) == 0
	if n > 0 {
		f.stable = put(f.stable, f.bytes(o)[:n], o.off)
	}
	if end := o.off + int64(o.n); grown && end > int64(len(f.stable)) {
		f.stable = resize(f.stable, end)
	}
	return int64(n)
}

// scatter lets each sector show one of the versions that it went through. A
// change of size divides the operations: those before it survive in order
// (file systems log it), or nothing from it on does.
func (f *inode) scatter(r *rand.PCG, ops []fileOp) (kept int64) {
	for {
		cut := slices.IndexFunc(ops, func(o fileOp) bool { return o.n == cutSize })
		if cut < 0 {
			break
		}
		if below(r, 2) == 0 {
			ops = ops[:cut]
			break
		}
		kept += f.keep(ops[:cut+1])
		ops = ops[cut+1:]
	}
	touched := map[int64]int{} // sector → operations that wrote to it
	end := int64(len(f.stable))
	for _, o := range ops {
		for s := o.off / sectorSize; s*sectorSize < o.off+int64(o.n); s++ {
			touched[s]++
		}
		end = max(end, o.off+int64(o.n))
	}
	sectors := make([]int64, 0, len(touched))
	for s := range touched {
		sectors = append(sectors, s)
	}
	slices.Sort(sectors)
	left := map[int64]int{} // sector → operations that survive there
	for _, s := range sectors {
		left[s] = below(r, touched[s]+1)
	}
	for _, o := range ops {
		kept += f.keepSectors(o, left)
	}
	if below(r, 2) == 0 {
		f.stable = resize(f.stable, max(end, int64(len(f.stable))))
	}
	return kept
}

// keepSectors makes the parts of a write stable whose sectors have operations
// left.
func (f *inode) keepSectors(o fileOp, left map[int64]int) (kept int64) {
	b := f.bytes(o)
	for at := o.off; len(b) > 0; {
		s := at / sectorSize
		n := min(int64(len(b)), (s+1)*sectorSize-at)
		if left[s] > 0 {
			left[s]--
			f.stable = put(f.stable, b[:n], at)
			kept += n
		}
		at, b = at+n, b[n:]
	}
	return kept
}
