// Package checkpoint is the reference checkpointing service: workers that
// compute together and exchange messages, a coordinator that has their states
// saved consistently, or finds out how those fit together that they saved on
// their own, and sets them back after failures, and stable storage in levels. It is written once as a deterministic node program (harness/node)
// for the simulator and for containers.
//
// The first nodes of a cluster are control nodes: each holds a replica of the
// reference store (targets/store), and the one whose replica leads is the
// coordinator. What it decides is in the store before anyone acts on it. The
// others are workers, which run a job (workloads/jobs).
//
// It promises what Target.Claims lists, and README.md explains: whatever
// crashes, the job ends with the result of a run without failures, no state is
// restored that is not a consistent cut, and committed output appears exactly
// once. It does not promise progress while a worker is away, nor anything
// under Byzantine faults other than damaged checkpoint files.
//
// Planted bugs, off by default, are listed by Target.Bugs.
package checkpoint
