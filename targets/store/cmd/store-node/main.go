// Command store-node is one node of the reference replicated store as a
// process. Its command line is that of harness/server.
package main

import (
	"github.com/cleancut/cleancut/harness/server"
	"github.com/cleancut/cleancut/targets/store"
)

func main() { server.Main(store.ContainerProgram) }
