package checkpoint

import (
	"fmt"
	"slices"
)

// protocol is how a worker takes part in global checkpoints: when it captures
// its state, what it takes for channel state, and when it must wait. One value
// lives from a restore to the next. The worker calls it; it acts on the worker
// through capture, mark, record, complete and abandon.
type protocol interface {
	// begin: the coordinator has begun a round.
	begin(round int)
	// marker: a marker of a round came off the channel from a worker.
	marker(from, round int)
	// arrived: a message of the job came off the channel from a worker. It is
	// delivered to the job, or held back until release.
	arrived(from int, f frame) (hold bool)
	// end: the round under way was committed or aborted.
	end(round int, committed bool)
	// blocked tells that nothing more may come off the channel now.
	blocked(from int) bool
	// stopped tells that the job must not compute now.
	stopped() bool
}

// The protocols that there are.
const (
	coordinatedProtocol   = "coordinated"
	chandyLamportProtocol = "chandy-lamport"
	alignedProtocol       = "aligned"
	unalignedProtocol     = "unaligned"
	independentProtocol   = "independent"
	cicProtocol           = "cic"
	msglogProtocol        = "msglog"
)

var protocolNames = []string{coordinatedProtocol, chandyLamportProtocol, alignedProtocol, unalignedProtocol,
	independentProtocol, cicProtocol, msglogProtocol}

// Protocols lists the protocols that there are.
func Protocols() []string { return slices.Clone(protocolNames) }

// needsAcyclic tells that a protocol's markers reach everybody only where the
// channels form no cycle.
func needsAcyclic(protocol string) bool {
	return protocol == alignedProtocol || protocol == unalignedProtocol
}

// solo tells that a protocol has no rounds: every worker takes checkpoints on
// its own.
func solo(protocol string) bool { return slices.Contains(soloProtocols, protocol) }

var soloProtocols = []string{independentProtocol, cicProtocol, msglogProtocol}

// replays tells that a worker that failed does again what it did after its
// checkpoint, so that no other has to be set back.
func replays(protocol string) bool { return protocol == msglogProtocol }

// Rounds tells that a protocol takes global checkpoints.
func Rounds(protocol string) bool { return !solo(protocol) }

// newProtocol returns a protocol that begins after round, which is the highest
// that was begun before.
func newProtocol(name string, w *worker, round int) protocol {
	s := snapshot{w: w, round: round, came: make([]int, len(w.workers))}
	switch name {
	case coordinatedProtocol:
		return &coordinated{s}
	case chandyLamportProtocol:
		return &chandyLamport{s}
	case alignedProtocol:
		return &aligned{s}
	case unalignedProtocol:
		return &unaligned{chandyLamport{s}}
	}
	panic(fmt.Sprintf("no protocol %q", name))
}

// snapshot is what the protocols with markers have in common: the round under
// way, and the channels whose marker has not come yet, which are recorded.
type snapshot struct {
	w       *worker
	round   int   // under way or the last one
	open    bool  // it is under way
	waiting int   // channels whose marker has not come
	came    []int // by worker: the last round whose marker came from there
}

// join takes part in a round from now on.
func (s *snapshot) join(round int) {
	s.round, s.open, s.waiting = round, true, 0
	for _, from := range s.w.froms {
		if s.came[from] < round {
			s.waiting++
		}
	}
	s.w.round = round
}

// start captures the state and sends the markers.
func (s *snapshot) start(round int) {
	w := s.w
	if s.round != round {
		s.join(round)
	}
	if w.cfg.Bug == lateRecord {
		w.mark(round)
		w.late = func() {
			w.capture(round)
			s.check()
		}
		return
	}
	w.capture(round)
	w.env.Point("marker.before")
	w.mark(round)
	w.env.Point("marker.after")
	s.check()
}

// seen notes a marker; it reports false for one of a round that is over.
func (s *snapshot) seen(from, round int) bool {
	if round < s.round || round <= s.came[from] || round == s.round && !s.open {
		return false
	}
	s.came[from] = round
	if round == s.round {
		s.waiting--
	}
	return true
}

// recording tells that the messages of a channel belong to the round's
// channel state.
func (s *snapshot) recording(from int) bool {
	return s.open && s.w.taking != nil && s.came[from] < s.round
}

func (s *snapshot) check() {
	if s.open && s.waiting == 0 && s.w.taking != nil {
		s.w.complete()
	}
}

func (s *snapshot) end(round int, _ bool) {
	if round >= s.round {
		s.open = false
	}
}
