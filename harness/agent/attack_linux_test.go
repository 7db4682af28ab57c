package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dial opens a connection to the agent, from another address of this host if
// from is not "".
func (r *running) dial(from string) net.Conn {
	r.Helper()
	d := net.Dialer{Timeout: time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", r.address)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close() })
	return c
}

// The bound for an answer under attack. It needs some milliseconds; a lock-out
// would last for seconds at least.
const attackedMax = 2 * time.Second

func TestStrangersLockOutNobody(t *testing.T) {
	r := startAgent(t, t.TempDir())
	for what, send := range map[string]string{
		"nothing":            "",
		"half a header":      "GET /state HTTP/1.1\r\nHost: x\r\n",
		"no body":            "POST /start HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
		"a wrong token":      "POST /kill HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 1000\r\n\r\n",
		"a part of a body":   "POST /start HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"an endless request": "GET /state HTTP/1.1\r\nX-Long: " + strings.Repeat("x", 8<<10),
	} {
		for _, from := range []string{"127.0.0.2", ""} { // a neighbour, and the harness's own address
			for range 4 * maxConnections {
				_, _ = io.WriteString(r.dial(from), send) // it may be refused at once
			}
			began := time.Now()
			fresh := NewClient(r.address, testToken) // no connection from before
			if _, err := fresh.State(t.Context()); err != nil {
				t.Errorf("%d connections that send %s, and the agent answers %v", 4*maxConnections, what, err)
			}
			fresh.Forget()
			if took := time.Since(began); took > attackedMax {
				t.Errorf("%d connections that send %s, and an answer takes %v", 4*maxConnections, what, took)
			}
		}
	}
}

func TestAConnectionThatSaysNothingIsClosedWhetherTheTokenWasShownOrNot(t *testing.T) {
	r := startAgent(t, t.TempDir())
	header := "POST /start HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 1000\r\n\r\n"
	conns := map[string]net.Conn{"a stranger": r.dial(""), "one with the token": r.dial("")}
	if _, err := fmt.Fprintf(conns["one with the token"], header, testToken); err != nil {
		t.Fatal(err)
	}
	for who, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(headerMax + bodyMax + attackedMax))
		if _, err := io.ReadAll(c); err != nil { // until the agent closes it
			t.Errorf("%s keeps his connection: %v", who, err)
		}
	}
}

func TestThoseWithTheTokenHavePlacesOfTheirOwnAndNoMore(t *testing.T) {
	r := startAgent(t, t.TempDir())
	hello := "GET /state HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + testToken + "\r\n\r\n"
	ask := func(c net.Conn) string {
		_ = c.SetDeadline(time.Now().Add(attackedMax))
		b := make([]byte, len("HTTP/1.1 200"))
		if _, err := io.WriteString(c, hello); err != nil {
			return err.Error()
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err.Error()
		}
		return string(b)
	}
	r.Forget() // what starting it left open
	var last net.Conn
	for i := range maxConnections {
		if last = r.dial(""); ask(last) != "HTTP/1.1 200" && i < maxConnections-2 {
			t.Fatalf("connection %d with the token is refused", i+1)
		}
	}
	if got := ask(r.dial("")); got != "HTTP/1.1 503" {
		t.Errorf("one connection too many is answered with %q", got)
	}
	_ = last.Close()
	r.eventually("a place that was given back can be taken", func() bool { return ask(r.dial("")) == "HTTP/1.1 200" })
}

func TestTheAgentListensOnItsOwnAddressOnly(t *testing.T) {
	r := startAgent(t, t.TempDir())
	_, port, err := net.SplitHostPort(r.address)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp", "127.0.0.9:"+port, time.Second); err == nil {
		_ = c.Close()
		t.Error("it answers on another address of its host")
	}
}

func TestTheTokenIsTakenOnceAndLeavesNoTrace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte(testToken))
	if got, err := takeToken(path); err != nil || got != testToken {
		t.Errorf("taken is %q (%v)", got, err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if _, err := takeToken(path); err == nil {
		t.Error("it can be taken twice")
	}
	write(make([]byte, maxToken+1))
	if _, err := takeToken(path); err == nil {
		t.Error("a token that is too long is taken")
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := errors.Join(os.WriteFile(other, []byte(testToken), 0o600), os.Symlink(other, path)); err != nil {
		t.Fatal(err)
	}
	if _, err := takeToken(path); err == nil {
		t.Error("a link is followed")
	}
}

// secret is a file outside of all directories of the agent.
func secret(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b, err := os.ReadFile(path); err != nil || string(b) != "untouched" {
			t.Errorf("the file outside is %q now (%v)", b, err)
		}
	})
	return path
}

