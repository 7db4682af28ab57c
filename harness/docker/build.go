package docker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"

	"github.com/cleancut/cleancut/harness/cluster"
)

// agentPackage is the agent's command.
const agentPackage = "github.com/cleancut/cleancut/harness/agent/cmd/cleancut-agent"

// haveGo says whether programs can be built.
func haveGo() error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("building node programs and the agent is %w: the go tool is not in PATH; install Go (https://go.dev/dl), or use --runtime sim", cluster.ErrUnavailable)
	}
	return nil
}

// cacheDir is where this package keeps what can be made again.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil { // no home
		dir = os.TempDir()
	}
	return filepath.Join(dir, "cleancut")
}

// buildBinary builds a command statically for Linux and returns its bytes.
// The result is kept in the user's cache directory, where the go tool sees
// that it is up to date; a lock keeps concurrent processes from reading it
// half written.
func buildBinary(ctx context.Context, pkg, arch string) ([]byte, error) {
	if err := haveGo(); err != nil {
		return nil, err
	}
	dir, err := packageRoot(ctx, pkg)
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(cacheDir(), "bin")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("building %s: %w", pkg, err)
	}
	key := sha256.Sum256([]byte(dir + "\x00" + pkg + "\x00" + arch))
	out := filepath.Join(cache, filepath.Base(pkg)+"-"+hex.EncodeToString(key[:6]))
	lock, err := lockFile(out+".lock", true)
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", pkg, err)
	}
	defer func() { _ = lock.Close() }()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %s: %w\n%s", pkg, err, bytes.TrimSpace(output))
	}
	return os.ReadFile(out)
}

// packageRoot returns a directory in which the go tool finds pkg: the current
// one, whose module may be ours or one that imports ours, or else the place
// of this source file, for programs that were built from a checkout and run
// elsewhere.
func packageRoot(ctx context.Context, pkg string) (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	var reasons []string
	candidates := []string{wd}
	if _, file, _, ok := goruntime.Caller(0); ok && filepath.IsAbs(file) {
		candidates = append(candidates, filepath.Dir(file))
	}
	for _, dir := range candidates {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		cmd := exec.CommandContext(ctx, "go", "list", "-f", "{{.Name}}", pkg)
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		name, err := cmd.Output()
		switch {
		case err == nil && strings.TrimSpace(string(name)) == "main":
			return dir, nil
		case err == nil:
			return "", fmt.Errorf("building %s: it is not a command but package %s", pkg, strings.TrimSpace(string(name)))
		case ctx.Err() != nil:
			return "", ctx.Err()
		}
		reasons = append(reasons, dir+": "+strings.TrimSpace(stderr.String()))
	}
	return "", fmt.Errorf("building %s: the go tool does not find it; run inside a module that requires github.com/cleancut/cleancut (%s)",
		pkg, strings.Join(reasons, "; "))
}
