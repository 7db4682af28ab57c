// Package sim is the simulated runtime: a whole cluster, its network, clocks
// and disks, and all clients and faults, on one thread in virtual time.
//
// It promises determinism: the same binary, target, seed, Options and body
// give the same events in the same order, and so the same trace hash, on any
// number of processors and in any process. It promises this only if programs
// keep the rules of package node, and activities block in nothing but the
// methods of package cluster: no goroutines, channels, wall clock, contexts
// with deadlines, or context.AfterFunc.
//
// All of a run happens strictly one after another: a program's method is
// never called while another program or an activity runs. One simulation runs
// at a time per process, since libraries under test may draw from variables
// of the process; a second Run waits for the first, so no body may call Run.
//
// It does not model processor time (a handler takes no virtual time),
// bandwidth, or the inner workings of TCP: a message that the network loses
// is not sent again. Requests and responses of clients are neither duplicated
// nor lost but by rules (Linker).
package sim
