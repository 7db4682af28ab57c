package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/cleancut/cleancut/harness/cluster"
)

// pullTimeout bounds a pull: where no registry can be reached, some networks
// let connections hang.
const pullTimeout = 2 * time.Minute

// base is an image that foreign images build on.
type base struct{ tag, id string }

// suiteName is what Debian calls its releases.
var suiteName = regexp.MustCompile(`^[a-z]+$`)

// ensureBase finds or makes the base: the local tag, the one that an earlier
// run made, a pull, debootstrap.
func (d *daemon) ensureBase(ctx context.Context, img cluster.Image) (base, error) {
	if img.Base == "" || (img.DebianSuite != "" && !suiteName.MatchString(img.DebianSuite)) {
		return base{}, fmt.Errorf("docker: a foreign image needs a Base and a DebianSuite, not %q and %q", img.Base, img.DebianSuite)
	}
	made := "cleancut/base-" + img.DebianSuite + ":latest"
	for _, tag := range []string{img.Base, made} {
		id, there, err := d.imageID(ctx, tag)
		if err != nil {
			return base{}, err
		}
		if there {
			return base{tag, id}, nil
		}
	}
	pullErr := d.pull(ctx, img.Base)
	if ctx.Err() != nil {
		return base{}, ctx.Err()
	}
	tag := img.Base
	if pullErr != nil {
		if err := d.debootstrap(ctx, img.DebianSuite, made); err != nil {
			return base{}, fmt.Errorf("docker: the base image %s is %w: it can neither be pulled (%w) nor made (%w)", img.Base, cluster.ErrUnavailable, pullErr, err)
		}
		tag = made
	}
	id, there, err := d.imageID(ctx, tag)
	if err == nil && !there {
		err = fmt.Errorf("docker: the image %s vanished", tag)
	}
	return base{tag, id}, err
}

func (d *daemon) pull(ctx context.Context, ref string) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	resp, err := d.api.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	return errors.Join(resp.Wait(ctx), resp.Close())
}

func haveDebootstrap() error {
	for _, tool := range []string{"debootstrap", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not in PATH; apt-get install %s", tool, tool)
		}
	}
	if os.Geteuid() != 0 {
		return errors.New("debootstrap needs root; run once as root, or load a Debian image with docker load")
	}
	return nil
}

// debootstrap makes a minimal Debian image from packages. Concurrent
// processes wait for the first.
func (d *daemon) debootstrap(ctx context.Context, suite, tag string) (err error) {
	if suite == "" {
		return errors.New("the target names no Debian suite to make it from")
	}
	if err := haveDebootstrap(); err != nil {
		return err
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return err
	}
	lock, err := lockFile(baseDir(suite)+".lock", true)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if _, there, err := d.imageID(ctx, tag); err != nil || there {
		return err
	}
	dir := baseDir(suite)
	if err := removeTree(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeTree(dir)) }()
	cmd := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", suite, dir)
	// Should this process be killed, debootstrap goes on, and holds the lock.
	cmd.ExtraFiles = []*os.File{lock}
	killWithChildren(cmd)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap %s: %w: %s", suite, err, lastLine(output))
	}
	return d.importTree(ctx, dir, tag)
}

// baseDir is where a base is made. It is always the same, so that the next
// one finds what a killed process left.
func baseDir(suite string) string { return filepath.Join(cacheDir(), "base-"+suite) }

// sweepBases removes what killed processes left of bases.
func sweepBases() error {
	locks, err := filepath.Glob(baseDir("*") + ".lock")
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range locks {
		lock, err := lockFile(path, false)
		if err != nil {
			continue // somebody is at it
		}
		errs = append(errs, removeTree(strings.TrimSuffix(path, ".lock")), lock.Close())
	}
	return errors.Join(errs...)
}

// removeTree removes a base that may be half made: debootstrap mounts /proc
// and /sys in it, which must not be entered.
func removeTree(dir string) error {
	for _, mount := range []string{"proc", "sys"} {
		_ = unmount(filepath.Join(dir, mount)) // it is not mounted, mostly
	}
	return os.RemoveAll(dir)
}

// importTree makes an image of a directory.
func (d *daemon) importTree(ctx context.Context, root, tag string) error {
	cmd := exec.CommandContext(ctx, "tar", "-C", root, "--numeric-owner", "--exclude=./var/cache/apt/archives/*.deb", "-c", ".")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	res, err := d.api.ImageImport(ctx, client.ImageImportSource{Source: stdout, SourceName: "-"}, tag,
		client.ImageImportOptions{Changes: []string{"LABEL " + labelImage + "=1", "CMD [\"/bin/sh\"]"}})
	if err == nil {
		_, err = io.Copy(io.Discard, res)
		err = errors.Join(err, res.Close())
	}
	if waited := cmd.Wait(); err == nil && waited != nil {
		err = fmt.Errorf("tar: %w: %s", waited, lastLine(stderr.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("importing %s: %w", tag, err)
	}
	return nil
}

func lastLine(b []byte) []byte {
	b = bytes.TrimSpace(b)
	return b[bytes.LastIndexByte(b, '\n')+1:]
}
