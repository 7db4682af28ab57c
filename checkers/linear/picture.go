package linear

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/checkers/linear/search"
	"github.com/cleancut/cleancut/harness/history"
)

// Bounds of a picture. Beyond them only the witness is drawn.
const (
	pictureOperationsMax = 120
	pictureBytesMax      = 1 << 20
	pictureSteps         = 300_000
)

// pictureShare is how much more than its search a picture takes.
const pictureShare = 4

// picture draws the key's operations, or those around the explanation if
// there are too many, with porcupine's visualization. Faults appear as
// annotations. It is nil if porcupine cannot draw it in the memory that there
// is.
func (x *explanation) picture(e *checkers.Evidence, memory int64) []byte {
	if len(x.ops) > pictureOperationsMax {
		return nil
	}
	if x.refusal { // the problem has other operations then
		return x.draw(e, x.ops, memory)
	}
	if page := x.draw(e, x.surroundings(), memory); page != nil && len(page) <= pictureBytesMax {
		return page
	}
	return x.draw(e, x.ops, memory)
}

// surroundings returns a closed set of operations that contains those of the
// explanation: everything about their values, and about the values that were
// used shortly before the end, as many as can be drawn.
func (x *explanation) surroundings() []op {
	all := x.problem.ops
	if len(all) <= pictureOperationsMax {
		return all
	}
	in := make([]bool, len(x.problem.values))
	for i := range x.ops {
		in[x.ops[i].value] = true
		if x.ops[i].kind == cas {
			in[x.ops[i].expect] = true
		}
	}
	uses := make([]int32, len(in))
	count := 0
	for i := range all {
		if uses[all[i].value]++; in[all[i].value] {
			count++
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		v := all[i].value
		if all[i].call > x.end || in[v] {
			continue
		}
		if count += int(uses[v]); count > pictureOperationsMax {
			break
		}
		in[v] = true
	}
	return onValues(all, in)
}

// draw returns porcupine's page, or nil if it finds no violation in ops
// within its budget.
func (x *explanation) draw(e *checkers.Evidence, ops []op, memory int64) []byte {
	p := x.problem
	in := map[int32]bool{}
	for i := range x.ops {
		in[x.ops[i].source] = true
	}
	posed := &search.Problem{Ops: make([]search.Op, len(ops)), Initial: p.initial, Model: &register{ops}}
	for i := range ops {
		posed.Ops[i].Maybe = ops[i].maybe
	}
	return drawPage(e, ops, posed, memory, in,
		func(i int) string { return describe(p, &ops[i]) },
		func(state int32) string { return p.values[state].String() })
}

// drawPage draws the operations of a problem, if the memory suffices; in are the
// sources of those that are part of the witness.
func drawPage(e *checkers.Evidence, ops []op, p *search.Problem, memory int64, in map[int32]bool, describe func(int) string, describeState func(int32) string) []byte {
	clock := newStretched(e.Operations, ops)
	lane := lanes(ops)
	drawn := make([]porcupine.Operation, len(ops))
	for i := range ops {
		o := &ops[i]
		h := &e.Operations[o.source]
		note := fmt.Sprintf("process %d, node %s, invoked at %s", h.Process, h.Node, history.At(h.Invoked))
		if h.Outcome == history.OK {
			note += ", completed at " + history.At(h.Completed)
		} else {
			note += ", outcome unknown"
		}
		if in[o.source] {
			note += " (part of the witness)"
		}
		drawn[i] = porcupine.Operation{ClientId: lane[i], Input: int32(i), Call: clock.of(o.call), Return: clock.of(o.ret), Metadata: note}
	}
	m := search.NewMeter(context.Background(), search.Budget{Configurations: pictureSteps, Memory: memory / pictureShare}, len(ops))
	result, info := porcupine.CheckOperationsVerbose(search.Porcupine(p, m), drawn, 0)
	if result != porcupine.Illegal || m.Exhausted() {
		return nil
	}
	info.AddAnnotations(clock.faults(e.Faults))
	plain := search.Porcupine(p, nil)
	plain.DescribeOperation = func(input, _ any) string { return describe(int(input.(int32))) }
	plain.DescribeState = func(state any) string { return describeState(state.(int32)) }
	plain.DescribeOperationMetadata = func(note any) string { return note.(string) }
	var page bytes.Buffer
	if err := porcupine.Visualize(plain, info, &page); err != nil {
		return nil
	}
	return bytes.Replace(page.Bytes(), []byte(drawNow), []byte(drawSeen), 1)
}

// Porcupine's page measures its texts when it is loaded. In a frame that is
// out of sight they would measure nothing, so it must wait until it is seen.
const (
	drawNow  = "      render(data)\n"
	drawSeen = "      requestAnimationFrame(function draw() { innerWidth > 0 ? render(data) : requestAnimationFrame(draw) })\n"
)

// lanes gives operations, in order of call, the lowest row that is free:
// porcupine draws a row for every number up to the greatest, and processes
// are numbered anew after every unknown outcome.
func lanes(ops []op) []int {
	var ends []int64
	lane := make([]int, len(ops))
	for i := range ops {
		at := slices.IndexFunc(ends, func(end int64) bool { return end < ops[i].call })
		if at < 0 {
			at = len(ends)
			ends = append(ends, 0)
		}
		ends[at], lane[i] = ops[i].ret, at
	}
	return lane
}

func describe(p *problem, o *op) string {
	unknown := ""
	if o.maybe {
		unknown = " ?"
	}
	v := p.values[o.value].String()
	switch {
	case o.kind == read:
		return "read → " + v
	case o.kind == cas:
		return fmt.Sprintf("cas %s → %s%s", p.values[o.expect], v, unknown)
	case p.values[o.value].IsNil():
		return "delete" + unknown
	}
	return "write " + v + unknown
}

// stretched gives events times that differ and are in the order of their
// indices: events at the same nanosecond are moved apart by one.
type stretched struct {
	byIndex map[int64]int64
	end     int64
}

func newStretched(all []history.Operation, ops []op) *stretched {
	type event struct {
		index int64
		time  time.Duration
	}
	var events []event
	for i := range ops {
		h := &all[ops[i].source]
		events = append(events, event{h.Call, h.Invoked})
		if ops[i].ret != never {
			at := h.Completed
			if h.Outcome == history.Info { // a limit: just after the event before it
				at = 0
			}
			events = append(events, event{ops[i].ret, at})
		}
	}
	slices.SortFunc(events, func(a, b event) int { return int(a.index - b.index) })
	s := &stretched{byIndex: map[int64]int64{}}
	for _, e := range events {
		s.end = max(int64(e.time), s.end+1)
		s.byIndex[e.index] = s.end
	}
	s.end++
	return s
}

// of returns the time of an event, and the end of all for never.
func (s *stretched) of(index int64) int64 {
	if t, ok := s.byIndex[index]; ok {
		return t
	}
	return s.end
}

func (s *stretched) faults(windows []checkers.FaultWindow) []porcupine.Annotation {
	from := s.end
	for _, t := range s.byIndex {
		from = min(from, t)
	}
	var notes []porcupine.Annotation
	for _, w := range windows {
		start, end := max(int64(w.Start), from), min(int64(w.End), s.end)
		if start > end {
			continue
		}
		notes = append(notes, porcupine.Annotation{
			Tag: "fault: " + w.Kind, Start: start, End: end, Description: w.Fault,
			Details:   fmt.Sprintf("%v from %s to %s", w.Nodes, history.At(w.Start), history.At(w.End)),
			TextColor: "#5b1010", BackgroundColor: "#ffd9d2",
		})
	}
	return notes
}
