package node

// Disk is a node's data directory: a flat set of named files. It behaves as
// a POSIX file system does:
//
//   - Writes land in a cache and are readable at once; they are durable only
//     when a Sync called after them has completed. Until then a power loss
//     may keep any part of them, by sectors, in any order, or tear a sector.
//   - Creating, renaming and removing a name is durable only when a SyncDir
//     called after it has completed. Rename is atomic.
//   - After a failed sync the unsynced writes may be lost, although they can
//     still be read: an fsync that failed must not be retried in the hope of
//     better luck (PostgreSQL's "fsyncgate", 2018).
//
// Everything but Sync and SyncDir completes at once. Names contain neither a
// slash nor a NUL byte and are not empty. Errors wrap fs.ErrNotExist,
// fs.ErrExist, syscall.ENOSPC or syscall.EIO where these fit.
type Disk interface {
	// Create makes an empty file. It fails with fs.ErrExist if there is one.
	Create(name string) (File, error)
	// Open opens a file for reading and writing.
	Open(name string) (File, error)
	// Rename gives a file a new name, replacing a file that has it.
	Rename(oldname, newname string) error
	// Remove deletes a name.
	Remove(name string) error
	// List returns the names of all files in ascending order.
	List() ([]string, error)
	// SyncDir makes creations, renames and removals durable. It returns at
	// once; Program.Synced(token) reports the completion.
	SyncDir(token uint64)
}

// File is an open file of a Disk.
type File interface {
	// ReadAt and WriteAt are as in package io. WriteAt extends the file,
	// with zeros where there is a gap.
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Size() (int64, error)
	// Sync makes what was written so far durable. It returns at once;
	// Program.Synced(token) reports the completion. Tokens are the program's
	// own; each is used once per incarnation.
	Sync(token uint64)
	// Close gives the handle back. It does not sync.
	Close() error
}
