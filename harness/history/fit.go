package history

import (
	"fmt"
	"slices"
)

// One rule says which completion fits an invocation, for all workloads and
// formats. What was read may differ from what was asked; what was done may not:
//
//   - The function and the key are the same.
//   - Where the value is a list of micro-operations [f key …], its completion has
//     as many, in the same order, with the same functions and keys, and the same
//     written values. Only the results of reads (r, read, rp, poll) differ, and a
//     send may tell its offset, [send key [offset value]].
//   - The completion of a function that changes something by its argument (echoes)
//     is that argument again, nil, or true; an append may tell its
//     offset, [offset value]. False is the answer of an add or remove that changed
//     nothing, and of a cas or an acquire that was refused, which is taken for
//     failed; of others it says nothing, and is refused. What failed may tell why, or what it found: that it
//     did not happen says all about it.
//   - An argument that is nil is learned from the completion, as of a write whose
//     client chose the value. If that is nil, too, and the outcome is not known, then
//     nobody knows what was attempted: such a history cannot be judged.
//
// Any other completion is a contradiction: the client, or who wrote the history
// down, lost something that was done. Results of all other functions are free.

// echoes are the functions whose completion repeats their argument.
var echoes = []string{"write", "cas", "add", "remove", "enqueue", "append", "transfer", "insert"}

// gives are functions that may be invoked without an argument, which the
// completion does not tell either; one that they were given they keep.
var gives = []string{"send", "release", "delete"}

// Refused reports whether an operation that is ok by its kind was refused by its
// answer: a cas or an acquire that is false.
func Refused(f string, kind EventKind, answer Value) bool {
	yes, flag := answer.AsBool()
	return kind == OK && flag && !yes && (f == "cas" || f == "acquire")
}

// Learn returns the argument of an operation of f that was invoked with
// argument and completed with answer.
func Learn(f string, kind EventKind, argument, answer Value) Value {
	if !argument.IsNil() || kind == Fail || !slices.Contains(echoes, f) && !microOperations(answer) {
		return argument
	}
	if _, flag := answer.AsBool(); flag {
		return argument
	}
	return answer
}

// Misfit says why the completion of an operation of f does not fit its
// argument, as Learn returns it, "" if it does.
func Misfit(f string, kind EventKind, argument, answer Value) string {
	switch {
	case microOperations(argument) && (kind != Fail || microOperations(answer)):
		return misfitting(argument, answer)
	case kind == Fail:
		return ""
	case argument.IsNil() && kind == Info && (f == "txn" || f == "send" || slices.Contains(echoes, f)):
		return "it is of unknown outcome, and neither its invocation nor its completion says what was attempted"
	case answer.IsNil() || answer.Equal(argument):
		return ""
	case f == "init":
		return other(argument, answer)
	case f == "txn":
		if argument.IsNil() {
			return ""
		}
		return fmt.Sprintf("it was invoked with %s and completed with %s; expected that again, or nil", argument, answer)
	case !slices.Contains(echoes, f) && (!slices.Contains(gives, f) || argument.IsNil()):
		return ""
	}
	yes, told := answer.AsBool()
	_, flag := argument.AsBool()
	if told && !yes && !flag && f != "add" && f != "remove" {
		return fmt.Sprintf("it was ok with %s, which does not say whether it was done; expected fail, or another answer", answer)
	}
	_, offset := answer.AsInt()
	pair := answer.Kind() == KindList && answer.Len() == 2 && answer.At(1).Equal(argument)
	if told && !flag || pair && (f == "append" || f == "send") || offset && f == "send" {
		return ""
	}
	return fmt.Sprintf("it was invoked with %s and completed with %s; expected that again, nil or true", argument, answer)
}

// other says what an init, whose argument and result are maps of rows, has that
// it was not to write. Rows may be missing: those were deleted at once.
func other(argument, answer Value) string {
	asked, ok := argument.AsMap()
	rows, told := answer.AsMap()
	if !ok || !told {
		return ""
	}
	for _, row := range rows {
		if !slices.ContainsFunc(asked, func(a Pair) bool { return a.Key.Equal(row.Key) && a.Value.Equal(row.Value) }) {
			return fmt.Sprintf("it was invoked with the rows %s and completed with %s; expected no others", argument, answer)
		}
	}
	return ""
}

// misfitting is Misfit of lists of micro-operations. One that says nothing
// fits: then the results of its reads are not known.
func misfitting(argument, answer Value) string {
	if answer.IsNil() {
		return ""
	}
	if answer.Kind() != KindList || answer.Len() != argument.Len() {
		return fmt.Sprintf("it was invoked with the micro-operations %s and completed with %s; expected as many", argument, answer)
	}
	for i := range argument.Len() {
		asked, done := argument.At(i), answer.At(i)
		if !fits(asked, done) {
			return fmt.Sprintf("its micro-operation %d was invoked as %s and completed as %s; only what was read may differ", i+1, asked, done)
		}
	}
	return ""
}

// fits reports whether a micro-operation may be the completion of another one.
func fits(asked, done Value) bool {
	if bare(asked).Equal(bare(done)) {
		return true
	}
	if done.Kind() != KindList || done.Len() == 0 || !done.At(0).Equal(asked.At(0)) {
		return false
	}
	switch f, _ := asked.At(0).AsString(); f {
	case "poll":
		return asked.Len() <= 2 && done.Len() <= 2
	case "r", "read", "rp": // the result may be missing where it is not known
		return done.Len() >= 2 && done.Len() <= 3 && asked.Len() >= 2 && done.At(1).Equal(asked.At(1))
	case "send":
		if done.Len() != 3 || asked.Len() != 3 || !done.At(1).Equal(asked.At(1)) {
			return false
		}
		told := done.At(2)
		return told.Kind() == KindList && told.Len() == 2 && told.At(1).Equal(asked.At(2))
	}
	return false
}

// bare is a list without the nils at its end: [delete key] is [delete key nil].
func bare(v Value) Value {
	n := v.Len()
	for n > 0 && v.At(n-1).IsNil() {
		n--
	}
	if v.Kind() != KindList || n == v.Len() {
		return v
	}
	list, _ := v.AsList()
	return List(list[:n]...)
}

// microOperations reports whether v is a list of micro-operations, each a list
// that begins with the name of its function.
func microOperations(v Value) bool {
	if v.Kind() != KindList || v.Len() == 0 {
		return false
	}
	for _, m := range v.Elements() {
		if m.Kind() != KindList || m.Len() == 0 {
			return false
		}
		if _, named := m.At(0).AsString(); !named {
			return false
		}
	}
	return true
}
