// Package txn judges histories of transactions over lists that are appended
// to, and over registers that are written and read.
//
// Lists: the order of the versions of a key is known from the reads, and
// acknowledged appends that nobody saw come last. Serializability, snapshot
// isolation, their session and real-time variants, repeatable read, read
// committed and read uncommitted are decided exactly, in time and memory
// linear in the history: both valid and invalid are certain.
//
// Registers: the order of versions is known in part (see Options). Where it
// is complete, as it is where each transaction reads what it overwrites, it
// decides; elsewhere an order without forbidden cycle is sought, within
// Options.Steps: valid and invalid are certain, and past the steps the verdict
// is unknown. Read committed, read atomic and causal are decided exactly for
// both.
//
// Anomalies are named as Elle names them (Kingsbury and Alvaro, VLDB 2020).
// Values written to a key must be unique; this is verified. Not checked:
// predicates, and reads of transactions that are not ok.
package txn
