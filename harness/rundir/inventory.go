package rundir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cleancut/cleancut/harness/internal/files"
)

// Kept is a file of evidence as the run left it. The list of them in result.json
// tells evidence that was never there from evidence that is gone.
type Kept struct {
	File   string `json:"file"` // path below the run directory, with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// made are files that are made of evidence, and can be made again.
var made = []string{ResultFile, ReportFile, JUnitFile}

// keptMax bounds how many files of evidence are listed.
const keptMax = 10_000

// Inventory lists the evidence that is there, in order of paths. What is no
// regular file is an error.
func (d *Dir) Inventory() ([]Kept, error) {
	var list []Kept
	err := filepath.WalkDir(d.Path, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(d.Path, path)
		if err != nil || entry.IsDir() {
			return err
		}
		if picture, _ := filepath.Match("picture-*.html", name); picture || slices.Contains(made, name) || len(list) >= keptMax {
			return nil
		}
		k, err := kept(path)
		k.File = filepath.ToSlash(name)
		list = append(list, k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("rundir: %w", err)
	}
	return list, nil
}

func kept(path string) (Kept, error) {
	f, err := files.Open(path)
	if err != nil {
		return Kept{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return Kept{Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, errors.Join(err, f.Close())
}

// Added lists the files of nodes that are there and that the run had not left:
// somebody put them there, and what they say is no evidence.
func (d *Dir) Added(list []Kept) (added []string, err error) {
	if len(list) == 0 {
		return nil, nil // Lacking says so
	}
	listed := map[string]bool{}
	for _, k := range list {
		listed[k.File] = true
	}
	err = filepath.WalkDir(d.NodesDir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(d.Path, path)
		if name = filepath.ToSlash(name); err == nil && !listed[name] && len(added) < lackingMax {
			added = append(added, name)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return added, err
}

// Unlisted says which files every run leaves that are not in a list.
func Unlisted(list []Kept, nodes []string) (lacking []string) {
	if len(list) == 0 {
		return nil // Lacking says so
	}
	due := []string{ScenarioFile, HistoryFile, LedgerFile, FindingsFile, TroubleFile}
	for _, n := range nodes {
		due = append(due, nodesFolder+"/"+n+"/"+finalFile)
	}
	for _, name := range due {
		if !slices.ContainsFunc(list, func(k Kept) bool { return k.File == name }) {
			lacking = append(lacking, name+" is not among the evidence that the run left, as "+ResultFile+" lists it")
		}
	}
	return lacking[:min(len(lacking), lackingMax)]
}

// lackingMax bounds how many files are named that are missing or changed.
const lackingMax = 10

// Lacking says, a sentence each, what of the evidence that a run had left is
// gone or is not what it was. A run whose result lists nothing lacks
// the list.
func (d *Dir) Lacking(list []Kept) (lacking []string) {
	if len(list) == 0 {
		return []string{ResultFile + " does not say what evidence the run left, so that nobody knows what is missing"}
	}
	more := 0
	for _, k := range list {
		why := d.lacks(k)
		switch {
		case why == "":
		case len(lacking) >= lackingMax:
			more++
		default:
			lacking = append(lacking, why)
		}
	}
	if more > 0 {
		lacking = append(lacking, fmt.Sprintf("and %d more files are missing or changed", more))
	}
	return lacking
}

func (d *Dir) lacks(k Kept) string {
	if !filepath.IsLocal(filepath.FromSlash(k.File)) {
		return fmt.Sprintf("%q is listed as evidence and does not lie in the run directory", k.File)
	}
	path := d.File(filepath.FromSlash(k.File))
	f, err := files.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return k.File + ", which the run left, is gone"
		}
		return fmt.Sprintf("%s, which the run left, cannot be read: %v", k.File, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() != k.Bytes {
		return fmt.Sprintf("%s had %d bytes when the run ended, and has %d", k.File, k.Bytes, info.Size())
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Sprintf("%s, which the run left, cannot be read: %v", k.File, err)
	}
	if want, err := hex.DecodeString(k.SHA256); err != nil || !bytes.Equal(want, sum.Sum(nil)) {
		return k.File + " has been changed since the run ended"
	}
	return ""
}
