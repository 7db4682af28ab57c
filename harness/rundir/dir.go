package rundir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/internal/files"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
)

// Names of files in a run directory.
const (
	ScenarioFile = "scenario.json"
	HistoryFile  = "history.jsonl"
	LedgerFile   = "faults.jsonl"
	FindingsFile = "findings.json"
	ResultFile   = "result.json"
	ReportFile   = "report.html"
	JUnitFile    = "junit.xml"
	nodesFolder  = "nodes"
	finalFile    = "final.json"
	latestLink   = "latest"
)

// ErrNotRun means that a path is not a run directory. The error that wraps
// it says why, and what to give instead.
var ErrNotRun = errors.New("not a run directory")

// Dir is a run directory.
type Dir struct {
	// Path is its absolute path.
	Path string
	// made are the folders above it, from the innermost, that Create had to
	// make; links are those in which it put a link.
	made, links []string
}

// scenarioName is what may become folders: group/name.
var scenarioName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

// createAttempts is how many runs of one scenario and seed may begin within
// one second.
const createAttempts = 1000

// Create makes the directory of a new run under root and makes the latest
// links point to it. Spec is anything that JSON can hold; it becomes
// scenario.json.
func Create(root, scenario string, seed uint64, start time.Time, spec any) (*Dir, error) {
	if !scenarioName.MatchString(scenario) {
		return nil, fmt.Errorf("rundir: %q cannot name a folder; expected a scenario name such as replication/raft-partitions", scenario)
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("rundir: %w", err)
	}
	parent := filepath.Join(root, filepath.FromSlash(scenario))
	d := &Dir{links: []string{parent, root}}
	for folder := parent; ; folder = filepath.Dir(folder) {
		if _, err := os.Lstat(folder); err == nil {
			break
		}
		d.made = append(d.made, folder)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("rundir: making %s: %w; give another place with --out", parent, err)
	}
	name := start.UTC().Format("20060102T150405Z") + "-" + strconv.FormatUint(seed, 10)
	for i := 1; ; i++ {
		d.Path = filepath.Join(parent, name)
		if i > 1 {
			d.Path += "." + strconv.Itoa(i)
		}
		err := os.Mkdir(d.Path, 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || i == createAttempts {
			return nil, fmt.Errorf("rundir: %w; give another place with --out", err)
		}
	}
	if err := os.Mkdir(filepath.Join(d.Path, nodesFolder), 0o755); err != nil {
		return nil, fmt.Errorf("rundir: %w", err)
	}
	if err := d.writeJSON(ScenarioFile, spec); err != nil {
		return nil, err
	}
	return d, errors.Join(point(parent, d.Path), point(root, d.Path))
}

// point makes the latest link in folder point to run. It replaces a link, and
// nothing else.
func point(folder, run string) error {
	link := filepath.Join(folder, latestLink)
	if info, err := os.Lstat(link); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("rundir: %s is in the way of the link to the newest run; move it elsewhere", link)
	}
	target, err := filepath.Rel(folder, run)
	if err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	temp := fmt.Sprintf("%s.%d", link, os.Getpid())
	if err := os.Symlink(target, temp); err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	if err := os.Rename(temp, link); err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	return nil
}

// Open opens a run directory for reading back. Path is the directory itself,
// a link to it, or a file in it.
func Open(path string) (*Dir, error) {
	given := path
	path, err := filepath.Abs(path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, fmt.Errorf("rundir: %w: %w; give the folder that `cleancut run` printed", ErrNotRun, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("rundir: %w: %w; give the folder that `cleancut run` printed", ErrNotRun, err)
	}
	if !info.IsDir() {
		path = filepath.Dir(path)
	}
	if _, err := os.Stat(filepath.Join(path, ScenarioFile)); err != nil {
		why := "no " + ScenarioFile
		if !errors.Is(err, fs.ErrNotExist) {
			why = err.Error()
		}
		hint := "give the folder that `cleancut run` printed"
		if _, err := os.Stat(filepath.Join(path, latestLink, ScenarioFile)); err == nil {
			hint = "give a run in it, such as " + filepath.Join(given, latestLink)
		}
		return nil, fmt.Errorf("rundir: %s is %w: %s; %s", given, ErrNotRun, why, hint)
	}
	return &Dir{Path: path}, nil
}

// File returns the path of a file of the run.
func (d *Dir) File(name string) string { return filepath.Join(d.Path, name) }

// NodesDir returns the folder that holds a folder for each node.
func (d *Dir) NodesDir() string { return d.File(nodesFolder) }

// NodeDir makes the folder of a node, if need be, and returns its path.
func (d *Dir) NodeDir(node string) (string, error) {
	if !scenarioName.MatchString(node) {
		return "", fmt.Errorf("rundir: %q cannot name a folder; expected a node name such as n1", node)
	}
	path := filepath.Join(d.NodesDir(), node)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", fmt.Errorf("rundir: %w", err)
	}
	return path, nil
}

