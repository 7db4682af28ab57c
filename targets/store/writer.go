package store

import (
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// writer makes durable what Raft wants durable, in Raft's order, and lets
// responses go only then. While a sync is on its way new work queues up; it
// is written as one batch when the sync has completed.
type writer struct {
	p       *Program
	journal journal
	token   uint64 // last one used
	// fileToken and dirToken are the syncs that the batch on its way waits
	// for, 0 for none.
	fileToken, dirToken uint64
	// queue are Raft's append requests that are not durable yet. The first
	// inflight of them are in the batch on its way.
	queue    []*pb.Message
	inflight int
	durable  hardState // its term and vote are durable, or in the batch on its way
	wanted   hardState // as of the last request written
	reset    bool      // the next batch must record that the log was reset
	dropTo   uint64    // log files up to this index can go
	saving   *saving   // snapshot on its way to the disk
	oldSnap  []string  // snapshot files that can go once a newer one is durable
	late     bool      // with the bug send-before-fsync: a sync is due
	ticks    int
}

// start takes over what was recovered. What is on the disk may not be durable
// (see recoverDisk), so the first thing is a sync, and promises wait for it.
func (w *writer) start(rec *recovered) {
	w.wanted, w.reset = w.durable, rec.reset
	for _, name := range rec.stale {
		w.remove(name)
	}
	if rec.snap != nil {
		w.oldSnap = []string{snapshotName(rec.snap.index)}
	}
	if w.journal.file == nil {
		w.write(nil)
		return
	}
	w.sync(true)
}

func (w *writer) remove(name string) {
	if err := w.p.env.Disk().Remove(name); err != nil {
		w.p.halt("%s cannot be removed: %v", name, err)
	}
}

func (w *writer) nextToken() uint64 {
	w.token++
	return w.token
}

// sync begins the syncs that the batch just written waits for.
func (w *writer) sync(directory bool) {
	if directory {
		w.dirToken = w.nextToken()
		w.p.env.Disk().SyncDir(w.dirToken)
	}
	w.fileToken = w.nextToken()
	w.p.env.Point("fsync")
	w.journal.file.Sync(w.fileToken)
}

func (w *writer) idle() bool { return w.fileToken == 0 && w.dirToken == 0 }

// synced is called when the sync with this token has completed.
func (w *writer) synced(token uint64) {
	switch {
	case token == w.fileToken:
		w.fileToken = 0
	case token == w.dirToken:
		w.dirToken = 0
	case w.saving != nil && token == w.saving.token:
		w.saved()
		w.flush()
		return
	default:
		return // of a snapshot that was given up
	}
	if w.idle() {
		w.journal.dirty = false
		w.p.env.Point("append.synced")
		w.complete()
		w.dropFiles()
		w.flush()
	}
}

// enqueue takes an append request of Raft.
func (w *writer) enqueue(m *pb.Message) { w.queue = append(w.queue, m) }

// termQueued returns the term of an entry that is handed out but not durable.
func (w *writer) termQueued(index uint64) (uint64, bool) {
	for _, m := range slices.Backward(w.queue) {
		if n := len(m.Entries); n > 0 && index <= m.Entries[n-1].GetIndex() {
			if first := m.Entries[0].GetIndex(); index >= first {
				return m.Entries[index-first].GetTerm(), true
			}
		}
		if s := m.Snapshot.GetMetadata(); s.GetIndex() == index && index > 0 {
			return s.GetTerm(), true
		}
	}
	return 0, false
}

// flush writes what is queued, unless a batch is on its way.
func (w *writer) flush() {
	for w.p.halted == "" && w.idle() && len(w.queue) > 0 {
		n := 0
		for n < len(w.queue) && raft.IsEmptySnap(w.queue[n].Snapshot) {
			n++
		}
		if n == 0 {
			if w.saving == nil || w.saving.install == nil {
				w.install(w.queue[0])
			}
			return
		}
		w.inflight = n
		w.write(w.queue[:n])
		if w.idle() {
			w.complete()
		}
	}
}

// write writes a batch and begins its sync. A batch that adds nothing that
// must be durable is not written at all: a commit index alone can wait.
func (w *writer) write(batch []*pb.Message) {
	must := w.journal.file == nil || w.reset
	for _, m := range batch {
		if m.Term != nil {
			w.wanted = hardState{m.GetTerm(), m.GetVote(), m.GetCommit()}
		}
		must = must || len(m.Entries) > 0 || m.Snapshot.GetMetadata().GetIndex() > 0
	}
	if !must && w.wanted.term == w.durable.term && w.wanted.vote == w.durable.vote {
		return
	}
	rotated, err := w.journal.begin()
	if err == nil {
		w.journal.addState(w.persistent(w.wanted))
		if w.reset {
			base := w.p.stable.entries[0]
			w.journal.addReset(base.GetIndex(), base.GetTerm())
		}
		for _, m := range batch {
			if s := m.Snapshot.GetMetadata(); s.GetIndex() > 0 {
				w.journal.addReset(s.GetIndex(), s.GetTerm())
			}
			for _, e := range m.Entries {
				w.journal.addEntry(e)
			}
		}
		err = w.journal.commit()
	}
	if err != nil {
		w.p.halt("the log cannot be written: %v", err)
		return
	}
	w.durable, w.reset = w.wanted, false
	if rotated {
		w.p.env.Point("segment.created")
	}
	if w.p.cfg.Bug == sendBeforeFsync {
		w.late = true // the caller finds the writer idle, and goes on
		return
	}
	w.sync(rotated)
}

// lateSyncTicks is how often the bug send-before-fsync syncs.
const lateSyncTicks = 10

// tick is called at every tick. It has work only with that bug.
func (w *writer) tick() {
	if w.ticks++; w.late && w.idle() && w.ticks%lateSyncTicks == 0 {
		w.late = false
		w.sync(true)
	}
}

// persistent is the hard state as it is written down.
func (w *writer) persistent(h hardState) hardState {
	if w.p.cfg.Bug == voteNotPersisted {
		h.vote = 0
	}
	return h
}

// complete delivers what waited for the batch, which is durable now.
func (w *writer) complete() {
	for _, m := range w.queue[:w.inflight] {
		if !raft.IsEmptySnap(m.Snapshot) {
			w.restore(m)
		}
		w.p.stable.append(m.Entries)
		for _, r := range m.Responses {
			if r.GetTo() != w.p.id {
				w.p.send(r)
			} else {
				_ = w.p.raft.Step(r) // Raft's own; never refused
			}
		}
	}
	n := copy(w.queue, w.queue[w.inflight:])
	clear(w.queue[n:])
	w.queue, w.inflight = w.queue[:n], 0
}

// dropFiles removes log files that a snapshot covers. It waits for an idle
// moment: until a new file is durable, the one before it holds the hard
// state.
func (w *writer) dropFiles() {
	if !w.idle() || w.dropTo == 0 {
		return
	}
	before := len(w.journal.files)
	if err := w.journal.drop(w.dropTo); err != nil {
		w.p.halt("the log cannot be compacted: %v", err)
		return
	}
	w.dropTo = 0
	if len(w.journal.files) < before {
		w.p.env.Point("log.compacted")
	}
}
