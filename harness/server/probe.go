package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/node"
)

// maxStatus bounds the answer of a health endpoint, in bytes.
const maxStatus = 64 << 10

// Probe asks the node of that name, which was started by Command, how it is.
// Targets call it from cluster.Contained.Probe.
func Probe(ctx context.Context, name string, dial cluster.Dialer) (node.Status, error) {
	var s node.Status
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, "client") },
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+"/health", nil)
	if err != nil {
		return s, fmt.Errorf("probing %s: %w", name, err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return s, fmt.Errorf("probing %s: %w", name, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	switch {
	case err != nil:
		return s, fmt.Errorf("probing %s: %w", name, err)
	case resp.StatusCode != http.StatusOK:
		return s, fmt.Errorf("probing %s: /health answered %s: %s", name, resp.Status, bytes.TrimSpace(body))
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, fmt.Errorf("probing %s: /health: %w", name, err)
	}
	return s, nil
}
