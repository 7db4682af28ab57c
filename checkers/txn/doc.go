// Package txn judges histories of transactions over lists that are appended
// to, and over registers that are written and read.
//
// Lists: the order of the versions of a key is known from the reads, and
// acknowledged appends that nobody saw come last. Serializability, snapshot
// isolation, their session and real-time variants, repeatable read, read
// committed and read uncommitted are decided exactly, in time and memory
// linear in the history: both valid and invalid are certain.
//
// Registers: the order of versions is known in part (see Options). Invalid is
// certain; valid is said where the order is complete, as it is where each
// transaction reads what it overwrites, or where an order of all transactions
// was found that explains all reads; otherwise unknown. Read committed, read
// atomic and causal are decided exactly for both.
//
// Anomalies are named as Elle names them (Kingsbury and Alvaro, VLDB 2020).
// Values written to a key must be unique; this is verified. Not checked:
// predicates, and reads of transactions that are not ok.
package txn
