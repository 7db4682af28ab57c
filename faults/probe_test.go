package faults

import (
	"testing"

	"github.com/cleancut/cleancut/harness/cluster"
)

func TestAProbeProvesAFaultAndOnlyOneThatHitIt(t *testing.T) {
	inj := &Injection{proof: "packets_dropped"}
	for counts, want := range map[string]bool{"packets_dropped": true, "probes_dropped": true, "probes_sent": false, "probes_delayed": false, "packets_seen": false} {
		var r cluster.Receipt
		r.Count(counts, 1)
		if inj.Bit(r) != want {
			t.Errorf("%s: bit %v, want %v", counts, !want, want)
		}
	}
}
