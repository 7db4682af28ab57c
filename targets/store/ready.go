package store

import (
	"github.com/cespare/xxhash/v2"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// pump does what Raft wants done, until it wants nothing more.
func (p *Program) pump() {
	for p.halted == "" && p.raft.HasReady() {
		rd := p.raft.Ready()
		if rd.HardState != nil {
			p.term = rd.HardState.GetTerm()
		}
		if s := rd.Snapshot.GetMetadata(); s.GetIndex() > 0 {
			p.lastIndex, p.lastTerm = s.GetIndex(), s.GetTerm()
			p.observe(Fact{Kind: FactReset, Index: p.lastIndex, Term: p.lastTerm})
		}
		for _, e := range rd.Entries {
			p.appended(e)
		}
		if rd.SoftState != nil {
			p.roleChanged(rd.SoftState)
		}
		var apply *pb.Message
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				p.writer.enqueue(m)
			case raft.LocalApplyThread:
				apply = m
			default:
				p.send(m)
			}
		}
		for _, s := range rd.ReadStates {
			p.reads.confirmed(s)
		}
		p.writer.flush()
		if apply != nil && p.halted == "" {
			p.apply(apply)
		}
	}
	if p.halted == "" {
		p.reads.serve()
	}
}

// appended is called with each entry that Raft adds to the log, before it is
// durable.
func (p *Program) appended(e *pb.Entry) {
	if e.GetIndex() != p.lastIndex+1 {
		p.lastTerm = p.termBefore(e.GetIndex())
	}
	p.observeEntry(e, p.lastTerm)
	p.lastIndex, p.lastTerm = e.GetIndex(), e.GetTerm()
	if p.cfg.Bug == ackOnAppend && e.GetTerm() == p.term {
		p.writes.acknowledgeEarly(e)
	}
}

// termBefore returns the term of the entry before index i, as the log will be
// when all that Raft has handed out is written.
func (p *Program) termBefore(i uint64) uint64 {
	if t, ok := p.writer.termQueued(i - 1); ok {
		return t
	}
	t, err := p.stable.Term(i - 1)
	if err != nil {
		return 0
	}
	return t
}

func (p *Program) roleChanged(s *raft.SoftState) {
	p.leader = s.Lead
	if s.RaftState == raft.StateLeader && p.state != raft.StateLeader {
		p.observe(Fact{Kind: FactElected, Term: p.term})
		p.env.Point("leader.elected")
	}
	p.state = s.RaftState
	clear(p.snapSent)
}

// send hands a message for another node to the network.
func (p *Program) send(m *pb.Message) {
	p.env.Send(p.peers[m.GetTo()-1], Message{m})
	switch m.GetType() {
	case pb.MsgSnap:
		p.snapSent[m.GetTo()] = max(1, p.env.Now())
		p.env.Point("snapshot.sent")
	case pb.MsgVoteResp:
		if !m.GetReject() {
			p.env.Point("vote.granted")
		}
	}
}

// apply executes committed entries and answers their requests.
func (p *Program) apply(m *pb.Message) {
	for _, e := range m.Entries {
		index := e.GetIndex()
		due := index >= p.stable.snap.GetMetadata().GetIndex()+p.cfg.SnapshotEvery && !p.writer.snapshotting()
		snap := snapshot{index: index, term: e.GetTerm()}
		if due && p.cfg.Bug == snapshotOffByOne {
			snap.data = p.machine.encode()
		}
		if len(e.Data) == 0 {
			p.machine.skip(index)
		} else if c, err := decodeCommand(e.Data); err != nil {
			// Every node skips it alike. Only a foreign process could have
			// proposed it.
			p.machine.skip(index)
		} else {
			r := p.machine.apply(index, &c)
			p.writes.executed(&c, r)
		}
		p.observe(Fact{Kind: FactApplied, Index: index, Term: e.GetTerm(), Data: xxhash.Sum64(e.Data), State: p.machine.digest(), Known: p.term})
		if due {
			if snap.data == nil {
				snap.data = p.machine.encode()
			}
			p.writer.save(&snap)
		}
	}
	for _, r := range m.Responses {
		_ = p.raft.Step(r) // addressed to this node; never refused
	}
}
