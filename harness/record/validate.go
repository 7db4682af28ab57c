package record

import (
	"context"
	"fmt"
	"time"
)

// Validate tells whether events are a record that can be: well formed and
// free of contradictions. The error names the event, counted from 1 as if
// each were a line. A contradiction of the recording, which may have lost,
// torn or repeated lines, is
//
//   - a process whose first event is no start; an incarnation that does not
//     count up by one; one that begins with anything but start or restore;
//   - a time that goes back within an incarnation, or an event of an incarnation
//     after its crash;
//   - a message received, found in a channel or deleted from a log that no one
//     sent;
//   - a checkpoint committed, aborted, deleted, found bad, restored, or used as
//     base before it was begun; a line that names one that never was;
//   - a committed round that never began;
//   - a peer, failed process or process of a line that has no events;
//   - a line that names what another one does, at the same time.
//
// What no recording can have made up is the service's, and the error is then a
// *Broken, by class:
//
//   - message-twice: a message sent to two receivers, by two senders, or twice
//     differently within an incarnation;
//   - misdelivered: one received, found in a channel, or said to be of a peer,
//     where the sender says otherwise;
//   - checkpoint-twice: one begun twice; committed-twice: committed twice to one
//     level by one incarnation;
//   - determinant-twice: one given twice by an incarnation;
//   - forged: a message received of a process, or a checkpoint of a process in
//     a line, of which that process knows nothing, although it never crashed or
//     began anew, and tells of later things.
//
// Events of an incarnation after the next one has begun are none: they are
// those of a zombie. A message may be received before the line that tells of
// its sending: only the order of each process counts.
func Validate(events []Event) error { return ValidateContext(context.Background(), events) }

// ValidateContext is Validate, which ends early, with the error of the context,
// when that is over.
func ValidateContext(ctx context.Context, events []Event) error {
	v := newValidator()
	for i := range events {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := v.add(&events[i], i+1); err != nil {
			return &LineError{i + 1, err}
		}
	}
	return v.end()
}

type ckptKey struct{ proc, ckpt string }

// sent is what is known of the sending of a message.
type sent struct {
	from, to, digest string
	line             int
	inc              int
}

// use is a place where something is used that may be told of later.
type use struct {
	line             int
	field            field
	what, peer, proc string
	t                time.Duration
}

type incarnation struct {
	last    time.Duration
	crashed int // the line of its crash, or 0
}

type validator struct {
	procs  map[string][]incarnation
	begun  map[ckptKey]named
	levels map[string]named // commits, by process, incarnation, checkpoint and level
	cut    map[string]bool  // processes that crashed or began anew
	rounds map[int]bool
	msgs   map[string]sent
	nondet map[string]named

	received, messages, peers, lines []use
	commits                          []use
	roundsUsed                       []int
	contradictions                   []Contradiction
	more                             int // that were not kept
}

func newValidator() *validator {
	return &validator{
		procs: map[string][]incarnation{}, begun: map[ckptKey]named{}, levels: map[string]named{}, rounds: map[int]bool{},
		msgs: map[string]sent{}, nondet: map[string]named{}, cut: map[string]bool{},
	}
}

func wrong(f field, format string, args ...any) error {
	return &FieldError{f.String(), fmt.Sprintf(format, args...)}
}

