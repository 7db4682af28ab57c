package store

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cleancut/cleancut/harness/rng"
)

func tinyConfig(bug string) Config {
	cfg := SimConfig()
	cfg.SnapshotEvery, cfg.SnapshotTrailing, cfg.SegmentBytes, cfg.Bug = 8, 2, 512, bug
	return cfg
}

func elected(t *testing.T, nodes int, bug string) *tinyWorld {
	t.Helper()
	w := newTinyWorld(nodes, tinyConfig(bug))
	if err := w.elect("n1"); err != nil {
		t.Fatal(err)
	}
	return w
}

// want checks the answer to a request: its status, and a part of its body.
func want(t *testing.T, n *tinyNode, method, path, query, body string, status int, part string) {
	t.Helper()
	id := n.ask(method, path, query, body)
	n.w.settle()
	r, ok := n.replies[id]
	if !ok || r.Status != status || !strings.Contains(string(r.Body), part) {
		t.Fatalf("%s %s?%s %s at %s: answer %v %d %s, want %d with %s", method, path, query, body, n.name, ok, r.Status, r.Body, status, part)
	}
}

func TestAKeyIsWrittenReadSwappedAndDeletedAtAnyNode(t *testing.T) {
	w := elected(t, 3, "")
	for i, name := range []string{"n1", "n2", "n3"} {
		n, key := w.nodes[name], fmt.Sprintf("/kv/k%d", i)
		want(t, n, "GET", key, "", "", 404, codeNoKey)
		want(t, n, "PUT", key, "", "7", 200, "index")
		want(t, n, "GET", key, "", "", 200, `{"value":7,`)
		want(t, n, "POST", key+"/cas", "", `{"expected":8,"value":9}`, 409, `"code":"cas_mismatch","value":7`)
		want(t, n, "POST", key+"/cas", "", `{"expected":7,"value":"a\u0062"}`, 200, "index")
		want(t, n, "GET", key, "", "", 200, `{"value":"ab",`)
		want(t, n, "DELETE", key, "", "", 200, "index")
		want(t, n, "DELETE", key, "", "", 200, `"deleted":false`)
		want(t, n, "POST", key+"/cas", "", `{"expected":null,"value":-1}`, 200, "index")
	}
}

func TestAWriteOfASessionIsExecutedOnceHoweverOftenAndWhereverItIsSent(t *testing.T) {
	w := elected(t, 3, "")
	n1, n2 := w.nodes["n1"], w.nodes["n2"]
	want(t, n1, "POST", "/sessions", "", "", 200, `"session":2`)
	want(t, n1, "POST", "/kv/x/cas", "session=2&seq=1", `{"expected":null,"value":1}`, 200, `"index":3`)
	want(t, n2, "POST", "/kv/x/cas", "session=2&seq=1", `{"expected":null,"value":1}`, 200, `"index":3`)
	want(t, n2, "POST", "/kv/x/cas", "session=2&seq=2", `{"expected":null,"value":1}`, 409, codeMismatch)
	want(t, n2, "PUT", "/kv/x", "session=2&seq=1", "5", 409, codeStale)
	want(t, n2, "PUT", "/kv/x", "session=99&seq=1", "5", 410, codeExpired)
	want(t, n1, "GET", "/kv/x", "", "", 200, `{"value":1,`)
}

func TestANodeWithoutLeaderRefusesWritesAndGivesUpReadsInTime(t *testing.T) {
	w := newTinyWorld(3, tinyConfig(""))
	n := w.nodes["n1"]
	if err := n.boot(); err != nil {
		t.Fatal(err)
	}
	want(t, n, "PUT", "/kv/x", "", "1", 503, codeUnavailable)
	read := n.ask("GET", "/kv/x", "", "")
	for n.now < w.cfg.RequestTimeout {
		if _, early := n.replies[read]; early {
			t.Fatalf("the read was given up after %v", n.now)
		}
		n.tick()
	}
	if r := n.replies[read]; r.Status != 503 {
		t.Errorf("the read was answered %d %s", r.Status, r.Body)
	}
}

func TestAWriteWithoutMajorityIsAnsweredAsMaybeExecuted(t *testing.T) {
	w := elected(t, 3, "")
	n := w.nodes["n1"]
	id := n.ask("PUT", "/kv/x", "", "1")
	for n.now < 2*w.cfg.RequestTimeout {
		n.tick()
	}
	if r := n.replies[id]; r.Status != 504 || !strings.Contains(string(r.Body), codeMaybeApplied) {
		t.Errorf("the write was answered %d %s", r.Status, r.Body)
	}
}

func TestRequestsBeyondTheLimitAreRefused(t *testing.T) {
	cfg := tinyConfig("")
	cfg.MaxPending = 2
	w := newTinyWorld(3, cfg)
	if err := w.elect("n1"); err != nil {
		t.Fatal(err)
	}
	n := w.nodes["n1"]
	for _, method := range []string{"PUT", "GET"} {
		body := map[string]string{"PUT": "1"}[method]
		n.ask(method, "/kv/x", "", body)
		n.ask(method, "/kv/x", "", body)
		if r := n.replies[n.ask(method, "/kv/x", "", body)]; r.Status != 503 {
			t.Errorf("the third %s was answered %d %s", method, r.Status, r.Body)
		}
		w.settle()
		if r := n.replies[n.ask(method, "/kv/x", "", body)]; r.Status != 0 {
			t.Errorf("a %s was answered %d %s after the others were done", method, r.Status, r.Body)
		}
		w.settle()
	}
}

