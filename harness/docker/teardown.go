package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"
	"testing/fstest"
	"time"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
)

// Bounds of the evidence.
const (
	evidenceLog     = 16 << 20 // bytes of a node's log
	evidenceTimeout = 20 * time.Second
)

// Bounds of the end of a run that was interrupted: whoever did that waits.
const (
	evidenceHurry = 4 * time.Second
	teardownHurry = 8 * time.Second
)

// Record is what EvidenceDir/<node>/agent.json holds at the end of a run.
type Record struct {
	Node    string                  `json:"node"`
	Address string                  `json:"address"`
	Image   string                  `json:"image"`
	State   agent.State             `json:"state"`
	Exits   []agent.Exit            `json:"exits"`
	Rules   map[string]agent.Counts `json:"rules,omitempty"` // still in force
	Errors  []string                `json:"errors,omitempty"`
}

// collectEvidence writes the logs and final states of all nodes. It works
// when ctx is cancelled, too; what fails is logged, not returned: evidence
// must not change a run's end.
func (c *Cluster) collectEvidence(ctx context.Context) {
	if c.spec.EvidenceDir == "" {
		return
	}
	limit := evidenceTimeout
	if ctx.Err() != nil {
		limit = evidenceHurry
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	err := c.each(func(m *machine) error {
		dir := filepath.Join(c.spec.EvidenceDir, m.name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		log, logErr := c.Logs(ctx, m.name, evidenceLog)
		if logErr != nil {
			log = fmt.Appendf(log, "cleancut: the log of %s could not be read: %v\n", m.name, logErr)
		}
		record, err := jsontext.MarshalIndent(c.record(ctx, m))
		if err != nil {
			return err
		}
		return errors.Join(logErr,
			os.WriteFile(filepath.Join(dir, cluster.LogFile), log, 0o644),
			os.WriteFile(filepath.Join(dir, "agent.json"), append(record, '\n'), 0o644))
	})
	if err != nil {
		c.log.Warn("evidence is incomplete", "error", err)
	}
}

func (c *Cluster) record(ctx context.Context, m *machine) Record {
	r := Record{Node: m.name, Address: m.ip, Image: c.image}
	if m.down.Load() {
		r.Errors = []string{"the machine is off"}
		return r
	}
	note := func(err error) {
		if err != nil {
			r.Errors = append(r.Errors, err.Error())
		}
	}
	var err error
	r.State, err = m.agent.State(ctx)
	note(err)
	r.Exits, err = m.agent.Exits(ctx, 0, 0)
	note(err)
	r.Rules, err = m.agent.RuleCounts(ctx)
	note(err)
	return r
}

// teardown removes everything that the run made. It has its own time limit,
// since the run's context may be the reason why it ends.
func (c *Cluster) teardown() error {
	limit := c.options.Teardown
	if c.interrupted {
		limit = min(limit, teardownHurry)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c.unwatch()
	c.watching.Wait()
	c.closeIdle()
	var errs []error
	if c.machines != nil {
		errs = append(errs, c.each(func(m *machine) error {
			m.agent.Forget()
			if m.container == nil {
				return nil
			}
			return testcontainers.TerminateContainer(m.container, testcontainers.StopContext(ctx), testcontainers.StopTimeout(0))
		}))
	}
	if c.lan.network != nil {
		errs = append(errs, c.lan.network.Remove(ctx))
	}
	// What a cancelled request made without our learning its name is found by
	// its labels.
	if c.labels != nil {
		left := c.daemon.removeOwned(ctx, filter(labelRun, c.spec.Run), c.labels)
		if left == nil {
			errs = nil // whatever failed above, nothing is left
		}
		errs = append(errs, left)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("docker: teardown: %w", err)
	}
	return nil
}

// removeOwned removes the containers and networks that match a filter and carry
// the same owner as labels do.
func (d *daemon) removeOwned(ctx context.Context, f client.Filters, labels map[string]string) error {
	mine := func(_ string, other map[string]string) bool {
		return other[labelPID] == labels[labelPID] && other[labelPIDStart] == labels[labelPIDStart] &&
			other[labelPIDSpace] == labels[labelPIDSpace] && other[labelBoot] == labels[labelBoot]
	}
	return errors.Join(
		d.removeContainers(ctx, f, mine, func(string, string, map[string]string) {}),
		d.removeNetworks(ctx, f, mine))
}

// leaving tells that this process takes its containers away from under its runs:
// what the daemon tells from then on is no disturbance.
var leaving atomic.Bool

// RemoveOwn removes all containers and networks of this process, whatever its
// runs are at: for a process that ends at once. Without a daemon there are none.
func RemoveOwn(ctx context.Context) error {
	leaving.Store(true)
	d, err := connect(ctx)
	if errors.Is(err, cluster.ErrUnavailable) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	me, err := self()
	if err != nil {
		return err
	}
	return d.removeOwned(ctx, filter(labelMark, "1"), me.labels(""))
}

// readDir reads a directory of a container, which need not run.
func (d *daemon) readDir(ctx context.Context, id, dir string, limit int64) (fs.FS, error) {
	res, err := d.api.CopyFromContainer(ctx, id, client.CopyFromContainerOptions{SourcePath: dir})
	if err != nil {
		return nil, err
	}
	defer closeBody(res.Content)
	files := fstest.MapFS{}
	var total int64
	for r := tar.NewReader(res.Content); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if total += header.Size; total > limit {
			return nil, fmt.Errorf("%s exceeds %d bytes", dir, limit)
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, r); err != nil {
			return nil, err
		}
		if header.Typeflag == tar.TypeReg {
			files[path.Base(header.Name)] = &fstest.MapFile{Data: b.Bytes()}
		}
	}
}