// add takes the next event, which stands in that line.
func (v *validator) add(e *Event, line int) error {
	if err := wellFormed(e); err != nil {
		return err
	}
	if err := v.incarnation(e, line); err != nil {
		return err
	}
	for _, p := range e.Failed {
		v.peers = append(v.peers, use{line: line, field: fieldFailed, peer: p})
	}
	if len(e.Line) > 0 {
		for _, p := range sortedKeys(e.Line) {
			v.lines = append(v.lines, use{line: line, field: fieldLine, peer: p, what: e.Line[p], t: e.T})
		}
	}
	switch e.Kind {
	case Send:
		return v.send(e, line)
	case Recv:
		v.received = append(v.received, use{line, fieldMsg, e.Msg, e.Peer, e.Proc, e.T})
	case LogDelete:
		v.messages = append(v.messages, use{line: line, field: fieldMsg, what: e.Msg})
	case RoundBegin:
		v.rounds[e.Round] = true
	case RoundCommit:
		v.commits = append(v.commits, use{line: line})
		v.roundsUsed = append(v.roundsUsed, e.Round)
	case OutputCommit:
		if e.Peer != "" {
			v.peers = append(v.peers, use{line: line, field: fieldPeer, peer: e.Peer})
		}
	case Nondet:
		key := fmt.Sprintf("%q %d %q", e.Proc, e.Inc, e.ID)
		if at, given := v.nondet[key]; given {
			err := wrong(fieldID, "the determinant %s of incarnation %d of %s is given in line %d already", e.ID, e.Inc, e.Proc, at.line)
			if at.again(e) {
				return err
			}
			v.broken("determinant-twice", line, at.line, e.T, err)
			return nil
		}
		v.nondet[key] = named{line, e.Inc, e.T}
	}
	return v.checkpoint(e, line)
}

func (v *validator) incarnation(e *Event, line int) error {
	incs := v.procs[e.Proc]
	begins := e.Kind == Start || e.Kind == Restore
	switch {
	case len(incs) == 0 && e.Kind != Start:
		return wrong(fieldProc, "the first event of process %s is of kind %s; expected start", e.Proc, e.Kind)
	case begins && e.Inc != len(incs)+1:
		return wrong(fieldInc, "is %d; a %s of process %s begins its next incarnation, %d", e.Inc, e.Kind, e.Proc, len(incs)+1)
	case !begins && e.Inc > len(incs):
		return wrong(fieldInc, "is %d; process %s has %d so far, and only start and restore begin a new one", e.Inc, e.Proc, len(incs))
	case begins:
		v.procs[e.Proc] = append(incs, incarnation{last: e.T})
		v.cut[e.Proc] = v.cut[e.Proc] || e.Kind == Start && e.Inc > 1
		return nil
	}
	i := &incs[e.Inc-1]
	if e.T < i.last {
		return wrong(fieldT, "%d is before %d, the time of the event of this process before it", e.T, i.last)
	}
	if i.crashed > 0 {
		return wrong(fieldInc, "incarnation %d of process %s crashed in line %d; expected no more of it", e.Inc, e.Proc, i.crashed)
	}
	i.last = e.T
	if e.Kind == Crash {
		i.crashed, v.cut[e.Proc] = line, true
	}
	return nil
}

func (v *validator) send(e *Event, line int) error {
	s, known := v.msgs[e.Msg]
	if err := s.twice(e); known && err != nil {
		v.broken("message-twice", line, s.line, e.T, err)
		return nil
	}
	v.msgs[e.Msg] = sent{e.Proc, e.Peer, e.Digest, line, e.Inc}
	if v.procs[e.Peer] == nil {
		v.peers = append(v.peers, use{line: line, field: fieldPeer, peer: e.Peer})
	}
	return nil
}

// twice tells what is wrong with another sending of a message.
func (s sent) twice(e *Event) error {
	switch {
	case s.from != e.Proc:
		return wrong(fieldMsg, "message %s was sent by %s in line %d; a message has one sender", e.Msg, s.from, s.line)
	case s.to != e.Peer:
		return wrong(fieldPeer, "message %s was sent to %s in line %d; a message has one receiver", e.Msg, s.to, s.line)
	case s.inc == e.Inc && s.digest != e.Digest:
		return wrong(fieldMsg, "another message %s was sent in line %d by the same incarnation; ids of messages are not used twice", e.Msg, s.line)
	}
	return nil
}

