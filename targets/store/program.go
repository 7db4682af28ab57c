package store

import (
	"fmt"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/wire"
)

// tickTimer drives everything that depends on time.
const tickTimer = "tick"

// points are the named places that a node reaches (node.Env.Point).
var points = []string{
	"append.synced",      // a batch of the log is durable; its responses have not left
	"fsync",              // a batch was written, and its sync begins
	"leader.elected",     // the node has become leader
	"log.compacted",      // log files that a snapshot covers were removed
	"recovered",          // the node has read its disk
	"segment.created",    // the log goes on in a new file
	"snapshot.install",   // a received snapshot is durable; the log is not yet reset
	"snapshot.saved",     // the node's own snapshot is durable
	"snapshot.sent",      // the leader has sent its snapshot to a follower
	"snapshot.written",   // a snapshot was written, and its sync begins
	"vote.granted",       // a vote for another node has been sent
	"write.acknowledged", // a client has been told that its write was executed
}

// Program is one incarnation of a node of the store.
type Program struct {
	cfg  Config
	env  node.Env
	boot string

	id    uint64 // position in peers, from 1
	peers []string

	raft    *raft.RawNode
	stable  *stable
	machine *machine
	leader  uint64
	state   raft.StateType
	term    uint64 // as of the last hard state that Raft handed out

	writer   writer
	reads    reads
	writes   writes
	snapSent []time.Duration // by id: when a snapshot was sent, 0 for none
	// lastIndex and lastTerm name the last entry that Raft has handed out.
	lastIndex, lastTerm uint64

	fact Fact // reused for each observation: nobody keeps it

	// halted is why the node serves no more, "" while it does. A node whose
	// disk has failed must not go on: what it wrote may be lost although it
	// can still be read (see node.Disk). Only a restart helps.
	halted string
}

var _ node.Program = (*Program)(nil)

// NewProgram returns a new incarnation of a node.
func NewProgram(cfg Config) (*Program, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Program{cfg: cfg}, nil
}

// enter makes the node's random stream the one that Raft draws from, and
// leave undoes it. Every method that steps Raft is between the two.
func (p *Program) enter() {
	if p.cfg.Seeded {
		elections.use(p.env.Rand())
	}
}

func (p *Program) leave() {
	if p.cfg.Seeded {
		elections.use(nil)
	}
}

// identityOf digests whose data a disk holds.
func identityOf(self string, peers []string) uint64 {
	b := wire.AppendString(nil, self)
	for _, peer := range peers {
		b = wire.AppendString(b, peer)
	}
	return xxhash.Sum64(b)
}

// Start implements node.Program. It recovers from the disk; an error wraps
// ErrCorrupt if the disk is damaged.
func (p *Program) Start(env node.Env) error {
	p.env, p.peers = env, env.Peers()
	if p.cfg.Seeded {
		seedElections()
	}
	p.enter()
	defer p.leave()
	for i, name := range p.peers {
		if name == env.Self() {
			p.id = uint64(i) + 1
		}
	}
	if p.id == 0 {
		return fmt.Errorf("store: node %q is not among its peers %v", env.Self(), p.peers)
	}
	nonce := env.Rand().Uint64()
	p.boot = strconv.FormatUint(nonce, 16)
	p.snapSent = make([]time.Duration, len(p.peers)+1)
	p.reads = reads{p: p, nonce: nonce, open: map[uint64]*readBatch{}}
	p.writes = writes{p: p, next: nonce, open: map[uint64]*pendingWrite{}}
	if err := p.recover(); err != nil {
		return err
	}
	if p.halted != "" {
		return fmt.Errorf("store: %s", p.halted)
	}
	env.SetTimer(tickTimer, p.cfg.Tick)
	env.Point("recovered")
	p.pump()
	return nil
}

// recover builds the node from its disk.
func (p *Program) recover() error {
	identity := identityOf(p.env.Self(), p.peers)
	rec, err := recoverDisk(p.env.Disk(), identity, p.cfg.SegmentBytes)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	voters := make([]uint64, len(p.peers))
	for i := range voters {
		voters[i] = uint64(i) + 1
	}
	p.stable = &stable{entries: rec.entries, state: rec.journal.state, voters: voters}
	p.machine = newMachine(p.cfg.MaxSessions)
	if rec.snap != nil {
		if p.machine, err = decodeMachine(rec.snap.data, p.cfg.MaxSessions); err != nil {
			return fmt.Errorf("store: %w: %s: %w", ErrCorrupt, snapshotName(rec.snap.index), err)
		}
		p.machine.index = rec.snap.index
		p.stable.setSnapshot(rec.snap)
	}
	p.term = p.stable.state.term
	p.lastIndex = p.stable.last()
	p.lastTerm = p.stable.entries[len(p.stable.entries)-1].GetTerm()
	p.env.Logf("recovered: term %d, snapshot at %d, log %d to %d, %d bytes of a torn batch cut off",
		p.term, p.machine.index, p.stable.first(), p.stable.last(), rec.torn)
	p.observeLog()
	p.writer = writer{p: p, journal: rec.journal, durable: rec.journal.state}
	p.writer.start(rec)
	p.raft, err = raft.NewRawNode(&raft.Config{
		ID:                        p.id,
		ElectionTick:              p.cfg.ElectionTicks,
		HeartbeatTick:             p.cfg.HeartbeatTicks,
		Storage:                   p.stable,
		Applied:                   p.machine.index,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             256 << 10,
		MaxUncommittedEntriesSize: 4 << 20,
		MaxInflightMsgs:           64,
		CheckQuorum:               p.cfg.Bug != noCheckQuorum,
		PreVote:                   true,
		Logger:                    &logger{env: p.env},
	})
	return err
}

