package sim

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/rng"
)

// Profile is how the simulated world behaves while nobody injects anything:
// plain data, kept with a run so that it can be run again. Probabilities are
// in millionths.
type Profile struct {
	// Latency is the way of a message from one end to another.
	Latency Latency `json:"latency"`
	// Loss and Duplicate are the probabilities that a message between nodes
	// is lost or arrives twice. Clients talk over connections: their traffic
	// is hit by rules only (cluster.Linker), and never doubled.
	Loss      int `json:"loss_ppm"`
	Duplicate int `json:"duplicate_ppm"`
	// Ordered makes messages of one link arrive in the order in which they
	// were sent, as over a connection. Else they may overtake each other.
	Ordered bool `json:"ordered"`
	// ClockOffset bounds how far a node's wall clock is off, either way;
	// ClockDrift, in parts per million, how much faster or slower than true
	// time its clocks run. Each node draws its own.
	ClockOffset time.Duration `json:"clock_offset_ns"`
	ClockDrift  int           `json:"clock_drift_ppm"`
	// Boot is the time from the start of a process to its first instruction.
	Boot Latency `json:"boot"`
	Disk Disk    `json:"disk"`
}

// Disk is the part of a Profile that concerns disks.
type Disk struct {
	// Sync is the time that a Sync or SyncDir takes.
	Sync Latency `json:"sync"`
	// Capacity bounds the bytes of all files of a node together; writes
	// beyond it fail with syscall.ENOSPC.
	Capacity int64 `json:"capacity_bytes"`
	// Survival weighs what a power loss leaves of unsynced writes.
	Survival Survival `json:"survival"`
}

// Survival holds the weights by which a power loss chooses, for each file and
// for the directory, what survives of what was not synced. At least one is
// positive.
type Survival struct {
	None   int `json:"none"`   // nothing
	All    int `json:"all"`    // everything
	Prefix int `json:"prefix"` // the first few writes
	Subset int `json:"subset"` // each 512-byte sector on its own; directory entries of unrelated names too
	Torn   int `json:"torn"`   // the first few writes and the beginning of the next, cut anywhere in a sector
}

// Latency is a random time: uniform between Min and Min+Spread, and with the
// probability of Tail millionths another time on top, which is at least
// TailScale, doubles with probability one half again and again (a Pareto
// distribution of index 1), and is at most TailMax.
type Latency struct {
	Min       time.Duration `json:"min_ns"`
	Spread    time.Duration `json:"spread_ns"`
	Tail      int           `json:"tail_ppm"`
	TailScale time.Duration `json:"tail_scale_ns"`
	TailMax   time.Duration `json:"tail_max_ns"`
}

// latencyMax bounds each figure of a Latency, so that sums cannot overflow.
const latencyMax = time.Hour

// DefaultProfile is a sound local network with an occasional straggler, mild
// loss and duplication, clocks that are a little off, and fast disks with an
// occasional slow sync.
func DefaultProfile() Profile {
	return Profile{
		Latency:     Latency{200 * time.Microsecond, 300 * time.Microsecond, 10_000, time.Millisecond, 500 * time.Millisecond},
		Loss:        200,
		Duplicate:   200,
		ClockOffset: 50 * time.Millisecond,
		ClockDrift:  100,
		Boot:        Latency{5 * time.Millisecond, 20 * time.Millisecond, 50_000, 50 * time.Millisecond, 500 * time.Millisecond},
		Disk: Disk{
			Sync:     Latency{200 * time.Microsecond, 300 * time.Microsecond, 10_000, 2 * time.Millisecond, 500 * time.Millisecond},
			Capacity: 1 << 30,
			Survival: Survival{None: 2, All: 1, Prefix: 2, Subset: 2, Torn: 2},
		},
	}
}

// DrawProfile draws a profile for a seed by swarm testing (Groce et al.,
// ISSTA 2012): four times in five each feature is switched on or off by a
// coin, else all are on; the rates of those that are on are drawn as well.
// What one feature draws does not depend on whether others are on.
func DrawProfile(seed uint64) Profile {
	r := rng.Stream(seed, "profile")
	all := r.IntN(5) == 0
	on := func() bool { coin := r.IntN(2) == 0; return all || coin }
	p := DefaultProfile()

	slow, factor := on(), time.Duration(2+r.IntN(20))
	if slow {
		p.Latency.Min *= factor
		p.Latency.Spread *= factor
	}
	if tail, ppm := on(), logUniform(r, 1_000, 100_000); tail {
		p.Latency.Tail = ppm
	} else {
		p.Latency.Tail = 0
	}
	p.Loss = ifOn(on(), logUniform(r, 100, 50_000))
	p.Duplicate = ifOn(on(), logUniform(r, 100, 50_000))
	p.Ordered = !on()
	p.ClockOffset = time.Duration(ifOn(on(), logUniform(r, 1, 10_000))) * time.Millisecond
	p.ClockDrift = ifOn(on(), logUniform(r, 10, 5_000))
	if slowDisk, factor := on(), time.Duration(2+r.IntN(30)); slowDisk {
		p.Disk.Sync.Min *= factor
		p.Disk.Sync.Spread *= factor
	}
	p.Disk.Sync.Tail = ifOn(on(), logUniform(r, 1_000, 100_000))
	p.Disk.Survival = Survival{
		None:   ifOn(on(), 2),
		All:    1,
		Prefix: ifOn(on(), 2),
		Subset: ifOn(on(), 2),
		Torn:   ifOn(on(), 2),
	}
	return p
}

