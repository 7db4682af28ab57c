package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/cleancut/cleancut/harness/node"
)

// requests are the client requests that wait for their answers.
type requests struct {
	mu      sync.Mutex
	last    node.RequestID
	waiting map[node.RequestID]chan node.Response
}

func newRequests() *requests {
	return &requests{waiting: map[node.RequestID]chan node.Response{}}
}

// open registers a request, unless there are limit already.
func (q *requests) open(limit int) (node.RequestID, chan node.Response, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= limit {
		return 0, nil, false
	}
	q.last++
	answer := make(chan node.Response, 1)
	q.waiting[q.last] = answer
	return q.last, answer, true
}

// forget is called when the client has its answer or has gone away.
func (q *requests) forget(id node.RequestID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, id)
}

// reply delivers an answer. Nobody may wait for it any more.
func (q *requests) reply(id node.RequestID, r node.Response) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if answer, ok := q.waiting[id]; ok {
		answer <- r
		delete(q.waiting, id)
	}
}

// handler serves clients.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.health)
	mux.HandleFunc("/", s.request)
	return mux
}

// health answers with the program's status, asked in the loop: a node whose
// loop hangs does not answer.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	answer := make(chan node.Status, 1)
	if !s.post(r.Context(), func() { answer <- s.program.Status() }) {
		abort()
	}
	select {
	case status := <-answer:
		status.Node, status.Boot = s.cfg.Name, s.cfg.Boot
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(status) // the client has gone: nothing to do
	case <-r.Context().Done():
		abort()
	case <-s.done:
		abort()
	}
}

// abort breaks the connection. Returning from a handler would send an empty
// answer with status 200, which a client would take for success.
func abort() { panic(http.ErrAbortHandler) }

// request hands a client's request to the program and waits for its answer.
func (s *server) request(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.limits.Body))
	if err != nil {
		status := http.StatusBadRequest
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, err.Error(), status)
		return
	}
	id, answer, ok := s.requests.open(s.limits.Outstanding)
	if !ok {
		http.Error(w, "too many requests are in progress", http.StatusServiceUnavailable)
		return
	}
	defer s.requests.forget(id)
	req := node.Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Body: body}
	if !s.post(r.Context(), func() { s.program.Request(id, req) }) {
		abort()
	}
	limit := time.NewTimer(s.limits.Answer)
	defer limit.Stop()
	select {
	case resp := <-answer:
		w.WriteHeader(resp.Status)
		_, _ = w.Write(resp.Body) // the client has gone: nothing to do
	case <-limit.C:
		http.Error(w, "no answer in time; the request may still be executed", http.StatusGatewayTimeout)
	case <-r.Context().Done():
		abort()
	case <-s.done:
		abort()
	}
}
