package store

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cleancut/cleancut/harness/node"
)

func someMessages() []*pb.Message {
	ctx := bytes.Repeat([]byte{7}, readContextSize)
	msg := func(t pb.MessageType, m *pb.Message) *pb.Message {
		m.Type, m.To, m.From = t.Enum(), new(uint64(2)), new(uint64(1))
		if t != pb.MsgProp && t != pb.MsgReadIndex {
			m.Term = new(uint64(300))
		}
		return m
	}
	return []*pb.Message{
		msg(pb.MsgProp, &pb.Message{Entries: []*pb.Entry{{Data: []byte("x")}}}),
		msg(pb.MsgApp, &pb.Message{Index: new(uint64(5)), LogTerm: new(uint64(3)), Commit: new(uint64(4)), Entries: []*pb.Entry{newEntry(6, 3, []byte("a")), newEntry(7, 300, nil)}}),
		msg(pb.MsgApp, &pb.Message{Commit: new(uint64(1 << 40))}),
		msg(pb.MsgAppResp, &pb.Message{Index: new(uint64(9)), Reject: new(true), RejectHint: new(uint64(8)), LogTerm: new(uint64(2))}),
		msg(pb.MsgVote, &pb.Message{Index: new(uint64(9)), LogTerm: new(uint64(2))}),
		msg(pb.MsgVoteResp, &pb.Message{}),
		msg(pb.MsgSnap, &pb.Message{Snapshot: &pb.Snapshot{Data: []byte("state"), Metadata: &pb.SnapshotMetadata{Index: new(uint64(7)), Term: new(uint64(6)), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}, AutoLeave: new(false)}}}}),
		msg(pb.MsgHeartbeat, &pb.Message{Commit: new(uint64(3)), Context: make([]byte, 8)}),
		msg(pb.MsgHeartbeatResp, &pb.Message{}),
		msg(pb.MsgReadIndex, &pb.Message{Entries: []*pb.Entry{{Data: ctx}}}),
		msg(pb.MsgReadIndexResp, &pb.Message{Index: new(uint64(3)), Entries: []*pb.Entry{{Data: ctx}}}),
	}
}

