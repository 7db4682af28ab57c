package nearest

import (
	"slices"
	"testing"
)

func TestTheNearestNamesComeFirst(t *testing.T) {
	names := []string{"kill", "pause", "partition", "power-loss", "loss", "all", "leader"}
	for name, want := range map[string][]string{
		"kil": {"kill"}, "klil": {"kill", "all"}, "al": {"all"}, "pasue": {"pause"},
		"partitoin": {"partition"}, "KILL": {"kill"}, "lead": {"leader"}, "part": {"partition"},
		"": nil, "xyzzyx": nil,
	} {
		got := To(name, names)
		if len(want) == 0 && len(got) > 0 || len(want) > 0 && (len(got) == 0 || got[0] != want[0]) {
			t.Errorf("%q: %q, want %q first", name, got, want)
		}
	}
	if got := To("aaaa", []string{"aaab", "aaac", "aaad", "aaae"}); len(got) != 3 {
		t.Errorf("%q: at most three", got)
	}
}

func TestAHintListsWhatCanBeRead(t *testing.T) {
	if got := Hint("kil", []string{"kill", "pause"}); got != "; there are: kill, pause; did you mean kill?" {
		t.Error(got)
	}
	if got := Hint("xxxxxxx", slices.Repeat([]string{"scenario"}, 163)); got != "" {
		t.Error(got)
	}
}

func TestDistanceCountsWhatMustBeChanged(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"same", "same", 0}} {
		if got, back := distance(c.a, c.b), distance(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%q to %q: %d and back %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}
