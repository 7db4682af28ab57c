package jobs

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cleancut/cleancut/harness/rng"
)

// Pipeline is a stream computation: sources read the records of their
// partition, operators keep a running sum for each key, sinks put the sums
// out. Partitions can be read again from any offset. All records of a key come
// from one source and pass one operator and one sink, so that first in, first
// out decides their order: outputs are the same in every right execution.
//
// Records of a key are numbered. An operator and a sink count every one that
// is not the successor of the last, as Flink's SemanticsCheckMapper does
// (flink-end-to-end-tests, DataStreamAllroundTestJob).
//
// A quarter of the processes are sources, a quarter sinks, the others
// operators. Of two processes, the second is operator and sink.
type Pipeline struct{}

const (
	keysPerSource = 8 // and so the most operators that a source sends to
	sinksFanMax   = 4 // the most sinks that an operator sends to
)

// Name implements Job.
func (Pipeline) Name() string { return "pipeline" }

// Doc implements Job.
func (Pipeline) Doc() string {
	return "sources, keyed operators and sinks; every input takes effect exactly once and every output is seen once"
}

// Acyclic implements Job.
func (Pipeline) Acyclic() bool { return true }

// shape is how many processes play which part, and which way each key goes.
// Sources come first, then operators, then sinks.
type shape struct {
	sources, operators, sinks int
	// operator is the process that keeps a key, sink the one that puts it
	// out, by key. Without sinks, operators do.
	operator, sink []int
}

func shapeOf(procs int) shape {
	s := shape{1, 1, 0, nil, nil}
	if procs > 2 {
		n := max(1, procs/4)
		s = shape{sources: n, operators: procs - 2*n, sinks: n}
	}
	kept := make([]int, s.operators) // how many keys each operator has
	for k := range s.sources * keysPerSource {
		o := (s.source(k)*s.operators/s.sources + k%keysPerSource) % s.operators
		s.operator = append(s.operator, s.sources+o)
		if s.sinks == 0 {
			s.sink = append(s.sink, s.sources+o)
			continue
		}
		// An operator's first key goes to the sink that lies opposite.
		i := (o*s.sinks/s.operators + kept[o]%sinksFanMax) % s.sinks
		s.sink = append(s.sink, s.sources+s.operators+i)
		kept[o]++
	}
	return s
}

func (s shape) keys() int        { return len(s.operator) }
func (s shape) source(k int) int { return k / keysPerSource }

// Channels implements Job.
func (Pipeline) Channels(procs int) [][2]int {
	s, set := shapeOf(procs), map[[2]int]bool{}
	for k := range s.keys() {
		set[[2]int{s.source(k), s.operator[k]}] = true
		if s.sinks > 0 {
			set[[2]int{s.operator[k], s.sink[k]}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b [2]int) int { return slices.Compare(a[:], b[:]) })
}

// record returns what stands at an offset of a source's partition.
func record(seed uint64, source int, offset int64) (key int, value int64) {
	h := mix(rng.Derive(seed, fmt.Sprintf("job/pipeline/%d", source)) + uint64(offset))
	return source*keysPerSource + int(h%keysPerSource), int64(h >> 32 % 1000)
}

// outputOf names and renders the nth sum of key k.
func outputOf(k int, n, sum int64) Output {
	return Output{fmt.Sprintf("s%d/k%d#%d", k/keysPerSource, k%keysPerSource, n), fmt.Sprintf("sum=%d", sum)}
}

// sourceName is the name of a source's partition.
func sourceName(source int) string { return fmt.Sprintf("part-%d", source) }

// New implements Job.
func (j Pipeline) New(proc, procs int, seed uint64, size int) (App, error) {
	id, err := newIdentity(j.Name(), proc, procs, seed, size)
	if err != nil {
		return nil, err
	}
	a := &pipeline{identity: id, shape: shapeOf(procs), keys: map[int]*keyState{}}
	for _, c := range j.Channels(procs) {
		if c[0] == proc {
			a.to = append(a.to, c[1])
		}
		if c[1] == proc {
			a.from = append(a.from, c[0])
		}
	}
	a.endedIn = make([]bool, len(a.from))
	for k := range a.shape.keys() {
		if s := a.shape; proc == s.source(k) || proc == s.operator[k] || proc == s.sink[k] {
			a.keys[k] = &keyState{}
		}
	}
	return a, nil
}

// Answer implements Job.
func (j Pipeline) Answer(procs int, seed uint64, size int) (*Answer, error) {
	apps := make([]*pipeline, procs)
	for p := range procs {
		app, err := j.New(p, procs, seed, size)
		if err != nil {
			return nil, err
		}
		apps[p] = app.(*pipeline)
	}
	answer := &Answer{Outputs: make([][]Output, procs)}
	s := shapeOf(procs)
	for source := range s.sources {
		var states [keysPerSource]keyState
		for offset := range int64(size) {
			key, value := record(seed, source, offset)
			state := &states[key%keysPerSource]
			state.last++
			state.sum += value
			apps[source].done++
			apps[s.operator[key]].done++
			out := outputOf(key, state.last, state.sum)
			sink := s.sink[key]
			apps[sink].emitted(out)
			if s.sinks > 0 {
				apps[sink].done++
			}
			answer.Outputs[sink] = append(answer.Outputs[sink], out)
		}
	}
	for _, a := range apps {
		answer.Results = append(answer.Results, a.Result())
	}
	return answer, nil
}
