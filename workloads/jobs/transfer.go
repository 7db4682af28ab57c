package jobs

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cleancut/cleancut/harness/rng"
	"github.com/cleancut/cleancut/harness/wire"
)

// Transfer moves money between processes: in each unit of work a process
// sends a random part of what it has to a random neighbour. What all of them
// have, and what is under way, always adds up to the same sum; a message that
// is lost or delivered twice, or a cut that is not consistent, changes it.
//
// Amounts depend on the balance, so that a re-execution that receives in
// another order sends other amounts: this is what makes an orphan message
// costly. Receivers do not depend on it, which fixes how many messages each
// process must have sent and received in the end. Processes are neighbours if
// their numbers differ by a power of two, modulo their count.
type Transfer struct{}

// transferStart is what every process begins with.
const transferStart = 1000

// amountMax is above what any execution can move in one message.
const amountMax = 1 << 40

// Name implements Job.
func (Transfer) Name() string { return "transfer" }

// Doc implements Job.
func (Transfer) Doc() string {
	return "money moves between processes; the sum over balances and messages never changes"
}

// Acyclic implements Job.
func (Transfer) Acyclic() bool { return false }

// Channels implements Job.
func (Transfer) Channels(procs int) (channels [][2]int) {
	for p := range procs {
		for _, q := range neighbours(p, procs) {
			channels = append(channels, [2]int{p, q})
		}
	}
	return channels
}

func neighbours(proc, procs int) (peers []int) {
	for d := 1; d < procs; d *= 2 {
		peers = append(peers, (proc+d)%procs, (proc-d+procs)%procs)
	}
	slices.Sort(peers)
	return slices.Compact(peers)
}

// New implements Job.
func (j Transfer) New(proc, procs int, seed uint64, size int) (App, error) {
	id, err := newIdentity(j.Name(), proc, procs, seed, size)
	if err != nil {
		return nil, err
	}
	a := &transfer{identity: id, peers: neighbours(proc, procs), balance: transferStart, stream: transferStream(seed, proc)}
	a.in, a.out = make([]inbox, len(a.peers)), make([]int64, len(a.peers))
	return a, nil
}

func transferStream(seed uint64, proc int) *rand.PCG {
	return rng.Source(seed, fmt.Sprintf("job/transfer/%d", proc))
}

// Answer implements Job.
func (j Transfer) Answer(procs int, seed uint64, size int) (*Answer, error) {
	if _, err := newIdentity(j.Name(), 0, procs, seed, size); err != nil {
		return nil, err
	}
	received := make([]int64, procs)
	for p := range procs {
		stream, peers := transferStream(seed, p), neighbours(p, procs)
		for range size {
			received[peers[stream.Uint64()%uint64(len(peers))]]++
			stream.Uint64() // the amount
		}
	}
	a := &Answer{Shared: true, Total: int64(procs) * transferStart, Outputs: make([][]Output, procs)}
	for p := range procs {
		a.Results = append(a.Results, transferResult(int64(size), received[p], 0))
	}
	return a, nil
}

func transferResult(sent, received, odd int64) string {
	return fmt.Sprintf("sent=%d received=%d odd=%d", sent, received, odd)
}

type transfer struct {
	identity
	peers  []int
	stream *rand.PCG

	balance, sent, received int64
	// odd counts messages that were not the next of their channel.
	odd   int64
	ended bool // the last message was sent on every channel
	in    []inbox
	out   []int64 // number of the next message, by peer
}

func (a *transfer) Step(out Out) bool {
	if a.ended {
		return false
	}
	if a.sent == int64(a.size) {
		for i := range a.peers {
			a.send(out, i, 0, true)
		}
		a.ended = true
		return true
	}
	// Exactly two numbers are drawn, whatever the balance is.
	i := int(a.stream.Uint64() % uint64(len(a.peers)))
	amount := int64(a.stream.Uint64() % uint64(max(0, a.balance)/8+1))
	a.balance -= amount
	a.sent++
	a.send(out, i, amount, false)
	return true
}

func (a *transfer) send(out Out, i int, amount int64, last bool) {
	var w writer
	w.bool(last)
	w.uint(uint64(a.out[i]))
	w.uint(uint64(amount))
	a.out[i]++
	out.Send(a.peers[i], w.b, amount)
}

func (a *transfer) Deliver(from int, payload []byte, _ Out) error {
	i, ok := slices.BinarySearch(a.peers, from)
	if !ok {
		return a.refuse(from, "they are no neighbours")
	}
	r := reader{wire.Over(payload)}
	last, n, amount := r.Bool(), r.Max(SizeMax), r.Max(amountMax)
	if err := r.end(); err != nil {
		return a.refuse(from, err.Error())
	}
	if !a.in[i].take(n, last) {
		a.odd++
	}
	if !last {
		a.received++
	}
	a.balance += amount
	return nil
}

func (a *transfer) AppendState(b []byte) []byte {
	w := writer{b}
	a.write(&w)
	writeStream(&w, a.stream)
	w.int(a.balance)
	w.uint(uint64(a.sent))
	w.uint(uint64(a.received))
	w.uint(uint64(a.odd))
	w.bool(a.ended)
	for i := range a.peers {
		a.in[i].write(&w)
		w.uint(uint64(a.out[i]))
	}
	return w.b
}

func (a *transfer) LoadState(b []byte) error {
	r := reader{wire.Over(b)}
	if err := a.check(&r); err != nil {
		return err
	}
	n := transfer{identity: a.identity, peers: a.peers, stream: readStream(&r)}
	n.balance = r.Varint()
	n.sent, n.received, n.odd = r.Max(int64(a.size)), r.Max(1<<40), r.Max(1<<40)
	n.ended = r.Bool()
	for range a.peers {
		n.in = append(n.in, readInbox(&r))
		n.out = append(n.out, r.Max(SizeMax+1))
	}
	if err := a.finish(&r); err != nil {
		return err
	}
	*a = n
	return nil
}

func (a *transfer) Units() int64              { return a.sent }
func (a *transfer) Offsets() map[string]int64 { return nil }
func (a *transfer) Value() (int64, bool)      { return a.balance, true }

func (a *transfer) Done() bool {
	return a.ended && !slices.ContainsFunc(a.in, func(i inbox) bool { return !i.ended })
}

func (a *transfer) Result() string {
	return fmt.Sprintf("%s%s%d", transferResult(a.sent, a.received, a.odd), shareField, a.balance)
}
