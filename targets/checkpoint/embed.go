package checkpoint

import (
	"strings"
	"time"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/targets/store"
)

// storePrefix keeps what belongs to the embedded store apart from what is
// ours: names of files, timers and points.
const storePrefix = "store."

// replica is the store that a control node embeds: the program of
// targets/store, unchanged, in an environment of its own.
type replica struct {
	env     *storeEnv
	program *store.Program
	last    node.RequestID
	open    map[node.RequestID]func(node.Response)
	// answered holds answers until the store's method has returned: what is
	// done with an answer may call the store again.
	answered []storeAnswer
	busy     bool
}

type storeAnswer struct {
	then func(node.Response)
	r    node.Response
}

func newReplica(cfg store.Config, env node.Env, peers []string) (*replica, error) {
	p, err := store.NewProgram(cfg)
	if err != nil {
		return nil, err
	}
	r := &replica{program: p, open: map[node.RequestID]func(node.Response){}}
	r.env = &storeEnv{Env: env, r: r, peers: peers}
	return r, r.program.Start(r.env)
}

// within calls a method of the store, and then those who wait for what it
// answered.
func (r *replica) within(call func()) {
	if r.busy {
		call()
		return
	}
	r.busy = true
	call()
	r.busy = false
	for len(r.answered) > 0 {
		a := r.answered[0]
		r.answered = r.answered[1:]
		a.then(a.r)
	}
}

// ask makes a request of the store, and then calls then with its answer.
func (r *replica) ask(q node.Request, then func(node.Response)) {
	r.last++
	id := r.last
	r.open[id] = then
	r.within(func() { r.program.Request(id, q) })
}

func (r *replica) leads() bool { return r.program.Status().Role == "leader" }

// storeEnv is the world as the embedded store sees it.
type storeEnv struct {
	node.Env
	r     *replica
	peers []string
}

func (e *storeEnv) Peers() []string { return e.peers }

func (e *storeEnv) Send(to string, m node.Message) {
	e.Env.Send(to, Message{kind: storeMessage, inner: m})
}

func (e *storeEnv) SetTimer(name string, d time.Duration) { e.Env.SetTimer(storePrefix+name, d) }
func (e *storeEnv) StopTimer(name string)                 { e.Env.StopTimer(storePrefix + name) }
func (e *storeEnv) Point(name string)                     { e.Env.Point(storePrefix + name) }

func (e *storeEnv) Logf(format string, args ...any) { e.Env.Logf("store: "+format, args...) }

func (e *storeEnv) Reply(id node.RequestID, r node.Response) {
	then := e.r.open[id]
	delete(e.r.open, id)
	e.r.answered = append(e.r.answered, storeAnswer{then, r})
}

func (e *storeEnv) Disk() node.Disk { return &storeDisk{e.Env.Disk()} }

// storeDisk shows the store its own files under their plain names. All syncs
// of a control node are the store's, so tokens need no translation.
type storeDisk struct{ node.Disk }

func (d *storeDisk) Create(name string) (node.File, error) { return d.Disk.Create(storePrefix + name) }
func (d *storeDisk) Open(name string) (node.File, error)   { return d.Disk.Open(storePrefix + name) }
func (d *storeDisk) Remove(name string) error              { return d.Disk.Remove(storePrefix + name) }

func (d *storeDisk) Rename(oldname, newname string) error {
	return d.Disk.Rename(storePrefix+oldname, storePrefix+newname)
}

func (d *storeDisk) List() ([]string, error) {
	all, err := d.Disk.List()
	names := all[:0:0]
	for _, name := range all {
		if own, ok := strings.CutPrefix(name, storePrefix); ok {
			names = append(names, own)
		}
	}
	return names, err
}