func (v *validator) checkpoint(e *Event, line int) error {
	if e.Base != "" {
		if _, ok := v.begun[ckptKey{e.Proc, e.Base}]; !ok || e.Base == e.Ckpt {
			return wrong(fieldBase, "process %s began no checkpoint %s before; expected an earlier one", e.Proc, e.Base)
		}
	}
	for i, m := range e.Channel {
		v.messages = append(v.messages, use{line, fieldChannel, m, fmt.Sprint(i + 1), e.Proc, e.T})
	}
	if e.Ckpt == "" {
		return nil
	}
	key := ckptKey{e.Proc, e.Ckpt}
	at, begun := v.begun[key]
	switch {
	case e.Kind == CheckpointBegin && begun:
		err := wrong(fieldCkpt, "checkpoint %s of process %s was begun in line %d; ids are not used twice", e.Ckpt, e.Proc, at.line)
		if at.again(e) {
			return err
		}
		v.broken("checkpoint-twice", line, at.line, e.T, err)
	case e.Kind == CheckpointBegin:
		v.begun[key] = named{line, e.Inc, e.T}
	case !begun:
		return wrong(fieldCkpt, "process %s never began a checkpoint %s; expected its ckpt_begin before this %s", e.Proc, e.Ckpt, e.Kind)
	}
	level := fmt.Sprintf("%q %d %q %q", e.Proc, e.Inc, e.Ckpt, e.Level)
	switch e.Kind {
	case CheckpointCommit:
		if at, given := v.levels[level]; given {
			err := wrong(fieldLevel, "checkpoint %s of process %s was committed to level %q in line %d already", e.Ckpt, e.Proc, e.Level, at.line)
			if at.again(e) {
				return err
			}
			v.broken("committed-twice", line, at.line, e.T, err)
			return nil
		}
		v.levels[level] = named{line, e.Inc, e.T}
	case CheckpointDelete, CheckpointBad:
		delete(v.levels, level)
	}
	return nil
}

// end judges what could only be known at the end.
func (v *validator) end() error {
	var errs []*LineError
	report := func(err *LineError) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	report(v.endMessages())
	report(v.endProcesses())
	for i, u := range v.commits {
		if round := v.roundsUsed[i]; !v.rounds[round] {
			report(&LineError{u.line, wrong(fieldRound, "round %d is committed and never began; expected a round_begin", round)})
			break
		}
	}
	var first *LineError
	for _, e := range errs {
		if first == nil || e.Line < first.Line {
			first = e
		}
	}
	if first != nil {
		return first
	}
	if len(v.contradictions) == 0 {
		return nil
	}
	v.settleBroken()
	return &Broken{v.contradictions, v.more}
}

func (v *validator) endMessages() *LineError {
	for _, u := range v.received {
		s, ok := v.msgs[u.what]
		switch {
		case !ok:
			err := wrong(u.field, "message %s is received and no one ever sent it; expected a send by %s", u.what, u.peer)
			if !v.complete(u.peer, u.t) {
				return &LineError{u.line, err}
			}
			v.broken("forged", u.line, 0, u.t, err)
		case s.from != u.peer:
			v.broken("misdelivered", u.line, s.line, u.t, wrong(fieldPeer, "message %s was sent by %s (line %d), not by %s", u.what, s.from, s.line, u.peer))
		case s.to != u.proc:
			v.broken("misdelivered", u.line, s.line, u.t, wrong(u.field, "message %s was sent to %s (line %d), not to %s", u.what, s.to, s.line, u.proc))
		}
	}
	for _, u := range v.messages {
		s, ok := v.msgs[u.what]
		switch {
		case !ok:
			return &LineError{u.line, wrong(u.field, "no one ever sent the message %s", u.what)}
		case u.proc != "" && s.to != u.proc:
			v.broken("misdelivered", u.line, s.line, u.t, wrong(u.field, "message %s in entry %s was sent to %s (line %d), not to %s", u.what, u.peer, s.to, s.line, u.proc))
		}
	}
	return nil
}

func (v *validator) endProcesses() *LineError {
	for _, u := range v.peers {
		if v.procs[u.peer] == nil {
			return &LineError{u.line, wrong(u.field, "there is no process %s; expected one that starts", u.peer)}
		}
	}
	for _, u := range v.lines {
		if v.procs[u.peer] == nil {
			return &LineError{u.line, wrong(u.field, "there is no process %s; expected one that starts", u.peer)}
		}
		if _, ok := v.begun[ckptKey{u.peer, u.what}]; u.what != "" && !ok {
			err := wrong(u.field, "process %s never began the checkpoint %s", u.peer, u.what)
			if !v.complete(u.peer, u.t) {
				return &LineError{u.line, err}
			}
			v.broken("forged", u.line, 0, u.t, err)
		}
	}
	return nil
}
