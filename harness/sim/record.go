package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// record keeps an event that a process reported, outside of all machines: no
// fault reaches it. The time is the true one.
func (n *machine) record(e record.Event) {
	w := n.w
	if e.Kind == record.Start || e.Kind == record.Restore {
		n.incarnation++
	}
	n.recorded = e.Kind
	e.T, e.Proc, e.Inc = time.Duration(w.now), n.name, n.incarnation
	w.scratch = appendEvent(w.scratch[:0], &e)
	w.note(kindRecord, n.index, n.epoch, digest(w.scratch))
	if len(w.recorded) >= w.options.Record {
		w.unrecorded++
		return
	}
	w.recorded = append(w.recorded, e)
}

// recordCrash adds the end of a process that has recorded something since its
// predecessor's end.
func (n *machine) recordCrash(cause string) {
	if n.recorded != "" && n.recorded != record.Crash {
		n.record(record.Event{Kind: record.Crash, Reason: cause})
	}
}

// Record implements cluster.Recorder.
func (w *world) Record(context.Context) ([]record.Event, error) {
	if w.unrecorded > 0 {
		return slices.Clone(w.recorded), fmt.Errorf("the simulator kept %d recorded events and dropped the %d that came later: raise Options.Record or shorten the run",
			len(w.recorded), w.unrecorded)
	}
	return slices.Clone(w.recorded), nil
}

// appendEvent appends an encoding of an event that is the same for equal
// events. It feeds the trace hash, and nobody reads it back.
func appendEvent(b []byte, e *record.Event) []byte {
	text := func(s string) {
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(append(b, ':'), s...)
	}
	number := func(i int64) { b = append(strconv.AppendInt(b, i, 10), ' ') }
	text(string(e.Kind))
	for _, s := range [...]string{e.Msg, e.Peer, e.Digest, e.Ckpt, e.Level, e.Base, e.Source, e.Sink, e.ID, e.Txn, e.Reason} {
		text(s)
	}
	for _, i := range [...]int64{int64(e.Epoch), int64(e.Inc), int64(e.Round), int64(e.Index), e.Bytes, e.Offset, e.Units} {
		number(i)
	}
	if e.Value != nil {
		number(*e.Value)
	}
	b = append(strconv.AppendBool(b, e.Forced), ' ')
	for _, list := range [...][]string{e.Channel, e.Failed} {
		number(int64(len(list)))
		for _, s := range list {
			text(s)
		}
	}
	// Maps have no order: their entries' digests add up.
	var sum uint64
	for name, offset := range e.Offsets {
		sum += digest(strconv.AppendInt([]byte("offset "+name+" "), offset, 10))
	}
	for name, checkpoint := range e.Line {
		sum += digestString("line " + name + " " + checkpoint)
	}
	return strconv.AppendUint(b, sum, 16)
}
