package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"syscall"
)

// maxFiles bounds the files among which damage is done.
const maxFiles = 100_000

// matchingFiles lists the regular files below a directory whose names match
// and that are not empty, in order of their paths.
func matchingFiles(dir fs.FS, pattern string) (files []string, sizes []int64, err error) {
	err = fs.WalkDir(dir, ".", func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
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
	return files, sizes, err
}

// below opens the directory of a Damage and lists the files that it concerns,
// none if the directory is not there: nothing was written yet.
func (p *places) below(d Damage, pattern string) (dir *os.Root, files []string, sizes []int64, err error) {
	dir, err = p.dir(d.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, nil
	}
	if err != nil {
		return nil, nil, nil, err
	}
	files, sizes, err = matchingFiles(dir.FS(), pattern)
	if err != nil {
		return nil, nil, nil, errors.Join(err, dir.Close())
	}
	return dir, files, sizes, nil
}

// rot flips bits in files.
func (p *places) rot(d Damage) (done Damaged, err error) {
	if d.Bytes < 0 || d.Bytes > maxFlips {
		return done, fmt.Errorf("rot: %d bytes are not in 0…%d", d.Bytes, maxFlips)
	}
	dir, files, sizes, err := p.below(d, d.Pattern)
	if err != nil || dir == nil {
		return done, err
	}
	defer dir.Close()
	if len(files) == 0 {
		return done, nil
	}
	r := rand.New(rand.NewPCG(d.Seed, 0))
	hit := map[string]bool{}
	for range d.Bytes {
		i := r.IntN(len(files))
		if err := flip(dir, files[i], r.Int64N(sizes[i]), byte(1)<<r.IntN(8)); err != nil {
			return done, err
		}
		done.Bytes++
		if !hit[files[i]] {
			hit[files[i]] = true
			done.Files = append(done.Files, path.Join(d.Dir, files[i]))
		}
	}
	return done, nil
}

func flip(dir *os.Root, file string, off int64, bit byte) error {
	f, err := openRegular(dir, file)
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

// openRegular opens a file that was regular when it was listed. It does not
// wait for the other end of a pipe that has taken its place, nor follow a link.
func openRegular(dir *os.Root, file string) (*os.File, error) {
	f, err := dir.OpenFile(file, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file, but %v", file, info.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// truncate cuts files.
func (p *places) truncate(d Damage) (done Damaged, err error) {
	dir, files, sizes, err := p.below(d, d.Pattern)
	if err != nil || dir == nil {
		return done, err
	}
	defer dir.Close()
	r := rand.New(rand.NewPCG(d.Seed, 0))
	for i, file := range files {
		size := r.Int64N(sizes[i])
		f, err := openRegular(dir, file)
		if err == nil {
			err = errors.Join(f.Truncate(size), f.Close())
		}
		if err != nil {
			return done, err
		}
		done.Bytes += sizes[i] - size
		done.Files = append(done.Files, path.Join(d.Dir, file))
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
	dir, files, sizes, err := s.places.below(d, "*")
	if err != nil || dir == nil {
		return done, err
	}
	defer dir.Close()
	for i, file := range files {
		done.Files, done.Bytes = append(done.Files, path.Join(d.Dir, file)), done.Bytes+sizes[i]
	}
	entries, err := fs.ReadDir(dir.FS(), ".")
	for _, e := range entries {
		err = errors.Join(err, dir.RemoveAll(e.Name()))
	}
	return done, err
}

// slow sets how much longer the node's syncs take, which its process reads
// from a file, and returns how many it has delayed so far.
func (p *places) slow(d SyncDelay) (n Delayed, err error) {
	if d.Delay < 0 || d.Delay > MaxDelay {
		return n, fmt.Errorf("slow: a delay of %v is not in 0…%v", d.Delay, MaxDelay)
	}
	root, file, err := p.file(d.File)
	if err != nil {
		return n, err
	}
	if d.Delay > 0 {
		temp := file + ".new"
		err = errors.Join(root.MkdirAll(path.Dir(file), 0o755), p.remove(d.File+".new"))
		if err == nil {
			err = root.WriteFile(temp, strconv.AppendInt(nil, int64(d.Delay), 10), 0o644)
		}
		if err == nil {
			err = root.Rename(temp, file)
		}
	} else {
		err = p.remove(d.File)
	}
	if err != nil {
		return n, err
	}
	info, err := root.Lstat(file + DelayedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err == nil {
		n.Syncs = info.Size()
	}
	return n, err
}
