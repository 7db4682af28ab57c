// Command testnode runs the program of package testnode.
package main

import (
	"github.com/cleancut/cleancut/harness/docker/internal/testnode"
	"github.com/cleancut/cleancut/harness/server"
)

func main() { server.Main(testnode.New) }
