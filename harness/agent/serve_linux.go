package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Options configures an agent.
type Options struct {
	Token   string // required of every request
	Address string // the container's own IP address: it listens there only
	Port    int
	// StateDir is where it keeps logs and exits. DataDir, RunDir and RecordDir
	// are where it touches files for the harness.
	StateDir                   string
	DataDir, RunDir, RecordDir string
}

// terminatePatience is how long the node has between SIGTERM and SIGKILL.
const terminatePatience = 500 * time.Millisecond

// Main is the agent's main function: it serves until SIGTERM, which it
// forwards to the node's process. It does not return before that.
func Main() error {
	// Else the node's process, which may run as the same user, could read the
	// token from the agent's memory.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hiding the agent's memory: %w", err)
	}
	token, err := takeToken(TokenPath)
	if err != nil {
		return err
	}
	return Serve(Options{
		Token:    token,
		Address:  os.Getenv(AddressEnv),
		Port:     Port,
		StateDir: StateDir,
		DataDir:  DataDir, RunDir: RunDir, RecordDir: RecordDir,
	})
}

// takeToken reads the token and removes its file.
func takeToken(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("no token was left for this start of the container, so somebody else started it: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err := errors.Join(err, f.Close(), os.Remove(path)); err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	if len(b) > maxToken {
		return "", fmt.Errorf("the token in %s is longer than %d bytes", path, maxToken)
	}
	return string(b), nil
}

// Serve is Main with options.
func Serve(o Options) error {
	if len(o.Token) < minToken {
		return fmt.Errorf("the token has %d characters, fewer than %d", len(o.Token), minToken)
	}
	own, err := netip.ParseAddr(o.Address)
	if err != nil || own.IsUnspecified() {
		return fmt.Errorf("%s is %q, not the address of this node", AddressEnv, o.Address)
	}
	files, err := openPlaces(o.DataDir, o.RunDir, o.RecordDir)
	if err != nil {
		return err
	}
	sup, err := newSupervisor(o.StateDir, files)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	l, err := net.Listen("tcp", net.JoinHostPort(own.String(), strconv.Itoa(o.Port)))
	if err != nil {
		return err
	}
	a := &agent{options: o, sup: sup, places: files, rules: newRules(l.Addr().(*net.TCPAddr).Port)}
	web := &http.Server{
		Handler:           a.authorize(a.handler()),
		ReadHeaderTimeout: headerMax,
		ReadTimeout:       headerMax, // authorize gives more to those with the token
		WriteTimeout:      answerMax,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       withConn,
		ErrorLog:          log.New(io.Discard, "", 0), // strangers must not fill the container's log
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(newGate(l, maxConnections, maxStrangers)) }()
	for {
		select {
		case err := <-failed:
			return err
		case s := <-signals:
			if s == syscall.SIGCHLD {
				sup.reap()
				continue
			}
			go func() { // reaping must go on meanwhile
				sup.terminate(terminatePatience)
				failed <- nil
			}()
		}
	}
}

// agent serves the interface.
type agent struct {
	options Options
	sup     *supervisor
	places  *places
	rules   *rules
}

// authorize lets only requests with the token pass, and reads their bodies
// before anything is done. Hashing first makes the comparison take the same
// time for every length. The connection of a stranger is closed.
func (a *agent) authorize(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte("Bearer " + a.options.Token))
	refuse := func(w http.ResponseWriter, why string, code int) {
		w.Header().Set("Connection", "close")
		http.Error(w, why, code)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			refuse(w, "the token is wrong or missing", http.StatusUnauthorized)
			return
		}
		if !connOf(r.Context()).trust() {
			refuse(w, fmt.Sprintf("more than %d connections with the token are open", maxConnections), http.StatusServiceUnavailable)
			return
		}
		times := http.NewResponseController(w)
		err := times.SetReadDeadline(time.Now().Add(bodyMax))
		var body []byte
		if err == nil {
			body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		}
		if err == nil {
			err = times.SetReadDeadline(time.Time{}) // a long poll is silent
		}
		if err != nil {
			refuse(w, fmt.Sprintf("the body cannot be read: %v", err), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func (a *agent) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", answer(func(*http.Request) (State, error) { return a.sup.state(), nil }))
	mux.HandleFunc("POST /start", answer(func(r *http.Request) (Started, error) {
		s, err := read[Start](r)
		if err != nil {
			return Started{}, err
		}
		return a.sup.start(s)
	}))
	mux.HandleFunc("POST /kill", answer(func(*http.Request) (Killed, error) { return a.sup.kill() }))
	mux.HandleFunc("POST /pause", answer(func(*http.Request) (State, error) { return a.sup.pause() }))
	mux.HandleFunc("POST /resume", answer(func(*http.Request) (Resumed, error) { return a.sup.resume() }))
	mux.HandleFunc("GET /exits", answer(a.exits))
	mux.HandleFunc("GET /capabilities", answer(func(*http.Request) (Capabilities, error) { return a.rules.capabilities(), nil }))
	mux.HandleFunc("GET /rules", answer(func(*http.Request) (map[string]Counts, error) { return a.rules.counts() }))
	mux.HandleFunc("POST /rules", answer(func(r *http.Request) (struct{}, error) {
		list, err := read[[]Rule](r)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, a.rules.add(list)
	}))
	mux.HandleFunc("POST /rules/remove", answer(func(r *http.Request) (map[string]Counts, error) {
		ids, err := read[[]string](r)
		if err != nil {
			return nil, err
		}
		return a.rules.remove(ids)
	}))
	mux.HandleFunc("POST /disk/rot", asked(a.places.rot))
	mux.HandleFunc("POST /disk/truncate", asked(a.places.truncate))
	mux.HandleFunc("POST /disk/wipe", asked(a.sup.wipe))
	mux.HandleFunc("POST /disk/slow", asked(a.places.slow))
	mux.HandleFunc("GET /log", a.log)
	mux.HandleFunc("POST /tunnel", a.tunnel)
	return mux
}

// answer makes a handler that answers in JSON.
func answer[T any](f func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := f(r)
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(out) // the harness has gone: nothing to do
	}
}

