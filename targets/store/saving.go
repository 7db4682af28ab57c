package store

import (
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cleancut/cleancut/harness/node"
)

// saving is a snapshot on its way to the disk: written under a temporary
// name, synced, renamed, and the directory synced. Only then does anything
// rely on it. A crash before leaves the older snapshot and the log as they
// were.
type saving struct {
	snap *snapshot
	// install is Raft's request to replace log and state by the snapshot,
	// and machine the state that is in it; nil for the node's own snapshot.
	install *pb.Message
	machine *machine

	file  node.File // nil once the snapshot has its name
	token uint64    // of the sync that it waits for
}

// snapshotting reports whether a snapshot is on its way to the disk.
func (w *writer) snapshotting() bool { return w.saving != nil }

// save begins to save a snapshot of the node's own state.
func (w *writer) save(s *snapshot) { w.begin(&saving{snap: s}) }

// install begins to install a received snapshot. The node's own, if one is
// on its way, is given up: it is older.
func (w *writer) install(m *pb.Message) {
	meta := m.Snapshot.GetMetadata()
	s := &saving{
		snap:    &snapshot{index: meta.GetIndex(), term: meta.GetTerm(), data: m.Snapshot.Data},
		install: m,
	}
	var err error
	if s.machine, err = decodeMachine(s.snap.data, w.p.cfg.MaxSessions); err != nil {
		w.p.halt("a received snapshot at index %d cannot be read: %v", s.snap.index, err)
		return
	}
	s.machine.index = s.snap.index
	if own := w.saving; own != nil {
		if own.file != nil {
			w.close(own.file)
			w.remove(snapshotName(own.snap.index) + temporarySuffix)
		} else {
			w.oldSnap = append(w.oldSnap, snapshotName(own.snap.index))
		}
	}
	w.begin(s)
}

func (w *writer) close(f node.File) {
	if err := f.Close(); err != nil {
		w.p.halt("a snapshot's file cannot be closed: %v", err)
	}
}

// begin writes the snapshot's file and begins its sync.
func (w *writer) begin(s *saving) {
	w.saving = s
	name := snapshotName(s.snap.index) + temporarySuffix
	f, err := w.p.env.Disk().Create(name)
	if err == nil {
		_, err = f.WriteAt(s.snap.encode(w.journal.identity), 0)
	}
	if err != nil {
		w.p.halt("snapshot %s cannot be written: %v", name, err)
		return
	}
	w.p.env.Point("snapshot.written")
	s.file, s.token = f, w.nextToken()
	f.Sync(s.token)
}

// saved goes on when a sync that the snapshot waited for has completed.
func (w *writer) saved() {
	s, name := w.saving, snapshotName(w.saving.snap.index)
	if s.file != nil {
		w.close(s.file)
		s.file = nil
		if err := w.p.env.Disk().Rename(name+temporarySuffix, name); err != nil {
			w.p.halt("%s cannot be renamed: %v", name+temporarySuffix, err)
			return
		}
		s.token = w.nextToken()
		w.p.env.Disk().SyncDir(s.token)
		return
	}
	for _, old := range w.oldSnap {
		w.remove(old)
	}
	w.oldSnap = append(w.oldSnap[:0], name)
	if s.install == nil {
		w.saving = nil
		w.p.env.Point("snapshot.saved")
		w.p.stable.setSnapshot(s.snap)
		w.compact(s.snap.index)
		return
	}
	w.p.env.Point("snapshot.install")
	w.inflight = 1
	w.write(w.queue[:1])
	if w.idle() && w.p.halted == "" {
		w.complete()
	}
}

// compact forgets the log that the snapshot at index covers, but for some
// trailing entries.
func (w *writer) compact(index uint64) {
	if index <= w.p.cfg.SnapshotTrailing {
		return
	}
	upTo := index - w.p.cfg.SnapshotTrailing
	w.p.stable.compact(upTo)
	w.dropTo = upTo
	w.dropFiles()
}

// restore replaces log and state by the snapshot that the request installs;
// it and the record that the log was reset are durable.
func (w *writer) restore(m *pb.Message) {
	s := w.saving
	w.saving = nil
	p := w.p
	p.stable.reset(s.snap.index, s.snap.term)
	p.stable.setSnapshot(s.snap)
	p.machine = s.machine
	w.dropTo = s.snap.index
	p.observe(Fact{Kind: FactRestored, Index: s.snap.index, Term: s.snap.term, State: p.machine.digest(), Known: p.term})
	p.env.Logf("installed the snapshot at index %d, term %d", s.snap.index, s.snap.term)
}
