package suites

import (
	"strings"
	"testing"
)

// Whatever a seed draws, the service accepts, and every setting takes more than
// one value.
func TestDrawnSettingsAreAcceptedAndDiffer(t *testing.T) {
	scenarios := 0
	for _, s := range checkpointing() {
		if s.Vary == nil {
			continue
		}
		scenarios++
		values := map[string]map[string]bool{}
		for seed := range uint64(60) {
			v := s.Vary(s.WithDefaults(), seed)
			if err := v.Validate(); err != nil {
				t.Fatalf("%s, seed %d: %v", s.Name, seed, err)
			}
			for name, value := range v.Settings {
				if values[name] == nil {
					values[name] = map[string]bool{}
				}
				values[name][value] = true
			}
		}
		for name, of := range values {
			if _, needed := s.Settings[name]; !needed && len(of) < 2 {
				t.Errorf("%s draws only one value of %s: %v", s.Name, name, of)
			}
		}
	}
	if scenarios < 20 {
		t.Errorf("%d scenarios draw their settings", scenarios)
	}
}

// What is set by hand stays, and leaves the other settings as they were drawn.
func TestWhatIsSetIsNotDrawn(t *testing.T) {
	for _, s := range checkpointing() {
		if s.Vary == nil || !strings.Contains(s.Name, "coordinated-pipeline") {
			continue
		}
		drawn := s.Vary(s, 7).Settings
		s.Settings = map[string]string{"protocol": "coordinated", "retain": "9"}
		for name, value := range s.Vary(s, 7).Settings {
			if want := drawn[name]; name != "retain" && value != want || name == "retain" && value != "9" {
				t.Errorf("%s is %s; drawn was %s", name, value, want)
			}
		}
	}
}
