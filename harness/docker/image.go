package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"golang.org/x/sync/errgroup"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
)

// nodePath is where a Go target's binary lies in its image.
const nodePath = "/bin/node"

// buildLogTail is how much of a failed build's output goes into the error.
const buildLogTail = 2000

// ensureImage returns the tag of the image for a target, agent included, and
// builds it unless an image of the same content is there. Tags are made of
// the content, so processes that build the same at once do each other no
// harm.
func (d *daemon) ensureImage(ctx context.Context, name string, img cluster.Image, arch string) (string, error) {
	if (img.Package == "") == (img.Dockerfile == "") {
		return "", fmt.Errorf("docker: the image of target %s must have either a Package or a Dockerfile", name)
	}
	repo := "cleancut/" + repository(name)
	if img.Dockerfile != "" {
		return d.ensureForeign(ctx, repo, img, arch)
	}
	var agentBinary, nodeBinary []byte
	var g errgroup.Group
	g.Go(func() (err error) { agentBinary, err = buildBinary(ctx, agentPackage, arch); return err })
	g.Go(func() (err error) { nodeBinary, err = buildBinary(ctx, img.Package, arch); return err })
	if err := g.Wait(); err != nil {
		return "", fmt.Errorf("docker: image of target %s: %w", name, err)
	}
	// One COPY: each step of a build costs the daemon about a second.
	files := []contextFile{
		{"Dockerfile", []byte("FROM scratch\nCOPY root /\n"), 0o644},
		{"root" + nodePath, nodeBinary, 0o755},
		{"root" + agent.BinaryPath, agentBinary, 0o755},
	}
	return d.build(ctx, repo+":"+contentHash(files), files, nil)
}

// repository makes a target's name fit for an image.
func repository(name string) string {
	s := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"), "-")
	if s == "" {
		return "target"
	}
	return s
}

// ensureForeign builds a third-party system's image in two stages: what the
// target's Dockerfile says, and the agent on top.
func (d *daemon) ensureForeign(ctx context.Context, repo string, img cluster.Image, arch string) (string, error) {
	agentBinary, err := buildBinary(ctx, agentPackage, arch)
	if err != nil {
		return "", fmt.Errorf("docker: %w", err)
	}
	base, err := d.ensureBase(ctx, img)
	if err != nil {
		return "", err
	}
	files := []contextFile{{"Dockerfile", []byte(img.Dockerfile), 0o644}}
	id := contentHash(append(files, contextFile{"base", []byte(base.id), 0}))
	system, err := d.build(ctx, repo+"-system:"+id, files, map[string]*string{"BASE": &base.tag})
	if err != nil {
		return "", err
	}
	files = []contextFile{
		{"Dockerfile", []byte("FROM " + system + "\nCOPY root /\n"), 0o644},
		{"root" + agent.BinaryPath, agentBinary, 0o755},
	}
	return d.build(ctx, repo+":"+contentHash(files), files, nil)
}

// contextFile is a file of a build context.
type contextFile struct {
	name string
	data []byte
	mode int64
}

func contentHash(files []contextFile) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s %d %o\n", f.name, len(f.data), f.mode)
		h.Write(f.data)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// build builds an image, unless one of this tag is there, and returns the tag.
func (d *daemon) build(ctx context.Context, tag string, files []contextFile, args map[string]*string) (string, error) {
	if _, there, err := d.imageID(ctx, tag); err != nil || there {
		return tag, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		// A fixed time: the daemon's cache hashes it.
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return "", err
		}
		if _, err := w.Write(f.data); err != nil {
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	repo, version, _ := strings.Cut(tag, ":")
	var output bytes.Buffer
	_, err := d.provider.BuildImage(ctx, &testcontainers.ContainerRequest{FromDockerfile: testcontainers.FromDockerfile{
		ContextArchive: bytes.NewReader(archive.Bytes()),
		Repo:           repo,
		Tag:            version,
		BuildArgs:      args,
		KeepImage:      true,
		BuildLogWriter: &output,
		BuildOptionsModifier: func(o *client.ImageBuildOptions) {
			if o.Labels == nil {
				o.Labels = map[string]string{}
			}
			o.Labels[labelImage] = "1"
			o.Remove, o.ForceRemove = true, true
		},
	}})
	if err != nil {
		log := output.String()
		return "", fmt.Errorf("docker: building the image %s: %w\n%s", tag, err, log[max(0, len(log)-buildLogTail):])
	}
	return tag, nil
}

// imageID looks an image up.
func (d *daemon) imageID(ctx context.Context, tag string) (id string, there bool, err error) {
	img, err := d.api.ImageInspect(ctx, tag)
	switch {
	case err == nil:
		return img.ID, true, nil
	case errdefs.IsNotFound(err):
		return "", false, nil
	default:
		return "", false, errors.Join(fmt.Errorf("docker: looking up the image %s", tag), err)
	}
}
