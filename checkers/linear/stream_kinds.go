package linear

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// streamKind is a workload that can be judged in a stream.
type streamKind struct {
	algorithm string
	functions []string
	begin     func(Object) streamed // a key
}

var (
	streamRegister = streamKind{"zones", []string{Read, Write, Delete}, func(o Object) streamed { return newStreamKey(Spec(o)) }}
	streamLocks    = streamKind{"holding times", []string{Acquire, Release}, func(o Object) streamed { return newStreamLock(o) }}

	streamKinds = map[string]streamKind{
		"register":     streamRegister,
		"cas-register": streamRegister,
		"kv":           streamRegister,
		"mutex":        streamLocks,
		"semaphore":    streamLocks,
		"fencing":      {orderedGroups, []string{Acquire, Write, Release}, func(Object) streamed { return newStreamTokens() }},
		"list":         {orderedGroups, []string{Append, Read}, func(Object) streamed { return newStreamList() }},
		"log":          {orderedGroups, []string{Append, Read}, func(Object) streamed { return streamLog{newStreamList()} }},
		"set":          {orderedGroups, []string{Add, Remove, Contains, Read}, func(Object) streamed { return newStreamSet() }},
		"counter":      {"ranks", []string{Add, Read}, func(o Object) streamed { return newStreamCounter(o) }},
		"queue":        {"queue patterns", []string{Enqueue, Dequeue}, func(Object) streamed { return newStreamQueue() }},
	}
)

// StreamedWorkloads lists the names that NewStream knows.
func StreamedWorkloads() []string { return slices.Sorted(maps.Keys(streamKinds)) }

// NewStream returns a Stream for a workload. What it cannot decide is unknown,
// with the reason:
//
//   - register, cas-register, kv: by the zones of Gibbons and Korach in the
//     online form of Golab, Li and Shah (PODC 2011), without cas, nor values
//     that were written twice or were there at first (so no delete where keys
//     begin absent);
//   - mutex and semaphore, if processes release only what they acquired;
//   - fencing;
//   - list, and log without offsets, whose elements are appended once;
//   - set, each key of which is only added to and read as a whole, elements
//     added once, or never read as a whole, elements added and removed once at
//     most;
//   - counter, if all additions are equal;
//   - queue, whose elements are enqueued once, unless dequeues of unknown
//     outcome leave it open at which of several moments another found nothing.
func NewStream(workload string, what Object, o Options) (*Stream, error) {
	kind, ok := streamKinds[workload]
	if !ok {
		return nil, fmt.Errorf("linear: the workload %q cannot be judged in a stream; %s can", workload, strings.Join(StreamedWorkloads(), ", "))
	}
	if _, err := For(workload, what, o); err != nil {
		return nil, err
	}
	return &Stream{object: what, kind: kind, memory: o.withDefaults().Memory, keys: map[string]streamed{}, open: map[int]*streamOp{}, retired: numbers{}}, nil
}
