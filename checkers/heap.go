package checkers

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// heapPeriod is how often HeapGrowth looks.
const heapPeriod = 5 * time.Millisecond

// HeapGrowth runs f and returns by how many bytes the heap of the process was
// larger meanwhile than before, at most, as far as looking at it every 5 ms
// and at the end shows. Garbage that was left before is collected first;
// garbage of f counts until it is collected, and so does what others allocate.
func HeapGrowth(f func()) int64 {
	t := time.NewTicker(heapPeriod)
	defer t.Stop()
	return heapGrowth(f, t.C)
}

// heapGrowth is HeapGrowth, which looks at each tick.
func heapGrowth(f func(), ticks <-chan time.Time) int64 {
	runtime.GC()
	before := heapBytes()
	stop, peak := make(chan struct{}), make(chan int64)
	go func() {
		most := before
		for {
			select {
			case <-ticks:
				most = max(most, heapBytes())
			case <-stop:
				peak <- max(most, heapBytes())
				return
			}
		}
	}()
	f()
	close(stop)
	return <-peak - before
}

// heapBytes is what objects take, dead ones included that are not swept yet.
func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
