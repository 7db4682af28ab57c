//go:build unix

// Package cputime tells benchmarks what they used of the processors, which is
// the same on a machine that others use, too.
package cputime

import (
	"syscall"
	"time"
)

// Used returns what the process has used of the processors.
func Used() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
