// Package models judges histories by models other than linearizability and
// transactional isolation: what Jepsen's checkers of sets, queues, counters,
// identifiers and bank accounts judge, what sessions may expect of replicated
// data, and what is lost in a crash.
//
// One file holds one family. Each says what it takes, its definition, where
// the definition comes from, its bounds, and what it does not check.
// Operations that failed must truly not have happened; in doubt they must be
// info. Order in real time is that of event indices: one operation precedes
// another if it completed before the other was invoked. Operations of
// functions that a checker does not know are left out where they cannot matter;
// where they may have changed what is judged, the verdict is unknown, as is that
// of a history with none that it knows.
package models

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Functions of operations.
const (
	Read     = "read"
	Write    = "write"
	CAS      = "cas"
	Delete   = "delete"
	Append   = "append"
	Add      = "add"
	Remove   = "remove"
	Contains = "contains"
	Enqueue  = "enqueue"
	Dequeue  = "dequeue"
	Drain    = "drain"
	Generate = "generate"
	Transfer = "transfer"
	Insert   = "insert"
	Txn      = "txn"
)

// judged is what a checker of this package concludes; the rest of the verdict
// is added by judge.
type judged = checkers.Verdict

// judge makes a checker of a function on the operations of a history.
func judge(name, algorithm string, f func(ctx context.Context, ops []history.Operation) judged) checkers.Checker {
	return checkers.Func(name, func(ctx context.Context, e *checkers.Evidence) checkers.Verdict {
		v := f(ctx, e.Operations)
		v.Algorithm, v.Reason = algorithm, clip(v.Reason)
		if v.Witness != nil {
			v.Witness.Summary = clip(v.Witness.Summary)
		}
		return v
	})
}

// maxSentence bounds the length of a sentence in bytes: the list that a read
// returned may have millions of elements.
const maxSentence = 1000

// clip shortens a sentence that is too long, between two runes.
func clip(s string) string {
	if len(s) <= maxSentence {
		return s
	}
	return strings.ToValidUTF8(s[:maxSentence], "") + " …"
}

// brief is how a value stands in a sentence: of a long list the first elements.
func brief(v history.Value) string {
	const most = 8
	if n := v.Len(); n > most {
		first := make([]history.Value, most)
		for i := range first {
			first[i] = v.At(i)
		}
		return fmt.Sprintf("%s … and %d more]", strings.TrimSuffix(history.List(first...).String(), "]"), n-most)
	}
	return clip(v.String())
}

func valid(format string, args ...any) judged {
	return judged{Verdict: checkers.Valid, Reason: fmt.Sprintf(format, args...)}
}

func unknown(format string, args ...any) judged {
	return judged{Verdict: checkers.Unknown, Reason: fmt.Sprintf(format, args...)}
}

// notApplicable says what did not occur that was to be judged.
func notApplicable(format string, args ...any) judged {
	return judged{Verdict: checkers.NotApplicable, Reason: fmt.Sprintf(format, args...)}
}

// invalid makes a verdict with its witness. The operations are put in order
// of invocation, each once.
func invalid(class, summary string, ops ...history.Operation) judged {
	slices.SortFunc(ops, func(a, b history.Operation) int { return int(a.Call - b.Call) })
	ops = slices.CompactFunc(ops, func(a, b history.Operation) bool { return a.Call == b.Call })
	w := &checkers.Witness{Class: class, Summary: summary, Operations: ops}
	for i, o := range ops {
		end := o.Invoked
		if o.Completed != history.Never {
			end = o.Completed
		}
		if i == 0 {
			w.Key, w.From = o.Key, o.Invoked
		}
		if o.Key != w.Key {
			w.Key = ""
		}
		w.To = max(w.To, end)
	}
	return judged{Verdict: checkers.Invalid, Reason: summary, Witness: w}
}

// with adds measures.
func with(v judged, measures map[string]float64) judged {
	v.Measures = measures
	return v
}

// precedes reports whether a completed before b was invoked. An operation of
// unknown outcome precedes nothing.
func precedes(a, b *history.Operation) bool {
	return ended(a) < b.Call
}

