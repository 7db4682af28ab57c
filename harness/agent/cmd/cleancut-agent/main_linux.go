// Command cleancut-agent is the first process of a node's container. It is
// put there and started by the harness; see package agent.
package main

import (
	"fmt"
	"os"

	"github.com/cleancut/cleancut/harness/agent"
)

func main() {
	if err := agent.Main(); err != nil {
		fmt.Fprintln(os.Stderr, "cleancut-agent:", err)
		os.Exit(1)
	}
}
