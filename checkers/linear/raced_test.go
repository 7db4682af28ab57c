//go:build race

package linear

// raced says that the race detector watches: small objects take more memory then.
const raced = true