// observeLog tells the invariants what the log of this incarnation holds.
func (p *Program) observeLog() {
	base := p.stable.entries[0]
	p.observe(Fact{Kind: FactStarted, Index: base.GetIndex(), Term: base.GetTerm(), Applied: p.machine.index, State: p.machine.digest()})
	prev := base.GetTerm()
	for _, e := range p.stable.entries[1:] {
		p.observeEntry(e, prev)
		prev = e.GetTerm()
	}
}

func (p *Program) observeEntry(e *pb.Entry, prevTerm uint64) {
	p.observe(Fact{Kind: FactAppended, Index: e.GetIndex(), Term: e.GetTerm(), PrevTerm: prevTerm, Data: xxhash.Sum64(e.Data)})
}

func (p *Program) observe(f Fact) {
	p.fact = f
	p.env.Observe(&p.fact)
}

// halt stops the node for good.
func (p *Program) halt(format string, args ...any) {
	if p.halted != "" {
		return
	}
	p.halted = fmt.Sprintf(format, args...)
	p.env.Logf("halted: %s; restart the node", p.halted)
	p.env.StopTimer(tickTimer)
	p.writes.failAll("the node's disk has failed; the write may be executed")
	p.reads.failAll("the node's disk has failed")
}

// Receive implements node.Program.
func (p *Program) Receive(from string, m node.Message) {
	if p.halted != "" {
		return
	}
	p.enter()
	defer p.leave()
	msg, ok := m.(Message)
	if !ok || msg.raft.GetTo() != p.id {
		p.env.Logf("dropped a message from %s that is not for this node", from)
		return
	}
	r := msg.raft
	switch r.GetType() {
	case pb.MsgProp, pb.MsgReadIndex:
		// Raft changes these when it forwards them.
		r = &pb.Message{Type: r.Type, To: r.To, From: r.From, Entries: r.Entries}
	default:
		if id := r.GetFrom(); id == 0 || id > uint64(len(p.peers)) || p.peers[id-1] != from {
			p.env.Logf("dropped a message from %s that another node claims to have sent", from)
			return
		}
	}
	if s := r.Snapshot; s != nil {
		_, err := decodeMachine(s.Data, p.cfg.MaxSessions)
		if err != nil || len(s.GetMetadata().GetConfState().GetVoters()) != len(p.peers) {
			p.env.Logf("dropped a snapshot from %s that is not of this cluster's state: %v", from, err)
			return
		}
	}
	// The error says that a forwarded proposal was dropped: whoever proposed
	// it times out.
	_ = p.raft.Step(r)
	p.pump()
}

// Timer implements node.Program.
func (p *Program) Timer(string) {
	if p.halted != "" {
		return
	}
	p.enter()
	defer p.leave()
	p.env.SetTimer(tickTimer, p.cfg.Tick)
	p.raft.Tick()
	now := p.env.Now()
	for id, at := range p.snapSent {
		if at != 0 && now-at >= p.cfg.Tick*time.Duration(2*p.cfg.ElectionTicks) {
			// No word of the follower: the snapshot was lost, or arrived and
			// has told Raft so, which then ignores this.
			p.snapSent[id] = 0
			p.raft.ReportSnapshot(uint64(id), raft.SnapshotFailure)
		}
	}
	p.writer.tick()
	p.writes.expire(now)
	p.reads.tick(now)
	p.pump()
}

// Synced implements node.Program.
func (p *Program) Synced(token uint64, err error) {
	if p.halted != "" {
		return
	}
	p.enter()
	defer p.leave()
	if err != nil {
		p.halt("a sync of the disk failed: %v", err)
		return
	}
	p.writer.synced(token)
	p.pump()
}

// Request implements node.Program.
func (p *Program) Request(id node.RequestID, r node.Request) {
	c, bad := parseRequest(r)
	switch {
	case bad != nil:
		p.env.Reply(id, refuse(bad.status, codeBadRequest, bad.text))
		return
	case p.halted != "":
		p.env.Reply(id, refuse(503, codeUnavailable, "the node is halted: "+p.halted))
		return
	}
	p.enter()
	defer p.leave()
	if c.op == 0 {
		p.reads.begin(id, c.key)
	} else {
		p.writes.propose(id, &c)
	}
	p.pump()
}

// Status implements node.Program.
func (p *Program) Status() node.Status {
	s := node.Status{
		Node:      p.env.Self(),
		Boot:      p.boot,
		Role:      "follower",
		Term:      p.term,
		Applied:   p.machine.index,
		StateHash: fmt.Sprintf("%016x", p.machine.digest()),
		Ready:     p.leader != 0 && p.halted == "",
	}
	switch {
	case p.halted != "":
		s.Role = "halted"
	case p.state == raft.StateLeader:
		s.Role = "leader"
	case p.state != raft.StateFollower:
		s.Role = "candidate"
	}
	if p.leader != 0 {
		s.Leader = p.peers[p.leader-1]
	}
	return s
}

// Decode implements node.Program.
func (p *Program) Decode(b []byte) (node.Message, error) {
	m, err := decodeMessage(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}
