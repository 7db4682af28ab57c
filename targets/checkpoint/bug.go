package checkpoint

import (
	"github.com/cleancut/cleancut/harness/cluster"
)

// The planted bugs. Each is one switch at the place that its name says, so
// that a search for the constant finds all that it changes.
const (
	manifestEarly        = "manifest-early"
	ackBeforeDurable     = "ack-before-durable"
	noChannelState       = "no-channel-state"
	channelNotReplayed   = "channel-not-replayed"
	lateRecord           = "late-record"
	markerOvertakes      = "marker-overtakes"
	nonFIFO              = "non-fifo-channel"
	noEpochFence         = "no-epoch-fence"
	gcBeforeComplete     = "gc-before-complete"
	gcSharedBase         = "gc-shared-base"
	latestByName         = "latest-by-name"
	noChecksum           = "no-checksum"
	outputBeforeCommit   = "output-before-commit"
	commitLost           = "commit-lost"
	restoreNotIdempotent = "restore-not-idempotent"
	abortLeaksPause      = "abort-leaks-pause"
	noDependencyVector   = "no-dependency-vector"
	replayNoDedup        = "replay-no-dedup"
	logGCEarly           = "log-gc-early"
	forcedAfterDelivery  = "forced-after-delivery"
	indexNotCarried      = "index-not-carried"
	asyncDeterminant     = "async-determinant"
	replayOrder          = "replay-order"
	wrongOffset          = "wrong-offset"
	fallbackDup          = "fallback-dup"
	sinkForgets          = "sink-forgets"
	wrongLevelOrder      = "wrong-level-order"
	wedgeOnDead          = "wedge-on-dead"
)

// Where the bugs have been seen to show.
var (
	shown      = []string{"sim"}
	everywhere = []string{"sim", "docker"}
)

// catalog documents the planted bugs, in the order of the catalogue.
var catalog = []cluster.Bug{
	{ID: manifestEarly, Code: "K1", Where: everywhere,
		Doc: "a round is committed when all parts but one are durable, as Flink's _metadata was visible before it was complete (FLINK-17808)"},
	{ID: ackBeforeDurable, Code: "K2", Where: everywhere,
		Doc: "a worker reports its part as durable when it begins to write it"},
	{ID: noChannelState, Code: "K3", Where: everywhere,
		Doc: "messages in transit are left out of the checkpoint, as some buffers were of Flink's unaligned ones (FLINK-20645)"},
	{ID: channelNotReplayed, Code: "K4", Where: everywhere,
		Doc: "messages in transit are saved, and a restore forgets to deliver them"},
	{ID: lateRecord, Code: "K5", Where: everywhere,
		Doc: "the state is captured after the next message, although the markers have been sent before"},
	{ID: markerOvertakes, Code: "K6", Where: shown,
		Doc: "a marker overtakes the messages before it, which nobody records"},
	{ID: nonFIFO, Code: "K7", Where: shown,
		Doc: "channels deliver messages as they come, in any order"},
	{ID: noEpochFence, Code: "K8", Where: everywhere,
		Doc: "messages of earlier epochs are taken in, as zombies of Kafka's producers were before KIP-98"},
	{ID: gcBeforeComplete, Code: "K9", Where: everywhere,
		Doc: "a worker lets go of the round before when the next one begins, and not when it is committed (SCR with a cache of one)"},
	{ID: gcSharedBase, Code: "K10", Where: shown,
		Doc: "garbage collection removes checkpoints on which increments still rest (FLINK-21351)"},
	{ID: latestByName, Code: "K11", Where: everywhere,
		Doc: "a worker restores the newest file that it finds, committed or not"},
	{ID: noChecksum, Code: "K12", Where: everywhere,
		Doc: "checkpoints are loaded without a look at their checksum, as VeloC does by default"},
	{ID: outputBeforeCommit, Code: "K15", Where: everywhere,
		Doc: "output becomes visible when it is produced, and not when its round is committed"},
	{ID: commitLost, Code: "K16", Where: everywhere,
		Doc: "a restore forgets the output of committed rounds that was not visible yet"},
	{ID: restoreNotIdempotent, Code: "K17", Where: everywhere,
		Doc: "a worker that is told to restore the round that it restored last skips it, although it has computed since"},
	{ID: abortLeaksPause, Code: "K33", Where: shown,
		Doc: "a worker that stopped for a round stays stopped when that is aborted, until it is restored (CRIU: a failed dump must leave the tasks running)"},
	{ID: noDependencyVector, Code: "K23", Where: shown,
		Doc: "without rounds, everybody who failed restores its own latest checkpoint, and nobody looks at who depends on what was lost"},
	{ID: logGCEarly, Code: "C24", Where: shown,
		Doc: "a sender forgets a message when it has arrived, and not when a checkpoint that includes its receipt is sure to last"},
	{ID: replayNoDedup, Code: "K27", Where: shown,
		Doc: "what a sender sends again after a recovery is delivered, although it was received before"},
	{ID: asyncDeterminant, Code: "K24", Where: shown,
		Doc: "with msglog, messages leave before what they depend on is on stable storage"},
	{ID: replayOrder, Code: "K26", Where: shown,
		Doc: "with msglog, messages are delivered again as they come, and not in the order of the log"},
	{ID: wrongOffset, Code: "K18", Where: shown,
		Doc: "with msglog, a checkpoint that is taken while a worker replays says that it has come to the end of its log, as Kafka Streams did that was closed while it restored (KAFKA-16017)"},
	{ID: forcedAfterDelivery, Where: shown,
		Doc: "with cic, the checkpoint that a message forces is taken after the message is delivered"},
	{ID: indexNotCarried, Where: shown,
		Doc: "with cic, messages do not carry the index of their sender, and force nothing"},
	{ID: fallbackDup, Code: "K14", Where: shown,
		Doc: "the job falls back behind output that is visible and puts it out again, as with FLINK-20441"},
	{ID: sinkForgets, Code: "K14", Where: everywhere,
		Doc: "a sink that should take each output once takes it as often as it comes"},
	{ID: wrongLevelOrder, Code: "K20", Where: everywhere,
		Doc: "a worker restores the newest round that the store has, although a newer one is at its partner or on its disk"},
	{ID: wedgeOnDead, Code: "K30", Where: everywhere,
		Doc: "the coordinator waits for all parts of a round, for ever, also for that of a worker that has died"},
}

// checkBug says which bugs there are if id is none of them.
func checkBug(id string) error { return cluster.CheckBug("checkpoint", catalog, id) }
