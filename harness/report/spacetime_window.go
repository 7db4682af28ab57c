package report

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/record"
)

// Bounds of a space-time diagram, so that it stays readable.
const (
	drawnLanesMax    = 60
	drawnMessagesMax = 260
	denseMessages    = 900 // more than that in the window, and it is narrowed
	windowEventsMin  = 80
)

// window is the part of a record that is drawn.
type window struct {
	from, to time.Duration
	// why says what it shows.
	why string
	// mark bounds the violation, if there is one.
	marked           bool
	markFrom, markTo time.Duration
	// words are the words of the witness: names of processes and messages
	// among them.
	words    map[string]bool
	narrowed bool
}

// windowOf chooses what to draw: the violation, else the first recovery, else
// the last round.
func (c *chronicle) windowOf(verdicts []checkers.Verdict) window {
	first, last := c.bounds()
	w := window{from: first, to: last, why: "the whole record"}
	if v := violation(verdicts, first, last); v != nil {
		w.marked, w.markFrom, w.markTo = true, v.Witness.From, v.Witness.To
		w.from, w.to, w.why = v.Witness.From, v.Witness.To, "the violation that "+v.Checker+" found"
		w.words = wordsOf(v.Witness)
		c.focus(&w)
	} else if i := slices.IndexFunc(c.lines, func(l *cutLine) bool { return l.round == nil }); i >= 0 {
		w.from, w.to = c.recoverySpan(c.lines[i].recovery)
		w.why = "the first recovery"
	} else if n := len(c.lines); n > 0 {
		r := c.lines[n-1].round
		w.from, w.to = r.firstPart, c.events[r.commit].T
		w.why = "the last committed round"
	}
	c.widen(&w)
	if w.marked {
		c.narrow(&w)
	}
	return w
}

// violation returns the first verdict whose witness lies in the record. Those
// that rest on operations of clients, which it does not show, come last.
func violation(verdicts []checkers.Verdict, first, last time.Duration) (found *checkers.Verdict) {
	for i := range verdicts {
		w := verdicts[i].Witness
		if verdicts[i].Verdict != checkers.Invalid || w == nil || w.To <= 0 || w.From > last || w.To < first {
			continue
		}
		if len(w.Operations) == 0 {
			return &verdicts[i]
		}
		if found == nil {
			found = &verdicts[i]
		}
	}
	return found
}

// focus narrows a window on a violation to where it begins: to the messages
// and checkpoints that the witness names, as they first appear. What was done
// again later says the same again.
func (c *chronicle) focus(w *window) {
	from, to := w.to, w.from
	seen := map[[2]string]bool{}
	i, j := c.span(w.from, w.to)
	for k := i; k < j; k++ {
		e := &c.events[k]
		name := ""
		switch e.Kind {
		case record.Send, record.Recv:
			name = e.Msg
		case record.CheckpointBegin:
			name = e.Ckpt
		}
		if key := [2]string{string(e.Kind), name}; name != "" && w.words[name] && !seen[key] {
			seen[key] = true
			from, to = min(from, e.T), max(to, e.T)
		}
	}
	if from < to && to-from < (w.to-w.from)/3 {
		w.why = "the beginning of " + w.why
		w.from, w.to = from, to
	}
}

// wordsOf splits all that a witness says.
func wordsOf(w *checkers.Witness) map[string]bool {
	words := map[string]bool{}
	for _, text := range append([]string{w.Summary, w.Key}, w.Lines...) {
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;:()[]\"`", r) }) {
			words[strings.TrimSuffix(strings.TrimRight(word, "."), "'s")] = true
		}
	}
	return words
}

// recoverySpan is the time from the last crash before a recovery until the
// processes compute again.
func (c *chronicle) recoverySpan(recovery int) (from, to time.Duration) {
	e := &c.events[recovery]
	from, to = e.T, e.T
	for i := recovery; i >= 0; i-- {
		if c.events[i].Kind == record.Crash {
			from = c.events[i].T
			break
		}
	}
	for i := recovery + 1; i < len(c.events) && c.events[i].Kind != record.Recovery; i++ {
		if k := c.events[i].Kind; k == record.Resume || k == record.Restore {
			to = c.events[i].T
		}
	}
	return from, to
}