func encodeMessage(t testing.TB, m *pb.Message) []byte {
	t.Helper()
	b, err := Message{m}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessagesSurviveEncoding(t *testing.T) {
	for _, m := range someMessages() {
		b := encodeMessage(t, m)
		back, err := decodeMessage(b)
		if err != nil {
			t.Errorf("%v: %v", m, err)
			continue
		}
		if again := encodeMessage(t, back.raft); !bytes.Equal(b, again) {
			t.Errorf("%v came back as %v", m, back.raft)
		}
		for _, f := range []struct{ a, b any }{
			{m.GetTerm(), back.raft.GetTerm()}, {m.GetIndex(), back.raft.GetIndex()}, {m.GetLogTerm(), back.raft.GetLogTerm()},
			{m.GetCommit(), back.raft.GetCommit()}, {m.GetReject(), back.raft.GetReject()}, {m.GetRejectHint(), back.raft.GetRejectHint()},
			{len(m.Entries), len(back.raft.Entries)}, {m.Context, back.raft.Context}, {m.GetFrom(), back.raft.GetFrom()}, {m.GetTo(), back.raft.GetTo()},
			{proto.Equal(m.Snapshot, back.raft.Snapshot), true},
		} {
			if !reflect.DeepEqual(f.a, f.b) {
				t.Errorf("%s: %v became %v", m.GetType(), f.a, f.b)
			}
		}
		for cut := range b {
			if _, err := decodeMessage(b[:cut]); err == nil {
				t.Errorf("%s: accepted when cut off after %d of %d bytes", m.GetType(), cut, len(b))
			}
		}
		if _, err := decodeMessage(append(b, 0)); err == nil {
			t.Errorf("%s: accepted with a byte to spare", m.GetType())
		}
	}
}

func TestMessagesOnWhichRaftWouldPanicAreRejected(t *testing.T) {
	for what, change := range map[string]func(ms []*pb.Message) *pb.Message{
		"a local message":                func(ms []*pb.Message) *pb.Message { ms[8].Type = pb.MsgHup.Enum(); return ms[8] },
		"an empty proposal":              func(ms []*pb.Message) *pb.Message { ms[0].Entries = nil; return ms[0] },
		"entries with a gap":             func(ms []*pb.Message) *pb.Message { *ms[1].Entries[1].Index = 9; return ms[1] },
		"an entry of a later term":       func(ms []*pb.Message) *pb.Message { *ms[1].Entries[1].Term = 301; return ms[1] },
		"a snapshot without index":       func(ms []*pb.Message) *pb.Message { ms[6].Snapshot.Metadata.Index = nil; return ms[6] },
		"no snapshot":                    func(ms []*pb.Message) *pb.Message { ms[6].Snapshot = nil; return ms[6] },
		"a snapshot where none belongs":  func(ms []*pb.Message) *pb.Message { ms[4].Snapshot = ms[6].Snapshot; return ms[4] },
		"a heartbeat with short context": func(ms []*pb.Message) *pb.Message { ms[7].Context = []byte{1}; return ms[7] },
		"a read without context":         func(ms []*pb.Message) *pb.Message { ms[9].Entries[0].Data = nil; return ms[9] },
		"a vote without term":            func(ms []*pb.Message) *pb.Message { ms[4].Term = nil; return ms[4] },
		"a proposal with a term":         func(ms []*pb.Message) *pb.Message { ms[0].Term = new(uint64(1)); return ms[0] },
	} {
		if m, err := decodeMessage(encodeMessage(t, change(someMessages()))); err == nil {
			t.Errorf("%s is accepted: %v", what, m)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, m := range someMessages() {
		f.Add(encodeMessage(f, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err != nil {
			return
		}
		again := encodeMessage(t, m.raft)
		if back, err := decodeMessage(again); err != nil || !bytes.Equal(again, encodeMessage(t, back.raft)) {
			t.Errorf("%x decodes to %v, which does not survive", b, m.raft)
		}
		// Whatever is accepted must not make a node panic, as long as it does
		// not lie about what is committed.
		if m.raft.GetCommit() > 0 || m.raft.GetType() == pb.MsgApp || m.raft.GetType() == pb.MsgReadIndexResp {
			return
		}
		w := newTinyWorld(3, tinyConfig(""))
		if err := w.nodes["n2"].boot(); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{"n1", "n3"} {
			w.nodes["n2"].p.Receive(from, m)
		}
	})
}

func TestCommandsAndStatesSurviveEncoding(t *testing.T) {
	m := newMachine(2)
	for i, c := range []command{
		{op: opRegister},
		{op: opPut, session: 1, seq: 1, key: []byte("x"), value: []byte("1")},
		{op: opRegister},
		{op: opCAS, session: 3, seq: 9, key: []byte("x"), value: []byte("2"), expected: []byte(`"q"`)},
		{op: opPut, key: []byte("y"), value: []byte(`"\u003c"`)},
	} {
		b := c.append(nil)
		back, err := decodeCommand(b)
		if err != nil || !bytes.Equal(back.append(nil), b) {
			t.Fatalf("%+v came back as %+v, %v", c, back, err)
		}
		for cut := range b {
			if _, err := decodeCommand(b[:cut]); err == nil {
				t.Errorf("%+v is accepted when cut off after %d bytes", c, cut)
			}
		}
		m.apply(uint64(i)+1, &back)
		copied, err := decodeMachine(m.encode(), 2)
		if err != nil || copied.digest() != m.digest() || !bytes.Equal(copied.encode(), m.encode()) {
			t.Errorf("the state after %d commands does not survive: %v", i+1, err)
		}
	}
	if last := m.sessions[3].Value.(*session).last; last.outcome != outcomeMismatch || last.value != "1" {
		t.Errorf("the session's last result is %+v", last)
	}
}

func FuzzDecodeMachine(f *testing.F) {
	m := newMachine(3)
	m.apply(1, &command{op: opRegister})
	m.apply(2, &command{op: opPut, session: 1, seq: 1, key: []byte("x"), value: []byte("1")})
	f.Add(m.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeMachine(b, 3); err == nil {
			if again, err := decodeMachine(m.encode(), 3); err != nil || again.digest() != m.digest() {
				t.Errorf("%x does not survive: %v", b, err)
			}
		}
		if c, err := decodeCommand(b); err == nil {
			m.apply(3, &c)
		}
	})
}

func TestTheLeastRecentlyUsedSessionIsDropped(t *testing.T) {
	m := newMachine(2)
	m.apply(1, &command{op: opRegister})
	m.apply(2, &command{op: opRegister})
	put := func(index, session uint64) outcome {
		return m.apply(index, &command{op: opPut, session: session, seq: index, key: []byte("x"), value: []byte("1")}).outcome
	}
	if got := put(3, 1); got != outcomeOK {
		t.Fatalf("session 1: outcome %d", got)
	}
	m.apply(4, &command{op: opRegister})
	for session, wanted := range map[uint64]outcome{1: outcomeOK, 2: outcomeExpired, 4: outcomeOK} {
		if got := put(10+session, session); got != wanted {
			t.Errorf("session %d: outcome %d, want %d", session, got, wanted)
		}
	}
}

func TestTheStateDigestDependsOnStateAndIndexOnly(t *testing.T) {
	put := func(m *machine, index uint64, key, value string) {
		m.apply(index, &command{op: opPut, key: []byte(key), value: []byte(value)})
	}
	a, b := newMachine(1), newMachine(1)
	put(a, 1, "x", "1")
	put(a, 2, "y", "2")
	put(b, 1, "y", "2")
	put(b, 2, "x", "1")
	if a.digest() != b.digest() {
		t.Error("equal states at equal indices have different digests")
	}
	put(a, 3, "x", "2")
	put(b, 3, "x", "1")
	if a.digest() == b.digest() {
		t.Error("different states have equal digests")
	}
	a.skip(4)
	put(b, 4, "x", "2")
	if a.digest() != b.digest() {
		t.Error("the way to a state shows in its digest")
	}
}

// requests are malformed in one thing each, beside one that is accepted.
func TestMalformedRequestsAreRefusedWithWhatIsWrong(t *testing.T) {
	ok := func(r node.Request) {
		t.Helper()
		if _, bad := parseRequest(r); bad != nil {
			t.Errorf("%+v: refused: %s", r, bad.text)
		}
	}
	bad := func(status int, part string, r node.Request) {
		t.Helper()
		if _, bad := parseRequest(r); bad == nil || bad.status != status || !strings.Contains(bad.text, part) {
			t.Errorf("%+v: got %+v, want %d %q", r, bad, status, part)
		}
	}
	long := strings.Repeat("k", keyMax)
	ok(node.Request{Method: "POST", Path: "/sessions"})
	bad(405, "POST only", node.Request{Method: "GET", Path: "/sessions"})
	ok(node.Request{Method: "GET", Path: "/kv/" + long})
	bad(400, "characters", node.Request{Method: "GET", Path: "/kv/" + long + "k"})
	bad(400, "characters", node.Request{Method: "GET", Path: "/kv/"})
	bad(400, "characters", node.Request{Method: "GET", Path: "/kv/a/b"})
	bad(400, "characters", node.Request{Method: "GET", Path: "/kv/é"})
	bad(404, "no such path", node.Request{Method: "GET", Path: "/k"})
	bad(405, "GET, PUT and DELETE", node.Request{Method: "PATCH", Path: "/kv/x"})
	bad(405, "POST only", node.Request{Method: "GET", Path: "/kv/x/cas"})
	bad(400, "no body", node.Request{Method: "GET", Path: "/kv/x", Body: []byte("1")})
	bad(400, "neither session", node.Request{Method: "GET", Path: "/kv/x", Query: "session=1&seq=1"})
	for _, body := range []string{"1", "-9223372036854775808", ` "x" `, `"\u00e9"`} {
		ok(node.Request{Method: "PUT", Path: "/kv/x", Query: "session=1&seq=1", Body: []byte(body)})
	}
	for _, body := range []string{"", "+1", "1.5", "null", "true", "[1]", `"x`, "9223372036854775808", `"a" "b"`} {
		bad(400, "JSON integer or string", node.Request{Method: "PUT", Path: "/kv/x", Body: []byte(body)})
	}
	bad(413, "at most", node.Request{Method: "PUT", Path: "/kv/x", Body: make([]byte, bodyMax+1)})
	for _, query := range []string{"session=1", "seq=1", "session=1&seq=0", "session=-1&seq=1", "session=1&seq=1&seq=2", "session=1&seq=1&x=1", "session=%zz", "session=1&seq=99999999999999999999"} {
		bad(400, "", node.Request{Method: "DELETE", Path: "/kv/x", Query: query})
	}
	ok(node.Request{Method: "POST", Path: "/kv/x/cas", Body: []byte(`{"expected":null,"value":1}`)})
	for _, body := range []string{`{"value":1}`, `{"expected":1}`, `{"expected":1,"value":null}`, `{"expected":1,"value":1,"x":1}`, `{"expected":1,"value":1}{}`, `[]`, ``} {
		bad(400, "expected", node.Request{Method: "POST", Path: "/kv/x/cas", Body: []byte(body)})
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add("PUT", "/kv/x", "session=1&seq=2", []byte("1"))
	f.Add("POST", "/kv/x/cas", "", []byte(`{"expected":"a","value":2}`))
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		c, bad := parseRequest(node.Request{Method: method, Path: path, Query: query, Body: body})
		if bad != nil {
			if bad.status < 400 || bad.status > 499 || bad.text == "" {
				t.Errorf("refused with %+v", bad)
			}
			return
		}
		cmd := command{op: c.op, session: c.session, seq: c.seq, key: []byte(c.key), value: c.value, expected: c.expected}
		if _, err := decodeCommand(cmd.append(nil)); c.op != 0 && err != nil {
			t.Errorf("%+v does not survive: %v", c, err)
		}
	})
}

func TestConfigsThatCannotWorkAreRefused(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"Tick":             func(c *Config) { c.Tick = 0 },
		"ElectionTicks":    func(c *Config) { c.ElectionTicks = c.HeartbeatTicks },
		"SnapshotTrailing": func(c *Config) { c.SnapshotTrailing = 0 },
		"MaxPending":       func(c *Config) { c.MaxPending = 0 },
		"there are: stale": func(c *Config) { c.Bug = "no-such-bug" },
	} {
		for _, c := range []Config{DefaultConfig(), SimConfig()} {
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			change(&c)
			if _, err := NewProgram(c); err == nil || !strings.Contains(fmt.Sprint(err), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
