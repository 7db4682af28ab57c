package suites

import (
	"slices"
	"time"
)

// What follows are ordeals for protocols with rounds that are written by hand.
// A drawn crash meets the moment at which a bug bites by chance, which takes
// many seeds. There are many seeds in the simulator; containers have few. Here
// the plan waits for the moment, or makes it last.

// atMoments lets a worker die with its part on the disk and nobody told, so
// that the round under way can never be whole, and again in the next round, so
// that the others are set back twice to the same one, and have computed in
// between. In the end the coordinator dies with a commit of which nobody has
// heard, and all workers before there is another coordinator.
//
// Of the last two rounds that are restored, one is odd and one even, so that
// not both of them are in the store, where every second is.
const atMoments = "at 500ms on local.written#2 of n5 kill(self) for 200ms; then 0s on local.written of n5 kill(self) for 200ms; " +
	"then 0s on local.written#2 of n7 kill(self) for 200ms; then 0s on local.written#2 of n7 kill(self) for 200ms; " +
	"then 0s on round.commit.after#2 kill(self) for 1s; then 0s kill(workers) for 200ms"

// inTransit delays all that one worker says and hears, by more and by less, so
// that every cut has messages in transit, and that its last messages of an
// epoch arrive when the others compute in the next one already.
const inTransit = "at 0s delay(20ms,400ms,n5); at 1500ms kill(n4) for 200ms; at 3s kill(n6) for 200ms; at 4500ms kill(n7) for 200ms"

// lastPart slows the disk of one worker, whose part is then the last of every
// round. Another worker dies when rounds are quick again.
const lastPart = "at 0s slow-disk(400ms,n5) for 2500ms; at 3s kill(n6) for 200ms"

// rotAtCommit damages the checkpoint of a worker when it was committed, and
// kills the worker, who reads it again.
const rotAtCommit = "at 1s on round.commit.after rot(ckpt-*,4,n5); then 0s kill(n5) for 200ms; " +
	"at 2500ms on round.commit.after rot(ckpt-*,4,n7); then 0s kill(n7) for 200ms; " +
	"at 4s on round.commit.after rot(ckpt-*,4,n6); then 0s kill(n6) for 200ms"

// handmade lists these ordeals.
func handmade() []ordeal {
	return []ordeal{
		{name: "moments", doc: "workers die with a part that nobody has heard of, again and again, and the coordinator with a commit that nobody has heard of",
			labels: []string{Full, "fault:kill"}, plan: atMoments, time: 8 * time.Second,
			settings: map[string]string{"interval": "250ms", "size": "200", "store-every": "2", "retain": "4"}},
		{name: "transit", doc: "workers die while messages are in transit, some of them for long; no part is at a partner",
			labels: []string{Full, "fault:kill", "fault:delay"}, plan: inTransit, time: 6 * time.Second,
			settings: map[string]string{"interval": "250ms", "step": "10ms", "size": "400", "partner-every": "0"}},
		{name: "laggard", doc: "the disk of one worker is slow, so that its part is the last of each round; later, another dies; no part is at a partner",
			labels: []string{Full, "fault:kill", "fault:slow-disk"}, plan: lastPart, time: 5 * time.Second,
			settings: map[string]string{"interval": "250ms", "size": "200", "partner-every": "0"}},
		{name: "rotten", doc: "the newest checkpoint of a worker rots on its disk, and it dies; the store has it, too",
			labels: []string{Full, "fault:rot", "fault:kill"}, plan: rotAtCommit, time: 6 * time.Second,
			settings: map[string]string{"interval": "250ms", "size": "150", "partner-every": "0", "store-every": "1", "full-every": "1", "retain": "1"}},
	}
}

// byHand tells which pairs of protocol and job go through them: one of each
// protocol with rounds, and one more.
func byHand(pair string) bool {
	return slices.Contains([]string{"coordinated-stencil", "coordinated-pipeline", "chandy-lamport-transfer", "aligned-pipeline", "unaligned-pipeline"}, pair)
}