func TestANodeWhoseDiskFailsHaltsAndSaysSo(t *testing.T) {
	for what, fail := range map[string]func(n *tinyNode){
		"sync":  func(n *tinyNode) { n.p.Synced(n.disk.pending[0].token, syscall.EIO) },
		"write": func(n *tinyNode) { n.sync() },
	} {
		w := elected(t, 1, "")
		n := w.nodes["n1"]
		first := n.ask("PUT", "/kv/x", "", "1") // on its way to the disk
		second := n.ask("PUT", "/kv/x", "", "2")
		n.disk.fail = syscall.ENOSPC
		fail(n)
		if s := n.p.Status(); s.Role != "halted" || s.Ready {
			t.Errorf("failed %s: status is %+v", what, s)
		}
		if r := n.replies[second]; r.Status != 504 {
			t.Errorf("failed %s: the pending write was answered %d", what, r.Status)
		}
		if r := n.replies[first]; r.Status != 504 {
			t.Errorf("failed %s: the write before was answered %d", what, r.Status)
		}
		n.disk.fail = nil
		want(t, n, "GET", "/kv/x", "", "", 503, "halted")
		if what == "write" {
			n.crash(false)
			if err := n.boot(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// promises checks every vote and append response at the moment at which it
// leaves: a power loss at that moment must not take back what it promises.
func promises(w *tinyWorld) (broken *error) {
	broken = new(error)
	w.sent = func(from *tinyNode, to string, m Message) {
		r := m.raft
		if r.GetReject() || r.GetType() != pb.MsgAppResp && r.GetType() != pb.MsgVoteResp || *broken != nil {
			return
		}
		rec, err := recoverDisk(from.disk.durable(), identityOf(from.name, w.names), w.cfg.SegmentBytes)
		switch {
		case err != nil:
			*broken = err
		case rec.journal.state.term < r.GetTerm():
			*broken = fmt.Errorf("%s sends %s of term %d, but would wake up in term %d", from.name, r.GetType(), r.GetTerm(), rec.journal.state.term)
		case r.GetType() == pb.MsgVoteResp && (rec.journal.state.vote == 0 || w.names[rec.journal.state.vote-1] != to):
			*broken = fmt.Errorf("%s votes for %s, and would not remember", from.name, to)
		case r.GetType() == pb.MsgAppResp && rec.entries[len(rec.entries)-1].GetIndex() < r.GetIndex():
			*broken = fmt.Errorf("%s acknowledges entry %d, and would have %d entries", from.name, r.GetIndex(), rec.entries[len(rec.entries)-1].GetIndex())
		}
	}
	return broken
}

// scramble lets things happen in random order, crashes included.
func scramble(w *tinyWorld, seed uint64, steps int, broken *error) error {
	r := rng.Stream(seed, "scramble")
	for i := 0; i < steps && *broken == nil; i++ {
		n := w.nodes[w.names[r.IntN(len(w.names))]]
		if n.p == nil {
			if err := n.boot(); err != nil {
				return fmt.Errorf("step %d: %w", i, err)
			}
		}
		switch k := r.IntN(100); {
		case k < 25:
			n.tick()
		case k < 45:
			n.sync()
		case k < 65:
			n.ask("PUT", fmt.Sprintf("/kv/k%d", r.IntN(3)), "", fmt.Sprint(i))
		case k < 96:
			for range r.IntN(6) {
				w.deliver()
			}
		case k < 98 && len(w.wire) > 0:
			w.wire = w.wire[r.IntN(len(w.wire)):] // lost
		default:
			n.crash(r.IntN(2) == 0)
		}
	}
	return nil
}

func TestNoPromiseLeavesBeforeItIsDurable(t *testing.T) {
	for seed := range uint64(60) {
		w := newTinyWorld(3, tinyConfig(""))
		broken := promises(w)
		if err := scramble(w, seed, 3000, broken); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if *broken != nil {
			t.Fatalf("seed %d: %v", seed, *broken)
		}
	}
}

func TestWithThePlantedBugsPromisesAreNotKept(t *testing.T) {
	for bug, part := range map[string]string{sendBeforeFsync: "would", voteNotPersisted: "votes for"} {
		found := ""
		for seed := uint64(0); seed < 20 && found == ""; seed++ {
			w := newTinyWorld(3, tinyConfig(bug))
			broken := promises(w)
			if err := scramblePanics(w, seed, broken); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			if *broken != nil {
				found = (*broken).Error()
			}
		}
		if !strings.Contains(found, part) {
			t.Errorf("%s: found %q, want something that says %q", bug, found, part)
		}
	}
}

// scramblePanics is scramble where Raft may find that it was lied to.
func scramblePanics(w *tinyWorld, seed uint64, broken *error) (err error) {
	defer func() { _ = recover() }()
	return scramble(w, seed, 3000, broken)
}
