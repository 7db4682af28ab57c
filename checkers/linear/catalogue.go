package linear

import (
	"fmt"
	"strings"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// Object says which object a history is about, beyond the workload's name.
type Object struct {
	// Initial is the value before the first operation: any value for
	// registers, an integer for a counter (nil is 0), the number of permits
	// for a semaphore (at least 1), for multi-register a value of all
	// registers or a list of [register value]. Other objects start empty, and
	// it must be nil.
	Initial history.Value
	// Mismatch and NilReads are as in Spec. NilReads applies to multi-register,
	// too.
	Mismatch string
	NilReads bool
}

// catalogue maps names of workloads to what judges them.
var catalogue = []struct {
	name string
	doc  string
	make func(Object) (object, error)
}{
	{"register", "read, write", register1},
	{"cas-register", "read, write, cas [expected new]", register1},
	{"kv", "read, write, cas, delete", register1},
	{"mutex", "acquire, release", func(o Object) (object, error) {
		return structure{"mutex", semaphores{1}, "holding times"}, o.empty()
	}},
	{"semaphore", "acquire, release", func(o Object) (object, error) {
		n, ok := o.Initial.AsInt()
		if !ok || n < 1 || n > 1<<30 {
			return nil, fmt.Errorf("the initial value is %s; expected the number of permits, from 1 to 2³⁰", o.Initial)
		}
		return structure{"semaphore", semaphores{n}, "holding times"}, nil
	}},
	{"set", "add, remove, contains, read", func(o Object) (object, error) {
		return structure{"set", sets{}, orderedGroups}, o.empty()
	}},
	{"queue", "enqueue, dequeue", func(o Object) (object, error) {
		return structure{"queue", queues{}, "queue patterns"}, o.empty()
	}},
	{"counter", "add, read", func(o Object) (object, error) {
		n, ok := o.Initial.AsInt()
		if !ok && !o.Initial.IsNil() {
			return nil, fmt.Errorf("the initial value is %s; expected an integer", o.Initial)
		}
		return structure{"counter", counters{n}, "ranks"}, nil
	}},
	{"list", "append, read", list1},
	{"log", "append, read; send, poll", log1},
	{"multi-register", "txn [[f register value] …]", func(o Object) (object, error) {
		return structure{"multi-register", multiRegisters{o.Initial, o.NilReads}, ""}, nil
	}},
	{"fencing", "acquire, release, write", func(o Object) (object, error) {
		return structure{"fencing", fences{}, orderedGroups}, o.empty()
	}},
}

func register1(o Object) (object, error) {
	return registers{Spec(o)}, nil
}

func list1(o Object) (object, error) {
	return structure{"list", lists{}, orderedGroups}, o.empty()
}

func (o Object) empty() error {
	if !o.Initial.IsNil() {
		return fmt.Errorf("the initial value is %s; this object starts empty", o.Initial)
	}
	return nil
}

// Workloads lists the names that For knows.
func Workloads() []string {
	names := make([]string, len(catalogue))
	for i, c := range catalogue {
		names[i] = c.name
	}
	return names
}

// For returns the checker of linearizability for a workload. The error names
// the workloads that linearizability can be decided for.
func For(workload string, what Object, o Options) (checkers.Checker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	for _, c := range catalogue {
		if c.name != workload {
			continue
		}
		object, err := c.make(what)
		if err != nil {
			return nil, fmt.Errorf("linear: workload %s: %w", workload, err)
		}
		_, jepsen := object.(logs)
		return checker{object: object, o: o.withDefaults(), jepsen: jepsen}, nil
	}
	return nil, fmt.Errorf("linear: linearizable cannot be decided for the workload %q; it can be for %s", workload, strings.Join(Workloads(), ", "))
}
