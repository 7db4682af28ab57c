package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
)

// salvage saves the log, and the record up to a time of the host's monotonic
// clock, of a dead run's node from its container, which need
// not run, where its harness would have put it, and returns the file. It does
// nothing if the run keeps no evidence, its directory is gone, or the log was
// saved before.
func (d *daemon) salvage(ctx context.Context, id string, labels map[string]string, until time.Duration) (path string, err error) {
	evidence, name := labels[labelEvidence], labels[labelNode]
	if !filepath.IsAbs(evidence) || !nodeName.MatchString(name) {
		return "", nil
	}
	// It was there when the container was made.
	if _, err := os.Stat(evidence); err != nil {
		return "", nil
	}
	path = filepath.Join(evidence, name, cluster.LogFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if file := labels[labelRecord]; file != "" {
		if err := d.salvageRecord(ctx, id, evidence, name, file, until); err != nil {
			return "", fmt.Errorf("saving the record: %w", err)
		}
	}
	files, err := d.readDir(ctx, id, agent.StateDir, 2*evidenceLog)
	if err != nil {
		return "", err
	}
	log, err := agent.ReadLogs(files, evidenceLog)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return "", nil // another sweep was faster
	}
	if err != nil {
		return "", err
	}
	_, err = f.Write(log)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("saving %s: %w", path, err)
	}
	return path, nil
}