func TestDamageStaysInTheDataDirectory(t *testing.T) {
	r := startAgent(t, t.TempDir())
	ctx := t.Context()
	data := filepath.Join(r.dir, "data")
	outside := secret(t)
	inside := filepath.Join(data, "files", "wal")
	prepare := errors.Join(
		os.MkdirAll(filepath.Dir(inside), 0o755), os.WriteFile(inside, []byte("some bytes to rot"), 0o644),
		os.Symlink(filepath.Dir(outside), filepath.Join(data, "link")), os.Symlink(outside, filepath.Join(data, "secret")),
		os.Symlink("../../..", filepath.Join(data, "up")), syscall.Mkfifo(filepath.Join(data, "pipe"), 0o644),
	)
	if prepare != nil {
		t.Fatal(prepare)
	}
	acts := map[string]func(context.Context, Damage) (Damaged, error){"rot": r.Rot, "truncate": r.Truncate, "wipe": r.Wipe}
	for _, dir := range []string{
		filepath.Dir(outside), data + "/..", data + "/../..", data + "/x/../../..", "/", "", "data", ".", data + "x",
		data + "/link", data + "/up", data + "/link/..", data + "\x00",
	} {
		for what, act := range acts {
			if strings.HasSuffix(dir, "link/..") { // cleaned, it is the data directory itself
				continue
			}
			if done, err := act(ctx, Damage{Dir: dir, Pattern: "*", Bytes: 1}); err == nil {
				t.Errorf("%s below %q is not refused: %+v", what, dir, done)
			}
		}
	}
	if done, err := r.Rot(ctx, Damage{Dir: data + "/files/../files/.", Pattern: "*", Bytes: 3}); err != nil || done.Bytes != 3 {
		t.Errorf("beside all that, rot inside says %+v (%v)", done, err)
	}
	if done, err := r.Truncate(ctx, Damage{Dir: data, Pattern: "*"}); err != nil || len(done.Files) != 1 || done.Files[0] != inside {
		t.Errorf("truncating all says %+v (%v), and wants the one regular file", done, err)
	}
	if _, err := r.Wipe(ctx, Damage{Dir: data}); err != nil {
		t.Errorf("wiping says %v", err)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("wiped, the directory holds %v (%v)", left, err)
	}
}

func TestFilesOfAStartStayInTheDirectoriesOfTheAgent(t *testing.T) {
	r := startAgent(t, t.TempDir())
	ctx := t.Context()
	outside := secret(t)
	run := filepath.Join(r.dir, "run")
	if err := os.Symlink(outside, filepath.Join(run, "link")); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(s *Start){
		"a count outside":       func(s *Start) { s.UnsyncedFile = outside },
		"a count above":         func(s *Start) { s.UnsyncedFile = run + "/../../x" },
		"a count that is a dir": func(s *Start) { s.UnsyncedFile = run },
		"a record outside":      func(s *Start) { s.RecordFile = outside },
		"a relative record":     func(s *Start) { s.RecordFile = "record" },
		"a directory outside":   func(s *Start) { s.Make = []string{filepath.Join(filepath.Dir(outside), "new")} },
	} {
		s := sh("exit 0")
		change(&s)
		if _, err := r.Start(ctx, s); err == nil {
			t.Errorf("a start with %s is not refused", what)
		}
	}
	// What the process itself puts in the place of its files is not followed.
	s := sh("ln -s " + outside + " " + run + "/count; ln -s " + outside + " " + run + "/record; echo up; while :; do sleep 60; done")
	s.UnsyncedFile, s.RecordFile, s.Make = run+"/count", run+"/record", []string{run + "/deep/er"}
	must[Started](r)(r.Start(ctx, s))
	r.eventually("it is up", func() bool { return strings.Contains(r.log(), "up") })
	if k := must[Killed](r)(r.Kill(ctx)); !k.Killed || k.Unsynced != -1 {
		t.Errorf("the kill says %+v", k)
	}
	if _, err := os.Stat(run + "/deep/er"); err != nil {
		t.Errorf("the directory was not made: %v", err)
	}
}

func TestNumbersBeyondTheirBoundsAreRefused(t *testing.T) {
	r := startAgent(t, t.TempDir())
	ctx := t.Context()
	data, file := filepath.Join(r.dir, "data"), filepath.Join(r.dir, "run", "delay")
	if err := os.WriteFile(filepath.Join(data, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{-1, math.MinInt64, maxFlips + 1, math.MaxInt64} {
		if _, err := r.Rot(ctx, Damage{Dir: data, Pattern: "*", Bytes: n}); err == nil {
			t.Errorf("%d bytes rot", n)
		}
	}
	for _, n := range []int{0, 1, 1000} {
		if done, err := r.Rot(ctx, Damage{Dir: data, Pattern: "*", Bytes: n}); err != nil || done.Bytes != int64(n) {
			t.Errorf("%d bytes to rot give %+v (%v)", n, done, err)
		}
	}
	for _, d := range []time.Duration{-1, math.MinInt64, MaxDelay + 1, math.MaxInt64} {
		if _, err := r.DelaySyncs(ctx, SyncDelay{File: file, Delay: d}); err == nil {
			t.Errorf("syncs are delayed by %v", d)
		}
	}
	for _, d := range []time.Duration{1, MaxDelay, 0} {
		if _, err := r.DelaySyncs(ctx, SyncDelay{File: file, Delay: d}); err != nil {
			t.Errorf("syncs are not delayed by %v: %v", d, err)
		}
	}
	began := time.Now()
	quick, cancel := context.WithTimeout(ctx, attackedMax)
	defer cancel()
	if list, err := r.Exits(quick, math.MinInt64, math.MinInt64); err != nil || len(list) > 0 || time.Since(began) > attackedMax {
		t.Errorf("exits after the least number say %v (%v)", list, err)
	}
	if list, err := r.Exits(quick, math.MaxInt64, 0); err != nil || len(list) > 0 {
		t.Errorf("exits after the greatest number say %v (%v)", list, err)
	}
	s := sh(`printf '\377\377\377\377\377\377\377\377' > ` + file + `; echo up; while :; do sleep 60; done`)
	s.UnsyncedFile = file
	must[Started](r)(r.Start(ctx, s))
	r.eventually("it is up", func() bool { return strings.Contains(r.log(), "up") })
	if k := must[Killed](r)(r.Kill(ctx)); k.Unsynced != -1 {
		t.Errorf("a count that is no int64 is taken for %d", k.Unsynced)
	}
}
