package store

import (
	"container/list"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/cleancut/cleancut/harness/wire"
)

// outcome is how a command ended.
type outcome uint8

const (
	outcomeRegistered outcome = iota + 1 // index is the session's id
	outcomeOK
	outcomeNoKey    // a delete found nothing
	outcomeMismatch // a CAS found value (empty: no key)
	outcomeExpired  // the session is unknown, or was dropped
	outcomeStale    // the session has executed a later sequence number
	outcomeInvalid  // the entry is no command that this version knows
)

// result answers a command. A session keeps its last one.
type result struct {
	outcome outcome
	index   uint64 // of the entry that was executed
	value   string
}

// machine is the replicated state: keys, sessions, and a digest of both. It
// is a pure function of the entries applied to it.
type machine struct {
	index    uint64 // of the last entry applied
	keys     map[string]keyState
	sessions map[uint64]*list.Element
	recent   list.List // of *session, least recently used first
	limit    int       // of sessions
	// sum adds up the digests of all keys and sessions modulo 2^64, so that
	// it does not depend on the order of changes and costs the same however
	// large the state is.
	sum     uint64
	scratch []byte
}

type keyState struct {
	value  string
	digest uint64
}

type session struct {
	id     uint64 // index of the entry that registered it
	used   uint64 // index of the last entry that named it
	seq    uint64 // last one executed
	last   result // its result
	digest uint64
}

func newMachine(limit int) *machine {
	return &machine{keys: map[string]keyState{}, sessions: map[uint64]*list.Element{}, limit: limit}
}

// digest is equal on nodes that applied the same entries.
func (m *machine) digest() uint64 {
	return m.sum ^ (m.index * 0x9e3779b97f4a7c15)
}

// get returns the value of a key as JSON.
func (m *machine) get(key string) (string, bool) {
	k, ok := m.keys[key]
	return k.value, ok
}

// skip applies an entry that carries no command (a new leader's first).
func (m *machine) skip(index uint64) { m.index = index }

// apply executes the command of the entry at index.
func (m *machine) apply(index uint64, c *command) result {
	m.index = index
	if c.op == opRegister {
		m.register(index)
		return result{outcome: outcomeRegistered, index: index}
	}
	if c.session == 0 {
		return m.execute(index, c)
	}
	e, ok := m.sessions[c.session]
	if !ok {
		return result{outcome: outcomeExpired, index: index}
	}
	s := e.Value.(*session)
	m.recent.MoveToBack(e)
	m.sum -= s.digest
	s.used = index
	r := s.last
	switch {
	case c.seq < s.seq:
		r = result{outcome: outcomeStale, index: index}
	case c.seq > s.seq:
		r = m.execute(index, c)
		s.seq, s.last = c.seq, r
	}
	s.digest = m.sessionDigest(s)
	m.sum += s.digest
	return r
}

func (m *machine) execute(index uint64, c *command) result {
	r := result{outcome: outcomeOK, index: index}
	old, found := m.keys[string(c.key)]
	switch c.op {
	case opPut:
		m.set(c.key, old, c.value)
	case opDelete:
		if !found {
			r.outcome = outcomeNoKey
			break
		}
		m.sum -= old.digest
		delete(m.keys, string(c.key))
	case opCAS:
		if old.value != string(c.expected) {
			r.outcome, r.value = outcomeMismatch, old.value
			break
		}
		m.set(c.key, old, c.value)
	}
	return r
}

func (m *machine) set(key []byte, old keyState, value []byte) {
	m.scratch = wire.AppendBytes(m.scratch[:0], key)
	m.scratch = append(m.scratch, value...)
	k := keyState{value: string(value), digest: xxhash.Sum64(m.scratch)}
	m.sum += k.digest - old.digest
	m.keys[string(key)] = k
}

func (m *machine) register(index uint64) {
	s := &session{id: index, used: index, last: result{outcome: outcomeRegistered, index: index}}
	s.digest = m.sessionDigest(s)
	m.addSession(s)
	if m.recent.Len() > m.limit {
		oldest := m.recent.Front()
		s := m.recent.Remove(oldest).(*session)
		delete(m.sessions, s.id)
		m.sum -= s.digest
	}
}

func (m *machine) addSession(s *session) {
	m.sessions[s.id] = m.recent.PushBack(s)
	m.sum += s.digest
}

func (m *machine) sessionDigest(s *session) uint64 {
	m.scratch = append(appendSession(m.scratch[:0], s), "session"...)
	return xxhash.Sum64(m.scratch)
}

func appendSession(b []byte, s *session) []byte {
	b = binary.AppendUvarint(b, s.id)
	b = binary.AppendUvarint(b, s.used)
	b = binary.AppendUvarint(b, s.seq)
	b = append(b, byte(s.last.outcome))
	b = binary.AppendUvarint(b, s.last.index)
	return wire.AppendString(b, s.last.value)
}

// encode returns the whole state. Equal states have equal encodings.
func (m *machine) encode() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 64+48*len(m.keys)+24*len(m.sessions)), m.index)
	names := make([]string, 0, len(m.keys))
	for name := range m.keys {
		names = append(names, name)
	}
	slices.Sort(names)
	b = binary.AppendUvarint(b, uint64(len(names)))
	for _, name := range names {
		b = wire.AppendString(b, name)
		b = wire.AppendString(b, m.keys[name].value)
	}
	b = binary.AppendUvarint(b, uint64(m.recent.Len()))
	for e := m.recent.Front(); e != nil; e = e.Next() {
		b = appendSession(b, e.Value.(*session))
	}
	return b
}

var errState = errors.New("store: snapshot holds no state that this version can read")

// decodeMachine is the inverse of encode. It never panics.
func decodeMachine(b []byte, limit int) (*machine, error) {
	m := newMachine(limit)
	r := reader{wire.Over(b)}
	m.index = r.Uvarint()
	for range r.Count(2) {
		key, value := r.Bytes(), r.Bytes()
		if _, ok := m.keys[string(key)]; ok || r.Failed() {
			return nil, errState
		}
		m.set(key, keyState{}, value)
	}
	for range r.Count(6) {
		s := &session{id: r.Uvarint(), used: r.Uvarint(), seq: r.Uvarint()}
		s.last = result{outcome: outcome(r.Byte()), index: r.Uvarint(), value: string(r.Bytes())}
		if _, ok := m.sessions[s.id]; ok || r.Failed() {
			return nil, errState
		}
		s.digest = m.sessionDigest(s)
		m.addSession(s)
	}
	if !r.Done() {
		return nil, errState
	}
	return m, nil
}
