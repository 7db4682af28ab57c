// Package testnode is the smallest target that shows whether a runtime does
// what it promises: nodes that ping each other and keep one file.
//
//	GET  /ping?to=N      sends a message to N; answers 200 when it came back
//	GET  /seen?from=N    how many messages came from N
//	PUT  /file?sync=1    appends the body to the file; answers after the sync
//	GET  /file           the file
//	POST /record?msg=M   records that it sent a message
//	POST /panic          panics
//	POST /exit?code=N    ends the process
package testnode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strconv"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/harness/record"
)

// Bug makes every start fail, to test findings.
const Bug = "cannot-start"

// Point is the program's only point.
const Point = "pointed"

const fileName = "data"

// Program is a node.Program.
type Program struct {
	Fails   bool
	env     node.Env
	file    node.File
	size    int64
	last    uint64
	pings   map[uint64]node.RequestID
	syncs   map[uint64]node.RequestID
	seen    map[string]int
	running uint64
}

// New makes an incarnation.
func New(bug string, _ map[string]string) (node.Program, error) {
	if bug != "" && bug != Bug {
		return nil, fmt.Errorf("testnode: unknown bug %q", bug)
	}
	return &Program{Fails: bug == Bug}, nil
}

var _ node.Program = (*Program)(nil)

// Start opens the file.
func (p *Program) Start(env node.Env) error {
	p.env, p.pings, p.syncs, p.seen = env, map[uint64]node.RequestID{}, map[uint64]node.RequestID{}, map[string]int{}
	env.Record(record.Event{Kind: record.Start})
	if p.Fails {
		return errors.New("this program was told not to start")
	}
	file, err := env.Disk().Open(fileName)
	if errors.Is(err, fs.ErrNotExist) {
		if file, err = env.Disk().Create(fileName); err != nil {
			return err
		}
		env.Disk().SyncDir(p.token())
	}
	if err != nil {
		return err
	}
	p.file = file
	if p.size, err = file.Size(); err != nil {
		return err
	}
	env.Logf("started with %d bytes", p.size)
	env.SetTimer("beat", 0)
	return nil
}

func (p *Program) token() uint64 { p.last++; return p.last }

// Timer counts beats.
func (p *Program) Timer(name string) {
	p.running++
	p.env.SetTimer(name, 50_000_000)
}

// Receive answers pings and notes pongs.
func (p *Program) Receive(from string, m node.Message) {
	p.seen[from]++
	msg := m.(message)
	if !msg.reply {
		p.env.Send(from, message{msg.id, true})
		return
	}
	if id, ok := p.pings[msg.id]; ok {
		delete(p.pings, msg.id)
		p.env.Reply(id, node.Response{Status: 200})
	}
}

// Synced answers the writer.
func (p *Program) Synced(token uint64, err error) {
	id, ok := p.syncs[token]
	if !ok {
		return
	}
	delete(p.syncs, token)
	if err != nil {
		p.env.Reply(id, node.Response{Status: 500, Body: []byte(err.Error())})
		return
	}
	p.env.Reply(id, node.Response{Status: 200})
}

// Request serves a client.
func (p *Program) Request(id node.RequestID, r node.Request) {
	q, _ := url.ParseQuery(r.Query) // what cannot be read is empty
	switch r.Method + " " + r.Path {
	case "GET /ping":
		token := p.token()
		p.pings[token] = id
		p.env.Send(q.Get("to"), message{token, false})
	case "GET /seen":
		p.env.Reply(id, node.Response{Status: 200, Body: []byte(strconv.Itoa(p.seen[q.Get("from")]))})
	case "PUT /file":
		n, err := p.file.WriteAt(r.Body, p.size)
		p.size += int64(n)
		switch {
		case err != nil:
			p.env.Reply(id, node.Response{Status: 507, Body: []byte(err.Error())})
		case q.Get("sync") == "":
			p.env.Reply(id, node.Response{Status: 200})
		default:
			token := p.token()
			p.syncs[token] = id
			p.file.Sync(token)
		}
	case "GET /file":
		b := make([]byte, p.size)
		_, _ = p.file.ReadAt(b, 0) // of its own size: cannot fail
		p.env.Reply(id, node.Response{Status: 200, Body: b})
	case "POST /record":
		p.env.Record(record.Event{Kind: record.Send, Msg: q.Get("msg"), Peer: "nobody"})
		p.env.Reply(id, node.Response{Status: 200})
	case "POST /point":
		p.env.Point(Point)
		n, _ := p.file.WriteAt(r.Body, p.size) // what is not there is seen by the reader
		p.size += int64(n)
		p.env.Reply(id, node.Response{Status: 200})
	case "POST /panic":
		panic("this program was told to panic")
	case "POST /exit":
		code, _ := strconv.Atoi(q.Get("code")) // 0 if it cannot be read
		os.Exit(code)
	default:
		p.env.Reply(id, node.Response{Status: 404})
	}
}

// Status reports beats as term and the file's size as applied.
func (p *Program) Status() node.Status {
	return node.Status{Role: "node", Term: p.running, Applied: uint64(p.size), Ready: true}
}

// Decode reads a message.
func (p *Program) Decode(b []byte) (node.Message, error) {
	if len(b) != 9 || b[8] > 1 {
		return nil, fmt.Errorf("a message of %d bytes is not one of this program", len(b))
	}
	return message{binary.BigEndian.Uint64(b), b[8] == 1}, nil
}

type message struct {
	id    uint64
	reply bool
}

func (m message) AppendBinary(b []byte) ([]byte, error) {
	reply := byte(0)
	if m.reply {
		reply = 1
	}
	return append(binary.BigEndian.AppendUint64(b, m.id), reply), nil
}
