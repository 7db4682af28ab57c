package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/node"
)

// script is a network whose nodes answer from a list: "200 BODY", "refused",
// or "silence", which takes the whole timeout.
type script struct {
	cluster.Network
	answers []string
	asked   []string
	now     time.Duration
}

func (s *script) Nodes() []string    { return []string{"n1", "n2", "n3"} }
func (s *script) Intn(n int) int     { return n / 2 }
func (s *script) Now() time.Duration { return s.now }

func (s *script) Sleep(ctx context.Context, d time.Duration) error {
	s.now += d
	return ctx.Err()
}

func (s *script) Call(_ context.Context, name string, r node.Request, timeout time.Duration) (node.Response, error) {
	s.asked = append(s.asked, strings.TrimSpace(name+" "+r.Method+" "+r.Path+" "+r.Query+" "+string(r.Body)))
	answer := "silence"
	if len(s.answers) > 0 {
		answer, s.answers = s.answers[0], s.answers[1:]
	}
	switch answer {
	case "silence":
		s.now += timeout
		return node.Response{}, &cluster.CallError{Node: name, Sent: true, Err: context.DeadlineExceeded}
	case "refused":
		return node.Response{}, &cluster.CallError{Node: name, Err: errors.New("connection refused")}
	}
	status, body, _ := strings.Cut(answer, " ")
	n := 0
	for _, c := range status {
		n = 10*n + int(c-'0')
	}
	return node.Response{Status: n, Body: []byte(body)}, nil
}

const (
	registered  = `200 {"session":5}`
	written     = `200 {"index":9}`
	unavailable = `503 {"code":"unavailable","error":"no leader"}`
	maybe       = `504 {"code":"maybe_applied","error":"late"}`
	mismatch    = `409 {"code":"cas_mismatch","value":3}`
	expired     = `410 {"code":"no_session","error":"gone"}`
	proxy       = `502 <html>`
)

var (
	put = cluster.Op{F: fWrite, Key: "x", Value: history.Int(7)}
	get = cluster.Op{F: fRead, Key: "x"}
	cas = cluster.Op{F: fCAS, Key: "x", Value: history.List(history.Nil, history.String("a"))}
)

func TestTheClientSaysFailOnlyOfWhatWasCertainlyNotExecuted(t *testing.T) {
	all := func(answer string) []string {
		var list []string
		for range 100 {
			list = append(list, answer)
		}
		return list
	}
	for _, c := range []struct {
		what    string
		op      cluster.Op
		answers []string
		outcome history.Outcome
		value   history.Value
	}{
		{"a read", get, []string{`200 {"value":7,"index":1}`}, history.OK, history.Int(7)},
		{"a read of a string", get, []string{`200 {"value":"a,b","index":1}`}, history.OK, history.String("a,b")},
		{"a read of no key", get, []string{`404 {"code":"no_key"}`}, history.OK, history.Nil},
		{"a read of no page", get, append([]string{`404 not found`}, all("refused")...), history.Fail, history.Nil},
		{"a read without answer", get, nil, history.Fail, history.Nil},
		{"a read that another node answers", get, []string{unavailable, "silence", `200 {"value":7,"index":1}`}, history.OK, history.Int(7)},
		{"a write", put, []string{registered, written}, history.OK, put.Value},
		{"a write that is sent twice", put, []string{registered, "silence", written}, history.OK, put.Value},
		{"a write that never left", put, all("refused"), history.Fail, put.Value},
		{"a write that was refused", put, append([]string{registered}, all(unavailable)...), history.Fail, put.Value},
		{"a write without session", put, nil, history.Fail, put.Value},
		{"a write without answer", put, []string{registered}, history.Info, put.Value},
		{"a write that may be late", put, append([]string{registered, maybe}, all(unavailable)...), history.Info, put.Value},
		{"a write behind a proxy", put, append([]string{registered, proxy}, all("refused")...), history.Info, put.Value},
		{"a cas", cas, []string{registered, written}, history.OK, cas.Value},
		{"a cas that does not match", cas, []string{registered, mismatch}, history.Fail, cas.Value},
		{"a cas that did not match the first time", cas, []string{registered, "silence", mismatch}, history.Fail, cas.Value},
		{"an expired session", put, []string{registered, expired, registered, written}, history.OK, put.Value},
		{"a session that expired after the first attempt", put, []string{registered, "silence", expired}, history.Info, put.Value},
		{"a bad request", put, []string{registered, `400 {"code":"bad_request","error":"no"}`}, history.Fail, put.Value},
		{"a value that cannot be kept", cluster.Op{F: fWrite, Key: "x", Value: history.Bool(true)}, nil, history.Fail, history.Bool(true)},
		{"an unknown operation", cluster.Op{F: "fly"}, nil, history.Fail, history.Nil},
	} {
		s := &script{answers: c.answers}
		client, err := New().Connect(s, "")
		if err != nil {
			t.Fatal(err)
		}
		done := client.Invoke(t.Context(), c.op, 3*time.Second)
		if done.Outcome != c.outcome || !done.Value.Equal(c.value) || (done.Error == "") != (done.Outcome == history.OK) {
			t.Errorf("%s: got %+v, want outcome %d and value %s", c.what, done, c.outcome, c.value)
		}
		if s.now > 3*time.Second {
			t.Errorf("%s: took %v", c.what, s.now)
		}
	}
}

