package store

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	evidence "github.com/cleancut/cleancut/harness/record"
	"github.com/cleancut/cleancut/harness/rng"
)

// tinyWorld is the smallest world that programs run in: nothing happens in it
// unless a test makes it happen.
type tinyWorld struct {
	cfg   Config
	names []string
	nodes map[string]*tinyNode
	wire  []tinyMessage // in flight, in order
	// sent, if set, is called before a message leaves.
	sent func(from *tinyNode, to string, m Message)
	// reached, if set, is called at each point.
	reached func(n *tinyNode, point string)
}

type tinyMessage struct {
	from, to string
	m        node.Message
}

func newTinyWorld(nodes int, cfg Config) *tinyWorld {
	w := &tinyWorld{cfg: cfg, nodes: map[string]*tinyNode{}}
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		w.names = append(w.names, name)
		w.nodes[name] = &tinyNode{w: w, name: name, disk: newTinyDisk(), rand: rng.Stream(1, name)}
	}
	return w
}

// tinyNode is a node and its node.Env.
type tinyNode struct {
	w       *tinyWorld
	name    string
	disk    *tinyDisk
	rand    *rand.Rand
	p       *Program
	now     time.Duration
	request node.RequestID
	replies map[node.RequestID]node.Response
}

func (n *tinyNode) boot() error {
	p, err := NewProgram(n.w.cfg)
	if err != nil {
		return err
	}
	n.p, n.now, n.request, n.replies = p, 0, 0, map[node.RequestID]node.Response{}
	n.disk.pending = nil
	return p.Start(n)
}

// crash ends the process; without power, what was not synced is gone.
func (n *tinyNode) crash(power bool) {
	n.p = nil
	if !power {
		n.disk = n.disk.durable()
	}
}

// ask makes a request and returns its id.
func (n *tinyNode) ask(method, path, query, body string) node.RequestID {
	n.request++
	n.p.Request(n.request, node.Request{Method: method, Path: path, Query: query, Body: []byte(body)})
	return n.request
}

// sync completes the oldest sync that is on its way.
func (n *tinyNode) sync() bool {
	if len(n.disk.pending) == 0 {
		return false
	}
	s := n.disk.pending[0]
	n.disk.pending = n.disk.pending[1:]
	s.done()
	n.p.Synced(s.token, nil)
	return true
}

func (n *tinyNode) tick() {
	n.now += n.w.cfg.Tick
	n.p.Timer(tickTimer)
}

// deliver hands over the oldest message in flight.
func (w *tinyWorld) deliver() bool {
	if len(w.wire) == 0 {
		return false
	}
	m := w.wire[0]
	w.wire = w.wire[1:]
	if to := w.nodes[m.to]; to.p != nil {
		to.p.Receive(m.from, m.m)
	}
	return true
}

// settle lets everything happen that waits to happen, time excepted.
func (w *tinyWorld) settle() {
	for busy := true; busy; {
		busy = w.deliver()
		for _, name := range w.names {
			if n := w.nodes[name]; n.p != nil {
				busy = n.sync() || busy
			}
		}
	}
}

// elect boots all nodes and makes the given one leader.
func (w *tinyWorld) elect(name string) error {
	for _, name := range w.names {
		if err := w.nodes[name].boot(); err != nil {
			return err
		}
	}
	for range 3 * w.cfg.ElectionTicks {
		w.nodes[name].tick()
		w.settle()
		if w.nodes[name].p.Status().Role == "leader" {
			return nil
		}
	}
	return fmt.Errorf("%s was not elected", name)
}

func (n *tinyNode) Self() string                    { return n.name }
func (n *tinyNode) Peers() []string                 { return n.w.names }
func (n *tinyNode) Now() time.Duration              { return n.now }
func (n *tinyNode) Wall() time.Time                 { return time.Unix(0, 0).Add(n.now) }
func (n *tinyNode) Rand() *rand.Rand                { return n.rand }
func (n *tinyNode) SetTimer(string, time.Duration)  {}
func (n *tinyNode) StopTimer(string)                {}
func (n *tinyNode) Disk() node.Disk                 { return n.disk }
func (n *tinyNode) Logf(format string, args ...any) {}
func (n *tinyNode) Record(evidence.Event)           {}
func (n *tinyNode) Observe(node.Fact)               {}

