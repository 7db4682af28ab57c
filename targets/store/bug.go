package store

import (
	"github.com/cleancut/cleancut/harness/cluster"
)

// The planted bugs. Each is one switch at the place that its name says, so
// that a search for the constant finds all that it changes.
const (
	staleLocalRead     = "stale-local-read"
	readIndexNoWait    = "readindex-no-wait"
	ackOnAppend        = "ack-on-append"
	sendBeforeFsync    = "send-before-fsync"
	voteNotPersisted   = "vote-not-persisted"
	snapshotOffByOne   = "snapshot-off-by-one"
	retryNonIdempotent = "retry-non-idempotent"
	timeoutAsFail      = "timeout-as-fail"
	noCheckQuorum      = "no-check-quorum"
)

var everywhere = []string{"sim", "docker"}

// catalog documents the planted bugs, in the order of the catalogue.
var catalog = []cluster.Bug{
	{ID: staleLocalRead, Code: "R1", Where: everywhere,
		Doc: "a read is answered from the node's own map without ReadIndex, as etcd did in 2014 (etcd#741)"},
	{ID: readIndexNoWait, Code: "R2", Where: everywhere,
		Doc: "a read is answered as soon as its ReadIndex is known, before the node has applied up to it (the wait of step 3 in section 6.4 of the Raft thesis)"},
	{ID: ackOnAppend, Code: "R6", Where: everywhere,
		Doc: "the leader acknowledges a write when it is in its own log, before a majority has it, as MongoDB's write concern 1 does"},
	{ID: sendBeforeFsync, Code: "R7", Where: everywhere,
		Doc: "votes and append responses leave before the log is synced, which happens once a second, so that a power loss takes back what they promised, as with NATS JetStream's default of one sync in two minutes"},
	{ID: voteNotPersisted, Code: "R8", Where: []string{"sim"},
		Doc: "the vote is left out of the durable state, so that a node that crashes after granting it can vote again in the same term (figure 2 of the Raft paper forbids it)"},
	{ID: snapshotOffByOne, Code: "R12", Where: everywhere,
		Doc: "a snapshot labelled with index i holds the state of i-1: whoever restores it misses one entry"},
	{ID: retryNonIdempotent, Code: "L1", Where: everywhere,
		Doc: "the client sends a write that got no answer again under a new sequence number, so that it may be executed twice, as jetcd 0.8.2 did"},
	{ID: timeoutAsFail, Code: "L2", Where: everywhere,
		Doc: "the client reports a write that got no answer as certainly failed, although it may be executed"},
	{ID: noCheckQuorum, Where: everywhere,
		Doc: "a leader that hears of no majority does not step down (CheckQuorum, section 6.2 of the Raft thesis), so that one that can send and not receive keeps everybody waiting for as long as that lasts"},
}

// checkBug says which bugs there are if id is none of them.
func checkBug(id string) error { return cluster.CheckBug("store", catalog, id) }
