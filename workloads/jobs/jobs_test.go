package jobs

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// cases are job sizes at which everything is tried.
var cases = []struct{ procs, size int }{{2, 5}, {3, 40}, {4, 200}, {7, 60}, {16, 30}, {50, 20}, {200, 10}}

func execution(t *testing.T, j Job, procs int, seed uint64, size int, order uint64) *Execution {
	t.Helper()
	x, err := NewExecution(j, procs, seed, size, order)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// judge compares an execution that has ended with the right answer.
func judge(t *testing.T, j Job, x *Execution, seed uint64, size int) []Deviation {
	t.Helper()
	answer, err := j.Answer(len(x.Apps), seed, size)
	if err != nil {
		t.Fatal(err)
	}
	results, err := x.Results()
	if err != nil {
		return []Deviation{{"not done", -1, err.Error()}}
	}
	found := answer.Check(results)
	for p := range x.Apps {
		found = append(found, answer.CheckOutputs(p, x.Outputs[p], false)...)
	}
	return found
}

func TestEveryInterleavingGivesTheRightAnswer(t *testing.T) {
	for _, j := range Catalog() {
		for _, c := range cases {
			for order := range uint64(5) {
				x := execution(t, j, c.procs, 7, c.size, order)
				if err := x.Run(); err != nil {
					t.Fatalf("%s with %d processes: %v", j.Name(), c.procs, err)
				}
				if found := judge(t, j, x, 7, c.size); found != nil {
					t.Fatalf("%s with %d processes, order %d: %+v", j.Name(), c.procs, order, found[0])
				}
			}
		}
	}
}

func TestSeedsAndSizesChangeTheAnswer(t *testing.T) {
	for _, j := range Catalog() {
		answers := map[string]string{}
		for _, c := range []struct {
			seed uint64
			size int
		}{{1, 50}, {2, 50}, {1, 51}} {
			a, err := j.Answer(4, c.seed, c.size)
			if err != nil {
				t.Fatal(err)
			}
			text, name := fmt.Sprint(a.Results), fmt.Sprint(c)
			if other, ok := answers[text]; ok {
				t.Errorf("%s: %s and %s have the same answer %s", j.Name(), name, other, text)
			}
			answers[text] = name
		}
	}
}

func TestTheConservedQuantityNeverChanges(t *testing.T) {
	x := execution(t, Transfer{}, 5, 3, 300, 1)
	for more := true; more; {
		var sum int64
		for _, a := range x.Apps {
			v, _ := a.Value()
			sum += v
		}
		for _, c := range x.Channels {
			for _, m := range c {
				sum += m.Value
			}
		}
		if sum != 5*transferStart {
			t.Fatalf("balances and messages add up to %d; expected %d", sum, 5*transferStart)
		}
		var err error
		if more, err = x.Step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChannelsReachEveryProcessAndAreAcyclicIfTheySaySo(t *testing.T) {
	for _, j := range Catalog() {
		for procs := ProcsMin; procs <= 200; procs++ {
			channels := j.Channels(procs)
			if !slices.IsSortedFunc(channels, func(a, b [2]int) int { return slices.Compare(a[:], b[:]) }) {
				t.Fatalf("%s with %d processes: channels out of order", j.Name(), procs)
			}
			part, in := map[int]bool{}, make([]int, procs)
			next := make([][]int, procs)
			for _, c := range channels {
				part[c[0]], part[c[1]] = true, true
				in[c[1]]++
				next[c[0]] = append(next[c[0]], c[1])
			}
			if len(part) != procs {
				t.Fatalf("%s with %d processes: only %d of them have channels", j.Name(), procs, len(part))
			}
			if acyclic := sortable(next, in); acyclic != j.Acyclic() && procs > 2 {
				t.Fatalf("%s with %d processes: acyclic is %v, but it says %v", j.Name(), procs, acyclic, j.Acyclic())
			}
		}
	}
}

// sortable tells whether a graph has a topological order.
func sortable(next [][]int, in []int) bool {
	var ready []int
	for p, n := range in {
		if n == 0 {
			ready = append(ready, p)
		}
	}
	seen := 0
	for ; len(ready) > 0; seen++ {
		p := ready[0]
		ready = ready[1:]
		for _, q := range next[p] {
			if in[q]--; in[q] == 0 {
				ready = append(ready, q)
			}
		}
	}
	return seen == len(in)
}

// cut is a consistent cut: all states, channels and outputs between two steps.
type cut struct {
	states   [][]byte
	channels map[[2]int][]Message
	outputs  [][]Output
}

func cutOf(x *Execution) cut {
	c := cut{channels: map[[2]int][]Message{}}
	for p, a := range x.Apps {
		c.states = append(c.states, a.AppendState(nil))
		c.outputs = append(c.outputs, slices.Clone(x.Outputs[p]))
	}
	for k, m := range x.Channels {
		c.channels[k] = slices.Clone(m)
	}
	return c
}

func (c cut) restore(t *testing.T, x *Execution) {
	t.Helper()
	for p, s := range c.states {
		if err := x.Apps[p].LoadState(s); err != nil {
			t.Fatal(err)
		}
		x.Outputs[p] = slices.Clone(c.outputs[p])
	}
	for k, m := range c.channels {
		x.Channels[k] = slices.Clone(m)
	}
}

// interrupted runs a job with rollbacks to random cuts. Damage alters what is
// restored.
func interrupted(t *testing.T, j Job, procs int, seed uint64, size int, damage func(*rand.Rand, *Execution)) *Execution {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	x := execution(t, j, procs, seed, size, seed)
	saved, rollbacks := cutOf(x), 0
	for {
		more, err := x.Step()
		if err != nil {
			t.Fatal(err)
		}
		switch n := r.IntN(20 * procs); {
		case !more && rollbacks > 0:
			return x
		case n == 0 && len(saved.states) > 0:
			saved = cutOf(x)
		case (n == 1 || !more) && rollbacks < 8:
			rollbacks++
			saved.restore(t, x)
			// The processes start afresh: nothing survives but the state.
			for p := range x.Apps {
				app, err := j.New(p, procs, seed, size)
				if err != nil {
					t.Fatal(err)
				}
				if err := app.LoadState(saved.states[p]); err != nil {
					t.Fatal(err)
				}
				x.Apps[p] = app
			}
			if damage != nil {
				damage(r, x)
			}
		}
	}
}

func TestRollbackToAnyConsistentCutGivesTheRightAnswer(t *testing.T) {
	for _, j := range Catalog() {
		for _, c := range cases[:5] {
			for seed := range uint64(20) {
				x := interrupted(t, j, c.procs, seed, c.size, nil)
				if found := judge(t, j, x, seed, c.size); found != nil {
					t.Fatalf("%s with %d processes, seed %d: %+v", j.Name(), c.procs, seed, found[0])
				}
			}
		}
	}
}

func TestLostAndRepeatedChannelStateShows(t *testing.T) {
	damages := map[string]func(*rand.Rand, *Execution, *int){
		"lost": func(_ *rand.Rand, x *Execution, hits *int) {
			for _, k := range x.pairs {
				if m := x.Channels[k]; len(m) > 0 {
					x.Channels[k] = m[1:]
					*hits++
					return
				}
			}
		},
		"repeated": func(_ *rand.Rand, x *Execution, hits *int) {
			for _, k := range x.pairs {
				if m := x.Channels[k]; len(m) > 0 {
					x.Channels[k] = append([]Message{m[0]}, m...)
					*hits++
					return
				}
			}
		},
	}
	for name, damage := range damages {
		for _, j := range Catalog() {
			total := 0
			for seed := range uint64(30) {
				hits := 0
				x := interrupted(t, j, 5, seed, 60, func(r *rand.Rand, x *Execution) { damage(r, x, &hits) })
				if found := judge(t, j, x, seed, 60); hits > 0 && found == nil {
					t.Errorf("%s, seed %d: %d %s messages do not show", j.Name(), seed, hits, name)
				}
				total += hits
			}
			if total == 0 {
				t.Errorf("%s: no message was %s", j.Name(), name)
			}
		}
	}
}

func TestStatesAreCompleteAndCanonical(t *testing.T) {
	for _, j := range Catalog() {
		x := execution(t, j, 4, 9, 50, 2)
		for range 200 {
			if _, err := x.Step(); err != nil {
				t.Fatal(err)
			}
		}
		for p, a := range x.Apps {
			state := a.AppendState(nil)
			b, err := j.New(p, 4, 9, 50)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.LoadState(state); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.AppendState(nil), state) || b.Result() != a.Result() || b.Units() != a.Units() || b.Done() != a.Done() || fmt.Sprint(b.Offsets()) != fmt.Sprint(a.Offsets()) {
				t.Errorf("%s: process %d differs after its state was written and read", j.Name(), p)
			}
		}
	}
}

func TestForeignAndDamagedStatesAreRefusedOrShow(t *testing.T) {
	for _, j := range Catalog() {
		x := execution(t, j, 4, 9, 50, 2)
		for range 100 {
			if _, err := x.Step(); err != nil {
				t.Fatal(err)
			}
		}
		a := x.Apps[1]
		state := a.AppendState(nil)
		refused := func(b []byte, what string) {
			t.Helper()
			before := a.AppendState(nil)
			if err := a.LoadState(b); err == nil || !strings.Contains(err.Error(), "job "+j.Name()) {
				t.Errorf("%s: %s: %v; expected an error that names the job", j.Name(), what, err)
			}
			if !bytes.Equal(a.AppendState(nil), before) {
				t.Errorf("%s: %s changed the state though it was refused", j.Name(), what)
			}
		}
		refused(nil, "nothing")
		refused(append(slices.Clone(state), 0), "one byte too many")
		refused(x.Apps[2].AppendState(nil), "the state of another process")
		for n := range state {
			refused(state[:n], "a state cut short")
		}
		for bit := range 8 * len(state) {
			damaged := slices.Clone(state)
			damaged[bit/8] ^= 1 << (bit % 8)
			b, _ := j.New(1, 4, 9, 50)
			if b.LoadState(damaged) == nil && bytes.Equal(b.AppendState(nil), state) {
				t.Errorf("%s: bit %d of the state means nothing", j.Name(), bit)
			}
		}
	}
}

func TestMessagesThatCouldNotHaveBeenSentAreRefused(t *testing.T) {
	for _, j := range Catalog() {
		x := execution(t, j, 4, 1, 50, 1)
		for _, c := range x.pairs {
			a := x.Apps[c[1]]
			before := a.AppendState(nil)
			for _, payload := range [][]byte{nil, {2}, {0, 0xff}, bytes.Repeat([]byte{0xff}, 300)} {
				if a.Deliver(c[0], payload, out{x, c[1]}) == nil {
					t.Errorf("%s: %d took % x from %d", j.Name(), c[1], payload, c[0])
				}
			}
			if a.Deliver(99, []byte{1}, out{x, c[1]}) == nil {
				t.Errorf("%s: %d took a message from process 99", j.Name(), c[1])
			}
			if !bytes.Equal(before, a.AppendState(nil)) {
				t.Errorf("%s: a refused message changed the state", j.Name())
			}
		}
	}
}

func TestImpossibleParametersAreRefused(t *testing.T) {
	for _, j := range Catalog() {
		for _, c := range [][3]int{{0, 1, 1}, {0, ProcsMax + 1, 1}, {-1, 4, 1}, {4, 4, 1}, {0, 4, 0}, {0, 4, SizeMax + 1}} {
			if _, err := j.New(c[0], c[1], 1, c[2]); err == nil {
				t.Errorf("%s: process %d of %d with size %d was not refused", j.Name(), c[0], c[1], c[2])
			}
		}
		if _, err := j.Answer(1, 1, 1); err == nil {
			t.Errorf("%s: an answer for one process", j.Name())
		}
	}
	if _, err := Lookup("transfers"); err == nil || err.Error() != `no job is named "transfers"; there are: transfer, stencil, pipeline, montecarlo; did you mean transfer?` {
		t.Error(err)
	}
}

func FuzzStatesAndMessages(f *testing.F) {
	for i, j := range Catalog() {
		x, err := NewExecution(j, 4, 1, 20, 1)
		if err != nil {
			f.Fatal(err)
		}
		x.Observe = func(a Action) {
			if a.Kind == "recv" && len(a.Payload) > 3 {
				f.Add(i, a.Proc, a.Peer, x.Apps[a.Proc].AppendState(nil), a.Payload)
			}
		}
		for range 30 {
			if _, err := x.Step(); err != nil {
				f.Fatal(err)
			}
		}
	}
	f.Fuzz(func(t *testing.T, job, proc, from int, state, payload []byte) {
		j := Catalog()[((job%4)+4)%4]
		proc = ((proc % 4) + 4) % 4
		a, err := j.New(proc, 4, 1, 20)
		if err != nil {
			t.Fatal(err)
		}
		x, _ := NewExecution(j, 4, 1, 20, 1)
		if a.LoadState(state) == nil {
			written := a.AppendState(nil)
			if err := a.LoadState(written); err != nil || !bytes.Equal(a.AppendState(nil), written) {
				t.Fatalf("a state that was taken is not stable: %v", err)
			}
		}
		for range 3 {
			_ = a.Deliver(from, payload, out{x, proc})
			a.Step(out{x, proc})
		}
		a.Result()
	})
}

func TestReportsAndOutputsAreReadAsTheyWereWritten(t *testing.T) {
	r := Report{"transfer", 2, 4, 1 << 63, 100, "sent=100 received=90 odd=0 share=-5"}
	for _, want := range []Report{r, {"stencil", 0, 2, 0, 1, ""}} {
		if got, err := ParseReport(want.String()); err != nil || got != want {
			t.Errorf("%q reads as %+v, %v", want, got, err)
		}
	}
	o := Output{"s0/k3#17", "sum=5 6"}
	if got, err := ParseOutput(o.String()); err != nil || got != o {
		t.Errorf("%q reads as %+v, %v", o, got, err)
	}
	for _, text := range []string{"", "done", "job=none proc=0 procs=4 seed=1 size=1: x", "job=transfer proc=4 procs=4 seed=1 size=1: x",
		"job=transfer proc=0 procs=4 seed=1 size=1", "job=transfer proc=+0 procs=4 seed=1 size=1: x", "job=transfer proc=0 procs=4 seed=-1 size=1: x"} {
		if r, err := ParseReport(text); err == nil {
			t.Errorf("%q is a report: %+v", text, r)
		}
	}
	if _, err := ParseOutput("s0/k3#17"); err == nil {
		t.Error("an output without payload was taken")
	}
}

func BenchmarkAnswerOf200Processes(b *testing.B) {
	for _, j := range Catalog() {
		b.Run(j.Name(), func(b *testing.B) {
			for b.Loop() {
				if _, err := j.Answer(200, 1, 1000); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