// Scenario reads scenario.json into a value of the type that was given to
// Create.
func (d *Dir) Scenario(into any) error { return d.readJSON(ScenarioFile, into) }

// WriteScenario writes scenario.json anew.
func (d *Dir) WriteScenario(spec any) error { return d.writeJSON(ScenarioFile, spec) }

// Remove removes the directory with all that is in it, for a run that never
// came to pass. The latest links that point to it go, too, and the folders
// above it that were made for it, unless something else is in them by now.
func (d *Dir) Remove() error {
	err := os.RemoveAll(d.Path)
	for _, folder := range d.links {
		link := filepath.Join(folder, latestLink)
		if target, readErr := os.Readlink(link); readErr == nil && filepath.Join(folder, target) == d.Path {
			err = errors.Join(err, os.Remove(link))
		}
	}
	for _, folder := range d.made {
		if os.Remove(folder) != nil {
			break // it is not empty, and so is none above it
		}
	}
	return err
}

// WriteResult writes result.json, whole or not at all, and beside it the
// pictures of witnesses as picture-<checker>.html.
func (d *Dir) WriteResult(r *Result) error {
	for _, v := range r.Checkers {
		if v.Witness == nil || len(v.Witness.Picture) == 0 {
			continue
		}
		name, err := pictureFile(v.Checker)
		if err != nil {
			return err
		}
		if err := d.WriteFile(name, v.Witness.Picture); err != nil {
			return err
		}
	}
	return d.writeJSON(ResultFile, r)
}

// Result reads result.json and the pictures. The error wraps fs.ErrNotExist
// if the run was never judged.
func (d *Dir) Result() (*Result, error) {
	r := &Result{}
	if err := d.readJSON(ResultFile, r); err != nil {
		return nil, err
	}
	if r.Measures == nil {
		r.Measures = map[string]float64{}
	}
	for _, v := range r.Checkers {
		if v.Witness == nil {
			continue
		}
		name, err := pictureFile(v.Checker)
		if err != nil {
			return nil, err
		}
		picture, err := files.Read(d.File(name), jsonMax)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("rundir: %w", err)
		}
		v.Witness.Picture = picture
	}
	return r, nil
}

func pictureFile(checker string) (string, error) {
	if !scenarioName.MatchString(checker) || strings.Contains(checker, "/") {
		return "", fmt.Errorf("rundir: %q cannot be part of a file's name; expected a checker's name such as linearizable", checker)
	}
	return "picture-" + checker + ".html", nil
}

func (d *Dir) writeJSON(name string, v any) error {
	b, err := jsontext.MarshalIndent(v)
	if err != nil {
		return fmt.Errorf("rundir: %s: %w", name, err)
	}
	return d.WriteFile(name, append(b, '\n'))
}

// WriteFile writes a file of the run, whole or not at all: a reader finds
// the old content or the new.
func (d *Dir) WriteFile(name string, content []byte) error {
	if err := files.Write(d.File(name), content); err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	return nil
}

// jsonMax bounds a JSON file of a run that is read back.
const jsonMax = 256 << 20

func (d *Dir) readJSON(name string, into any) error {
	b, err := files.Read(d.File(name), jsonMax)
	if err != nil {
		return fmt.Errorf("rundir: %w", err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("rundir: %s: %w; the file is damaged or of another version", d.File(name), err)
	}
	return nil
}
