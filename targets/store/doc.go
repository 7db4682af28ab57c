// Package store is the reference replicated store in Raft mode: a small
// linearizable key-value store on go.etcd.io/raft, written once as a
// deterministic node program (harness/node) for the simulator and for
// containers.
//
// It promises: reads, writes, deletes and compare-and-sets of single keys are
// linearizable; a write under a session is executed exactly once however
// often it is sent; no acknowledged write is lost, under any number of
// crashes, power losses, pauses, partitions and lost, delayed, reordered or
// duplicated messages. It serves while a majority can talk to each other.
//
// It does not promise: anything under Byzantine faults, wiped disks, or bit
// rot in the very last batch of the log (it cannot be told from a write that
// the power cut tore; rot anywhere else is refused at start). Membership is
// fixed.
//
// Planted bugs, off by default, are listed by Target.Bugs. README.md shows
// the client API with curl.
package store
