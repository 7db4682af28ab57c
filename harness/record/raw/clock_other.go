//go:build !linux

package raw

import (
	"errors"
	"time"
)

// Now fails: containers share a clock with their harness on Linux only.
func Now() (time.Duration, error) {
	return 0, errors.New("the host's monotonic clock can be read on Linux only")
}