// asked makes a handler that reads its question and answers in JSON.
func asked[Q, A any](f func(Q) (A, error)) http.HandlerFunc {
	return answer(func(r *http.Request) (a A, err error) {
		q, err := read[Q](r)
		if err != nil {
			return a, err
		}
		return f(q)
	})
}

func fail(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusConflict)
	_ = json.NewEncoder(w).Encode(failure{Error: err.Error(), Down: errors.Is(err, ErrDown)})
}

func read[T any](r *http.Request) (T, error) {
	var in T
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return in, fmt.Errorf("the request cannot be read: %w", err)
	}
	return in, nil
}

// exits is a long poll.
func (a *agent) exits(r *http.Request) ([]Exit, error) {
	after, err := strconv.Atoi(r.FormValue("after"))
	if err != nil {
		return nil, fmt.Errorf("after: %w", err)
	}
	wait, err := time.ParseDuration(r.FormValue("wait"))
	if err != nil {
		return nil, fmt.Errorf("wait: %w", err)
	}
	list, changed := a.sup.exitsAfter(after)
	if len(list) > 0 || wait <= 0 {
		return list, nil
	}
	limit := time.NewTimer(min(wait, maxWait))
	defer limit.Stop()
	select {
	case <-changed:
	case <-limit.C:
	case <-r.Context().Done():
	}
	list, _ = a.sup.exitsAfter(after)
	return list, nil
}

func (a *agent) log(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 0 {
		fail(w, fmt.Errorf("limit: %q is not a number of bytes", r.FormValue("limit")))
		return
	}
	b, err := ReadLogs(os.DirFS(a.options.StateDir), min(limit, maxLogRequest))
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(b) // the harness has gone: nothing to do
}

// tunnel connects the caller to a port of the node.
func (a *agent) tunnel(w http.ResponseWriter, r *http.Request) {
	port, err := strconv.ParseUint(r.FormValue("port"), 10, 16)
	if err != nil || r.Header.Get("Upgrade") != tunnelProtocol {
		fail(w, fmt.Errorf("tunnel: port %q cannot be reached like this", r.FormValue("port")))
		return
	}
	if !a.sup.state().Running {
		fail(w, ErrDown)
		return
	}
	node, err := a.dial(r.Context(), strconv.FormatUint(port, 10))
	if err != nil {
		fail(w, err)
		return
	}
	defer node.Close()
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		fail(w, errors.New("tunnel: the connection cannot be taken over"))
		return
	}
	caller, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer caller.Close()
	_ = caller.SetDeadline(time.Time{})
	if _, err := io.WriteString(caller, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+tunnelProtocol+"\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(node, buffered); done <- struct{}{} }()
	go func() { _, _ = io.Copy(caller, node); done <- struct{}{} }()
	<-done // either end gone: close both
}

// dial tries the loopback address, and the container's own for nodes that
// listen only there. Both stay inside the container.
func (a *agent) dial(ctx context.Context, port string) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil && a.options.Address != "" {
		conn, err = d.DialContext(ctx, "tcp", net.JoinHostPort(a.options.Address, port))
	}
	return conn, err
}
