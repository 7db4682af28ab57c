package models

import (
	"flag"
	"testing"
)

// multiple multiplies the number of random histories, and seed varies them: for
// long runs at night.
var (
	multiple = flag.Int("times", 1, "multiply the number of random histories")
	seed     = flag.Uint64("seed", 0, "vary the random histories")
)

func rounds(n int) int {
	n *= *multiple
	if testing.Short() {
		return n / 20
	}
	return n
}
