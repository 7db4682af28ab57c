package faults

import (
	"testing"

	"github.com/cleancut/cleancut/harness/history"
)

func TestFailureModelsAreThoseOfDefinitionsOrSpokenOfInNames(t *testing.T) {
	for _, d := range Catalog() {
		if got := ModelOf(d.Usage); got != d.Model || got == "" {
			t.Errorf("%s: %q, its definition says %q", d.Usage, got, d.Model)
		}
	}
	for text, want := range map[string]history.Failure{
		"kill": history.CrashRecovery, "Kill": history.CrashRecovery, "start-kill": history.CrashRecovery, "kill-node": history.CrashRecovery,
		"crash": history.CrashRecovery, "power-off": history.CrashRecovery, "start-partition": history.Omission, "partition(kill)": history.Omission,
		"pause": history.Timing, "bump-clock": history.Timing, "bitflip": history.Byzantine,
		"start": "", "stop": "", "restart": "", "power-on": "", "skill": "", "": "",
	} {
		if got := ModelOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
