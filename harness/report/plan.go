package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/faults"
)

// planStepsMax bounds the steps of a plan that a page shows.
const planStepsMax = 300

// faultsPhase is the phase in which a plan's time begins.
const faultsPhase = "faults"

// planRow is a step of the plan, with its time on the run's clock.
type planRow struct{ When, Step string }

// planRows puts a plan, whose times are since the faults began, on the run's
// clock, by which everything else in the report is told. It returns nothing if
// the plan cannot be read, or the faults never began.
func planRows(text string, phases []checkers.Phase) (rows []planRow, more int) {
	i := slices.IndexFunc(phases, func(p checkers.Phase) bool { return p.Name == faultsPhase })
	plan, err := faults.Parse(text)
	if i < 0 || err != nil {
		return nil, 0
	}
	begin := phases[i].Start
	for _, s := range plan[:min(len(plan), planStepsMax)] {
		rows = append(rows, planRow{when(s.When, begin), s.String()})
	}
	return rows, max(0, len(plan)-planStepsMax)
}

// when says at what time a step is due.
func when(t faults.Trigger, begin time.Duration) string {
	switch {
	case t.Point == "" && !t.Then:
		return clock(begin + t.After)
	case t.Point == "":
		return fmt.Sprintf("%v after the step before", t.After)
	case t.Then:
		return fmt.Sprintf("when %s is reached, from %v after the step before", t.Point, t.After)
	}
	return fmt.Sprintf("when %s is reached, from %s", t.Point, clock(begin+t.After))
}

// whoFromWhom says of a partition with its links decided who was cut from whom,
// and "" of anything else.
func whoFromWhom(frozen string) string {
	f, err := faults.ParseFault(frozen)
	if p, ok := f.(faults.Partition); err == nil && ok && p.Shape == faults.Cuts {
		return severed(p.Spec)
	}
	return ""
}

// severed tells the links of a partition in words: what was cut both ways is
// told once, and of what was cut one way who could not reach whom.
func severed(spec string) string {
	links := strings.Split(spec, "+")
	both, oneWay := map[string][]string{}, map[string][]string{}
	var order []string
	add := func(to map[string][]string, a, b string) {
		if both[a] == nil && oneWay[a] == nil {
			order = append(order, a)
		}
		to[a] = append(to[a], b)
	}
	for _, l := range links {
		a, b, _ := strings.Cut(l, ">")
		switch back := slices.Contains(links, b+">"+a); {
		case back && slices.Index(links, l) < slices.Index(links, b+">"+a):
			add(both, a, b)
		case !back:
			add(oneWay, a, b)
		}
	}
	var parts []string
	for _, a := range order {
		if len(both[a]) > 0 {
			parts = append(parts, a+" cut from "+strings.Join(both[a], ", "))
		}
		if len(oneWay[a]) > 0 {
			parts = append(parts, a+" could not reach "+strings.Join(oneWay[a], ", "))
		}
	}
	return strings.Join(parts, "; ")
}
