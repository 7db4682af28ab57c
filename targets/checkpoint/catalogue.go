package checkpoint

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/cleancut/cleancut/workloads/jobs"
)

// entry is a checkpoint that a worker took on its own, in the ledger's
// catalogue. A checkpoint is one to count on from the moment at which it is in
// there, and no longer when it is not.
type entry struct {
	number int
	// txns is how many transactions of output its worker had closed, ever.
	txns int
	// result is a hash of the job's result there if the worker was done with
	// its part, else 0.
	result uint64
	counts
}

// counts are the dependencies of a state: how many messages its worker has
// sent in each of its outgoing channels and received in each incoming one,
// ever, in the order of the workers' numbers. Channels are first in, first
// out, so that the counts of two states say which messages one has received
// and the other not sent.
type counts struct{ sent, received []uint64 }

// MarshalJSON writes numbers only: the ledger must fit into a value of the
// store.
func (e entry) MarshalJSON() ([]byte, error) {
	list := []uint64{uint64(e.number), uint64(e.txns), e.result, uint64(len(e.sent))}
	return json.Marshal(slices.Concat(list, e.sent, e.received))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *entry) UnmarshalJSON(b []byte) error {
	var list []uint64
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if len(list) < 4 || list[3] > uint64(len(list)-4) {
		return errors.New("checkpoint: an entry of the catalogue is cut off")
	}
	n := 4 + int(list[3])
	*e = entry{number: int(list[0]), txns: int(list[1]), result: list[2], counts: counts{list[4:n:n], list[n:]}}
	return nil
}

// links says who sends to whom: for each worker the others that it sends to,
// and those that send to it, ascending.
type links struct{ tos, froms [][]int }

func linksOf(j jobs.Job, n int) links {
	l := links{make([][]int, n), make([][]int, n)}
	for _, c := range j.Channels(n) {
		l.tos[c[0]] = append(l.tos[c[0]], c[1])
		l.froms[c[1]] = append(l.froms[c[1]], c[0])
	}
	for p := range n {
		slices.Sort(l.tos[p])
		slices.Sort(l.froms[p])
	}
	return l
}

// initial is the state in which a worker begins.
func (l links) initial(p int) counts {
	return counts{make([]uint64, len(l.tos[p])), make([]uint64, len(l.froms[p]))}
}

// orphans reports whether state b of worker q has received messages that state
// a of worker p, which sends to it, has not sent.
func (l links) orphans(p, q int, a, b counts) bool {
	i, _ := slices.BinarySearch(l.tos[p], q)
	k, _ := slices.BinarySearch(l.froms[q], p)
	return b.received[k] > a.sent[i]
}

// recoveryLine returns the latest line of states without orphans, as a place
// in each worker's list of candidates, oldest first. It reports false if there
// is none.
//
// It is rollback propagation (Bhargava and Lian, SRDS 1988; Elnozahy et al.
// 2002, section 3.1.3): whoever has received what nobody has sent goes back,
// until nobody has. Consistent lines form a lattice, so that the order in
// which processes go back does not matter, and no line is later.
func (l links) recoveryLine(candidates [][]counts) ([]int, bool) {
	line := make([]int, len(candidates))
	for p := range line {
		if line[p] = len(candidates[p]) - 1; line[p] < 0 {
			return nil, false
		}
	}
	for again := true; again; {
		again = false
		for p := range line {
			for _, q := range l.tos[p] {
				for l.orphans(p, q, candidates[p][line[p]], candidates[q][line[q]]) {
					if line[q]--; line[q] < 0 {
						return nil, false
					}
					again = true
				}
			}
		}
	}
	return line, true
}

// candidates lists the states of a worker that the catalogue has: the one in
// which it began, as long as nothing was let go, and its checkpoints.
func (l *ledger) candidates(k links, p int) (list []counts) {
	if l.Gone[p] == 0 {
		list = append(list, k.initial(p))
	}
	for _, e := range l.Stable[p] {
		list = append(list, e.counts)
	}
	return list
}

// at returns the checkpoint that is a place among the candidates, and whether
// it is one and not the beginning.
func (l *ledger) at(p, place int) (entry, bool) {
	if l.Gone[p] == 0 {
		place--
	}
	if place < 0 {
		return entry{}, false
	}
	return l.Stable[p][place], true
}

// safeLine returns where everybody would stand if all workers failed now: no
// recovery ever goes behind it, for checkpoints that come later do not make it
// inconsistent. With replay, that is everybody's newest checkpoint.
func (l *ledger) safeLine(k links, replays bool) ([]int, bool) {
	all := make([][]counts, len(l.Stable))
	for p := range all {
		all[p] = l.candidates(k, p)
	}
	if !replays {
		return k.recoveryLine(all)
	}
	line := make([]int, len(all))
	for p := range line {
		line[p] = len(all[p]) - 1
	}
	return line, true
}

// settle releases the output that lies behind the safe line, and lets go of
// the checkpoints that lie behind it but for some more that are to be kept. It
// returns what is garbage now.
//
// Only checkpoints count of which their workers know that they do: who has not
// heard of it has not recorded it either, and the record would show others
// going without what only that checkpoint makes good.
func (l *ledger) settle(k links, replays bool, retain int, workers []string, known []int) (dropped []garbage) {
	line, ok := l.upTo(known).safeLine(k, replays)
	if !ok {
		return nil
	}
	for p, place := range line {
		e, there := l.at(p, place)
		if !there {
			continue
		}
		l.Shown[p] = max(l.Shown[p], e.txns)
		i := slices.IndexFunc(l.Stable[p], func(o entry) bool { return o.number == e.number })
		for range i - (retain - 1) {
			l.Gone[p] = l.Stable[p][0].number
			dropped = append(dropped, garbage{workers[p], l.Gone[p]})
			l.Stable[p] = l.Stable[p][1:]
		}
	}
	return dropped
}

// upTo is the ledger with no checkpoints after those of known.
func (l *ledger) upTo(known []int) *ledger {
	c := *l
	c.Stable = make([][]entry, len(l.Stable))
	for p, list := range l.Stable {
		n := 0
		for n < len(list) && list[n].number <= known[p] {
			n++
		}
		c.Stable[p] = list[:n]
	}
	return &c
}

// numbers lists the checkpoints of a worker that are in the catalogue.
func (l *ledger) numbers(p int) (list []int) {
	if l.Stable != nil {
		for _, e := range l.Stable[p] {
			list = append(list, e.number)
		}
	}
	return list
}

// covered returns up to which message what p sent to q is in every checkpoint
// of q that may ever be restored.
func (l *ledger) covered(k links, p, q int) uint64 {
	if l.Gone[q] == 0 || len(l.Stable[q]) == 0 {
		return 0
	}
	i, _ := slices.BinarySearch(k.froms[q], p)
	return l.Stable[q][0].received[i]
}
