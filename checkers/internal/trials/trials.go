// Package trials says how many random histories the tests compare with an
// oracle, and which ones. It is for tests alone: it brings two flags with it.
//
//	go test ./checkers/txn -run BruteForce -args -times 10 -seed 7
//
// draws ten times as many histories, which are others than with another seed.
// What a test draws is a function of its name, the numbers that it passes, and
// the seed.
package trials

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var (
	times = flag.Int("times", 1, "multiply the number of random histories")
	seed  = flag.Uint64("seed", 0, "draw other random histories")
)

// Rounds returns how many histories a test draws of which every change must
// pass n: a tenth in short tests, and -times as many.
func Rounds(n int) int {
	n *= *times
	if testing.Short() {
		return n / 10
	}
	return n
}

// Rand returns the source of a test: the same for the same numbers and -seed.
func Rand(a, b uint64) *rand.Rand { return rand.New(rand.NewPCG(a+*seed, b)) }

// Seed returns -seed, for tests whose source has a name of its own.
func Seed() uint64 { return *seed }
