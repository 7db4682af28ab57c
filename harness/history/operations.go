package history

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/cleancut/cleancut/harness/internal/jsontext"
)

// ContradictionError says which event of a history cannot be.
type ContradictionError struct {
	Index int64 // of the event
	Text  string
}

func (e *ContradictionError) Error() string {
	return fmt.Sprintf("history: event %d: %s", e.Index, e.Text)
}

// Operations pairs the invocations and completions of events, in order of
// invocation. An operation without completion is Info. A history that
// contradicts itself (two operations of a process open at once, a process
// that goes on after info, a completion that fits no invocation, indices or
// times that go backwards) is refused with a *ContradictionError.
func Operations(events []Event) ([]Operation, error) {
	n := 0
	for i := range events {
		if events[i].Kind == Invoke {
			n++
		}
	}
	ops := make([]Operation, 0, n)
	open := map[int]int{} // process → index in ops, or retired
	const retired = -1
	for i := range events {
		e := &events[i]
		wrong := func(format string, args ...any) error {
			return &ContradictionError{e.Index, fmt.Sprintf(format, args...)}
		}
		if i > 0 && e.Index <= events[i-1].Index {
			return nil, wrong("it follows event %d; indices must rise", events[i-1].Index)
		}
		if i > 0 && e.Time < events[i-1].Time {
			return nil, wrong("its time, %s, is before that of the event before it, %s", At(e.Time), At(events[i-1].Time))
		}
		if e.Index == math.MaxInt64 {
			return nil, wrong("its index is %d, which stands for never", e.Index)
		}
		if e.Time == Never {
			return nil, wrong("its time is %d, which stands for never", int64(e.Time))
		}
		at, busy := open[e.Process]
		switch e.Kind {
		case FaultStart, FaultEnd, PhaseStart:
			continue
		case Invoke:
			if busy && at == retired {
				return nil, wrong("process %d invokes %s after an operation of unknown outcome; it must be retired", e.Process, e.F)
			}
			if busy {
				return nil, wrong("process %d invokes %s while its %s is open", e.Process, e.F, ops[at].F)
			}
			if e.Process < 0 {
				return nil, wrong("process %d invokes %s; processes count from 0", e.Process, e.F)
			}
			open[e.Process] = len(ops)
			ops = append(ops, Operation{
				Process: e.Process, F: e.F, Key: e.Key, Input: e.Value, Outcome: Info,
				Invoked: e.Time, Completed: Never, Call: e.Index, Return: -1, Node: e.Node,
			})
			continue
		case OK, Fail, Info:
		default:
			return nil, wrong("it is of unknown kind %d", e.Kind)
		}
		if !busy || at == retired {
			return nil, wrong("process %d completes %s, but has no operation open", e.Process, e.F)
		}
		if err := ops[at].complete(e); err != "" {
			return nil, wrong("%s", err)
		}
		delete(open, e.Process)
		if e.Kind == Info {
			open[e.Process] = retired
		}
	}
	for i := range ops {
		if o := &ops[i]; o.Return < 0 {
			if why := Misfit(o.F, Info, o.Input, Nil); why != "" {
				return nil, &ContradictionError{o.Call, fmt.Sprintf("the %s of process %d was never completed: %s", o.F, o.Process, why)}
			}
		}
	}
	return ops, nil
}

// complete ends o with e, or says why they do not belong together.
func (o *Operation) complete(e *Event) string {
	if e.F != o.F {
		return fmt.Sprintf("process %d completes %s, but what it has open is %s", e.Process, e.F, o.F)
	}
	if e.Key != o.Key {
		return fmt.Sprintf("process %d completes %s of key %q, but invoked it on key %q", e.Process, e.F, e.Key, o.Key)
	}
	kind := e.Kind
	if Refused(o.F, kind, e.Value) {
		kind = Fail
	}
	o.Input = Learn(o.F, e.Kind, o.Input, e.Value)
	if why := Misfit(o.F, kind, o.Input, e.Value); why != "" {
		return fmt.Sprintf("process %d completes %s (event %d), but %s", e.Process, e.F, o.Call, why)
	}
	o.Outcome, o.Return, o.Error = kind, e.Index, e.Error
	if e.Node != "" {
		o.Node = e.Node
	}
	if kind == OK {
		o.Output = e.Value
	}
	if e.Kind == Fail && o.F == "cas" && !e.Value.IsList() {
		o.Output = e.Value // a cas that was refused, and says what it found
	}
	if e.Kind != Info {
		o.Completed = e.Time
	}
	return ""
}

// operationJSON is how an Operation appears in results.
type operationJSON struct {
	Process   int            `json:"process"`
	F         string         `json:"f"`
	Key       string         `json:"key,omitempty"`
	Input     Value          `json:"input"`
	Output    Value          `json:"output"`
	Outcome   Outcome        `json:"outcome"`
	Invoked   time.Duration  `json:"invoked_ns"`
	Completed *time.Duration `json:"completed_ns"` // null if it never did
	Call      int64          `json:"call"`
	Return    int64          `json:"return"`
	Node      string         `json:"node,omitempty"`
	Error     string         `json:"error,omitempty"`
}

// MarshalJSON encodes o with times in nanoseconds and null for Never.
func (o Operation) MarshalJSON() ([]byte, error) {
	j := operationJSON{
		Process: o.Process, F: o.F, Key: o.Key, Input: o.Input, Output: o.Output, Outcome: o.Outcome,
		Invoked: o.Invoked, Call: o.Call, Return: o.Return, Node: o.Node, Error: o.Error,
	}
	if o.Completed != Never {
		j.Completed = &o.Completed
	}
	return jsontext.Marshal(j)
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (o *Operation) UnmarshalJSON(b []byte) error {
	var j operationJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*o = Operation{
		Process: j.Process, F: j.F, Key: j.Key, Input: j.Input, Output: j.Output, Outcome: j.Outcome,
		Invoked: j.Invoked, Completed: Never, Call: j.Call, Return: j.Return, Node: j.Node, Error: j.Error,
	}
	if j.Completed != nil {
		o.Completed = *j.Completed
	}
	return nil
}

// String prints an operation on one line: what, when, by whom, and how it
// ended.
func (o Operation) String() string {
	s := fmt.Sprintf("process %d %s", o.Process, o.F)
	if o.Key != "" {
		s += " " + o.Key
	}
	if !o.Input.IsNil() {
		s += " " + o.Input.String()
	}
	s += fmt.Sprintf(" invoked at %s", At(o.Invoked))
	switch {
	case o.Outcome == OK:
		s += fmt.Sprintf(", ok at %s: %s", At(o.Completed), o.Output)
	case o.Outcome == Fail:
		s += fmt.Sprintf(", failed at %s", At(o.Completed))
	default:
		s += ", outcome unknown"
	}
	if o.Node != "" {
		s += " on " + o.Node
	}
	return s
}
