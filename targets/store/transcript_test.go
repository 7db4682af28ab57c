package store

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/harness/node"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into testdata/transcripts, instead of comparing")

// The files in testdata/transcripts tell how nodes behave step by step, as
// those of etcd-io/raft's rafttest do: lines that begin with # say why, lines
// that begin with > are commands, and the indented lines after a command are
// what it made happen. Commands:
//
//	cluster N                 makes N nodes that do not run
//	boot NODE                 starts a node; an error is printed
//	tick NODE [N]             lets N ticks pass
//	pass NODE N               lets N ticks pass and settles after each; says
//	                          nothing of heartbeats
//	ask NODE METHOD PATH [BODY]   PATH may have a query
//	deliver [N]               delivers the N oldest messages (all, without N)
//	drop                      loses all messages in flight
//	sync NODE                 completes the oldest sync of a node
//	settle                    delivers and syncs until nothing is left to do
//	kill NODE, cut NODE       ends a process; cut loses what is not synced
//	status, files NODE
func TestTranscripts(t *testing.T) {
	names, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			old, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := retell(old)
			if *rewrite {
				if err := os.WriteFile(name, got, 0o666); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(old, got) {
				t.Errorf("%s tells another story; what happens is (go test -run Transcripts -rewrite writes it):\n%s", name, got)
			}
		})
	}
}

// retell runs the commands of a transcript and writes it anew.
func retell(old []byte) []byte {
	var out bytes.Buffer
	var s teller
	for line := range strings.Lines(string(old)) {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out.WriteString(line)
		if command, ok := strings.CutPrefix(line, "> "); ok {
			s.lines = nil
			if err := s.run(strings.Fields(command)); err != nil {
				s.say("error: %v", err)
			}
			for _, l := range s.lines {
				out.WriteString("    " + strings.TrimRight(l, "\n ") + "\n")
			}
		}
	}
	return out.Bytes()
}

type teller struct {
	w     *tinyWorld
	lines []string
	told  map[string]map[node.RequestID]bool
}

func (s *teller) say(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *teller) run(words []string) (err error) {
	arg := func(i int, otherwise string) string {
		if i < len(words) {
			return words[i]
		}
		return otherwise
	}
	count := func(i, otherwise int) int {
		n, err := strconv.Atoi(arg(i, ""))
		if err != nil {
			return otherwise
		}
		return n
	}
	if words[0] == "cluster" {
		s.w = newTinyWorld(count(1, 3), tinyConfig(""))
		s.told = map[string]map[node.RequestID]bool{}
		s.w.reached = func(n *tinyNode, point string) {
			if point != "fsync" {
				s.say("%s reaches %s", n.name, point)
			}
		}
		s.w.sent = func(from *tinyNode, to string, m Message) { s.say("%s>%s %s", from.name, to, describe(m)) }
		return nil
	}
	n := s.w.nodes[arg(1, "")]
	switch words[0] {
	case "boot":
		s.told[n.name] = map[node.RequestID]bool{}
		err = n.boot()
	case "tick":
		for range count(2, 1) {
			n.tick()
		}
	case "pass":
		for range count(2, 1) {
			n.tick()
			s.w.settle()
		}
		s.lines = slices.DeleteFunc(s.lines, func(l string) bool { return strings.Contains(l, " MsgHeartbeat") })
	case "ask":
		path, query, _ := strings.Cut(arg(3, ""), "?")
		n.ask(arg(2, ""), path, query, arg(4, ""))
	case "deliver":
		for range count(1, 1000) {
			s.w.deliver()
		}
	case "drop":
		s.w.wire = nil
	case "sync":
		n.sync()
	case "settle":
		s.w.settle()
	case "kill", "cut":
		n.crash(words[0] == "kill")
	case "status":
		for _, name := range s.w.names {
			if p := s.w.nodes[name].p; p != nil {
				st := p.Status()
				s.say("%s %s of %s, term %d, applied %d, log %d to %d", name, st.Role, st.Leader, st.Term, st.Applied, p.stable.first(), p.stable.last())
			} else {
				s.say("%s is down", name)
			}
		}
	case "files":
		names, _ := n.disk.List()
		s.say("%s", strings.Join(names, " "))
	default:
		err = fmt.Errorf("unknown command %q", words[0])
	}
	s.news()
	return err
}

// news tells of answers since the last time.
func (s *teller) news() {
	for _, name := range s.w.names {
		n := s.w.nodes[name]
		ids := make([]node.RequestID, 0, len(n.replies))
		for id := range n.replies {
			if !s.told[name][id] {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		for _, id := range ids {
			s.told[name][id] = true
			s.say("%s answers %d: %d %s", name, id, n.replies[id].Status, n.replies[id].Body)
		}
	}
}

// describe tells what matters of a message.
func describe(m Message) string {
	r := m.raft
	b := fmt.Sprintf("%s term %d", r.GetType(), r.GetTerm())
	if r.GetIndex() > 0 || len(r.Entries) > 0 {
		b += fmt.Sprintf(", after %d", r.GetIndex())
	}
	if len(r.Entries) > 0 {
		b += fmt.Sprintf(", %d entries", len(r.Entries))
	}
	if r.GetCommit() > 0 {
		b += fmt.Sprintf(", commit %d", r.GetCommit())
	}
	if r.GetReject() {
		b += ", rejected"
	}
	if r.Snapshot != nil {
		b += fmt.Sprintf(", snapshot at %d", r.Snapshot.GetMetadata().GetIndex())
	}
	return b
}
