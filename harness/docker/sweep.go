package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/cleancut/cleancut/harness/record/raw"
)

// SweepOptions says what to sweep.
type SweepOptions struct {
	// Images also removes images that this package built, but for the newest
	// of each target and those in use.
	Images bool
	// Log receives what is removed and what is kept, with the reason.
	Log *slog.Logger
}

// SweepReport lists what was removed and, with the reason, what was kept.
type SweepReport struct {
	Containers []string `json:"containers,omitempty"`
	// Logs are the files into which logs of nodes were saved.
	Logs     []string `json:"logs,omitempty"`
	Networks []string `json:"networks,omitempty"`
	Images   []string `json:"images,omitempty"`
	Kept     []string `json:"kept,omitempty"`
}

// Empty tells that nothing was removed.
func (r SweepReport) Empty() bool { return len(r.Containers)+len(r.Networks)+len(r.Images) == 0 }

// sweepTimeout bounds a sweep.
const sweepTimeout = time.Minute

// Sweep removes the containers and networks of runs whose process is dead,
// and saves the logs of their nodes for their run directories before. It
// touches nothing that lacks this package's labels and nothing whose owner
// lives or cannot be seen. Several sweeps may run at once.
func Sweep(ctx context.Context, o SweepOptions) (SweepReport, error) {
	d, err := connect(ctx)
	if err != nil {
		return SweepReport{}, err
	}
	defer d.close()
	return d.sweep(ctx, o)
}

func (d *daemon) sweep(ctx context.Context, o SweepOptions) (SweepReport, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	me, err := self()
	if err != nil {
		return SweepReport{}, err
	}
	var report SweepReport
	doomed := func(kind, name string, labels map[string]string) bool {
		dead, why := me.dead(labels)
		if !dead {
			report.Kept = append(report.Kept, fmt.Sprintf("%s %s of run %s: %s", kind, name, labels[labelRun], why))
			return false
		}
		o.Log.Debug("sweeping", "kind", kind, "name", name, "run", labels[labelRun], "why", why)
		return true
	}
	until, err := raw.Now() // one for all nodes: see Record
	if err != nil {
		return report, fmt.Errorf("docker: %w", err)
	}
	var saving sync.Mutex
	save := func(id, name string, labels map[string]string) {
		path, err := d.salvage(ctx, id, labels, until)
		if err != nil {
			o.Log.Warn("the log of a dead run's node is lost", "container", name, "error", err)
		}
		if path != "" {
			saving.Lock()
			defer saving.Unlock()
			report.Logs = append(report.Logs, path)
		}
	}
	errs := []error{d.removeContainers(ctx, filter(labelMark, "1"), func(name string, labels map[string]string) bool {
		if !doomed("container", name, labels) {
			return false
		}
		report.Containers = append(report.Containers, name)
		return true
	}, save)}
	slices.Sort(report.Logs)
	errs = append(errs, d.removeNetworks(ctx, filter(labelMark, "1"), func(name string, labels map[string]string) bool {
		if !doomed("network", name, labels) {
			return false
		}
		report.Networks = append(report.Networks, name)
		return true
	}))
	if o.Images {
		errs = append(errs, d.sweepImages(ctx, &report))
	}
	return report, errors.Join(errs...)
}

func filter(label, value string) client.Filters {
	return make(client.Filters).Add("label", label+"="+value)
}

// removeContainers removes those that match the filter and the condition. What
// is to be done first with each of them is done for several at once.
func (d *daemon) removeContainers(ctx context.Context, f client.Filters, when func(name string, labels map[string]string) bool, first func(id, name string, labels map[string]string)) error {
	list, err := d.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: f})
	if err != nil {
		return fmt.Errorf("docker: listing containers: %w", err)
	}
	var g errgroup.Group
	g.SetLimit(removeAtOnce)
	var errs []error
	var mu sync.Mutex
	for _, c := range list.Items {
		name := strings.TrimPrefix(strings.Join(c.Names, ","), "/")
		if !when(name, c.Labels) {
			continue
		}
		g.Go(func() error {
			first(c.ID, name, c.Labels)
			_, err := d.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			if err != nil && !goneAlready(err) {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("docker: removing container %s: %w", name, err))
			}
			return nil
		})
	}
	_ = g.Wait() // never fails: one error must not hide the others
	return errors.Join(errs...)
}

// removeAtOnce is how many containers are removed side by side.
const removeAtOnce = 8

func (d *daemon) removeNetworks(ctx context.Context, f client.Filters, when func(name string, labels map[string]string) bool) error {
	list, err := d.api.NetworkList(ctx, client.NetworkListOptions{Filters: f})
	if err != nil {
		return fmt.Errorf("docker: listing networks: %w", err)
	}
	var errs []error
	for _, n := range list.Items {
		if !when(n.Name, n.Labels) {
			continue
		}
		if err := d.removeNetwork(ctx, n.ID); err != nil && !goneAlready(err) {
			errs = append(errs, fmt.Errorf("docker: removing network %s: %w", n.Name, err))
		}
	}
	return errors.Join(errs...)
}

// removeNetwork removes a network. A busy daemon lets go of the endpoints of
// removed containers late, and refuses to remove their network until then.
func (d *daemon) removeNetwork(ctx context.Context, id string) error {
	limit := time.NewTimer(busyMax)
	defer limit.Stop()
	for {
		_, err := d.api.NetworkRemove(ctx, id, client.NetworkRemoveOptions{})
		if err == nil || !strings.Contains(err.Error(), "has active endpoints") {
			return err
		}
		select {
		case <-time.After(busyRetry):
		case <-limit.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// busyMax bounds how long a network may have endpoints that it should not have
// any more, and busyRetry is the pause between two looks at it.
const (
	busyMax   = 10 * time.Second
	busyRetry = 100 * time.Millisecond
)

// goneAlready tells that somebody else removes it, or has.
func goneAlready(err error) bool {
	return errdefs.IsNotFound(err) || errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress")
}

// sweepImages removes old images and what a base that was never finished
// left.
func (d *daemon) sweepImages(ctx context.Context, report *SweepReport) error {
	list, err := d.api.ImageList(ctx, client.ImageListOptions{Filters: filter(labelImage, "1")})
	if err != nil {
		return fmt.Errorf("docker: listing images: %w", err)
	}
	errs := []error{sweepBases()}
	for _, tag := range oldImages(list.Items) {
		_, err := d.api.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true})
		switch {
		case err == nil:
			report.Images = append(report.Images, tag)
		case errdefs.IsConflict(err):
			report.Kept = append(report.Kept, "image "+tag+": it is in use")
		case !errdefs.IsNotFound(err):
			errs = append(errs, fmt.Errorf("docker: removing image %s: %w", tag, err))
		}
	}
	return errors.Join(errs...)
}

// oldImages lists the tags of all images but the newest of each repository.
func oldImages(images []image.Summary) []string {
	images = slices.SortedStableFunc(slices.Values(images), func(a, b image.Summary) int { return cmp.Compare(b.Created, a.Created) })
	seen := map[string]bool{}
	var old []string
	for _, i := range images {
		for _, tag := range i.RepoTags {
			repo, _, _ := strings.Cut(tag, ":")
			if seen[repo] {
				old = append(old, tag)
			}
			seen[repo] = true
		}
	}
	return old
}
