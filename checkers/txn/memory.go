package txn

import (
	"context"
	"fmt"
	"math"

	"github.com/cleancut/cleancut/checkers/txn/graph"
)

// memory is what a check may still allocate. Whatever is allocated counts
// for good, as nobody knows when the garbage is collected; so the bound holds
// at every moment. Each part of the check asks before it allocates.
type memory struct{ bound, left int64 }

func newMemory(bound int64) *memory { return &memory{bound, bound} }

// take reserves bytes, or says what they would have been for.
func (m *memory) take(bytes int64, format string, args ...any) error {
	if bytes < 0 || bytes > m.left {
		return fmt.Errorf("%s: the check would need %d MiB or more, more than the bound of %d MiB", fmt.Sprintf(format, args...), (m.bound-m.left+max(bytes, 0))>>20+1, m.bound>>20)
	}
	m.left -= bytes
	return nil
}

// budget returns a budget for searches; spent takes what they used.
func (r *run) budget(ctx context.Context) *graph.Budget {
	return graph.NewBudget(ctx, r.o.Steps, r.memory.left)
}

func (r *run) spent(b *graph.Budget) { r.memory.left = min(r.memory.left, max(0, b.Memory())) }

// Bytes of the parts of a check. Lists that grow are counted with what they
// leave behind.
const (
	txnBytes  = 80  // of a History
	opBytes   = 40  // of a History
	nameBytes = 280 // of a key or a name and its place in a map, without the text
	edgeBytes = 9   // of a graph.Builder
	// builtBytes are of a graph's edge, nodeBytes of a node together with what
	// Components needs for it.
	builtBytes = 5
	nodeBytes  = 4 + 8 + 2*3*8
	// orderTxnBytes are those of the order of processes or of real time.
	orderTxnBytes = 36 + 8
)

// pollTxns is how many transactions are gone through between two looks at the
// context.
const pollTxns = 1024

// edgesMost is the number of edges of which a graph has room at first: a read
// has two and an append one, and the orders have at most three a transaction.
func (s size) edgesMost() int { return 3*s.ops + 3*s.txns }

// graphBytes is what the graph of dependencies takes.
func (s size) graphBytes() int64 {
	return int64(s.edgesMost())*(edgeBytes+builtBytes) + 2*int64(s.txns)*nodeBytes + int64(s.txns)*orderTxnBytes
}

// indexBytes is what an index of so many values takes.
func indexBytes(values int) int64 {
	n := int64(16)
	for n < int64(values)+int64(values)/2 {
		n *= 2
	}
	return 16 * n
}

// listBytes is what the reading of lists takes, before the orders of keys are
// known.
func (s size) listBytes() int64 {
	return indexBytes(s.writes) + int64(s.writes)*(8+1+4+4+4+16+8) + int64(s.ops-s.writes)*8 + int64(s.keys)*(8+24+1+4+8+4+88+3*48) + int64(s.txns)
}

// tailBytes is what the tails of all keys and a number for each transaction
// take.
func (s size) tailBytes() int64 { return int64(s.keys)*48 + int64(s.ops)*24 + int64(s.txns)*4 }

// registerBytes is what the reading of registers takes.
func (s size) registerBytes() int64 {
	versions := int64(s.ops + s.keys)
	return indexBytes(s.ops) + int64(s.writes)*(8+1+4) + versions*(3*24+4) + int64(s.ops)*(16+16+16+24+ownOpBytes) + int64(s.keys)*(8+24+4+12) + int64(s.txns)*(1+4)
}

// chainBytes is what the chains of versions take, each with a few list headers
// and two entries of maps.
func (s size) chainBytes() int64 {
	return int64(s.writes)*(1+3*8+5*56+2*48+4+nodeBytes) + int64(s.keys)*24
}

// weakBytes is what a weak level takes before it infers anything.
func (s size) weakBytes() int64 {
	return int64(s.ops)*3*8 + int64(s.txns+1)*(4*12) + int64(s.keys)*(3*4)
}

// cycleBytes is what the search for cycles takes on a part of a graph.
func cycleBytes(all, nodes int64, edges int64) int64 {
	const perNode = 16*9 + 4 + 8*4 + 4 + nodeBytes*8 + 3*40
	if nodes > math.MaxInt64/perNode {
		return math.MaxInt64
	}
	return (8+4+36)*all + nodes*(perNode+5*12) + edges*(edgeBytes+builtBytes)*8
}

// witnessBytes is what it takes to cut a finding's witness out: of each value
// that is read, the transaction that wrote it.
func witnessBytes(h *History, parts []place) int64 {
	n := int64(1024)
	for _, p := range parts {
		n += 512
		if p.op != none {
			n += 400 * int64(len(h.Txns[p.txn].Ops[p.op].List))
		}
	}
	return n
}