func TestTheClientMovesOnWithTheSameSequenceNumber(t *testing.T) {
	for bug, third := range map[string]string{"": "n1 PUT /kv/x session=5&seq=1 7", retryNonIdempotent: "n1 PUT /kv/x session=5&seq=2 7"} {
		s := &script{answers: []string{registered, "silence", written, written}}
		client, err := New().Connect(s, bug)
		if err != nil {
			t.Fatal(err)
		}
		done := client.Invoke(t.Context(), put, 3*time.Second)
		wanted := []string{"n2 POST /sessions", "n2 PUT /kv/x session=5&seq=1 7", strings.Replace(third, "n1", "n3", 1)}
		if strings.Join(s.asked, "; ") != strings.Join(wanted, "; ") || done.Node != "n3" {
			t.Errorf("bug %q: asked %q", bug, s.asked)
		}
		client.Invoke(t.Context(), cas, 3*time.Second)
		if last := s.asked[len(s.asked)-1]; !strings.HasPrefix(last, "n3 POST /kv/x/cas session=5&seq=") || !strings.HasSuffix(last, `{"expected":null,"value":"a"}`) {
			t.Errorf("bug %q: the cas was %q", bug, last)
		}
	}
}

func TestWithTheBugTimeoutAsFailAnIndeterminateWriteIsCalledFailed(t *testing.T) {
	client, err := New().Connect(&script{answers: []string{registered}}, timeoutAsFail)
	if err != nil {
		t.Fatal(err)
	}
	if done := client.Invoke(t.Context(), put, 3*time.Second); done.Outcome != history.Fail {
		t.Errorf("got %+v", done)
	}
}

func TestAnUnknownBugIsRefusedByNameWithTheKnownOnes(t *testing.T) {
	_, connect := New().Connect(&script{}, "nope")
	_, program := New().Program("nope")
	_, command := New().Command(cluster.NodeConfig{Bug: "nope"})
	for _, err := range []error{connect, program, command} {
		if err == nil || !strings.Contains(err.Error(), `"nope"`) || !strings.Contains(err.Error(), staleLocalRead) {
			t.Errorf("got %v", err)
		}
	}
	for _, b := range New().Bugs() {
		if err := checkBug(b.ID); err != nil || b.Doc == "" || len(b.Where) == 0 {
			t.Errorf("%+v: %v", b, err)
		}
	}
}
