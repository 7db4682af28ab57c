package store

import (
	pb "go.etcd.io/raft/v3/raftpb"

	"go.etcd.io/raft/v3"
)

// entryOverhead is what an entry costs in a message besides its data, in
// bytes, roughly.
const entryOverhead = 24

// stable is raft.Storage: what is on this node's disk for good, kept in
// memory as well. It is written to when syncs complete.
type stable struct {
	// entries[0] stands for what lies before the log: index and term only.
	entries []*pb.Entry
	snap    *pb.Snapshot
	state   hardState
	voters  []uint64
}

func (s *stable) first() uint64 { return s.entries[0].GetIndex() + 1 }
func (s *stable) last() uint64  { return s.entries[0].GetIndex() + uint64(len(s.entries)) - 1 }

// InitialState implements raft.Storage.
func (s *stable) InitialState() (*pb.HardState, *pb.ConfState, error) {
	h := s.state
	return &pb.HardState{Term: &h.term, Vote: &h.vote, Commit: &h.commit}, s.confState(), nil
}

func (s *stable) confState() *pb.ConfState {
	return &pb.ConfState{Voters: s.voters, AutoLeave: new(bool)}
}

// Entries implements raft.Storage.
func (s *stable) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if lo < s.first() {
		return nil, raft.ErrCompacted
	}
	if hi > s.last()+1 || lo >= hi {
		return nil, raft.ErrUnavailable
	}
	base := s.entries[0].GetIndex()
	entries := s.entries[lo-base : hi-base]
	size := uint64(0)
	for i, e := range entries {
		size += uint64(len(e.GetData())) + entryOverhead
		if i > 0 && size > maxSize {
			entries = entries[:i]
			break
		}
	}
	return entries[:len(entries):len(entries)], nil
}

// Term implements raft.Storage.
func (s *stable) Term(i uint64) (uint64, error) {
	base := s.entries[0].GetIndex()
	if i < base {
		return 0, raft.ErrCompacted
	}
	if i > s.last() {
		return 0, raft.ErrUnavailable
	}
	return s.entries[i-base].GetTerm(), nil
}

// LastIndex implements raft.Storage.
func (s *stable) LastIndex() (uint64, error) { return s.last(), nil }

// FirstIndex implements raft.Storage.
func (s *stable) FirstIndex() (uint64, error) { return s.first(), nil }

// Snapshot implements raft.Storage.
func (s *stable) Snapshot() (*pb.Snapshot, error) {
	if s.snap == nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return s.snap, nil
}

// append adds entries; the first one replaces what the log has from its
// index on. Slices that Entries gave out keep what they hold.
func (s *stable) append(entries []*pb.Entry) {
	if len(entries) == 0 {
		return
	}
	base, index := s.entries[0].GetIndex(), entries[0].GetIndex()
	if index <= base {
		// Everything up to the base is in a snapshot, and thus committed.
		if n := base + 1 - index; n < uint64(len(entries)) {
			s.append(entries[n:])
		}
		return
	}
	keep := s.entries[: index-base : index-base] // so that append copies
	if index == s.last()+1 {
		keep = s.entries
	}
	s.entries = append(keep, entries...)
}

// setSnapshot makes a snapshot the one that lagging followers get.
func (s *stable) setSnapshot(snap *snapshot) {
	s.snap = &pb.Snapshot{
		Data: snap.data,
		Metadata: &pb.SnapshotMetadata{
			ConfState: s.confState(), Index: new(snap.index), Term: new(snap.term),
		},
	}
}

// compact forgets entries up to index. It copies, so that memory is freed and
// slices that Entries gave out stay as they are.
func (s *stable) compact(index uint64) {
	base := s.entries[0].GetIndex()
	if index <= base {
		return
	}
	old := s.entries[index-base:]
	fresh := make([]*pb.Entry, len(old), len(old)+len(old)/2)
	copy(fresh, old)
	fresh[0] = newEntry(index, old[0].GetTerm(), nil)
	s.entries = fresh
}

// reset replaces the log by a snapshot.
func (s *stable) reset(index, term uint64) {
	s.entries = []*pb.Entry{newEntry(index, term, nil)}
}
