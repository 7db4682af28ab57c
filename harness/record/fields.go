package record

import (
	"fmt"
	"slices"
	"strings"
)

// field is one field of an Event; fields is a set of them.
type (
	field  uint
	fields uint32
)

const (
	fieldT field = iota
	fieldProc
	fieldInc
	fieldKind
	fieldEpoch
	fieldMsg
	fieldPeer
	fieldDigest
	fieldValue
	fieldCkpt
	fieldRound
	fieldIndex
	fieldForced
	fieldChannel
	fieldOffsets
	fieldLine
	fieldFailed
	fieldLevel
	fieldBytes
	fieldBase
	fieldSource
	fieldOffset
	fieldSink
	fieldID
	fieldTxn
	fieldUnits
	fieldReason
	fieldCount
)

// fieldNames are the names in JSON.
var fieldNames = [fieldCount]string{
	"t", "proc", "inc", "kind", "epoch", "msg", "peer", "digest", "value", "ckpt", "round", "index", "forced",
	"channel", "offsets", "line", "failed", "level", "bytes", "base", "source", "offset", "sink", "id", "txn", "units", "reason",
}

func (f field) String() string { return fieldNames[f] }

func set(list ...field) (s fields) {
	for _, f := range list {
		s |= 1 << f
	}
	return s
}

func (s fields) has(f field) bool { return s&(1<<f) != 0 }

// String lists the names: "msg, peer".
func (s fields) String() string {
	var names []string
	for f := range fieldCount {
		if s.has(f) {
			names = append(names, f.String())
		}
	}
	return strings.Join(names, ", ")
}

// always are needed in every event, and common may be in every event.
var (
	always = set(fieldT, fieldProc, fieldInc, fieldKind)
	common = set(fieldEpoch, fieldRound, fieldReason)
)

// grammar says which fields a kind needs and which it may have besides.
type grammar struct {
	kind      Kind
	need, may fields
}

// grammars is the table of all kinds, in the order of their documentation.
var grammars = []grammar{
	{Start, 0, set(fieldValue, fieldDigest)},
	{Crash, 0, 0},
	{Send, set(fieldMsg, fieldPeer), set(fieldDigest, fieldValue, fieldIndex)},
	{Recv, set(fieldMsg, fieldPeer), set(fieldDigest, fieldValue, fieldIndex)},
	{CheckpointBegin, set(fieldCkpt), set(fieldDigest, fieldValue, fieldOffsets, fieldForced, fieldIndex)},
	{CheckpointCommit, set(fieldCkpt), set(fieldLevel, fieldChannel, fieldBytes, fieldBase, fieldDigest, fieldValue, fieldOffsets, fieldForced, fieldIndex)},
	{CheckpointAbort, set(fieldCkpt), 0},
	{CheckpointDelete, set(fieldCkpt), set(fieldLevel)},
	{CheckpointBad, set(fieldCkpt, fieldLevel, fieldReason), 0},
	{RoundBegin, set(fieldRound), 0},
	{RoundCommit, set(fieldRound, fieldLine), 0},
	{RoundAbort, set(fieldRound), 0},
	{Recovery, set(fieldEpoch, fieldLine), set(fieldFailed)},
	{Restore, 0, set(fieldCkpt, fieldLevel, fieldDigest, fieldValue, fieldOffsets, fieldIndex)},
	{ReplayEnd, 0, set(fieldDigest)},
	{Resume, 0, set(fieldDigest)},
	{Nondet, set(fieldID), set(fieldDigest)},
	{LogStable, set(fieldID), 0},
	{LogDelete, set(fieldMsg), 0},
	{Input, set(fieldSource), set(fieldOffset, fieldDigest)},
	{Output, set(fieldSink, fieldID), set(fieldDigest, fieldValue)},
	{OutputCommit, set(fieldSink, fieldID), set(fieldDigest, fieldTxn, fieldPeer)},
	{Stop, 0, 0},
	{Go, 0, 0},
	{Work, set(fieldUnits), 0},
	{Final, 0, set(fieldDigest, fieldValue)},
	{Failure, set(fieldReason), 0},
}

var grammarOf = func() map[Kind]*grammar {
	m := map[Kind]*grammar{}
	for i := range grammars {
		m[grammars[i].kind] = &grammars[i]
	}
	return m
}()

