package main

import (
	"strings"
	"testing"
)

func TestShellsCompleteNames(t *testing.T) {
	for _, c := range []struct{ line, has, not string }{
		{"run replication/raft-p", "replication/raft-partitions", "replication/raft-quiet"},
		{"sweep checkpointing/msglog-transfer-s", "checkpointing/msglog-transfer-swarm", "replication"},
		{"run repl", "replication", "etcd"},
		{"run --bug ack", "ack-on-append", "vote-not-persisted"},
		{"run --faults kill,pa", "kill,pause", "kill,kill"},
		{"run --target st", "store", "etcd"},
		{"run --set part", "partner-every=", "local-every="},
		{"run --runtime do", "docker", "sim"},
		{"run --workload cas", "cas-register", "kv"},
		{"check h --workload list-", "list-append", "set-full"},
		{"check h --workload list-append --model strict-s", "strict-serializable", "serializable\nx"},
		{"check h --dialect kn", "knossos", "elle"},
		{"list sc", "scenarios", "bugs"},
	} {
		got := cleancut(t, append([]string{"__complete"}, strings.Split(c.line, " ")...)...)
		lines := "\n" + got.out
		if !strings.Contains(lines, "\n"+c.has) || strings.Contains(lines, "\n"+c.not+"\n") {
			t.Errorf("%s: got %q, want %q and not %q", c.line, got.out, c.has, c.not)
		}
	}
}

func TestRunsAreCompletedAsPaths(t *testing.T) {
	for _, command := range []string{"check", "report", "replay", "export"} {
		if got := cleancut(t, "__complete", command, ""); !strings.Contains(got.out, ":0") {
			t.Errorf("%s: %q", command, got.out)
		}
	}
}
