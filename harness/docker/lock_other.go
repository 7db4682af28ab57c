//go:build !unix

package docker

// lockFile does nothing where this runtime is not available anyway.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }
