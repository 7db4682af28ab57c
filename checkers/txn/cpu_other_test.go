//go:build !unix

package txn

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
