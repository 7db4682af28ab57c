package workloads

import (
	"fmt"
	"math/rand/v2"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/rng"
)

// Functions of keyed workloads. A read's value is what it returned, nil for a
// key that is absent. The value of a cas is the list [expected new], where
// expected nil means that the key is absent; it fails if the key does not
// have the expected value.
const (
	Read   = "read"
	Write  = "write"
	CAS    = "cas"
	Delete = "delete"
)

// Keyed is a workload on independent keys, each of which is a register.
type Keyed struct {
	name, doc string
	// Active is how many keys are in use at a time.
	Active int
	// PerKey is about how many operations a key sees before the clients move
	// on to fresh keys. Checkers need time that grows fast with it.
	PerKey int
	// Shares of the functions, in percent; reads get the rest.
	Writes, CASes, Deletes int
}

// Register reads and writes.
func Register() Keyed {
	return Keyed{name: "register", doc: "reads and writes of unique values on registers", Active: 3, PerKey: 100, Writes: 50}
}

// CASRegister reads, writes and compares-and-sets.
func CASRegister() Keyed {
	return Keyed{name: "cas-register", doc: "reads, writes and compare-and-sets of unique values on registers", Active: 3, PerKey: 100, Writes: 30, CASes: 25}
}

// KV reads, writes, compares-and-sets and deletes.
func KV() Keyed {
	return Keyed{name: "kv", doc: "reads, writes, compare-and-sets and deletes of keys", Active: 8, PerKey: 80, Writes: 35, CASes: 15, Deletes: 10}
}

// Name implements Workload.
func (k Keyed) Name() string { return k.name }

// Doc implements Workload.
func (k Keyed) Doc() string { return k.doc }

// Functions implements Workload.
func (k Keyed) Functions() []string {
	f := []string{Read, Write}
	if k.CASes > 0 {
		f = append(f, CAS)
	}
	if k.Deletes > 0 {
		f = append(f, Delete)
	}
	return f
}

// finalKeysMax bounds the final reads of long runs; the newest keys are read.
const finalKeysMax = 64

// Final implements Workload.
func (k Keyed) Final(keys []string) []cluster.Op {
	if len(keys) > finalKeysMax {
		keys = keys[len(keys)-finalKeysMax:]
	}
	ops := make([]cluster.Op, len(keys))
	for i, key := range keys {
		ops[i] = cluster.Op{F: Read, Key: key}
	}
	return ops
}

// Client implements Workload.
func (k Keyed) Client(seed uint64, client, clients int) Generator {
	return &keyedClient{
		Keyed:  k,
		rand:   rng.Stream(seed, fmt.Sprintf("workload/client/%d", client)),
		client: client, clients: clients,
		move: max(1, k.Active*k.PerKey/clients),
		last: map[string]history.Value{},
	}
}

type keyedClient struct {
	Keyed
	rand            *rand.Rand
	client, clients int
	move            int // operations of this client until it moves on to fresh keys
	issued, written int
	last            map[string]history.Value // what this client knows of the active keys
}

// Next implements Generator. Values are numbered per client, so that no two
// clients ever write the same one.
func (c *keyedClient) Next() cluster.Op {
	if c.issued%c.move == 0 {
		clear(c.last)
	}
	op := cluster.Op{F: Read, Key: fmt.Sprintf("k%d", c.issued/c.move*c.Active+c.rand.IntN(c.Active))}
	c.issued++
	switch p := c.rand.IntN(100); {
	case p < c.Writes:
		op.F, op.Value = Write, c.fresh()
	case p < c.Writes+c.CASes:
		// Only a value that was seen can be expected; until then, read.
		if seen, ok := c.last[op.Key]; ok {
			op.F, op.Value = CAS, history.List(seen, c.fresh())
		}
	case p < c.Writes+c.CASes+c.Deletes:
		op.F = Delete
	}
	return op
}

func (c *keyedClient) fresh() history.Value {
	c.written++
	return history.Int(int64((c.written-1)*c.clients + c.client + 1))
}

// Observe implements Generator.
func (c *keyedClient) Observe(op cluster.Op, done cluster.Completion) {
	if done.Outcome != history.OK {
		return
	}
	switch op.F {
	case Read:
		c.last[op.Key] = done.Value
	case Write:
		c.last[op.Key] = op.Value
	case CAS:
		pair, _ := op.Value.AsList()
		c.last[op.Key] = pair[1]
	case Delete:
		c.last[op.Key] = history.Nil
	}
}
