package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ledgerKey is the store's key under which the ledger is.
const ledgerKey = "ledger"

// ledger is all that a coordinator has decided, in one value of the store. It
// is replaced by compare-and-set, so a coordinator that was deposed without
// noticing can decide nothing more: its next change finds another value.
type ledger struct {
	// Version counts the changes. It goes with every order, and workers
	// follow none that is older than one that they know.
	Version uint64 `json:"v"`
	// Owner is the coordinator, by node and process.
	Owner string `json:"o"`
	// Epoch counts recoveries, and Phase says what the workers are to do in
	// it; Target is the round that it begins with, 0 for the initial state.
	Epoch  int   `json:"e"`
	Phase  phase `json:"p"`
	Target int   `json:"t"`
	// Begun is the highest round that was ever begun, Pending the one under
	// way, 0 for none.
	Begun   int `json:"b"`
	Pending int `json:"r"`
	// Committed are the rounds that are committed and kept, ascending.
	Committed []int `json:"c"`
	// Trimmed is the newest round that was committed and let go.
	Trimmed int `json:"g"`
	// Ghosts has, by worker, the rounds whose output was visible when the job
	// fell back behind them, ascending.
	Ghosts map[string][]int `json:"s,omitempty"`
	// Failure is why the job was given up.
	Failure string `json:"f,omitempty"`

	// What follows is of the protocols without rounds, by worker. Stable is
	// the catalogue of checkpoints, ascending; Gone the newest one that was
	// let go, 0 for none; Shown how many transactions of output are released.
	Stable [][]entry `json:"k,omitempty"`
	Gone   []int     `json:"x,omitempty"`
	Shown  []int     `json:"w,omitempty"`
	// Lost are the workers that count as dead in this epoch, Line what each
	// restores, stays for nothing, and Boots the processes that computed when
	// the epoch's recovery was over.
	Lost  []int    `json:"d,omitempty"`
	Line  []int    `json:"l,omitempty"`
	Boots []uint64 `json:"i,omitempty"`
	// Owed is, by worker and outgoing channel, what survivors have received:
	// a replay that does not come to that is none.
	Owed [][]uint64 `json:"q,omitempty"`
}

// stays stands for a worker that no checkpoint is restored to.
const stays = -1

func (l ledger) encode() string {
	b, err := json.Marshal(l)
	if err != nil {
		panic("a ledger that cannot be JSON: " + err.Error())
	}
	return string(b)
}

func decodeLedger(s string) (ledger, error) {
	var l ledger
	if err := json.Unmarshal([]byte(s), &l); err != nil {
		return l, fmt.Errorf("checkpoint: the ledger in the store cannot be read: %w", err)
	}
	if l.Version == 0 {
		return l, errors.New("checkpoint: what is in the store is no ledger, which has a version from 1 on")
	}
	return l, nil
}

func (l ledger) clone() ledger {
	l.Committed = slices.Clone(l.Committed)
	l.Stable = slices.Clone(l.Stable)
	for p := range l.Stable {
		l.Stable[p] = slices.Clone(l.Stable[p])
	}
	l.Gone, l.Shown = slices.Clone(l.Gone), slices.Clone(l.Shown)
	if l.Ghosts = maps.Clone(l.Ghosts); l.Ghosts == nil {
		l.Ghosts = map[string][]int{}
	}
	return l
}

// newest returns the newest committed round, 0 if there is none.
func (l ledger) newest() int {
	if n := len(l.Committed); n > 0 {
		return l.Committed[n-1]
	}
	return 0
}

// order is what a worker is told.
func (l *ledger) order(k links, p int) order {
	o := order{
		version: l.Version, epoch: l.Epoch, phase: l.Phase, target: l.Target,
		pending: l.Pending, begun: l.Begun, committed: l.Committed, ward: l.Committed,
	}
	if l.Stable == nil {
		return o
	}
	n := len(l.Stable)
	o.committed, o.ward = l.numbers(p), l.numbers((p+n-1)%n)
	o.lost, o.shown = contains(l.Lost, p), l.Shown[p]
	if l.Gone[p] != 0 && len(o.committed) > 0 {
		o.oldest = o.committed[0]
	}
	if l.Line != nil {
		o.stay = l.Line[p] == stays
		o.target = max(0, l.Line[p])
	}
	if l.Boots != nil {
		o.boot = l.Boots[p]
	}
	if l.Owed != nil {
		o.owed = l.Owed[p]
	}
	for _, q := range k.tos[p] {
		o.covered = append(o.covered, l.covered(k, p, q))
	}
	return o
}
