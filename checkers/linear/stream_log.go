package linear

import (
	"fmt"

	"github.com/cleancut/cleancut/harness/history"
)

// streamLog is the state of a log without offsets, which is a list.
type streamLog struct{ *streamList }

func (l streamLog) invoke(o *streamOp) (reason string) {
	if h := o.begunOnly(); hasOffset(&h) {
		return offsets(o)
	}
	return l.streamList.invoke(o)
}

func (l streamLog) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	if h := o.operation(e); hasOffset(&h) {
		return nil, offsets(o)
	}
	return l.streamList.complete(o, e)
}

// offsets says why a log with offsets is not judged.
func offsets(o *streamOp) (reason string) {
	return fmt.Sprintf("the %s at event %d has an offset, and a stream needs a log without", o.f, o.call)
}
