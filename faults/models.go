package faults

// Model is a failure model: what kind of misbehaviour a fault makes a
// component show (Cristian, "Understanding fault-tolerant distributed
// systems", CACM 34(2), 1991; Hadzilacos and Toueg, 1994).
type Model string

// The failure models, from the tamest to the wildest.
const (
	FailStop      Model = "fail-stop"      // stops for good, detectably
	CrashRecovery Model = "crash-recovery" // stops, loses volatile state, comes back
	Omission      Model = "omission"       // does not send or receive some messages
	Timing        Model = "timing"         // acts too late or too early
	Byzantine     Model = "byzantine"      // anything else
	Resource      Model = "resource"       // runs out of something
)
