package rng

import "testing"

// The numbers below are part of what the package promises: a change of them
// breaks the replay of every run that was ever recorded.
func TestStreamsAreTheSameOnEveryMachineAndForEver(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		name string
		want [2]uint64
	}{
		{0, "", [2]uint64{0x578865609a34427c, 0x4cc98fe58b5bef92}},
		{7, "network/n1>n2", [2]uint64{0x9009d19eadfa0a2f, 0x775553fcb18248b4}},
	} {
		r := Stream(c.seed, c.name)
		if got := [2]uint64{r.Uint64(), r.Uint64()}; got != c.want {
			t.Errorf("Stream(%d, %q) begins with %#x, want %#x", c.seed, c.name, got, c.want)
		}
	}
	if got := Derive(7, "spec"); got != 0xd0942be0d0108301 {
		t.Errorf("Derive(7, spec) = %#x", got)
	}
}

func TestStreamsDifferBySeedAndByName(t *testing.T) {
	seen := map[uint64]string{}
	for seed := range uint64(100) {
		for _, name := range []string{"", "a", "b", "client/1", "client/11", "faults"} {
			first := Stream(seed, name).Uint64()
			if other, ok := seen[first]; ok {
				t.Errorf("seed %d, %q begins like %s", seed, name, other)
			}
			seen[first] = name
		}
	}
}

func TestSourceAndStreamAgree(t *testing.T) {
	if Source(3, "x").Uint64() != Stream(3, "x").Uint64() {
		t.Error("Source and Stream of the same name differ")
	}
}
