package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// places are the directories in which the agent touches files for the harness.
// They are opened before the node's process first runs, so that nothing that it
// does to their paths leads elsewhere, and links in them are not followed out
// of them (os.Root).
type places struct {
	names []string
	roots []*os.Root
}

// openPlaces makes the directories, if need be, and opens them.
func openPlaces(dirs ...string) (*places, error) {
	p := &places{}
	for _, dir := range dirs {
		dir = path.Clean(dir)
		if err := p.open(dir); err != nil {
			return nil, fmt.Errorf("directory %s: %w", dir, err)
		}
	}
	return p, nil
}

func (p *places) open(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// An earlier life of the container may have left a link on the way.
	for part := dir; part != "/" && part != "."; part = path.Dir(part) {
		info, err := os.Lstat(part)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no directory, but %v", part, info.Mode().Type())
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	p.names, p.roots = append(p.names, dir), append(p.roots, root)
	return nil
}

// find returns the place that a path lies in and its name there; "." is the
// place itself.
func (p *places) find(name string) (root *os.Root, within string, err error) {
	if !path.IsAbs(name) || strings.ContainsRune(name, 0) {
		return nil, "", fmt.Errorf("the path %q is not absolute", name)
	}
	clean := path.Clean(name)
	for i, dir := range p.names {
		if clean == dir {
			return p.roots[i], ".", nil
		}
		if rest, ok := strings.CutPrefix(clean, dir+"/"); ok {
			return p.roots[i], rest, nil
		}
	}
	return nil, "", fmt.Errorf("the path %q lies in none of %s", name, strings.Join(p.names, ", "))
}

// dir opens a directory of a place. It is fs.ErrNotExist if it is not there.
func (p *places) dir(name string) (*os.Root, error) {
	root, within, err := p.find(name)
	if err != nil {
		return nil, err
	}
	return root.OpenRoot(within)
}

// mkdir makes a directory with those above it.
func (p *places) mkdir(name string) error {
	root, within, err := p.find(name)
	if err != nil {
		return err
	}
	return root.MkdirAll(within, 0o755)
}

// file finds a file: not the place itself.
func (p *places) file(name string) (*os.Root, string, error) {
	root, within, err := p.find(name)
	if err == nil && within == "." {
		err = fmt.Errorf("the path %q is a directory of the agent, not a file in one", name)
	}
	return root, within, err
}

// remove removes a file, if it is there.
func (p *places) remove(name string) error {
	root, within, err := p.file(name)
	if err != nil {
		return err
	}
	if err := root.Remove(within); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
