package jobs

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/cleancut/cleancut/harness/wire"
)

// keyState is what a process knows of a key: how many records passed, the
// number of the last, and their sum.
type keyState struct{ count, last, sum int64 }

// pipeline is a source, an operator or a sink.
type pipeline struct {
	identity
	shape    shape
	from, to []int

	done    int64 // records that were read or processed
	keys    map[int]*keyState
	endedIn []bool // by place in from
	ended   bool   // the end was passed on
	odd     int64  // records that were not the next of their key
	// outputs and marks, the sum of their hashes, are of a sink.
	outputs int64
	marks   uint64
}

func (a *pipeline) isSource() bool { return a.proc < a.shape.sources }

// puts tells whether the process puts sums out.
func (a *pipeline) puts() bool { return !a.isSource() && len(a.to) == 0 }

func (a *pipeline) Step(out Out) bool {
	if !a.isSource() || a.ended {
		return false
	}
	if a.done == int64(a.size) {
		a.end(out)
		return true
	}
	key, value := record(a.seed, a.proc, a.done)
	out.Input(sourceName(a.proc), a.done)
	a.done++
	k := a.keys[key]
	k.count++
	out.Send(a.shape.operator[key], recordPayload(key, k.count, value), 0)
	return true
}

func recordPayload(key int, n, value int64) []byte {
	var w writer
	w.bool(false)
	w.uint(uint64(key))
	w.uint(uint64(n))
	w.uint(uint64(value))
	return w.b
}

// end tells everyone downstream that nothing more will come.
func (a *pipeline) end(out Out) {
	for _, p := range a.to {
		out.Send(p, []byte{1}, 0)
	}
	a.ended = true
}

func (a *pipeline) Deliver(from int, payload []byte, out Out) error {
	i, ok := slices.BinarySearch(a.from, from)
	if !ok {
		return a.refuse(from, "there is no such channel")
	}
	r := reader{wire.Over(payload)}
	if last := r.Bool(); last {
		if err := r.end(); err != nil {
			return a.refuse(from, err.Error())
		}
		if a.endedIn[i] {
			a.odd++
		}
		a.endedIn[i] = true
		if !a.ended && !slices.Contains(a.endedIn, false) {
			a.end(out)
		}
		return nil
	}
	key, n, value := int(r.Max(int64(a.shape.keys()-1))), r.Max(1<<40), r.Max(1<<50)
	if err := r.end(); err != nil {
		return a.refuse(from, err.Error())
	}
	k := a.keys[key]
	if k == nil || from != a.sender(key) {
		return a.refuse(from, fmt.Sprintf("key %d does not go this way", key))
	}
	if n != k.last+1 || a.endedIn[i] {
		a.odd++
	}
	a.done++
	k.count++
	k.last = n
	if a.shape.operator[key] != a.proc {
		a.put(out, outputOf(key, n, value))
		return nil
	}
	k.sum += value
	if sink := a.shape.sink[key]; sink != a.proc {
		out.Send(sink, recordPayload(key, k.count, k.sum), 0)
		return nil
	}
	a.put(out, outputOf(key, k.count, k.sum))
	return nil
}

// sender returns who hands this process the records of a key.
func (a *pipeline) sender(key int) int {
	if a.shape.operator[key] == a.proc {
		return a.shape.source(key)
	}
	return a.shape.operator[key]
}

func (a *pipeline) put(out Out, o Output) {
	a.emitted(o)
	out.Output(o.ID, []byte(o.Payload))
}

// emitted counts an output.
func (a *pipeline) emitted(o Output) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s=%s", o.ID, o.Payload)
	a.outputs++
	a.marks += mix(h.Sum64())
}

func (a *pipeline) AppendState(b []byte) []byte {
	w := writer{b}
	a.write(&w)
	w.uint(uint64(a.done))
	w.bool(a.ended)
	w.uint(uint64(a.odd))
	w.uint(uint64(a.outputs))
	w.word(a.marks)
	for _, e := range a.endedIn {
		w.bool(e)
	}
	for _, k := range slices.Sorted(maps.Keys(a.keys)) {
		w.uint(uint64(a.keys[k].count))
		w.uint(uint64(a.keys[k].last))
		w.uint(uint64(a.keys[k].sum))
	}
	return w.b
}

func (a *pipeline) LoadState(b []byte) error {
	r := reader{wire.Over(b)}
	if err := a.check(&r); err != nil {
		return err
	}
	n := pipeline{identity: a.identity, shape: a.shape, from: a.from, to: a.to, keys: map[int]*keyState{}}
	doneMax := int64(1 << 40)
	if a.isSource() {
		doneMax = int64(a.size)
	}
	n.done, n.ended, n.odd, n.outputs, n.marks = r.Max(doneMax), r.Bool(), r.Max(1<<40), r.Max(1<<40), r.Uint64()
	for range a.from {
		n.endedIn = append(n.endedIn, r.Bool())
	}
	for _, k := range slices.Sorted(maps.Keys(a.keys)) {
		n.keys[k] = &keyState{r.Max(1 << 40), r.Max(1 << 40), r.Max(1 << 50)}
	}
	if err := a.finish(&r); err != nil {
		return err
	}
	*a = n
	return nil
}

func (a *pipeline) Units() int64         { return a.done }
func (a *pipeline) Done() bool           { return a.ended }
func (a *pipeline) Value() (int64, bool) { return 0, false }

func (a *pipeline) Offsets() map[string]int64 {
	if !a.isSource() {
		return nil
	}
	return map[string]int64{sourceName(a.proc): a.done}
}

func (a *pipeline) Result() string {
	if a.puts() {
		return fmt.Sprintf("records=%d outputs=%d marks=%016x odd=%d", a.done, a.outputs, a.marks, a.odd)
	}
	return fmt.Sprintf("records=%d odd=%d", a.done, a.odd)
}
