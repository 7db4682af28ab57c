package harness

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cleancut/cleancut/harness/history"
)

// Progress shows how a run is getting on. The run writes it and never waits
// for it; whoever wants to see it polls Snapshot from a goroutine of its own.
// (The run does not call out: in a simulation that would change the trace.)
type Progress struct {
	open, ok, fail, info atomic.Int64
	now                  atomic.Int64 // the run's clock when an operation last ended

	mu      sync.Mutex
	phase   string
	ends    time.Duration // when the phase is expected to end; 0 if unknown
	inForce []string
}

// Snapshot is a run's progress at a moment.
type Snapshot struct {
	Phase string
	// Now is the run's clock.
	Now time.Duration
	// Left is the time until the phase is expected to end, 0 if unknown.
	Left           time.Duration
	OK, Fail, Info int64
	Open           int64
	// InForce are the faults that are in force.
	InForce []string
}

// Snapshot returns how the run is getting on.
func (p *Progress) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Snapshot{Phase: p.phase, InForce: slices.Clone(p.inForce)}
	s.Now = time.Duration(p.now.Load())
	if p.ends > 0 {
		s.Left = max(0, p.ends-s.Now)
	}
	s.OK, s.Fail, s.Info, s.Open = p.ok.Load(), p.fail.Load(), p.info.Load(), p.open.Load()
	return s
}

func (p *Progress) count(o history.Outcome, now time.Duration) {
	p.open.Add(-1)
	p.now.Store(int64(now))
	switch o {
	case history.OK:
		p.ok.Add(1)
	case history.Fail:
		p.fail.Add(1)
	default:
		p.info.Add(1)
	}
}

func (p *Progress) enter(phase string, now, lasts time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.ends = phase, 0
	p.now.Store(int64(now))
	if lasts > 0 {
		p.ends = now + lasts
	}
}

func (p *Progress) faultOn(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inForce = append(p.inForce, text)
}

func (p *Progress) faultOff(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.inForce, text); i >= 0 {
		p.inForce = slices.Delete(p.inForce, i, i+1)
	}
}
