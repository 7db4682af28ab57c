package checkpoint

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// looseShelf is a store whose requests take effect in any order, and whose
// answers may be that nobody knows.
type looseShelf struct {
	rng    *rand.Rand
	values map[string]string
	open   []func()
}

func (s *looseShelf) do(request func() func()) {
	s.open = append(s.open, func() {
		if answer := request(); answer != nil {
			s.open = append(s.open, answer)
		}
	})
}

// uncertain is what a requester hears of a change that took effect.
func (s *looseShelf) uncertain() fate {
	if s.rng.IntN(8) == 0 {
		return maybe
	}
	return done
}

func (s *looseShelf) get(key string, then func(fate, string)) {
	s.do(func() func() {
		v, ok := s.values[key]
		switch {
		case s.rng.IntN(16) == 0:
			return func() { then(refused, "") }
		case !ok:
			return func() { then(absent, "") }
		}
		return func() { then(done, v) }
	})
}

func (s *looseShelf) put(key, value string, then func(fate)) {
	s.do(func() func() {
		if s.rng.IntN(16) == 0 {
			return func() { then(refused) }
		}
		s.values[key] = value
		f := s.uncertain()
		return func() { then(f) }
	})
}

func (s *looseShelf) remove(key string, then func(fate)) {
	s.do(func() func() { delete(s.values, key); return func() { then(done) } })
}

func (s *looseShelf) swap(key, expected, value string, then func(fate, string)) {
	s.do(func() func() {
		switch found := s.values[key]; {
		case found != expected && found == value:
			return func() { then(done, found) }
		case found != expected:
			return func() { then(mismatch, found) }
		}
		s.values[key] = value
		f := s.uncertain()
		return func() { then(f, "") }
	})
}

// step lets one request or answer through, any of them.
func (s *looseShelf) step() bool {
	if len(s.open) == 0 {
		return false
	}
	i := s.rng.IntN(len(s.open))
	next := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	next()
	return true
}

// ledgerOf is one of a size that needs pages, or none.
func ledgerOf(rng *rand.Rand, version uint64, writer string) ledger {
	l := ledger{Version: version, Owner: writer, Phase: computing, Committed: []int{}}
	for range rng.IntN(3) * 1500 {
		l.Committed = append(l.Committed, rng.IntN(100_000))
	}
	return l
}

// Three processes replace the ledger, each as soon as it has read it, and some
// give up in between. Whoever reads it gets one that was written, whole, and
// versions go up by one.
func TestALedgerInPagesIsReplacedWhollyOrNotAtAll(t *testing.T) {
	large, replaced := 0, 0
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := &looseShelf{rng: rng, values: map[string]string{}}
		written := map[string]string{} // by root
		last := uint64(0)
		check := func(at string, l ledger) {
			if at != "" && written[at] != l.encode() {
				t.Fatalf("seed %d: the root %.40q stands for another ledger than was written", seed, at)
			}
		}
		var run func(b *book, rounds int)
		run = func(b *book, rounds int) {
			if rounds == 0 {
				return
			}
			b.read(func(at string, l ledger, err error) {
				if err != nil {
					if !strings.Contains(err.Error(), "does not give") {
						replaced++
					}
					run(b, rounds-1)
					return
				}
				check(at, l)
				next := ledgerOf(rng, l.Version+1, b.owner)
				m := b.lay(next)
				large += min(1, len(m.pages))
				written[m.root] = next.encode()
				var try func(n int)
				try = func(n int) {
					b.write(at, m, func(f fate) {
						switch {
						case f == maybe && n > 0:
							try(n - 1)
							return
						case f == done:
							last = max(last, next.Version)
							b.drop(at)
						}
						run(b, rounds-1)
					})
				}
				try(rng.IntN(3))
			})
		}
		for _, name := range []string{"n1.a", "n2.b", "n3.c"} {
			run(&book{shelf: s, owner: name}, 12)
		}
		for s.step() {
		}
		s.rng = rand.New(rand.NewPCG(0, 0))
		for read := false; !read; {
			(&book{shelf: s}).read(func(at string, l ledger, err error) {
				if err == nil {
					read = true
					check(at, l)
					if l.Version < last {
						t.Fatalf("seed %d: version %d is there; %d was told to be done", seed, l.Version, last)
					}
				} else if err != errUnread {
					t.Fatalf("seed %d: %v", seed, err)
				}
			})
			for s.step() {
			}
		}
	}
	if large < 500 || replaced < 10 {
		t.Fatalf("%d large ledgers were written and %d reads came too late; the test shows little", large, replaced)
	}
}

func TestWhatIsNoLedgerIsRefused(t *testing.T) {
	for _, text := range []string{"", "{", "{}", `{"name":"n1.a:1","pages":-1}`, `{"name":"n1.a:1","pages":1000000}`} {
		s := &looseShelf{rng: rand.New(rand.NewPCG(1, 1)), values: map[string]string{ledgerKey: text}}
		var err error
		for err = errUnread; errors.Is(err, errUnread); {
			(&book{shelf: s}).read(func(_ string, _ ledger, e error) { err = e })
			for s.step() {
			}
		}
		if err == nil {
			t.Errorf("%q was read as a ledger", text)
		}
	}
}
