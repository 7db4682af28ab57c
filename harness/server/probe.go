package server

import (
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
const maxStatus = 1 << 20

// Probe asks a node that was started by Command how it is. Targets call it
// from cluster.Contained.Probe.
func Probe(ctx context.Context, dial cluster.Dialer) (node.Status, error) {
	var status node.Status
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, "client") },
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node/health", nil)
	if err != nil {
		return status, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return status, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return status, fmt.Errorf("health: status %s", resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(&status); err != nil {
		return status, fmt.Errorf("health: %w", err)
	}
	return status, nil
}
