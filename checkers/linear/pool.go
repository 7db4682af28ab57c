package linear

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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

// judgeAll judges the parts, several at once. Each worker may use its share
// of the memory; a part for which that is too little is judged again when it
// can have all of it.
func (c checker) judgeAll(ctx context.Context, all []history.Operation, parts []part) []verdict {
	verdicts := make([]verdict, len(parts))
	workers := min(c.o.Workers, len(parts))
	memory := c.o.Memory - c.common(len(all), len(parts))
	var next atomic.Int64
	var panicked atomic.Value
	work := func() {
		defer func() {
			if p := recover(); p != nil {
				panicked.Store(fmt.Sprint(p))
			}
		}()
		in := newInterner(len(all))
		share, used, violations := memory/int64(workers), int64(0), 0
		for i := int(next.Add(1)) - 1; i < len(parts); i = int(next.Add(1)) - 1 {
			if used += c.bytes(&parts[i]); used > share {
				runtime.GC() // what other parts left behind counts, too
				used = c.bytes(&parts[i])
			}
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
	for i := range verdicts {
		if verdicts[i].short && workers > 1 {
			runtime.GC()
			verdicts[i] = c.judgeOne(ctx, all, parts[i], memory, nil)
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
			list, _ := v.AsList()
			bytes += int64(len(list)) * elementBytes
			if len(list) > 0 && list[0].Kind() != history.KindInt && list[0].Kind() != history.KindNil {
				bytes += int64(len(list)) * otherBytes
			}
		default:
			bytes += otherBytes
		}
	}
	return bytes
}

// group returns the operations of each key, in the order of keys.
func group(ops []history.Operation) []part {
	byKey := map[string]int{}
	var parts []part
	var count []int32
	of := make([]int32, len(ops))
	last := -1
	for i := range ops {
		if last < 0 || parts[last].key != ops[i].Key {
			at, ok := byKey[ops[i].Key]
			if !ok {
				at = len(parts)
				byKey[ops[i].Key] = at
				parts, count = append(parts, part{key: ops[i].Key}), append(count, 0)
			}
			last = at
		}
		parts[last].extra += extra(&ops[i])
		of[i] = int32(last)
		count[last]++
	}
	slab := make([]int32, len(ops))
	for i, n := range count {
		parts[i].at, slab = slab[:0:n], slab[n:]
	}
	for i, at := range of {
		parts[at].at = append(parts[at].at, int32(i))
	}
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.key, b.key) })
	return parts
}
