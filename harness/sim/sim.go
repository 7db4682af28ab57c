package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cleancut/cleancut/harness/cluster"
)

// Name is the name of this runtime.
const Name = "sim"

// one admits one simulation at a time: see the package comment.
var one = make(chan struct{}, 1)

// New returns the simulated runtime. The cluster that its Run passes to the
// body is, beside a cluster.Cluster, a cluster.Crasher, PowerCutter, Rebooter,
// Pauser, Linker, Tripper, Observer and Tracer, and a Checkpointer.
//
// Run fails with an error that wraps cluster.ErrUnavailable if the target is
// no cluster.Simulated; ErrDeadlock, ErrLimit and ErrActivity are the other
// ways to fail beside the body's own error. Options are checked by Run.
func New(o Options) cluster.Runtime { return runtime{o} }

type runtime struct{ options Options }

func (runtime) Name() string { return Name }

// Run implements cluster.Runtime.
func (r runtime) Run(ctx context.Context, spec cluster.Spec, body func(context.Context, cluster.Cluster) error) (err error) {
	o, err := r.options.resolve()
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	target, err := check(spec)
	if err != nil {
		return fmt.Errorf("simulator: %w", err)
	}
	select {
	case one <- struct{}{}:
		defer func() { <-one }()
	case <-ctx.Done():
		return ctx.Err()
	}
	w := newWorld(ctx, spec, target, o)
	// Deferred, because the body may leave by runtime.Goexit, as
	// testing.T.FailNow does.
	defer func() {
		w.shutdown()
		evidence := w.keepEvidence()
		switch {
		case w.fatal != nil:
			err = fmt.Errorf("simulator: %w", w.fatal)
		case w.bodyErr != nil:
			err = w.bodyErr
		case evidence != nil:
			err = fmt.Errorf("simulator: %w", evidence)
		}
	}()
	w.start(body)
	w.loop()
	return nil
}

// check says what a spec lacks to be simulated.
func check(spec cluster.Spec) (cluster.Simulated, error) {
	if spec.Target == nil {
		return nil, errors.New("the spec has no target")
	}
	target, ok := spec.Target.(cluster.Simulated)
	if !ok {
		return nil, fmt.Errorf("target %q cannot be simulated, for it has no node program; use the docker runtime: %w",
			spec.Target.Name(), cluster.ErrUnavailable)
	}
	if n := len(spec.Nodes); n < 1 || n > nodesMax {
		return nil, fmt.Errorf("the spec has %d nodes, want 1 to %d", n, nodesMax)
	}
	seen := map[string]bool{cluster.ClientEnd: true}
	for _, name := range spec.Nodes {
		if name == "" || name != filepath.Base(name) || name == "." || name == ".." {
			return nil, fmt.Errorf("node name %q: want a name without slashes", name)
		}
		if seen[name] {
			return nil, fmt.Errorf("node name %q is taken", name)
		}
		seen[name] = true
	}
	return target, nil
}

// keepEvidence writes the nodes' logs, if the spec asks for evidence.
func (w *world) keepEvidence() error {
	if w.spec.EvidenceDir == "" {
		return nil
	}
	for _, n := range w.nodes {
		dir := filepath.Join(w.spec.EvidenceDir, n.name)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("evidence of %s: %w", n.name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, cluster.LogFile), n.log.tail(w.options.LogBytes), 0o666); err != nil {
			return fmt.Errorf("evidence of %s: %w", n.name, err)
		}
	}
	return nil
}
