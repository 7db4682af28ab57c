//go:build !linux

package server

import (
	"net"
	"time"
)

// setUserTimeout does nothing: nodes run in Linux containers, and elsewhere
// only in tests.
func setUserTimeout(net.Conn, time.Duration) error { return nil }
