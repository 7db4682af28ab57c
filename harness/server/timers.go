package server

import (
	"container/heap"
	"time"
)

// timers holds the named timers of a program. The zero value is empty.
// Setting a timer again leaves its old entry in the heap, where it is
// recognised as stale by its generation.
type timers struct {
	queue timerHeap
	live  map[string]uint64 // name → generation of the entry that counts
	last  uint64
}

type timer struct {
	due        time.Duration
	generation uint64 // also breaks ties: first set, first fired
	name       string
}

func (t *timers) set(name string, due time.Duration) {
	if t.live == nil {
		t.live = map[string]uint64{}
	}
	t.last++
	t.live[name] = t.last
	heap.Push(&t.queue, timer{due, t.last, name})
	// A program that resets one timer over and over would otherwise fill the
	// heap with stale entries far in the future.
	if len(t.queue) > 2*len(t.live)+64 {
		t.compact()
	}
}

func (t *timers) stop(name string) { delete(t.live, name) }

// next returns when the first timer is due.
func (t *timers) next() (time.Duration, bool) {
	for len(t.queue) > 0 {
		if t.live[t.queue[0].name] == t.queue[0].generation {
			return t.queue[0].due, true
		}
		heap.Pop(&t.queue)
	}
	return 0, false
}

// pop removes and returns the first timer if it is due.
func (t *timers) pop(now time.Duration) (string, bool) {
	due, ok := t.next()
	if !ok || due > now {
		return "", false
	}
	name := heap.Pop(&t.queue).(timer).name
	delete(t.live, name)
	return name, true
}

func (t *timers) compact() {
	kept := t.queue[:0]
	for _, e := range t.queue {
		if t.live[e.name] == e.generation {
			kept = append(kept, e)
		}
	}
	t.queue = kept
	heap.Init(&t.queue)
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].generation < h[j].generation
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}
