package harness_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/rundir"
	"github.com/cleancut/cleancut/harness/sim"
)

// spoiling is a runtime that does something to the run directory once the
// cluster is gone, and all evidence written.
type spoiling struct {
	cluster.Runtime
	do func(dir string) error
}

func (r spoiling) Run(ctx context.Context, spec cluster.Spec, body func(context.Context, cluster.Cluster) error) error {
	return errors.Join(r.Runtime.Run(ctx, spec, body), r.do(filepath.Dir(spec.EvidenceDir)))
}

func TestAVerdictThatCannotBeKeptIsTold(t *testing.T) {
	folder := func(name string) func(dir string) error {
		return func(dir string) error { return os.MkdirAll(filepath.Join(dir, name, "x"), 0o755) }
	}
	for _, c := range []struct {
		name, says string
		do         func(dir string) error
	}{
		{"result", rundir.ResultFile, folder(rundir.ResultFile)},
		{"report", rundir.ReportFile, folder(rundir.ReportFile)},
		{"JUnit file", rundir.JUnitFile, folder(rundir.JUnitFile)},
		{"run directory", filepath.Join("test", "swarm"), os.RemoveAll},
	} {
		f, err := harness.Run(context.Background(), with(t, "at 1s kill(all) for 1s"),
			harness.Options{Runtime: spoiling{sim.New(sim.Options{}), c.do}, Seed: 1, Out: t.TempDir()})
		switch {
		case f == nil:
			t.Errorf("%s: no result: %v", c.name, err)
			continue
		case f.Result.Verdict != rundir.Error:
			t.Errorf("%s: the verdict is %s, want %s", c.name, f.Result.Verdict, rundir.Error)
		case err == nil && !strings.Contains(strings.Join(f.Result.Reasons, " "), c.says), err != nil && !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v and %q, want the name %s", c.name, err, f.Result.Reasons, c.says)
		}
		if path := f.ReportPath(); path != "" {
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s: the report %s is told of and does not exist", c.name, path)
			}
		}
	}
	f, err := harness.Run(context.Background(), with(t, "at 1s kill(all) for 1s"),
		harness.Options{Runtime: spoiling{sim.New(sim.Options{}), func(string) error { return nil }}, Seed: 1, Out: t.TempDir()})
	if err != nil || f.Result.Verdict == rundir.Error || f.ReportPath() == "" {
		t.Errorf("unspoiled: %+v, %v", f, err)
	}
}
