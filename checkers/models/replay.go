package models

import (
	"container/heap"
	"context"
)

// replay tries to put all operations into an order that explains all reads: a
// write waits until nobody will read the value that it replaces. Of those that
// may come next, that comes which has been ready for the longest. O(n log n).
type replay struct {
	f       *saturation
	degree  []int32           // operations to come before each
	current []int32           // version of each key
	readers []int32           // of each version: reads of it to come
	arrived []int32           // how many were ready before each
	queues  map[queue][]int32 // operations that are ready, in order of arrival
	next    candidates
}

// queue names operations that are ready and wait for the same: others and
// writes of a key, reads and swaps (which write as well) of a version.
type queue struct{ kind, of int32 }

const (
	others int32 = iota
	writes
	reads
	swaps
)

func newReplay(f *saturation) *replay {
	n := len(f.out)
	r := &replay{f: f, degree: make([]int32, n), current: make([]int32, f.s.keys), readers: make([]int32, n+f.s.keys), arrived: make([]int32, n), queues: map[queue][]int32{}}
	for _, es := range f.out {
		for _, e := range es {
			r.degree[e.to]++
		}
	}
	for k := range r.current {
		r.current[k] = int32(n + k)
	}
	for i := range f.s.ops {
		if a := &f.s.ops[i]; a.read {
			r.readers[r.version(a)]++
		}
	}
	return r
}

// version is what a read returned: the number of its write, or one behind all
// operations for the initial value of the key.
func (r *replay) version(a *access) int32 {
	if a.from < 0 {
		return int32(len(r.f.out)) + a.key
	}
	return a.from
}

// run reports whether all operations found their place, and whether there was
// time to tell.
func (r *replay) run(ctx context.Context) (done, inTime bool) {
	ready := int32(0)
	arrive := func(v int32) {
		r.arrived[v] = ready
		ready++
		a := &r.f.s.ops[v]
		q := r.waitsIn(a)
		r.queues[q] = append(r.queues[q], v)
		r.propose(a.key)
	}
	for v := range r.degree {
		if r.degree[v] == 0 {
			arrive(int32(v))
		}
	}
	for count := range r.degree {
		if count%often == 0 && ctx.Err() != nil {
			return false, false
		}
		v := r.take()
		if v < 0 {
			return false, true
		}
		a := &r.f.s.ops[v]
		if a.read {
			r.readers[r.version(a)]--
		}
		if a.write {
			r.current[a.key] = v
		}
		for _, e := range r.f.out[v] {
			if r.degree[e.to]--; r.degree[e.to] == 0 {
				arrive(e.to)
			}
		}
		r.propose(a.key)
	}
	return true, true
}

func (r *replay) waitsIn(a *access) queue {
	switch {
	case a.read && a.write:
		return queue{swaps, r.version(a)}
	case a.read:
		return queue{reads, r.version(a)}
	case a.write:
		return queue{writes, a.key}
	}
	return queue{others, a.key}
}

// first returns the operation of a key that may come next and has waited
// longest, and its queue; -1 if there is none.
func (r *replay) first(key int32) (v int32, from queue) {
	at, v := r.current[key], int32(-1)
	consider := func(q queue) {
		if list := r.queues[q]; len(list) > 0 && (v < 0 || r.arrived[list[0]] < r.arrived[v]) {
			v, from = list[0], q
		}
	}
	consider(queue{others, key})
	consider(queue{reads, at})
	switch r.readers[at] {
	case 0:
		consider(queue{writes, key})
	case 1:
		consider(queue{swaps, at})
	}
	return v, from
}

// propose enters what may come next of a key into the contest of all keys.
func (r *replay) propose(key int32) {
	if v, _ := r.first(key); v >= 0 {
		heap.Push(&r.next, candidate{r.arrived[v], v, key})
	}
}

// take removes the operation that comes next, and returns -1 if there is none.
// What was proposed before its key changed is passed over.
func (r *replay) take() int32 {
	for len(r.next) > 0 {
		c := heap.Pop(&r.next).(candidate)
		v, q := r.first(c.key)
		if v != c.op {
			continue
		}
		if list := r.queues[q]; len(list) > 1 {
			r.queues[q] = list[1:]
		} else {
			delete(r.queues, q)
		}
		return v
	}
	return -1
}

// candidate is the operation of a key that may come next.
type candidate struct{ arrived, op, key int32 }

type candidates []candidate

func (c candidates) Len() int           { return len(c) }
func (c candidates) Less(i, j int) bool { return c[i].arrived < c[j].arrived }
func (c candidates) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *candidates) Push(x any)        { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
