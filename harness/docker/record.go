package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
	"github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/record/raw"
)

// recordMax bounds what is read of a node's record, in bytes: somewhat more
// than the node itself keeps.
const recordMax = 320 << 20

// Record implements cluster.Recorder. It reads the files that the nodes keep
// (cluster.Command.RecordFile), also from containers that are down, and puts
// them on the run's clock.
func (c *Cluster) Record(ctx context.Context) ([]record.Event, error) {
	zero, err := raw.Zero(c.Now())
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	// Files are read one after the other while nodes go on: what happened
	// after now is left out, so that no effect is without its cause.
	until := zero + c.Now()
	parts := make([][]record.Event, len(c.spec.Nodes))
	place := map[string]int{}
	for i, name := range c.spec.Nodes {
		place[name] = i
	}
	holes := c.each(func(m *machine) (err error) {
		m.mu.Lock()
		down, killed := m.down.Load(), append([]time.Duration(nil), m.killed...)
		m.mu.Unlock()
		m.outside.mu.Lock()
		down, killed = down || m.outside.lost != "", append(killed, m.outside.died...)
		m.outside.mu.Unlock()
		slices.Sort(killed)
		parts[place[m.name]], err = c.daemon.recordOf(ctx, m.container.GetContainerID(), m.name, m.command.RecordFile, killed, down)
		parts[place[m.name]] = raw.Before(until, parts[place[m.name]])
		return err
	})
	return raw.Merge(zero, parts...), holes
}

// recordOf reads the record of a node from its container, which need not run.
func (d *daemon) recordOf(ctx context.Context, id, name, file string, killed []time.Duration, down bool) ([]record.Event, error) {
	if file == "" {
		return nil, nil
	}
	files, err := d.readDir(ctx, id, path.Dir(file), recordMax)
	if errdefs.IsNotFound(err) {
		// The file, or the container with all that was recorded?
		_, err = d.api.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err == nil {
			return nil, nil // nothing was recorded
		}
	}
	if err != nil {
		return nil, fmt.Errorf("docker: the record of %s: %w", name, daemonFailed(err))
	}
	b, err := fs.ReadFile(files, path.Base(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("docker: the record of %s: %w", name, err)
	}
	return raw.Collect(name, bytes.NewReader(b), killed, down)
}

// clockFile, in the directory for evidence, holds the zero of the run's clock
// on that of the host, for records that are saved after the harness died.
const clockFile = "clock.json"

type clockZero struct {
	Zero time.Duration `json:"monotonic_zero_ns"`
}

// keepZero writes the clock file.
func (c *Cluster) keepZero() error {
	if c.spec.EvidenceDir == "" {
		return nil
	}
	zero, err := raw.Zero(c.Now())
	if err != nil {
		return fmt.Errorf("docker: %w", err)
	}
	b, err := jsontext.Marshal(clockZero{zero})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.spec.EvidenceDir, clockFile), b, 0o644)
}

// salvageRecord saves the record of a dead run's node into dir, where a
// harness that reads the run directory finds it.
func (d *daemon) salvageRecord(ctx context.Context, id, evidence, name, file string, until time.Duration) error {
	var zero clockZero
	if b, err := os.ReadFile(filepath.Join(evidence, clockFile)); err == nil {
		err = json.Unmarshal(b, &zero)
		if err != nil {
			return fmt.Errorf("%s: %w", clockFile, err)
		}
	}
	events, holes := d.recordOf(ctx, id, name, file, nil, false)
	if len(events) == 0 && holes == nil {
		return nil
	}
	dir := filepath.Join(evidence, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if holes != nil {
		if err := os.WriteFile(filepath.Join(dir, cluster.RecordHolesFile), []byte(holes.Error()+"\n"), 0o644); err != nil {
			return err
		}
	}
	return raw.WriteFile(filepath.Join(dir, cluster.RecordFile), raw.Merge(zero.Zero, raw.Before(until, events)))
}