// never is later than every index of an event.
const never = int64(1<<63 - 1)

// ended is the index at which o certainly had taken effect, or had failed.
func ended(o *history.Operation) int64 {
	if o.Outcome == history.Info || o.Return < 0 {
		return never
	}
	return o.Return
}

// interner gives small numbers to values; equal values have the same number.
type interner struct {
	ints   map[int64]int
	others map[string]int
	values []history.Value
}

func newInterner() *interner {
	return &interner{ints: map[int64]int{}, others: map[string]int{}}
}

// id returns the number of v, a new one if v was not seen.
func (in *interner) id(v history.Value) int {
	if id, ok := in.find(v); ok {
		return id
	}
	id := len(in.values)
	if n, ok := v.AsInt(); ok {
		in.ints[n] = id
	} else {
		in.others[string(v.AppendJSON(nil))] = id
	}
	in.values = append(in.values, v)
	return id
}

// find returns the number of v if v was seen.
func (in *interner) find(v history.Value) (int, bool) {
	var id int
	var ok bool
	if n, isInt := v.AsInt(); isInt {
		id, ok = in.ints[n]
	} else {
		id, ok = in.others[string(v.AppendJSON(nil))]
	}
	return id, ok
}

// sequence is the list that v is: a set of three is no micro-operation, as it
// has no order.
func sequence(v history.Value) ([]history.Value, bool) {
	if v.Kind() != history.KindList {
		return nil, false
	}
	return v.AsList()
}

// few prints up to eight values.
func few(vs []history.Value) string {
	const most = 8
	var words []string
	for i, v := range vs {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(vs)-most))
			break
		}
		words = append(words, v.String())
	}
	return strings.Join(words, ", ")
}

// plural is "1 thing" or "3 things".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// every is "the only thing", "all 3 things", or "all 0 things".
func every(n int, thing string) string {
	if n == 1 {
		return "the only " + thing
	}
	return "all " + plural(n, thing)
}

// keyJudge judges the operations on one key.
type keyJudge func(w *watch, ops []history.Operation) judged

// knowing makes unknown what f would judge of a key on which something was done
// that it does not know, and which may have changed what it judges.
func knowing(f keyJudge, functions ...string) keyJudge {
	return func(w *watch, ops []history.Operation) judged {
		for i := range ops {
			if o := &ops[i]; o.Outcome != history.Fail && !slices.Contains(functions, o.F) {
				return unknown("the %s at event %d may have changed something; only %s can be judged by this model", o.F, o.Call, strings.Join(functions, ", "))
			}
		}
		return f(w, ops)
	}
}

// perKey judges each key alone with f: an invalid key decides, then an
// unknown one; measures add up.
func perKey(ctx context.Context, ops []history.Operation, f keyJudge) judged {
	w := newWatch(ctx)
	byKey := map[string][]history.Operation{}
	var keys []string
	for _, o := range ops {
		if w.over(0) {
			return lateReading(ops)
		}
		if byKey[o.Key] == nil {
			keys = append(keys, o.Key)
		}
		byKey[o.Key] = append(byKey[o.Key], o)
	}
	if len(keys) == 0 {
		return unknown("the history has no operations")
	}
	slices.Sort(keys)
	merged := judged{Measures: map[string]float64{}}
	for n, key := range keys {
		if w.over(0) {
			if merged.Verdict == checkers.Invalid {
				break
			}
			return unknown("time ran out after %d of %s", n, plural(len(keys), "key"))
		}
		v := f(w, byKey[key])
		for name, x := range v.Measures {
			merged.Measures[name] += x
		}
		if v.Verdict.Beats(merged.Verdict) {
			merged.Verdict, merged.Reason, merged.Witness = v.Verdict, v.Reason, v.Witness
			if key != "" {
				merged.Reason = "key " + key + ": " + v.Reason
			}
		}
	}
	if merged.Verdict == checkers.Valid && len(keys) > 1 {
		merged.Reason = fmt.Sprintf("each of %d keys is valid; for one, %s", len(keys), merged.Reason)
	}
	return merged
}