func ifOn(on bool, n int) int {
	if on {
		return n
	}
	return 0
}

// logUniform draws from [low, high] such that each doubling is equally
// likely, in integers only.
func logUniform(r *rand.Rand, low, high int) int {
	doublings := bits.Len(uint(high/low)) - 1
	n := low << r.IntN(doublings+1)
	return min(high, n+r.IntN(n))
}

// Validate says what is wrong with p, by the name of the field.
func (p Profile) Validate() error {
	for _, l := range []struct {
		name string
		l    Latency
	}{{"latency", p.Latency}, {"boot", p.Boot}, {"disk.sync", p.Disk.Sync}} {
		if err := l.l.validate(); err != nil {
			return fmt.Errorf("profile: %s: %w", l.name, err)
		}
	}
	switch s := p.Disk.Survival; {
	case p.Loss < 0 || p.Loss > cluster.Million:
		return fmt.Errorf("profile: loss_ppm is %d, want 0 to %d", p.Loss, cluster.Million)
	case p.Duplicate < 0 || p.Duplicate > cluster.Million:
		return fmt.Errorf("profile: duplicate_ppm is %d, want 0 to %d", p.Duplicate, cluster.Million)
	case p.ClockOffset < 0 || p.ClockOffset > 365*24*time.Hour:
		return fmt.Errorf("profile: clock_offset_ns is %d, want 0 to a year", p.ClockOffset)
	case p.ClockDrift < 0 || p.ClockDrift > driftMax:
		return fmt.Errorf("profile: clock_drift_ppm is %d, want 0 to %d", p.ClockDrift, driftMax)
	case p.Disk.Capacity < 1 || p.Disk.Capacity > capacityMax:
		return fmt.Errorf("profile: disk.capacity_bytes is %d, want 1 to %d", p.Disk.Capacity, int64(capacityMax))
	case min(s.None, s.All, s.Prefix, s.Subset, s.Torn) < 0 || max(s.None, s.All, s.Prefix, s.Subset, s.Torn) > cluster.Million:
		return fmt.Errorf("profile: disk.survival is %+v, want weights from 0 to %d", s, cluster.Million)
	case s.None+s.All+s.Prefix+s.Subset+s.Torn == 0:
		return fmt.Errorf("profile: disk.survival has no positive weight, want at least one")
	}
	return nil
}

func (l Latency) validate() error {
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"min_ns", l.Min}, {"spread_ns", l.Spread}, {"tail_scale_ns", l.TailScale}, {"tail_max_ns", l.TailMax}} {
		if f.d < 0 || f.d > latencyMax {
			return fmt.Errorf("%s is %d, want 0 to %d (an hour)", f.name, f.d, latencyMax)
		}
	}
	if l.Tail < 0 || l.Tail > cluster.Million {
		return fmt.Errorf("tail_ppm is %d, want 0 to %d", l.Tail, cluster.Million)
	}
	if l.Tail > 0 && (l.TailScale == 0 || l.TailMax < l.TailScale) {
		return fmt.Errorf("tail_ppm is %d, but tail_scale_ns %d and tail_max_ns %d are not positive and in order", l.Tail, l.TailScale, l.TailMax)
	}
	return nil
}

// draw turns 64 random bits into a time in nanoseconds, in integers only:
// floating point may differ between processors.
func (l *Latency) draw(r uint64) int64 {
	d := int64(l.Min) + int64(scale(r, uint64(l.Spread)))
	if l.Tail == 0 {
		return d
	}
	if r = remix(r); scale(r, cluster.Million) >= uint64(l.Tail) {
		return d
	}
	r = remix(r)
	// The number of leading zeros is geometric, the bits below are uniform.
	octave := min(bits.LeadingZeros64(r), 20)
	tail := uint64(l.TailScale) << octave
	tail += scale(remix(r), tail)
	return d + int64(min(tail, uint64(l.TailMax)))
}

// scale maps 64 random bits to [0, n).
func scale(r, n uint64) uint64 {
	hi, _ := bits.Mul64(r, n)
	return hi
}

// remix derives further random bits from random bits (finalizer of
// SplitMix64; Steele, Lea, Flood, OOPSLA 2014).
func remix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}
