// Command checkpoint-node is one node of the reference checkpointing service
// as a process. Its command line is that of harness/server.
package main

import (
	"github.com/cleancut/cleancut/harness/server"
	"github.com/cleancut/cleancut/targets/checkpoint"
)

func main() { server.Main(checkpoint.ContainerProgram) }
