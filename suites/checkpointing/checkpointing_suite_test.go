// Package checkpointing runs the catalog's scenarios of checkpointed
// computations as Ginkgo specs, on every runtime that this machine has.
// Package specs says how.
package checkpointing

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"

	"github.com/cleancut/cleancut/suites/specs"
)

func TestCheckpointing(t *testing.T) { specs.Run(t, "Checkpointing") }

var _ = Describe("Checkpointed computations recover", func() { specs.Hold("checkpointing") })