// widen gives the window air on both sides, and the recovery lines in it
// room back to where they pass, if that is not too far.
func (c *chronicle) widen(w *window) {
	first, last := c.bounds()
	length := w.to - w.from
	for _, l := range c.lines {
		if l.round != nil || c.events[l.recovery].T < w.from || c.events[l.recovery].T > w.to {
			continue
		}
		for _, i := range l.at {
			if i >= 0 && c.events[i].T < w.from && c.events[i].T > w.to-4*length-time.Millisecond {
				w.from = c.events[i].T
			}
		}
	}
	air := (w.to - w.from) / 8
	w.from, w.to = w.from-air, w.to+air
	for step := time.Microsecond; ; step *= 2 {
		w.from, w.to = max(w.from, first), min(w.to, last)
		i, j := c.span(w.from, w.to)
		if j-i >= windowEventsMin || w.from == first && w.to == last {
			return
		}
		w.from, w.to = w.from-step, w.to+step
	}
}

// narrow moves the left edge to the right until the window is not too dense,
// but not past a message that the witness names. What is wrong shows at the
// end of a violation rather than at its beginning. A recovery is shown whole:
// where it goes back to is the point of it.
func (c *chronicle) narrow(w *window) {
	i, j := c.span(w.from, w.to)
	for k := i; k < j; k++ {
		if e := &c.events[k]; w.words[e.Msg] && e.Msg != "" {
			c.narrowTo(w, i, max(i, k-2*windowEventsMin), j)
			return
		}
	}
	c.narrowTo(w, i, j, j)
}

// narrowTo moves the left edge from event i to where the density allows, at
// most to event keep.
func (c *chronicle) narrowTo(w *window, i, keep, j int) {
	seen := 0
	for k := j - 1; k >= i; k-- {
		if c.events[k].Kind != record.Recv {
			continue
		}
		if seen++; seen > denseMessages && k <= keep {
			w.from, w.narrowed = c.events[k].T, true
			return
		}
	}
}

// message is an arrow: a receive and the send that it is of.
type message struct {
	id         string
	send, recv int // events, -1 if the record has none
	from, to   string
	// orphan: a line passes between a receive that it keeps and a send that
	// it undoes. transit: the other way round.
	orphan, transit bool
	named           bool // by the witness
}

// messagesIn returns the messages that were sent or received in the window.
func (c *chronicle) messagesIn(w window) []message {
	i, j := c.span(w.from, w.to)
	sends, recvs := map[string][]int{}, map[string][]int{}
	for k := i; k < j; k++ {
		if e := &c.events[k]; e.Kind == record.Send || e.Kind == record.Recv {
			sends[e.Msg], recvs[e.Msg] = nil, nil
		}
	}
	for k := range c.events {
		e := &c.events[k]
		if _, ok := sends[e.Msg]; !ok {
			continue
		}
		switch e.Kind {
		case record.Send:
			sends[e.Msg] = append(sends[e.Msg], k)
		case record.Recv:
			recvs[e.Msg] = append(recvs[e.Msg], k)
		}
	}
	lines := c.linesIn(w)
	var found []message
	arrived := map[int]bool{} // sends
	for k := i; k < j; k++ {
		e := &c.events[k]
		if e.Kind != record.Recv {
			continue
		}
		m := message{id: e.Msg, send: lastBefore(sends[e.Msg], k), recv: k, from: e.Peer, to: e.Proc}
		if m.send >= 0 {
			arrived[m.send] = true
		}
		found = append(found, m)
	}
	for k := i; k < j; k++ {
		if e := &c.events[k]; e.Kind == record.Send && !arrived[k] {
			m := message{id: e.Msg, send: k, recv: firstAfter(recvs[e.Msg], k), from: e.Proc, to: e.Peer}
			if again := firstAfter(sends[e.Msg], k); again >= 0 && again < m.recv {
				m.recv = -1 // what arrived was sent again
			}
			found = append(found, m)
		}
	}
	for n := range found {
		for _, l := range lines {
			c.place(&found[n], l, sends[found[n].id], recvs[found[n].id])
		}
	}
	return found
}

