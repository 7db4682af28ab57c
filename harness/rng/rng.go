// Package rng derives random streams by name from a run's seed.
//
// Every consumer of randomness (a link, a disk, a client, the drawing of the
// plan) owns a stream that depends on the seed and on its own name only, so
// that removing one consumer leaves what all others draw as it was. Without
// this property nothing shrinks and no two runs can be compared.
//
// The package promises the same stream for the same seed and name on every
// machine and in every release of Go: PCG (math/rand/v2) keyed by FNV-1a. It
// does not promise cryptographic strength.
package rng

import (
	"hash/fnv"
	"math/rand/v2"
)

// Stream returns the random stream of the given name under seed. Two calls
// with equal arguments return streams that yield equal numbers. Names are
// paths by convention: "network/n1>n2", "disk/n3", "client/7", "faults".
func Stream(seed uint64, name string) *rand.Rand {
	return rand.New(Source(seed, name))
}

// Source is Stream without the convenience methods, for consumers that keep
// many streams and count their bytes.
func Source(seed uint64, name string) *rand.PCG {
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails, by its contract
	return rand.NewPCG(mix(seed), h.Sum64())
}

// Derive returns the seed of a child that is named name: runs of a sweep,
// specs of a suite and attempts of a spec each get their own.
func Derive(seed uint64, name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return mix(seed ^ mix(h.Sum64()))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). It
// spreads small seeds such as 1, 2, 3 over all 64 bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}
