package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/wire"
)

// Message is what nodes send each other: a Raft message. Raft's own messages
// are not changed after they were sent, but for the forwarding of proposals
// and of read requests, for which receivers copy them (Program.Receive).
type Message struct{ raft *pb.Message }

// The flags of an encoded message.
const (
	flagReject = 1 << iota
	flagEntries
	flagContext
	flagSnapshot
)

// AppendBinary implements node.Message with an encoding of its own: it is
// about ten times as fast as protobuf's and the same on every machine.
func (m Message) AppendBinary(b []byte) ([]byte, error) {
	r := m.raft
	flags := byte(0)
	if r.GetReject() {
		flags |= flagReject
	}
	if len(r.Entries) > 0 {
		flags |= flagEntries
	}
	if len(r.Context) > 0 {
		flags |= flagContext
	}
	if r.Snapshot != nil {
		flags |= flagSnapshot
	}
	b = append(b, byte(r.GetType()), flags)
	b = binary.AppendUvarint(b, r.GetTo())
	b = binary.AppendUvarint(b, r.GetFrom())
	b = binary.AppendUvarint(b, r.GetTerm())
	b = binary.AppendUvarint(b, r.GetLogTerm())
	b = binary.AppendUvarint(b, r.GetIndex())
	b = binary.AppendUvarint(b, r.GetCommit())
	b = binary.AppendUvarint(b, r.GetRejectHint())
	if flags&flagContext != 0 {
		b = wire.AppendBytes(b, r.Context)
	}
	if flags&flagEntries != 0 {
		b = binary.AppendUvarint(b, uint64(len(r.Entries)))
		for _, e := range r.Entries {
			b = binary.AppendUvarint(b, e.GetIndex())
			b = binary.AppendUvarint(b, e.GetTerm())
			b = wire.AppendBytes(b, e.Data)
		}
	}
	if flags&flagSnapshot != 0 {
		meta := r.Snapshot.GetMetadata()
		b = binary.AppendUvarint(b, meta.GetIndex())
		b = binary.AppendUvarint(b, meta.GetTerm())
		b = binary.AppendUvarint(b, uint64(len(meta.GetConfState().GetVoters())))
		for _, id := range meta.GetConfState().GetVoters() {
			b = binary.AppendUvarint(b, id)
		}
		b = wire.AppendBytes(b, r.Snapshot.Data)
	}
	return b, nil
}

var _ node.Message = Message{}

var errMessage = errors.New("store: message is cut off or has bytes to spare")

// decodeMessage is the inverse of AppendBinary. Besides malformed bytes it
// rejects messages that no node sends and on which Raft would panic.
func decodeMessage(b []byte) (Message, error) {
	r := reader{wire.Over(b)}
	m := &struct {
		pb.Message
		typ                                                pb.MessageType
		to, from, term, logTerm, index, commit, rejectHint uint64
		reject                                             bool
	}{}
	m.typ = pb.MessageType(r.Byte())
	flags := r.Byte()
	m.to, m.from, m.term = r.Uvarint(), r.Uvarint(), r.Uvarint()
	m.logTerm, m.index, m.commit, m.rejectHint = r.Uvarint(), r.Uvarint(), r.Uvarint(), r.Uvarint()
	m.Type, m.To, m.From, m.Term = &m.typ, &m.to, &m.from, &m.term
	m.LogTerm, m.Index, m.Commit, m.RejectHint = &m.logTerm, &m.index, &m.commit, &m.rejectHint
	m.reject = flags&flagReject != 0
	m.Reject = &m.reject
	if flags&flagContext != 0 {
		m.Context = r.Bytes()
	}
	if flags&flagEntries != 0 {
		m.Entries = make([]*pb.Entry, 0, r.Count(3))
		for range cap(m.Entries) {
			m.Entries = append(m.Entries, newEntry(r.Uvarint(), r.Uvarint(), r.Bytes()))
		}
	}
	if flags&flagSnapshot != 0 {
		meta := &pb.SnapshotMetadata{Index: new(r.Uvarint()), Term: new(r.Uvarint())}
		voters := make([]uint64, r.Count(1))
		for i := range voters {
			voters[i] = r.Uvarint()
		}
		meta.ConfState = &pb.ConfState{Voters: voters, AutoLeave: new(bool)}
		m.Snapshot = &pb.Snapshot{Metadata: meta, Data: r.Bytes()}
	}
	if !r.Done() || flags > flagSnapshot<<1-1 {
		return Message{}, errMessage
	}
	return Message{&m.Message}, checkMessage(&m.Message)
}

// checkMessage says why a message is none that nodes send each other.
func checkMessage(m *pb.Message) error {
	entries, context := len(m.Entries), len(m.Context)
	ok := true
	switch t := m.GetType(); t {
	case pb.MsgProp:
		ok = entries == 1 && context == 0
	case pb.MsgReadIndex, pb.MsgReadIndexResp:
		ok = entries == 1 && context == 0 && len(m.Entries[0].Data) == readContextSize
	case pb.MsgApp:
		ok = context == 0
		for i, e := range m.Entries {
			ok = ok && e.GetIndex() == m.GetIndex()+1+uint64(i) && e.GetTerm() > 0 && e.GetTerm() <= m.GetTerm()
		}
	case pb.MsgHeartbeat, pb.MsgHeartbeatResp:
		ok = entries == 0 && (context == 0 || context == 8)
	case pb.MsgSnap:
		meta := m.GetSnapshot().GetMetadata()
		ok = entries == 0 && meta.GetIndex() > 0 && meta.GetTerm() > 0 && meta.GetTerm() <= m.GetTerm()
		for i, id := range meta.GetConfState().GetVoters() {
			ok = ok && id == uint64(i)+1
		}
	case pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp:
		ok = entries == 0 && context == 0
	default:
		return fmt.Errorf("store: nodes do not send each other messages of type %d", t)
	}
	if !ok || (m.GetType() == pb.MsgSnap) != (m.Snapshot != nil) {
		return fmt.Errorf("store: malformed message %s", m.GetType())
	}
	// Proposals and read requests belong to no term; all others do.
	local := m.GetType() == pb.MsgProp || m.GetType() == pb.MsgReadIndex
	if local != (m.GetTerm() == 0) {
		return fmt.Errorf("store: message %s has term %d", m.GetType(), m.GetTerm())
	}
	return nil
}
