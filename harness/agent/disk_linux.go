package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strconv"
)

// maxFiles bounds the files among which damage is done.
const maxFiles = 100_000

// matchingFiles lists the regular files below a directory whose names match
// and that are not empty, in order of their paths.
func matchingFiles(dir, pattern string) (files []string, sizes []int64, err error) {
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		ok, err := path.Match(pattern, d.Name())
		if err != nil || !ok {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err == nil && info.Size() > 0 {
			files, sizes = append(files, p), append(sizes, info.Size())
		}
		if len(files) > maxFiles {
			return fmt.Errorf("more than %d files match %q", maxFiles, pattern)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // nothing was written yet
	}
	return files, sizes, err
}

// rot flips bits in files.
func rot(d Damage) (done Damaged, err error) {
	files, sizes, err := matchingFiles(d.Dir, d.Pattern)
	if err != nil || len(files) == 0 {
		return done, err
	}
	r := rand.New(rand.NewPCG(d.Seed, 0))
	hit := map[string]bool{}
	for range d.Bytes {
		i := r.IntN(len(files))
		if err := flip(files[i], r.Int64N(sizes[i]), byte(1)<<r.IntN(8)); err != nil {
			return done, err
		}
		done.Bytes++
		if !hit[files[i]] {
			hit[files[i]] = true
			done.Files = append(done.Files, files[i])
		}
	}
	return done, nil
}

func flip(file string, off int64, bit byte) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	if _, err = f.ReadAt(b[:], off); err == nil {
		b[0] ^= bit
		_, err = f.WriteAt(b[:], off)
	}
	return errors.Join(err, f.Close())
}

// truncate cuts files.
func truncate(d Damage) (done Damaged, err error) {
	files, sizes, err := matchingFiles(d.Dir, d.Pattern)
	if err != nil {
		return done, err
	}
	r := rand.New(rand.NewPCG(d.Seed, 0))
	for i, file := range files {
		size := r.Int64N(sizes[i])
		if err := os.Truncate(file, size); err != nil {
			return done, err
		}
		done.Bytes += sizes[i] - size
		done.Files = append(done.Files, file)
	}
	return done, nil
}

// wipe removes all that is in a directory. The node's process must be dead.
func (s *supervisor) wipe(d Damage) (done Damaged, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		return done, errors.New("wipe: the node's process runs; kill it first")
	}
	files, sizes, err := matchingFiles(d.Dir, "*")
	if err != nil {
		return done, err
	}
	for i, file := range files {
		done.Files, done.Bytes = append(done.Files, file), done.Bytes+sizes[i]
	}
	entries, err := os.ReadDir(d.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return done, nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.Dir, e.Name())))
	}
	return done, err
}

// slow sets how much longer the node's syncs take, which its process reads
// from a file, and returns how many it has delayed so far.
func slow(d SyncDelay) (n Delayed, err error) {
	if d.Delay > 0 {
		temp := d.File + ".new"
		if err := errors.Join(os.MkdirAll(filepath.Dir(d.File), 0o755),
			os.WriteFile(temp, strconv.AppendInt(nil, int64(d.Delay), 10), 0o644)); err != nil {
			return n, err
		}
		err = os.Rename(temp, d.File)
	} else if err = os.Remove(d.File); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return n, err
	}
	info, err := os.Stat(d.File + DelayedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		n.Syncs = info.Size()
	}
	return n, err
}
