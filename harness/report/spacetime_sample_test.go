package report

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// service is a checkpointing service in miniature: it runs a job in memory,
// takes rounds of checkpoints in which a message from after the sender's
// checkpoint forces one on the receiver, crashes a process and rolls back.
type service struct {
	t      testing.TB
	r      *rand.Rand
	x      *jobs.Execution
	events []record.Event
	now    time.Duration
	inc    map[int]int

	// broken processes do not heed what messages tell them.
	broken    map[int]bool
	round     []int
	waiting   []int // processes that have not taken part yet
	committed int
	parts     map[int]map[int]part // by round and process
	sent      map[[2]int]int
	received  map[[2]int]int
	log       map[[2]int][]jobs.Message
	tags      map[[2]int][]int
}

type part struct {
	state          []byte
	sent, received map[[2]int]int
}

const coordinator = -1

// eagerOrder is the seed of an order in which messages do not wait long.
const eagerOrder = 3

func proc(p int) string {
	if p == coordinator {
		return "n1"
	}
	return fmt.Sprintf("n%d", p+4)
}

// sampleRecord runs a job with checkpoints and one crash.
func sampleRecord(t testing.TB, j jobs.Job, procs, size int, broken ...int) []record.Event {
	t.Helper()
	x, err := jobs.NewExecution(j, procs, 3, size, eagerOrder)
	ok(t, err)
	s := &service{
		t: t, r: rand.New(rand.NewPCG(11, uint64(procs))), x: x, inc: map[int]int{}, broken: map[int]bool{}, round: make([]int, procs),
		parts: map[int]map[int]part{}, sent: map[[2]int]int{}, received: map[[2]int]int{}, log: map[[2]int][]jobs.Message{}, tags: map[[2]int][]int{},
	}
	for _, p := range broken {
		s.broken[p] = true
	}
	for p := coordinator; p < procs; p++ {
		s.inc[p] = 1
		s.tell(p, record.Event{Kind: record.Start})
	}
	x.Observe = s.observe
	s.run(procs, size)
	slices.SortStableFunc(s.events, func(a, b record.Event) int { return cmp.Compare(a.T, b.T) })
	return s.events
}

func (s *service) tell(p int, e record.Event) {
	e.T, e.Proc, e.Inc = cmp.Or(e.T, s.now), proc(p), s.inc[p]
	s.events = append(s.events, e)
}

func (s *service) run(procs, size int) {
	// A step's mean duration is such that each process does one in about a
	// millisecond.
	steps, crashed := 0, false
	every := 40 * procs
	for {
		s.now += time.Duration(s.r.IntN(2_000_000 / procs))
		more, err := s.x.Step()
		ok(s.t, err)
		steps++
		switch {
		case steps%every == 0 && len(s.waiting) == 0:
			s.begin(procs)
		case len(s.waiting) > 0 && s.r.IntN(10) == 0:
			s.capture(s.waiting[s.r.IntN(len(s.waiting))])
		}
		if s.committed == 2 && !crashed && steps%every == every*3/4 {
			crashed = true
			s.crash(procs)
		}
		if !more || steps > 100*procs*size {
			break
		}
	}
	for p := range procs {
		s.tell(p, record.Event{Kind: record.Final})
	}
}

func (s *service) begin(procs int) {
	s.waiting = nil
	for p := range procs {
		s.waiting = append(s.waiting, p)
	}
	n := len(s.parts) + 1
	s.parts[n] = map[int]part{}
	s.tell(coordinator, record.Event{Kind: record.RoundBegin, Round: n})
}

// capture takes a process's part of the latest round.
func (s *service) capture(p int) {
	n := len(s.parts)
	s.waiting = slices.DeleteFunc(s.waiting, func(q int) bool { return p == q })
	k := part{state: s.x.Apps[p].AppendState(nil), sent: map[[2]int]int{}, received: map[[2]int]int{}}
	for c := range s.x.Channels {
		if c[0] == p {
			k.sent[c] = s.sent[c]
		}
		if c[1] == p {
			k.received[c] = s.received[c]
		}
	}
	s.parts[n][p], s.round[p] = k, n
	id := fmt.Sprintf("c%d", n)
	s.tell(p, record.Event{Kind: record.CheckpointBegin, Ckpt: id, Round: n})
	bytes := int64(len(k.state))
	s.tell(p, record.Event{T: s.now + time.Millisecond, Kind: record.CheckpointCommit, Ckpt: id, Round: n, Level: "local", Bytes: bytes})
	if len(s.waiting) == 0 {
		s.committed = n
		s.tell(coordinator, record.Event{T: s.now + 2*time.Millisecond, Kind: record.RoundCommit, Round: n})
	}
}

func (s *service) observe(a jobs.Action) {
	switch a.Kind {
	case "send":
		c := [2]int{a.Proc, a.Peer}
		s.tell(a.Proc, record.Event{Kind: record.Send, Msg: s.name(c, s.sent[c]), Peer: proc(a.Peer)})
		s.sent[c]++
		s.log[c] = append(s.log[c], a.Message)
		s.tags[c] = append(s.tags[c], s.round[a.Proc])
	case "recv":
		c := [2]int{a.Peer, a.Proc}
		tag := s.tags[c][0]
		s.tags[c] = s.tags[c][1:]
		if tag > s.round[a.Proc] && !s.broken[a.Proc] {
			s.capture(a.Proc)
		}
		s.tell(a.Proc, record.Event{Kind: record.Recv, Msg: s.name(c, s.received[c]), Peer: proc(a.Peer)})
		s.received[c]++
	case "work":
		s.tell(a.Proc, record.Event{Kind: record.Work, Units: 1})
	}
}

func (s *service) name(c [2]int, n int) string {
	return fmt.Sprintf("%s>%s#%d", proc(c[0]), proc(c[1]), n+1)
}

// crash kills the second process and rolls all back to the last round.
func (s *service) crash(procs int) {
	const victim = 1
	s.waiting = nil
	s.tell(victim, record.Event{Kind: record.Crash})
	s.now += 5 * time.Millisecond
	s.inc[victim]++
	s.tell(victim, record.Event{Kind: record.Start})
	s.now += 2 * time.Millisecond
	line := map[string]string{}
	for p := range procs {
		line[proc(p)] = fmt.Sprintf("c%d", s.committed)
	}
	s.tell(coordinator, record.Event{Kind: record.Recovery, Epoch: 2, Round: s.committed, Line: line, Failed: []string{proc(victim)}})
	for p := range procs {
		k := s.parts[s.committed][p]
		ok(s.t, s.x.Apps[p].LoadState(k.state))
		for c, n := range k.sent {
			s.sent[c] = n
		}
		s.round[p] = s.committed
		s.inc[p]++
		at := s.now + time.Duration(s.r.IntN(3000))*time.Microsecond
		s.tell(p, record.Event{T: at + time.Millisecond, Kind: record.Restore, Ckpt: line[proc(p)], Level: "local", Round: s.committed, Epoch: 2})
		s.tell(p, record.Event{T: at + 3*time.Millisecond, Kind: record.Resume, Epoch: 2})
	}
	s.now += 7 * time.Millisecond
	for c := range s.x.Channels {
		sent := s.sent[c]
		received := min(sent, s.parts[s.committed][c[1]].received[c])
		s.received[c] = received
		s.log[c] = s.log[c][:sent]
		s.x.Channels[c] = slices.Clone(s.log[c][received:])
		s.tags[c] = make([]int, sent-received)
		for i := range s.tags[c] {
			s.tags[c][i] = s.committed
		}
	}
}