func (n *tinyNode) Point(name string) {
	if n.w.reached != nil {
		n.w.reached(n, name)
	}
}

func (n *tinyNode) Send(to string, m node.Message) {
	if n.w.sent != nil {
		n.w.sent(n, to, m.(Message))
	}
	n.w.wire = append(n.w.wire, tinyMessage{n.name, to, m})
}

func (n *tinyNode) Reply(id node.RequestID, r node.Response) {
	if _, twice := n.replies[id]; twice || id > n.request {
		panic(fmt.Sprintf("request %d is answered twice, or was never made", id))
	}
	n.replies[id] = r
}

// tinyDisk forgets, on demand, all that was not synced.
type tinyDisk struct {
	files   map[string]*tinyFile
	stable  map[string]*tinyFile // names that are durable
	pending []tinySync
	fail    error // of the next write or creation
}

type tinySync struct {
	token uint64
	done  func()
}

type tinyFile struct {
	d            *tinyDisk
	data, stable []byte
}

func newTinyDisk() *tinyDisk {
	return &tinyDisk{files: map[string]*tinyFile{}, stable: map[string]*tinyFile{}}
}

// durable is what a power loss leaves.
func (d *tinyDisk) durable() *tinyDisk {
	left := newTinyDisk()
	for name, f := range d.stable {
		left.files[name] = &tinyFile{d: left, data: slices.Clone(f.stable), stable: slices.Clone(f.stable)}
	}
	left.stable = maps.Clone(left.files)
	return left
}

func (d *tinyDisk) take() error {
	err := d.fail
	d.fail = nil
	return err
}

func (d *tinyDisk) Create(name string) (node.File, error) {
	if _, ok := d.files[name]; ok {
		return nil, fs.ErrExist
	}
	if err := d.take(); err != nil {
		return nil, err
	}
	d.files[name] = &tinyFile{d: d}
	return d.files[name], nil
}

func (d *tinyDisk) Open(name string) (node.File, error) {
	if f, ok := d.files[name]; ok {
		return f, nil
	}
	return nil, fs.ErrNotExist
}

func (d *tinyDisk) Rename(oldname, newname string) error {
	f, ok := d.files[oldname]
	if !ok {
		return fs.ErrNotExist
	}
	delete(d.files, oldname)
	d.files[newname] = f
	return nil
}

func (d *tinyDisk) Remove(name string) error {
	if _, ok := d.files[name]; !ok {
		return fs.ErrNotExist
	}
	delete(d.files, name)
	return nil
}

func (d *tinyDisk) List() ([]string, error) { return slices.Sorted(maps.Keys(d.files)), nil }

func (d *tinyDisk) SyncDir(token uint64) {
	names := maps.Clone(d.files)
	d.pending = append(d.pending, tinySync{token, func() { d.stable = names }})
}

func (f *tinyFile) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func (f *tinyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.d.take(); err != nil {
		return 0, err
	}
	if n := off + int64(len(p)); n > int64(len(f.data)) {
		f.data = append(f.data, make([]byte, n-int64(len(f.data)))...)
	}
	return copy(f.data[off:], p), nil
}

func (f *tinyFile) Truncate(size int64) error {
	if size > int64(len(f.data)) {
		return io.ErrShortWrite
	}
	f.data = f.data[:size]
	return nil
}

func (f *tinyFile) Size() (int64, error) { return int64(len(f.data)), nil }
func (f *tinyFile) Close() error         { return nil }

func (f *tinyFile) Sync(token uint64) {
	data := slices.Clone(f.data)
	f.d.pending = append(f.d.pending, tinySync{token, func() { f.stable = data }})
}
