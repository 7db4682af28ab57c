package history

// Failure is a failure model: what kind of misbehaviour a fault makes a
// component show (Cristian, "Understanding fault-tolerant distributed
// systems", CACM 34(2), 1991; Hadzilacos and Toueg, 1994). Package faults says
// which fault has which; whoever judges a history looks at the model, and knows
// no fault by its name.
//
// Each of them can cost data: a crash takes what only memory had, omission and
// timing let a service fail over without what had not been passed on, and
// damage takes anything.
type Failure string

// The failure models, from the tamest to the wildest. The empty one is that of
// a fault that nobody knows.
const (
	FailStop      Failure = "fail-stop"      // stops for good, detectably
	CrashRecovery Failure = "crash-recovery" // stops, loses volatile state, comes back
	Omission      Failure = "omission"       // does not send or receive some messages
	Timing        Failure = "timing"         // acts too late or too early
	Byzantine     Failure = "byzantine"      // anything else
	Resource      Failure = "resource"       // runs out of something
)
