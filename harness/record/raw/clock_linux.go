package raw

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Now is the host's monotonic clock. (Go's own cannot be compared between
// processes.)
func Now() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0, fmt.Errorf("the host's monotonic clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}
