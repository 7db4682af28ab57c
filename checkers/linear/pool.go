package linear

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cleancut/cleancut/harness/history"
)

// verdict is a judgement with its price.
type verdict struct {
	judgement
	part           part
	configurations int
	bytes          int64
	short          bool // of memory
}

// judgeAll judges the parts, several at once, and glances at them before if
// there are glimpses. Each worker may use its share of the memory; a part for
// which that is too little is judged again when it can have all of it.
func (c checker) judgeAll(ctx context.Context, all []history.Operation, glimpses []glimpse, parts []part) []verdict {
	verdicts := make([]verdict, len(parts))
	workers := min(c.o.Workers, len(parts))
	memory := c.o.Memory - c.common(len(all), len(parts))
	whole := memory
	if memory -= glimpseBytes * int64(len(glimpses)); memory < whole/2 {
		glimpses, memory = nil, whole
	}
	var next atomic.Int64
	var panicked atomic.Value
	work := func() {
		defer func() {
			if p := recover(); p != nil {
				panicked.Store(fmt.Sprintf("%v\n%s", p, debug.Stack()))
			}
		}()
		in := newInterner(len(all))
		var x glancer
		share, used, violations := memory/int64(workers), int64(0), 0
		for i := int(next.Add(1)) - 1; i < len(parts); i = int(next.Add(1)) - 1 {
			need := c.bytes(&parts[i])
			if used+x.allocated+need > share {
				if x.kept()+need > share {
					x = glancer{}
				}
				runtime.GC() // what other parts left behind counts, too
				used, x.allocated = 0, x.kept()
			}
			if glimpses != nil && need <= share && ctx.Err() == nil {
				if n, ok := x.lists(glimpses, parts[i].at); ok {
					verdicts[i] = verdict{judgement: judgement{answer: legal, algorithm: orderedGroups, operations: n}, part: parts[i]}
					continue
				}
			}
			used += need
			v := c.judgeOne(ctx, all, parts[i], share, in)
			used += v.bytes
			if v.answer == illegal {
				if violations++; violations > explainMax {
					v.explain = nil // it holds the operations, and the first are explained
				}
			}
			verdicts[i] = v
		}
	}
	var wait sync.WaitGroup
	for range workers - 1 {
		wait.Go(work)
	}
	work() // the last on the stack that is there, which many short histories have already made large
	wait.Wait()
	if p := panicked.Load(); p != nil {
		panic(p) // on the goroutine of the caller, who turns it into unknown
	}
	if memory < whole {
		glimpses = nil
	}
	for i := range verdicts {
		if verdicts[i].short && (workers > 1 || memory < whole) {
			runtime.GC()
			verdicts[i] = c.judgeOne(ctx, all, parts[i], whole, nil)
		}
	}
	return verdicts
}

var errTime = errors.New("time ran out before it was judged")

func (c checker) judgeOne(ctx context.Context, all []history.Operation, p part, memory int64, in *interner) verdict {
	if ctx.Err() != nil {
		return verdict{judgement: judgement{err: errTime}, part: p}
	}
	need := c.bytes(&p)
	if need > memory {
		v := verdict{part: p, short: true}
		v.err = tooLarge(fmt.Sprintf("%d operations", len(p.at)), need, memory)
		return v
	}
	b := c.budget(ctx, memory-need)
	b.in = in
	v := verdict{judgement: c.object.judge(b, all, p, c.o.Algorithm), part: p}
	v.configurations, v.bytes = c.o.Configurations-max(0, b.configurations), b.bytes
	if v.answer != undecided || v.err != nil {
		v.short = errors.Is(v.err, errStrangers)
		return v
	}
	switch {
	case ctx.Err() != nil:
		v.err = errors.New("time ran out while it was searched")
	case b.defect:
		v.err = errors.New("the search found an order that is none; this is a defect of the checker, please report it")
	default:
		v.err = fmt.Errorf("the search of %d operations used up its budget of %d configurations and %d MiB", v.operations, c.o.Configurations, c.o.Memory>>20)
		v.short = b.configurations > 0
	}
	return v
}

// extra is what the values of an operation take beyond those of integers.
func extra(o *history.Operation) int64 {
	bytes := int64(0)
	for _, v := range [2]*history.Value{&o.Input, &o.Output} {
		switch v.Kind() {
		case history.KindNil, history.KindInt, history.KindBool:
		case history.KindList, history.KindSet:
			bytes += int64(v.Len()) * elementBytes
			if _, integers := v.Ints(); integers {
				continue
			}
			for _, x := range v.Elements() {
				if k := x.Kind(); k != history.KindInt && k != history.KindNil {
					bytes += int64(v.Len()) * otherBytes
					break
				}
			}
		default:
			bytes += otherBytes
		}
	}
	return bytes
}

// group returns the operations of each key, in the order of keys, and the
// glimpses of all operations, if these are wanted.
func group(ops []history.Operation, glimpses bool) ([]part, []glimpse) {
	k := newKeys(len(ops))
	of := make([]int32, len(ops))
	var all []glimpse
	if glimpses {
		all = make([]glimpse, len(ops))
	}
	for i := range ops {
		n := k.number(ops[i].Key)
		of[i] = n
		k.all[n].operations++
		k.all[n].extra += extra(&ops[i])
		if glimpses {
			all[i] = glimpsed(&ops[i])
		}
	}
	parts := make([]part, len(k.all))
	slab := make([]int32, len(ops))
	next := make([]int32, len(k.all))
	from := int32(0)
	for i, s := range k.all {
		next[i] = from
		parts[i] = part{key: s.name, at: slab[from : from+s.operations : from+s.operations], extra: s.extra}
		from += s.operations
	}
	for i, n := range of {
		slab[next[n]] = int32(i)
		next[n]++
	}
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.key, b.key) })
	return parts, all
}

// keys numbers the keys of a history in the order in which they come.
type keys struct {
	byName map[string]int32
	byText []int32 // the number and 1, where the text of a key is in memory
	shift  int     // of the hash of an address
	all    []keySize
}

type keySize struct {
	name       string
	operations int32
	extra      int64
}

const (
	textBits  = 15 // keys.byText has 2 to the so manieth places at most,
	textTries = 4  // of which so many are looked at
)

func newKeys(operations int) *keys {
	places := min(bits.Len(uint(operations)), textBits)
	return &keys{byName: map[string]int32{}, byText: make([]int32, 1<<places+textTries), shift: 64 - places}
}

// number returns the number of a key. It seldom looks at its text, as
// histories keep one copy of each.
func (k *keys) number(key string) int32 {
	where := uint64(uintptr(unsafe.Pointer(unsafe.StringData(key)))) * 0x9e3779b97f4a7c15 >> k.shift
	tries := k.byText[where : where+textTries]
	for i, n := range tries {
		if n == 0 {
			n = k.named(key)
			tries[i] = n + 1
			return n
		}
		if k.all[n-1].name == key {
			return n - 1
		}
	}
	return k.named(key)
}

// named looks a key up by its text, or numbers it.
func (k *keys) named(key string) int32 {
	n, ok := k.byName[key]
	if !ok {
		n = int32(len(k.all))
		k.byName[key] = n
		k.all = append(k.all, keySize{name: key})
	}
	return n
}
