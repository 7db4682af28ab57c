package faults

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFaultsOfStorageActOnEveryVictimAndLeaveReceipts(t *testing.T) {
	for text, want := range map[string][]string{
		"rot(ckpt-*,8,n1+n2)":      {"rot n1 ckpt-* 8", "rot n2 ckpt-* 8"},
		"truncate(*.log,n3)":       {"truncate n3 *.log"},
		"slow-disk(100ms,n1+n2)":   {"slow n1 100ms", "slow n2 100ms", "hurry n1", "hurry n2"},
		"wipe-disk(n1+n2)":         {"kill n1", "kill n2", "wipe n1", "wipe n2", "start n1", "start n2"},
		"slow-disk(1ms,one:n2)":    nil,
		"slow-disk(0s,n1)":         nil,
		"slow-disk(11s,n1)":        nil,
		"rot(a/b,8,n1)":            nil,
		"rot(*,0,n1)":              nil,
		"rot([,1,n1)":              nil,
		"truncate(,n1)":            nil,
		"wipe-disk(n1,n2)":         nil,
		"rot(ckpt-*,1000001,n1)":   nil,
		"truncate(ckpt-*,n1,more)": nil,
	} {
		f, err := ParseFault(text)
		if want == nil {
			if err == nil && f.Available(newFake(3)) == nil {
				t.Errorf("%s was accepted", text)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.String() != text {
			t.Errorf("%s prints itself as %s", text, f)
		}
		c := newFake(3)
		inj := inject(t, f, c.site(1))
		if r := heal(t, inj); !inj.Bit(r) {
			t.Errorf("%s left no receipt: %v", text, r)
		}
		if !slices.Equal(c.log, want) {
			t.Errorf("%s did %q, want %q", text, c.log, want)
		}
	}
}

func TestADiskThatCannotBeWipedLeavesNothingDown(t *testing.T) {
	c := newFake(3)
	c.failing = "wipe n2"
	if _, err := (WipeDisk{"n1+n2"}).Inject(context.Background(), c.site(1)); err == nil {
		t.Fatal("a wipe that failed is no error")
	}
	if len(c.down) > 0 {
		t.Errorf("%v stayed down", c.down)
	}
}

func TestDrawnDamageIsFollowedByACrashThatRevealsIt(t *testing.T) {
	d := Drawing{Kinds: []string{"rot", "truncate", "pause"}, Pairs: true, Files: []string{"ckpt-*"}}
	damaged := 0
	for seed := range uint64(100) {
		p := d.Draw(seed, 5, 20*time.Second)
		if end := p.End(); end > 20*time.Second {
			t.Errorf("seed %d: the plan lasts %v", seed, end)
		}
		for i, s := range p {
			if !damages(s.Fault) {
				continue
			}
			damaged++
			if !strings.Contains(s.Fault.String(), "(ckpt-*,") {
				t.Errorf("%s damages other files", s.Fault)
			}
			if i+1 == len(p) || p[i+1].Fault != Fault(Kill{"same"}) || !p[i+1].When.Then || p[i+1].When.After > 100*time.Millisecond {
				t.Errorf("seed %d: %s is not followed by a crash: %s", seed, s, p)
			}
		}
	}
	if damaged == 0 {
		t.Error("nothing was damaged")
	}
}

func TestADrawingCanBeRestrictedToGroups(t *testing.T) {
	d := Drawing{Groups: []string{"workers"}, Points: []string{"fsync"}, Pairs: true}
	for seed := range uint64(100) {
		for _, s := range d.Draw(seed, 7, 20*time.Second) {
			who := s.Fault.Victims()
			if who != "same" && who != "self" && !strings.HasSuffix(string(who), ":workers") {
				t.Errorf("seed %d: %s hits others", seed, s)
			}
			if s.When.Point != "" && s.When.Of != "workers" {
				t.Errorf("seed %d: %s is triggered by others", seed, s)
			}
			if who != "same" && who != "self" && s.Fault.Available(newTeam()) != nil {
				t.Errorf("seed %d: %s: %v", seed, s, s.Fault.Available(newTeam()))
			}
		}
	}
	if err := (Drawing{Groups: []string{"Work ers"}}).Validate(); err == nil {
		t.Error("a group that cannot be one was accepted")
	}
}

func TestTimesBetweenFailuresAreExponentialWithTheirMean(t *testing.T) {
	const mean = 2 * time.Second
	d := Drawing{Kinds: []string{"kill"}, MTBF: mean}
	var sum, squares float64
	n := 0
	for seed := range uint64(200) {
		var last time.Duration
		for _, s := range d.Draw(seed, 5, 400*time.Second) {
			gap := (s.When.After - last).Seconds()
			last = s.When.After
			sum, squares, n = sum+gap, squares+gap*gap, n+1
		}
	}
	m := sum / float64(n)
	deviation := math.Sqrt(squares/float64(n) - m*m)
	// An exponential distribution deviates by its mean.
	if got := fmt.Sprintf("%.1f %.1f", m, deviation); got != "2.0 2.0" {
		t.Errorf("mean and deviation of %d gaps are %s, want 2.0 2.0", n, got)
	}
	if err := (Drawing{MTBF: time.Microsecond}).Validate(); err == nil {
		t.Error("a failure every microsecond was accepted")
	}
}