func lastBefore(events []int, k int) int {
	i, _ := slices.BinarySearch(events, k)
	if i == 0 {
		return -1
	}
	return events[i-1]
}

func firstAfter(events []int, k int) int {
	i, _ := slices.BinarySearch(events, k)
	if i == len(events) {
		return -1
	}
	return events[i]
}

// place says how a message lies to a line. It is an orphan if the line keeps
// this receive of it and none of its sends, and in transit if the line keeps
// this send and no receive.
func (c *chronicle) place(m *message, l *cutLine, sends, recvs []int) {
	from, knownFrom := c.lane[m.from]
	to, knownTo := c.lane[m.to]
	sendCut, a := l.at[m.from]
	recvCut, b := l.at[m.to]
	if !knownFrom || !knownTo || !a || !b {
		return
	}
	keeps := func(lane, cut int, events []int) bool {
		return slices.ContainsFunc(events, func(e int) bool { return c.holds(lane, cut, e) })
	}
	if m.recv >= 0 && c.holds(to, recvCut, m.recv) && !keeps(from, sendCut, sends) {
		m.orphan = true
	}
	if m.send >= 0 && c.holds(from, sendCut, m.send) && !keeps(to, recvCut, recvs) {
		m.transit = true
	}
}

// linesIn returns the lines of committed rounds of which a part can be seen,
// and the recovery lines that were decided in the window. If there is none of
// these, it is the first one that passes through.
func (c *chronicle) linesIn(w window) (seen []*cutLine) {
	within := func(i int) bool { return i >= 0 && c.events[i].T >= w.from && c.events[i].T <= w.to }
	var decided, passing []*cutLine
	for _, l := range c.lines {
		visible := false
		for _, i := range l.at {
			visible = visible || within(i)
		}
		switch {
		case l.round != nil && (visible || within(l.round.commit)):
			seen = append(seen, l)
		case l.round == nil && within(l.recovery):
			decided = append(decided, l)
		case l.round == nil && visible && c.events[l.recovery].T > w.to:
			passing = append(passing, l)
		}
	}
	if len(decided) == 0 {
		decided = passing[:min(1, len(passing))]
	}
	return append(seen, decided...)
}

// lanesIn chooses the processes to be drawn: all, if they are few; else those
// that the witness names, those that have an orphan, those to which something
// happened, and others from the top.
func (c *chronicle) lanesIn(w window, messages []message) []string {
	if len(c.procs) <= drawnLanesMax {
		return c.procs
	}
	weight := map[string]int{}
	for _, p := range c.procs {
		if w.words[p] {
			weight[p] += 1000
		}
	}
	for _, m := range messages {
		if m.orphan {
			weight[m.from] += 100
			weight[m.to] += 100
		}
	}
	i, j := c.span(w.from, w.to)
	for k := i; k < j; k++ {
		switch c.events[k].Kind {
		case record.Crash, record.CheckpointBad, record.Failure, record.Recovery, record.RoundBegin:
			weight[c.events[k].Proc]++
		}
	}
	chosen := slices.Clone(c.procs)
	slices.SortStableFunc(chosen, func(a, b string) int { return weight[b] - weight[a] })
	chosen = chosen[:drawnLanesMax]
	slices.SortFunc(chosen, natural)
	return chosen
}

// drawn chooses the messages to be drawn, in this order: orphans, those that
// the witness names, those in transit across a line, and others evenly.
func drawn(messages []message, lanes []string, words map[string]bool) (chosen []message, all int) {
	place := map[string]bool{}
	for _, p := range lanes {
		place[p] = true
	}
	var classes [4][]message
	for _, m := range messages {
		if !place[m.from] || !place[m.to] {
			continue
		}
		all++
		m.named = words[m.id]
		switch {
		case m.orphan:
			classes[0] = append(classes[0], m)
		case m.named:
			classes[1] = append(classes[1], m)
		case m.transit:
			classes[2] = append(classes[2], m)
		default:
			classes[3] = append(classes[3], m)
		}
	}
	for _, class := range classes {
		room := drawnMessagesMax - len(chosen)
		take := min(room, len(class))
		for i := range take {
			chosen = append(chosen, class[i*len(class)/take])
		}
	}
	return chosen, all
}
