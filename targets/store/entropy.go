package store

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
)

// Raft draws its election timeouts from crypto/rand.Reader, which has no
// seed. In the simulator that variable is replaced, once per process, by
// elections, which takes its numbers from the random stream of the node whose
// program is being called, and from the operating system at all other times.
// It is global: one simulation at a time per process, and nothing else in the
// process should draw from crypto/rand while a program is being called.
var elections = &seededReader{}

var replaceReader sync.Once

// seedElections puts the replacement in place. It must be called before the
// first RawNode is made, and may be called again.
func seedElections() {
	replaceReader.Do(func() {
		elections.system = rand.Reader
		rand.Reader = elections
	})
}

type seededReader struct {
	system io.Reader
	source atomic.Pointer[mathrand.Rand]
}

// use makes r the source; nil is the operating system.
func (s *seededReader) use(r *mathrand.Rand) { s.source.Store(r) }

// Read implements io.Reader.
func (s *seededReader) Read(p []byte) (int, error) {
	r := s.source.Load()
	if r == nil {
		return s.system.Read(p)
	}
	for i := 0; i < len(p); {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], r.Uint64())
		i += copy(p[i:], b[:])
	}
	return len(p), nil
}