// Kinds lists all kinds.
func Kinds() (list []Kind) {
	for _, g := range grammars {
		list = append(list, g.kind)
	}
	return list
}

// fieldsOf tells which fields of e are not empty.
func fieldsOf(e *Event) fields {
	s := always
	for f, there := range [fieldCount]bool{
		fieldEpoch: e.Epoch != 0, fieldMsg: e.Msg != "", fieldPeer: e.Peer != "", fieldDigest: e.Digest != "", fieldValue: e.Value != nil,
		fieldCkpt: e.Ckpt != "", fieldRound: e.Round != 0, fieldIndex: e.Index != 0, fieldForced: e.Forced, fieldChannel: len(e.Channel) > 0,
		fieldOffsets: len(e.Offsets) > 0, fieldLine: len(e.Line) > 0, fieldFailed: len(e.Failed) > 0, fieldLevel: e.Level != "",
		fieldBytes: e.Bytes != 0, fieldBase: e.Base != "", fieldSource: e.Source != "", fieldOffset: e.Offset != 0, fieldSink: e.Sink != "",
		fieldID: e.ID != "", fieldTxn: e.Txn != "", fieldUnits: e.Units != 0, fieldReason: e.Reason != "",
	} {
		if there {
			s |= 1 << f
		}
	}
	return s
}

// wellFormed judges an event by itself.
func wellFormed(e *Event) error {
	g := grammarOf[e.Kind]
	if g == nil {
		return &FieldError{fieldKind.String(), fmt.Sprintf("%q is no kind of event; expected one of %s", e.Kind, kindNames())}
	}
	if e.Proc == "" {
		return &FieldError{fieldProc.String(), "is empty; expected the name of a process"}
	}
	if e.Inc < 1 {
		return &FieldError{fieldInc.String(), fmt.Sprintf("is %d; incarnations are counted from 1", e.Inc)}
	}
	if f, n, bad := negative(e); bad {
		return &FieldError{f.String(), fmt.Sprintf("is %d; expected no negative number", n)}
	}
	there := fieldsOf(e)
	if missing := g.need &^ there; missing != 0 {
		return &FieldError{missing.first().String(), fmt.Sprintf("is missing or empty; an event of kind %s needs %s", e.Kind, g.need)}
	}
	if extra := there &^ (always | common | g.need | g.may); extra != 0 {
		return &FieldError{extra.first().String(), fmt.Sprintf("does not belong to an event of kind %s, which has %s", e.Kind, always|common|g.need|g.may)}
	}
	return entries(e)
}

func (s fields) first() field {
	for f := range fieldCount {
		if s.has(f) {
			return f
		}
	}
	return fieldCount
}

func negative(e *Event) (field, int64, bool) {
	for _, n := range [...]struct {
		f field
		n int64
	}{
		{fieldT, int64(e.T)}, {fieldEpoch, int64(e.Epoch)}, {fieldRound, int64(e.Round)}, {fieldIndex, int64(e.Index)},
		{fieldBytes, e.Bytes}, {fieldOffset, e.Offset}, {fieldUnits, e.Units},
	} {
		if n.n < 0 {
			return n.f, n.n, true
		}
	}
	return 0, 0, false
}

// entries judges what stands in lists and maps, in an order that is always
// the same.
func entries(e *Event) error {
	for i, m := range e.Channel {
		if m == "" {
			return &FieldError{fieldChannel.String(), fmt.Sprintf("entry %d is empty; expected a message", i+1)}
		}
	}
	for i, p := range e.Failed {
		if p == "" {
			return &FieldError{fieldFailed.String(), fmt.Sprintf("entry %d is empty; expected a process", i+1)}
		}
	}
	for _, source := range sortedKeys(e.Offsets) {
		if n := e.Offsets[source]; n < 0 {
			return &FieldError{fieldOffsets.String(), fmt.Sprintf("of %s is %d; expected no negative number", source, n)}
		}
	}
	for _, p := range sortedKeys(e.Line) {
		if p == "" {
			return &FieldError{fieldLine.String(), "names a process without a name"}
		}
		if e.Kind == RoundCommit && e.Line[p] == "" {
			return &FieldError{fieldLine.String(), fmt.Sprintf("of process %s is empty; a committed round consists of checkpoints", p)}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func kindNames() string {
	var names []string
	for _, g := range grammars {
		names = append(names, string(g.kind))
	}
	return strings.Join(names, ", ")
}
