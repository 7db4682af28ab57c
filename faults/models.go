package faults

import (
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/history"
)

// ModelOf returns the failure model of a fault by its text, "" if nobody knows
// it: that of its definition, or for histories that others recorded what its
// name says up to a parenthesis. Its words are separated by hyphens,
// underscores, slashes or dots, and
//
//   - one of kill, killed, crash and reboot, or power off, loss, cut or failure,
//     is a crash;
//   - one of partition, isolate, cut and drop is omission;
//   - one of pause, clock, delay and skew is a matter of timing;
//   - one of bitflip, corrupt, truncate and rot is damage.
//
// So Jepsen's :kill, :start-kill, :power-off, :start-partition, :pause and
// :bump-clock are known. What only says start, stop or restart is not: Jepsen
// begins and ends faults of all kinds so.
func ModelOf(text string) history.Failure {
	name, _, _ := strings.Cut(strings.ToLower(text), "(")
	if d, err := Lookup(name); err == nil {
		return d.Model
	}
	words := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("-_/. ", r) })
	for i, w := range words {
		if w == "power" && i+1 < len(words) {
			w += words[i+1]
		}
		for _, f := range foreign {
			if slices.Contains(f.words, w) {
				return f.model
			}
		}
	}
	return ""
}

// foreign are the words in the names that others give to their faults.
var foreign = []struct {
	model history.Failure
	words []string
}{
	{history.CrashRecovery, []string{"kill", "killed", "crash", "reboot", "poweroff", "powerloss", "powercut", "powerfailure"}},
	{history.Omission, []string{"partition", "isolate", "cut", "drop"}},
	{history.Timing, []string{"pause", "clock", "delay", "skew"}},
	{history.Byzantine, []string{"bitflip", "corrupt", "truncate", "rot"}},
}
