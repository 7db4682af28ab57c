package record

import (
	"strconv"
	"unicode/utf8"

	"github.com/cleancut/cleancut/harness/internal/jsontext"
)

// Append appends e as one line of JSONL, newline included. Fields stand in the
// order of Event, keys of maps in alphabetical order, so that equal events
// give equal lines. It does not look at whether e is well formed.
func Append(dst []byte, e *Event) []byte {
	w := writer{dst}
	w.b = append(w.b, `{"t":`...)
	w.b = strconv.AppendInt(w.b, int64(e.T), 10)
	w.text(fieldProc, e.Proc)
	w.number(fieldInc, int64(e.Inc))
	w.text(fieldKind, string(e.Kind))
	there := fieldsOf(e)
	for f := fieldEpoch; f < fieldCount; f++ {
		if there.has(f) {
			w.field(f, e)
		}
	}
	return append(w.b, '}', '\n')
}

type writer struct{ b []byte }

func (w *writer) field(f field, e *Event) {
	switch f {
	case fieldEpoch, fieldRound, fieldIndex, fieldBytes, fieldOffset, fieldUnits:
		w.number(f, e.number(f))
	case fieldValue:
		w.number(f, *e.Value)
	case fieldForced:
		w.name(f)
		w.b = append(w.b, "true"...)
	case fieldChannel:
		w.list(f, e.Channel)
	case fieldFailed:
		w.list(f, e.Failed)
	case fieldOffsets:
		w.name(f)
		w.b = append(w.b, '{')
		for i, k := range sortedKeys(e.Offsets) {
			w.key(i, k)
			w.b = strconv.AppendInt(w.b, e.Offsets[k], 10)
		}
		w.b = append(w.b, '}')
	case fieldLine:
		w.name(f)
		w.b = append(w.b, '{')
		for i, k := range sortedKeys(e.Line) {
			w.key(i, k)
			w.quote(e.Line[k])
		}
		w.b = append(w.b, '}')
	default:
		w.text(f, *e.text(f))
	}
}

// number is the value of a field that holds an integer.
func (e *Event) number(f field) int64 {
	switch f {
	case fieldEpoch:
		return int64(e.Epoch)
	case fieldRound:
		return int64(e.Round)
	case fieldIndex:
		return int64(e.Index)
	case fieldBytes:
		return e.Bytes
	case fieldOffset:
		return e.Offset
	}
	return e.Units
}

// text is the place of a field that holds a string.
func (e *Event) text(f field) *string {
	switch f {
	case fieldProc:
		return &e.Proc
	case fieldMsg:
		return &e.Msg
	case fieldPeer:
		return &e.Peer
	case fieldDigest:
		return &e.Digest
	case fieldCkpt:
		return &e.Ckpt
	case fieldLevel:
		return &e.Level
	case fieldBase:
		return &e.Base
	case fieldSource:
		return &e.Source
	case fieldSink:
		return &e.Sink
	case fieldID:
		return &e.ID
	case fieldTxn:
		return &e.Txn
	case fieldReason:
		return &e.Reason
	}
	return nil
}

func (w *writer) name(f field) {
	w.b = append(w.b, ',', '"')
	w.b = append(w.b, fieldNames[f]...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) number(f field, n int64) {
	w.name(f)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *writer) text(f field, s string) {
	w.name(f)
	w.quote(s)
}

func (w *writer) list(f field, list []string) {
	w.name(f)
	w.b = append(w.b, '[')
	for i, s := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.quote(s)
	}
	w.b = append(w.b, ']')
}

func (w *writer) key(i int, k string) {
	if i > 0 {
		w.b = append(w.b, ',')
	}
	w.quote(k)
	w.b = append(w.b, ':')
}

// quote writes a string; what is not UTF-8 is replaced, as encoding/json does.
func (w *writer) quote(s string) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := jsontext.Marshal(s) // a string can always be written
			w.b = append(w.b, quoted...)
			return
		}
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, s...)
	w.b = append(w.b, '"')
}
