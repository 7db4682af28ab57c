package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cleancut/cleancut/harness/node"
)

// localPrefix begins the names of a worker's checkpoint files; the number of
// the round follows. A file under such a name is whole: it was written under a
// temporary name, synced, renamed, and the directory was synced.
const localPrefix = "ckpt-"

const temporarySuffix = ".tmp"

func localName(round int) string { return fmt.Sprintf("%s%08d", localPrefix, round) }

// chainMax bounds how many deltas may rest on each other.
const chainMax = 64

// local is the level of stable storage that is the worker's own disk.
type local struct {
	env    node.Env
	worker string
	verify bool // false believes checksums (a planted bug)
	token  uint64
	// bases has the rounds that are on the disk, with the round that each
	// rests on, 0 if it is whole.
	bases map[int]int
	save  *localSave // on its way, nil if none
	// damaged are the rounds whose files could not be read at the start. What
	// they rest on is not known.
	damaged []int
}

type localSave struct {
	round, base int
	file        node.File // nil once it has its name
	token       uint64
	then        func(error)
}

// openLocal looks at what is on the disk, and removes what was never finished.
func openLocal(env node.Env, worker string, verify bool) (*local, error) {
	l := &local{env: env, worker: worker, verify: verify, bases: map[int]int{}}
	names, err := env.Disk().List()
	if err != nil {
		return nil, fmt.Errorf("checkpoint: the directory cannot be listed: %w", err)
	}
	for _, name := range names {
		digits, ours := strings.CutPrefix(name, localPrefix)
		if !ours {
			continue
		}
		round, err := strconv.Atoi(digits)
		if err != nil || localName(round) != name {
			// A failure to remove costs space and nothing else.
			_ = env.Disk().Remove(name)
			continue
		}
		b, err := l.read(round)
		base := 0
		if err == nil {
			base, _, err = unseal(b, worker, round, verify)
		}
		if err != nil {
			l.damaged = append(l.damaged, round)
		}
		l.bases[round] = base
	}
	return l, nil
}

func (l *local) read(round int) ([]byte, error) {
	f, err := l.env.Disk().Open(localName(round))
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing was written
	size, err := f.Size()
	if err != nil || size > bodyMax {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	b := make([]byte, size)
	if size > 0 {
		if n, err := f.ReadAt(b, 0); int64(n) < size {
			return nil, err
		}
	}
	return b, nil
}

// load returns the part of a round, put together from its chain of deltas.
func (l *local) load(round int) ([]byte, error) { return l.loadChain(round, chainMax) }

func (l *local) loadChain(round, deep int) ([]byte, error) {
	b, err := l.read(round)
	if err != nil {
		return nil, err
	}
	base, payload, err := unseal(b, l.worker, round, l.verify)
	if err != nil || base == 0 {
		return payload, err
	}
	if deep == 0 {
		return nil, errCorrupt
	}
	before, err := l.loadChain(base, deep-1)
	if err != nil {
		return nil, err
	}
	whole, ok := applyDelta(before, payload)
	if !ok {
		return nil, errCorrupt
	}
	return whole, nil
}

// chain returns how many deltas lead from a round to a whole part.
func (l *local) chain(round int) (n int) {
	for base := l.bases[round]; base != 0 && n <= chainMax; base = l.bases[base] {
		n++
	}
	return n
}

// write begins to save a part; then is called when it is durable, or has
// failed. The part is not there before.
func (l *local) write(round, base int, payload []byte, then func(error)) int {
	l.cancel()
	sealed := seal(l.worker, round, base, payload)
	name := localName(round) + temporarySuffix
	f, err := l.env.Disk().Create(name)
	if errors.Is(err, fs.ErrExist) {
		if err = l.env.Disk().Remove(name); err == nil {
			f, err = l.env.Disk().Create(name)
		}
	}
	if err == nil {
		_, err = f.WriteAt(sealed, 0)
	}
	if err != nil {
		then(fmt.Errorf("%s cannot be written: %w", name, err))
		return 0
	}
	l.token++
	l.save = &localSave{round: round, base: base, file: f, token: l.token, then: then}
	f.Sync(l.token)
	return len(sealed)
}

// cancel gives up what is on its way.
func (l *local) cancel() {
	s := l.save
	if s == nil {
		return
	}
	l.save = nil
	name := localName(s.round)
	if s.file != nil {
		name += temporarySuffix
		_ = s.file.Close()
	}
	_ = l.env.Disk().Remove(name) // else it is found at the next start
}

// synced goes on when a sync has completed.
func (l *local) synced(token uint64, err error) {
	s := l.save
	if s == nil || s.token != token {
		return // given up
	}
	name := localName(s.round)
	if err == nil && s.file != nil {
		_ = s.file.Close() // it is durable
		s.file = nil
		if err = l.env.Disk().Rename(name+temporarySuffix, name); err == nil {
			l.token++
			s.token = l.token
			l.env.Disk().SyncDir(l.token)
			return
		}
	}
	if err != nil {
		l.cancel()
		s.then(fmt.Errorf("%s cannot be made durable: %w", name, err))
		return
	}
	l.save = nil
	l.bases[s.round] = s.base
	s.then(nil)
}

// keep removes the files of all rounds up to the last of the given ones that
// are neither among them nor a base of one that is kept, and returns those
// that it removed, newest first, so that none is ever there without its base.
// Later rounds are not its business: it may be
// called with an account that is out of date.
func (l *local) keep(rounds []int, shared bool) (removed []int) {
	if len(rounds) == 0 {
		return nil
	}
	last := rounds[len(rounds)-1]
	needed := map[int]bool{}
	for round := range l.bases { // the order does not matter
		if round > last {
			l.need(needed, round, shared)
		}
	}
	for _, round := range rounds {
		l.need(needed, round, shared)
	}
	all := slices.Sorted(maps.Keys(l.bases))
	for _, round := range slices.Backward(all) {
		if round <= last && !needed[round] && l.remove(round) {
			removed = append(removed, round)
		}
	}
	return removed
}

// need marks a round and what it rests on.
func (l *local) need(needed map[int]bool, round int, shared bool) {
	for round != 0 && !needed[round] {
		needed[round] = true
		if !shared {
			return
		}
		round = l.bases[round]
	}
}

func (l *local) remove(round int) bool {
	if err := l.env.Disk().Remove(localName(round)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.env.Logf("%s cannot be removed, and stays: %v", localName(round), err)
		return false
	}
	delete(l.bases, round)
	return true
}
