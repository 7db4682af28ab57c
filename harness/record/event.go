// Package record is the record of what the processes of a checkpointed
// computation did: messages, checkpoints, crashes, restores, inputs and
// outputs. It is what recovery is judged by (checkers/recovery), and it can be
// written by any system: one JSON object per line, in a file in which the
// lines of each process stand in the order in which that process did things.
//
// The vocabulary is that of Chandy and Lamport (1985) and of Elnozahy, Alvisi,
// Wang and Johnson (ACM Computing Surveys 34(3), 2002). A process is written
// down as a sequence of incarnations: a new one begins when the process starts
// and whenever its state is set back to a checkpoint.
//
// The package promises that what it reads is well formed and free of
// contradictions (see Read). It does not judge whether recovery was right.
package record

import "time"

// Kind is what an event is. Its comment names the fields that it needs, and
// in brackets those that it may have; any event may have Epoch, Round and
// Reason. A field that does not belong to a kind is an error.
type Kind string

const (
	// Start: the process begins to run, for the first time or after a crash,
	// with nothing in memory. It is the first event of every process. [Value,
	// Digest: of the initial state].
	Start Kind = "start"
	// Crash: the process is dead. It cannot say so itself; whoever killed or
	// watched it does.
	Crash Kind = "crash"

	// Send: a message was handed to the channel. Msg, Peer (the receiver)
	// [Digest, Value, Index]. A re-execution that sends the same message again uses
	// the same Msg.
	Send Kind = "send"
	// Recv: a message was delivered to the application. Msg, Peer (the
	// sender) [Digest, Value, Index].
	Recv Kind = "recv"

	// CheckpointBegin: the local state was captured; this is where the cut
	// passes. Ckpt [Round, Digest, Value, Offsets, Forced, Index].
	CheckpointBegin Kind = "ckpt_begin"
	// CheckpointCommit: the local checkpoint, channel state included, can be
	// restored from Level. Ckpt [Round, Level, Channel, Bytes, Base]. A
	// checkpoint commits once for every level that it reaches.
	CheckpointCommit Kind = "ckpt_commit"
	// CheckpointAbort: the local checkpoint was given up. Ckpt [Reason].
	CheckpointAbort Kind = "ckpt_abort"
	// CheckpointDelete: the checkpoint was garbage, or its level forgot it.
	// Ckpt [Level, Reason].
	CheckpointDelete Kind = "ckpt_delete"
	// CheckpointBad: an attempt to load the checkpoint from Level failed, and
	// the process noticed. Ckpt, Level, Reason ("missing", "corrupt",
	// "unreadable").
	CheckpointBad Kind = "ckpt_bad"

	// RoundBegin: the coordinator asked for a global checkpoint. Round.
	RoundBegin Kind = "round_begin"
	// RoundCommit: the global checkpoint was acknowledged as complete. Round,
	// Line (all its parts).
	RoundCommit Kind = "round_commit"
	// RoundAbort: the global checkpoint was given up. Round [Reason].
	RoundAbort Kind = "round_abort"

	// Recovery: the coordinator decided how to recover. Epoch, Line (process
	// to checkpoint; "" for the initial state; processes that do not roll
	// back are not in it) [Round, Failed].
	Recovery Kind = "recovery"
	// Restore: the process set its state to a checkpoint, "" being its
	// initial state. Ckpt [Level, Round, Epoch, Digest, Value, Offsets].
	Restore Kind = "restore"
	// ReplayEnd: what was logged since the checkpoint has been replayed.
	// [Digest].
	ReplayEnd Kind = "replay_end"
	// Resume: the process computes again after a recovery. [Epoch].
	Resume Kind = "resume"

	// Nondet: a nondeterministic event took place, whose determinant is ID.
	// ID [Digest].
	Nondet Kind = "nondet"
	// LogStable: the determinant ID is on stable storage. ID.
	LogStable Kind = "log_stable"
	// LogDelete: the log no longer holds the message Msg. Msg.
	LogDelete Kind = "log_delete"

	// Input: an input was consumed. Source, Offset.
	Input Kind = "input"
	// Output: an output was produced; the outside world cannot see it yet.
	// Sink, ID [Digest].
	Output Kind = "output"
	// OutputCommit: the outside world can see the output; whoever made it
	// visible says so, and may say it again with the same Txn. Sink, ID [Digest, Txn, Round, Epoch, Peer (who had
	// produced it)].
	OutputCommit Kind = "output_commit"

	// Stop and Go enclose a time in which the process did not compute because
	// of a checkpoint. [Round].
	Stop Kind = "stop"
	Go   Kind = "go"
	// Work: units of the job were completed. Units.
	Work Kind = "work"
	// Final: the process has finished its part. [Digest, Value].
	Final Kind = "final"
	// Failure: the process, or the job, gave up loudly. Reason.
	Failure Kind = "failure"
)

// Event is one line of a record. Fields that a kind does not need are absent.
type Event struct {
	// T is when, in nanoseconds on one clock for all processes. Within an
	// incarnation it does not go back.
	T time.Duration `json:"t"`
	// Proc is whose event it is, and Inc the incarnation of that process,
	// counted from 1.
	Proc string `json:"proc"`
	Inc  int    `json:"inc"`
	Kind Kind   `json:"kind"`
	// Epoch is the recovery epoch in which the process believes itself, 0 if
	// the system has none. That it never goes back is judged, not demanded.
	Epoch int `json:"epoch,omitempty"`

	// Msg identifies a message across re-executions: the same for a message
	// that is sent again, different for all others.
	Msg  string `json:"msg,omitempty"`
	Peer string `json:"peer,omitempty"`
	// Digest is a hash of the message, state or output, so that what was done
	// again can be compared with what was done before.
	Digest string `json:"digest,omitempty"`
	// Value is the process's or message's share of a quantity that the job
	// conserves.
	Value *int64 `json:"value,omitempty"`

	// Ckpt identifies a local checkpoint of this process; ids are not reused.
	Ckpt string `json:"ckpt,omitempty"`
	// Round numbers global checkpoints from 1, upwards.
	Round int `json:"round,omitempty"`
	// Index is the index of index-based communication-induced checkpointing:
	// of a checkpoint, or the one that came with a message.
	Index int `json:"index,omitempty"`
	// Forced tells that a checkpoint was induced by a message.
	Forced bool `json:"forced,omitempty"`
	// Channel lists the messages recorded as channel state, in order.
	Channel []string `json:"channel,omitempty"`
	// Offsets are the positions in the sources that the state includes: the
	// next input to be consumed from each.
	Offsets map[string]int64 `json:"offsets,omitempty"`
	// Line names a checkpoint of each process.
	Line map[string]string `json:"line,omitempty"`
	// Failed lists the processes that were found dead.
	Failed []string `json:"failed,omitempty"`
	// Level is a level of stable storage ("partner", "local", "store").
	Level string `json:"level,omitempty"`
	// Bytes is what was written for a checkpoint.
	Bytes int64 `json:"bytes,omitempty"`
	// Base is the checkpoint of this process on which an incremental one
	// rests.
	Base string `json:"base,omitempty"`

	Source string `json:"source,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	Sink   string `json:"sink,omitempty"`
	// ID identifies an output within its sink, or a determinant.
	ID  string `json:"id,omitempty"`
	Txn string `json:"txn,omitempty"`

	Units  int64  `json:"units,omitempty"`
	Reason string `json:"reason,omitempty"`
}
