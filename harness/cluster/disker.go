package cluster

import (
	"context"
	"time"
)

// Disker can damage what nodes keep on their disks. Patterns are those of
// path.Match and are held against the names of files in a node's data
// directory; a file that is open is damaged under the process that uses it. A
// process need not notice before it reads the file anew: containers' programs
// keep what they have read, as a page cache does.
type Disker interface {
	// CanDamage says whether nodes have disks that can be damaged, and
	// CanSlowSync whether syncs can be slowed down, and if not, why not (an
	// error that wraps ErrUnavailable).
	CanDamage() error
	CanSlowSync() error
	// Rot flips bits of count bytes in the files that match, at places drawn
	// from seed: at rest, as media do. The receipt counts "bytes_flipped" and
	// "files_damaged", both 0 if no file matches or all are empty.
	Rot(ctx context.Context, node, pattern string, count int, seed uint64) (Receipt, error)
	// Truncate cuts each file that matches and is not empty at a place drawn
	// from seed. The receipt counts "bytes_cut" and "files_damaged".
	Truncate(ctx context.Context, node, pattern string, seed uint64) (Receipt, error)
	// Wipe removes all files of a node, whose process must be dead. The
	// receipt counts "files_wiped" and "bytes_wiped".
	Wipe(ctx context.Context, node string) (Receipt, error)
	// SlowSync lets every sync of a node take longer by delay until the rule
	// is removed; delays add up. The rule's receipt counts "syncs_delayed". It
	// survives the restart of a node.
	SlowSync(ctx context.Context, node string, delay time.Duration) (Rule, error)
}
