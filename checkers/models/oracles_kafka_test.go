package models

import (
	"math/rand/v2"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// drawKafka draws sends to one log, which mostly give out rising offsets, and
// polls of a piece of it, now and then with a mistake.
func drawKafka(next *int64) func(r *rand.Rand) history.Operation {
	failed := map[int64]bool{}
	return func(r *rand.Rand) history.Operation {
		pair := func(offset, value int64) history.Value { return history.List(history.Int(offset), history.Int(value)) }
		o := history.Operation{F: "send", Outcome: outcome(r)}
		switch c := r.IntN(12); {
		case c == 0:
			return history.Operation{F: []string{"assign", "subscribe"}[r.IntN(2)], Outcome: history.OK}
		case c < 6:
			*next++
			offset := *next
			if r.IntN(20) == 0 {
				offset = r.Int64N(*next + 1)
			}
			sent := pair(offset, 100+*next)
			if r.IntN(10) == 0 {
				sent = history.List(history.Nil, history.Int(100+*next))
			}
			failed[*next] = o.Outcome == history.Fail
			o.Input = history.List(history.List(history.Keyword("send"), history.Int(0), history.Int(100+*next)))
			o.Output = history.List(history.List(history.Keyword("send"), history.Int(0), sent))
			return o
		}
		var messages []history.Value
		from := r.Int64N(*next + 1)
		for at := from + 1; at <= *next; at++ {
			offset, value := at, 100+at
			if failed[at] && r.IntN(20) > 0 {
				continue
			}
			switch r.IntN(40) {
			case 0:
				continue
			case 1:
				offset = r.Int64N(*next + 2)
			case 2:
				value = 100 + r.Int64N(*next+2)
			}
			messages = append(messages, pair(offset, value))
		}
		m, _ := history.Map(history.Pair{Key: history.Int(0), Value: history.List(messages...)})
		o.F, o.Input = "poll", history.List(history.List(history.Keyword("poll")))
		o.Output = history.List(history.List(history.Keyword("poll"), m))
		return o
	}
}

// message is one send, or one message of a poll.
type message struct {
	op            *history.Operation
	offset, value int64
	known         bool
}

// kafkaOracle asks for each anomaly in the words of Kafka.
func kafkaOracle(ops []history.Operation) checkers.Validity {
	var sends, polls []message
	for i := range ops {
		o := &ops[i]
		list, _ := content(o).AsList()
		if len(list) == 0 {
			continue
		}
		mop, _ := list[0].AsList()
		if o.F == "send" {
			m := message{op: o}
			v := mop[2]
			if pair, ok := v.AsList(); ok {
				m.offset, m.known = pair[0].AsInt()
				v = pair[1]
			}
			m.value, _ = v.AsInt()
			sends = append(sends, m)
		}
		if o.F == "poll" && o.Outcome == history.OK {
			pairs, _ := mop[1].AsMap()
			messages, _ := pairs[0].Value.AsList()
			for _, v := range messages {
				pair, _ := v.AsList()
				offset, _ := pair[0].AsInt()
				value, _ := pair[1].AsInt()
				polls = append(polls, message{o, offset, value, true})
			}
		}
	}
	happened := slices.DeleteFunc(slices.Clone(sends), func(m message) bool { return m.op.Outcome == history.Fail })
	known := slices.DeleteFunc(append(slices.Clone(happened), polls...), func(m message) bool { return !m.known })
	if strangers(polls, happened) || misplaced(known) || lostMessage(happened, polls, known) || wrongSteps(ops, polls, known) {
		return checkers.Invalid
	}
	for _, a := range happened {
		for _, b := range happened {
			if a.known && b.known && a.op.Process == b.op.Process && a.op.Call < b.op.Call && b.offset <= a.offset {
				return checkers.Invalid
			}
		}
	}
	if len(happened) == 0 || len(polls) == 0 {
		return checkers.Unknown
	}
	return checkers.Valid
}

// strangers: somebody polled what nobody sent, or what failed.
func strangers(polls, happened []message) bool {
	return slices.ContainsFunc(polls, func(p message) bool {
		return !slices.ContainsFunc(happened, func(s message) bool { return s.value == p.value })
	})
}

// misplaced: two values at one offset, or one value at two.
func misplaced(known []message) bool {
	for _, a := range known {
		for _, b := range known {
			if (a.offset == b.offset) != (a.value == b.value) {
				return true
			}
		}
	}
	return false
}

func lostMessage(happened, polls, known []message) bool {
	if len(polls) == 0 {
		return false
	}
	top := slices.MaxFunc(polls, func(a, b message) int { return int(a.offset - b.offset) })
	for _, s := range happened {
		if s.op.Outcome != history.OK || slices.ContainsFunc(polls, func(p message) bool { return p.value == s.value }) {
			continue
		}
		if s.known && s.offset <= top.offset {
			return true
		}
		for _, w := range happened {
			if !s.known && w.value == top.value && precedes(s.op, w.op) {
				return true
			}
		}
	}
	return false
}

// wrongSteps: of two messages polled one after the other without reassignment,
// the second does not come next among all known ones.
func wrongSteps(ops []history.Operation, polls, known []message) bool {
	for i, a := range polls {
		for _, b := range polls[i+1:] {
			if b.op.Process != a.op.Process {
				continue
			}
			anew := false
			for _, o := range ops {
				moves := o.F == "subscribe" || o.F == "assign" && o.Outcome == history.OK
				if o.F != "send" && o.F != "poll" && o.Process == a.op.Process && o.Call < b.op.Call && (moves || o.Call > a.op.Call) {
					anew = o.Call > a.op.Call || o.F == "subscribe" && a.op != b.op
				}
			}
			if !anew && (b.offset <= a.offset || slices.ContainsFunc(known, func(m message) bool { return m.offset > a.offset && m.offset < b.offset })) {
				return true
			}
			break
		}
	}
	return false
}
