package models

import (
	"context"
	"fmt"
)

// owned lists the writes of one session by key.
type owned struct {
	of   [][]int32
	keys []int32 // those that were written
}

func newOwned(s *sessions) *owned { return &owned{of: make([][]int32, s.keys)} }

// begin forgets the session before.
func (o *owned) begin() {
	for _, key := range o.keys {
		o.of[key] = o.of[key][:0]
	}
	o.keys = o.keys[:0]
}

func (o *owned) add(key, write int32) {
	if len(o.of[key]) == 0 {
		o.keys = append(o.keys, key)
	}
	o.of[key] = append(o.of[key], write)
}

// readYourWrites puts every own earlier write of the key before the one that
// a read returned. If all of these were invoked in this order, too, that is an
// arbitration. Of keys where they were not, a graph tells whether there is one.
func (s *sessions) readYourWrites(ctx context.Context) judged {
	suspect := make([]bool, s.keys)
	some := false
	last := newOwned(s)
	for _, list := range s.of {
		last.begin()
		for _, v := range list {
			a := &s.ops[v]
			if s.watch.over(0) {
				return unknown("time ran out while reads were compared with the writes of their sessions")
			}
			if a.write {
				last.of[a.key] = last.of[a.key][:0]
				last.add(a.key, v)
			}
			if own := last.of[a.key]; a.read && len(own) > 0 {
				w := own[0]
				if a.from < 0 {
					return s.explain(newBefore(len(s.ops), s.watch), "own write missed", fmt.Sprintf("%s returned the initial value after %s", s.name(v), s.name(w)), w, []edge{{v, becauseSession, -1}})
				}
				if w > a.from {
					suspect[a.key], some = true, true
				}
			}
		}
	}
	if some {
		if bad := s.arbitrate(suspect); bad.Verdict != "" {
			return bad
		}
	}
	return valid("%s of %s: each read its own writes, or later ones", plural(len(s.ops), "operation"), plural(len(s.of), "session"))
}

// ownWrites are those of a session to one key, in a graph. A read of a foreign
// write comes after all of them: they lead to an auxiliary node, and that to
// what was read and to the next auxiliary node. A read of an own write puts the
// others before it; those before the latest such write precede that already.
type ownWrites struct {
	top   int32   // the latest own write that was read, -1 none
	since []int32 // own writes that did not precede top
	all   int32   // the auxiliary node, -1 none
	rest  []int32 // own writes since that
}

// arbitrate judges whether the writes of some keys can be ordered.
func (s *sessions) arbitrate(suspect []bool) judged {
	b := newBefore(len(s.ops), s.watch)
	own := make([]ownWrites, s.keys)
	var used []int32
	for _, list := range s.of {
		for _, key := range used {
			own[key] = ownWrites{}
		}
		used = used[:0]
		for _, v := range list {
			a := &s.ops[v]
			if s.watch.over(0) {
				return unknown("time ran out while an order of the writes was looked for")
			}
			if !suspect[a.key] {
				continue
			}
			o := &own[a.key]
			if a.write {
				if o.since == nil {
					*o = ownWrites{top: -1, all: -1}
					used = append(used, a.key)
				}
				o.since, o.rest = append(o.since, v), append(o.rest, v)
			}
			if a.read && a.from >= 0 && o.since != nil {
				o.read(b, v, a.from, a.from < v && s.ops[a.from].session == a.session)
			}
		}
	}
	if b.order() == nil {
		way := contracted(b)
		if len(way) == 0 {
			return outOfTime()
		}
		return s.explain(newBefore(len(s.ops), s.watch), "no arbitration", "no order of the writes lets every session read its own ones", way[len(way)-1].to, way)
	}
	return judged{}
}

// read adds what follows from a read of a write that is an own one or is not.
func (o *ownWrites) read(b *before, v, from int32, own bool) {
	if !own {
		if o.all < 0 || len(o.rest) > 0 {
			all := b.auxiliary()
			if o.all >= 0 {
				b.add(o.all, all, v)
			}
			for _, w := range o.rest {
				b.add(w, all, v)
			}
			o.all, o.rest = all, o.rest[:0]
		}
		b.add(o.all, from, v)
		return
	}
	if o.top >= 0 && o.top != from {
		b.add(o.top, from, v)
	}
	for _, w := range o.since {
		if w != from && w != o.top {
			b.add(w, from, v)
		}
	}
	o.top, o.since = from, o.since[:0]
}

// contracted is a cycle without auxiliary nodes: the read that led out of them
// puts the write that led in before what it returned. It is nil if time has run
// out.
func contracted(b *before) (way []edge) {
	for _, e := range b.cycle() {
		if int(e.to) < b.real {
			way = append(way, e)
		}
	}
	return way
}
