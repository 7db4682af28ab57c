package txn

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// complete reports whether the order of the versions of every key is known,
// and if not, of which key it is not: all written versions of committed
// transactions, and the initial one, must form a chain.
func (r *registers) complete() (key int32, ok bool) {
	versions := make([]int32, r.keys) // final ones of committed transactions
	for v := range r.writes {
		if r.by(int32(v)) != none && r.final[v] {
			versions[r.keyOf(int32(v))]++
		}
	}
	for k := range versions {
		if versions[k] < 2 {
			continue // the initial version comes first
		}
		// Following the chain must meet every version once. A version may have
		// several known successors, of which the nearest is the one from which
		// all others are reached.
		if r.longest(int32(k)) != versions[k] {
			return int32(k), false
		}
	}
	return 0, true
}

// longest returns the number of versions on the longest chain of a key; it is
// that of all versions if and only if they are in one known order.
func (r *registers) longest(key int32) int32 {
	depth := map[int32]int32{}
	missing := map[int32]int32{}
	successors := func(v int32, f func(int32)) {
		for _, list := range [][]int32{r.next[v], r.chained[v]} {
			for _, n := range list {
				if r.by(n) != none && r.final[n] {
					f(n)
				}
			}
		}
	}
	stack, seen := []int32{}, map[int32]bool{}
	for _, v := range r.versionsOf(key) {
		seen[v] = true
		successors(v, func(n int32) { missing[n]++ })
	}
	for v := range seen {
		if missing[v] == 0 {
			stack = append(stack, v)
		}
	}
	most := int32(0)
	for len(stack) > 0 {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !r.isInitial(v) {
			depth[v]++
		}
		most = max(most, depth[v])
		successors(v, func(n int32) {
			depth[n] = max(depth[n], depth[v])
			if missing[n]--; missing[n] == 0 {
				stack = append(stack, n)
			}
		})
	}
	return most
}

// versionsOf returns the initial version of a key and the final ones of
// committed transactions.
func (r *registers) versionsOf(key int32) []int32 {
	if r.byKey == nil {
		r.byKey = make([][]int32, r.keys)
		for v := range r.writes {
			if k := r.keyOf(int32(v)); r.by(int32(v)) != none && r.final[v] {
				r.byKey[k] = append(r.byKey[k], int32(v))
			}
		}
	}
	return append([]int32{r.initial(key)}, r.byKey[key]...)
}

// settleRegisters decides the models that an incomplete order of versions
// leaves open, and returns why one of them is not proven, or "".
func (r *run) settleRegisters(ctx context.Context, g *registers) (doubt string) {
	for _, m := range r.searched() {
		refuted := r.refutes(m)
		if refuted && slices.Contains(r.o.Models, m) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err.Error()
		}
		if n := len(g.unwritten); n > 0 {
			return fmt.Sprintf("no violation was found, but %d values were read that nobody wrote", n)
		}
		if _, complete := g.complete(); complete {
			r.a.Algorithm += ", complete order of versions"
			return doubt
		}
		if !refuted {
			doubt = cmp.Or(doubt, r.settleRegister(ctx, g, m))
			refuted = r.refutes(m)
		}
		if refuted {
			doubt = cmp.Or(doubt, r.unnamed(m))
		}
	}
	return doubt
}

// settleRegister seeks an order of versions for a model: first one that keeps
// real time, which leaves few choices and proves all that is weaker.
func (r *run) settleRegister(ctx context.Context, g *registers, m Model) string {
	wanted, why := rules[m], error(nil)
	for _, try := range slices.Compact([]rule{{wanted.level, realtimeOrder}, wanted}) {
		if why = cmp.Or(ctx.Err(), r.memory.take(r.size.chainBytes(), "chains of versions")); why != nil {
			break
		}
		chains, ok := newOpenChains(g, try.order == realtimeOrder, r.mostChoices())
		if !ok {
			why = fmt.Errorf("there are more than %d choices between two orders", r.mostChoices())
			continue
		}
		if why = r.payForced(chains); why != nil {
			continue
		}
		var outcome graph.Outcome
		var name Anomaly
		var f *Finding
		outcome, name, f, why = r.decide(ctx, chains, g.committed, try)
		switch {
		case outcome == graph.Possible:
			r.a.Algorithm += ", order of versions by search"
			return ""
		case outcome == graph.Impossible && try == wanted:
			r.a.Algorithm += ", order of versions by search"
			r.found.add(name, func() Finding { return *f })
			r.a.refuted[m] = true
			return ""
		}
	}
	return undecided(wanted.level, g.openKeys(), why)
}

// payForced pays for what follows from the order of real time, or says why it
// is too much.
func (r *run) payForced(c *openChains) error {
	if len(c.forced) > r.o.Steps {
		return graph.ErrSteps
	}
	return r.memory.take(int64(len(c.pairs))*choiceBytes+int64(len(c.forced))*(choiceBytes+2*(edgeBytes+builtBytes)), "what real time orders")
}

// openKeys counts the keys of which the order of versions is open.
func (r *registers) openKeys() int {
	n := 0
	for _, list := range r.findChains() {
		if len(list) > 1 {
			n++
		}
	}
	return n
}
