package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// Client talks to the agent of one container. It is safe for concurrent use.
type Client struct {
	address string // host:port
	token   string
	http    *http.Client
}

// Bounds of a request: callMax for one that is answered at once, and logMax for
// a log. A long poll has callMax beyond what it waits. An agent that stands
// still with its whole container must not hold up the harness.
const (
	callMax = 5 * time.Second
	logMax  = 20 * time.Second
	dialMax = 2 * time.Second
)

// NewClient makes a client of the agent at address (host:port).
func NewClient(address, token string) *Client {
	return &Client{address: address, token: token, http: &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialMax}).DialContext,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}}
}

// Address is where it finds the agent, as host:port.
func (c *Client) Address() string { return c.address }

// Forget drops idle connections. Call it when the container was restarted.
func (c *Client) Forget() { c.http.CloseIdleConnections() }

// State asks how the node's process is.
func (c *Client) State(ctx context.Context) (State, error) {
	return call[State](ctx, c, "GET", "/state", nil)
}

// Start starts the node's process, unless it runs.
func (c *Client) Start(ctx context.Context, s Start) (Started, error) {
	return call[Started](ctx, c, "POST", "/start", s)
}

// Kill ends the node's process with SIGKILL and returns when it is gone.
func (c *Client) Kill(ctx context.Context) (Killed, error) {
	return call[Killed](ctx, c, "POST", "/kill", nil)
}

// Pause stops the node's process (SIGSTOP) and returns when it has stopped.
// It fails with ErrDown if there is none.
func (c *Client) Pause(ctx context.Context) error {
	_, err := call[State](ctx, c, "POST", "/pause", nil)
	return err
}

// Resume lets a paused process go on (SIGCONT).
func (c *Client) Resume(ctx context.Context) (Resumed, error) {
	return call[Resumed](ctx, c, "POST", "/resume", nil)
}

// Exits returns the exits with numbers above after. If there are none it
// waits for one, at most for wait.
func (c *Client) Exits(ctx context.Context, after int, wait time.Duration) ([]Exit, error) {
	q := url.Values{"after": {strconv.Itoa(after)}, "wait": {wait.String()}}
	return callWithin[[]Exit](ctx, c, callMax+min(max(wait, 0), maxWait), "GET", "/exits?"+q.Encode(), nil)
}

// Log returns at most limit bytes from the end of what the node wrote.
func (c *Client) Log(ctx context.Context, limit int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, logMax)
	defer cancel()
	resp, err := c.do(ctx, "GET", "/log?limit="+strconv.Itoa(limit), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)))
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	return b, nil
}

// Capabilities asks what the network rules can do here.
func (c *Client) Capabilities(ctx context.Context) (Capabilities, error) {
	return call[Capabilities](ctx, c, "GET", "/capabilities", nil)
}

// AddRules puts rules in force, all or none.
func (c *Client) AddRules(ctx context.Context, rules []Rule) error {
	_, err := call[struct{}](ctx, c, "POST", "/rules", rules)
	return err
}

// RemoveRules takes rules away and returns what each did. Unknown ids are no
// error and have no counts.
func (c *Client) RemoveRules(ctx context.Context, ids []string) (map[string]Counts, error) {
	return call[map[string]Counts](ctx, c, "POST", "/rules/remove", ids)
}

// RuleCounts returns what each rule in force did so far.
func (c *Client) RuleCounts(ctx context.Context) (map[string]Counts, error) {
	return call[map[string]Counts](ctx, c, "GET", "/rules", nil)
}

// Rot flips bits in files of the node.
func (c *Client) Rot(ctx context.Context, d Damage) (Damaged, error) {
	return call[Damaged](ctx, c, "POST", "/disk/rot", d)
}

// Truncate cuts files of the node at random places.
func (c *Client) Truncate(ctx context.Context, d Damage) (Damaged, error) {
	return call[Damaged](ctx, c, "POST", "/disk/truncate", d)
}

// Wipe removes all that is in a directory. It fails while the node runs.
func (c *Client) Wipe(ctx context.Context, d Damage) (Damaged, error) {
	return call[Damaged](ctx, c, "POST", "/disk/wipe", d)
}

// DelaySyncs sets how much longer the node's syncs take.
func (c *Client) DelaySyncs(ctx context.Context, d SyncDelay) (Delayed, error) {
	return call[Delayed](ctx, c, "POST", "/disk/slow", d)
}

// Dial connects to a TCP port inside the container through the agent, so that
// no network rule touches the connection. It fails with ErrDown if the node's
// process does not run.
func (c *Client) Dial(ctx context.Context, port int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, callMax)
	defer cancel()
	conn, err := (&net.Dialer{Timeout: dialMax}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	r, err := c.openTunnel(conn, port)
	if err != nil {
		stop()
		return nil, errors.Join(unanswered(ctx, err), conn.Close())
	}
	if !stop() { // ctx was cancelled meanwhile: the deadline stands
		return nil, errors.Join(ctx.Err(), conn.Close())
	}
	return &tunnel{Conn: conn, r: r}, nil
}

func (c *Client) openTunnel(conn net.Conn, port int) (*bufio.Reader, error) {
	req, err := http.NewRequest("POST", "http://"+c.address+"/tunnel?port="+strconv.Itoa(port), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", tunnelProtocol)
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer resp.Body.Close()
		return nil, decodeFailure(resp)
	}
	return r, nil
}

// tunnelProtocol is what the connection is upgraded to: plain bytes.
const tunnelProtocol = "cleancut-tunnel"

// tunnel is a connection whose first bytes may lie in r already.
type tunnel struct {
	net.Conn
	r *bufio.Reader
}

func (t *tunnel) Read(p []byte) (int, error) { return t.r.Read(p) }

// call sends one request and decodes its answer, within callMax.
func call[T any](ctx context.Context, c *Client, method, path string, in any) (T, error) {
	return callWithin[T](ctx, c, callMax, method, path, in)
}

func callWithin[T any](ctx context.Context, c *Client, limit time.Duration, method, path string, in any) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out T
	resp, err := c.do(ctx, method, path, in)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, unanswered(ctx, fmt.Errorf("%s: %w", path, err))
	}
	return out, nil
}

// unanswered is the error of a request that the agent did not answer. Unless
// the caller gave it up, that is the harness's trouble.
func unanswered(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, ErrToken) || errors.Is(err, ErrDown) || errors.Is(err, errRefused) {
		return fmt.Errorf("agent: %w", err)
	}
	return fmt.Errorf("agent: %w: %w", cluster.ErrUnreachable, err)
}

// errRefused marks what the agent answered to a request that it did not fulfil.
var errRefused = errors.New("refused")

func (c *Client) do(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, unanswered(ctx, decodeFailure(resp))
	}
	return resp, nil
}

func decodeFailure(resp *http.Response) error {
	if resp.StatusCode == http.StatusUnauthorized {
		return ErrToken
	}
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&f); err != nil {
		return fmt.Errorf("%w: status %s", errRefused, resp.Status)
	}
	if f.Down {
		return ErrDown
	}
	return fmt.Errorf("%w: %s", errRefused, f.Error)
}
