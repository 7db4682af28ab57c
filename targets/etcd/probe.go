package etcd

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

// answerMax bounds what a member's answer may hold.
const answerMax = 1 << 20

// Probe implements cluster.Contained by the JSON gateway of etcd's
// maintenance API. The two questions, for status and for hash, are not one:
// while a member applies entries, the hash may belong to a later state than
// the index.
func (Target) Probe(ctx context.Context, cfg cluster.NodeConfig, dial cluster.Dialer) (node.Status, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, "client") }}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	var status statusAnswer
	if err := ask(ctx, client, "/v3/maintenance/status", &status); err != nil {
		return node.Status{}, err
	}
	var hash hashAnswer
	if err := ask(ctx, client, "/v3/maintenance/hash", &hash); err != nil {
		return node.Status{}, err
	}
	return status.status(cfg.Name, hash), nil
}

// statusAnswer is the part of etcd's StatusResponse that is used. The gateway
// writes 64-bit numbers as strings and leaves out zeros.
type statusAnswer struct {
	Header struct {
		Member uint64 `json:"member_id,string"`
	} `json:"header"`
	Leader  uint64 `json:"leader,string"`
	Term    uint64 `json:"raftTerm,string"`
	Applied uint64 `json:"raftAppliedIndex,string"`
}

// hashAnswer is the part of etcd's HashKVResponse that is used.
type hashAnswer struct {
	Hash      uint32 `json:"hash"`
	Compacted int64  `json:"compact_revision,string"`
}

func (a statusAnswer) status(name string, h hashAnswer) node.Status {
	st := node.Status{
		Node: name, Term: a.Term, Applied: a.Applied, Role: "follower", Ready: a.Leader != 0,
		StateHash: fmt.Sprintf("%08x@%d", h.Hash, h.Compacted),
	}
	switch a.Leader {
	case 0:
		st.Role = "candidate"
	case a.Header.Member:
		st.Role, st.Leader = "leader", name
	}
	return st
}

func ask(ctx context.Context, client *http.Client, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://member"+path, bytes.NewReader([]byte("{}")))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("etcd %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return fmt.Errorf("etcd %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd %s: answered %s: %.200s", path, resp.Status, body)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("etcd %s: answered what is not expected JSON: %w", path, err)
	}
	return nil
}
